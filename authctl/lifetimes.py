"""The lifetime rules, as pure arithmetic on instants and lengths of time in microseconds.

`now >= expires_at` is expired: one boundary, here and in every store. "Never" is a large number.

See docs/glossary.md#deadline, docs/glossary.md#retention and docs/glossary.md#use-that-is-due.
"""

from enum import StrEnum
from typing import NamedTuple

from authctl.instants import DAY, HOUR, NEVER, SECOND, Duration

DEFAULT_IDLE_TIMEOUT = 3 * DAY
"""Mimecast's default authentication TTL for registered applications."""

DEFAULT_ACCESS_LIFETIME = HOUR
"""Microsoft Entra's default lifetime of an access token."""

DEFAULT_REQUESTED_LIFETIME = HOUR
LONGEST_REQUESTED_LIFETIME = DAY
"""ArcGIS Server's defaults: a token that asks for nothing gets 60 minutes, and none gets more than a day."""

DEFAULT_RETENTION = Duration(months=6)
"""How long Mimecast lists applications after they expired or were revoked."""

_LONGEST_WRITE_INTERVAL = 60 * SECOND


class PasswordRule(StrEnum):
    """Which sessions of a user end when the password changes."""

    ALL = "all"
    PASSWORD = "password"  # noqa: S105
    NONE = "none"


class Timeouts(NamedTuple):
    """How long sessions live: longest inactivity, longest age, and how often a use may move the idle deadline."""

    idle: int = DEFAULT_IDLE_TIMEOUT
    absolute: int = NEVER
    slide_after: int = 0


class Deadlines(NamedTuple):
    """The stored consequences of a registration or a use."""

    slid_at: int
    """The use that last moved the idle deadline."""
    idle_expires_at: int
    absolute_expires_at: int
    expires_at: int
    use_due_at: int


def deadlines(
    timeouts: Timeouts,
    created_at: int,
    slid_at: int,
    used_at: int,
    requested_end: int | None = None,
    *,
    use_moves: bool = True,
) -> Deadlines:
    """The deadlines of a session, and when its next use is written: at the latest when it would move the idle deadline.

    `requested_end` is the end of a lifetime that was asked for: use does not move it, and no profile lengthens it.
    """
    absolute = after(created_at, timeouts.absolute)
    idle = after(slid_at, timeouts.idle) if requested_end is None else NEVER
    expires = min(idle, absolute, NEVER if requested_end is None else requested_end)
    # A use is written after the interval, or earlier where it would move the idle deadline (decision 45). So with
    # `slide_after: 30m` a session that is used every 20 minutes does not end because a use was not written.
    interval = write_interval(timeouts.idle)
    due = used_at + interval
    if use_moves and requested_end is None:
        due = min(due, slid_at + max(timeouts.slide_after, interval))
    return Deadlines(slid_at, idle, absolute, expires, due)


def after(instant: int, length: int) -> int:
    """The instant so much later; `NEVER` at the latest."""
    return min(NEVER, instant + length)


def slid_at(slide_after: int, slid_before: int, used_at: int) -> int:
    """The use that the idle deadline counts from: this one, once `slide_after` has passed since the last that moved it."""
    # Used at 10:00 and 10:05 with `slide_after: 1h`: the idle deadline still counts from 10:00.
    return used_at if used_at - slid_before >= slide_after else slid_before


def write_interval(idle_timeout: int) -> int:
    """How much later than the last written use the next one is written: 60 s or 1 % of the timeout."""
    # decision 3
    return min(_LONGEST_WRITE_INTERVAL, idle_timeout // 100)


def is_in_grace(grace: int, refreshed_at: int, seen_at: int, now: int) -> bool:
    """Whether a refresh token that was spent at `refreshed_at` may still be answered with its successor.

    `seen_at` is the latest instant that the registry has recorded since: behind it the clock was set back, and how long
    ago the token was spent cannot be known, so that no grace is left.
    """
    # decision 31: the clock and the recorded time must both be within the grace period
    return max(refreshed_at, seen_at) <= now < refreshed_at + grace


def ends_on_password_change(rule: PasswordRule, signed_in_with: str | None) -> bool:
    """Whether a session ends when its user's password changes; how it was opened counts, not how it was refreshed.

    Microsoft Entra ends the sessions that a password opened, and not those that a key opened. A session without a
    recorded way may have been opened by a password.
    """
    # decision 37: an unknown way of signing in may have been a password
    if rule is PasswordRule.PASSWORD:
        return signed_in_with in (None, "password")
    return rule is PasswordRule.ALL


def default_idle_timeout(absolute_timeout: int) -> int:
    """The idle timeout of a profile that writes none: 3 days, or none where its sessions end by then."""
    # A profile with `absolute_timeout: 8h` alone means a working day: an idle timeout of 3 days could never come first.
    return NEVER if absolute_timeout <= DEFAULT_IDLE_TIMEOUT else DEFAULT_IDLE_TIMEOUT


def retention_cutoff(retention: Duration, now: int) -> int:
    """Sessions whose end lies before this instant are removed; an end equal to it is kept."""
    return retention.before(now)
