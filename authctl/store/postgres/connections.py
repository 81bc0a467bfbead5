"""Connections to a registry in PostgreSQL: one to look up by number, one to read, one to write, each shared by threads.

The order of locks is: the gate, the turn of deliveries, rows of sessions by ascending number, users and cached logins, then the audit
chain with what is written behind it (the recorded time and announcements), then COMMIT (decisions 297 and 332). The gate is in `gate.py`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from time import monotonic, sleep
from types import TracebackType
from typing import NamedTuple

from authctl.errors import RegistryLocked, RegistryUnavailable
from authctl.store.postgres import early
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.commits import commit
from authctl.store.postgres.connection import Connection, gate_key
from authctl.store.postgres.errors import READ_ONLY, is_lost
from authctl.store.postgres.exchange import Statement
from authctl.store.postgres.facts import Revocation, SignIn
from authctl.store.postgres.gate import LANES, PLANS_OF_SIGN_INS, READ_ID, USUAL_PLANS, Entrance
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.recent_events import RecentEvents
from authctl.store.postgres.rights import READ_AFTER_COMMIT, check_after_commit
from authctl.store.postgres.shared_connection import LOOK_UP_SECONDS, SharedConnection, check_in_force, one_row
from authctl.store.postgres.upgrades import check_open_version, registry_errors

LOCK_TIMEOUT_SECONDS = 30.0
"""How long a writer waits for its turn."""

STALL_SECONDS = {True: 5, False: 10}
"""How long a change may stand still before the server ends it, by whether it is shared; the gate is held meanwhile."""

_PAUSE_BETWEEN_TRIES = 0.005
"""The seconds between two tries to take the gate."""

_SHORTEST_WAIT = 20
"""How long a change that may not wait for the gate waits for any other lock, in milliseconds."""
_LONGEST_WAIT = 2_000_000
"""The longest wait for a lock that PostgreSQL knows, in seconds."""

BEGIN_TO_READ = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
"""A view sees one snapshot. A standby refuses this level, which a balancer may have asked without our knowledge (decision 312)."""

_HOLDS_GATE = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'"

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
        _plan_with_indexes(connection)


class _Reader(SharedConnection):
    """The connection of views. What it prepares stays prepared after a view, and is planned for the values that are asked for."""

    def set_up(self, connection: Connection) -> None:
        super().set_up(connection)
        if connection.prepare_threshold is not None:
            # A plan for any values takes a page for a tenth of the table, and sorts what an index gives in order. jit: see `_plan_with_indexes`.
            connection.execute(
                "SET plan_cache_mode = force_custom_plan; SET jit = off; SET row_security = off", prepare=False
            )


class _Writer(SharedConnection):
    """The connection that writes, and the key of the gate."""

    key = 0
    lane = 0
    """The key of the lock that the sign-ins of this connection take before the gate."""
    registry_id = ""
    sign_in: SignIn | None = None
    """The facts that were read for the sign-in that is under way."""
    revocation: Revocation | None = None
    """Those of the revocation of everything that is under way; None if it has its turn already."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self.recent = RecentEvents()

    def set_up(self, connection: Connection) -> None:
        super().set_up(connection)
        _plan_with_indexes(connection)
        registry_id, *rights = one_row(connection, f"SELECT id, {READ_AFTER_COMMIT} FROM registry")
        check_after_commit(connection, self.address, *rights)
        self.registry_id = str(registry_id)
        self.key = gate_key(self.registry_id)
        # by the process of the server: the connections of all hosts are spread over the lanes
        self.lane = gate_key(self.registry_id, f"lane {connection.info.backend_pid % LANES}")
        _check_gate(connection, self.address)


class _Purpose(NamedTuple):
    """The kind of a change, and how it takes its turn."""

    shared: bool
    tries: bool
    """Whether the gate is only tried."""
    user_key: str | None
    """The key of the user of a sign-in, which reads before its turn."""
    revokes_all: bool
    """Whether it is a revocation of everything, which does so, too."""


