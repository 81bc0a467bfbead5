"""Which sessions moved within their list since a walk through it began, as SQL.

A walk goes along an order whose keys change meanwhile: what moves from behind the walk's place to before it would be missed. So a
walk first passes by in its order, without what moved since it began, and then fetches that by number, which never changes.

What a list is ordered by changes by a use, which is later than all that was seen before, or else written as a move; by a revocation,
of which the sessions tell; and by every other deed, which writes the number of its change to each session that it moves.
"""

import json
import sqlite3
from typing import Any

from authctl.model import Session, Sort, SortField
from authctl.store import rows
from authctl.store.paging import Walk
from authctl.store.selection import ALL_BY_USE, BY_EXPIRY, JOINED, OPEN, REVOKED, UNREVOKED_BY_USE, Selection
from authctl.store.values import Cursor, Mark

FEW = 50_000
"""How many numbers are gathered from indexes, rather than met by passing all sessions."""

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
    chosen, since = walk.chosen, after.since
    assert since is not None
    given = {**chosen.parameters, **_given(since), "after": after.key[0], "limit": limit}
    source = f"sessions AS s NOT INDEXED {JOINED}"
    if chosen.table not in _WITHOUT_ENTRANCE:
        source = chosen.source()
    elif since.moves >= 0 and (numbers := _few(walk.connection, given, sort)) is not None:
        given["moved"] = json.dumps(numbers)
        source = f"json_each(:moved) AS m CROSS JOIN sessions AS s ON s.number = m.value {JOINED}"
    sql = (
        f"SELECT {walk.columns} FROM {source} WHERE {chosen.where_at_all} AND ({_has_moved(sort)})"
        " AND s.number > :after AND s.number <= :mark_last_number ORDER BY s.number LIMIT :limit"
    )
    return [rows.checked_session(row) for row in walk.connection.execute(sql, given)]


def _few(connection: sqlite3.Connection, given: dict[str, Any], sort: Sort | None) -> list[int] | None:
    """The numbers of what may have moved, above the one that was reached; None where they are many."""
    indexes = (*_NUMBERS, *(_REVOKED_NUMBERS if _goes_by_revocation(sort) else ()))
    ranges = " UNION ALL ".join(f"{sql} AND number > :after" for sql in indexes)
    found = connection.execute(f"SELECT number FROM ({ranges}) LIMIT {FEW + 1}", given).fetchall()
    return None if len(found) > FEW else sorted({row[0] for row in found})


def _has_moved(sort: Sort | None) -> str:
    conditions = [_USED, _MOVED, *([_REVOKED] if _goes_by_revocation(sort) else ())]
    return " OR ".join(f"({condition})" for condition in conditions)


def _goes_by_revocation(sort: Sort | None) -> bool:
    """Whether a revocation moves a session within a list; in the own order of what is revoked it only comes in."""
    return sort is not None and sort.field is SortField.REVOKED_AT


def _given(since: Mark) -> dict[str, Any]:
    return {f"mark_{name}": value for name, value in since._asdict().items()}
