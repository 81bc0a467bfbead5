"""The look-ups that every request needs: a session by its number, a client by its id, and the profiles in force.

A look-up depends on more than its own row: the open revocation, the version of the schema, the place of the registry. Only changes that
are alone behind the gate alter these, and each leaves its number in `registry.turn`. So a look-up reads that number with its row. If it
is still the one that was read before, so is all the rest; otherwise the look-up is done again as a whole (decision 361).
"""

from collections.abc import Callable, Sequence
from functools import cache
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
from authctl.store.postgres.facts import SERVER_CLOCK
from authctl.store.postgres.upgrades import VERSION, check_open_version
from authctl.store.sql import rows
from authctl.store.sql.fixed_columns import FixedColumns, changing_columns, put_together
from authctl.store.sql.tables import WITH_REVOCATION, tables

if TYPE_CHECKING:
    from authctl.model import Client, ProfileSet
    from authctl.store.postgres.connection import Connection

_NOW = f"greatest(coalesce($2::bigint, {SERVER_CLOCK}), (SELECT max(seen_at) FROM clock))"
"""The present instant: that of the clock, or the recorded time, if the clock is behind it (decision 80)."""

_TURN = 'pg_is_in_recovery(), (SELECT turn FROM registry WHERE "only" = 1)'
"""Whether a standby answers, and the number of the last change that was alone: the last columns of a short look-up.

By the key: each change that is alone leaves a dead row, and the table has a page for every seven of them until it is vacuumed.
"""
_PLACE = f"pg_is_in_recovery(), g.turn, {tables(POSTGRES).open_revocation}, ({VERSION}), g.moved_to, g.moving_to, g.arriving_from"
"""The facts on which a look-up depends besides its own row, from the row `g` of the registry: the last columns of a whole look-up."""
_PLACE_WIDTH = 7

_FROM = f"{_TURN} FROM sessions AS s WHERE s.number = $1"
_OVER = "coalesce(s.ended_at, s.wipe_delivered_at, s.wipe_acknowledged_at)"
_CHANGING = f"SELECT {changing_columns(_OVER, _NOW)}, {_FROM}"
"""The columns of a session that can change, if it is not revoked; `_UNREVOKED` has all of them."""
_UNREVOKED = f"SELECT {rows.unrevoked_columns(_NOW)}, s.secret_hash, {_FROM}"
_SESSION = (
    f"SELECT {rows.session_columns(now=_NOW)}, s.secret_hash, {_PLACE}"
    f" FROM registry AS g LEFT JOIN (sessions AS s {WITH_REVOCATION}) ON s.number = $1"
)
_CLIENT = (
    f"SELECT {rows.CLIENT}, {_PLACE} FROM registry AS g LEFT JOIN clients ON client_id = $1 AND removed_at IS NULL"
)
_PROFILES = (
    f"SELECT g.profiles, {rows.CHANGEOVER}, {_PLACE} FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"
)
_READ_TURN = Statement(f"SELECT {_TURN}")
_MOST_KEPT = 1_000


def _is_current(connection: "Connection", known: Known | None) -> bool:
    """Whether no change was alone since that was read on this connection, and no standby answers."""
    return known is not None and known is connection.known and connection.find(_READ_TURN) == (False, known.turn)


def _whole(connection: "Connection", look_up: Statement) -> Row | None:
    """The row of a statement that ends with `_PLACE`; None if it found nothing. Raises as `LookUps`.

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
    row = connection.find(Statement(_having(len(events)), [value for event in events for value in event]))
    assert row is not None
    is_standby, has_all = row
    _refuse(is_standby=is_standby)
    return bool(has_all)


@cache
def _having(count: int) -> str:
    """The statement that asks for so many events at once; made once for each number of them, since most changes ask for one or two."""
    each = (
        f"EXISTS (SELECT 1 FROM audit_events WHERE seq = ${place} AND hash = ${place + 1})"
        for place in range(1, 2 * count, 2)
    )
    return f"SELECT pg_is_in_recovery(), {' AND '.join(('TRUE', *each))}"


def _refuse(*, is_standby: bool) -> None:
    if is_standby:
        raise RegistryUnavailable("the registry cannot be used: a standby answered, which may be behind")


class _Kept(NamedTuple):
    """A value, the row that it was made of, and what was known when that was read last."""

    known: Known | None
    row: Row
    value: Any


class LookUps:
    """Sessions by number, clients by id, and the profiles. One thread at a time may use it.

    Each raises RegistryUnavailable if a standby answered or after an upgrade by a newer authctl, and RegistryMoved after a move. A client
    or the profiles stay the same value as long as they are unchanged.
    """

    def __init__(self) -> None:
        self._fixed = FixedColumns()
        self._kept: dict[Sequence[Any], _Kept] = {}

    def session(self, connection: "Connection", number: int, now: int | None) -> tuple[Session, bytes | None] | None:
        """The session with that number, and the hash of its secret; without `now` at the time of the server's clock."""
        given = (number, None if now is None else check_now(now))
        found = self._unrevoked(connection, given)
        if found is None:
            row = _whole(connection, Statement(_SESSION, given))
            if row is None:
                return None
            found = rows.session(row), row[-1]
            self._fixed.keep(*found)
        read, secret_hash = found
        check_now(read.read_at)
        if read.read_at >= read.token_expires_at:
            read = read.held_by(continuity_events(PostgresExecutor(connection)))
        return read, secret_hash

    def _unrevoked(
        self, connection: "Connection", given: tuple[int, int | None]
    ) -> tuple[Session, bytes | None] | None:
        """The same of a session that is not revoked, if nothing else has changed; None if it has to be read as a whole."""
        known, fixed = connection.known, self._fixed.of(given[0])
        if known is None:
            return None
        row = connection.find(Statement(_UNREVOKED if fixed is None else _CHANGING, given))
        if row is None or row[-2:] != (False, known.turn):
            return None
        read = rows.session(row) if fixed is None else put_together(fixed, row)
        if read is None or read.revocation_id != known.open_revocation:
            return None
        if fixed is None:
            self._fixed.keep(read, row[-3])
        return read, row[-3]

    def client(self, connection: "Connection", client_id: str) -> "Client | None":
        """The client with that id; None where there is none, or where it was removed."""
        # decision 246: a removal or a new secret counts at once
        client: Client | None = self._value(connection, Statement(_CLIENT, (client_id,)), rows.client)
        return client

    def profiles(self, connection: "Connection") -> "ProfileSet":
        """The profiles in force."""
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
