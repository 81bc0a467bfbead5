"""The look-ups that every request needs: a session by its number, a client by its id, and the profiles in force.

A look-up depends on more than its own row: the open revocation, the version of the schema, the place of the registry. Only changes that
are alone behind the gate alter these, and each leaves its number in `registry.turn`. So a look-up reads that number with its row. If it
is still the one that was read before, so is all the rest; otherwise the look-up is done again as a whole (decision 350).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.errors import IntegrityFailure, RegistryUnavailable
from authctl.instants import check_now
from authctl.model import Session
from authctl.store import move_marks
from authctl.store.nouns.reader import continuity_events
from authctl.store.postgres.connection import Known
from authctl.store.postgres.dialect import POSTGRES
from authctl.store.postgres.exchange import Row, Statement
from authctl.store.postgres.executor import PostgresExecutor
from authctl.store.postgres.facts import FIND_EVENT, SERVER_CLOCK
from authctl.store.postgres.upgrades import VERSION, check_open_version
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION, tables

if TYPE_CHECKING:
    from authctl.model import Client, ProfileSet
    from authctl.store.postgres.connection import Connection

_NOW = f"greatest(coalesce($2::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

_TURN = "pg_is_in_recovery(), (SELECT turn FROM registry)"
"""Whether a standby answers, and the number of the last change that was alone: the last columns of a short look-up."""
_PLACE = f"pg_is_in_recovery(), g.turn, {tables(POSTGRES).open_revocation}, ({VERSION}), g.moved_to, g.moving_to, g.arriving_from"
"""What a look-up depends on besides its own row, from the row `g` of the registry: the last columns of a whole look-up."""
_PLACE_WIDTH = 7

_UNREVOKED = f"SELECT {rows.unrevoked_columns(_NOW)}, s.secret_hash, {_TURN} FROM sessions AS s WHERE s.number = $1"
_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, {_PLACE}"
    f" FROM registry AS g LEFT JOIN (sessions AS s {WITH_REVOCATION}) ON s.number = $1"
)
_REVOCATION, _SECRET_HASH = Session._fields.index("revocation_id"), len(Session._fields)
"""Their places in the rows of both."""
_CLIENT = (
    f"SELECT {rows.CLIENT}, {_PLACE} FROM registry AS g LEFT JOIN clients ON client_id = $1 AND removed_at IS NULL"
)
_PROFILES = (
    f"SELECT g.profiles, {rows.CHANGEOVER}, {_PLACE} FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"
)
_READ_TURN = Statement(f"SELECT {_TURN}")
_IS_STANDBY = Statement("SELECT pg_is_in_recovery()")
_MOST_KEPT = 1_000


def session(connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
    """The session with that number, and the hash of its secret; without `now` at the time of the server's clock.

    Raises RegistryUnavailable if a standby answered, after an upgrade by a newer authctl, and RegistryMoved after a move.
    """
    given = (number, None if now is None else check_now(now))
    row = _unrevoked(connection, given) or _whole(connection, Statement(_SESSION, given))
    if row is None:
        return None
    read = rows.session(row)
    check_now(read.read_at)
    if read.read_at >= read.token_expires_at:
        read = read.held_by(continuity_events(PostgresExecutor(connection)))
    return read, row[_SECRET_HASH]


def _unrevoked(connection: "Connection", given: Sequence[Any]) -> Row | None:
    """The row of a session that is not revoked, if nothing else has changed; None if it has to be read as a whole."""
    known = connection.known
    if known is None:
        return None
    row = connection.find(Statement(_UNREVOKED, given))
    if row is None or row[_REVOCATION] != known.open_revocation or row[-2:] != (False, known.turn):
        return None
    return row


def _is_current(connection: "Connection", known: Known | None) -> bool:
    """Whether no change was alone since that was read on this connection, and no standby answers."""
    return known is not None and known is connection.known and connection.find(_READ_TURN) == (False, known.turn)


def _whole(connection: "Connection", look_up: Statement) -> Row | None:
    """The row of a statement that ends with `_PLACE`; None if it found nothing. Raises as `session`.

    A balancer may have asked a standby without our knowledge (decision 312): it may not have the newest revocation or session. After an
    upgrade by a newer authctl a row may mean something else (decision 323). A registry that was moved must not answer that it has no such
    session (decision 326): its statement has a row in every case.
    """
    row = connection.find(look_up)
    if row is None:
        raise IntegrityFailure(f"the registry at {connection.address} is damaged: it has no row for itself")
    is_standby, turn, open_revocation, version, *marks = row[-_PLACE_WIDTH:]
    _refuse(is_standby=is_standby)
    check_open_version(version, connection.address)
    move_marks.check(connection.address, *marks)
    # A pooler may go on with another server after a failover, where another change can have the same number.
    if connection.prepare_threshold is not None and connection.known != (turn, open_revocation):
        connection.known = Known(turn, open_revocation)
    return None if row[0] is None else row[:-_PLACE_WIDTH]


def has_events(connection: "Connection", events: Sequence[tuple[int, str]]) -> bool:
    """Whether the audit log has all events of those numbers and hashes. Raises RegistryUnavailable if a standby answered."""
    *found, ((is_standby,),) = connection.exchange(*(Statement(FIND_EVENT, event) for event in events), _IS_STANDBY)
    _refuse(is_standby=is_standby)
    return all(found)


def _refuse(*, is_standby: bool) -> None:
    if is_standby:
        raise RegistryUnavailable("the registry cannot be used: a standby answered, which may be behind")


class _Kept(NamedTuple):
    """A value, the row that it was made of, and what was known when that was read last."""

    known: Known | None
    row: Row
    value: Any


class Kept:
    """Values that only changes which are alone alter. An unchanged one stays the same value."""

    def __init__(self) -> None:
        self._kept: dict[Sequence[Any], _Kept] = {}

    def client(self, connection: "Connection", client_id: str) -> "Client | None":
        """The client with that id; None where there is none, or where it was removed. Raises as `session`."""
        # decision 246: a removal or a new secret counts at once
        client: Client | None = self._value(connection, Statement(_CLIENT, (client_id,)), rows.client)
        return client

    def profiles(self, connection: "Connection") -> "ProfileSet":
        """The profiles in force. Raises as `session`."""
        in_force: ProfileSet = self._value(connection, Statement(_PROFILES), lambda row: rows.profiles(*row))
        return in_force

    def _value(self, connection: "Connection", look_up: Statement, made_of: Callable[[Row], Any]) -> Any:
        """The value that is kept under the parameters of a statement, if it is still current; otherwise that of its row now."""
        kept = self._kept.get(look_up.parameters)
        if kept is not None and _is_current(connection, kept.known):
            return kept.value
        row = _whole(connection, look_up)
        if row is None:
            return None
        value = kept.value if kept is not None and kept.row == row else made_of(row)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[look_up.parameters] = _Kept(connection.known, row, value)
        return value
