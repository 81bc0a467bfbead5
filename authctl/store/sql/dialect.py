"""The differences between databases in the writing of SQL.

Parameters are no part of them (decision 169): each is written `:name`, and a colon, `?` or `%` has no other meaning in these texts.
So a store whose driver takes another style, such as `%(name)s`, translates every text by one substitution at its connection.
"""

from collections.abc import Iterable
from typing import Any, Protocol


class Dialect(Protocol):
    """The words of one database, as pieces of SQL; hashable, so that texts made of them are made once."""

    def __hash__(self) -> int:
        """The same for equal dialects."""

    @property
    def no_limit(self) -> int | None:
        """The value of a LIMIT that limits nothing."""

    def table(self, name: str, alias: str = "", index: str = "") -> str:
        """A table after FROM, to be entered by that index if the database takes hints."""

    def whole_table(self, name: str, alias: str = "") -> str:
        """A table after FROM, to be read as it lies, by no index but that of its key."""

    def join_in_order(self, first: str, second: str, condition: str) -> str:
        """Two tables after FROM. The first is entered first, if the database lets a query choose that."""

    def list_rows(self, parameter: str, alias: str) -> str:
        """The values of a list after FROM, as rows with the column `value`."""

    def is_listed(self, column: str, parameter: str) -> str:
        """Whether the value of a column is in a list."""

    def list_of(self, values: Iterable[str | int]) -> Any:
        """The value of the parameter for a list."""

    def contains(self, text: str, parameter: str) -> str:
        """Whether a text contains another one, letter by letter."""

    def greatest(self, *values: str) -> str:
        """The greatest of several values; NULL if one of them is NULL."""

    def least(self, *values: str) -> str:
        """The least of several values; NULL if one of them is NULL."""

    def has_delivery(self, states: Iterable[str]) -> str:
        """Whether a session `s` has a delivery in one of those states, those of announcements that were not expanded so far included."""

    def sorted_by(self, column: str, *, descending: bool) -> str:
        """A column after ORDER BY. NULL comes before every value, or after every value if it is descending."""
