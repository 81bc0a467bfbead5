"""The SQLite store: three connections, and the transactions on them.

One connection is for the look-up by number, one for other reading, one for writing, each with its own lock (decision 16). So
a long list, or a wait for the turn to write, delays no `verify`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING

from authctl.errors import RegistryLocked, RegistryUnavailable
from authctl.files import resolved
from authctl.store.sqlite import connections
from authctl.store.sqlite.connections import (
    SYNC_EACH_COMMIT,
    SYNC_LATER,
    USUAL_AUTOCHECKPOINT,
    SharedConnection,
    roll_back,
    translated_errors,
)
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.view import SqliteView

if TYPE_CHECKING:
    from authctl.model import Client, ProfileSet, Session
    from authctl.store.protocol import Staging
    from authctl.store.protocol.health import Health
    from authctl.store.sqlite.change import SqliteChange
    from authctl.store.sqlite.client_look_up import ClientLookUp
    from authctl.store.sqlite.facts import Facts
    from authctl.store.sqlite.look_up import LookUp
    from authctl.store.sqlite.reserve import Reserve

LOG_LIMIT_BYTES = 16 * 2**20
"""The size of the write-ahead log from which on a writer waits for the readers that keep it from starting anew."""

_LOG_TIMEOUT_SECONDS = 0.15
"""How long a writer tries to empty the log (decision 111)."""

_SHORT_TIMEOUT_SECONDS = 0.05
"""How long SQLite may wait for one try to begin: it asks seven times, at the most 17 ms apart (decision 100).

