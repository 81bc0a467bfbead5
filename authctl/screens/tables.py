"""Tables on a terminal: the label of each column, the way in which it gives room, and the drawing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

from authctl.records import Record
from authctl.screens import times
from authctl.screens.drawing import cell_width, draw_table
from authctl.screens.fitting import GAP, Column, Fitted, Kind, fit
from authctl.screens.times import Look
from authctl.screens.wording import DERIVED, plain
from authctl.visible_text import visible

_TEXTS = (
    *("username", "application", "device", "platform", "profile", "source", "group", "system", "authenticator"),
    *("revoked_by", "disabled_by", "actor", "action", "subject", "about"),
)
_NOTES = ("note", "description", "title", "source_id", "file", "found", "next")
_LABELS = {
    "last_used_at": "used",
    "revoked_by": "by",
    "retire_after": "retire after",
    "until": "until",
    "held_sessions": "held",
    "advice": "",
    "not_listed": "not listed",
}


@dataclass(frozen=True)
class Layout:
    """A table on a terminal: its columns in order, and which of them are worth more than others."""

    columns: tuple[str, ...]
    importance: Mapping[str, tuple[int, int]]


def layout(columns: Sequence[str], keep: str) -> Layout:
    """The layout of columns; `keep` has them most important first, in groups parted by `|`, of which the last goes first."""
    groups = [group.split() for group in keep.split("|")]
    places = {name: (group, place) for group, names in enumerate(groups) for place, name in enumerate(names)}
    return Layout(tuple(columns), places)


@dataclass(frozen=True)
class _Cells:
    """The cells of one column, in one or two forms, with the header of each."""

    column: Column
    forms: tuple[list[str], ...]


@dataclass(frozen=True)
class FittedColumn:
    """A column of a table that fits: its width, and its cells, the header first. A wider cell is to be cut."""

    width: int
    cells: list[str]


def draw(out: TextIO, records: Sequence[Record], table: Layout, look: Look, width: int) -> None:
    """Draw a table that is no wider than the terminal."""
    fitted = arrange(records, table, look, width)
    draw_table(out, [column.cells for column in fitted], [column.width for column in fitted], width)


def arrange(records: Sequence[Record], table: Layout, look: Look, width: int) -> list[FittedColumn]:
    """The columns of a table for which a terminal has room. Every text is visible."""
    columns = [_cells(name, records, table, look) for name in table.columns]
    if look.shorten and sum(column.column.width + GAP for column in columns) - GAP > width:
        columns[0] = _with_short_ids(columns[0], look.shorten)
    fitted = fit([column.column for column in columns], width)
    return [FittedColumn(column.width, _form(columns, column)) for column in fitted]


def _form(columns: Sequence[_Cells], fitted: Fitted) -> list[str]:
    return columns[fitted.index].forms[-1 if fitted.is_shorter else 0]


def _cells(name: str, records: Sequence[Record], table: Layout, look: Look) -> _Cells:
    values = [DERIVED[name](record) if name in DERIVED else record[name] for record in records]
    importance = table.importance.get(name, (0, 0))
    if times.is_time(name):
        return _time_cells(name, values, importance, look)
    forms = ([_label(name), *(visible(plain(value)) for value in values)],)
    kind = Kind.TEXT if name in _TEXTS else Kind.NOTE if name in _NOTES else Kind.WHOLE
    return _Cells(Column(kind, _widest(forms[0]), importance=importance), forms)


def _time_cells(name: str, values: Sequence[Any], importance: tuple[int, int], look: Look) -> _Cells:
    zone = times.zone_of(values, look)
    header = f"{_label(name)} ({zone})" if zone else _label(name)
    forms = tuple([header, *(show(value, look) for value in values)] for show in (times.in_list, times.in_short_list))
    return _Cells(Column(Kind.SHORTER, _widest(forms[0]), _widest(forms[1]), importance), forms)


def _with_short_ids(ids: _Cells, shorten: Callable[[Sequence[str]], Mapping[str, str]]) -> _Cells:
    header, *whole = ids.forms[0]
    short = shorten(whole)
    forms = (ids.forms[0], [header, *(short.get(text, text) for text in whole)])
    return _Cells(replace(ids.column, kind=Kind.SHORTER, shorter=_widest(forms[1])), forms)


def _label(name: str) -> str:
    if name in _LABELS:
        return _LABELS[name]
    return name.removesuffix("_at").replace("_", " ")


def _widest(cells: Sequence[str]) -> int:
    return max(map(cell_width, cells))
