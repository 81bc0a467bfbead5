"""What applying profiles does to the deadlines of active sessions, as SQL: the arithmetic of `lifetimes` once more, in bulk.

See docs/glossary.md#deadline.
"""

from typing import Any

from authctl.instants import NEVER
from authctl.lifetimes import write_interval
from authctl.model import PairRules, ProfileSet
from authctl.names import fold
from authctl.store.holding import Holding
from authctl.store.selection import OPEN

# Sessions live whose deadline lies after `since`: now, or the start of the continuity event that holds them.
LIVING = (
    f"s.revocation_id = {OPEN} AND s.kind IN ('application', 'web') AND s.expires_at > :since"
    " AND s.ended_at IS NULL AND (s.fixed_expires_at IS NULL OR s.tokens = 'requested') AND s.profile_key = :profile"
)
NEW_IDLE = "iif(s.tokens = 'requested', :never, min(:never, s.slid_at + :idle))"
NEW_ABSOLUTE = "min(:never, s.created_at + :absolute)"
NEW_DEADLINE = f"min({NEW_IDLE}, {NEW_ABSOLUTE}, coalesce(s.fixed_expires_at, :never))"
# What an event holds under a profile that allows one is not ended by a new deadline.
ENDS_NOW = f"{NEW_DEADLINE} <= :now AND :since = :now"
NEW_DUE = (
    "iif(s.tokens = 'single', min(s.last_used_at + :interval, s.slid_at + max(:slide_after, :interval)),"
    " s.last_used_at + :interval)"
)
NEW_ACCESS = "min(s.access_expires_at, coalesce(s.refreshed_at, s.created_at) + :access)"


def recomputations(profiles: ProfileSet, now: int, holding: Holding) -> list[tuple[str, dict[str, Any]]]:
    """For each profile, the parameters that `LIVING` and `NEW_DEADLINE` take."""
    since = {key: event.started_at for key, event in holding.running(now).items()}
    return [
        (
            name,
            {
                "profile": fold(name),
                "now": now,
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
