"""Two charts of what was measured, as SVG that is readable on light and on dark: ratios beside their limits, and costs by size."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from xml.sax.saxutils import escape

from bounds import bound, verdict
from measuring import Line, shown

SIZES = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000, "10M": 10_000_000}
_SIZED = re.compile(rf"(?P<name>.+) at (?P<size>{'|'.join(SIZES)})")
_WIDTH, _ROW = 920, 22
_COLOURS = {"met": "#2c9a4b", "missed": "#d9443f", "": "#4688d8"}
_LINES = ("#4688d8", "#d9443f", "#2c9a4b", "#b8860b", "#9a63d3", "#1899a5", "#d65f9e", "#7d8590")
_STYLE = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"
_DECADE = (1, 2, 5)


@dataclass(frozen=True)
class _Scale:
    """From values to places, by their logarithms."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def marks(self, most: int = 10) -> list[float]:
        """Round values within it: 1, 2 and 5 of each decade, or its beginnings alone where those are too many."""
        decades = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
        for steps in (_DECADE, (1,)):
            marks = [step * 10.0**n for n in decades for step in steps]
            marks = [mark for mark in marks if self.low * 0.999 <= mark <= self.high * 1.001]
            if len(marks) <= most:
                return marks
        return marks[:: -(-len(marks) // most)]


@dataclass
class _Drawing:
    """An SVG image as it is put together."""

    title: str
    height: float
    parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, said: str, *, anchor: str = "start", colour: str = "", bold: bool = False
    ) -> None:
        """Words at a place."""
        more = (f' fill="{colour}"' if colour else "") + (' font-weight="600"' if bold else "")
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(said)}</text>')

    def line(self, x: float, y: float, to_x: float, to_y: float, *, width: float = 1, opacity: float = 1) -> None:
        """A line in the colour of the text."""
        self.parts.append(
            f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="currentColor" stroke-width="{width}"'
            f' stroke-opacity="{opacity}"/>'
        )

    def whole(self) -> str:
        """The image."""
        title = escape(self.title)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {self.height:g}" width="{_WIDTH}"'
            f' height="{self.height:g}" role="img" aria-labelledby="title" font-family="system-ui, sans-serif"'
            f' font-size="12" fill="currentColor">\n<title id="title">{title}</title>\n<style>{_STYLE}</style>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def _plain(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if value < 1 else f"{value:,.0f}"


def _limit(line: Line) -> float | None:
    """Where the tick of the limit stands; none where the words are no bound."""
    try:
        found = bound(line.limit)
    except ValueError:
        return None
    return None if found is None else found.ratio(line)


def _result(line: Line) -> str:
    try:
        return verdict(line)
    except ValueError:
        return ""


def ratios(lines: Sequence[Line]) -> str:
    """A bar for each line, from 1 to its ratio; a tick where the bound is, a thin line from quartile to quartile."""
    tables = [(table, list(group)) for table, group in groupby(_gathered(lines), key=lambda line: line.table)]
    values = [v for line in lines for v in (line.ratio, line.low, line.high, _limit(line) or 1, 1)]
    across = _Scale(min(values) / 1.15, max(values) * 1.15, 330, 800)
    top, bottom = 58, 58 + _ROW * (len(lines) + len(tables)) + 6
    drawing = _Drawing("Time of authctl to time of the reference: every ratio, and its limit", bottom + 26)
    drawing.text(12, 22, "authctl's time to the reference's", bold=True)
    drawing.text(12, 40, "left of 1: faster; thick tick: the limit; thin line: quartiles")
    for mark in across.marks():
        drawing.line(across(mark), top - 6, across(mark), bottom, opacity=0.6 if mark == 1 else 0.15)
        drawing.text(across(mark), bottom + 16, _plain(mark), anchor="middle")
    y = top
    for table, group in tables:
        drawing.text(12, y + 15, table, bold=True)
        y += _ROW
        for line in group:
            _bar(drawing, across, line, y)
            y += _ROW
    return drawing.whole()


