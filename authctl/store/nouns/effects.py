"""Effects of operations: the sessions that one ended, and the access that remains."""

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.instants import DAY, HOUR, NEVER, WEEK
from authctl.model import Status
from authctl.names import fold
from authctl.store.nouns.previews import numbers_of
from authctl.store.nouns.reader import Reader, continuity_events
from authctl.store.protocol.effects import Aftermath, Ends
from authctl.store.sql.filters import has_status
from authctl.store.sql.tables import OF_EVERY_KIND

if TYPE_CHECKING:
    from authctl.store.protocol.cursors import MoveCounters

_MOST_APPLICATIONS = 5
_BY_USER, _ALL = "s.username_key", "CAST('' AS TEXT)"
_LATEST_END = "coalesce(s.fixed_expires_at, s.absolute_expires_at)"
"""The latest end of a sealed token: it keeps the end with which it was issued, also if its session ends sooner."""
_WITHIN = (
    "{end} <= :hour",
    "{end} > :hour AND {end} <= :day",
    "{end} > :day AND {end} <= :week",
    "{end} > :week AND {end} < :never",
    "{end} >= :never",
)
"""The counts of `Ends`, in their order."""
_SOURCES = (
    "SELECT {group}, min(s.source), count(*) FROM {sessions} WHERE s.source_key IS NOT NULL"
    " GROUP BY {group}, s.source_key ORDER BY s.source_key"
)


