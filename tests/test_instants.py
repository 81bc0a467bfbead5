"""Lengths of time and instants: what can be written, what it means, and the calendar behind retention."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import NEVER, InvalidInput, datetime_of
from authctl.cli.exit_codes import exit_code_of
from authctl.instants import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    Duration,
    format_instant,
    format_timeout,
    instant_of,
    months_before,
    parse_duration,
    parse_instant,
    parse_timeout,
    parse_when,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = 1_793_525_400 * SECOND  # 2026-11-01T09:30:00Z
EARLIEST = -62_135_596_800 * SECOND  # 0001-01-01T00:00:00Z
HALF_A_YEAR = Duration(months=6)

instants = st.integers(EARLIEST, NEVER - 1)
moderns = st.integers(0, 4_102_444_800 * SECOND)  # 1970 to 2100


def stepped_back(day: date, months: int) -> date:
    """The day some months earlier, found by stepping from month to month and then back to a day that exists."""
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
    for number in (day.day, 30, 29, 28):
        if number <= day.day:
            try:
                return date(year, month, number)
            except ValueError:
                continue
    raise AssertionError("every month has 28 days")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", Duration(0, 90 * SECOND)),
        ("30m", Duration(0, 30 * MINUTE)),
        ("36h", Duration(0, 36 * HOUR)),
        ("7d", Duration(0, 7 * DAY)),
        ("2w", Duration(0, 2 * WEEK)),
        ("1mo", Duration(1)),
        ("6 months", Duration(6)),
        ("6months", Duration(6)),
        ("1 year", Duration(12)),
        ("2y", Duration(24)),
        ("1h30m", Duration(0, 90 * MINUTE)),
        ("1h 30m", Duration(0, 90 * MINUTE)),
        ("1 week, 2 days", Duration(0, 9 * DAY)),
        ("1 year 2 months 3 days", Duration(14, 3 * DAY)),
        ("1 hour 1 minute 1 second", Duration(0, 3661 * SECOND)),
        ("5 min", Duration(0, 5 * MINUTE)),
        ("5 mins", Duration(0, 5 * MINUTE)),
        ("5 secs", Duration(0, 5 * SECOND)),
        ("5 hrs", Duration(0, 5 * HOUR)),
        (" 7D ", Duration(0, 7 * DAY)),
        ("6 Months", Duration(6)),
        ("007d", Duration(0, 7 * DAY)),
        ("0000000000000000015d", Duration(0, 15 * DAY)),
        ("00000000000000000000000000000015d", Duration(0, 15 * DAY)),
        ("0d 1h", Duration(0, HOUR)),
        ("365000d", Duration(0, 365_000 * DAY)),
        ("900 years", Duration(900 * 12)),
        ("1000 years", Duration(1000 * 12)),
    ],
)
def test_lengths_of_time(text: str, expected: Duration):
    """A number and a unit, once or more; `m` is minutes, `mo` months; in any case."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "d", "days", "never", "forever"),
        *("7", "0", "3600", "1e3", "0x10", "010", "9223372036854775808"),
        *("1:30", "01:30:00", "1:30h", "2026-11-01", "P7D", "PT1H"),
        *("-7d", "+7d", "- 7d", "7d-", "-0d"),
        *("1.5h", "1,5h", ".5h", "½d", "1/2d", "1_000s"),
        *("0s", "0d", "0 months", "0d 0h", "00s"),
        *("9223372036854775808s", "9223372036854775808d", "99999999999999999999999999y", "1001 years", "367000d"),
        *("7x", "7 fortnights", "7 ms", "7us", "7 decades", "7dd", "5 m o", "1h30", "30 1h", "d7", "7 d d"),
        *("٣d", "\uff17d", "7\uff44", "7d\0", "7d;", "7d,,1h", ",7d", "7d and 1h", "7d\u200b", "%s"),
    ],
)
def test_texts_that_are_no_length_of_time(text: str):
    """Bare numbers, clocks, signs, fractions, zero, the endless and unknown units: exit 2, with what can be written."""
    with pytest.raises(InvalidInput) as refused:
        parse_duration(text)
    assert exit_code_of(refused.type) == 2


