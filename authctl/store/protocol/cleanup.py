"""Cleanup: sessions whose retention is over, and room that nothing needs any more.

See docs/glossary.md#retention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.store.protocol.cursors import Cursor


class Removable(NamedTuple):
    """Counts of sessions whose retention is over, by their status."""

    expired: int
    revoked: int
    unacknowledged: int
    """How many of the revoked have a wipe that their application has not confirmed."""

    @property
    def total(self) -> int:
        """How many sessions these are."""
        return self.expired + self.revoked


class RemovalPlace(NamedTuple):
    """How far a removal has come: first through the expired sessions, kind by kind and profile by profile, then through the revoked ones."""

    profiles: tuple[str, ...]
    """The keys of the profiles with sessions that were not revoked when the removal began."""
    parts: int
    """The number of kinds and profiles that are through."""
    deadline: int
    """The last deadline in the next one of them; there is nothing to remove before it any more."""
    revoked: Cursor | None
    """The last revoked session."""


class Removed(NamedTuple):
    """A batch of removed sessions, and the place that the next batch begins at; None after the last one."""

    sessions: Removable
    after: RemovalPlace | None


Archive = Callable[["Sequence[Session]"], None]
"""A function that gets sessions before they are removed. When it returns, they are stored for good."""


class CleanupView(Protocol):
    """Reading the sessions that may be removed."""

    def ended_before(self, cutoff: int, *, keep_unacknowledged: bool = False) -> Removable:
        """Counts of the sessions that ended before the cutoff; on request, without those with a wipe that nobody confirmed."""

    def oldest_end(self, cutoff: int, *, keep_unacknowledged: bool = False) -> int | None:
        """The earliest end of the sessions that `ended_before` counts; None where there is none."""


class CleanupChange(Protocol):
    """Removing data that nothing needs any more."""

    def begin_removal(self, due: int) -> None:
        """Prepare for the removal of so many sessions. The search may be slower, and stays complete, until `extend_search_index` is through."""

    def end_removal(self) -> None:
        """End the preparations, after all upkeep."""

    def remove_ended(
        self,
        cutoff: int,
        limit: int,
        after: RemovalPlace | None = None,
        *,
        keep_unacknowledged: bool = False,
        archive: Archive | None = None,
    ) -> Removed:
        """Look at the next `limit` sessions that ended before the cutoff, and remove those that `ended_before` counts.

        Of an imported session that was revoked or ended, the key, the key without the user and the final instant are kept for
        `imported_finals`.
        """

    def remove_unnamed_revocations(self, most: int) -> int:
        """Remove up to `most` closed revocations that no session names, except those by criteria, the oldest first. Returns how many."""

    def extend_search_index(self, most: int = ...) -> int:
        """Add the next `most` sessions and notes to the search index, if it is behind, and delete some of a replaced one.

        By default it is a number that the store holds for sensible. Returns how many entries it wrote; 0 when nothing is left.
        """

    def return_free_space(self, most: int = ...) -> int:
        """Return up to `most` units of the free room of the database to the disk; a tenth stays for later rows.

        By default the store chooses the number. Returns the number of units; 0 when nothing is left.
        """
