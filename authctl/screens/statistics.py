"""Statistics on a terminal: bars beside their labels and numbers, for any width."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from authctl.charts import Chart, charts
from authctl.screens.drawing import BarColumn, draw_bars, draw_heading, has_room_for_bars, terminal_width

if TYPE_CHECKING:
    from authctl.model import Statistics

_MOST_NAMES = 10


def draw(out: TextIO, statistics: "Statistics") -> None:
    """Draw all charts."""
    drawn, width = charts(statistics, _MOST_NAMES), terminal_width(out)
    draw_heading(out, drawn.heading, width)
    for chart in drawn.by_name:
        _draw(out, chart, width)
    _draw_together(out, drawn.past, width)
    _draw(out, drawn.future, width)
    draw_heading(out, f"later or never: {statistics.later:,}", width, style="")


def _draw(out: TextIO, chart: Chart, width: int) -> None:
    """Draw one chart below its title."""
    draw_heading(out, f"\n{chart.title}", width)
    if chart.bars:
        draw_bars(out, ["", *_labels(chart)], [BarColumn("", _numbers(chart))], width)
    else:
        draw_heading(out, "none", width, style="")


def _draw_together(out: TextIO, together: Sequence[Chart], width: int) -> None:
    """Draw charts of the same days beside each other, each with a scale of its own, or else one below the other."""
    labels = [together[0].unit, *_labels(together[0])]
    columns = [BarColumn(chart.title, _numbers(chart)) for chart in together]
    if has_room_for_bars(labels, columns, width):
        draw_heading(out, "", width)
        draw_bars(out, labels, columns, width)
        return
    for chart in together:
        _draw(out, chart, width)


def _labels(chart: Chart) -> list[str]:
    return ["today" if bar.is_part else bar.label for bar in chart.bars]


def _numbers(chart: Chart) -> list[int]:
    return [bar.number for bar in chart.bars]
