"""Errors of SQLite, translated into our own."""

import sqlite3
from pathlib import Path
from types import TracebackType

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, RegistryLocked, RegistryUnavailable

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_NO_ROOM = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "it is locked by another process",
    sqlite3.SQLITE_LOCKED: "it is locked by another process",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_CANTOPEN: "it, or its write-ahead log, cannot be opened",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_PERM: "access to it was denied",
    sqlite3.SQLITE_PROTOCOL: "its locks are too busy",
}


class translated_errors:  # noqa: N801  # used as a context manager, and entered for every look-up: a generator costs more
    """Translates errors of SQLite in its block; a defect of ours stays as it is."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        translated = None if error is None else _translated(error, self._path)
        if translated is not None:
            raise translated from error


def _translated(error: BaseException, path: Path) -> AuthctlError | None:
    """Our error for an error of SQLite; None for any other error."""
    damaged = f"the registry at {path} is damaged"
    # raised for a damaged text in the schema, and for the number after the largest one
    if isinstance(error, UnicodeDecodeError | OverflowError):
        return IntegrityFailure(f"{damaged}: {error}")
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    unusable = f"the registry at {path} cannot be used"
    if primary == sqlite3.SQLITE_FULL or code in _NO_ROOM:
        return DiskFull(f"{unusable}: {_UNAVAILABLE[sqlite3.SQLITE_FULL]}")
    if primary in _UNAVAILABLE:
        return (RegistryLocked if primary in _LOCKED else RegistryUnavailable)(f"{unusable}: {_UNAVAILABLE[primary]}")
    if str(error).startswith("no such module: fts5"):
        return RegistryUnavailable(f"{unusable}: this Python's SQLite comes without full-text search (FTS5)")
    undecodable = code is None and isinstance(error, sqlite3.OperationalError)
    tampered = code in (sqlite3.SQLITE_CONSTRAINT_TRIGGER, sqlite3.SQLITE_ERROR)  # our own SQL causes no such error
    return IntegrityFailure(f"{damaged}: {error}") if primary in _DAMAGED or undecodable or tampered else None
