"""The lifetime rules, as pure arithmetic on instants and lengths of time in microseconds.

`now >= expires_at` is expired: one boundary, here and in every store. "Never" is a large number.
"""

from dataclasses import dataclass

from authctl.instants import DAY, NEVER, SECOND, Duration

DEFAULT_IDLE_TIMEOUT = 3 * DAY
"""Mimecast's default authentication TTL for registered applications."""

DEFAULT_RETENTION = Duration(months=6)
"""How long Mimecast lists applications after they expired or were revoked."""

_LONGEST_WRITE_INTERVAL = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The stored consequences of a use."""

    idle_expires_at: int
    absolute_expires_at: int
    expires_at: int
    use_due_at: int


def deadlines(idle_timeout: int, absolute_timeout: int, created_at: int, used_at: int) -> Deadlines:
    """The deadlines of a session created and last used then, and when its next use is written."""
    idle = min(NEVER, used_at + idle_timeout)
    absolute = min(NEVER, created_at + absolute_timeout)
    return Deadlines(idle, absolute, min(idle, absolute), used_at + write_interval(idle_timeout))


def write_interval(idle_timeout: int) -> int:
    """How much later than the last written use the next one is written: 60 s or 1 % of the timeout."""
    return min(_LONGEST_WRITE_INTERVAL, idle_timeout // 100)


def is_alive(ended_at: int | None, expires_at: int, now: int) -> bool:
    """Whether a session that nobody revoked is active at `now`."""
    return ended_at is None and now < expires_at


def deadline_reason(idle: int, absolute: int, fixed: int | None) -> str:
    """Which deadline comes first: `idle`, `absolute` or `lifetime` (one fixed with the session)."""
    if fixed is not None:
        return "lifetime"
    return "absolute" if absolute <= idle else "idle"


def default_idle_timeout(absolute_timeout: int) -> int:
    """The idle timeout of a profile that writes none: 3 days, or none where its sessions end by then."""
    return NEVER if absolute_timeout <= DEFAULT_IDLE_TIMEOUT else DEFAULT_IDLE_TIMEOUT


def retention_cutoff(retention: Duration, now: int) -> int:
    """Sessions whose end lies before this instant are removed; an end equal to it is kept."""
    return retention.before(now)
