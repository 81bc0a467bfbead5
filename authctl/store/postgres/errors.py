"""Errors of PostgreSQL, translated into our own by their SQLSTATE.

An error without a SQLSTATE comes from the driver: the connection could not be made, or was lost.
"""

import re
from types import TracebackType

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, InvalidInput, RegistryLocked, RegistryUnavailable
from authctl.registry_locations import LOG_IN_FILES
from authctl.store.postgres.library import psycopg

LOCKED = "55P03"
DIVISION_BY_ZERO = "22012"
READ_ONLY = "25006"
NOT_SUPPORTED = "0A000"
NO_ROOM = "53100"
DEADLOCK = "40P01"
NO_RIGHTS = "42501"
NO_SUCH_VALUE = "22P02"

_KINDS: dict[str, type[RegistryUnavailable]] = {LOCKED: RegistryLocked, DEADLOCK: RegistryLocked, NO_ROOM: DiskFull}
_UNAVAILABLE = {
    LOCKED: "it is locked by another process",
    DEADLOCK: "this change and another one waited for each other, and the server ended this one",
    NO_ROOM: "the disk of the server is full",
    READ_ONLY: "the server takes no changes: it is a standby, or read-only",
    NOT_SUPPORTED: "the server does not support what a registry needs: it is a standby, or not PostgreSQL",
    "25P03": "the transaction stood still for too long, and the server ended it",
    "25P04": "the transaction took too long, and the server ended it",
    NO_RIGHTS: "the role has too few rights",
    "53200": "the server has too little memory",
    "53300": "the server has too many connections",
    "57014": "the server cancelled the statement",
    "57P01": "the server is shutting down, or an administrator ended the connection",
    "57P02": "the server crashed",
    "57P03": "the server is starting or stopping",
    "57P04": "the database was dropped",
    "57P05": "the server closed the connection, which was not used",
    "58030": "the disk of the server failed",
    "3D000": "there is no such database",
    "28P01": "the password was refused",
    "28000": "the role was refused",
}
_UNAVAILABLE_CLASSES = {
    "08": "the connection failed",
    "28": "the role was refused",
    "53": "the server lacks resources",
    "57": "the server ended the statement",
}
_SETTING = "see: {} of the role, the database and the server"
_READ_ONLY_HINT = f"the address of the server that takes changes, or {_SETTING.format('default_transaction_read_only')}"
_MORE_CONNECTIONS = "a larger max_connections, or a pooler: ?pooler=transaction"
_TO_LOG_IN = f"write it to {LOG_IN_FILES}"
_HINTS = {
    "28P01": _TO_LOG_IN,
    "57014": _SETTING.format("statement_timeout"),
    "25P03": _SETTING.format("idle_in_transaction_session_timeout"),
    "25P04": _SETTING.format("transaction_timeout"),
    READ_ONLY: _READ_ONLY_HINT,
    NO_RIGHTS: "authctl init --print-sql",
    "53300": _MORE_CONNECTIONS,
}
_DAMAGED = {"22003", "58P01", "P0001", "XX001", "XX002"}
"""Numbers out of their range, missing files, our own triggers, and damaged pages: the registry holds what we never write."""
_DAMAGED_CLASS = "42"
"""Unknown tables, columns and types: somebody changed the schema, since our own SQL causes no such error."""


class translated_errors:  # noqa: N801  # used as a context manager, and entered for every look-up: a generator costs more
    """Translates errors of PostgreSQL in its block; a defect of ours stays as it is."""

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        translated = None if error is None else translated_error(error, self._place)
        if translated is not None:
            raise translated from error


def is_lost(error: BaseException) -> bool:
    """Whether an error leaves open if the server made the change: it has no SQLSTATE, or the server ended the connection."""
    code = getattr(error, "sqlstate", None)
    return isinstance(error, psycopg.OperationalError) and (code is None or code[:2] in ("08", "57") or code == "25P03")


def is_too_late(error: psycopg.Error) -> bool:
    """Whether the driver did not wait any longer for a server that was silent."""
    return error.sqlstate is None and "timeout expired" in str(error)


def translated_error(error: BaseException, place: str) -> AuthctlError | None:
    """Our error for an error of PostgreSQL; None for any other error."""
    if not isinstance(error, psycopg.Error):
        return None
    code = error.sqlstate
    unusable = f"the registry at {place} cannot be used"
    if code == NO_SUCH_VALUE:  # a caller of the library gave a text for a number
        return InvalidInput(f"a value has the wrong type: {_first_line(error)}")
    if code is None:
        return _of_driver(error, unusable) if isinstance(error, psycopg.OperationalError) else None
    if code in _DAMAGED or (code[:2] == _DAMAGED_CLASS and code not in _UNAVAILABLE):
        return IntegrityFailure(f"the registry at {place} is damaged: {_first_line(error)}")
    why = _UNAVAILABLE.get(code) or _UNAVAILABLE_CLASSES.get(code[:2])
    if code == NO_RIGHTS:
        why = f"{why}: {_first_line(error)}"
    return None if why is None else _KINDS.get(code, RegistryUnavailable)(f"{unusable}: {why}", _HINTS.get(code))


_BEGINNING = re.compile(r"connection (failed|is bad): ")
"""The words of the driver before those of libpq, which tell the same."""
_INVALID = re.compile(r"(connection is bad: )?(invalid|could not match) ")
"""Errors of libpq about a parameter, before it connects."""
_HINTS_OF_DRIVER = {
    re.compile(r"\bpassword\b"): _TO_LOG_IN,
    re.compile(r"root certificate"): "install the certificate of its authority: ?sslrootcert=FILE",
    re.compile(r'database ".*" does not exist'): "to make it: authctl init --print-sql",
    re.compile(r"too many (clients|connections)|connection slots"): _MORE_CONNECTIONS,
    re.compile(r"no pg_hba\.conf entry|pg_hba\.conf rejects"): "see: pg_hba.conf of the server",
    re.compile(
        r"permission denied for database"
    ): "as the owner of the database: GRANT CONNECT ON DATABASE NAME TO ROLE",
    re.compile(r'role ".*" does not exist'): "to make it: authctl init --print-sql",
    re.compile(r"is not permitted to log in"): "as a superuser: ALTER ROLE NAME LOGIN",
}
"""Hints for errors of a connection, which have no SQLSTATE, by a part of their text."""


def _of_driver(error: psycopg.Error, unusable: str) -> AuthctlError:
    """The error of a connection that could not be made, or was lost."""
    text = str(error)
    if "session is read-only" in text or "server is in hot standby mode" in text:
        return RegistryUnavailable(f"{unusable}: {_UNAVAILABLE[READ_ONLY]}", _READ_ONLY_HINT)
    if is_too_late(error):
        return RegistryUnavailable(f"{unusable}: the server is there, and does not answer")
    kind = InvalidInput if _INVALID.match(text) else RegistryUnavailable
    hint = next((hint for pattern, hint in _HINTS_OF_DRIVER.items() if pattern.search(text)), None)
    return kind(f"{unusable}: {_BEGINNING.sub('', _first_line(error), count=1)}", hint)


def _first_line(error: psycopg.Error) -> str:
    """The first line of a message of the server or driver, without a full stop."""
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
