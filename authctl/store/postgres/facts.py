"""The facts that a change reads first, in the message that takes the gate, and a view in the one that begins it; the clock of the server.

Behind the gate, nobody changes users, profiles or the registry itself beside a shared change. So the facts that it read first are the
facts that it would read later, and a sign-in needs no message to the server for each of these (decision 317).
"""

from typing import Any, NamedTuple

from authctl.store import move_marks
from authctl.store.postgres.exchange import Statement
from authctl.store.sql import rows

SERVER_CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The clock of the server, in microseconds since 1970: one clock for all hosts."""

READ_CLOCK = f"SELECT {SERVER_CLOCK}, (SELECT max(seen_at) FROM clock)"
"""The clock of the server, and the recorded time."""

_BY_KEY = '"only" = 1'
"""The row of the registry. By its key: each change that is alone leaves a dead row, and the table has a page for every seven of them until it is vacuumed."""


def at_turn(number: str, turn: str, user_key: str | None = None) -> str:
    """The number, in SQL, if the change of a turn was the last one that held the gate alone, and that user, if one is named, is not disabled.

    Else an error that ends the whole message.
    """
    others = (
        ""
        if user_key is None
        else f" AND NOT EXISTS (SELECT 1 FROM users WHERE username_key = {user_key} AND disabled_at IS NOT NULL)"
    )
    return f"(SELECT {number} / (turn = {turn}::bigint{others})::integer FROM registry WHERE {_BY_KEY})"


CHECK_TURN = f"SELECT {at_turn('1', '$1')}"
CHECK_TURN_AND_USER = f"SELECT {at_turn('1', '$1', '$2')}"

_KEPT = "g.id, (SELECT version FROM schema_version), g.moved_to, g.moving_to, g.arriving_from"
_FACTS = (
    f"{_KEPT}, {SERVER_CLOCK}, (SELECT max(seen_at) FROM clock),"
    # decision 356: as the first one of an index, and not as a minimum or maximum
    " (SELECT disabled_until FROM users WHERE disabled_until IS NOT NULL AND enabled_at IS NULL ORDER BY disabled_until LIMIT 1),"
    " coalesce((SELECT seq FROM audit_events ORDER BY seq DESC LIMIT 1), 0),"
    f" g.profiles, {rows.CHANGEOVER}"
)
_FROM = "FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"

READ_FACTS = {
    True: f"SELECT {_FACTS} {_FROM} WHERE g.{_BY_KEY}",
    False: f"SELECT {_FACTS}, EXISTS (SELECT 1 FROM continuity), s.digest, s.content {_FROM} LEFT JOIN subscriptions AS s ON TRUE WHERE g.{_BY_KEY}",
}
"""The facts of a change, by whether it is shared. One that is alone learns more that only it may change."""
READ_REVOCATION = (
    "SELECT pg_try_advisory_xact_lock_shared($1), g.turn, (SELECT id FROM revocations WHERE at IS NULL), EXISTS (SELECT 1 FROM sessions),"
    f" {READ_FACTS[False].removeprefix('SELECT ')}"
)
"""The facts of a revocation of everything, read before its turn (decision 373); the first is false where the gate is taken or waited for alone."""
_MARKS_WIDTH = len(move_marks.COLUMNS.split(", "))
_PROFILES_WIDTH = 1 + len(rows.CHANGEOVER.split(", "))

READ_SIGN_IN = (
    "SELECT CASE WHEN pg_try_advisory_xact_lock_shared($2) THEN nextval('sessions_number_seq') END,"
    " (SELECT id FROM revocations WHERE at IS NULL), g.turn,"
    f" {', '.join(f'u.{column}' for column in rows.USER.split(', '))}, {_FACTS} {_FROM} LEFT JOIN users AS u ON u.username_key = $1"
    f" WHERE g.{_BY_KEY}"
)
"""The facts of a sign-in of that user, read before its turn (decision 342); without a number where the gate is taken or waited for alone.

