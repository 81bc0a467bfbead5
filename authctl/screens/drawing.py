"""Text on a terminal: tables and views, measured in cells. The only module that draws with rich.

Foreign text comes here visible already, and is never taken for markup.
"""

import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import ceil
from typing import Literal, NamedTuple, TextIO

from rich.bar import Bar
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from authctl.screens.fitting import GAP

_USUAL_WIDTH = 80
_USUAL_HEIGHT = 24
_COLOURS = {"active": "green", "expired": "yellow", "revoked": "red", "disabled": "red", "enabled": "green"}
_NARROWEST_TEXT = 20
_NARROWEST_BAR, _WIDEST_BAR = 4, 40
_LEAST_LABEL = 10
_FEWEST_ROWS = 5
_HEADER_AND_PROMPT = 2


class Line(NamedTuple):
    """One field of a view: its label, and a text that is wrapped beside it."""

    label: str
    text: str


class BarColumn(NamedTuple):
    """Numbers that are drawn as bars of one scale."""

    header: str
    numbers: Sequence[int]


class FirstLines(io.TextIOBase):
    """A terminal that gets the first lines of a drawing only."""

    def __init__(self, out: TextIO, most: int) -> None:
        self._out = out
        self._left = most
        self.left_out = 0
        """How many lines it did not get."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute of the parent
        """The encoding of the terminal."""
        return self._out.encoding

    def fileno(self) -> int:
        """The descriptor of the terminal."""
        return self._out.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._out.isatty()

    def flush(self) -> None:
        """Write the kept text."""
        self._out.flush()

    def write(self, text: str) -> int:
        """Write the lines for which there is room."""
        for line in text.splitlines(keepends=True):
            if self._left > 0:
                self._out.write(line)
                self._left -= line.endswith("\n")
            else:
                self.left_out += line.endswith("\n")
        return len(text)


def cell_width(text: str) -> int:
    """The width of a text in cells of a terminal: a Chinese character takes two of them."""
    return cell_len(text)


def terminal_width(out: TextIO) -> int:
    """The width of the terminal that a stream leads to; `COLUMNS` overrides it."""
    if columns := _size_of_variable("COLUMNS"):
        return columns
    with suppress(OSError, ValueError):
        return os.get_terminal_size(out.fileno()).columns or _USUAL_WIDTH
    return _USUAL_WIDTH


def console_size(out: TextIO) -> tuple[int, int]:
    """Width and height for every console of rich on a stream."""
    # Without both, rich reads COLUMNS and LINES itself, and fails at digits that `int` cannot read, such as a raised 2: after the commit.
    return terminal_width(out), _terminal_height(out) or _USUAL_HEIGHT


def rows_that_fit(out: TextIO, messages: Iterable[int]) -> int | None:
    """The rows of a list for which the terminal has room; None where its height is unknown. `LINES` overrides the height.

    A header stands above them, and below them messages of these lengths and the prompt of the shell.
    """
    height = _terminal_height(out)
    if height is None:
        return None
    width = terminal_width(out)
    return max(_FEWEST_ROWS, height - _HEADER_AND_PROMPT - sum(ceil(length / width) for length in messages))


def _terminal_height(out: TextIO) -> int | None:
    if lines := _size_of_variable("LINES"):
        return lines
    with suppress(OSError, ValueError):
        return os.get_terminal_size(out.fileno()).lines or None
    return None


def _size_of_variable(name: str) -> int | None:
    """The number in an environment variable; None without a useful one."""
    text = os.environ.get(name, "")
    return int(text[:6]) or None if text.isascii() and text.isdigit() else None


def draw_table(out: TextIO, columns: Sequence[Sequence[str]], widths: Sequence[int], width: int) -> None:
    """Draw columns, the header of each first; a cell that is wider than its column is cut with an ellipsis."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for (header, *_), column_width in zip(columns, widths, strict=True):
        table.add_column(Text(header), no_wrap=True, overflow="ellipsis", width=column_width)
    for row in zip(*(cells[1:] for cells in columns), strict=True):
        table.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in row))
    _console(out, width).print(table)


