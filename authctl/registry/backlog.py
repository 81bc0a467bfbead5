"""The sessions whose retention is over, and wait for a cleanup.

See docs/glossary.md#retention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from authctl.errors import Refused
from authctl.instants import DAY, Duration
from authctl.lifetimes import retention_cutoff
from authctl.model import EventFilter

if TYPE_CHECKING:
    from authctl.store.protocol import View

CLEANUP_DUE = 2 * DAY
"""How late a cleanup may be: a nightly one that failed once is no alarm."""


class Backlog(NamedTuple):
    """The sessions whose retention is over, and the last run that removed such sessions."""

    cutoff: int
    """Sessions whose end lies before this instant wait for a cleanup."""
    retention: str
    expired: int
    revoked: int
    oldest_at: int | None
    """The earliest end of them; None where none waits."""
    last_run_at: int | None
    """The end of the last complete cleanup; None where there was none."""
    is_overdue: bool
    """Whether the retention of one of them is over for longer than a cleanup may be late."""

    @property
    def total(self) -> int:
        """How many sessions wait."""
        return self.expired + self.revoked


def backlog_of(
    view: View,
    now: int,
    max_age: int = CLEANUP_DUE,
    older_than: Duration | None = None,
    *,
    keep_unacknowledged: bool = False,
) -> Backlog:
    """The sessions that wait at an instant, and whether one of them waits for longer than `max_age`. Raises Refused."""
    cutoff = cutoff_of(view, now, older_than)
    due = view.ended_before(cutoff, keep_unacknowledged=keep_unacknowledged)
    oldest = view.oldest_end(cutoff, keep_unacknowledged=keep_unacknowledged)
    done = view.events(EventFilter(action="cleanup.done"), 1)
    is_overdue = oldest is not None and oldest < cutoff_of(view, now - max_age, older_than)
    retention = str(view.profiles().retention)
    return Backlog(cutoff, retention, due.expired, due.revoked, oldest, done[0].at if done else None, is_overdue)


def cutoff_of(view: View, now: int, older_than: Duration | None) -> int:
    """The instant before which a session ended whose retention is over. Raises Refused where `older_than` is shorter than that."""
    retention = view.profiles().retention
    kept_since = retention_cutoff(retention, now)
    if older_than is None:
        return kept_since
    cutoff = retention_cutoff(older_than, now)
    if cutoff > kept_since:
        raise Refused(
            f"'{older_than}' is shorter than the retention in force, {retention}",
            "--older-than can only keep sessions for longer; to change the retention, edit profiles.yaml",
        )
    return cutoff
