"""The end of a change: its commit, the flush that makes it last, and the outcome of a commit whose answer was lost (decision 299)."""

from contextlib import closing
from time import monotonic, sleep
from typing import Protocol

from authctl.errors import OutcomeUnknown, RegistryUnavailable
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection, connect
from authctl.store.postgres.errors import LOCKED, is_lost
from authctl.store.postgres.exchange import AtCommit, Row, Statement
from authctl.store.postgres.facts import FIND_EVENT
from authctl.store.postgres.gate import READ_ID, Entrance
from authctl.store.postgres.kept_facts import present
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.recent_events import READ_HASHES, RecentEvents

COMMIT_SECONDS = 30.0
"""How long the writer waits for a commit. No time-out of the server ends one that waits for a standby (decision 299)."""

_SETTLE_SECONDS = 5.0
"""How long the outcome of a commit whose answer was lost is looked for."""

_PAUSE_SECONDS = 0.2
"""How long a server that cannot be reached is left alone before the next try."""

_COUNT = "SELECT nextval('changes')"
"""The number of a change, taken when others can see it: a reader that has an earlier number reads the change with the next one."""

_FLUSH = f"{_COUNT}, pg_logical_emit_message(true, '', '')"
"""The same in a commit of its own, with nothing else in it: its flush covers every commit before it (decision 298)."""

_FLUSH_AND_HASHES = f"{_FLUSH}, {READ_HASHES}"

_WRITTEN = "SELECT pg_current_xact_id_if_assigned()::text"
"""The number of a transaction that has written something."""

_FIND_TRANSACTION = "SELECT 1 WHERE pg_xact_status($1::text::xid8) = 'committed'"

_UNKNOWN = "the connection was lost when the change was due, and whether it is done is not known"
_AT_STANDBYS = "look at the standbys before a failover"


class Writer(Protocol):
    """The shared connection that writes."""

    address: Address
    key: int
    """The key of the gate."""
    recent: RecentEvents

    def drop(self) -> None:
        """Close the connection."""


def commit(connection: Connection, writer: Writer, *, synced: bool) -> None:
    """Make the change last, and find out whether it did if the answer is lost. Raises OutcomeUnknown."""
    if connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.INTRANS and not connection.deferred:
        raise RuntimeError("an error of a statement was caught inside a change")
    event = connection.last_event
    # A batch of a cleanup has no event by which a commit could be found. A use that is lost, which needs no flush, is not worth a message.
    by_number = synced and not event and connection.at_commit is None and not connection.deferred
    transaction = connection.execute(_WRITTEN, prepare=False).fetchone() if by_number else None
    connection.warnings = ()
    # with what was deferred it may first wait for the gate, for as long as its patience says
    connection.patience = max(COMMIT_SECONDS, (connection.patience or 0) if connection.deferred else 0)
    try:
        if connection.at_commit is not None:
            _commit_with(connection, connection.at_commit, writer.recent, synced=synced)
        elif synced and event:
            connection.execute(f"COMMIT; {_FLUSH}", prepare=False)
        else:  # apart, so that it is known which of the two has failed
            connection.execute("COMMIT" if synced else f"COMMIT; {_COUNT}", prepare=False)
    except psycopg.Error as error:
        _settle(connection, writer, error, transaction)
    else:
        if synced and not event and connection.at_commit is None:
            _flush_alone(connection, writer)
        _check_confirmed(connection)
    finally:
        connection.patience = None


def _settle(connection: Connection, writer: Writer, error: psycopg.Error, transaction: Row | None) -> None:
    """Return if a commit that failed, or whose answer was lost, took place; else raise. Raises OutcomeUnknown.

    `transaction` is the row of `_WRITTEN`, for a change without an event.
    """
    if error.sqlstate == LOCKED:  # before the COMMIT, which takes no lock: nothing was done
        raise error
    sought = _sought(connection, transaction)
    if sought is None and not is_lost(error):
        raise error
    writer.drop()
    if sought is None:
        raise OutcomeUnknown(_UNKNOWN, "look at the registry before you repeat it") from error
    event = connection.last_event
    hint = f"look for audit event {event[0]}: authctl audit list" if event else "authctl audit list"
    place = _place_of(writer, sought, error, hint)
    if place is not None:
        if connection.at_commit is not None:
            connection.at_commit.appended.append(place)
        return
    if not is_lost(error):
        raise error
    lost = f"the registry at {writer.address} cannot be used: the connection was lost, and nothing has changed"
    raise RegistryUnavailable(lost) from error


