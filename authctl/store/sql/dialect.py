"""The differences between databases in the writing of SQL.

Parameters are no part of them (decision 169): each is written `:name`, and a colon, `?` or `%` has no other meaning in these texts.
So a store whose driver takes another style, such as `%(name)s`, translates every text by one substitution at its connection.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from authctl.store.sql.executor import Executor


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

    def list_rows(self, parameter: str, alias: str, kind: str) -> str:
        """The values of a list after FROM, `bigint` or `text`, as rows with the column `value`, and `id` in their order."""

    def is_listed(self, column: str, parameter: str) -> str:
        """Whether the value of a column is in a list."""

    def list_of(self, values: Iterable[str] | Iterable[int]) -> Any:
        """The value of the parameter for a list."""

    def contains(self, text: str, parameter: str) -> str:
        """Whether a text contains another one, letter by letter."""

    def greatest(self, *values: str) -> str:
        """The greatest of several values; NULL if one of them is NULL."""

    def least(self, *values: str) -> str:
        """The least of several values; NULL if one of them is NULL."""

    def is_set(self, flag: str) -> str:
        """Whether a flag is 1."""

    def differs(self, left: str, right: str) -> str:
        """Whether two values or rows differ; NULL equals NULL."""

    def same(self, left: str, right: str) -> str:
        """Whether two values or rows are the same; NULL equals NULL."""

    def hexadecimal(self, column: str) -> str:
        """The bytes of a column as hexadecimal digits; NULL without any."""

    def json_array(self, values: Iterable[str]) -> str:
        """A JSON array of values."""

    def json_arrays(self, values: Iterable[str], source: str) -> str:
        """A JSON array of all rows of a source, each a JSON array of values."""

    @property
    def columns_of_table(self) -> str:
        """A query of the columns of the table that its parameter names, in their order, each with whether it contains bytes."""

    def of_latest(self, column: str, instant: str) -> str:
        """The column of the row of a group with the latest instant; the maximum of that instant is selected beside it."""

    def is_beyond_ascii(self, text: str) -> str:
        """Whether a text contains a character that is not printable ASCII."""

    @property
    def event_text(self) -> str:
        """The folded text of an audit event."""

    def member(self, column: str, name: str) -> str:
        """The member of a JSON object, as a text."""

    def has_member(self, column: str, name: str, parameter: str) -> str:
        """Whether the array in that member of a JSON object has one of the values in a list."""

    def insert(self, connection: "Executor", sql: str, values: Sequence[Any], key: str) -> int:
        """Insert one row. Returns the number that the database gave it, which is in the column `key`."""

    def is_member(self, value: str, column: str, name: str) -> str:
        """Whether a text is in the array that a JSON object has under that name."""

    def count_members(self, column: str, name: str) -> str:
        """How many values the array has that a JSON object has under that name."""

    def collected(self, column: str) -> str:
        """The values of a column of a group, as a JSON array."""

    def list_pairs(self, parameter: str, alias: str) -> str:
        """The pairs of numbers of a JSON array after FROM, as rows with the columns `first` and `second`, and `id` in their order."""

    def sorted_by(self, column: str, *, descending: bool) -> str:
        """A column after ORDER BY. NULL comes before every value, or after every value if it is descending."""
