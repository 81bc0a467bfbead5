"""Which columns of a table a terminal has room for, and how wide they are: whole columns go before a row breaks.

Pure: works with widths, and with neither texts nor the terminal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

GAP = 2
"""The blanks between two columns."""

_WHOLE = 10**6
_PASSES = ((_WHOLE, 12, 2), (14, 12, 2), (14, 12, 1), (8, 12, 1), (6, 8, 0))
"""The steps that make room: a text is cut to this width, a note to that, and columns go down to this group."""


class Kind(Enum):
    """The way in which a column gives room."""

    WHOLE = auto()
    """Never cut."""
    SHORTER = auto()
    """Has a second, shorter form: a time without its minute, the beginning of an id."""
    TEXT = auto()
    """Cut last: a user, an application, a device."""
    NOTE = auto()
    """Cut first."""


@dataclass(frozen=True)
class Column:
    """One column: the widths of its forms, and how important it is."""

    kind: Kind
    width: int
    shorter: int = 0
    """The width of its shorter form."""
    importance: tuple[int, int] = (0, 0)
    """Its group and its place there. A column of group 0 goes last, and of several the one with the higher place goes first."""


@dataclass(frozen=True)
class Fitted:
    """A column that is shown: its place among all, its width, and whether in its shorter form."""

    index: int
    width: int
    is_shorter: bool


def fit(columns: Sequence[Column], room: int) -> list[Fitted]:
    """The columns that have room, and their widths. The first one always stays, and is cut where it alone is too wide."""
    # decision 182: a column goes before a row breaks
    by_importance = sorted(range(1, len(columns)), key=lambda index: columns[index].importance)
    for least_text, least_note, group in _PASSES:
        for kept in _fewer_and_fewer(columns, by_importance, group):
            squeeze = partial(_squeezed, columns, room=room, least_text=least_text, least_note=least_note)
            if fitted := squeeze([0, *kept]):
                return _with_more(columns, squeeze, fitted, by_importance[len(kept) :])
    return [Fitted(0, max(1, room), columns[0].kind is Kind.SHORTER)]


def _fewer_and_fewer(columns: Sequence[Column], by_importance: Sequence[int], group: int) -> Iterator[Sequence[int]]:
    """The indexes of all columns, then without the least important one, and so on down to those above the group."""
    yield by_importance
    for length in range(len(by_importance) - 1, -1, -1):
        if columns[by_importance[length]].importance[0] < group:
            return
        yield by_importance[:length]


def _with_more(
    columns: Sequence[Column],
    squeeze: Callable[[list[int]], list[Fitted] | None],
    fitted: list[Fitted],
    gone: Sequence[int],
) -> list[Fitted]:
    """The kept columns, with removed ones that fit after all, because a column removed before them was too wide."""
    for index in gone:
        kept = [column.index for column in fitted]
        more = squeeze([*kept, index])
        if more and _texts(columns, more, kept) == _texts(columns, fitted, kept):
            fitted = more
    return fitted


def _texts(columns: Sequence[Column], fitted: Sequence[Fitted], among: Sequence[int]) -> list[int]:
    """The widths of the texts among these columns: none is cut for a column that is less important."""
    return [column.width for column in fitted if column.index in among and columns[column.index].kind is Kind.TEXT]


def _squeezed(
    columns: Sequence[Column], indexes: list[int], room: int, least_text: int, least_note: int
) -> list[Fitted] | None:
    """Those columns within the room; None where they do not fit without being cut further than allowed."""
    indexes = sorted(indexes)
    room -= GAP * (len(indexes) - 1)
    widths = {index: columns[index].width for index in indexes}
    _cut(columns, widths, room, Kind.NOTE, least_note)
    shorter = set()
    # Times come after the id in importance, and after it in every table that has both.
    for index in sorted(indexes, reverse=True):
        if columns[index].kind is Kind.SHORTER and sum(widths.values()) > room:
            shorter.add(index)
            widths[index] = columns[index].shorter
    _cut(columns, widths, room, Kind.TEXT, least_text)
    if sum(widths.values()) > room:
        return None
    _give_back(columns, widths, room - sum(widths.values()))
    return [Fitted(index, widths[index], index in shorter) for index in indexes]


def _cut(columns: Sequence[Column], widths: dict[int, int], room: int, kind: Kind, least: int) -> None:
    """Cut the columns of a kind down to a least width, the widest first, until all fit."""
    cuttable = [index for index in widths if columns[index].kind is kind]
    while cuttable and sum(widths.values()) > room:
        widest = max(cuttable, key=lambda index: widths[index])
        if widths[widest] <= least:
            return
        widths[widest] -= 1


def _give_back(columns: Sequence[Column], widths: dict[int, int], spare: int) -> None:
    """Give room that is left to the columns that were cut."""
    for kind in (Kind.TEXT, Kind.NOTE):
        for index in (index for index in widths if columns[index].kind is kind):
            more = min(spare, columns[index].width - widths[index])
            widths[index] += more
            spare -= more
