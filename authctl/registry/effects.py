"""Effects of an operation that ended sessions: the ended sessions, and the access that remains elsewhere; read after its commit.

One value for revocations, disabled users, changed passwords, retired keys and applied profiles.

See docs/glossary.md#effect.
"""

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authctl.model import SessionFilter
from authctl.model.told_events import Event
from authctl.names import fold
from authctl.registry.outbox import is_told
from authctl.store.protocol.effects import Ends

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authctl.registry.installation import Installation
    from authctl.registry.keys import RetireOutcome
    from authctl.registry.profiles import ApplyOutcome
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.users import UserOutcome
    from authctl.store.protocol import View
    from authctl.store.protocol.effects import Aftermath


_MOST_COUNTED = 100_000
"""The most ended sessions whose remaining access is read: for more, that would take longer than the operation."""


class Effect(NamedTuple):
    """The effect of an operation; a field that was not asked for is blank."""

    ended_now: int
    """The active sessions that ended."""
    others: Ends | None = Ends()
    """The active sessions that the same users still have, by their ends unless they are used; None if it was not found out."""
    others_by_application: tuple[tuple[str | None, int], ...] = ()
    """Up to five applications with most of them."""
    sealed: Ends | None = Ends()
    """The ended sessions whose tokens are sealed, by the latest end of these tokens; None if it was not found out.

    Who reads such a token without asking authctl accepts it still.
    """
    untold: "Mapping[str, int] | None" = MappingProxyType({})
    """The ended sessions by the other system in which they live, without a receiver that is told; None if it was not found out."""
    ends_later: int = 0
    """The active sessions that end earlier than before, by a shorter deadline."""
    under_profiles: Ends = Ends()
    """The active sessions of the profiles that an application of profiles changed or withdrew, by their ends."""


class Effects:
    """The effects of operations of a registry, each from the outcome of the operation."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def of_revocation(self, outcome: "RevokeOutcome") -> Effect | None:
        """The effect of a revocation. None for a dry run, and for more than 100,000 sessions."""
        # decision 210: None and not zero, since the effect is not known
        if outcome.dry_run or outcome.revoked > _MOST_COUNTED:
            return None
        if outcome.revocation_id is None:
            return Effect(0)
        with self._installation.snapshot() as (view, now):
            ended = view.ended_among(view.numbers_of_revocation(outcome.revocation_id), outcome.at, None)
            return _effect(view, view.aftermath(ended, now), Event.SESSION_REVOKED)

    def of_users(self, outcomes: "Sequence[UserOutcome]") -> Effect | None:
        """The effect of disabled users or changed passwords, of all of them together. None for a dry run."""
        if outcomes[0].dry_run:
            return None
        with self._installation.snapshot() as (view, now):
            return _effect(view, view.aftermath(_ended_of_users(view, outcomes, now), now), Event.SESSION_ENDED)

    def of_each_user(self, outcomes: "Sequence[UserOutcome]") -> list[Effect | None]:
        """The effect for each of these users, in their order. None for a dry run."""
        if outcomes[0].dry_run:
            return [None] * len(outcomes)
        with self._installation.snapshot() as (view, now):
            found = view.aftermath_by_user(_ended_of_users(view, outcomes, now), now)
            effects = {key: _effect(view, aftermath, Event.SESSION_ENDED) for key, aftermath in found.items()}
        return [effects.get(fold(outcome.user.username), Effect(0)) for outcome in outcomes]

    def of_retirement(self, outcome: "RetireOutcome") -> Effect | None:
        """The effect of a retired key. None for a dry run."""
        if outcome.dry_run:
            return None
        if not outcome.ended:
            return Effect(0)
        with self._installation.snapshot() as (view, now):
            numbers = view.numbers(SessionFilter(key_id=outcome.key_id), now)
            ended = view.ended_among(numbers, outcome.at, outcome.reason)
            return _effect(view, view.aftermath(ended, now), Event.SESSION_ENDED)

    def of_profiles(self, outcome: "ApplyOutcome") -> Effect | None:
        """The effect of applied profiles: the sessions that expired at once, and how long the others of these profiles live.

        None for a dry run. For more than 100,000 expired sessions, the access that their users keep is not read.
        """
        # decision 270: a dry run has no effect, and null does not look like zero
        if outcome.begun is None:
            return None
        with self._installation.snapshot() as (view, now):
            under_profiles = view.ends_of_profiles((*outcome.changed, *outcome.withdrawn), now)
            if outcome.ended > _MOST_COUNTED:
                return Effect(outcome.ended, None, (), None, None, outcome.shortened, under_profiles)
            ended = view.ended_by_changeover(outcome.begun.at, now, outcome.begun.counters)
            effect = _effect(view, view.aftermath(ended, now), Event.SESSION_ENDED)
        return effect._replace(ended_now=outcome.ended, ends_later=outcome.shortened, under_profiles=under_profiles)


def _ended_of_users(view: "View", outcomes: "Sequence[UserOutcome]", now: int) -> "Sequence[int]":
    """The numbers of the sessions that changes to users ended."""
    reason = next((outcome.sessions[0].ended_by for outcome in outcomes if outcome.sessions), None)
    if reason is None:
        return ()
    usernames = tuple(outcome.user.username for outcome in outcomes)
    return view.ended_among(view.numbers(SessionFilter(username=usernames), now), outcomes[0].at, reason)


def _effect(view: "View", aftermath: "Aftermath", event: str) -> Effect:
    """The effect of an operation, without the systems of which a receiver is told."""
    untold = {system: count for system, count in aftermath.by_source.items() if not is_told(view, event, system)}
    return Effect(aftermath.ended, aftermath.others, aftermath.others_by_application, aftermath.sealed, untold)
