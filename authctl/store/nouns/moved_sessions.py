"""Sessions that moved in their list since a walk through it began (decision 125).

A walk follows an order whose values change meanwhile: a session that moves from behind the place of the walk to before it
would be missed. So a walk first follows its order, without the sessions that moved since it began, and then reads those by
their numbers, which never change.

The values of an order change in three ways. A use is later than the recorded time, or is written as a move. A revocation is
seen by its number. Every other change writes its own number to each session that it moves.

See docs/glossary.md#walk.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.model import Session, Sort, SortField
from authctl.store.protocol.cursors import Cursor, MoveCounters
from authctl.store.sql.selections import Selection
from authctl.store.sql.tables import WITH_REVOCATION, tables

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader
    from authctl.store.nouns.walks import Walk
    from authctl.store.sql.dialect import Dialect

_READ_PER_WANTED = 20
"""How many sessions are read at first for each wanted one: enough if many moved."""

_MOST_READ = 100_000

MOST_CANDIDATES = (500, 10_000)
"""How many sessions that moved are looked at, at first and then, before all sessions are read."""

# A hard end is written as a move. Nobody uses a session without tokens: its instants come from an import.
_WAS_USED = "s.last_used_at > :began_recorded_time AND s.ended_at IS NULL AND s.secret_hash IS NOT NULL"
_WAS_MOVED = "coalesce(s.moved_in, 0) > :began_moves"


class _Texts:
    """The conditions and queries, in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        entrances = tables(dialect)
        is_open = entrances.open_revocation
        self.was_revoked = (
            "(s.revocation_id = :began_open_revocation OR s.revocation_id > :began_last_revocation)"
            f" AND s.revocation_id <> {is_open}"
        )
        by_move = dialect.table("sessions", index="sessions_by_move")
        by_use = dialect.table("sessions", index="sessions_by_use")
        by_revocation = dialect.table("sessions", index="sessions_by_revocation")
        self.numbers = (
            f"SELECT number FROM {by_move} WHERE moved_in > :began_moves",
            f"SELECT number FROM {by_use} WHERE kind IN ('application', 'web') AND last_used_at > :began_recorded_time",
        )
        self.revoked_numbers = tuple(
            f"SELECT number FROM {by_revocation} WHERE revocation_id {which} AND revocation_id <> {is_open}"
            for which in ("= :began_open_revocation", "> :began_last_revocation")
        )
        self.of_all_sessions = (*entrances.walks, entrances.by_deadline, entrances.revoked)
        """Entrances to all sessions, and not to the few of a user, of some ids or of a search."""
        self.by_number = f"{entrances.anywhere} {WITH_REVOCATION}"
        moved = f"(SELECT DISTINCT value FROM {dialect.list_rows('moved', 'listed', 'bigint')}) AS m"
        found = dialect.join_in_order(moved, dialect.table("sessions", "s"), "s.number = m.value")
        self.by_candidates = f"{found} {WITH_REVOCATION}"


@cache
def _texts(dialect: "Dialect") -> _Texts:
    return _Texts(dialect)


def without_moved(chosen: Selection, since: MoveCounters | None, sort: Sort | None = None) -> Selection:
    """A selection without the sessions that moved or were registered since those counters; without counters, as it is."""
    if since is None:
        return chosen
    # the sum keeps the table from being entered by number
    conditions = (
        *chosen.conditions,
        "s.number + 0 <= :began_last_number",
        f"NOT ({_has_moved(sort, chosen.tables.dialect)})",
    )
    return chosen._replace(conditions=conditions, parameters={**chosen.parameters, **_given(since)})


def page(reader: "Reader", walk: "Walk", limit: int, after: Cursor, sort: Sort | None) -> list[Session]:
    """The next sessions that moved, by number: see `PagesView.moved_sessions`.

    A selection of few sessions is read through. Otherwise the sessions of the next numbers are read first, then those that the
    indexes of moves, uses and revocations name, and at last all.
    """
    search = _Search(reader, walk, limit, after, sort)
    texts, chosen = search.texts, walk.chosen
    # Few sessions: looking at each of them is cheaper than asking three indexes.
    if chosen.table not in texts.of_all_sessions:
        return search.sessions(chosen.source())
    next_numbers = "SELECT number FROM sessions WHERE number > :after ORDER BY number LIMIT :read"
    moved = search.sessions(texts.by_number, f"s.number <= (SELECT max(number) FROM ({next_numbers}) AS next_ones)")
    if len(moved) == limit:
        return moved
    for most in MOST_CANDIDATES if search.knows_what_moved else ():
        numbers = search.numbers(most)
        moved = search.sessions(texts.by_candidates, numbers=numbers)
        # Fewer numbers than asked for: the indexes have no more, and no other session moved.
        if len(moved) == limit or len(numbers) < most:
            return moved
    return search.sessions(texts.by_number)


class _Search:
    """A search for the next sessions of a selection that moved, by their numbers."""

    def __init__(self, reader: "Reader", walk: "Walk", limit: int, after: Cursor, sort: Sort | None) -> None:
        assert after.since is not None
        self._reader = reader
        self.texts = _texts(reader.dialect)
        self._walk = walk
        self._sort = sort
        self._given = {**walk.chosen.parameters, **_given(after.since), "after": after.key[0]}
        self._bounds = {"limit": limit, "read": min(limit * _READ_PER_WANTED, _MOST_READ)}
        self.knows_what_moved = after.since.moves >= 0

    def sessions(self, source: str, condition: str = "TRUE", numbers: Sequence[int] = ()) -> list[Session]:
        """The next sessions that moved, from that source."""
        where = f"{self._walk.chosen.where_in_all_parts} AND ({_has_moved(self._sort, self._reader.dialect)}) AND {condition}"
        sql = (
            f"SELECT {self._walk.columns} FROM {source} WHERE {where}"
            " AND s.number > :after AND s.number <= :began_last_number ORDER BY s.number LIMIT :limit"
        )
        given = {**self._given, **self._bounds, "moved": self._reader.dialect.list_of(numbers)}
        return list(map(self._walk.session, self._reader.all_rows(sql, given)))

    def numbers(self, most: int) -> list[int]:
        """Up to so many next numbers of sessions that may have moved; a number that two indexes have may come twice."""
        indexes = (*self.texts.numbers, *(self.texts.revoked_numbers if _goes_by_revocation(self._sort) else ()))
        ranges = " UNION ALL ".join(f"{sql} AND number > :after" for sql in indexes)
        sql = f"SELECT number FROM ({ranges}) AS ranges ORDER BY number LIMIT :most"
        return [row[0] for row in self._reader.all_rows(sql, {**self._given, "most": most})]


def _has_moved(sort: Sort | None, dialect: "Dialect") -> str:
    conditions = [_WAS_USED, _WAS_MOVED, *([_texts(dialect).was_revoked] if _goes_by_revocation(sort) else ())]
    return " OR ".join(f"({condition})" for condition in conditions)


def _goes_by_revocation(sort: Sort | None) -> bool:
    """Whether a revocation moves a session in its list. Into the list of revoked sessions it only brings new ones."""
    return sort is not None and sort.field is SortField.REVOKED_AT


def _given(since: MoveCounters) -> dict[str, Any]:
    return {f"began_{name}": value for name, value in since._asdict().items()}
