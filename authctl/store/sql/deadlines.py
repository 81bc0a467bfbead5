"""Deadlines of active sessions under new profiles, as SQL: the arithmetic of `lifetimes` once more, in bulk.

See docs/glossary.md#deadline.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.instants import NEVER
from authctl.lifetimes import write_interval
from authctl.model import PairRules, ProfileSet
from authctl.names import fold
from authctl.store.sql.tables import OF_EVERY_KIND, tables

if TYPE_CHECKING:
    from authctl.store.sql.continuity import Continuity
    from authctl.store.sql.dialect import Dialect


class NewDeadlines:
    """The deadlines of a session `s` under its new profile, in one dialect. `recomputations` gives the parameters."""

    def __init__(self, dialect: "Dialect") -> None:
        least, greatest = dialect.least, dialect.greatest
        entrances = tables(dialect)
        # Active are the sessions with a deadline after `since`: now, or the start of the continuity event that holds them.
        self.active = (
            f"{entrances.unrevoked} AND {OF_EVERY_KIND} AND s.expires_at > :since AND s.ended_at IS NULL"
            " AND (s.fixed_expires_at IS NULL OR s.tokens = 'requested') AND s.profile_key = :profile"
        )
        # `:never` is the largest instant: a sum beyond it could not be shown as a date.
        slid = least(":never", "s.slid_at + :idle")
        self.idle = f"CASE WHEN s.tokens = 'requested' THEN :never ELSE {slid} END"
        self.absolute = least(":never", "s.created_at + :absolute")
        self.earliest = least(self.idle, self.absolute, "coalesce(s.fixed_expires_at, :never)")
        # A session that an event holds, under a profile that allows one, is not ended by a new deadline.
        self.ends_now = f"{self.earliest} <= :now AND :since = :now"
        self.expires_at = f"CASE WHEN {self.earliest} > :since THEN {self.earliest} ELSE :now END"
        used = "s.last_used_at + :interval"
        slides = f"s.slid_at + {greatest(':slide_after', ':interval')}"
        self.use_due = f"CASE WHEN s.tokens = 'single' THEN {least(used, slides)} ELSE {used} END"
        # The least of NULL and anything is NULL: a session without pairs has no end of an access token, and gets none.
        self.access = least("s.access_expires_at", "coalesce(s.refreshed_at, s.created_at) + :access")
        is_shorter = f"{self.earliest} < s.expires_at AND ({self.earliest} > :now OR :since < :now)"
        # Each session counts as shortened, lengthened and ended for itself; the count of all says whether there are any.
        counts = (
            f"SELECT count(*) FILTER (WHERE {is_shorter}), count(*) FILTER (WHERE {self.earliest} > s.expires_at),"
            f" count(*) FILTER (WHERE {self.ends_now}), count(*) FROM"
        )
        self.counts = f"{counts} {entrances.by_deadline} WHERE {self.active}"
        self.in_range = f"s.number > :after AND s.number <= :until AND {self.active}"
        """The active sessions in a range of numbers."""
        self.counts_in_range = f"{counts} {entrances.anywhere} WHERE {self.in_range}"


@cache
def new_deadlines(dialect: "Dialect") -> NewDeadlines:
    """The texts in a dialect, made once."""
    return NewDeadlines(dialect)


def recomputations(profiles: ProfileSet, now: int, continuity: "Continuity") -> list[tuple[str, dict[str, Any]]]:
    """The parameters of `NewDeadlines` for each profile."""
    since = {key: event.started_at for key, event in continuity.running(now).items()}
    return [
        (
            name,
            {
                "profile": fold(name),
                "now": now,
                # A profile that forbids continuity lets go of the sessions that an event holds: they count as expired from now on.
                "since": since.get(fold(name), now) if profile.continuity else now,
                "never": NEVER,
                "idle": profile.idle_timeout,
                "absolute": profile.absolute_timeout,
                "access": (profile.pair or PairRules()).access_lifetime,
                "slide_after": profile.slide_after,
                "interval": write_interval(profile.idle_timeout),
            },
        )
        for name, profile in profiles.profiles.items()
    ]
