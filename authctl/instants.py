"""Instants and durations: text to integers and back, and the calendar.

An instant is an integer: microseconds since 1970-01-01T00:00:00Z. A `Duration` is a number of
calendar months and a fixed number of microseconds. Nothing here reads the clock but `utc_now`.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from authctl.errors import InvalidInput, RegistryUnavailable
from authctl.names import quoted

Clock = Callable[[], "datetime | float | int"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

CLOCK_JUMP = 7 * 31 * DAY
"""The least distance between two recorded times that counts as a leap: the clock may have been wrong."""

# decision 2: an instant like any other, so that every comparison is one comparison
NEVER = 253_402_300_800 * SECOND
"""The instant, and the length of time, that never comes: 10000-01-01T00:00:00Z."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = -62_135_596_800 * SECOND
_MICROSECOND = timedelta(microseconds=1)
_INSTANT = (  # patterns stand here as texts: `re` compiles each at its first use
    r"(?a)\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?)?"
)
_PART = r"(?a)(\d+)\s*([a-z]+)(?:\s*,?\s*|$)"
_MICROSECONDS = {
    unit: size
    for units, size in (
        ("s sec secs second seconds", SECOND),
        ("m min mins minute minutes", MINUTE),
        ("h hr hrs hour hours", HOUR),
        ("d day days", DAY),
        ("w week weeks", WEEK),
    )
    for unit in units.split()
}
_MONTHS = {"mo": 1, "month": 1, "months": 1, "y": 12, "year": 12, "years": 12}
_MOST_DIGITS = 12
_DAYS_AGO = {"today": 0, "yesterday": 1}
_AVERAGE_MONTH = 2_629_746 * SECOND  # of the 400 Gregorian years
_CAPITAL_M = r"M(?![A-Za-z])"
_UNITS = "write a number and a unit: 90s, 30m, 36h, 7d, 2w, 6 months, 1 year"


class Duration(NamedTuple):
    """A length of time: calendar months, and microseconds besides."""

    months: int = 0
    microseconds: int = 0

    def __str__(self) -> str:
        years, months = divmod(self.months, 12)
        named = [(years, "year"), (months, "month")]
        parts = [f"{n} {unit}{'s' * (n != 1)}" for n, unit in named if n]
        return " ".join([*parts, *_fixed_parts(self.microseconds)]) or "0s"

    def before(self, instant: int) -> int:
        """The instant this long before `instant`, months counted in the UTC calendar.

        A day that the month does not have becomes its last one (31 August less 6 months is
        28 or 29 February), so the answer is at most three days early and never late.
        """
        return months_before(instant, self.months) - self.microseconds

    def after(self, instant: int) -> int:
        """The instant this long after `instant`, months counted in the UTC calendar; `NEVER` at the latest."""
        # 31 days are the longest month, so that the exact calendar below never passes the year 9999.
        if instant + self.months * 31 * DAY + self.microseconds >= NEVER:
            return NEVER
        return months_before(instant, -self.months) + self.microseconds


