"""Revocations: closed ones, the open one, and the sessions that name them.

See docs/glossary.md#open-revocation and docs/glossary.md#revocation-by-criteria.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model import ProfileSet, SessionFilter


class PastRevocation(NamedTuple):
    """A revocation by criteria. It also applies to sessions of an earlier time that an import brings later."""

    id: int
    at: int
    selector: str
    """The criteria as JSON, in the form of `SessionFilter.criteria`, with times as instants."""
    last_number: int | None
    """The highest number of a session at that time; None if version 0.1.0 made the revocation."""
    profiles: ProfileSet | None
    """The profiles in force at that time, if the criteria name a profile."""


class RevocationsView(Protocol):
    """Reading revocations."""

    def count_of_revocation(self, revocation_id: int) -> int:
        """How many sessions name that revocation."""

    def numbers_of_revocation(self, revocation_id: int) -> Sequence[int]:
        """The numbers of the sessions that name that revocation, ascending."""

    def sources_of_revocation(self, revocation_id: int) -> dict[str, int]:
        """How many of the sessions that name that revocation live in each source."""

    def count_revocations_by_criteria(self) -> tuple[int, int]:
        """How many revocations by criteria there are, those of everything included, and the highest id of one."""

    def revocations_by_criteria(self) -> list[PastRevocation]:
        """The revocations by criteria in the order of time, without those of everything."""

    def latest_revoke_all(self) -> PastRevocation | None:
        """The latest revocation of everything."""


class RevocationsChange(Protocol):
    """Writing revocations."""

    def add_revocation(self, at: int, actor: str, note: str, selector: str, *, by_criteria: bool = False) -> int:
        """Add a closed revocation that no session names yet. Returns its id.

        One by criteria is kept for ever, with the facts that it needs later: the highest number of a session, and the profiles in force
        if its selector names a profile.
        """

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        """Revoke every session that is not revoked: close the open revocation. Returns the id of the closed one."""

    def assign(self, selection: SessionFilter, now: int, revocation_id: int) -> int:
        """Revoke those selected sessions that are not revoked yet. Returns how many."""

    def assign_numbers(self, numbers: Sequence[int], revocation_id: int) -> int:
        """Revoke those of the sessions with these numbers that are not revoked yet. Returns how many."""

    def unassign(self, numbers: Sequence[int], revocation_id: int) -> int:
        """Move those sessions from a revocation back to the open one. Returns how many."""
