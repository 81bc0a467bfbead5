"""Statistics of a registry: active sessions by their names, and counts by day, from one snapshot at one instant."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from authctl.errors import InvalidInput
from authctl.instants import DAY
from authctl.model.statistics import Breakdown, FutureDay, NameCount, PastDay, Property, Statistics
from authctl.names import fold

if TYPE_CHECKING:
    from authctl.model.statistics import ActiveGroup
    from authctl.registry.installation import Installation

MOST_DAYS = 366
"""The most days of the past."""
MOST_NAMES = 100
"""The most names of one property."""

_FUTURE_DAYS = 14


class RegistryStatistics:
    """Statistics of a registry."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def read(self, *, days: int = 14) -> Statistics:
        """The active sessions by application, platform, profile and source, and sign-ins, ends and revocations of the last days.

        All of it is from one snapshot, at one instant. The days are UTC days: today, as far as it is over, and those before it. Of
        each property the 100 names with the most sessions are given. Sessions that cleanup removed are not counted. Raises
        InvalidInput for less than one day or more than 366.
        """
        if not 1 <= days <= MOST_DAYS:
            raise InvalidInput(f"statistics have 1 to {MOST_DAYS} days, not {days}")
        with self._installation.snapshot() as (view, now):
            today = now - now % DAY
            since, until = today - (days - 1) * DAY, today + _FUTURE_DAYS * DAY
            groups = view.active_groups(now, until)
            sign_ins = view.sign_ins_by_day(since, now)
            ends = view.ends_by_day(since, now)
            revocations = view.revocations_by_day(since, now)
        past = (
            PastDay(day, sign_ins.get(day, 0), ends.get(day, 0), revocations.get(day, 0))
            for day in range(since, today + DAY, DAY)
        )
        expiries = Counter[int]()
        for group in groups:
            expiries[group.day] += group.sessions
        return Statistics(
            now,
            expiries.total(),
            {name: _breakdown(groups, place) for place, name in enumerate(Property)},
            tuple(past),
            tuple(FutureDay(day, expiries[day]) for day in range(today, until, DAY)),
            expiries[until],
        )


def _breakdown(groups: "Iterable[ActiveGroup]", place: int) -> Breakdown:
    """The active sessions by the property at that place."""
    spelled = Counter[str | None]()
    for group in groups:
        spelled[group.names[place]] += group.sessions
    counts = _by_key(spelled)
    others = counts[MOST_NAMES:]
    return Breakdown(tuple(counts[:MOST_NAMES]), len(others), sum(one.sessions for one in others))


def _by_key(spelled: "Mapping[str | None, int]") -> list[NameCount]:
    """The counts of spelled names, added up by folded key; the largest first, equal ones in the order of their keys."""
    spellings = defaultdict[str, list[str]](list)
    for name in spelled:
        if name is not None:
            spellings[fold(name)].append(name)
    named = [NameCount(min(names), sum(spelled[name] for name in names)) for _, names in sorted(spellings.items())]
    blank = [NameCount(None, spelled[None])] if None in spelled else []
    return sorted([*named, *blank], key=lambda one: -one.sessions)
