"""Texts on the screen of the console. The only module that makes them: foreign text is visible, and never markup.

Textual takes a `str` for markup in most places, and passes escape characters on to the terminal. So no `str` of ours reaches a widget:
each is made a `Content` here, whose text Textual does not read.
"""

from collections.abc import Iterable, Sequence

from textual.content import Content

from authctl.names import without_tokens
from authctl.screens.drawing import Line, cell_width
from authctl.visible_text import visible

GAP = 2
_COLOURS = {
    "active": "ansi_green",
    "expired": "ansi_yellow",
    "revoked": "ansi_red",
    "disabled": "ansi_red",
    "enabled": "ansi_green",
}
_NARROWEST_TEXT = 20


def text(foreign: str, style: str = "") -> Content:
    """Any text as the content of a widget: on one line, with escapes for invisible characters."""
    # decision 211: Textual reads a `str` as markup, and passes an escape character on to the terminal
    return Content.styled(visible(foreign), style)


def joined(*parts: Content) -> Content:
    """Texts one after another."""
    return Content.assemble(*parts)


def as_many(parts: Sequence[str], width: int) -> Content:
    """As many of some short texts as a line has room for, from the first on."""
    shown = ""
    for part in parts:
        longer = f"{shown}{' ' * GAP if shown else ''}{part}"
        if cell_width(longer) > width:
            break
        shown = longer
    return text(shown)


def lines(texts: Iterable[Content]) -> Content:
    """Texts below each other."""
    return Content("\n").join(texts)


def message(foreign: str) -> Content:
    """A message, in which a token is cut down to its readable beginning."""
    return text(without_tokens(foreign))


def cell(foreign: str, width: int) -> Content:
    """A text that fills a cell of a table: cut with an ellipsis, or followed by blanks. A status has its colour."""
    return text(foreign, _COLOURS.get(foreign, "")).truncate(width, ellipsis=True, pad=True)


def row(cells: Sequence[str], widths: Sequence[int]) -> Content:
    """A row of a table."""
    return text(" " * GAP).join(cell(foreign, width) for foreign, width in zip(cells, widths, strict=True))


def view(shown: Iterable[Line], width: int) -> Content:
    """Labels and texts side by side, as `authctl sessions show` has them: blank ones left out, long ones wrapped and never cut."""
    kept = [line for line in shown if line.text]
    indent = max((len(line.label) for line in kept), default=0) + GAP
    is_beside = width - indent >= _NARROWEST_TEXT
    indent = indent if is_beside else GAP
    return lines(part for line in kept for part in _wrapped(line, indent, max(1, width - indent), is_beside=is_beside))


def _wrapped(line: Line, indent: int, width: int, *, is_beside: bool) -> Iterable[Content]:
    label = text(line.label, "bold")
    if not is_beside and line.label:
        yield label
    first = label.pad_right(indent - label.cell_length) if is_beside else text(" " * indent)
    for number, part in enumerate(_coloured(line.text).wrap(width)):
        yield joined(text(" " * indent) if number else first, part)


def _coloured(foreign: str) -> Content:
    """A text whose first word has a colour where it is a status."""
    word = foreign.partition(" ")[0]
    return joined(text(word, _COLOURS.get(word, "")), text(foreign.removeprefix(word)))