The number is taken with the gate for a moment: an import, which is alone, takes a range of numbers (decision 307).
"""
_USER_WIDTH = len(rows.USER.split(", "))

READ_VIEW = (
    f"SELECT {_KEPT}, {SERVER_CLOCK}, (SELECT max(seen_at) FROM clock), g.moves,"
    # decision 356: as the first one of an index, and not as a maximum
    " coalesce((SELECT number FROM sessions ORDER BY number DESC LIMIT 1), 0), (SELECT id FROM revocations WHERE at IS NULL),"
    " (SELECT id FROM revocations ORDER BY id DESC LIMIT 1), coalesce(e.seq, 0), coalesce(e.hash, ''), EXISTS (SELECT 1 FROM continuity)"
    " FROM registry AS g LEFT JOIN LATERAL (SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1) AS e ON TRUE"
)
"""The facts of a view, in its snapshot (decision 366). The clock is read after the snapshot, so that it is behind nothing in it."""

FIND_EVENT = "SELECT seq FROM audit_events WHERE seq = $1 AND hash = $2"
"""Finds an audit event by its number and hash."""


class Facts(NamedTuple):
    """A row of `READ_FACTS`."""

    registry_id: str
    schema_version: int
    clock: int
    recorded_time: int | None
    end_of_disabling: int | None
    """The earliest instant at which a disabling ends by itself; None without one."""
    last_event: int
    """The number of the newest audit event; others append events meanwhile."""
    profiles: tuple[Any, ...]
    """The columns that `rows.profiles` reads."""
    has_continuity: bool | None = None
    """Whether there are continuity events; None if that was not read."""
    subscriptions: tuple[Any, ...] = (None, None)
    """The columns of the subscriptions, if they were read."""

    @property
    def is_alone(self) -> bool:
        """Whether they are those of a change that is alone."""
        return self.has_continuity is not None

    @property
    def has_changeover(self) -> bool:
        """Whether there is a changeover."""
        return self.profiles[1] is not None


def facts(row: tuple[Any, ...]) -> Facts:
    """The facts of a row."""
    (
        registry_id,
        version,
        _moved_to,
        _moving_to,
        _from,
        clock,
        recorded_time,
        end_of_disabling,
        last_event,
        *rest,
    ) = row
    profiles, more = tuple(rest[:_PROFILES_WIDTH]), rest[_PROFILES_WIDTH:]
    read = Facts(registry_id, version, clock, recorded_time, end_of_disabling, last_event, profiles)
    return read._replace(has_continuity=more[0], subscriptions=tuple(more[1:])) if more else read


_CLOCK = Facts._fields.index("clock") + _MARKS_WIDTH
END_OF_DISABLING = Facts._fields.index("end_of_disabling") + _MARKS_WIDTH
"""The place of that fact in a row of `READ_FACTS`, which has the marks of a move, too."""


class ViewFacts(NamedTuple):
    """A row of `READ_VIEW`."""

    registry_id: str
    schema_version: int
    moved_to: str | None
    moving_to: str | None
    arriving_from: str | None
    clock: int
    recorded_time: int | None
    moves: int
    last_number: int
    """The highest number of a session; 0 without one."""
    open_revocation: int | None
    last_revocation: int | None
    last_event: int
    """The number of the newest audit event; 0 without one."""
    last_hash: str
    has_continuity: bool


class SignIn(NamedTuple):
    """The row of `READ_SIGN_IN`."""

    number: int | None
    """The number of the new session; None where it was not asked for."""
    open_revocation: int
    turn: int
    """The transaction that held the gate alone before."""
    user: tuple[Any, ...]
    """The columns of `rows.USER`; all None for a user without a row."""
    facts: tuple[Any, ...]
    """The columns of `READ_FACTS` of a shared change."""
    is_frequent: bool = False
    """Whether another one came not long before on the same connection. The number of the next session is then taken with this one."""
    reckoned: int | None = None
    """The clock of the server as it was reckoned; None where all of this was read for this sign-in."""
    read_at: int = 0
    """When the facts were read, by `kept_facts.present`."""
    user_key: str = ""
    """The key of the user. Where the facts are those of an earlier sign-in, `user` may be another user: the message asks whether this one is disabled."""

    @property
    def check(self) -> Statement:
        """The statement that asks at the turn whether the facts still hold."""
        if self.reckoned is None:
            return Statement(CHECK_TURN, (self.turn,))
        return Statement(CHECK_TURN_AND_USER, (self.turn, self.user_key))


class Revocation(NamedTuple):
    """The row of `READ_REVOCATION`."""

    turn: int
    """The transaction that held the gate alone before."""
    open_revocation: int | None
    """The revocation to close; None in a registry that is damaged."""
    has_sessions: bool
    facts: tuple[Any, ...]
    """The columns of `READ_FACTS` of a change that is alone."""


def with_times(row: tuple[Any, ...], clock: int, recorded_time: int) -> tuple[Any, ...]:
    """A row of `READ_FACTS` with another clock and recorded time."""
    return (*row[:_CLOCK], clock, recorded_time, *row[_CLOCK + 2 :])


def revocation(row: tuple[Any, ...]) -> Revocation | None:
    """The revocation of a row; None where the gate was not free."""
    is_free, turn, open_revocation, has_sessions, *rest = row
    return Revocation(turn, open_revocation, has_sessions, tuple(rest)) if is_free else None


def sign_in(row: tuple[Any, ...]) -> SignIn:
    """The sign-in of a row."""
    number, open_revocation, turn, *rest = row
    return SignIn(number, open_revocation, turn, tuple(rest[:_USER_WIDTH]), tuple(rest[_USER_WIDTH:]))
