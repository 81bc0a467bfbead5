"""The arithmetic of deadlines: which comes first, when a use is written, and the boundary itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import NEVER, Profile
from authctl.instants import DAY, HOUR, MINUTE, SECOND, Duration, format_instant, instant_of
from authctl.lifetimes import (
    DEFAULT_IDLE_TIMEOUT,
    DEFAULT_RETENTION,
    PasswordRule,
    Timeouts,
    deadlines,
    default_idle_timeout,
    ends_on_password_change,
    is_in_grace,
    retention_cutoff,
    slid_at,
    write_interval,
)
from authctl.model import SIGN_IN_METHODS
from authctl.model.sessions import deadline_reason, is_alive

instants = st.integers(0, NEVER - 1)
timeouts = st.one_of(st.just(NEVER), st.integers(1, 1000 * 366 * DAY), st.integers(1, 90 * DAY))
waits = st.one_of(st.integers(0, 400 * DAY), st.integers(0, NEVER))


@given(timeouts, timeouts, instants, waits)
def test_a_session_ends_at_the_earlier_of_its_two_deadlines(idle: int, absolute: int, created: int, wait: int):
    """Idle counts from the last use, absolute from the registration; neither is later than never."""
    used = created + wait
    found = deadlines(Timeouts(idle, absolute), created, used, used)
    assert found.idle_expires_at == (min(NEVER, used + idle))
    assert found.absolute_expires_at == (min(NEVER, created + absolute))
    assert found.expires_at in (found.idle_expires_at, found.absolute_expires_at)
    assert found.expires_at <= found.idle_expires_at
    assert found.expires_at <= found.absolute_expires_at


@given(timeouts, timeouts, instants, waits, waits)
def test_a_later_use_never_ends_a_session_sooner(idle: int, absolute: int, created: int, first: int, more: int):
    """A use moves the idle deadline on and leaves the absolute one where it is."""
    before = deadlines(Timeouts(idle, absolute), created, created + first, created + first)
    used = created + first + more
    after = deadlines(Timeouts(idle, absolute), created, used, used)
    assert after.idle_expires_at >= before.idle_expires_at
    assert after.absolute_expires_at == before.absolute_expires_at
    assert after.expires_at >= before.expires_at


@given(timeouts, instants)
def test_a_use_is_written_before_the_session_ends(idle: int, used: int):
    """After 60 s, or after 1 % of the idle timeout where that is shorter, and so never too late."""
    due = deadlines(Timeouts(idle), used, used, used).use_due_at
    assert due == used + write_interval(idle)
    assert 0 <= due - used <= 60 * SECOND
    assert (due - used) * 100 <= idle


@pytest.mark.parametrize(
    ("idle", "interval"),
    [
        (NEVER, 60 * SECOND),
        (3 * DAY, 60 * SECOND),
        (100 * MINUTE, 60 * SECOND),
        (100 * MINUTE - 100, 60 * SECOND - 1),
        (50 * MINUTE, 30 * SECOND),
        (10 * MINUTE, 6 * SECOND),
        (SECOND, SECOND // 100),
        (99, 0),
    ],
)
def test_how_often_a_use_is_written(idle: int, interval: int):
    """60 s or 1 % of the idle timeout, whichever is less."""
    assert write_interval(idle) == interval


@given(instants)
def test_the_boundary_itself_is_expired(expires: int):
    """Alive one microsecond before its deadline, over at it."""
    assert is_alive(None, expires, expires - 1)
    assert not is_alive(None, expires, expires)
    assert not is_alive(None, expires, expires + 1)


@given(instants, instants, instants)
def test_what_was_ended_is_never_alive(ended: int, expires: int, now: int):
    """Whenever it was ended, and whatever the clock says now."""
    assert not is_alive(ended, expires, now)


def test_never_does_not_come():
    """Without timeouts a session is alive at the last instant of the calendar."""
    found = deadlines(Timeouts(NEVER), 0, 0, 0)
    assert found.expires_at == NEVER
    assert is_alive(None, found.expires_at, NEVER - 1)


@pytest.mark.parametrize(
    ("idle", "absolute", "fixed", "expires", "reason"),
    [
        (1, 2, None, 1, "idle"),
        (2, 1, None, 1, "absolute"),
        (2, 2, None, 2, "absolute"),
        (1, NEVER, None, 1, "idle"),
        (NEVER, 1, None, 1, "absolute"),
        (1, 2, 5, 5, "lifetime"),
        (NEVER, 5, 5, 5, "lifetime"),
        (NEVER, 3, 5, 3, "absolute"),
        (NEVER, 3, 5, 4, "absolute"),
    ],
)
def test_which_deadline_ended_it(idle: int, absolute: int, fixed: int | None, expires: int, reason: str):
    """The one that came first; the absolute of two equal ones, since no use could have moved it. An end that was given
    with the session, unless a tighter profile was sooner."""
    assert deadline_reason(idle, absolute, fixed, expires) == reason


@given(timeouts, timeouts, instants, waits, st.integers(0, 90 * DAY))
def test_a_requested_end_is_not_extended_by_use(idle: int, absolute: int, created: int, wait: int, lifetime: int):
    """It ends when it was to end, or when the longest age is reached, however late it was used."""
    found = deadlines(Timeouts(idle, absolute), created, created + wait, created + wait, created + lifetime)
    assert found.expires_at == min(created + lifetime, created + absolute, NEVER)
    assert found.idle_expires_at == NEVER


@given(st.integers(0, 90 * DAY), instants, waits)
def test_a_use_moves_the_deadline_once_enough_time_has_passed(slide_after: int, before: int, wait: int):
    """Exactly from `slide_after` on; a use that the clock puts before the last one never moves it back."""
    assert slid_at(slide_after, before, before + wait) == (before + wait if wait >= slide_after else before)
    assert slid_at(slide_after, before, before - 1) == before


@given(st.integers(0, DAY), instants, waits, waits)
def test_grace_ends_in_time_and_is_not_extended(grace: int, refreshed: int, wait: int, seen: int):
    """From the exchange until the grace is over; never at an instant before the latest that was recorded."""
    now = refreshed + wait
    assert is_in_grace(grace, refreshed, refreshed, now) == (wait < grace)
    assert is_in_grace(grace, refreshed, refreshed + seen, now) == (seen <= wait < grace)
    assert not is_in_grace(grace, refreshed, refreshed, refreshed - 1)


@pytest.mark.parametrize(
    ("rule", "ending"),
    [
        (PasswordRule.ALL, {None, *SIGN_IN_METHODS}),
        (PasswordRule.PASSWORD, {None, "password"}),
        (PasswordRule.NONE, set()),
    ],
)
def test_what_a_changed_password_ends(rule: PasswordRule, ending: set):
    """Everything, what a password opened or may have opened, or nothing."""
    assert {how for how in (None, *SIGN_IN_METHODS) if ends_on_password_change(rule, how)} == ending


@pytest.mark.parametrize(
    ("absolute", "idle"),
    [
        (NEVER, 3 * DAY),
        (90 * DAY, 3 * DAY),
        (3 * DAY + 1, 3 * DAY),
        (3 * DAY, NEVER),
        (24 * HOUR, NEVER),
        (SECOND, NEVER),
    ],
)
def test_the_idle_timeout_that_nobody_wrote(absolute: int, idle: int):
    """Three days, or none where the absolute timeout is three days or less."""
    assert default_idle_timeout(absolute) == idle


@given(timeouts)
def test_the_default_idle_timeout_never_contradicts(absolute: int):
    """Whatever the absolute timeout, the default beside it is a pair that a file could state."""
    idle = default_idle_timeout(absolute)
    assert idle == NEVER or idle < absolute


def test_the_defaults_are_mimecasts():
    """Three days without use, listed for six months."""
    assert DEFAULT_IDLE_TIMEOUT == 3 * DAY == Profile("any").idle_timeout
    assert Profile("any").absolute_timeout == NEVER
    assert Duration(months=6) == DEFAULT_RETENTION


@given(timeouts, timeouts, instants, waits)
def test_a_profile_gives_its_own_deadlines(idle: int, absolute: int, created: int, wait: int):
    """A profile's deadlines are those of its two timeouts."""
    profile = Profile("any", idle, absolute)
    used = created + wait
    assert profile.deadlines(created, used) == deadlines(Timeouts(idle, absolute), created, used, used)


@pytest.mark.parametrize(
    ("retention", "cutoff"),
    [
        (Duration(months=6), "2026-02-28T12:00:00Z"),
        (Duration(0, 30 * DAY), "2026-08-01T12:00:00Z"),
        (Duration(1, DAY), "2026-07-30T12:00:00Z"),
        (Duration(12), "2025-08-31T12:00:00Z"),
    ],
)
def test_what_ended_before_the_cutoff_is_removed(retention: Duration, cutoff: str):
    """The cutoff is the retention before now."""
    now = instant_of(datetime(2026, 8, 31, 12, tzinfo=UTC))
    assert format_instant(retention_cutoff(retention, now)) == cutoff
