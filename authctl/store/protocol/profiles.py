"""Profiles in force, and what new profiles do to the deadlines of active sessions.

See docs/glossary.md#deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model import Profile, ProfileSet


class DeadlineChanges(NamedTuple):
    """How many active sessions of a profile get an earlier deadline, a later one, or end now."""

    shortened: int
    lengthened: int
    ended: int


class ProfilesView(Protocol):
    """Reading profiles."""

    def profiles(self) -> ProfileSet:
        """The profiles in force."""

    def deadline_changes(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        """The changes that `recompute_deadlines` would make, by the name of each profile with active sessions."""

    def ended_by(self, profiles: ProfileSet, now: int) -> Sequence[int]:
        """The numbers, ascending, of the active sessions that would end if those profiles were applied.

        They are as many as `deadline_changes` counts as ended: sessions that `recompute_deadlines` ends now, and sessions that
        only a continuity event keeps active, if their profile would no longer allow one.
        """


class ProfilesChange(Protocol):
    """Writing profiles."""

    def save_profiles(self, profiles: ProfileSet) -> None:
        """Put profiles in force."""

    def copy_profile_rules(self, profiles: Sequence[Profile]) -> None:
        """Copy two rules of those profiles to their sessions: whether there are conditions, and whether a wipe is ordered.

        Only to sessions that are not revoked and have tokens.
        """

    def recompute_deadlines(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        """Compute the deadlines of every active session again. A session whose new deadline is past ends now.

        Sessions that a continuity event keeps active stay active. Sessions that are revoked, ended or expired do not change, and
        neither does a deadline that was imported with its session. A requested lifetime gets no longer than it was asked for.
        An access token's end only gets earlier, because the token may have expired.
        """

    def recompute_deadlines_of(self, numbers: Sequence[int], profiles: ProfileSet, now: int) -> None:
        """The same for some sessions by their numbers."""
