"""One connection to a registry in PostgreSQL, and the keys of its advisory locks."""

import hashlib
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.errors import InvalidInput, Overtaken
from authctl.names import quoted
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.errors import DIVISION_BY_ZERO, READ_ONLY
from authctl.store.postgres.exchange import TO_PRIMARY, AtCommit, Exchanges, Row, Statement
from authctl.store.postgres.kept_facts import KeptFacts, ServerClock
from authctl.store.postgres.library import psycopg

if TYPE_CHECKING:
    from psycopg.abc import Params, PQGen, Query


BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
"""Begins a transaction that changes something; the role or database may have another level by default."""


class Known(NamedTuple):
    """Facts of a registry that stay as they were read as long as its turn is that one (decision 361)."""

    turn: int
    """The transaction that held the gate alone before."""
    open_revocation: int | None
    """The id of the revocation of all sessions that are not revoked; None where that row is missing."""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements wait no longer than `patience` seconds, and that keeps the warnings of the server."""

    address: str = ""
    """The address as it may be shown."""
    patience: float | None = None
    last_event: tuple[int, str] | None = None
    """The number and hash of the last audit event that this transaction wrote; set by the method that writes it."""
    at_commit: AtCommit | None = None
    """The event that this transaction appends in one message with its commit."""
    deferred: tuple[Statement, ...] = ()
    """Statements that go to the server with the next one, before it."""
    asks_turn = False
    """Whether the message with the deferred statements asks if another change came between (decision 342)."""
    facts: Row = ()
    """The row that this transaction read first: a change behind the gate, a view in its snapshot."""
    known: Known | None = None
    """Facts that its look-ups have read. Another connection may be one to another server, after a failover that lost changes."""
    warnings: tuple[str, ...] = ()
    keeping: KeptFacts | None = None
    """The facts of the sign-in that is under way, if they are to be kept after its commit."""
    kept: KeptFacts | None = None
    """The facts of the last sign-in, for the next one."""
    signed_in_at = 0
    """When the last sign-in began, by `kept_facts.present`; 0 before the first one."""

    def execute(
        self, query: "Query", params: "Params | None" = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement on the server that takes changes, also behind a balancer that sends reads to standbys."""
        assert isinstance(query, str)
        return super().execute(TO_PRIMARY + query, params, prepare=prepare, binary=binary)

    def wait(self, gen: "PQGen[Any]", interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server, but not for ever."""
        return super().wait(gen, interval, self.patience if timeout is None else timeout)

    def keep_warning(self, notice: psycopg.errors.Diagnostic) -> None:
        """Keep the warnings of the server."""
        if (notice.sqlstate or "").startswith("01"):
            self.warnings = (*self.warnings, notice.message_primary or "")

    @cached_property
    def clock(self) -> ServerClock:
        """The clock of the server, as sign-ins have noted it."""
        return ServerClock()

    @cached_property
    def exchanges(self) -> Exchanges:
        """The statements that the server has prepared for exchanges."""
        return Exchanges(self)

    def exchange(self, *statements: Statement) -> list[list[Row]]:
        """The rows of each of some statements, which are one message to the server, with those that were deferred.

        Raises psycopg.Error at the first that fails; Overtaken if that is the check of the turn, or the server takes no changes.
        """
        first, self.deferred = self.deferred, ()
        asks_turn, self.asks_turn = self.asks_turn, False
        try:
            return self.exchanges.run((*first, *statements))[len(first) :]
        except psycopg.Error as error:
            if asks_turn and error.sqlstate in (DIVISION_BY_ZERO, READ_ONLY):
                raise Overtaken from error
            raise

    def find(self, look_up: Statement) -> Row | None:
        """The first row of a look-up, which is a statement that waits for no lock; None if there is none. Raises psycopg.Error."""
        return self.exchanges.find(look_up, self.patience)

    def cursor(self, *given: Any, **named: Any) -> Any:
        """As the driver's: its statements come after those that were deferred."""
        if self.deferred:
            self.exchange()
        return super().cursor(*given, **named)

    @property
    def is_idle(self) -> bool:
        """Whether it is open, and in no transaction."""
        return self.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE


def connect(address: Address, *, patience: float | None = None) -> Connection:
    """Open a connection; a server that is a standby is refused. Raises psycopg.Error, InvalidInput for parameters that cannot be."""
    try:
        connection = Connection.connect(psycopg.conninfo.make_conninfo("", **address.parameters), autocommit=True)
    except psycopg.ProgrammingError as error:  # the driver reads some of them itself, such as `connect_timeout`
        raise InvalidInput(
            f"not the address of a PostgreSQL database: {quoted(str(address))}: {str(error).strip()}"
        ) from None
    connection.address = str(address)
    connection.patience = patience
    connection.add_notice_handler(connection.keep_warning)
    if address.is_pooled:
        connection.prepare_threshold = None
    # Else the driver doubles the backslash in binary values that it sends as texts, and other bytes are stored.
    if connection.pgconn.parameter_status(b"standard_conforming_strings") == b"off":
        connection.execute("SET standard_conforming_strings = on", prepare=False)
    return connection


@cache
def gate_key(registry_id: str, purpose: str = "gate") -> int:
    """The key of an advisory lock of that registry."""
    return int.from_bytes(hashlib.sha256(f"authctl {purpose} {registry_id}".encode()).digest()[:8], signed=True)


def let_take_time(connection: Connection) -> None:
    """Let the server not end the open transaction while it stands still; a host that is gone is noticed by its connection."""
    connection.execute(
        "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0; SET LOCAL tcp_keepalives_idle = 30;"
        " SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3",
        prepare=False,
    )