def _fixed_parts(microseconds: int) -> list[str]:
    parts = []
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        count, microseconds = divmod(microseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return parts


def months_before(instant: int, months: int) -> int:
    """The same time of day `months` calendar months earlier, clamped to the month's last day."""
    from calendar import monthrange

    day, time_of_day = divmod(instant, DAY)
    # The time of day is kept apart: months change the date alone.
    date = _EPOCH + timedelta(days=day)
    year, month = divmod(date.year * 12 + date.month - 1 - months, 12)
    last = monthrange(year, month + 1)[1]
    moved = date.replace(year=year, month=month + 1, day=min(date.day, last))
    return (moved - _EPOCH).days * DAY + time_of_day


def parse_duration(text: str) -> Duration:
    """Read "7d", "36h", "1h30m" or "6 months"; `m` is minutes, `mo` months.

    Raises InvalidInput for bare numbers, clock notation, signs, fractions, zero and lengths
    beyond 1,000 years.
    """
    # decision 128: a capital M alone is refused
    duration = _duration(text)
    if duration == Duration():
        raise InvalidInput(f"not a length of time above zero: {quoted(text)}", _UNITS)
    return duration


def _duration(text: str) -> Duration:
    # decision 5: no parser of lengths of time refuses all that must be refused
    if re.search(_CAPITAL_M, text):  # months to some programs and minutes to others
        raise InvalidInput(f"minutes or months: {quoted(text)}", "write m for minutes, mo for months")
    lowered = text.strip().lower()
    pattern = re.compile(_PART)
    months = microseconds = position = 0
    while position < len(lowered) or not lowered:
        part = pattern.match(lowered, position)
        unit = part and part[2]
        if part is None or (unit not in _MICROSECONDS and unit not in _MONTHS):
            raise InvalidInput(f"not a length of time: {quoted(text)}", _UNITS)
        # int() of a very long text takes quadratic time, so that the length is checked before the value.
        digits = part[1].lstrip("0") or "0"
        if len(digits) > _MOST_DIGITS:
            raise InvalidInput(f"longer than 1,000 years: {quoted(text)}")
        count = int(digits)
        microseconds += count * _MICROSECONDS.get(part[2], 0)
        months += count * _MONTHS.get(part[2], 0)
        position = part.end()
    if months * _AVERAGE_MONTH + microseconds > 12_000 * _AVERAGE_MONTH:
        raise InvalidInput(f"longer than 1,000 years: {quoted(text)}")
    return Duration(months, microseconds)


def parse_timeout(text: str) -> int:
    """Read a fixed length of time, or "never", as microseconds.

    Raises InvalidInput; for calendar months, too, since they have no fixed length.
    """
    # decision 6: a timeout has a fixed length, and a month has not
    return NEVER if text.strip().lower() == "never" else parse_lifetime(text)


def parse_lifetime(text: str) -> int:
    """Read a fixed length of time above zero, as microseconds. Raises InvalidInput."""
    return _fixed(parse_duration(text), text)


def parse_length(text: str) -> int:
    """Read a fixed length of time, which may be zero, as microseconds. Raises InvalidInput."""
    return _fixed(_duration(text), text)


def _fixed(duration: Duration, text: str) -> int:
    if duration.months:
        raise InvalidInput(f"a timeout needs a fixed length, not calendar months: {quoted(text)}", "write 180d")
    return duration.microseconds


def parse_age(text: str, now: int) -> int:
    """Read an age, with calendar months counted back from `now`, as microseconds. Raises InvalidInput."""
    return now - parse_duration(text).before(now)


def format_timeout(microseconds: int) -> str:
    """The inverse of `parse_timeout`, and of `parse_length`."""
    return "never" if microseconds >= NEVER else str(Duration(0, microseconds))


def parse_instant(text: str) -> int:
    """Read ISO 8601 / RFC 3339: a date (midnight UTC) or a date and time; no zone means UTC.

    Digits beyond the microsecond are dropped. Raises InvalidInput.
    """
    moment = parse_moment(text)
    # A zone may move the year 1 or 9999 out of the range: 0001-01-01T00:00+05:00 is an instant of the year 0.
    with suppress(ValueError):
        instant = instant_of(moment)
        if EARLIEST <= instant < NEVER:
            return instant
    raise _not_a_time(text)


def parse_moment(text: str) -> datetime:
    """Read a date or time as `parse_instant` does, with its own zone, or with none where the text has none. Raises InvalidInput."""
    moment = moment_of(text.strip())
    if moment is None:
        raise _not_a_time(text)
    return moment


def moment_of(text: str) -> datetime | None:
    """The same of a text without white space around it; None where it is no date or time."""
    if re.fullmatch(_INSTANT, text):
        try:
            return datetime.fromisoformat(text.upper())
        except ValueError:
            pass
    return None


def _not_a_time(text: str) -> InvalidInput:
    return InvalidInput(f"not a date or time: {quoted(text)}", "write 2026-11-01 or 2026-11-01T09:30:00Z")


def parse_when(text: str, now: int, ahead: bool = False) -> int:
    """Read a date, `today` or `yesterday` (midnight UTC), a time, or an age such as 7d: so long before `now`, or `ahead` of it."""
    # decision 9: a deadline's age counts forward
    if (days := _DAYS_AGO.get(text.strip().lower())) is not None:
        return now - now % DAY - days * DAY
    # A text that begins as a date gets the error of a date: `2026-13-01` is not a wrong length of time.
    if re.match(r"\d{4}-", text.strip()):
        return parse_instant(text)
    try:
        duration = parse_duration(text)
    except InvalidInput as error:
        hint = "write 2026-11-01, 2026-11-01T09:30:00Z, today, yesterday, or an age such as 7d"
        if ahead:
            hint = "write 2026-11-01, 2026-11-01T09:30:00Z, or a length of time such as 7d: in 7 days"
        message = error.message.replace(
            "a length of time", "a time or a length of time" if ahead else "a time or an age"
        )
        raise InvalidInput(message, hint) from None
    return duration.after(now) if ahead else duration.before(now)


def instant_of(moment: datetime | float) -> int:
    """The instant of a datetime (naive means UTC) or of a number of Unix seconds."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND
    return round(moment * SECOND)


def given_instant(value: object, name: str) -> int | None:
    """The instant that a caller gives as a datetime (naive means UTC) or in microseconds; None for None.

    Raises InvalidInput for every other value. `name` is the argument.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        return instant_of(value)
    if isinstance(value, int) and not isinstance(value, bool) and EARLIEST <= value <= NEVER:
        return value
    # decision 339: a database may order a number before every text without an error, so that all sessions were created before "7d"
    raise InvalidInput(f"{name} is neither a datetime nor an instant in microseconds: {quoted(str(value))}")


def microseconds(length: timedelta | int | None) -> int | None:
    """A length of time that is given as a timedelta, or in microseconds."""
    return length // _MICROSECOND if isinstance(length, timedelta) else length


def datetime_of(instant: int) -> datetime | None:
    """The instant as an aware UTC datetime; None for `NEVER`."""
    return None if instant >= NEVER else _EPOCH + timedelta(microseconds=instant)


def format_instant(instant: int) -> str:
    """RFC 3339 in UTC with `Z`; no fraction of a second, or three digits of it, or six."""
    whole, fraction = divmod(instant, SECOND)
    minutes, second = divmod(whole, 60)
    day, minute = divmod(minutes, 1_440)
    if not fraction:
        return "%s%s%02dZ" % (_date(day), _minute(minute), second)  # noqa: UP031  # lists format five of them a row
    if fraction % 1000:
        return "%s%s%02d.%06dZ" % (_date(day), _minute(minute), second, fraction)  # noqa: UP031
    return "%s%s%02d.%03dZ" % (_date(day), _minute(minute), second, fraction // 1000)  # noqa: UP031


def format_second(instant: int) -> str:
    """The same without the fraction of the second, for messages to people."""
    return format_instant(instant - instant % SECOND)


@lru_cache(maxsize=1_024)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).date().isoformat()


@lru_cache(maxsize=1_440)
def _minute(of_day: int) -> str:
    return f"T{of_day // 60:02}:{of_day % 60:02}:"


def utc_now() -> int:
    """The operating system's clock."""
    return time.time_ns() // 1000


def check_now(now: int) -> int:
    """The present instant as a clock returned it. Raises RegistryUnavailable when that is no valid time."""
    if not EARLIEST <= now < NEVER:
        raise RegistryUnavailable("the clock returned an invalid time")
    return now
