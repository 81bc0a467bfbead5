"""Continuity events: for how long the sessions of a profile are held beyond their deadlines.

See docs/glossary.md#continuity-event.
"""

from collections.abc import Sequence
from typing import NamedTuple

from authctl.names import fold


class ContinuityEvent(NamedTuple):
    """An outage during which the sessions of one profile that were alive when it began stay so."""

    id: int
    profile: str
    started_at: int
    ends_at: int
    """When it ended or will end; `NEVER` while no end is planned."""
    actor: str
    note: str
    ended_by: str | None = None
    end_note: str | None = None

    def is_running(self, now: int) -> bool:
        """Whether it holds sessions at `now`."""
        return self.started_at <= now < self.ends_at

    def is_over(self, now: int) -> bool:
        """Whether it will hold none any more; one that began ahead of a clock that was set back is not over."""
        return self.ends_at <= now or self.ends_at <= self.started_at


def held_until(deadline: int, profile: str, events: Sequence[ContinuityEvent]) -> int:
    """When a deadline of a session of that profile really ends it: with the event in whose course it lies, if any."""
    for event in events:
        if event.started_at < deadline < event.ends_at and fold(event.profile) == fold(profile):
            return event.ends_at
    return deadline
