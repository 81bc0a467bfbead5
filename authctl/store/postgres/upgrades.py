"""Upgrades of the schema, and the refusal of a schema that is newer than this authctl."""

from contextlib import closing, suppress
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING

from authctl.errors import RegistryUnavailable
from authctl.store.postgres import versions
from authctl.store.postgres.connection import BEGIN, connect, gate_key
from authctl.store.postgres.errors import (
    DEADLOCK,
    LOCKED,
    NO_RIGHTS,
    NOT_SUPPORTED,
    translated_error,
    translated_errors,
)
from authctl.store.postgres.library import psycopg

if TYPE_CHECKING:
    from authctl.store.postgres.addresses import Address
    from authctl.store.postgres.connection import Connection

VERSION = "SELECT version FROM schema_version"
TAKE_TURN = "UPDATE registry SET turn = pg_current_xact_id()::text::bigint"
"""Marks the transaction as the last one that held the gate alone."""

_GATE_SECONDS = 30
"""How long an upgrade waits for the gate, and how long it tries to get the tables."""
_TABLE_MILLISECONDS = 500
"""How long one try waits for a table that somebody reads: the next reader waits behind it, so that it must be short. It is
less than the second after which the server looks for a deadlock, and ends one of the two."""
_PAUSE_SECONDS = 0.2
_OTHER_SCHEMA_CLASS, _OTHER_SCHEMA = "42", NOT_SUPPORTED
"""The errors that a statement for another schema causes: an unknown table or column, and a result that is no longer as prepared."""
_IS_OWNER = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('audit_events')"
_NO_TIME_LIMITS = (
    "SELECT set_config(name, '0', true) FROM pg_settings"
    " WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')"
)


def check_version(version: int, address: "Address | None" = None) -> None:
    """Raise RegistryUnavailable for the version of a newer authctl."""
    if version > versions.SCHEMA_VERSION:
        place = f" at {address}" if address else ""
        raise RegistryUnavailable(
            f"the registry{place} was written by a newer authctl (schema {version}, this one knows {versions.SCHEMA_VERSION})",
            "upgrade authctl",
        )


class registry_errors(translated_errors):  # noqa: N801  # as its parent
    """Translates errors of PostgreSQL in an open registry; those that a newer schema caused become the error that says so."""

    __slots__ = ("_address",)

    def __init__(self, address: "Address") -> None:
        super().__init__(str(address))
        self._address = address

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = getattr(error, "sqlstate", None) or "" if isinstance(error, psycopg.Error) else ""
        if code == NO_RIGHTS and error and (lacking := translated_error(error, str(self._address))):
            lacking.hint = "authctl doctor"  # which names the rights
            raise lacking from error
        if code[:2] == _OTHER_SCHEMA_CLASS or code == _OTHER_SCHEMA:
            with suppress(psycopg.Error), closing(connect(self._address)) as connection:
                check_version(_version(connection), self._address)
        super().__exit__(kind, error, trace)


def is_owner(connection: "Connection") -> bool:
    """Whether the role of a connection may change the tables and replace the audit log."""
    row = connection.execute(_IS_OWNER, prepare=False).fetchone()
    return bool(row and row[0])


def upgrade(address: "Address") -> None:
    """Bring an older registry to the present schema, without a change of its meaning; nothing is done if another process was first.

    Raises RegistryUnavailable where the role is not the owner of the tables, and if others hold the gate or read for too long.
    """
    with closing(connect(address)) as connection:
        if not is_owner(connection):
            raise RegistryUnavailable(
                f"the registry at {address} was written by an older authctl (schema {_version(connection)}), and only the owner of its"
                " tables may upgrade it",
                "open it once with the address of the owner: authctl --registry postgresql://OWNER@HOST/DATABASE doctor",
            )
        row = connection.execute("SELECT id FROM registry", prepare=False).fetchone()
        key = gate_key(str(row[0]) if row else "")
        until = monotonic() + _GATE_SECONDS
        while True:
            try:
                _upgrade(connection, address, key)
            except psycopg.Error as error:
                # All of it in one transaction: a process that is killed, or a table that is read, leaves the older schema whole.
                if not connection.closed:
                    connection.execute("ROLLBACK", prepare=False)
                if error.sqlstate not in (LOCKED, DEADLOCK) or monotonic() > until:
                    raise
                sleep(_PAUSE_SECONDS)  # outside the gate
            else:
                return


def _upgrade(connection: "Connection", address: "Address", key: int) -> None:
    """Take the steps that are missing, alone behind the gate."""
    connection.execute(f"{BEGIN}; SET LOCAL lock_timeout = {_GATE_SECONDS * 1000}; {_NO_TIME_LIMITS}", prepare=False)
    # By a statement of its own: the snapshot of a statement that takes a lock is older than the lock.
    connection.execute(f"SELECT pg_advisory_xact_lock({key})", prepare=False)
    version = _version(connection)
    check_version(version, address)
    connection.execute(f"SET LOCAL lock_timeout = {_TABLE_MILLISECONDS}", prepare=False)
    for step in range(version + 1, versions.SCHEMA_VERSION + 1):
        for statement in versions.UPGRADES[step]:
            connection.execute(statement, prepare=False)
    connection.execute(TAKE_TURN, prepare=False)
    connection.execute("UPDATE schema_version SET version = %s", (versions.SCHEMA_VERSION,), prepare=False)
    connection.execute("COMMIT", prepare=False)


def _version(connection: "Connection") -> int:
    row = connection.execute(VERSION, prepare=False).fetchone()
    return int(row[0]) if row else 0
