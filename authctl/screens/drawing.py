"""Text on a terminal: tables and views, measured in cells. The only module that draws with rich.

Foreign text comes here visible already, and is never taken for markup.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from authctl.screens.fitting import GAP

_USUAL_WIDTH = 80
_COLOURS = {"active": "green", "expired": "yellow", "revoked": "red", "disabled": "red", "enabled": "green"}
_NARROWEST_TEXT = 20


class Line(NamedTuple):
    """One field of a view: its label, and a text that is wrapped beside it."""

    label: str
    text: str


def cell_width(text: str) -> int:
    """The width of a text in cells of a terminal: a Chinese character takes two of them."""
    return cell_len(text)


def terminal_width(out: TextIO) -> int:
    """The width of the terminal that a stream leads to; `COLUMNS` overrides it."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:6]) > 0:
        return int(columns[:6])
    with suppress(OSError, ValueError):
        return os.get_terminal_size(out.fileno()).columns or _USUAL_WIDTH
    return _USUAL_WIDTH


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


def _coloured(text: str) -> Text:
    """A text whose first word has a colour where it is a status."""
    word = text.partition(" ")[0]
    return Text.assemble((word, _COLOURS.get(word, "")), text.removeprefix(word))


def _console(out: TextIO, width: int) -> Console:
    return Console(file=out, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)
