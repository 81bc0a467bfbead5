"""Walks along the index of a list; no page costs more because it is deep, or because the registry is large.

If few sessions meet the criteria, a walk may pass millions that do not: it stops after some of them, and the sessions are read in
no order and sorted, as long as they are few (decision 95).

See docs/glossary.md#cursor.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cached_property
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from authctl.store.nouns import reader
from authctl.store.protocol.cursors import Cursor, Page
from authctl.store.sql import pages

if TYPE_CHECKING:
    from authctl.store.sql.continuity import OrderedPart
    from authctl.store.sql.executor import Executor
    from authctl.store.sql.selections import Selection

_PASSED_PER_WANTED = (2, 16)
"""How many sessions a walk passes for each wanted one, at first and at last."""

_READ_AT_ONCE = 32
"""How many rows of a part are read at once where another part may already fill the page."""


class Walk:
    """A selection on a connection, the columns to read, and the function that makes the session of a row."""

    def __init__(
        self, connection: "Executor", chosen: "Selection", columns: str, session: Callable[[tuple[Any, ...]], Any]
    ) -> None:
        self.connection = connection
        self.chosen = chosen
        self.columns = columns
        self.session = session

    def page(self, limit: int, after: Cursor | None) -> Page:
        """The next sessions, wherever they lie."""
        wanted = limit + 1  # one more, which shows that there is a next page
        read: list[tuple[Any, ...]] = []
        for kind in self.chosen.kinds:
            for part in self.chosen.parts:
                read += self._rows_of_part(part, kind, wanted, after, self._last_key(read, wanted))
        return self._page(read, limit)

    def short_walk(self, limit: int, after: Cursor | None) -> Page | None:
        """The next sessions if a short walk along the index meets them all; None if it meets fewer."""
        walks = (self._walk_past(limit, after, limit * factor) for factor in _PASSED_PER_WANTED)
        return next(filter(None, walks), None)

    def _walk_past(self, limit: int, after: Cursor | None, passed: int) -> Page | None:
        read: list[tuple[Any, ...]] = []
        bounds = {"limit": limit + 1, "passed": passed}
        for kind in self.chosen.kinds:
            sql = pages.short_walk(self.chosen, self.columns, kind, after)
            part = self._all_rows(sql, {**self.chosen.parameters, **pages.key_of(after), **bounds})
            # One part that is too short spoils the page: its next sessions may lie beyond the walk, before those of other parts.
            if len(part) <= limit:
                return None
            read += part
        return self._page(read, limit)

    def numbers_if_few(self) -> list[int] | None:
        """The numbers of all selected sessions; None if they are many."""
        given = {**self.chosen.parameters, "most": reader.MOST_SORTED + 1}
        numbers = [row[0] for row in self._all_rows(pages.some_numbers(self.chosen), given)]
        return None if len(numbers) > reader.MOST_SORTED else numbers

    def _page(self, read: list[tuple[Any, ...]], limit: int) -> Page:
        """The first sessions of several parts, each of which is in order."""
        self._sort(read)
        sessions = list(map(self.session, read[:limit]))
        return Page(sessions, Cursor(self._key(read[limit - 1])) if len(read) > limit else None)

    def _last_key(self, read: list[tuple[Any, ...]], wanted: int) -> tuple[Any, ...] | None:
        """The key of the last wanted row among those that were read; None while they are too few. Sorts and cuts them."""
        if len(read) < wanted:
            return None
        self._sort(read)
        del read[wanted:]
        return self._key(read[-1])

    def _sort(self, read: list[tuple[Any, ...]]) -> None:
        if len(self.chosen.kinds) * len(self.chosen.parts) > 1:  # the rows of one part are in order
            read.sort(key=self._key, reverse=True)

    @cached_property
    def _key(self) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        """A function that gives the key of a row: the columns of the order stand last in each row."""
        return itemgetter(slice(-len(self.chosen.order.columns), None))

    def _all_rows(self, sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def _rows_of_part(
        self, part: "OrderedPart", kind: str | None, limit: int, after: Cursor | None, last_key: tuple[Any, ...] | None
    ) -> list[tuple[Any, ...]]:
        """The next rows of a part, in order; rows behind the last wanted key may be left out."""
        read: list[tuple[Any, ...]] = []
        parameters = {**self.chosen.parameters, **part.parameters, **pages.key_of(after)}
        # The second range is read only if the first did not fill the page.
        for conditions in pages.ranges(self.chosen, part, after):
            if len(read) < limit:
                sql = pages.page(self.chosen, self.columns, part, [*pages.of_kind(kind), *conditions])
                given = {**parameters, "limit": limit - len(read)}
                read += self._all_rows(sql, given) if last_key is None else self._rows_until(sql, given, last_key)
        return read

    def _rows_until(self, sql: str, parameters: dict[str, Any], last_key: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows of a query in order, up to the first few behind a key."""
        # decision 204: a page needs no row after its last one, and the kinds after the first have few
        read: list[tuple[Any, ...]] = []
        with closing(self.connection.execute(sql, parameters)) as cursor:
            while batch := cursor.fetchmany(_READ_AT_ONCE):
                read += batch
                if self._key(batch[-1]) < last_key:
                    break
        return read
