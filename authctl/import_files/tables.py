"""Texts with columns: CSV as RFC 4180 has it, and lines divided by a character or by white space."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from authctl.errors import InvalidInput
from authctl.import_files.values import Export, Layout, Line, Rejected

MOST_COLUMNS = 1_000

_LONGEST_HEADER = 1024 * 1024
_DELIMITERS = ",;\t|"
_QUOTING = ",;"
"""Delimiters that go with quotes where a mapping names them; programs that write others write quotes as they are."""
_SPACES = re.compile(r"[ \t]+")


def table(first: Line, lines: Iterator[Line], name: str, layout: Layout) -> Export:
    """The rows of a text of which the first line was read. Raises InvalidInput, also while the rows are read."""
    if len(first[1]) > _LONGEST_HEADER:
        raise InvalidInput(f"{name}: the header is longer than {_LONGEST_HEADER:,} characters")
    cells = _cells(first, lines, name, layout.delimiter)
    columns = layout.columns or tuple(column.strip() for column in next(cells)[1])
    if len(columns) > MOST_COLUMNS:
        raise InvalidInput(f"{name}: {len(columns):,} columns are more than {MOST_COLUMNS:,}")
    return Export(_rows(cells, columns, name, layout), columns)


def _rows(
    cells: "_QuotedCells | _PlainCells", columns: Sequence[str], name: str, layout: Layout
) -> Iterator[tuple[int, Any]]:
    origin = "the mapping" if layout.columns else "the header"
    for number, row in cells:
        # csv gives no cell or one blank cell for an empty line, which is no row.
        if len(row) <= 1 and not "".join(row).strip():
            continue
        if len(row) == len(columns):
            yield number, dict(zip(columns, row, strict=True))
        # A short last line without a line break was cut off: a download that stopped. In the middle of a file it is one bad row.
        elif len(row) < len(columns) and not cells.last.endswith("\n"):
            raise InvalidInput(f"{name}: the file is incomplete in line {number}")
        else:
            yield number, Rejected(f"it has {len(row):,} cells, and {origin} {len(columns):,}")


def _cells(first: Line, lines: Iterator[Line], name: str, delimiter: str | None) -> "_QuotedCells | _PlainCells":
    if delimiter is None or delimiter in _QUOTING:
        return _QuotedCells(first, lines, name, delimiter or _delimiter(first[1]))
    return _PlainCells(chain([first], lines), delimiter)


class _QuotedCells:
    """The rows of a CSV file as lists of cells, as RFC 4180 has it."""

    def __init__(self, first: Line, lines: Iterator[Line], name: str, delimiter: str) -> None:
        self.name = name
        self.last = ""
        """The line that was read last."""
        self._before = first[0] - 1
        self._reader = csv.reader(self._texts(chain([first], lines)), delimiter=delimiter, strict=True)

    def _texts(self, lines: Iterator[Line]) -> Iterator[str]:
        for _, self.last in lines:
            yield self.last

    def __iter__(self) -> "_QuotedCells":
        return self

    def __next__(self) -> tuple[int, list[str]]:
        # A quoted cell may contain line breaks: the row is named by its first line, and line_num is that of the last one.
        begins = self._before + self._reader.line_num + 1
        try:
            return begins, next(self._reader)
        except csv.Error as error:
            raise InvalidInput(f"{self.name}: line {begins}: not CSV: {error}") from None


class _PlainCells:
    """The lines of a text as lists of cells: one line is one row, and a quote is a character like others."""

    def __init__(self, lines: Iterator[Line], delimiter: str) -> None:
        self.last = ""
        """The line that was read last."""
        self._lines = lines
        self._delimiter = delimiter

    def __iter__(self) -> "_PlainCells":
        return self

    def __next__(self) -> tuple[int, list[str]]:
        number, self.last = next(self._lines)
        line = self.last.rstrip("\r\n")
        if self._delimiter == "whitespace":
            return number, _SPACES.split(line.strip(" \t"))
        return number, line.split(self._delimiter)


def _delimiter(header: str) -> str:
    """The delimiter that divides the header most; the comma of equals."""

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=delimiter)))
        except csv.Error:
            return 0

    return max(_DELIMITERS, key=columns)
