"""Continuity as SQL: which sessions an event holds, or held, beyond their deadline.

An event holds the sessions of its profile whose deadline lies after its start, until it ends; one that was registered
since has such a deadline. So a session ends with its deadline, or, where that lies within an event, with the event. Nothing is written to a session when an event begins or ends. Events are
few, and stand in the SQL as numbers; without any, the SQL is what it would be without continuity.
"""

from collections.abc import Sequence

from authctl.model import ContinuityEvent
from authctl.names import fold


class Holding:
    """The events of a registry, as conditions on a session `s`; its parameters go with each of them."""

    def __init__(self, events: Sequence[ContinuityEvent]) -> None:
        self._events = [(f"held_{index}", event) for index, event in enumerate(events)]
        self.parameters = {name: fold(event.profile) for name, event in self._events}

    def running(self, now: int) -> dict[str, ContinuityEvent]:
        """The events that hold sessions at `now`, by the key of their profile."""
        return {self.parameters[name]: event for name, event in self._events if event.is_running(now)}

    def end(self, column: str) -> str:
        """When what that column puts a deadline to really ends; a hard end stays where it is."""
        cases = [f"WHEN {self._within(name, event, column)} THEN {event.ends_at}" for name, event in self._events]
        return f"CASE {' '.join(cases)} ELSE {column} END" if cases else column

    def held(self, now: int) -> str | None:
        """Whether a session is held at `now`, its deadline past or not; None when no event is running."""
        running = [self._within(name, event, "s.expires_at") for name, event in self._events if event.is_running(now)]
        return f"({' OR '.join(running)})" if running else None

    def lanes(self, now: int) -> list[tuple[str, int | None]]:
        """Sessions that are over, parted by what their end goes by: their own deadline (None), or a past event's."""
        past = [
            (self._within(name, event, "s.expires_at"), event) for name, event in self._events if event.ends_at <= now
        ]
        apart = " AND ".join(f"NOT {within}" for within, _ in past)
        return [(apart or "TRUE", None), *((within, event.ends_at) for within, event in past)]

    def kept(self, cutoff: int) -> str:
        """Whether a session whose deadline lies before the cutoff ended later, with an event."""
        later = [self._within(name, event, "s.expires_at") for name, event in self._events if event.ends_at >= cutoff]
        return f"({' OR '.join(later)})" if later else "FALSE"

    @staticmethod
    def _within(name: str, event: ContinuityEvent, column: str) -> str:
        return (
            f"(s.profile_key = :{name} AND {column} > {event.started_at} AND {column} < {event.ends_at}"
            " AND s.ended_at IS NULL)"
        )
