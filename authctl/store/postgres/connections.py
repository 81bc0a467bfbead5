"""Connections to a registry in PostgreSQL: one to look up by number, one to read, one to write, each shared by threads.

The order of locks is: the gate, the turn of deliveries, rows of sessions by ascending number, users and cached logins, then the audit
chain with what is written behind it (the recorded time and announcements), then COMMIT (decisions 297 and 332). The gate is in `gate.py`.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from time import monotonic, sleep
from types import TracebackType

from authctl.errors import OutcomeUnknown, RegistryLocked, RegistryUnavailable
from authctl.store.move_marks import COLUMNS as MARKS
from authctl.store.postgres import versions
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect, gate_key
from authctl.store.postgres.errors import READ_ONLY, is_lost
from authctl.store.postgres.exchange import AtCommit, Row, Statement
from authctl.store.postgres.facts import FIND_EVENT
from authctl.store.postgres.gate import READ_ID, Entrance
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.rights import READ_AFTER_COMMIT, check_after_commit
from authctl.store.postgres.shared_connection import SharedConnection, check_in_force, one_row
from authctl.store.postgres.upgrades import VERSION, check_version, registry_errors

LOCK_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for its turn."""

STALL_SECONDS = {True: 5, False: 10}
"""How long a change may stand still before the server ends it, by whether it is shared; the gate is held meanwhile."""

LOOK_UP_SECONDS = 10.0
"""How long a look-up, or a statement of a shared change, waits for the answer of a server that is there and silent."""

_PAUSE_BETWEEN_TRIES = 0.005
"""The seconds between two tries to take the gate."""

COMMIT_SECONDS = 30.0
"""How long the writer waits for a commit. No time-out of the server ends one that waits for a standby (decision 299)."""

_SHORTEST_WAIT = 20
"""How long a change that may not wait for the gate waits for any other lock, in milliseconds."""
_LONGEST_WAIT = 2_000_000
"""The longest wait for a lock that PostgreSQL knows, in seconds."""

_SETTLE_SECONDS = 5.0
"""How long the outcome of a commit whose answer was lost is looked for."""

BEGIN_TO_READ = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
"""A view sees one snapshot. A standby refuses this level, which a balancer may have asked without our knowledge (decision 312)."""

_FLUSH = "SELECT pg_logical_emit_message(true, '', '')"
"""A commit of its own, with nothing in it: its flush covers every commit before it (decision 298)."""

_COUNT = "SELECT nextval('changes')"
"""The number of a change, taken when others can see it: a reader that has an earlier number reads the change with the next one."""

_HOLDS_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'"

_UNKNOWN = "the connection was lost when the change was due, and whether it is done is not known"
_AT_STANDBYS = "look at the standbys before a failover"

fork_count = 0
"""How many forks lie between this process and the one that loaded this module."""


def _count_fork() -> None:
    global fork_count  # noqa: PLW0603  # each child has its own count
    fork_count += 1


os.register_at_fork(after_in_child=_count_fork)


class _Hot(SharedConnection):
    """The connection of the look-up by number: every statement is prepared at once."""

    def set_up(self, connection: Connection) -> None:
        super().set_up(connection)
        if connection.prepare_threshold is not None:
            connection.prepare_threshold = 0


class _Writer(SharedConnection):
    """The connection that writes, and the key of the gate."""

    key = 0
    registry_id = ""

    def set_up(self, connection: Connection) -> None:
        super().set_up(connection)
        registry_id, *rights = one_row(connection, f"SELECT id, {READ_AFTER_COMMIT} FROM registry")
        check_after_commit(connection, self._address, *rights)
        self.registry_id = str(registry_id)
        self.key = gate_key(self.registry_id)
        _check_gate(connection, self._address)


