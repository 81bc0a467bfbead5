"""Pages of lists, as SQL: the next sessions along an index after a cursor, or in a chosen order.

See docs/glossary.md#cursor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.store.sql.continuity import OrderedPart
from authctl.store.sql.orders import BY_REVOCATION, column_of
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.model import Sort
    from authctl.store.protocol.cursors import Cursor
    from authctl.store.sql.dialect import Dialect
    from authctl.store.sql.selections import Selection


def of_kind(kind: str | None) -> list[str]:
    """The condition on a kind, if there is one."""
    return [] if kind is None else [f"s.kind = '{kind}'"]


def key_of(after: "Cursor | None") -> dict[str, Any]:
    """The parameters of a cursor's key."""
    return {f"after_{index}": value for index, value in enumerate(after.key)} if after else {}


def beyond(chosen: "Selection", part: OrderedPart, after: "Cursor | None") -> list[str]:
    """The condition on sessions after a cursor, if there is one: by a comparison of rows."""
    names = ", ".join(f":{name}" for name in key_of(after))
    return [f"({', '.join(chosen.order.columns_in(part))}) < ({names})"] if after else []


def ranges(chosen: "Selection", part: OrderedPart, after: "Cursor | None") -> list[list[str]]:
    """The ranges of an index after a cursor, one after another, each as conditions.

    Revoked sessions are joined from two tables, whose order no single comparison finds in one index: first the rest of the
    cursor's own revocation, then the earlier revocations.
    """
    # Example: the last page ended in revocation 7 with the session used at 12:00. The first range has the rest of
    # revocation 7, used before 12:00; the second has the revocations before 7.
    if after is None or chosen.order is not BY_REVOCATION:
        return [beyond(chosen, part, after)]
    rest = "s.revocation_id = :after_1 AND (s.last_used_at, s.number) < (:after_2, :after_3)"
    return [[rest], ["(r.at, r.id) < (:after_0, :after_1)"]]


def page(chosen: "Selection", columns: str, part: OrderedPart, conditions: Sequence[str]) -> str:
    """The next sessions of a part, in its order."""
    sorted_by = chosen.order.columns_in(part)
    where = " AND ".join([chosen.where, part.condition, *conditions])
    # A column that is a number, as the end of an event is, is the same in all rows and sorts nothing.
    varying = [column for column in dict.fromkeys(sorted_by) if not column.isdecimal()]
    return (
        f"SELECT {columns}, {', '.join(sorted_by)} FROM {chosen.source(part)} WHERE {where}"
        f" ORDER BY {', '.join(f'{column} DESC' for column in varying)} LIMIT :limit"
    )


def short_walk(chosen: "Selection", columns: str, kind: str | None, after: "Cursor | None") -> str:
    """The selected sessions among the next `:passed` of the index of use."""
    order = "s.last_used_at DESC, s.number DESC"
    where = " AND ".join([chosen.index_conditions, *of_kind(kind), *beyond(chosen, OrderedPart(), after)])
    # Two steps: the inner one reads nothing but the index, and stops after `:passed` entries whether they fit or not.
    walk = f"SELECT s.number AS number FROM {chosen.table} WHERE {where} ORDER BY {order} LIMIT :passed"
    dialect = chosen.tables.dialect
    source = dialect.join_in_order(f"({walk}) AS walked", dialect.table("sessions", "s"), "s.number = walked.number")
    return (
        f"SELECT {columns}, s.last_used_at, s.number FROM {source} {WITH_REVOCATION} WHERE {chosen.where}"
        f" ORDER BY {order} LIMIT :limit"
    )


def some_numbers(chosen: "Selection") -> str:
    """The numbers of up to `:most` selected sessions, in no order."""
    return f"SELECT s.number FROM {chosen.count_source()} WHERE {chosen.where} LIMIT :most"


def sorted_numbers(
    chosen: "Selection", sort: "Sort", limit: int | None, after: "Cursor | None"
) -> tuple[str, dict[str, Any]]:
    """The numbers of the selected sessions in a chosen order, after a cursor: all of them, or the next `limit`."""
    dialect = chosen.tables.dialect
    column = column_of(sort.field)
    order = ", ".join(dialect.sorted_by(name, descending=sort.descending) for name in (column, "s.number"))
    later = "TRUE" if after is None else _later(column, sort, after)
    sql = f"SELECT s.number FROM {chosen.unordered_source()} WHERE {chosen.where_in_all_parts} AND {later} ORDER BY {order} LIMIT :limit"
    key, number = after.key if after else (None, None)
    given = {"limit": dialect.no_limit if limit is None else limit, "after_key": key, "after_number": number}
    return sql, {**chosen.parameters, **given}


def _later(column: str, sort: "Sort", after: "Cursor") -> str:
    """The condition for rows after a cursor. A missing value comes before every other, so first, or last if it is descending."""
    sign = "<" if sort.descending else ">"
    if after.key[0] is None:
        same = f"{column} IS NULL AND s.number {sign} :after_number"
        return f"({same})" if sort.descending else f"({same} OR {column} IS NOT NULL)"
    # `NULL < x` is neither true nor false in SQL, so that missing values need a condition of their own.
    more = f"({column}, s.number) {sign} (:after_key, :after_number)"
    return f"({more} OR {column} IS NULL)" if sort.descending else more


def key_of_number(sort: "Sort", dialect: "Dialect") -> str:
    """The key of the session `:number` in a chosen order."""
    table = dialect.table("sessions", "s")
    return f"SELECT {column_of(sort.field)}, s.number FROM {table} {WITH_REVOCATION} WHERE s.number = :number"
