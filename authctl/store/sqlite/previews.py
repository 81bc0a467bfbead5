"""Previews in SQLite: the sessions that an operation would end, by their numbers, and their common values.

See docs/glossary.md#bound-of-a-preview.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.model import Status
from authctl.store.sql.filters import has_status
from authctl.store.sql.tables import WITH_REVOCATION
from authctl.store.sqlite.dialect import TABLES
from authctl.store.sqlite.library import sqlite3

if TYPE_CHECKING:
    from authctl.store.protocol.previews import Largest, Summary
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.selections import Selection

_LARGEST = (  # SQLite takes a column without an aggregate from any row of its group
    f"SELECT name, sessions, count(*) OVER () FROM (SELECT s.{{field}} AS name, s.{{field}}_key AS key, count(*) AS sessions"
    f" FROM {TABLES.by_numbers} GROUP BY s.{{field}}_key) ORDER BY sessions DESC, key LIMIT :largest"
)

_PIECE = 10_000
_NEWEST_FIRST = "PARTITION BY s.username_key, s.application_key ORDER BY s.last_used_at DESC, s.number DESC"
_BEYOND_NEWEST = (
    f"SELECT number FROM (SELECT s.number AS number, row_number() OVER ({_NEWEST_FIRST}) AS place FROM {TABLES.by_numbers})"
    " WHERE place > :keep"
)


def numbers(connection: sqlite3.Connection, chosen: Selection) -> Sequence[int]:
    """The numbers of a selection's sessions, ascending."""
    if chosen.scan_conditions is not None:
        joined = WITH_REVOCATION if "r." in chosen.where else ""
        return filtered_numbers(connection, chosen.scan_conditions, f"{joined} WHERE {chosen.where}", chosen.parameters)
    return numbers_of(connection, f"{chosen.count_source()} WHERE {chosen.where_in_all_parts}", chosen.parameters)


def numbers_of(connection: sqlite3.Connection, source: str, given: dict[str, Any]) -> Sequence[int]:
    """The numbers of the sessions of a source, ascending."""
    # decision 324
    # SQLite sorts them: while Python sorts a million numbers in one call, no other thread runs, such as the console's screen.
    found = connection.execute(f"SELECT s.number FROM {source} ORDER BY s.number", given)
    return array("q", (row[0] for row in found))


def listed(numbers: Sequence[int]) -> str:
    """The numbers as the parameter of a list. In pieces: in between another thread may run."""
    pieces = (json.dumps(list(numbers[start : start + _PIECE]))[1:-1] for start in range(0, len(numbers), _PIECE))
    return f"[{','.join(pieces)}]"


def filtered_numbers(
    connection: sqlite3.Connection, by_index: str, filtered: str, given: dict[str, Any]
) -> Sequence[int]:
    """The numbers that the index of deadlines gives, of the sessions that meet the other conditions, too.

    The rows are read in the order in which they lie. Along the index that takes several times as long if they are many, and
    so does it if SQLite sorts them.
    """
    candidates = numbers_of(connection, f"{TABLES.by_deadline} WHERE {by_index}", given)
    return numbers_of(connection, f"{TABLES.by_numbers} {filtered}", {**given, "numbers": listed(candidates)})


def used_last(connection: sqlite3.Connection, numbers: Sequence[int], limit: int) -> list[int]:
    """Up to `limit` of the numbers: the sessions with the most recent use, that one first."""
    sql = f"SELECT s.number FROM {TABLES.by_numbers} ORDER BY s.last_used_at DESC, s.number DESC LIMIT :limit"
    return [row[0] for row in connection.execute(sql, {"numbers": listed(numbers), "limit": limit})]


def beyond_newest(connection: sqlite3.Connection, numbers: Sequence[int], keep: int) -> Sequence[int]:
    """Those of the numbers whose sessions are not among the newest ones of their user and application, ascending."""
    given = {"numbers": listed(numbers), "keep": keep}
    return array("q", sorted(row[0] for row in connection.execute(_BEYOND_NEWEST, given)))


def ids_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[str]:
    """The ids of the sessions with those numbers, sorted."""
    sql = f"SELECT s.id FROM {TABLES.by_numbers}"
    return sorted(row[0] for row in connection.execute(sql, {"numbers": listed(numbers)}))


def counts_by_user(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[str, int]:
    """How many of the sessions with those numbers each user has."""
    sql = f"SELECT s.username_key, count(*) FROM {TABLES.by_numbers} GROUP BY s.username_key"
    return dict(connection.execute(sql, {"numbers": listed(numbers)}).fetchall())


def summary(
    connection: sqlite3.Connection, numbers: Sequence[int], continuity: Continuity, now: int, largest: int
) -> Summary:
    """Counts of the sessions with those numbers."""
    from authctl.store.protocol.previews import Summary

    given = {"numbers": listed(numbers), "now": now, "largest": largest, **continuity.parameters}
    of_status = [f"total({has_status(status, continuity, now)})" for status in (Status.ACTIVE, Status.REVOKED)]
    sql = f"SELECT count(*), total(s.kind = 'web'), {', '.join(of_status)} FROM {TABLES.by_numbers}"
    # total() and not sum(): of no rows, sum() is NULL.
    total, web, active, revoked = map(int, connection.execute(sql, given).fetchone())
    users, applications = (_largest(connection, field, given) for field in ("username", "application"))
    return Summary(total, web, active, total - active - revoked, revoked, users, applications)


def _largest(connection: sqlite3.Connection, field: str, given: dict[str, Any]) -> Largest:
    from authctl.store.protocol.previews import Largest

    groups = connection.execute(_LARGEST.format(field=field), given).fetchall()
    return Largest(tuple((name, sessions) for name, sessions, _ in groups), groups[0][2] - len(groups) if groups else 0)