@pytest.mark.parametrize("text", ["9" * 10_000, "9" * 10_000 + "d", "9d" * 100_000, " " * 100_000 + "x", "d" * 100_000])
def test_huge_texts_are_no_length_of_time(text: str):
    """However long it is, it is refused as any other, and the message stays short."""
    with pytest.raises(InvalidInput) as refused:
        parse_duration(text)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("text", ["6M", "6 M", "1h30M", "1y6M"])
def test_a_capital_m_is_refused(text: str):
    """It is minutes to some programs and months to others: nobody is revoked by a guess."""
    with pytest.raises(InvalidInput, match="minutes or months"):
        parse_duration(text)
    assert parse_duration("6 Months") == parse_duration("6MO") == Duration(6)


@pytest.mark.parametrize("text", ["6 months", "1mo", "1 year", "1y 3d", "3d 1mo"])
def test_a_timeout_has_no_calendar_months(text: str):
    """A month has no fixed length, so a timeout cannot be one."""
    with pytest.raises(InvalidInput, match="calendar months"):
        parse_timeout(text)


@pytest.mark.parametrize(("text", "expected"), [("3d", 3 * DAY), ("never", NEVER), (" Never ", NEVER), ("1s", SECOND)])
def test_timeouts(text: str, expected: int):
    """A fixed length of time, or never."""
    assert parse_timeout(text) == expected


@pytest.mark.parametrize("text", ["", "3", "1:30", "0s", "never 3d", "-1d", "nevers", "none"])
def test_texts_that_are_no_timeout(text: str):
    """What is no length of time is no timeout."""
    with pytest.raises(InvalidInput):
        parse_timeout(text)


@given(st.integers(0, 11_000), st.integers(0, 20_000 * 86_400))
def test_a_length_of_time_reads_back(months: int, seconds: int):
    """What is printed can be typed, and means the same."""
    duration = Duration(months, seconds * SECOND)
    if months or seconds:
        assert parse_duration(str(duration)) == duration


