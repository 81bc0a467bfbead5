"""Previews: the sessions that an operation would end, counted before the confirmation.

See docs/glossary.md#bound-of-a-preview.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Largest(NamedTuple):
    """The names that most of some sessions have, with their counts, and how many more names there are."""

    counts: tuple[tuple[str | None, int], ...]
    more: int


class Summary(NamedTuple):
    """Counts of some sessions."""

    total: int
    web: int
    """How many of them are web sessions."""
    active: int
    expired: int
    revoked: int
    users: Largest
    applications: Largest


class PreviewsView(Protocol):
    """Reading common values of some sessions."""

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        """Up to `limit` of those numbers: the sessions with the most recent use, that one first."""

    def beyond_newest(self, numbers: Sequence[int], keep: int) -> Sequence[int]:
        """Those of the numbers, ascending, whose sessions are not among the newest ones of their user and application.

        The newest are the `keep` sessions of those numbers with the latest use; of equal ones the highest number is the newest.
        """

    def ids_of(self, numbers: Sequence[int]) -> list[str]:
        """The ids of the sessions with those numbers, sorted."""

    def counts_by_user(self, numbers: Sequence[int]) -> dict[str, int]:
        """How many of the sessions with those numbers each user has, by the folded key of the name."""

    def summary(self, numbers: Sequence[int], now: int, largest: int) -> Summary:
        """Counts of the sessions with those numbers: by kind, status, user and application.

        At most `largest` users and applications are named: those with the most sessions.
        """
