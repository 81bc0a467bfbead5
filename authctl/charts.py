"""Charts of statistics: a title, a description and bars, for a terminal and for a page alike. Pure: no drawing.

Foreign names are visible text here.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from authctl.instants import MINUTE, format_instant
from authctl.names import counted
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.model import Breakdown, Property, Statistics

_BLANK = {"source": "(none)"}
_NOT_GIVEN = "(not given)"


class Bar(NamedTuple):
    """One bar: its label and its number."""

    label: str
    number: int
    is_part: bool = False
    """Whether it is of today, which is not over."""


class Chart(NamedTuple):
    """One chart."""

    title: str
    meaning: str
    """The definition of its numbers, in one sentence."""
    unit: str
    """The header of its labels."""
    bars: tuple[Bar, ...]
    total: int


class Charts(NamedTuple):
    """All charts of one run."""

    heading: str
    by_name: tuple[Chart, ...]
    past: tuple[Chart, ...]
    """Charts of the same days: sign-ins, ends and revocations."""
    future: Chart


def charts(statistics: "Statistics", most_names: int) -> Charts:
    """The charts of statistics, with at most so many names of each property."""
    return Charts(
        f"{counted(statistics.active, 'active session')} at {minute(statistics.at)} UTC",
        tuple(_by_name(name, breakdown, most_names) for name, breakdown in statistics.active_by.items()),
        tuple(_past(statistics)),
        _future(statistics),
    )


def day_of(instant: int) -> str:
    """The UTC day of an instant, such as `2026-11-29`."""
    return format_instant(instant)[: len("2026-11-29")]


def minute(instant: int) -> str:
    """An instant to the minute in UTC, such as `2026-11-29 11:00`."""
    return format_instant(instant - instant % MINUTE)[: len("2026-11-29T11:00")].replace("T", " ")


def _by_name(name: "Property", breakdown: "Breakdown", most: int) -> Chart:
    shown, rest = breakdown.names[:most], breakdown.names[most:]
    blank = _BLANK.get(name, _NOT_GIVEN)
    bars = [Bar(blank if count.name is None else visible(count.name), count.sessions) for count in shown]
    others = len(rest) + breakdown.other_names
    other_sessions = breakdown.other_sessions + sum(count.sessions for count in rest)
    if others:
        bars.append(Bar(f"({counted(others, 'other')})", other_sessions))
    total = sum(bar.number for bar in bars)
    return Chart(f"Active sessions by {name}", "Sessions of every kind that are active now.", name, tuple(bars), total)


def _past(statistics: "Statistics") -> Iterator[Chart]:
    today = statistics.past[-1].day
    for title, field, meaning in _PAST:
        bars = tuple(Bar(day_of(day.day), getattr(day, field), day.day == today) for day in statistics.past)
        yield Chart(title, meaning, "day (UTC)", bars, sum(bar.number for bar in bars))


_PAST = (
    ("Sign-ins", "sign_ins", "Sessions by the day on which they were created."),
    ("Ends", "ends", "Sessions that are expired now, by the day on which they ended."),
    ("Revocations", "revocations", "Sessions that are revoked, by the day of their revocation."),
)


def _future(statistics: "Statistics") -> Chart:
    today = statistics.future[0].day
    bars = tuple(Bar(day_of(day.day), day.expiries, day.day == today) for day in statistics.future)
    later = f"{counted(statistics.later, 'session')} later or never"
    meaning = f"Active sessions by the day of their deadline, and {later}."
    return Chart(
        "Forecast of expiries, if no session is used until then",
        meaning,
        "day (UTC)",
        bars,
        sum(bar.number for bar in bars),
    )
