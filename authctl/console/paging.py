"""A list that is read page by page while a person scrolls: the rows that are known, and the page that is needed next.

Pure; knows neither the registry nor the screen. The rows of the pages that were looked at last are kept, of all others only the place
where each begins.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import dropwhile, takewhile
from typing import Any, NamedTuple

from authctl.records import Record

_AHEAD = 100
"""The number of rows below the screen that are read before they are looked at."""
_MOST_KEPT = 12
"""The number of pages whose rows are kept."""


class Row(NamedTuple):
    """One row of a list."""

    key: str
    """The identity of the row: the id of a session, the name of a user, the number of an event."""
    record: Record


class Page(NamedTuple):
    """Some rows of a list, and the place where the next page begins; None after the last page."""

    rows: Sequence[Row]
    next: Any


class PagedList:
    """The pages of one list."""

    def __init__(self) -> None:
        self._places: list[Any] = [None]
        """Where each page begins."""
        self._ends: list[int] = []
        """How many rows there are up to the end of each page."""
        self._rows: OrderedDict[int, Sequence[Row]] = OrderedDict()
        self._outdated: set[int] = set()
        self.is_complete = False
        """Whether the last page is known."""

    def __len__(self) -> int:
        """The number of rows that are known so far."""
        return self._ends[-1] if self._ends else 0

    @property
    def is_read(self) -> bool:
        """Whether any page was read."""
        return bool(self._ends)

    def row(self, index: int) -> Row | None:
        """The row of that index; None where its page has to be read."""
        number = self._page_of(index)
        rows = self._rows.get(number)
        return rows[index - self._begin(number)] if rows and 0 <= index < len(self) else None

    def index_of(self, key: str) -> int | None:
        """The index of a row among the pages whose rows are kept."""
        for number, rows in self._rows.items():
            for place, row in enumerate(rows):
                if row.key == key:
                    return self._begin(number) + place
        return None

    def rows_around(self, first: int, count: int) -> tuple[int, Sequence[Row]]:
        """The rows of the kept pages that those lines touch, up to a page that is missing, with the index of the first of them."""
        numbers = list(dropwhile(lambda number: number not in self._rows, self._touched(first, count)))
        kept = list(takewhile(lambda number: number in self._rows, numbers))
        return (self._begin(kept[0]) if kept else 0), [row for number in kept for row in self._rows[number]]

    def wanted(self, first: int, count: int) -> int | None:
        """The next page to read so that those lines can be shown, and one page beyond them; None where all are there."""
        touched = [
            number for number in self._touched(first, count) if number not in self._rows or number in self._outdated
        ]
        if touched:
            return touched[0]
        is_near_end = first + count + _AHEAD >= len(self)
        return len(self._ends) if is_near_end and not self.is_complete else None

    def place(self, number: int) -> Any:
        """Where that page begins."""
        return self._places[number]

    def put(self, number: int, page: Page) -> None:
        """Keep the rows of a page that was read. If it has other rows than before, the pages after it are read again."""
        # The place of the next page depends on the last row of this one: if the rows are the same, so is that place.
        is_same = number + 1 < len(self._places) and self._keys(number) == [row.key for row in page.rows]
        self._rows[number] = page.rows
        self._rows.move_to_end(number)
        self._outdated.discard(number)
        if not is_same:
            self._cut_after(number, page)
        while len(self._rows) > _MOST_KEPT:
            self._rows.popitem(last=False)

    def outdate(self) -> None:
        """Read every page again when it is next looked at; until then its rows stay."""
        self._outdated.update(self._rows)

    def restart(self) -> None:
        """Begin the list anew: where its pages begin is read again, too. Until then its rows stay."""
        self._outdated.update(self._rows)
        self._places[1:] = []
        self.is_complete = False

    def _cut_after(self, number: int, page: Page) -> None:
        self._ends[number:] = [self._begin(number) + len(page.rows)]
        self._places[number + 1 :] = [] if page.next is None else [page.next]
        self.is_complete = page.next is None
        for later in [kept for kept in self._rows if kept > number]:
            del self._rows[later]
            self._outdated.discard(later)

    def _keys(self, number: int) -> list[str] | None:
        rows = self._rows.get(number)
        return None if rows is None else [row.key for row in rows]

    def _begin(self, number: int) -> int:
        return self._ends[number - 1] if number else 0

    def _page_of(self, index: int) -> int:
        # An end is the index after the last row, so an equal index belongs to the next page.
        return bisect_right(self._ends, index)

    def _touched(self, first: int, count: int) -> Iterator[int]:
        """The pages that some lines touch, as far as it is known where they begin."""
        last = min(self._page_of(first + max(count, 1) - 1), len(self._places) - 1)
        yield from range(min(self._page_of(first), last), last + 1)