@given(st.integers(1, 365_000 * 86_400))
def test_a_timeout_reads_back(seconds: int):
    """What is printed can be typed, and means the same."""
    assert parse_timeout(format_timeout(seconds * SECOND)) == seconds * SECOND


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (HALF_A_YEAR, "6 months"),
        (Duration(1), "1 month"),
        (Duration(12), "1 year"),
        (Duration(30, 90 * MINUTE), "2 years 6 months 1h 30m"),
        (Duration(0, 3 * DAY), "3d"),
        (Duration(0, 61 * SECOND), "1m 1s"),
    ],
)
def test_lengths_of_time_as_text(duration: Duration, text: str):
    """Whole units, the largest first."""
    assert str(duration) == text
    assert format_timeout(NEVER) == "never"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-01", "2026-11-01T00:00:00Z"),
        ("2026-11-01T09:30", "2026-11-01T09:30:00Z"),
        ("2026-11-01 09:30:15", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30:15Z", "2026-11-01T09:30:15Z"),
        ("2026-11-01t09:30:15z", "2026-11-01T09:30:15Z"),
        (" 2026-11-01T09:30:15Z\n", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30:15+00:00", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30:15-00:00", "2026-11-01T09:30:15Z"),
        ("2026-11-01T09:30:15+02:00", "2026-11-01T07:30:15Z"),
        ("2026-11-01T09:30:15-0830", "2026-11-01T18:00:15Z"),
        ("2026-11-01T00:30:00+05:45", "2026-10-31T18:45:00Z"),
        ("2026-11-01T09:30+02:00", "2026-11-01T07:30:00Z"),
        ("2026-11-01T09:30:15.5Z", "2026-11-01T09:30:15.500Z"),
        ("2026-11-01T09:30:15,25Z", "2026-11-01T09:30:15.250Z"),
        ("2026-11-01T09:30:15.123456Z", "2026-11-01T09:30:15.123456Z"),
        ("2026-11-01T09:30:15.123456789Z", "2026-11-01T09:30:15.123456Z"),
        ("2026-11-01T09:30:15.999999999+01:00", "2026-11-01T08:30:15.999999Z"),
        ("2024-02-29", "2024-02-29T00:00:00Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_dates_and_times(text: str, expected: str):
    """ISO 8601 and RFC 3339; no zone means UTC; what is finer than a microsecond is dropped."""
    assert format_instant(parse_instant(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "now", "never", "yesterday", "7d"),
        *("2026", "202611", "20261101", "1793525400", "1793525400.5", "-1", "0"),
        *("2026-11", "2026-1-1", "26-11-01", "2026-W01-1", "2026-305", "+2026-11-01", "-2026-11-01", "12026-11-01"),
        *("2026-02-29", "2026-13-01", "2026-00-01", "2026-11-31", "2026-11-00", "0000-01-01"),
        *("2026-11-01T24:01:00Z", "2026-11-01T25:00:00Z", "2026-11-01T09:60:00Z", "2026-11-01T09:30:61Z"),
        *("2026-11-01T", "2026-11-01T09", "2026-11-01T09:30:", "2026-11-01T09:30:15.Z", "2026-11-01T093015Z"),
        *(
            "2026-11-01Z",
            "2026-11-01+02:00",
            "2026-11-01T09:30:15+2",
            "2026-11-01T09:30:15+02",
            "2026-11-01T09:30:15 Z",
        ),
        *(
            "2026-11-01T09:30:15+24:00",
            "2026-11-01T09:30:15-99:00",
            "2026-11-01T09:30:15+05:60",
            "2026-11-01T09:30+05:99",
        ),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999999-00:01"),
        *(
            "\uff12026-11-01",
            "2026-11-0\uff11",
            "2026-11-01T09:30:15.\uff11Z",
            "2026\u201011\u201001",
            "2026/11/01",
            "01.11.2026",
        ),
        *("2026-11-01T09:30:15Z junk", "2026-11-01\x00", "2026-11-01\n2026-11-02", "2026-11-01T09:30:15Europe/Paris"),
    ],
)
def test_texts_that_are_no_instant(text: str):
    """Numbers, days that do not exist, times out of range and half a date: exit 2."""
    with pytest.raises(InvalidInput, match="not a date or time"):
        parse_instant(text)


@given(
    st.one_of(
        st.text(max_size=40), st.from_regex(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,12})?)?([+-]\d\d:?\d\d)?")
    )
)
def test_any_text_is_an_instant_or_refused(text: str):
    """Nothing that is typed raises anything else, and what is accepted can be printed."""
    try:
        instant = parse_instant(text)
    except InvalidInput:
        return
    assert EARLIEST <= instant < NEVER
    assert parse_instant(format_instant(instant)) == instant


@given(instants)
def test_an_instant_reads_back(instant: int):
    """What is printed is RFC 3339 in UTC, and reads back to the microsecond."""
    text = format_instant(instant)
    assert text.endswith("Z")
    assert parse_instant(text) == instant
    assert EPOCH + timedelta(microseconds=instant) == datetime_of(instant) == datetime.fromisoformat(text)
    assert instant_of(datetime.fromisoformat(text)) == instant


