"""What the readers of exports share: a line, a rejected row, the layout that a mapping asks for."""

from typing import NamedTuple

from authctl.import_paths import Path

LONGEST_LINE = 16 * 1024 * 1024
"""Bytes; a longer line is no row of an export."""

LONGEST_DOCUMENT = 64 * 1024 * 1024
"""Characters of a JSON document whose rows a mapping can read only with the whole document at hand."""

Line = tuple[int, str]


class Rejected(NamedTuple):
    """A row that cannot be used, and why."""

    reason: str


class Layout(NamedTuple):
    """Where the rows of a file are, as the mapping says; the default is a file that says it itself."""

    rows: Path | None = None
    """The path of the rows within a JSON document."""
    needs_document: bool = False
    """Whether a row can be read only with the whole document around it."""
    columns: tuple[str, ...] | None = None
    """The columns of a text that has no header."""
    delimiter: str | None = None
    """The delimiter of a text: one character, or `whitespace`."""


PLAIN = Layout()