class EffectsReader(Reader):
    """`EffectsView` over any database."""

    def ended_among(self, numbers: Sequence[int], at: int, reason: str | None) -> Sequence[int]:
        held = self.continuity.holds(at)
        alive = f"(s.expires_at > :at OR {held})" if held else "s.expires_at > :at"
        # A revocation leaves the deadline, and a hard end moves it to its own instant.
        ended = f"s.ended_at IS NULL AND {alive}" if reason is None else "s.ended_at = :at AND s.ended_reason = :reason"
        given = self._given(numbers, at=at, reason=reason)
        return numbers_of(self, f"{self.tables.by_numbers} WHERE {ended}", given)

    def ended_by_changeover(self, at: int, now: int, since: "MoveCounters") -> Sequence[int]:
        # A session whose new deadline is past gets the instant of its batch as deadline, and moves thereby.
        moved = (
            f"{self.tables.by_deadline} WHERE {self.tables.unrevoked} AND {OF_EVERY_KIND} AND s.expires_at BETWEEN :at AND :now"
            " AND s.ended_at IS NULL AND s.moved_in > :moves AND s.number <= :last_number"
        )
        given = {"at": at, "now": now, "moves": since.moves, "last_number": since.last_number}
        return array("q", sorted({*numbers_of(self, moved, given), *self._released(at)}))

    def _released(self, at: int) -> Sequence[int]:
        """The sessions that only a continuity event kept active, which ended at that instant."""
        held = (
            f"{self.tables.by_deadline} WHERE {self.tables.unrevoked} AND {OF_EVERY_KIND} AND s.profile_key = :profile"
            " AND s.expires_at > :since AND s.expires_at <= :at AND s.ended_at IS NULL"
        )
        ended = (event for event in continuity_events(self.connection) if event.started_at < event.ends_at == at)
        ranges = ({"profile": fold(event.profile), "since": event.started_at, "at": at} for event in ended)
        return array("q", [number for given in ranges for number in numbers_of(self, held, given)])

    def aftermath(self, numbers: Sequence[int], now: int) -> Aftermath:
        return self._aftermaths(_ALL, numbers, now).get("", Aftermath(0, Ends(), (), Ends(), {}))

    def aftermath_by_user(self, numbers: Sequence[int], now: int) -> dict[str, Aftermath]:
        return self._aftermaths(_BY_USER, numbers, now)

    def _aftermaths(self, group: str, numbers: Sequence[int], now: int) -> dict[str, Aftermath]:
        given = self._given(numbers, now=now)
        sealed = _ends(_LATEST_END, "s.sealed = 1")
        sql = f"SELECT {group}, count(*), {sealed} FROM {self.tables.by_numbers} GROUP BY {group}"
        counted = {key: (count, _read(ends)) for key, count, *ends in self.all_rows(sql, given)}
        sources: dict[str, dict[str, int]] = defaultdict(dict)
        for key, source, count in self.all_rows(_SOURCES.format(group=group, sessions=self.tables.by_numbers), given):
            sources[key][source] = count
        others = self._others(group, now, given)
        return {key: Aftermath(count, *others[key], ends, sources[key]) for key, (count, ends) in counted.items()}

    def _others(
        self, group: str, now: int, given: dict[str, Any]
    ) -> dict[str, tuple[Ends, tuple[tuple[str | None, int], ...]]]:
        """The other active sessions of the users, with their largest applications."""
        users = f"SELECT s.username_key FROM {self.tables.by_numbers}"
        by_name = self.dialect.sorted_by("s.application_key", descending=False)
        sql = (
            f"SELECT {group}, min(s.application), count(*), {_ends(self.continuity.end('s.expires_at'))}"
            f" FROM {self.tables.by_user} WHERE s.username_key IN ({users}) AND {has_status(Status.ACTIVE, self.continuity, now)}"
            f" GROUP BY {group}, s.application_key ORDER BY count(*) DESC, {by_name}"
        )
        found = defaultdict[str, tuple[Ends, tuple[tuple[str | None, int], ...]]](lambda: (Ends(), ()))
        for key, application, count, *ends in self.all_rows(sql, given):
            before, largest = found[key]
            named = (*largest, (application, count)) if len(largest) < _MOST_APPLICATIONS else largest
            found[key] = (_together(before, _read(ends)), named)
        return found

    def ends_of_profiles(self, profiles: Sequence[str], now: int) -> Ends:
        held = self.continuity.holds(now)
        alive = f"(s.expires_at > :now OR {held})" if held else "s.expires_at > :now"
        # By the index alone: `has_status` asks for the hard end in each row. Few hard ends lie after now (a clock was set back).
        hard_ends = (
            f"SELECT number FROM {self.dialect.table('sessions', index='sessions_by_end')} WHERE ended_at > :now"
        )
        sql = (
            f"SELECT {_ends(self.continuity.end('s.expires_at'))} FROM {self.tables.by_deadline}"
            f" WHERE {self.tables.unrevoked} AND {OF_EVERY_KIND} AND {self.tables.of_profiles} AND {alive} AND s.number NOT IN ({hard_ends})"
        )
        keys = self.dialect.list_of(map(fold, profiles))
        return _read(self.all_rows(sql, {"profiles": keys, **_bounds(now), **self.continuity.parameters})[0])

    def _given(self, numbers: Sequence[int], now: int = 0, **others: Any) -> dict[str, Any]:
        return {"numbers": self.dialect.list_of(numbers), **_bounds(now), **others, **self.continuity.parameters}


def _bounds(now: int) -> dict[str, int]:
    return {"now": now, "hour": now + HOUR, "day": now + DAY, "week": now + WEEK, "never": NEVER}


def _ends(end: str, condition: str = "TRUE") -> str:
    """The columns of `Ends`, of the sessions that meet a condition."""
    counts = (f"count(*) FILTER (WHERE {condition} AND {within.format(end=end)})" for within in _WITHIN)
    return f"{', '.join(counts)}, max({end}) FILTER (WHERE {condition} AND {end} < :never)"


def _read(columns: Sequence[Any]) -> Ends:
    *counts, last = columns
    hour, day, week, later, never = map(int, counts)
    return Ends(hour, day, week, later, never, last)


def _together(one: Ends, other: Ends) -> Ends:
    last = max((ends.last for ends in (one, other) if ends.last is not None), default=None)
    hour, day, week, later, never = map(sum, zip(one[:-1], other[:-1], strict=True))
    return Ends(hour, day, week, later, never, last)
