"""Charts as SVG: places in percent and texts in pixels, so that a text has one size on a phone, on a desk and in print.

Foreign text is escaped here. The colours are those of the page, by class.
"""

from collections.abc import Iterator
from html import escape
from math import ceil
from unicodedata import east_asian_width

from authctl.charts import Bar, Chart

_ROW = 38
_TEXT_LINE, _BAR_TOP, _BAR_HEIGHT = 14, 20, 11
_LONGEST_LABEL = 30
"""The longest label, in the width of Latin letters: it fits beside its number on a phone."""

_PLOT_TOP, _PLOT_BOTTOM, _DAYS_LINE, _HEIGHT = 22, 150, 168, 176
_MOST_DAY_LABELS = 14
_SHARE = 0.8
"""The part of a day's place that its bar takes."""


def rows(chart: Chart, name: str) -> str:
    """Bars from left to right, each below its label; `name` begins the ids in the picture."""
    largest = _largest(chart)
    parts = (_row(bar, number * _ROW, largest) for number, bar in enumerate(chart.bars))
    return _picture(chart, name, _ROW * max(1, len(chart.bars)), "".join(parts) or _nothing())


def _row(bar: Bar, top: int, largest: int) -> str:
    y = top + _BAR_TOP
    return (
        f'<text x="0" y="{top + _TEXT_LINE}">{escape(_cut(bar.label))}</text>'
        f'<text class="number" x="100%" y="{top + _TEXT_LINE}">{bar.number:,}</text>'
        f'<rect class="track" x="0" y="{y}" width="100%" height="{_BAR_HEIGHT}"/>'
        f'<rect class="bar" x="0" y="{y}" width="{_percent(bar.number, largest)}" height="{_BAR_HEIGHT}">{_hint(bar)}</rect>'
    )


def columns(chart: Chart, name: str) -> str:
    """Bars from the bottom up, one a day."""
    largest, place = _largest(chart), 100 / len(chart.bars)
    parts = (_column(bar, number * place, place, largest) for number, bar in enumerate(chart.bars))
    labels = _day_labels(chart.bars, place)
    scale = f'<text x="0" y="{_TEXT_LINE}">{f"{largest:,} at most" if chart.total else "none"}</text>'
    base = f'<rect class="base" x="0" y="{_PLOT_BOTTOM}" width="100%" height="1"/>'
    return _picture(chart, name, _HEIGHT, "".join((scale, *parts, base, *labels)))


def _column(bar: Bar, left: float, place: float, largest: int) -> str:
    height = (_PLOT_BOTTOM - _PLOT_TOP) * bar.number / largest
    kind = "bar part" if bar.is_part else "bar"
    x, width = left + place * (1 - _SHARE) / 2, place * _SHARE
    return (
        f'<rect class="{kind}" x="{x:.3f}%" y="{_PLOT_BOTTOM - height:.1f}" width="{width:.3f}%" height="{height:.1f}">'
        f"{_hint(bar)}</rect>"
    )


def _day_labels(bars: tuple[Bar, ...], place: float) -> Iterator[str]:
    """The day of the month below the bars, or below every second, third … one if they are many."""
    step = ceil(len(bars) / _MOST_DAY_LABELS)
    for number in range(0, len(bars), step):
        yield (
            f'<text class="day" x="{(number + 0.5) * place:.3f}%" y="{_DAYS_LINE}">{escape(bars[number].label[-2:])}</text>'
        )


def _picture(chart: Chart, name: str, height: int, content: str) -> str:
    return (
        f'<svg role="img" aria-labelledby="{name}-title {name}-text" width="100%" height="{height}">'
        f'<title id="{name}-title">{escape(chart.title)}</title><desc id="{name}-text">{escape(chart.meaning)}</desc>'
        f"{content}</svg>"
    )


def _nothing() -> str:
    return f'<text x="0" y="{_TEXT_LINE}">none</text>'


def _hint(bar: Bar) -> str:
    return f"<title>{escape(bar.label)}: {bar.number:,}</title>"


def _largest(chart: Chart) -> int:
    return max((bar.number for bar in chart.bars), default=0) or 1


def _percent(number: int, largest: int) -> str:
    return f"{100 * number / largest:.3f}%"


def _cut(label: str) -> str:
    """A label that is too long, with an ellipsis; a wide character takes two places."""
    room = _LONGEST_LABEL
    for place, character in enumerate(label):
        room -= 2 if east_asian_width(character) in "WF" else 1
        if room < 0:
            return label[: max(0, place - 1)] + "…"
    return label
