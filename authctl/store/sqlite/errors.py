"""Errors of SQLite, translated into our own.

Python's library gives the extended code of an error, pysqlite3 the primary one: where the code is not enough, the message or the disk
decides (decision 171).
"""

import os
from pathlib import Path

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, RegistryLocked, RegistryUnavailable
from authctl.store.sqlite.library import sqlite3

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMOPEN and SQLITE_CONSTRAINT_TRIGGER: pysqlite3 has no names for extended codes
_NO_ROOM = {sqlite3.SQLITE_IOERR | 19 << 8, sqlite3.SQLITE_IOERR | 18 << 8}
_BY_TRIGGER = sqlite3.SQLITE_CONSTRAINT | 7 << 8
_CONSTRAINT_OF_COLUMN = ("constraint failed", "cannot store")
"""The words in SQLite's messages about constraints; a trigger gives a message of its own."""

_CODES = {
    "database or disk is full": sqlite3.SQLITE_FULL,
    "disk I/O error": sqlite3.SQLITE_IOERR,
    "database is locked": sqlite3.SQLITE_BUSY,
    "database table is locked": sqlite3.SQLITE_LOCKED,
    "attempt to write a readonly database": sqlite3.SQLITE_READONLY,
    "unable to open database file": sqlite3.SQLITE_CANTOPEN,
    "database disk image is malformed": sqlite3.SQLITE_CORRUPT,
    "file is not a database": sqlite3.SQLITE_NOTADB,
}
"""The codes of SQLite's messages: the errors of a backup have none in pysqlite3."""

_SHARED_MEMORY_BYTES = 32_768
"""The room that the shared memory of a write-ahead log needs at least."""

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


def translation(error: BaseException, path: Path) -> AuthctlError | None:
    """Our error for an error of SQLite; None for any other error."""
    damaged = f"the registry at {path} is damaged"
    # raised for a damaged text in the schema, and for the number after the largest one
    if isinstance(error, UnicodeDecodeError | OverflowError):
        return IntegrityFailure(f"{damaged}: {error}")
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", _CODES.get(str(error)))
    primary = None if code is None else code & 0xFF
    unusable = f"the registry at {path} cannot be used"
    if primary == sqlite3.SQLITE_FULL or _is_for_lack_of_room(code, path):
        return DiskFull(f"{unusable}: {_UNAVAILABLE[sqlite3.SQLITE_FULL]}")
    if primary in _UNAVAILABLE:
        return (RegistryLocked if primary in _LOCKED else RegistryUnavailable)(f"{unusable}: {_UNAVAILABLE[primary]}")
    if str(error).startswith("no such module: fts5"):
        return RegistryUnavailable(f"{unusable}: this Python's SQLite comes without full-text search (FTS5)")
    undecodable = code is None and isinstance(error, sqlite3.OperationalError)
    tampered = code == sqlite3.SQLITE_ERROR or _is_of_trigger(code, str(error))  # our own SQL causes no such error
    return IntegrityFailure(f"{damaged}: {error}") if primary in _DAMAGED or undecodable or tampered else None


def _is_for_lack_of_room(code: int | None, path: Path) -> bool:
    """Whether an error means that the disk is full, though its primary code is that of a disk that failed."""
    return code in _NO_ROOM or (code == sqlite3.SQLITE_IOERR and not _has_room(path))


def _has_room(path: Path) -> bool:
    """Whether the disk has room for one more small file beside the registry."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return True
    has_inodes = disk.f_favail > 0 or disk.f_files == 0  # some file systems do not count them
    return has_inodes and disk.f_bavail * disk.f_frsize >= _SHARED_MEMORY_BYTES


def _is_of_trigger(code: int | None, message: str) -> bool:
    """Whether a trigger raised an error."""
    is_named = code == sqlite3.SQLITE_CONSTRAINT and not any(words in message for words in _CONSTRAINT_OF_COLUMN)
    return code == _BY_TRIGGER or is_named
