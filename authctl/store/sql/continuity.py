"""Continuity as SQL: the sessions that a continuity event keeps active, or kept active, beyond their deadlines.

An event holds the sessions of its profile whose deadline lies after its start, until it ends; a session that was registered
since has such a deadline. So a session ends with its deadline, or with the event if the deadline lies within the event.
Nothing is written to a session when an event begins or ends (decision 43). Events are few, and stand in the SQL as numbers;
without any event, the SQL is what it would be without continuity.

See docs/glossary.md#continuity-event.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.names import fold
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent
    from authctl.store.sql.dialect import Dialect


class OrderedPart(NamedTuple):
    """A part of a selection that one range of an index gives in order."""

    condition: str = "TRUE"
    end: str = "s.expires_at"
    """The SQL for the instant at which its sessions really end."""
    deadline: str = "s.expires_at"
    table: str | None = None
    """The entrance, if it is not that of the selection."""
    parameters: Mapping[str, Any] = MappingProxyType({})

    def of_profile(self, key: str) -> "OrderedPart":
        """The part of it that is of one profile."""
        return self._replace(condition=f"s.profile_key = :part_key AND {self.condition}", parameters={"part_key": key})


class Continuity:
    """The continuity events of a registry, as conditions on a session `s`. Its parameters belong to each of them."""

    def __init__(self, dialect: "Dialect", events: "Sequence[ContinuityEvent]") -> None:
        self.tables = tables(dialect)
        self._events = [(f"held_{index}", event) for index, event in enumerate(events)]
        self.parameters = {name: fold(event.profile) for name, event in self._events}

    def running(self, now: int) -> "dict[str, ContinuityEvent]":
        """The events that hold sessions at `now`, by the folded key of their profile."""
        return {self.parameters[name]: event for name, event in self._events if event.is_running(now)}

    def end(self, column: str) -> str:
        """The real end of a session or token whose deadline is in that column; a hard end is not moved."""
        cases = [f"WHEN {self._within(name, event, column)} THEN {event.ends_at}" for name, event in self._events]
        return f"CASE {' '.join(cases)} ELSE {column} END" if cases else column

    def holds(self, now: int) -> str | None:
        """Whether an event holds a session at `now`, its deadline past or not; None if no event is running."""
        running = [self._within(name, event, "s.expires_at") for name, event in self._events if event.is_running(now)]
        return f"({' OR '.join(running)})" if running else None

    def parts(self, now: int) -> list[OrderedPart]:
        """Sessions that are over, in parts: those that ended with their own deadline, and those of each past event."""
        # An event that is running holds its sessions: they are not over, so that only past events make parts.
        past = [
            (self._within(name, event, "s.expires_at"), event) for name, event in self._events if event.ends_at <= now
        ]
        # No session may be in two parts: a page would show it twice.
        own = " AND ".join(f"NOT {within}" for within, _ in past)
        return [OrderedPart(own or "TRUE"), *(OrderedPart(within, str(event.ends_at)) for within, event in past)]

    def parts_of_profile(self, now: int, key: str) -> list[OrderedPart]:
        """The same of one profile; each part is one range of the index of deadlines, or of hard ends.

        Sessions that an event holds now are not over, unless by a hard end. Sessions that a past event held are a part of
        their own, so that a list of many others does not pass them (decision 110). With an event from 3 to 7 that is past, the
        parts are:

            deadline up to 3          ended with the deadline
            deadline from 3 to 7      ended at 7, with the event
            hard end from 3 to 7      ended then: it moved the deadline into the event
            deadline from 7 on        ended with the deadline
        """
        parts: list[OrderedPart] = []
        events = [(name, event) for name, event in self._events if self.parameters[name] == key]
        after = ""
        # One range of deadlines after the other: `after` is where the last event ended.
        for name, event in sorted(events, key=lambda named: named[1].started_at):
            # An event that ended at the instant at which it began held nobody (decision 71).
            if event.started_at < event.ends_at <= now:
                within = self._within(name, event, "s.expires_at")
                parts += [
                    OrderedPart(f"{after}s.expires_at <= {event.started_at}"),
                    OrderedPart(within, str(event.ends_at)),
                    self._hard_ends(f"s.ended_at > {event.started_at} AND s.ended_at < {event.ends_at}"),
                ]
                after = f"s.expires_at >= {event.ends_at} AND "
        # Of several running events (the clock was set back) the earliest start counts: the later ones are within it.
        starts = [event.started_at for _, event in events if event.is_running(now)]
        parts.append(OrderedPart(f"{after}s.expires_at <= {min(starts) if starts else self.tables.over_by}"))
        # The range above stops at the start of the event; hard ends since then are over all the same.
        parts += [self._hard_ends(f"s.ended_at > {start}") for start in starts]
        return [part.of_profile(key) for part in parts]

    def _hard_ends(self, condition: str) -> OrderedPart:
        """Sessions with a hard end, by its instant."""
        return OrderedPart(condition, "s.ended_at", "s.ended_at", self.tables.by_hard_end)

    def ended_later(self, cutoff: int) -> str:
        """Whether a session with a deadline before the cutoff ended after it, with an event."""
        later = [self._within(name, event, "s.expires_at") for name, event in self._events if event.ends_at >= cutoff]
        return f"({' OR '.join(later)})" if later else "FALSE"

    @staticmethod
    def _within(name: str, event: "ContinuityEvent", column: str) -> str:
        return (
            # Both bounds are open: a deadline at the very start was over before the event, and one at its end needs no event.
            f"(s.profile_key = :{name} AND {column} > {event.started_at} AND {column} < {event.ends_at}"
            " AND s.ended_at IS NULL)"
        )


@cache
def without_events(dialect: "Dialect") -> Continuity:
    """The continuity of a registry without an event, made once."""
    return Continuity(dialect, ())