@given(moderns, st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_an_instant_is_the_same_in_every_zone(instant: int, offset: int):
    """The offset is taken into account, as an aware datetime does."""
    there = (EPOCH + timedelta(microseconds=instant)).astimezone(timezone(timedelta(minutes=offset)))
    assert parse_instant(there.isoformat()) == instant_of(there) == instant


def test_never_is_no_datetime():
    """The end that does not come has no date; a datetime without a zone, and a number, are UTC."""
    assert datetime_of(NEVER) is None
    assert instant_of(datetime(2026, 11, 1, 9, 30)) == instant_of(1_793_525_400) == instant_of(1_793_525_400.0) == NOW  # noqa: DTZ001


@pytest.mark.parametrize(
    ("text", "back", "ahead"),
    [
        ("7d", "2026-10-25T09:30:00Z", "2026-11-08T09:30:00Z"),
        ("36h", "2026-10-30T21:30:00Z", "2026-11-02T21:30:00Z"),
        ("90m", "2026-11-01T08:00:00Z", "2026-11-01T11:00:00Z"),
        ("6 months", "2026-05-01T09:30:00Z", "2027-05-01T09:30:00Z"),
        ("1 month 1d", "2026-09-30T09:30:00Z", "2026-12-02T09:30:00Z"),
        ("2026-08-31", "2026-08-31T00:00:00Z", "2026-08-31T00:00:00Z"),
        ("2026-08-31T12:00+02:00", "2026-08-31T10:00:00Z", "2026-08-31T10:00:00Z"),
    ],
)
def test_ages_count_back_or_ahead(text: str, back: str, ahead: str):
    """An age is so long before now, or ahead of it where that is asked for; a date is itself."""
    assert format_instant(parse_when(text, NOW)) == back
    assert format_instant(parse_when(text, NOW, ahead=True)) == ahead


@pytest.mark.parametrize("text", ["", "7", "1:30", "0d", "-7d", "2026", "2026-13-01", "9223372036854775808d"])
def test_texts_that_are_neither_date_nor_age(text: str):
    """Bare numbers and clock times are refused here, too."""
    with pytest.raises(InvalidInput):
        parse_when(text, NOW)


@given(moderns, st.integers(0, 600))
def test_months_are_subtracted_in_the_calendar_and_clamped(instant: int, months: int):
    """As stepping back month by month and taking the last day that exists; the time of day stays."""
    moment = EPOCH + timedelta(microseconds=instant)
    expected = datetime.combine(stepped_back(moment.date(), months), moment.timetz())
    assert EPOCH + timedelta(microseconds=months_before(instant, months)) == expected


@given(moderns, st.integers(0, 600), st.integers(0, 400 * DAY))
def test_a_length_of_time_ahead_and_back(instant: int, months: int, microseconds: int):
    """Going ahead and coming back is at most three days early, never late; without months it is exact."""
    duration = Duration(months, microseconds)
    assert 0 <= instant - months_before(months_before(instant, -months), months) <= 3 * DAY
    assert duration.after(instant) == months_before(instant, -months) + microseconds
    assert duration.before(instant) == months_before(instant, months) - microseconds


@pytest.mark.parametrize("duration", [Duration(12), Duration(0, DAY), Duration(1, DAY)], ids=str)
def test_nothing_is_later_than_never(duration: Duration):
    """So long after the last day of the calendar is never, and no error."""
    assert [duration.after(instant) for instant in (NEVER - 1, NEVER - SECOND, NEVER - DAY + 1)] == [NEVER] * 3


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-08-31T12:00:00Z", "2026-02-28T12:00:00Z"),
        ("2026-08-30T12:00:00Z", "2026-02-28T12:00:00Z"),
        ("2026-08-29T12:00:00Z", "2026-02-28T12:00:00Z"),
        ("2026-08-28T12:00:00Z", "2026-02-28T12:00:00Z"),
        ("2028-08-31T12:00:00Z", "2028-02-29T12:00:00Z"),
        ("2028-08-29T12:00:00Z", "2028-02-29T12:00:00Z"),
        ("2026-09-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2026-10-31T23:59:59.999999Z", "2026-04-30T23:59:59.999999Z"),
        ("2027-02-28T12:00:00Z", "2026-08-28T12:00:00Z"),
        ("2027-03-01T00:00:00Z", "2026-09-01T00:00:00Z"),
        ("2100-08-31T12:00:00Z", "2100-02-28T12:00:00Z"),
        ("2000-08-31T12:00:00Z", "2000-02-29T12:00:00Z"),
    ],
)
def test_six_months_before_the_end_of_a_month(now: str, cutoff: str):
    """31 August less six months is 28 or 29 February."""
    assert format_instant(HALF_A_YEAR.before(parse_instant(now))) == cutoff


def test_retention_on_every_day_of_ten_years():
    """Never later than the same day six months earlier, at most three days early, never backwards, no exception."""
    day, previous = date(2023, 1, 1), EARLIEST
    while day < date(2033, 1, 1):
        cutoff = HALF_A_YEAR.before(parse_instant(f"{day}T12:00:00Z"))
        year, month = (day.year, day.month - 6) if day.month > 6 else (day.year - 1, day.month + 6)
        nominal = parse_instant(f"{date(year, month, 1)}T12:00:00Z") + (day.day - 1) * DAY
        assert nominal - 3 * DAY <= cutoff <= nominal
        assert cutoff >= previous
        day, previous = day + timedelta(days=1), cutoff