def _sought(connection: Connection, transaction: Row | None) -> Statement | None:
    """The statement that has a row if a change was committed; None if nobody can tell."""
    if connection.last_event:
        return Statement(FIND_EVENT, connection.last_event)
    if connection.at_commit is not None:
        return connection.at_commit.find
    return None if transaction is None else Statement(_FIND_TRANSACTION, transaction)


def _place_of(writer: Writer, sought: Statement, lost: psycopg.Error, hint: str) -> Row | None:
    """The row of the event that is sought, which is then made to last; None if it is not there. Raises OutcomeUnknown.

    A server that is being restarted is waited for.
    """
    until = monotonic() + _SETTLE_SECONDS
    while True:
        try:
            return _look_for(writer, sought)
        except psycopg.Error:
            if monotonic() >= until:
                raise OutcomeUnknown(_UNKNOWN, hint) from lost
        sleep(_PAUSE_SECONDS)


def _look_for(writer: Writer, sought: Statement) -> Row | None:
    """Look once for the row of the event on a new connection. Raises a psycopg.Error.

    It is looked for alone behind the gate: the server releases the gate only after the lost transaction has ended. If that one
    had not begun yet, as a sign-in that read before its turn, it finds that another change came between.
    """
    limit = int(_SETTLE_SECONDS * 1000)
    entrance = Entrance(writer.key, limit, limit, shared=False, tries=False)
    with closing(connect(writer.address, patience=_SETTLE_SECONDS + 1)) as connection:
        connection.exchange(*entrance.statements(Statement(READ_ID)), *entrance.alone)
        (found,) = connection.exchange(sought)
        connection.execute("COMMIT", prepare=False)
        if found:
            _flush(connection)
    return found[0] if found else None


def _commit_with(connection: Connection, last: AtCommit, recent: RecentEvents, *, synced: bool) -> None:
    """Append the last event of a transaction, commit it and make it last, in one message to the server."""
    is_wanted = synced and recent.is_wanted()
    after = _FLUSH_AND_HASHES if is_wanted else _FLUSH if synced else _COUNT
    sent = present()
    *_, appended, _, flushed = connection.exchange(*last.lock, last.append, Statement("COMMIT"), Statement(after))
    last.appended.append(appended[0][:3])
    if connection.keeping is not None:
        number, clock = appended[0][3:]
        connection.clock.note(clock, sent, present())
        connection.kept = connection.keeping.numbered(number)
    if is_wanted:
        recent.keep(flushed[0][-1])


def _flush_alone(connection: Connection, writer: Writer) -> None:
    """Make every commit before this one last. Raises OutcomeUnknown; the next change then looks at a new connection."""
    try:
        _flush(connection)
    except OutcomeUnknown:
        writer.drop()  # it looked at the role when it was opened: what has changed is found by a new one
        raise


def _flush(connection: Connection) -> None:
    """Make every commit before this one last. Raises OutcomeUnknown."""
    try:
        connection.execute(_FLUSH, prepare=False)
    except psycopg.Error as error:
        raise OutcomeUnknown("done and in force, but the server did not confirm that it lasts", _AT_STANDBYS) from error
    _check_confirmed(connection)


def _check_confirmed(connection: Connection) -> None:
    """Raise OutcomeUnknown if the server warned at a commit: no standby has confirmed it, and a failover could lose it."""
    if connection.warnings:
        raise OutcomeUnknown(f"done and in force, but the server warned: {connection.warnings[0]}", _AT_STANDBYS)
