"""Effects of an operation that ended sessions: the sessions that ended, and what goes on elsewhere; read after its commit.

One value for revocations, disabled users, changed passwords, retired keys and applied profiles.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authctl.model import SessionFilter
from authctl.model.told_events import Event
from authctl.registry.outbox import is_told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authctl.registry.installation import Installation
    from authctl.registry.keys import RetireOutcome
    from authctl.registry.profiles import ApplyOutcome
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.users import UserOutcome
    from authctl.store.protocol import View


_MOST_COUNTED = 100_000
"""The most revoked sessions whose effect is read: of more, that would take longer than the operation."""


class Effect(NamedTuple):
    """The effect of an operation; a field that was not asked for is blank."""

    ended_now: int
    """The active sessions that ended."""
    others: int = 0
    """The active sessions that the same users still have."""
    others_by_application: tuple[tuple[str | None, int], ...] = ()
    """Up to five applications with most of them."""
    others_until: int | None = None
    """When the last of them ends by itself, unless it is used; None where there is none, or one never ends."""
    sealed: int = 0
    """The ended sessions whose tokens are sealed: who reads such a token without asking authctl accepts it still."""
    sealed_until: int | None = None
    """When the last of these tokens ends; None where there is none, or one never ends."""
    untold: "Mapping[str, int]" = MappingProxyType({})
    """The ended sessions by the other system in which they live, without a receiver that is told."""
    ends_later: int = 0
    """The active sessions that end earlier than before, by a shorter deadline."""


class Effects:
    """The effects of operations of a registry, each from the outcome of the operation."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def of_revocation(self, outcome: "RevokeOutcome") -> Effect | None:
        """The effect of a revocation. None for a dry run, and for more than 100,000 sessions."""
        if outcome.dry_run or outcome.revoked > _MOST_COUNTED:
            return None
        if outcome.revocation_id is None:
            return Effect(0)
        with self._installation.snapshot() as (view, now):
            numbers = view.numbers_of_revocation(outcome.revocation_id)
            return _without_told(view, Effect(*view.aftermath(numbers, outcome.at, now, None)), Event.SESSION_REVOKED)

    def of_users(self, outcomes: "Sequence[UserOutcome]") -> Effect | None:
        """The effect of disabled users or changed passwords. None for a dry run."""
        if outcomes[0].dry_run:
            return None
        if not any(outcome.ended for outcome in outcomes):
            return Effect(0)
        usernames = tuple(outcome.user.username for outcome in outcomes)
        reason = next(outcome.sessions[0].ended_by for outcome in outcomes if outcome.sessions)
        return self._of_ends(SessionFilter(username=usernames), outcomes[0].at, reason)

    def of_retirement(self, outcome: "RetireOutcome") -> Effect | None:
        """The effect of a retired key. None for a dry run."""
        if outcome.dry_run:
            return None
        if not outcome.ended:
            return Effect(0)
        return self._of_ends(SessionFilter(key_id=outcome.key_id), outcome.at, outcome.reason)

    def of_profiles(self, outcome: "ApplyOutcome") -> Effect | None:
        """The effect of applied profiles: the sessions that expired at once, and those that will expire earlier. None for a dry run."""
        # decision 270
        return None if outcome.dry_run else Effect(outcome.ended, ends_later=outcome.shortened)

    def _of_ends(self, selection: SessionFilter, at: int, reason: str | None) -> Effect:
        with self._installation.snapshot() as (view, now):
            effect = Effect(*view.aftermath(view.numbers(selection, now), at, now, reason))
            return _without_told(view, effect, Event.SESSION_ENDED)


def _without_told(view: "View", effect: Effect, event: str) -> Effect:
    """The effect without the systems of which a receiver is told."""
    untold = {system: count for system, count in effect.untold.items() if not is_told(view, event, system)}
    return effect._replace(untold=untold)
