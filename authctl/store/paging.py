"""Lists of sessions, page by page, in the order of an index; no page costs more because it is deep, or the registry large.

A list is walked along its index. Where few sessions meet the criteria a walk may pass millions that do not: it stops after a
stretch, and the sessions are looked for in no order, and sorted, as long as they are few.
"""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from authctl.model import Sort
from authctl.store import rows, searching
from authctl.store.holding import Lane
from authctl.store.selection import BY_REVOCATION, SORTED, Selection, kinds
from authctl.store.values import Cursor, Page

_STRETCHES = (2, 16)
"""How many sessions a walk passes for each that is asked for, at first and at last."""


class Walk(NamedTuple):
    """A selection on a connection, and the columns that its rows have."""

    connection: sqlite3.Connection
    columns: str
    chosen: Selection

    def page(self, limit: int, after: Cursor | None) -> Page:
        """The next sessions, wherever they lie."""
        found: list[tuple[Any, ...]] = []
        for kind in kinds(self.chosen):
            for lane in self.chosen.lanes:
                found += self._lane(lane, kind, limit + 1, after)  # the one more tells whether there is a next page
        return self._page(found, limit)

    def near(self, limit: int, after: Cursor | None) -> Page | None:
        """The same where a stretch of the index has them; None where it has fewer than asked for."""
        pages = (self._stretched(limit, after, limit * factor) for factor in _STRETCHES)
        return next(filter(None, pages), None)

    def _stretched(self, limit: int, after: Cursor | None, stretch: int) -> Page | None:
        found: list[tuple[Any, ...]] = []
        beyond, key = self._beyond(Lane(), after)
        order = "s.last_used_at DESC, s.number DESC"
        for kind in kinds(self.chosen):
            walked = [self.chosen.walked, *_of_kind(kind), *beyond]
            walk = f"SELECT s.number AS near FROM {self.chosen.table} WHERE {' AND '.join(walked)} ORDER BY {order} LIMIT :stretch"
            sql = (
                f"SELECT {self.columns}, s.last_used_at, s.number FROM ({walk}) CROSS JOIN sessions AS s ON s.number = near"
                f" JOIN revocations AS r ON r.id = s.revocation_id WHERE {self.chosen.where} ORDER BY {order} LIMIT :limit"
            )
            bounds = {"limit": limit + 1, "stretch": stretch}
            part = self._all(sql, {**self.chosen.parameters, **key, **bounds})
            if len(part) <= limit:
                return None
            found += part
        return self._page(found, limit)

    def few(self) -> list[int] | None:
        """The numbers of all that are selected; None where they are many."""
        sql = f"SELECT s.number FROM {self.chosen.counted()} WHERE {self.chosen.where} LIMIT {searching.FEW + 1}"
        numbers = [row[0] for row in self._all(sql, self.chosen.parameters)]
        return None if len(numbers) > searching.FEW else numbers

    def _page(self, found: list[tuple[Any, ...]], limit: int) -> Page:
        width = len(self.chosen.order.columns)
        found.sort(key=itemgetter(slice(-width, None)), reverse=True)
        sessions = [rows.checked_session(row) for row in found[:limit]]
        return Page(sessions, Cursor(found[limit - 1][-width:]) if len(found) > limit else None)

    def _all(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def _beyond(self, lane: Lane, after: Cursor | None) -> tuple[list[str], dict[str, Any]]:
        if after is None:
            return [], {}
        key = {f"after_{index}": value for index, value in enumerate(after.key)}
        return [f"({', '.join(self.chosen.order.along(lane))}) < ({', '.join(f':{name}' for name in key)})"], key

    def _lane(self, lane: Lane, kind: str | None, limit: int, after: Cursor | None) -> list[tuple[Any, ...]]:
        conditions = [self.chosen.where, lane.condition, *_of_kind(kind)]
        beyond, key = self._beyond(lane, after)
        if after is None or self.chosen.order is not BY_REVOCATION:
            return self._part(lane, [*conditions, *beyond], limit, key)
        within = "s.revocation_id = :after_1 AND (s.last_used_at, s.number) < (:after_2, :after_3)"
        found = self._part(lane, [*conditions, within], limit, key)
        if len(found) < limit:
            earlier = "(r.at, r.id) < (:after_0, :after_1)"
            found += self._part(lane, [*conditions, earlier], limit - len(found), key)
        return found

    def _part(self, lane: Lane, conditions: Sequence[str], limit: int, key: dict[str, Any]) -> list[tuple[Any, ...]]:
        columns = self.chosen.order.along(lane)
        sql = (
            f"SELECT {self.columns}, {', '.join(columns)} FROM {self.chosen.source(lane)} WHERE {' AND '.join(conditions)}"
            f" ORDER BY {', '.join(f'{column} DESC' for column in _varying(columns))} LIMIT :limit"
        )
        return self._all(sql, {**self.chosen.parameters, **lane.parameters, **key, "limit": limit})


def _of_kind(kind: str | None) -> list[str]:
    return [] if kind is None else [f"s.kind = '{kind}'"]


def _varying(columns: Sequence[str]) -> list[str]:
    """The columns, each once, without those that are a number: one that all rows have in common orders nothing."""
    return [column for column in dict.fromkeys(columns) if not column.isdecimal()]


def sorted_numbers(
    connection: sqlite3.Connection, chosen: Selection, sort: Sort, limit: int | None, after: Cursor | None
) -> list[tuple[int]]:
    """The numbers of a selection in an order that was asked for, one row each: all, or the next so many after a cursor."""
    direction = "DESC" if sort.descending else "ASC"
    column = SORTED[sort.field]
    beyond = "TRUE" if after is None else _beyond_sorted(column, sort, after)
    sql = (
        f"SELECT s.number FROM {chosen.unordered()} WHERE {chosen.where_at_all} AND {beyond}"
        f" ORDER BY {column} {direction}, s.number {direction} LIMIT :limit"
    )
    key, number = after.key if after else (None, None)
    given = {"limit": -1 if limit is None else limit, "after_key": key, "after_number": number}
    return connection.execute(sql, {**chosen.parameters, **given}).fetchall()


def _beyond_sorted(column: str, sort: Sort, after: Cursor) -> str:
    """What comes after a cursor: SQLite puts NULL before everything, so that it comes first, or from the greatest on last."""
    sign = "<" if sort.descending else ">"
    is_blank = after.key[0] is None
    if is_blank:
        later = f"{column} IS NULL AND s.number {sign} :after_number"
        return f"({later})" if sort.descending else f"({later} OR {column} IS NOT NULL)"
    later = f"({column}, s.number) {sign} (:after_key, :after_number)"
    return f"({later} OR {column} IS NULL)" if sort.descending else later
