"""The SQLite store: connections, transactions, and what SQLite's errors mean to the user.

Three connections at the most, each with its own lock: one for the hot look-up by number, one for
other reading, one for writing, so that a long list or a wait for the writers' turn holds up no `verify`.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from authctl.errors import AuthctlError, DiskFull, IntegrityFailure, Refused, RegistryUnavailable
from authctl.files import resolved, sync_directory
from authctl.names import fold
from authctl.store.format import APPLICATION_ID, SCHEMA_VERSION, check_complete, check_file, draft_beside, has_log
from authctl.store.reading import SqliteView, by_number, profiles_in_force

if TYPE_CHECKING:
    from authctl.model import ProfileSet, Session
    from authctl.store.base import Staging
    from authctl.store.writing import SqliteChange

PATIENCE = 30.0
"""Seconds that a write waits for its turn."""

_FULL, _NORMAL = 2, 1
"""Levels of `synchronous`: a commit is on the disk when it returns, or some time later."""

LOG_LIMIT = 16 * 2**20
"""Bytes of the write-ahead log from which on a writer waits a moment for the readers that keep it from starting anew."""

_LOG_PATIENCE = 0.15
_LOG_LOOK = 5
"""Milliseconds that one attempt to empty the log waits."""
_ANOTHER_EMPTIES = -1
"""How many pages the log has, by the answer of an attempt that found another at it (sqlite.org/pragma.html#pragma_wal_checkpoint)."""

_IMPATIENCE = 0.02
_MOMENT = 0.05

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_NO_ROOM = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN}
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


_forks = 0
"""How often this process is a fork of the one that loaded this module."""


def _forked() -> None:
    global _forks  # noqa: PLW0603  # each child counts its own
    _forks += 1


os.register_at_fork(after_in_child=_forked)


class explained:  # noqa: N801  # used as a context manager, and entered for every look-up: a generator costs more
    """Turns what SQLite raises into our own errors; a defect of ours goes through as it is."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ours = None if error is None else _explanation(error, self._path)
        if ours is not None:
            raise ours from error


def _explanation(error: BaseException, path: Path) -> AuthctlError | None:
    """What an error of SQLite means; None for what is no error of its."""
    damaged = f"the registry at {path} is damaged"
    # of a damaged schema's text, or of the number after the largest
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
        return RegistryUnavailable(f"{unusable}: {_UNAVAILABLE[primary]}")
    if str(error).startswith("no such module: fts5"):
        return RegistryUnavailable(f"{unusable}: this Python's SQLite comes without full-text search (FTS5)")
    undecodable = code is None and isinstance(error, sqlite3.OperationalError)
    tampered = code in (sqlite3.SQLITE_CONSTRAINT_TRIGGER, sqlite3.SQLITE_ERROR)  # our own SQL makes no errors
    return IntegrityFailure(f"{damaged}: {error}") if primary in _DAMAGED or undecodable or tampered else None


def connect(path: Path, *, writing: bool = False) -> sqlite3.Connection:
    """A connection with every pragma set and read back. Raises RegistryUnavailable or IntegrityFailure."""
    check_file(path)
    frozen = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    if not frozen and not os.access(path, os.W_OK):
        raise RegistryUnavailable(f"the registry at {path} is read-only", f"chmod 600 {path}")
    if frozen and has_log(path):
        raise RegistryUnavailable(f"the registry at {path} is read-only, and its write-ahead log is not empty")
    mode = "mode=ro&immutable=1" if frozen else "mode=rw"
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?{mode}",
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _set_up(connection, path, frozen=frozen, writing=writing)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, *, frozen: bool, writing: bool) -> None:
    if _pragma(connection, "application_id") != APPLICATION_ID:
        raise IntegrityFailure(f"not an authctl registry: {path}")
    version = _pragma(connection, "user_version")
    if version > SCHEMA_VERSION:
        raise RegistryUnavailable(
            f"the registry at {path} was written by a newer authctl (schema {version}, this one knows {SCHEMA_VERSION})",
            "upgrade authctl",
        )
    if version < 1:
        raise IntegrityFailure(f"the registry at {path} was never finished")
    if version < SCHEMA_VERSION:
        _upgrade(connection, path, frozen=frozen)
    owed = {"synchronous": _FULL, "trusted_schema": 0, "cell_size_check": 1, "query_only": int(not writing)}
    for name, value in owed.items():
        connection.execute(f"PRAGMA {name} = {value}")
        if _pragma(connection, name) != value:
            raise RegistryUnavailable(
                f"the registry at {path} cannot be used: {name} stays {_pragma(connection, name)}"
            )
    if not frozen and _pragma(connection, "journal_mode") != "wal":
        raise RegistryUnavailable(
            f"the registry at {path} cannot be used: its journal mode is not WAL",
            f"if VACUUM INTO made it: sqlite3 {path} 'PRAGMA journal_mode = WAL'; for copies: authctl backup",
        )
    connection.create_function("folded", 1, fold, deterministic=True)


def _upgrade(connection: sqlite3.Connection, path: Path, *, frozen: bool) -> None:
    """Bring an older registry to the present schema; what it holds means what it meant."""
    if frozen:
        raise RegistryUnavailable(
            f"the registry at {path} was written by an older authctl, and its file system is read-only",
            "open it once where it can be written, to upgrade it",
        )
    from authctl.store.migrations import migrate

    migrate(connection)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether an SQLite can corrupt a write-ahead log that several connections reset and write at once (sqlite.org/wal.html)."""
    mended = {(3, 44): (3, 44, 6), (3, 50): (3, 50, 7)}
    return (3, 7, 0) <= version < mended.get((version[0], version[1]), (3, 51, 3))


