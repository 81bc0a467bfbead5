"""Times for a person at a terminal: relative where they are near, else to the minute, in UTC or the zone of the terminal.

Not used in pipes and formats, which have every time in full.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from authctl.errors import InvalidInput
from authctl.instants import DAY, HOUR, MINUTE, datetime_of, parse_instant
from authctl.visible_text import visible

_LONGEST_ZONE = 12


class Look(NamedTuple):
    """How a person wants records to be shown, and the instant from which times are counted."""

    now: int
    local: bool = False
    """Times in the zone of the terminal."""
    exact: bool = False
    """Times to the second, and none of them relative."""
    shorten: Callable[[Sequence[str]], Mapping[str, str]] | None = None
    """Session ids -> unique beginnings of them, where these may be shown."""


def is_time(name: str) -> bool:
    """Whether the field of that name has times."""
    return name in ("at", "until", "retire_after") or name.endswith("_at")


def in_list(text: Any, look: Look) -> str:
    """A time in a table, whose header gives the zone of exact times; a text that is no time as it stands."""
    instant = _instant(text)
    if instant is None:
        return "" if text is None else visible(str(text))
    return _near(instant, look) or _exact(instant, look)


def in_short_list(text: Any, look: Look) -> str:
    """The same where room is short: a date without the minute."""
    whole = in_list(text, look)
    return whole[:10] if not look.exact and _is_exact(whole) else whole


def zone_of(texts: Iterable[Any], look: Look) -> str | None:
    """The zone of the exact times among these; None where none of them is exact."""
    instants = [instant for instant in map(_instant, texts) if instant is not None and not _near(instant, look)]
    return "/".join(dict.fromkeys(_zone(instant, look) for instant in instants)) or None


def in_view(text: str, look: Look) -> str:
    """A time by itself, with its zone, and its distance from now beside it."""
    instant = _instant(text)
    if instant is None:
        return visible(text)
    exact = f"{_exact(instant, look)} {_zone(instant, look)}"
    return exact if look.exact else f"{exact} ({_distance(instant, look)})"


def _instant(text: Any) -> int | None:
    """The instant of a time in a record; None for a blank one, and for another text, as in an event that was changed."""
    with suppress(InvalidInput):
        return parse_instant(text) if isinstance(text, str) and len(text) > len("2026-11-01") else None
    return None


def _is_exact(shown: str) -> bool:
    return shown[:4].isdigit() and shown[4:5] == "-"


def _near(instant: int, look: Look) -> str | None:
    """The distance of a time within a day of now, where that is wanted."""
    # decision 184: in an incident the distance matters; in a pipe no time depends on an option
    return None if look.exact or abs(look.now - instant) >= DAY else _distance(instant, look)


def _distance(instant: int, look: Look) -> str:
    apart = abs(look.now - instant)
    if apart < MINUTE:
        return "just now" if instant <= look.now else "in 1 min"
    size, unit = next((size, unit) for size, unit in _UNITS if apart >= size)
    count = f"{apart // size:,} {unit}"
    return f"{count} ago" if instant <= look.now else f"in {count}"


_UNITS = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"))


def _exact(instant: int, look: Look) -> str:
    moment = _moment(instant, look)
    return moment.strftime(f"{moment.year:04}-%m-%d %H:%M{':%S' if look.exact else ''}")


def _zone(instant: int, look: Look) -> str:
    # The name comes from the environment of the terminal.
    return visible(_moment(instant, look).tzname() or "UTC")[:_LONGEST_ZONE]


def _moment(instant: int, look: Look) -> datetime:
    moment = datetime_of(instant) or datetime.max.replace(tzinfo=UTC)
    if look.local:
        # A zone may move the first and the last day of the calendar out of it.
        with suppress(OverflowError, ValueError, OSError):
            return moment.astimezone()
    return moment