class PostgresConnections:
    """The three connections of an open registry (decision 16), and the transactions on them."""

    def __init__(
        self,
        address: Address,
        lock_timeout: float | None = None,
        read_first: Mapping[bool, str] | None = None,
        read_view: str = READ_ID,
    ) -> None:
        """`read_first` is read by each change behind the gate, in the same message, and is in `facts` of its connection.

        It is a statement each for changes that are shared, and for those that are not. `read_view` is the same for a view, in its snapshot.
        """
        self.address = address
        self._read_first = read_first or {True: READ_ID, False: READ_ID}
        # Planned once, as what every sign-in sends (decision 341).
        self._beginning_of_view = (Statement(BEGIN_TO_READ), PLANS_OF_SIGN_INS, Statement(read_view), USUAL_PLANS)
        self._lock_timeout = LOCK_TIMEOUT_SECONDS if lock_timeout is None else lock_timeout
        self._errors = registry_errors(address)
        self._hot = _HotTurn(self, _Hot(address, patience=LOOK_UP_SECONDS))
        self._reader = _Reader(address)
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

    @property
    def sign_in(self) -> SignIn | None:
        """The facts that were read for the sign-in that is under way; known inside its change."""
        return self._writer.sign_in

    @property
    def revocation(self) -> Revocation | None:
        """The facts that a revocation of everything read before its turn; None in any other change."""
        return self._writer.revocation

    @property
    def recent_events(self) -> RecentEvents:
        """The events that a commit read last."""
        return self._writer.recent

    def hot(self) -> AbstractContextManager[Connection]:
        """The connection of the look-up by number, outside any transaction."""
        return self._hot

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one snapshot, and changes nothing; its `facts` are the row of `read_view`."""
        self.check_usable()
        with self._reader.lock, self._errors:
            self.check_usable()
            connection = self._reader.connection()
            if not connection.is_idle:
                raise RuntimeError("a view was begun inside a view")
            try:
                connection.patience = LOOK_UP_SECONDS
                _, _, facts, _ = connection.exchange(*self._beginning_of_view)
                connection.patience = None  # a list or a count may take minutes
                connection.facts = facts[0] if facts else ()
                check_open_version(connection.facts[1] if facts else 0, self.address)
                check_in_force(self.address, connection.facts[2:5])
                yield connection
            finally:
                _roll_back(connection, self._reader)

    @contextmanager
    def writer(
        self,
        *,
        shared: bool = False,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        synced: bool = True,
        user_key: str | None = None,
        revokes_all: bool = False,
    ) -> Iterator[Connection]:
        """A connection in a transaction that holds the gate, or takes it with its first statement; see `Store.change` for its errors."""
        self.check_usable()
        if not self._writer.lock.acquire(timeout=-1 if timeout is None else timeout):
            raise RegistryLocked("another thread is writing")
        try:
            with self._errors:
                self.check_usable()  # it may have been closed while this thread waited
                wait = self._lock_timeout * lock_timeouts if timeout is None else timeout
                # decision 322: who waits in the queue of the gate keeps later changes of administrators waiting
                tries = timeout is not None and (shared or timeout <= 0)
                purpose = _Purpose(shared, tries, user_key, revokes_all and not tries)
                connection = self._begin(wait, purpose)
                try:
                    # A change of an administrator may have a statement that takes minutes.
                    connection.patience = wait + LOOK_UP_SECONDS if shared or connection.deferred else None
                    with early.judged_again(connection, None if user_key is None else self._writer.sign_in):
                        yield connection
                    commit(connection, self._writer, synced=synced)
                finally:
                    _roll_back(connection, self._writer)
        finally:
            self._writer.lock.release()

    def _begin(self, wait: float, purpose: "_Purpose") -> Connection:
        """Begin to write when the gate is free, once more on a new connection if the server has changed its part."""
        for is_last in (False, True):
            connection = self._writer.connection()
            if not connection.is_idle or connection.deferred:
                raise RuntimeError("a change was begun inside a change")
            try:
                if self._enter(connection, wait, purpose):
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

    def _enter(self, connection: Connection, wait: float, purpose: "_Purpose") -> bool:
        """Begin a transaction and take the gate; False if the registry there is another one than before."""
        connection.last_event = connection.at_commit = connection.keeping = None
        self._writer.revocation = None
        connection.patience = wait + LOOK_UP_SECONDS
        shared, tries = purpose.shared, purpose.tries
        entrance = Entrance(
            self._writer.key, max(_SHORTEST_WAIT, int(wait * 1000)), STALL_SECONDS[shared] * 1000, shared, tries
        )
        if purpose.user_key is not None:
            return early.enter_to_sign_in(self._writer, connection, entrance, purpose.user_key)
        if purpose.revokes_all and (is_same := early.enter_to_revoke(self._writer, connection, entrance)) is not None:
            return is_same
        alone = () if tries else entrance.alone  # nothing is written before the gate is taken
        read_first = Statement(self._read_first[shared])
        _, locked, read, *_ = connection.exchange(*entrance.statements(read_first), *alone)
        until = monotonic() + wait
        while tries and locked[0][-1] is False:
            if monotonic() >= until:
                raise RegistryLocked(f"the registry at {self.address} cannot be used: it is locked by another process")
            sleep(_PAUSE_BETWEEN_TRIES)
            # what was read before the gate was taken may have changed
            locked, read = connection.exchange(entrance.lock, read_first)
        if tries and entrance.alone:
            connection.exchange(*entrance.alone)
        return bool(read) and early.accept(self._writer, connection, read[0])

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


def _plan_with_indexes(connection: Connection) -> None:
    """Let the server plan what every sign-in and look-up sends without reading a whole table."""
    # decision 341: it plans a prepared statement once, perhaps while the tables are small, and keeps the plan when they have grown
    if connection.prepare_threshold is not None:
        # Without jit: a small table without an index counts as dear then, and its statements would be compiled.
        # Row-level security that is enabled later is an error then, and hides no rows (decision 368).
        connection.execute("SET enable_seqscan = off; SET jit = off; SET row_security = off", prepare=False)


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
    connection.deferred, connection.asks_turn = (), False
    if not connection.closed and not connection.is_idle:
        usual, connection.patience = connection.patience, LOOK_UP_SECONDS
        with suppress(psycopg.Error):
            connection.exchange(Statement("ROLLBACK"))  # not by the driver: what is prepared stays as it is
        connection.patience = usual
    if connection.closed or not connection.is_idle:
        shared.drop()