class PostgresConnections:
    """The three connections of an open registry (decision 16), and the transactions on them."""

    def __init__(self, address: Address, lock_timeout: float | None = None, read_first: str = READ_ID) -> None:
        """`read_first` is read by each change behind the gate, in the same message, and is in `facts` of its connection."""
        self.address = address
        self._read_first = read_first
        self._lock_timeout = LOCK_TIMEOUT_SECONDS if lock_timeout is None else lock_timeout
        self._errors = registry_errors(address)
        self._hot = _HotTurn(self, _Hot(address, patience=LOOK_UP_SECONDS))
        self._reader = SharedConnection(address)
        self._writer = _Writer(address)
        # A connection of the parent is used by the parent: a child that used it would read its answers.
        self.forks = fork_count
        self.closed = False

    def check_usable(self) -> None:
        """Raise RegistryUnavailable after `close`, and in a child process."""
        if self.closed:
            raise RegistryUnavailable("this registry was closed")
        if self.forks != fork_count:
            raise RegistryUnavailable(
                "after a fork, this registry cannot be used: open another one in the child process"
            )

    @property
    def registry_id(self) -> str:
        """The id of the registry; known inside a change."""
        return self._writer.registry_id

    def hot(self) -> AbstractContextManager[Connection]:
        """The connection of the look-up by number, outside any transaction."""
        return self._hot

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one snapshot, and changes nothing."""
        self.check_usable()
        with self._reader.lock, self._errors:
            self.check_usable()
            connection = self._reader.connection()
            if not connection.is_idle:
                raise RuntimeError("a view was begun inside a view")
            try:
                cursor = connection.execute(f"{BEGIN_TO_READ}; {VERSION}; SELECT {MARKS} FROM registry", prepare=False)
                cursor.nextset()
                self._check_version(int((cursor.fetchone() or (0,))[0]))
                cursor.nextset()
                check_in_force(self.address, cursor.fetchone())
                yield connection
            finally:
                _roll_back(connection, self._reader)

    @contextmanager
    def writer(
        self, *, shared: bool = False, timeout: float | None = None, lock_timeouts: int = 1, synced: bool = True
    ) -> Iterator[Connection]:
        """A connection in a transaction that holds the gate; see `Store.change` for its errors."""
        self.check_usable()
        if not self._writer.lock.acquire(timeout=-1 if timeout is None else timeout):
            raise RegistryLocked("another thread is writing")
        try:
            with self._errors:
                self.check_usable()  # it may have been closed while this thread waited
                wait = self._lock_timeout * lock_timeouts if timeout is None else timeout
                # decision 322: who waits in the queue of the gate keeps later changes of administrators waiting
                tries = timeout is not None and (shared or timeout <= 0)
                connection = self._begin(wait, shared=shared, tries=tries)
                try:
                    # A change of an administrator may have a statement that takes minutes.
                    connection.patience = wait + LOOK_UP_SECONDS if shared else None
                    yield connection
                    self._commit(connection, synced=synced)
                finally:
                    _roll_back(connection, self._writer)
        finally:
            self._writer.lock.release()

    def _begin(self, wait: float, *, shared: bool, tries: bool) -> Connection:
        """Begin to write when the gate is free, once more on a new connection if the server has changed its part."""
        for is_last in (False, True):
            connection = self._writer.connection()
            if not connection.is_idle:
                raise RuntimeError("a change was begun inside a change")
            try:
                if self._enter(connection, wait, shared=shared, tries=tries):
                    return connection
            except psycopg.Error as error:
                # nothing was done yet: a server that became a standby, or that was started anew, is looked for once
                if is_last or not (is_lost(error) or error.sqlstate == READ_ONLY):
                    _roll_back(connection, self._writer)
                    raise
            except BaseException:
                _roll_back(connection, self._writer)
                raise
            self._writer.drop()
        raise RegistryUnavailable(f"the registry at {self.address} was replaced while it was opened")

    def _enter(self, connection: Connection, wait: float, *, shared: bool, tries: bool) -> bool:
        """Begin a transaction and take the gate; False if the registry there is another one than before."""
        connection.last_event = connection.at_commit = connection.place = None
        connection.patience = wait + LOOK_UP_SECONDS
        entrance = Entrance(
            self._writer.key, max(_SHORTEST_WAIT, int(wait * 1000)), STALL_SECONDS[shared] * 1000, shared, tries
        )
        *_, locked, read = connection.exchange(*entrance.statements(self._read_first))
        until = monotonic() + wait
        while tries and locked == [(False,)]:
            if monotonic() >= until:
                raise RegistryLocked(f"the registry at {self.address} cannot be used: it is locked by another process")
            sleep(_PAUSE_BETWEEN_TRIES)
            # what was read before the gate was taken may have changed
            locked, read = connection.exchange(entrance.lock, Statement(self._read_first))
        if not read or read[0][0] != self._writer.registry_id:
            return False
        self._check_version(read[0][1])
        check_in_force(self.address, read[0][2:5])
        connection.facts = read[0]
        return True

    def _check_version(self, version: int) -> None:
        """Raise RegistryUnavailable where another authctl has changed the schema since the connection was opened (decision 323)."""
        check_version(version, self.address)
        if version < versions.SCHEMA_VERSION:
            raise RegistryUnavailable(f"the registry at {self.address} was replaced by an older one while it was open")

    def _commit(self, connection: Connection, *, synced: bool) -> None:
        """Make the change last, and find out whether it did if the answer is lost. Raises OutcomeUnknown."""
        if connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
            raise RuntimeError("an error of a statement was caught inside a change")
        event = connection.last_event
        connection.warnings = ()
        connection.patience = COMMIT_SECONDS
        try:
            if connection.at_commit is not None:
                _commit_with(connection, connection.at_commit, synced=synced)
            elif synced and event:
                connection.execute(f"COMMIT; {_FLUSH}; {_COUNT}", prepare=False)
            else:  # apart, so that it is known which of the two has failed
                connection.execute("COMMIT" if synced else f"COMMIT; {_COUNT}", prepare=False)
        except psycopg.Error as error:
            self._settle(connection, error)
        else:
            if synced and not event and connection.at_commit is None:
                self._flush(connection)
            _check_confirmed(connection)
        finally:
            connection.patience = None

    def _flush(self, connection: Connection) -> None:
        """Make every commit before this one last. Raises OutcomeUnknown; the next change then looks at a new connection."""
        try:
            _flush(connection)
        except OutcomeUnknown:
            self._writer.drop()  # it looked at the role when it was opened: what has changed is found by a new one
            raise

    def _settle(self, connection: Connection, error: psycopg.Error) -> None:
        """Return if a commit that failed, or whose answer was lost, took place; else raise. Raises OutcomeUnknown."""
        event = connection.last_event
        sought = Statement(FIND_EVENT, event) if event else connection.at_commit and connection.at_commit.find
        if sought is None and not is_lost(error):
            raise error
        self._writer.drop()
        if sought is None:
            raise OutcomeUnknown(_UNKNOWN, "look at the registry before you repeat it") from error
        hint = f"look for audit event {event[0]}: authctl audit list" if event else "authctl audit list"
        connection.place = self._place_of(sought, error, hint)
        if connection.place is not None:
            return
        if not is_lost(error):
            raise error
        lost = f"the registry at {self.address} cannot be used: the connection was lost, and nothing has changed"
        raise RegistryUnavailable(lost) from error

    def _place_of(self, sought: Statement, lost: psycopg.Error, hint: str) -> Row | None:
        """The row of the event that is sought, which is then made to last; None if it is not there. Raises OutcomeUnknown.

        It is looked for alone behind the gate: the server releases the gate only after the lost transaction has ended.
        """
        limit = int(_SETTLE_SECONDS * 1000)
        entrance = Entrance(self._writer.key, limit, limit, shared=False, tries=False)
        try:
            with closing(connect(self.address, patience=_SETTLE_SECONDS + 1)) as connection:
                connection.exchange(*entrance.statements(READ_ID))
                (found,) = connection.exchange(sought)
                connection.execute("COMMIT", prepare=False)
                if found:
                    _flush(connection)
        except psycopg.Error:
            raise OutcomeUnknown(_UNKNOWN, hint) from lost
        return found[0] if found else None

    def close(self) -> None:
        """Close the connections; those of a parent process stay open."""
        self.closed = True
        if self.forks != fork_count:
            return
        for shared in (self._hot.shared, self._reader, self._writer):
            with shared.lock:
                shared.drop()


class _HotTurn:
    """The turn of a thread on the hot connection, and the translation of its errors; one object for all turns."""

    __slots__ = ("_connections", "_errors", "shared")

    def __init__(self, connections: PostgresConnections, shared: _Hot) -> None:
        self._connections = connections
        self._errors = registry_errors(connections.address)
        self.shared = shared

    def __enter__(self) -> Connection:
        if self._connections.closed or self._connections.forks != fork_count:
            self._connections.check_usable()
        self.shared.lock.acquire()
        try:
            return self.shared.connection()
        except BaseException as error:
            self.shared.lock.release()
            self._errors.__exit__(type(error), error, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.shared.lock.release()
            return
        try:
            if is_lost(error):
                self.shared.drop()
        finally:
            self.shared.lock.release()
        self._errors.__exit__(kind, error, trace)


def _commit_with(connection: Connection, last: AtCommit, *, synced: bool) -> None:
    """Append the last event of a transaction, commit it and make it last, in one message to the server."""
    flush = (Statement(_FLUSH),) if synced else ()
    _, appended, *_ = connection.exchange(
        last.lock, last.append, *last.after, Statement("COMMIT"), *flush, Statement(_COUNT)
    )
    connection.place = appended[0]


def _flush(connection: Connection) -> None:
    """Make every commit before this one last. Raises OutcomeUnknown."""
    try:
        connection.execute(f"{_FLUSH}; {_COUNT}", prepare=False)
    except psycopg.Error as error:
        raise OutcomeUnknown("done and in force, but the server did not confirm that it lasts", _AT_STANDBYS) from error
    _check_confirmed(connection)


def _check_confirmed(connection: Connection) -> None:
    """Raise OutcomeUnknown if the server warned at a commit: no standby has confirmed it, and a failover could lose it."""
    if connection.warnings:
        raise OutcomeUnknown(f"done and in force, but the server warned: {connection.warnings[0]}", _AT_STANDBYS)


def _check_gate(connection: Connection, address: Address) -> None:
    """Refuse a server whose advisory locks lock nothing: there are some that only pretend."""
    key = int.from_bytes(os.urandom(8), signed=True)  # nobody else waits for it
    connection.execute("BEGIN", prepare=False)
    try:
        connection.execute(f"SELECT pg_advisory_xact_lock({key})", prepare=False)
        held = one_row(connection, _HOLDS_GATE)[0]
    finally:
        connection.execute("ROLLBACK", prepare=False)
    if not held:
        raise RegistryUnavailable(f"the registry at {address} cannot be used: advisory locks do nothing on this server")


def _roll_back(connection: Connection, shared: SharedConnection) -> None:
    """Undo all changes that were not committed; a connection that cannot be used any more is dropped."""
    if not connection.closed and not connection.is_idle:
        usual, connection.patience = connection.patience, LOOK_UP_SECONDS
        connection.exchanges.forget()
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK", prepare=False)
        connection.patience = usual
    if connection.closed or not connection.is_idle:
        shared.drop()