def _bar(drawing: _Drawing, across: _Scale, line: Line, y: float) -> None:
    left, right = sorted((across(1), across(line.ratio)))
    result = _result(line)
    colour = _COLOURS[result]
    drawing.text(322, y + 15, _cut(line.name, 50), anchor="end")
    drawing.parts.append(
        f'<rect x="{left}" y="{y + 4}" width="{max(1, right - left):.1f}" height="{_ROW - 8}" fill="{colour}"/>'
    )
    drawing.line(across(line.low), y + _ROW / 2, across(line.high), y + _ROW / 2, opacity=0.8)
    limit = _limit(line)
    if limit is not None:
        drawing.line(across(limit), y + 1, across(limit), y + _ROW - 1, width=3)
    drawing.text(812, y + 15, f"{line.ratio:.3g} {result}".strip(), colour=colour, bold=bool(result))


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else said[: most - 1] + "…"


def _gathered(lines: Iterable[Line]) -> list[Line]:
    """Lines of one table together, in order of appearance."""
    tables: dict[str, list[Line]] = {}
    for line in lines:
        tables.setdefault(line.table, []).append(line)
    return [line for group in tables.values() for line in group]


_Operation = tuple[str, str]
"""A table, and a name in it."""


def sized(lines: Iterable[Line]) -> dict[_Operation, dict[int, float]]:
    """Our time by size, of each operation that was measured at two sizes or more; a table's name says its size after a comma."""
    costs: dict[_Operation, dict[int, float]] = {}
    for line in lines:
        if found := _SIZED.fullmatch(line.name):
            costs.setdefault((line.table.partition(",")[0], found["name"]), {})[SIZES[found["size"]]] = line.ours
    return {operation: dict(sorted(of.items())) for operation, of in costs.items() if len(of) > 1}


def growth(lines: Iterable[Line]) -> str | None:
    """A line for each operation, its cost by size; None where nothing was measured at two sizes."""
    costs = sized(lines)
    if not costs:
        return None
    times = [seconds for of in costs.values() for seconds in of.values()]
    counts = [size for of in costs.values() for size in of]
    top, bottom = 58, max(420, 58 + 16 * len(costs))
    across = _Scale(min(counts), max(counts), 80, 600)
    up = _Scale(min(times) / 1.3, max(times) * 1.3, bottom, top)
    drawing = _Drawing("Time of each operation by number of sessions, both on logarithmic scales", bottom + 46)
    drawing.text(12, 22, "Time of an operation by number of sessions", bold=True)
    drawing.text(12, 40, "a level line: the same cost at any size")
    for mark in up.marks():
        drawing.line(80, up(mark), 600, up(mark), opacity=0.15)
        drawing.text(72, up(mark) + 4, shown(mark), anchor="end")
    for name, size in SIZES.items():
        if min(counts) <= size <= max(counts):
            drawing.line(across(size), top, across(size), bottom, opacity=0.15)
            drawing.text(across(size), bottom + 18, name, anchor="middle")
    drawing.text(340, bottom + 36, "sessions", anchor="middle")
    ends = _spread({operation: up(list(of.values())[-1]) for operation, of in costs.items()}, bottom)
    for number, (operation, of) in enumerate(costs.items()):
        _curve(drawing, [(across(size), up(seconds)) for size, seconds in of.items()], _LINES[number % len(_LINES)])
        drawing.text(612, ends[operation] + 4, _cut(operation[1], 46), colour=_LINES[number % len(_LINES)])
    return drawing.whole()


def _curve(drawing: _Drawing, points: list[tuple[float, float]], colour: str) -> None:
    path = " ".join(f"{x},{y}" for x, y in points)
    drawing.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    drawing.parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points]


def _spread(places: dict[_Operation, float], bottom: float, apart: float = 15) -> dict[_Operation, float]:
    """Places of labels, moved as far as they have to be to leave each other room."""
    order = sorted(places, key=lambda operation: places[operation])
    moved: dict[_Operation, float] = {}
    last = -apart
    for operation in order:
        last = moved[operation] = max(places[operation], last + apart)
    limit = bottom
    for operation in reversed(order):
        moved[operation] = min(moved[operation], limit)
        limit = moved[operation] - apart
    return moved
