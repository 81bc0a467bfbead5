"""Profiles in force, and the effect of new ones on the deadlines of active sessions.

See docs/glossary.md#deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model import Changeover, Profile, ProfileSet
    from authctl.store.protocol.cursors import MoveCounters


class DeadlineChanges(NamedTuple):
    """How many active sessions of a profile get an earlier deadline, a later one, or end now."""

    shortened: int
    lengthened: int
    ended: int


class NumberRange(NamedTuple):
    """The sessions whose numbers are greater than `after`, up to `until`."""

    after: int
    until: int


class ProfilesView(Protocol):
    """Reading profiles."""

    def profiles(self) -> ProfileSet:
        """The profiles in force, with their changeover if they have not reached all sessions."""

    def has_changeover(self) -> bool:
        """Whether the profiles in force have not reached all sessions."""

    def changeover_counts(self) -> DeadlineChanges:
        """The sums of the counts of all batches of the present changeover."""

    def range_of_sessions(self, after: int, last: int, limit: int) -> NumberRange:
        """The range of the next `limit` sessions with numbers up to `last`; it ends with `last` if there are fewer."""

    def deadline_changes(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        """How many active sessions would be shortened, lengthened and ended if those profiles were applied.

        By the name of each profile with active sessions. Sessions are counted that `recompute_deadlines` would change, and that
        only a continuity event keeps active, if their profile would no longer allow one.
        """

    def ended_by(self, profiles: ProfileSet, now: int, since: MoveCounters | None = None) -> Sequence[int]:
        """The numbers, ascending, of the active sessions that would end if those profiles were applied.

        With counters only of sessions that were moved or registered since then.

        They are as many as `deadline_changes` counts as ended: sessions that `recompute_deadlines` ends now, and sessions that
        only a continuity event keeps active, if their profile would no longer allow one.
        """


class ProfilesChange(Protocol):
    """Writing profiles."""

    def save_profiles(self, profiles: ProfileSet) -> None:
        """Put profiles in force. Their changeover is not saved."""

    def save_changeover(self, changeover: Changeover, counts: DeadlineChanges) -> None:
        """Save the state of a changeover, in the place of the one before. The counts are added to the sums."""

    def end_changeover(self) -> None:
        """End the changeover: the profiles in force have reached all sessions."""

    def copy_profile_rules(self, profiles: Sequence[Profile], numbers: NumberRange | None = None) -> None:
        """Copy two rules of those profiles to their sessions: whether there are conditions, and whether a wipe is ordered.

        Only to sessions of the range that are not revoked and have tokens; without a range to all of those.
        """

    def recompute_deadlines(
        self, profiles: ProfileSet, now: int, numbers: NumberRange | None = None
    ) -> dict[str, DeadlineChanges]:
        """Compute the deadlines of the active sessions in a range, or of all, again. A session whose new deadline is past ends now.

        Sessions that a continuity event keeps active stay active. Sessions that are revoked, ended or expired do not change, and
        neither does a deadline that was imported with its session. A requested lifetime gets no longer than it was asked for.
        An access token's end only gets earlier, because the token may have expired.
        """

    def recompute_deadlines_of(self, numbers: Sequence[int], profiles: ProfileSet, now: int) -> None:
        """The same for some sessions by their numbers."""
