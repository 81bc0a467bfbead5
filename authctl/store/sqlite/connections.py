"""Connections to the file of a registry: opened, set up, shared by threads one at a time; and the block that translates their errors."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from authctl.errors import IntegrityFailure, RegistryUnavailable
from authctl.names import fold
from authctl.store.move_marks import COLUMNS as MARKS
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import APPLICATION_ID, SCHEMA_VERSION, check_file, file_uri, has_log

LOCK_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for its turn."""

SYNC_EACH_COMMIT, SYNC_LATER = 2, 1
"""Values of the pragma `synchronous`, FULL and NORMAL: a commit is on the disk when it returns, or some time later."""

USUAL_AUTOCHECKPOINT = 1_000
"""From how many pages in the write-ahead log on a commit copies it to the file; SQLite's own default."""

fork_count = 0
"""How many forks lie between this process and the one that loaded this module."""


def _count_fork() -> None:
    global fork_count  # noqa: PLW0603  # each child has its own count
    fork_count += 1


os.register_at_fork(after_in_child=_count_fork)


def connect(path: Path, *, writing: bool = False) -> sqlite3.Connection:
    """Open a connection, and set and read back every pragma. Raises RegistryUnavailable or IntegrityFailure."""
    check_file(path)
    is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    if not is_read_only and not os.access(path, os.W_OK):
        raise RegistryUnavailable(f"the registry at {path} is read-only", f"chmod 600 {path}")
    if is_read_only and has_log(path):
        raise RegistryUnavailable(f"the registry at {path} is read-only, and its write-ahead log is not empty")
    # On a read-only file system SQLite cannot make its -shm file, and opens a registry only if nothing can change it.
    mode = "mode=ro&immutable=1" if is_read_only else "mode=rw"
    connection = sqlite3.connect(
        file_uri(path, mode),
        uri=True,
        timeout=LOCK_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        set_up(connection, path, is_read_only=is_read_only, writing=writing)
    except BaseException:
        connection.close()
        raise
    return connection


def set_up(connection: sqlite3.Connection, path: Path, *, is_read_only: bool, writing: bool) -> None:
    """Refuse a file that is no registry of this version, upgrade an older one, and set the pragmas."""
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise IntegrityFailure(f"not an authctl registry: {path}")
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise RegistryUnavailable(
            f"the registry at {path} was written by a newer authctl (schema {version}, this one knows {SCHEMA_VERSION})",
            "upgrade authctl",
        )
    if version < 1:
        raise IntegrityFailure(f"the registry at {path} is incomplete: its creation was interrupted")
    if version < SCHEMA_VERSION:
        _upgrade(connection, path, is_read_only=is_read_only)
    wanted = {
        "synchronous": SYNC_EACH_COMMIT,
        # A schema that somebody changed may hold functions in views and triggers: they are not run.
        "trusted_schema": 0,
        "cell_size_check": 1,
        # decision 173: deleted content is overwritten with zeros; Debian's SQLite does so by itself, pysqlite3's does not.
        "secure_delete": 1,
        "query_only": int(not writing),
    }
    for name, value in wanted.items():
        connection.execute(f"PRAGMA {name} = {value}")
        # Read back: SQLite ignores a pragma that it does not know, and some builds refuse some values.
        if _pragma(connection, name) != value:
            raise RegistryUnavailable(
                f"the registry at {path} cannot be used: {name} stays {_pragma(connection, name)}"
            )
    if not is_read_only and _pragma(connection, "journal_mode") != "wal":
        raise RegistryUnavailable(
            f"the registry at {path} cannot be used: its journal mode is not WAL",
            f"if VACUUM INTO made it: sqlite3 {path} 'PRAGMA journal_mode = WAL'; for copies: authctl backup",
        )
    connection.create_function("folded", 1, fold, deterministic=True)
    check_in_force(connection, path)


def check_in_force(connection: sqlite3.Connection, path: Path) -> None:
    """Raise RegistryMoved if the registry is at another place now; RegistryUnavailable if it has not arrived at this one yet."""
    marks = connection.execute(f"SELECT {MARKS} FROM registry").fetchone()
    if marks is not None:
        check_marks(path, marks)


def check_marks(path: Path, row: Sequence[Any]) -> None:
    """The same for a row that begins with the columns of the marks."""
    if row[0] is not None or row[2] is not None:
        from authctl.store import move_marks

        move_marks.check(path, *row[:3])


def _upgrade(connection: sqlite3.Connection, path: Path, *, is_read_only: bool) -> None:
    """Bring an older registry to the present schema, without a change of its meaning (decision 41)."""
    if is_read_only:
        raise RegistryUnavailable(
            f"the registry at {path} was written by an older authctl, and its file system is read-only",
            "open it once where it can be written, to upgrade it",
        )
    from authctl.store.sqlite.migrations import migrate

    migrate(connection)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def roll_back(connection: sqlite3.Connection) -> None:
    """Undo all changes that were not committed."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SharedConnection:
    """A connection that is opened when it is first used, and the lock that lets one thread at a time use it."""

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self.path = path
        self.writing = writing
        self.lock = threading.RLock()
        self._pragmas = {
            "busy_timeout": int(LOCK_TIMEOUT_SECONDS * 1000),
            "synchronous": SYNC_EACH_COMMIT,
            "wal_autocheckpoint": USUAL_AUTOCHECKPOINT,
        }
        self._connection: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._connection is None:
            self._connection = connect(self.path, writing=self.writing)
        return self._connection

    def with_pragmas(self, **wanted: int) -> sqlite3.Connection:
        """The open connection, with those values of pragmas from now on."""
        connection = self.connection()
        for name, value in wanted.items():
            # A pragma is a statement of its own, and most changes want the value of the change before.
            if self._pragmas[name] != value:
                connection.execute(f"PRAGMA {name} = {value}")
                self._pragmas[name] = value
        return connection

    def close(self) -> None:
        """Close the connection, if it is open."""
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


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
        if error is None:
            return
        from authctl.store.sqlite.errors import translation

        translated = translation(error, self._path)
        if isinstance(translated, IntegrityFailure):
            from authctl.store.sqlite.moves import error_of_moved

            # a registry that was closed by a move lacks tables, as a damaged one may
            translated = error_of_moved(self._path) or translated
        if translated is not None:
            raise translated from error