def draw_view(out: TextIO, lines: Iterable[Line], width: int) -> None:
    """Draw labels and texts side by side: blank ones left out, long ones wrapped and never cut."""
    shown = [line for line in lines if line.text]
    console = _console(out, width)
    indent = max((cell_len(line.label) for line in shown), default=0) + GAP
    # On a very narrow terminal the texts go below their labels.
    beside = width - indent >= _NARROWEST_TEXT
    if not beside:
        indent = GAP
    for line in shown:
        if not beside and line.label:
            console.print(Text(line.label, style="bold"))
        for number, part in enumerate(_coloured(line.text).wrap(console, max(1, width - indent), overflow="fold")):
            part.rstrip()
            label = line.label if beside and not number else ""
            console.print(Text(label.ljust(indent), style="bold").append_text(part))


def draw_heading(out: TextIO, text: str, width: int, style: str = "bold") -> None:
    """Draw a line above or below a chart; it is wrapped where it is too long."""
    _console(out, width).print(Text(text, style=style))


def has_room_for_bars(labels: Sequence[str], columns: Sequence[BarColumn], width: int) -> bool:
    """Whether the bars of all columns have room beside each other."""
    return _bar_width(labels, columns, width) >= _NARROWEST_BAR


def draw_bars(out: TextIO, labels: Sequence[str], columns: Sequence[BarColumn], width: int) -> None:
    """Draw a row for each label, the header first: in each column a number and its bar; no bar where there is no room."""
    console, bar_width = _console(out, width), _bar_width(labels, columns, width)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    header, *names = labels
    table.add_column(Text(header), no_wrap=True, overflow="ellipsis", width=_label_width(labels, width))
    for column in columns:
        table.add_column(Text(column.header), justify="right", no_wrap=True)
        if bar_width >= _NARROWEST_BAR:
            table.add_column(width=bar_width)
    for row, name in enumerate(names):
        cells = (cell for column in columns for cell in _bar_cells(console, column, row, bar_width))
        table.add_row(Text(name), *cells)
    table.show_header = any((header, *(column.header for column in columns)))
    console.print(table)


def _bar_cells(console: Console, column: BarColumn, row: int, width: int) -> Sequence[Text | Bar]:
    """The number of a row, and its bar. Only zero has an empty bar."""
    number, largest = column.numbers[row], max(*column.numbers, 1)
    text = Text(f"{number:,}")
    if width < _NARROWEST_BAR:
        return (text,)
    if console.options.ascii_only:
        return text, Text("#" * -(-number * width // largest))
    least = largest / (8 * width)
    # decision 218: rich draws bars already, and is a dependency
    return text, Bar(largest, 0, max(number, least) if number else 0, width=width)


def _label_width(labels: Sequence[str], width: int) -> int:
    return min(max(map(cell_len, labels)), max(_LEAST_LABEL, width // 3))


def _bar_width(labels: Sequence[str], columns: Sequence[BarColumn], width: int) -> int:
    numbers = (
        max(cell_len(column.header), *(len(f"{number_shown:,}") for number_shown in column.numbers))
        for column in columns
    )
    room = width - _label_width(labels, width) - sum(number + 2 * GAP for number in numbers)
    return min(_WIDEST_BAR, max(0, room) // len(columns))


def _coloured(text: str) -> Text:
    """A text whose first word has a colour where it is a status."""
    word = text.partition(" ")[0]
    return Text.assemble((word, _COLOURS.get(word, "")), text.removeprefix(word))


def _console(out: TextIO, width: int) -> Console:
    height = console_size(out)[1]
    # decision 350: with NO_COLOR rich leaves out colours and writes bold; without a colour system it writes the text alone, as with TERM=dumb.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(
        file=out,
        width=width,
        height=height,
        color_system=colours,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
