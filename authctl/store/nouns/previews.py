"""Previews: the sessions that an operation would end, by their numbers, and their common values.

See docs/glossary.md#bound-of-a-preview.
"""

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.model import Status
from authctl.store.sql.filters import has_status
from authctl.store.sql.tables import WITH_REVOCATION, tables

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Reader
    from authctl.store.protocol.previews import Largest, Summary
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.dialect import Dialect
    from authctl.store.sql.selections import Selection

_NEWEST_FIRST = "PARTITION BY s.username_key, s.application_key ORDER BY s.last_used_at DESC, s.number DESC"


def _largest_groups(dialect: "Dialect", field: str) -> str:
    """The names that most of some sessions have, with their counts, and how many names there are."""
    groups = (
        f"SELECT min(s.{field}) AS name, s.{field}_key AS key, count(*) AS sessions"
        f" FROM {tables(dialect).by_numbers} GROUP BY s.{field}_key"
    )
    order = f"sessions DESC, {dialect.sorted_by('key', descending=False)}"
    return f"SELECT name, sessions, count(*) OVER () FROM ({groups}) AS groups ORDER BY {order} LIMIT :largest"


def numbers(reader: "Reader", chosen: "Selection") -> Sequence[int]:
    """The numbers of a selection's sessions, ascending."""
    if chosen.scan_conditions is not None:
        joined = WITH_REVOCATION if "r." in chosen.where else ""
        return filtered_numbers(reader, chosen.scan_conditions, f"{joined} WHERE {chosen.where}", chosen.parameters)
    return numbers_of(reader, f"{chosen.count_source()} WHERE {chosen.where_in_all_parts}", chosen.parameters)


def numbers_of(reader: "Reader", source: str, given: dict[str, Any]) -> Sequence[int]:
    """The numbers of the sessions of a source, ascending."""
    # decision 284: the database sorts them: while Python sorts a million numbers in one call, no other thread runs, such as the console's screen.
    sorted_rows = reader.connection.execute(f"SELECT s.number FROM {source} ORDER BY s.number", given)
    return array("q", (row[0] for row in sorted_rows))


def filtered_numbers(reader: "Reader", by_index: str, filtered: str, given: dict[str, Any]) -> Sequence[int]:
    """The numbers that the index of deadlines gives, of the sessions that meet the other conditions, too.

    The rows are read in the order in which they lie. Along the index that takes several times as long if they are many, and
    so does it if they are sorted.
    """
    candidates = numbers_of(reader, f"{reader.tables.by_deadline} WHERE {by_index}", given)
    return numbers_of(
        reader, f"{reader.tables.by_numbers} {filtered}", {**given, "numbers": reader.dialect.list_of(candidates)}
    )


def used_last(reader: "Reader", numbers: Sequence[int], limit: int) -> list[int]:
    """Up to `limit` of the numbers: the sessions with the most recent use, that one first."""
    sql = f"SELECT s.number FROM {reader.tables.by_numbers} ORDER BY s.last_used_at DESC, s.number DESC LIMIT :limit"
    return [row[0] for row in reader.all_rows(sql, {"numbers": reader.dialect.list_of(numbers), "limit": limit})]


def beyond_newest(reader: "Reader", numbers: Sequence[int], keep: int) -> Sequence[int]:
    """Those of the numbers whose sessions are not among the newest ones of their user and application, ascending."""
    given = {"numbers": reader.dialect.list_of(numbers), "keep": keep}
    places = f"SELECT s.number AS number, row_number() OVER ({_NEWEST_FIRST}) AS place FROM {reader.tables.by_numbers}"
    sql = f"SELECT number FROM ({places}) AS places WHERE place > :keep"
    return array("q", sorted(row[0] for row in reader.all_rows(sql, given)))


def ids_of(reader: "Reader", numbers: Sequence[int]) -> list[str]:
    """The ids of the sessions with those numbers, sorted."""
    sql = f"SELECT s.id FROM {reader.tables.by_numbers}"
    return sorted(row[0] for row in reader.all_rows(sql, {"numbers": reader.dialect.list_of(numbers)}))


def counts_by_user(reader: "Reader", numbers: Sequence[int]) -> dict[str, int]:
    """How many of the sessions with those numbers each user has."""
    sql = f"SELECT s.username_key, count(*) FROM {reader.tables.by_numbers} GROUP BY s.username_key"
    return dict(reader.all_rows(sql, {"numbers": reader.dialect.list_of(numbers)}))


def summary(reader: "Reader", numbers: Sequence[int], continuity: "Continuity", now: int, largest: int) -> "Summary":
    """Counts of the sessions with those numbers."""
    from authctl.store.protocol.previews import Summary

    given = {"numbers": reader.dialect.list_of(numbers), "now": now, "largest": largest, **continuity.parameters}
    conditions = [
        "s.kind = 'web'",
        *(has_status(status, continuity, now) for status in (Status.ACTIVE, Status.REVOKED)),
    ]
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)
    total, web, active, revoked = reader.all_rows(f"SELECT count(*), {counts} FROM {reader.tables.by_numbers}", given)[
        0
    ]
    users, applications = (_largest(reader, field, given) for field in ("username", "application"))
    return Summary(total, web, active, total - active - revoked, revoked, users, applications)


def _largest(reader: "Reader", field: str, given: dict[str, Any]) -> "Largest":
    from authctl.store.protocol.previews import Largest

    groups = reader.all_rows(_largest_groups(reader.dialect, field), given)
    return Largest(tuple((name, sessions) for name, sessions, _ in groups), groups[0][2] - len(groups) if groups else 0)
