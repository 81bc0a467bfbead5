"""Which sessions moved within their list since a walk through it began, as SQL.

A walk goes along an order whose keys change meanwhile: what moves from behind the walk's place to before it would be missed. So a
walk first passes by in its order, without what moved since it began, and then fetches that by number, which never changes.

What a list is ordered by changes by a use, which is later than all that was seen before, or else written as a move; by a revocation,
of which the sessions tell; and by every other deed, which writes the number of its change to each session that it moves.

See docs/glossary.md#walk.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from authctl.model import Session, Sort, SortField
from authctl.store import rows
from authctl.store.paging import Walk
from authctl.store.selection import ALL_BY_USE, BY_EXPIRY, JOINED, OPEN, REVOKED, UNREVOKED_BY_USE, Selection
from authctl.store.values import Cursor, Mark

_STRETCH = 20
"""How many sessions are passed at first for each that is asked for: enough where many moved."""
_LONGEST_STRETCH = 100_000

GATHERED = (500, 10_000)
"""How many of those that moved are looked at, at first and then, before all sessions are passed."""

# Whoever ends a session writes a move; and one without tokens is used by nobody: its instants are what an import told.
_USED = "s.last_used_at > :mark_seen_at AND s.ended_at IS NULL AND s.secret_hash IS NOT NULL"
_MOVED = "coalesce(s.moved_in, 0) > :mark_moves"
_REVOKED = (
    "(s.revocation_id = :mark_open_revocation OR s.revocation_id > :mark_last_revocation)"
    f" AND s.revocation_id <> {OPEN}"
)

_NUMBERS = [
    "SELECT number FROM sessions INDEXED BY sessions_by_move WHERE moved_in > :mark_moves",
    (
        "SELECT number FROM sessions INDEXED BY sessions_by_use"
        " WHERE kind IN ('application', 'web') AND last_used_at > :mark_seen_at"
    ),
]
_REVOKED_NUMBERS = [
    f"SELECT number FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id {which} AND revocation_id <> {OPEN}"
    for which in ("= :mark_open_revocation", "> :mark_last_revocation")
]
_WITHOUT_ENTRANCE = (ALL_BY_USE, UNREVOKED_BY_USE, BY_EXPIRY, REVOKED)
"""Tables that are entered at the whole of the sessions, and not at the few of a user, of some ids or of a search."""


_BY_NUMBER = f"sessions AS s NOT INDEXED {JOINED}"
_GATHERED = (
    f"(SELECT DISTINCT value FROM json_each(:moved)) AS m CROSS JOIN sessions AS s ON s.number = m.value {JOINED}"
)


def counters(connection: sqlite3.Connection) -> Mark:
    """How far a registry has counted."""
    sql = (
        "SELECT (SELECT seen_at FROM clock), (SELECT moves FROM registry),"
        f" (SELECT coalesce(max(number), 0) FROM sessions), {OPEN}, (SELECT max(id) FROM revocations)"
    )
    return Mark(*connection.execute(sql).fetchone())


def unmoved(chosen: Selection, since: Mark | None, sort: Sort | None = None) -> Selection:
    """A selection without what moved since a mark, and without what was registered since; without a mark, as it is."""
    if since is None:
        return chosen
    conditions = (*chosen.conditions, "+s.number <= :mark_last_number", f"NOT ({_has_moved(sort)})")
    return chosen._replace(conditions=conditions, parameters={**chosen.parameters, **_given(since)})


def page(walk: Walk, limit: int, after: Cursor, sort: Sort | None) -> list[Session]:
    """See `View.moved` of `base`."""
    search = _Search(walk, limit, after, sort)
    if walk.chosen.table not in _WITHOUT_ENTRANCE:
        return search.sessions(walk.chosen.source())
    stretch = "SELECT number FROM sessions WHERE number > :after ORDER BY number LIMIT :stretch"
    found = search.sessions(_BY_NUMBER, f"s.number <= (SELECT max(number) FROM ({stretch}))")
    if len(found) == limit:
        return found
    for most in GATHERED if search.knows_what_moved else ():
        numbers = search.numbers(most)
        found = search.sessions(_GATHERED, numbers=numbers)
        if len(found) == limit or len(numbers) < most:
            return found
    return search.sessions(_BY_NUMBER)


class _Search:
    """A search for the next sessions of a selection that moved, by their numbers."""

    def __init__(self, walk: Walk, limit: int, after: Cursor, sort: Sort | None) -> None:
        assert after.since is not None
        self._walk = walk
        self._sort = sort
        self._given = {**walk.chosen.parameters, **_given(after.since), "after": after.key[0]}
        self._bounds = {"limit": limit, "stretch": min(limit * _STRETCH, _LONGEST_STRETCH)}
        self.knows_what_moved = after.since.moves >= 0

    def sessions(self, source: str, condition: str = "TRUE", numbers: Sequence[int] = ()) -> list[Session]:
        """The next sessions that are found there."""
        where = f"{self._walk.chosen.where_at_all} AND ({_has_moved(self._sort)}) AND {condition}"
        sql = (
            f"SELECT {self._walk.columns} FROM {source} WHERE {where}"
            " AND s.number > :after AND s.number <= :mark_last_number ORDER BY s.number LIMIT :limit"
        )
        given = {**self._given, **self._bounds, "moved": json.dumps(numbers)}
        return [rows.checked_session(row) for row in self._walk.connection.execute(sql, given)]

    def numbers(self, most: int) -> list[int]:
        """The next numbers of what may have moved, so many at the most; one that two indexes know may come twice."""
        indexes = (*_NUMBERS, *(_REVOKED_NUMBERS if _goes_by_revocation(self._sort) else ()))
        ranges = " UNION ALL ".join(f"{sql} AND number > :after" for sql in indexes)
        sql = f"SELECT number FROM ({ranges}) ORDER BY number LIMIT :most"
        return [row[0] for row in self._walk.connection.execute(sql, {**self._given, "most": most})]


def _has_moved(sort: Sort | None) -> str:
    conditions = [_USED, _MOVED, *([_REVOKED] if _goes_by_revocation(sort) else ())]
    return " OR ".join(f"({condition})" for condition in conditions)


def _goes_by_revocation(sort: Sort | None) -> bool:
    """Whether a revocation moves a session within a list; in the own order of what is revoked it only comes in."""
    return sort is not None and sort.field is SortField.REVOKED_AT


def _given(since: Mark) -> dict[str, Any]:
    return {f"mark_{name}": value for name, value in since._asdict().items()}
