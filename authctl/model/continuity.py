"""Continuity events: outages that keep the sessions of a profile active beyond their deadlines.

See docs/glossary.md#continuity-event.
"""

from collections.abc import Sequence
from typing import NamedTuple

from authctl.names import fold


class ContinuityEvent(NamedTuple):
    """An outage. The sessions of one profile that were active at its beginning stay active until its end."""

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
        """Whether it keeps sessions active at `now`."""
        return self.started_at <= now < self.ends_at

    def is_over(self, now: int) -> bool:
        """Whether it has ended. An event that began after a clock that was set back has not."""
        # decision 71: an event is not over before it began, or a second one could begin beside it. With an end at its beginning it
        # kept nothing active, and is over in any case.
        return self.ends_at <= now or self.ends_at <= self.started_at


def held_until(deadline: int, profile: str, events: Sequence[ContinuityEvent]) -> int:
    """The instant at which a deadline of a session of that profile ends it: the end of the event that the deadline lies in, if any."""
    # decision 43. Both bounds are exclusive: at its start a session with that deadline had expired, and at its end it expires
    # by itself. Events of one profile do not overlap, so the first one that fits is the only one.
    for event in events:
        if event.started_at < deadline < event.ends_at and fold(event.profile) == fold(profile):
            return event.ends_at
    return deadline
