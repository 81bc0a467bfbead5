"""Times of an export: formats, time zones, ages, and times that stand for none or for never.

Pure: the time when a listing was taken is passed in, and no clock is read.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from typing import NamedTuple

from authctl.errors import InvalidInput
from authctl.instants import EARLIEST, NEVER, SECOND, instant_of, moment_of, parse_moment
from authctl.names import quoted

AGE = "age_s"
"""The format of a length of time up to the listing, in seconds."""

_UNIX = {"unix": 1, "unix_ms": 1_000}
FORMATS = (*_UNIX, AGE)
"""The names of formats; any other format is a pattern of `strptime`."""

_DIRECTIVE = re.compile(r"%.", re.DOTALL)
_SAMPLE = datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC)
"""A time in the afternoon: a format with a twelve-hour clock and no %p reads it as the morning."""
_SHORTEST_DATE = 6
"""Characters of a date: `1.1.70`."""
_ZERO = re.compile(r"[+-]?0+(\.0*)?", re.ASCII)
_LATER = re.compile(r"\+?\d{5,}-\d\d-\d\d.*", re.ASCII | re.DOTALL)
_BLANK_YEARS = (1, 1601, 1970)
"""The years in which the calendars of systems begin: a time in them stands for no time."""
_NEVER_YEAR = 9999
_FIRST_USUAL_YEAR = 1972
"""The first year of which no zone makes one of the years before."""


def _begin(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


_BLANK_SECONDS = [(_begin(year).timestamp(), _begin(year + 1).timestamp()) for year in _BLANK_YEARS]
"""The spans of these years, in Unix seconds."""
_NEVER_SECONDS = _begin(_NEVER_YEAR).timestamp()
_EPOCH_BEGINS, _EPOCH_ENDS = instant_of(_begin(1970)), instant_of(_begin(1971))
_NO_TIME = timedelta(0)


class Remark(Enum):
    """Remarks on times that were not taken as they are written."""

    BLANK = "a time of 0 or of the years 1, 1601 or 1970 was counted as blank"
    NEVER = "a time of the year 9999 or later was counted as never"
    TWICE = "a local time exists twice, and the earlier one was taken"
    UNDATED = "a row without created_at was counted by its time, for the session that began last before it"
    MISSING = "a local time does not exist, since clocks were put forward, and was read as if they had not been"


class Time(NamedTuple):
    """The instant that a text gives, or None if the text means no time, with a remark if there is one."""

    at: int | None
    remark: Remark | None = None


Read = Callable[[str, int | None], Time]
"""Reads a text, with the time of the listing for ages. Raises ValueError, OverflowError or InvalidInput."""


def check_format(form: str) -> None:
    """Raise InvalidInput for a format that does not read every time back as it was written."""
    if form in FORMATS:
        return
    directives = set(_DIRECTIVE.findall(form))
    # %I alone reads 4 in the afternoon as 4 in the morning, without an error.
    if ("%I" in directives) != ("%p" in directives):
        raise InvalidInput(f"write %I and %p together, or %H alone: {quoted(form)}")
    try:
        parsed = datetime.strptime(_SAMPLE.strftime(form), form)  # noqa: DTZ007
    except (ValueError, re.error):
        parsed = None
    # %Z is refused: strptime knows the names of the local zone alone, and drops the zone that it read.
    if parsed is None or parsed.date() != _SAMPLE.date() or parsed.hour not in (0, _SAMPLE.hour) or "%Z" in directives:
        rule = f"write {', '.join(FORMATS)}, or a strptime format with a whole date, and zones as %z"
        raise InvalidInput(f"{rule}: {quoted(form)}")


def time_zone(name: str) -> tzinfo:
    """The time zone of that name. Raises InvalidInput."""
    from zoneinfo import ZoneInfo

    try:
        # decision 139: the system may have no time zones, so the package `tzdata` is always installed
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise InvalidInput(
            f"no such time zone: {quoted(name)}", "write a name of the IANA time zone database, such as Europe/Berlin"
        ) from None


def reader(form: str | None, zone: tzinfo | None) -> Read:
    """How texts of a format are read; times without a zone are in `zone`, by default UTC."""
    if form == AGE:
        return _before_listing
    if form in _UNIX:
        return lambda text, _: _seconds(text, _UNIX[form])
    if form is None and zone is None:
        return _iso
    return lambda text, _: _calendar(text, form, zone)


def _before_listing(text: str, taken_at: int | None) -> Time:
    seconds = float(text)
    if taken_at is None or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(text)
    at = taken_at - round(seconds * SECOND)
    if at < EARLIEST:
        raise ValueError(text)
    return Time(at)


def _seconds(text: str, divisor: int) -> Time:
    seconds = float(text) / divisor
    if not math.isfinite(seconds):
        raise ValueError(text)
    if seconds >= _NEVER_SECONDS:
        return Time(NEVER, Remark.NEVER)
    # The whole year, and not 0 alone: the offset of a zone, or the first minutes of a device without a clock, may be added.
    if any(begins <= seconds < ends for begins, ends in _BLANK_SECONDS):
        return Time(None, Remark.BLANK)
    if seconds < 0:
        raise ValueError(text)
    return Time(instant_of(seconds))


def _iso(text: str, _taken_at: int | None) -> Time:
    """A time of ISO 8601. One of a usual year takes a short way, in half of the time of `_calendar`."""
    moment = moment_of(text)
    if moment is None or not _FIRST_USUAL_YEAR <= moment.year < _NEVER_YEAR:
        return _calendar(text, None, None)
    return Time(instant_of(moment))


def _calendar(text: str, form: str | None, zone: tzinfo | None) -> Time:
    # A date may consist of zeros and separators, but not of so few characters.
    if len(text) < _SHORTEST_DATE and _ZERO.fullmatch(text):
        return Time(None, Remark.BLANK)
    if form is None and text[4:5] != "-" and _LATER.fullmatch(text):
        return Time(NEVER, Remark.NEVER)
    moment = parse_moment(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007
    if moment.year >= _NEVER_YEAR:
        return Time(NEVER, Remark.NEVER)
    # Years 1, 1601 and 1970 are the zero of .NET, Windows and Unix.
    if moment.year in _BLANK_YEARS:
        return Time(None, Remark.BLANK)
    remark = None
    if zone is not None and moment.tzinfo is None:
        moment, remark = _local(moment, zone)
    at = instant_of(moment)
    # Compared again as UTC: the first hours of 1970 are 1969 in America.
    if _EPOCH_BEGINS <= at < _EPOCH_ENDS:
        return Time(None, Remark.BLANK)
    return Time(at, remark)


def _local(moment: datetime, zone: tzinfo) -> tuple[datetime, Remark | None]:
    """A time without a zone in that zone. Of an hour that exists twice the first is taken (PEP 495: `fold` is 0)."""
    first, second = moment.replace(tzinfo=zone), moment.replace(tzinfo=zone, fold=1)
    # decision 141: in autumn the second reading has the smaller offset, in spring the larger one, so the sign shows the case
    difference = (first.utcoffset() or _NO_TIME) - (second.utcoffset() or _NO_TIME)
    if not difference:
        return first, None
    return first, Remark.TWICE if difference > _NO_TIME else Remark.MISSING
