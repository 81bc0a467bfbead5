"""The values that all readers of exports use: a line, a rejected row, the content of a file, the layout of a mapping."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from authctl.import_paths import DocumentRow, Path

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is no row of an export."""

LONGEST_DOCUMENT = 64 * 1024 * 1024
"""Characters of a JSON document whose rows a mapping can read only with the whole document at hand."""

Line = tuple[int, str]


class Rejected(NamedTuple):
    """A row that cannot be used, and why."""

    reason: str


class NoRows(NamedTuple):
    """A document that has no row; its own values, such as the time of a listing, can be read all the same."""

    position: DocumentRow
    """The place where a row would stand."""


class Export(NamedTuple):
    """The content of a file: its rows, each with the number of the line it begins on, and the columns of a text."""

    rows: Iterator[tuple[int, Any | Rejected | NoRows]]
    columns: tuple[str, ...] | None = None


class Layout(NamedTuple):
    """The place of the rows of a file, from the mapping; the default is a file that shows it by its content."""

    rows: Path | None = None
    """The path of the rows within a JSON document."""
    needs_document: bool = False
    """Whether a row can be read only with the whole document around it."""
    columns: tuple[str, ...] | None = None
    """The columns of a text that has no header."""
    delimiter: str | None = None
    """The delimiter of a text: one character, or `whitespace`."""


PLAIN = Layout()