As long a writer that may not wait tries to empty the log.
"""

_LOG_TRY_MILLISECONDS = 5
"""How long one try to empty the log may wait."""

_LOG_IN_USE = -1
"""The number of pages in the answer of a try, if another connection is emptying the log (sqlite.org/pragma.html)."""


class SqliteStore:
    """`Store` over one SQLite file. A draft has no reserve yet: that belongs to the registry that it becomes."""

    def __init__(self, path: Path, *, is_draft: bool = False, lock_timeout: float | None = None) -> None:
        self.path = resolved(path)
        self._is_draft = is_draft
        self._lock_timeout = lock_timeout
        self._translated_errors = translated_errors(self.path)
        self._hot = SharedConnection(self.path)
        self._look_up: LookUp | None = None
        self._clients: ClientLookUp | None = None
        self._looking_up: int | None = None
        """The thread that is in a block of `look_ups`, while its snapshot is open; None without one."""
        self._reader = SharedConnection(self.path)
        self._writer = SharedConnection(self.path, writing=True)
        self._log = f"{self.path}-wal"  # a text: a `Path` takes longer to look at, and each change looks
        self._log_limit = LOG_LIMIT_BYTES
        # SQLite's locks belong to a process: a child that used them could corrupt the file (sqlite.org/howtocorrupt.html).
        self._forks = connections.fork_count
        self._closed = False

    def _check_usable(self) -> None:
        if self._closed:
            raise RegistryUnavailable("this registry was closed")
        if self._forks != connections.fork_count:
            raise RegistryUnavailable(
                "after a fork, this registry cannot be used: open another one in the child process"
            )

    def by_number(self, number: int, now: int | None = None) -> "tuple[Session, bytes | None] | None":
        if self._closed or self._forks != connections.fork_count:  # a call costs as much as a column
            self._check_usable()
        try:
            with self._hot.lock:
                look_up = self._look_up or self._open_look_up()
                return look_up.session(number, now)
        except Exception:  # entered only for an error: a look-up that succeeds saves the price of a block
            with self._translated_errors:
                raise

    def _open_look_up(self) -> "LookUp":
        from authctl.store.sqlite.look_up import LookUp

        self._look_up = LookUp(self._hot.connection())
        return self._look_up

    @contextmanager
    def look_ups(self) -> Iterator[None]:
        self._check_usable()
        with self._hot.lock:
            with self._translated_errors:
                connection = self._hot.connection()
                # The snapshot begins with the first look-up: until then SQLite reads nothing.
                connection.execute("BEGIN")
            self._looking_up = get_ident()
            try:
                yield
            finally:
                self._end_look_ups()

    def _end_look_ups(self) -> None:
        """End the snapshot of a block of look-ups, if there is one: the next look-up reads the registry as it is then."""
        if self._looking_up is not None:
            self._looking_up = None
            if self._clients is not None:
                self._clients.forget_snapshot()
            with self._translated_errors:
                roll_back(self._hot.connection())

    def profiles(self) -> "ProfileSet":
        from authctl.store.nouns.profiles import profiles_in_force

        self._check_usable()
        with self._hot.lock, self._translated_errors:
            connections.check_in_force(self._hot.connection(), self.path)
            return profiles_in_force(self._hot.connection())

    def client(self, client_id: str) -> "Client | None":
        if self._closed or self._forks != connections.fork_count:
            self._check_usable()
        try:
            with self._hot.lock:
                look_up = self._clients or self._open_client_look_up()
                return look_up.client(client_id) if self._looking_up is None else look_up.client_of_snapshot(client_id)
        except Exception:
            with self._translated_errors:
                raise

    def _open_client_look_up(self) -> "ClientLookUp":
        from authctl.store.sqlite.client_look_up import ClientLookUp

        self._clients = ClientLookUp(self._hot.connection())
        return self._clients

    @contextmanager
    def view(self) -> Iterator[SqliteView]:
        self._check_usable()
        with self._reader.lock, self._translated_errors:
            connection = self._reader.connection()
            try:
                connection.execute("BEGIN")
                connections.check_in_force(connection, self.path)
                yield SqliteView(connection)
            finally:
                roll_back(connection)

    @contextmanager
    def change(
        self,
        *,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        synced: bool = True,
        shared: bool = False,
        step: bool = False,
        sign_in: str | None = None,
        in_turn: bool = False,
        revokes_all: bool = False,
    ) -> "Iterator[SqliteChange]":
        del shared, in_turn, revokes_all  # SQLite has one writer at a time
        self._check_usable()
        # This thread's own look-ups: they would not see the change, and keep the log from being emptied after it.
        if self._looking_up == get_ident():
            self._end_look_ups()
        sqlite_change, read_facts = self._of_changes
        if not self._writer.lock.acquire(timeout=-1 if timeout is None else timeout):
            raise RegistryLocked("another thread is writing")
        try:
            with self._translated_errors:
                self._check_usable()  # it may have been closed while this thread waited
                connection = self._writer.connection()
                if connection.in_transaction:
                    raise RuntimeError("a change was begun inside a change")
                self._writer.with_pragmas(
                    synchronous=SYNC_EACH_COMMIT if synced else SYNC_LATER,
                    wal_autocheckpoint=0 if step else USUAL_AUTOCHECKPOINT,
                )
                try:  # a signal during the wait is raised once the transaction has begun
                    self._begin(self._usual_timeout() * lock_timeouts if timeout is None else timeout)
                    facts = read_facts(connection, self.path, sign_in)
                    begun = monotonic()
                    change = sqlite_change(connection, facts)
                    yield change
                    connection.execute("COMMIT")
                    if step:
                        self._copy_log(connection)
                    change.held_seconds = monotonic() - begun
                    self._limit_log(_LOG_TIMEOUT_SECONDS if timeout is None else min(timeout, _SHORT_TIMEOUT_SECONDS))
                finally:
                    roll_back(connection)
        finally:
            self._writer.lock.release()

    @cached_property
    def _of_changes(
        self,
    ) -> "tuple[type[SqliteChange], Callable[[sqlite3.Connection, Path, str | None], Facts | None]]":
        """The class of changes, and the function that reads their facts: each change needs them, reading does not."""
        # decision 369: an import in a function costs 2 µs each time
        from authctl.store.sqlite.change import SqliteChange
        from authctl.store.sqlite.facts import read_facts

        return SqliteChange, read_facts

    def _usual_timeout(self) -> float:
        """How long a change waits for its turn, in seconds."""
        return connections.LOCK_TIMEOUT_SECONDS if self._lock_timeout is None else self._lock_timeout

    def _begin(self, timeout: float) -> None:
        """Begin to write when the turn has come.

        SQLite's queue is not fair: a writer that has waited for long asks ten times a second, a newcomer at once. So SQLite
        itself waits for a short time only, and is asked again and again (decision 100).
        """
        until = monotonic() + timeout
        milliseconds = int(min(timeout, _SHORT_TIMEOUT_SECONDS) * 1000)
        while True:
            try:
                self._writer.with_pragmas(busy_timeout=milliseconds).execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                # the lower byte: SQLITE_BUSY_SNAPSHOT and SQLITE_BUSY_RECOVERY are busy, too
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() > until:
                    raise

    def _copy_log(self, connection: sqlite3.Connection) -> None:
        """Copy the write-ahead log to the file beside other writers. An error here is passed over: the change was committed before."""
        # decision 324: otherwise the next small commit of anybody would copy the log of a large step
        with suppress(sqlite3.Error):
            _has_begun_copy(connection)

    def _limit_log(self, timeout: float) -> None:
        """Empty a write-ahead log that is too large. If readers stay for too long, try again when it has grown by as much.

        SQLite starts the log anew when a writer finds no reader in it; beside readers that never pause, never (sqlite.org/wal.html,
        "Avoiding Excessively Large WAL Files"). It is asked again and again, since a reader that comes back soon reads the end of
        the log, and is in nobody's way. If another connection is emptying the log, it is left to that one (decision 111).
        Whatever goes wrong here: the change was committed before.
        """
        try:
            size = os.stat(self._log).st_size  # noqa: PTH116
        except OSError:
            return
        # The limit falls back once the log is small again. It never rises by more than one step above the present size.
        if size < self._log_limit:
            self._log_limit = max(LOG_LIMIT_BYTES, min(self._log_limit, size + LOG_LIMIT_BYTES))
            return
        with suppress(sqlite3.Error):
            self._log_limit = size + LOG_LIMIT_BYTES
            connection = self._writer.with_pragmas(busy_timeout=_LOG_TRY_MILLISECONDS)
            until = monotonic() + timeout
            while not _has_emptied_log(connection) and monotonic() < until:
                sleep(0.001)

    def clock(self) -> int | None:
        return None

    def change_number(self) -> int:
        # The number changes with the commits of other connections, and all writing is on another one (sqlite.org/pragma.html).
        self._check_usable()
        with self._reader.lock, self._translated_errors:
            number: int = self._reader.connection().execute("PRAGMA data_version").fetchone()[0]
            return number

    def has_events(self, events: Sequence[tuple[int, str]]) -> bool:
        with self.view() as view:
            found = [view.event(seq) for seq, _ in events]
        return all(event is not None and event.hash == known[1] for event, known in zip(found, events, strict=True))

    def engine(self) -> "Health":
        from authctl.store.sqlite.health import engine

        return engine()

    def alone(self) -> AbstractContextManager[bool]:
        from authctl.store.sqlite.only_runner import lock_file, only_runner

        return only_runner(lock_file(self.path))

    def keep_space(self) -> None:
        if not self._is_draft:
            self._reserve.keep()

    def free_space(self) -> bool:
        return self._reserve.release()

    @cached_property
    def _reserve(self) -> "Reserve":
        from authctl.store.sqlite.reserve import Reserve

        return Reserve(self.path)

    def back_up(self, path: Path) -> None:
        from authctl.store.sqlite.backups import back_up

        self._check_usable()
        with self._reader.lock, self._translated_errors:
            back_up(self._reader.connection(), path)

    def check(self) -> None:
        from authctl.store.sqlite.backups import check

        self._check_usable()
        with self._reader.lock, self._translated_errors:
            check(self._reader.connection(), self.path)

    @contextmanager
    def exclusively(self) -> Iterator[sqlite3.Connection]:
        """The connection for writing, so that SQLite's own backup can write to it."""
        self._check_usable()
        with self._writer.lock, self._translated_errors:
            yield self._writer.with_pragmas(synchronous=SYNC_EACH_COMMIT)

    def staging(self) -> "Staging":
        from authctl.store.sqlite.staging import SqliteStaging

        return SqliteStaging()

    def close(self) -> None:
        self._closed = True
        if self._forks != connections.fork_count:
            return  # these are connections of the parent, and locks that nobody here will ever release
        for connection in (self._hot, self._reader, self._writer):
            connection.close()


def _has_begun_copy(connection: sqlite3.Connection) -> bool:
    """Copy the write-ahead log to the file, as far as readers let it; writers go on meanwhile. False if another connection is at it."""
    _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return bool(pages != _LOG_IN_USE)


def _has_emptied_log(connection: sqlite3.Connection) -> bool:
    """Try once to empty the write-ahead log. True if it is empty, or if another connection is emptying it."""
    # decision 324: TRUNCATE keeps writers out while it copies, so it is left only the few pages that were written meanwhile
    if not _has_begun_copy(connection):
        return True
    busy, pages, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy or pages == _LOG_IN_USE