class _Channel:
    """A connection, opened when first needed, and the lock that lets one thread at a time use it."""

    def __init__(self, path: Path, *, writing: bool = False) -> None:
        self.path = path
        self.writing = writing
        self.lock = threading.RLock()
        self._tuning = {"busy_timeout": int(PATIENCE * 1000), "synchronous": _FULL}
        self._connection: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self.path, writing=self.writing)
        return self._connection

    def tuned(self, pragma: str, value: int) -> sqlite3.Connection:
        """The connection, with a pragma that has that value from now on."""
        connection = self.connection()
        if self._tuning[pragma] != value:
            connection.execute(f"PRAGMA {pragma} = {value}")
            self._tuning[pragma] = value
        return connection

    def close(self) -> None:
        with self.lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class SqliteStore:
    """`Store` of `base` over one SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = resolved(path)
        self._explained = explained(self.path)
        self._hot = _Channel(self.path)
        self._reader = _Channel(self.path)
        self._writer = _Channel(self.path, writing=True)
        self._log = Path(f"{self.path}-wal")
        self._log_due = LOG_LIMIT
        self._forks = _forks
        self._closed = False

    def _check_usable(self) -> None:
        if self._closed:
            raise RegistryUnavailable("this registry was closed")
        if self._forks != _forks:
            raise RegistryUnavailable("a registry cannot be used across a fork: open one in the child")

    def by_number(self, number: int, now: int) -> "tuple[Session, bytes | None] | None":
        self._check_usable()
        with self._hot.lock, self._explained:
            return by_number(self._hot.connection(), number, now)

    def profiles(self) -> "ProfileSet":
        self._check_usable()
        with self._hot.lock, self._explained:
            return profiles_in_force(self._hot.connection())

    @contextmanager
    def view(self) -> Iterator[SqliteView]:
        self._check_usable()
        with self._reader.lock, self._explained:
            connection = self._reader.connection()
            try:
                connection.execute("BEGIN")
                yield SqliteView(connection)
            finally:
                _roll_back(connection)

    @contextmanager
    def change(self, *, wait: bool = True, patience: int = 1, synced: bool = True) -> "Iterator[SqliteChange]":
        self._check_usable()
        from authctl.store.writing import SqliteChange

        if not self._writer.lock.acquire(blocking=wait):
            raise RegistryUnavailable("another thread is writing")
        try:
            with self._explained:
                self._check_usable()  # it may have been closed while this thread waited
                connection = self._writer.tuned("synchronous", _FULL if synced else _NORMAL)
                try:  # a signal during the wait is raised once the transaction has begun
                    self._begin(PATIENCE * patience if wait else _IMPATIENCE)
                    yield SqliteChange(connection)
                    connection.execute("COMMIT")
                    self._bound_log(_LOG_PATIENCE if wait else _MOMENT)
                finally:
                    _roll_back(connection)
        finally:
            self._writer.lock.release()

    def _begin(self, patience: float) -> None:
        """Begin to write when the turn has come.

        SQLite's queue is not fair: who has waited for long asks ten times a second, and who comes just now at once. So it
        is asked again and again for a moment only.
        """
        until = monotonic() + patience
        while True:
            try:
                self._writer.tuned("busy_timeout", int(min(patience, _MOMENT) * 1000)).execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > until:
                    raise

    def _bound_log(self, patience: float) -> None:
        """Empty a write-ahead log that has grown too large; where readers stay for too long, once it has grown by as much again.

        SQLite starts the log anew when a writer finds that nobody reads from it: where readers never pause, never (sqlite.org/wal.html,
        "Avoiding Excessively Large WAL Files"). It is asked again and again, since a reader that comes back soon reads all that is
        there, and is in nobody's way. Where another connection empties it already, that one is left to it. What was committed is
        so, whatever is met here.
        """
        with suppress(OSError, sqlite3.Error):
            size = self._log.stat().st_size
            if size < self._log_due:
                self._log_due = max(LOG_LIMIT, min(self._log_due, size + LOG_LIMIT))
                return
            self._log_due = size + LOG_LIMIT
            connection = self._writer.tuned("busy_timeout", _LOG_LOOK)
            until = monotonic() + patience
            while not _emptied(connection) and monotonic() < until:
                sleep(0.001)

    def engine(self) -> tuple[str, str | None]:
        flaw = "its write-ahead log can be corrupted when it is reset (mended in 3.51.3, 3.50.7 and 3.44.6)"
        return f"SQLite {sqlite3.sqlite_version}", flaw if has_wal_reset_bug(sqlite3.sqlite_version_info) else None

    def back_up(self, path: Path) -> None:
        from authctl.store.copying import back_up

        self._check_usable()
        with self._reader.lock, self._explained:
            back_up(self._reader.connection(), path)

    def check(self) -> None:
        from authctl.store.copying import check

        self._check_usable()
        with self._reader.lock, self._explained:
            check(self._reader.connection(), self.path)

    @contextmanager
    def exclusively(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, for SQLite's own backup to write to."""
        self._check_usable()
        with self._writer.lock, self._explained:
            yield self._writer.tuned("synchronous", _FULL)

    def staging(self) -> "Staging":
        from authctl.store.staging import SqliteStaging

        return SqliteStaging()

    def close(self) -> None:
        self._closed = True
        if self._forks != _forks:
            return  # the parent's connections, and locks that nobody here will ever release
        for channel in (self._hot, self._reader, self._writer):
            channel.close()


def _emptied(connection: sqlite3.Connection) -> bool:
    """Try once to empty the write-ahead log; whether it is empty, or another connection is at it."""
    busy, pages, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy or pages == _ANOTHER_EMPTIES


def _roll_back(connection: sqlite3.Connection) -> None:
    """Undo what was not committed; nothing to undo is fine."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def creating(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator[SqliteStore]:
    """A new registry, private from its first byte, that appears at `path` when the block has succeeded.

    Raises Refused when something is there already; what is there is never touched.
    """
    from authctl.store.migrations import migrate

    with draft_beside(path) as draft:
        with explained(path):
            connection = sqlite3.connect(draft, isolation_level=None)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
            migrate(connection)
            document = json.dumps(profiles.to_document(), ensure_ascii=False)
            connection.execute("INSERT INTO registry (only, id, profiles) VALUES (1, ?, ?)", (registry_id, document))
            connection.close()
        store = SqliteStore(draft)
        try:
            yield store
        finally:
            store.close()
        check_complete(draft, path)
        try:
            os.link(draft, path)
        except FileExistsError:
            raise Refused(f"a registry already exists: {path}") from None
        draft.unlink()
        sync_directory(path.parent)
