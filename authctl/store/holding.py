"""Continuity as SQL: which sessions an event holds, or held, beyond their deadline.

An event holds the sessions of its profile whose deadline lies after its start, until it ends; one that was registered
since has such a deadline. So a session ends with its deadline, or, where that lies within an event, with the event. Nothing is written to a session when an event begins or ends. Events are
few, and stand in the SQL as numbers; without any, the SQL is what it would be without continuity.

See docs/glossary.md#continuity-event.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.names import fold

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent

BY_HARD_END = "sessions AS s INDEXED BY sessions_by_end"

# By when what is over ended: now, or a hard end that a clock was set back behind; that pulls expires_at to its own instant.
OVER_BY = (
    "max(:now, coalesce((SELECT max(ended_at) FROM sessions INDEXED BY sessions_by_end WHERE ended_at IS NOT NULL), 0))"
)


class Lane(NamedTuple):
    """A part of a selection that an index yields in order."""

    condition: str = "TRUE"
    end: str = "s.expires_at"
    """The SQL for when its sessions really end."""
    deadline: str = "s.expires_at"
    table: str | None = None
    """Where to enter, if not where the selection enters."""
    parameters: Mapping[str, Any] = MappingProxyType({})

    def of_profile(self, key: str) -> "Lane":
        """What of it is of one profile."""
        return self._replace(condition=f"s.profile_key = :lane AND {self.condition}", parameters={"lane": key})


def _hard_ended(condition: str) -> Lane:
    """What somebody ended, by when."""
    return Lane(condition, "s.ended_at", "s.ended_at", BY_HARD_END)


class Holding:
    """The events of a registry, as conditions on a session `s`; its parameters go with each of them."""

    def __init__(self, events: "Sequence[ContinuityEvent]") -> None:
        self._events = [(f"held_{index}", event) for index, event in enumerate(events)]
        self.parameters = {name: fold(event.profile) for name, event in self._events}

    def running(self, now: int) -> "dict[str, ContinuityEvent]":
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

    def lanes(self, now: int) -> list[Lane]:
        """Sessions that are over, parted by what their end goes by: their own deadline, or a past event's."""
        past = [
            (self._within(name, event, "s.expires_at"), event) for name, event in self._events if event.ends_at <= now
        ]
        own = " AND ".join(f"NOT {within}" for within, _ in past)
        return [Lane(own or "TRUE"), *(Lane(within, str(event.ends_at)) for within, event in past)]

    def lanes_of(self, now: int, key: str) -> list[Lane]:
        """The same of one profile, each a stretch of the index of deadlines or of hard ends.

        Without those that an event holds now: a deadline since its start ends nothing, so that such sessions are over only by a
        hard end. What events held lies apart, too: a list of many others must not pass it.
        """
        lanes: list[Lane] = []
        events = [(name, event) for name, event in self._events if self.parameters[name] == key]
        after = ""
        for name, event in sorted(events, key=lambda one: one[1].started_at):
            if event.started_at < event.ends_at <= now:
                within = self._within(name, event, "s.expires_at")
                lanes += [
                    Lane(f"{after}s.expires_at <= {event.started_at}"),
                    Lane(within, str(event.ends_at)),
                    _hard_ended(f"s.ended_at > {event.started_at} AND s.ended_at < {event.ends_at}"),
                ]
                after = f"s.expires_at >= {event.ends_at} AND "
        held = [event.started_at for _, event in events if event.is_running(now)]
        lanes.append(Lane(f"{after}s.expires_at <= {min(held) if held else OVER_BY}"))
        lanes += [_hard_ended(f"s.ended_at > {start}") for start in held]
        return [lane.of_profile(key) for lane in lanes]

    def kept(self, cutoff: int) -> str:
        """Whether a session whose deadline lies before the cutoff ended later, with an event."""
        later = [self._within(name, event, "s.expires_at") for name, event in self._events if event.ends_at >= cutoff]
        return f"({' OR '.join(later)})" if later else "FALSE"

    @staticmethod
    def _within(name: str, event: "ContinuityEvent", column: str) -> str:
        return (
            f"(s.profile_key = :{name} AND {column} > {event.started_at} AND {column} < {event.ends_at}"
            " AND s.ended_at IS NULL)"
        )
