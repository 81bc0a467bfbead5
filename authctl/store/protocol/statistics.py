"""Statistics of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authctl.model.statistics import ActiveGroup


class StatisticsView(Protocol):
    """Counting sessions by their names and days. A day is the instant at which the UTC day begins."""

    def active_groups(self, now: int, until: int) -> list[ActiveGroup]:
        """The active sessions of every kind, counted by their names as they are spelled, and by the day of their end.

        `until` is the beginning of a day. Sessions that end then or later are counted on that day.
        """

    def sign_ins_by_day(self, since: int, now: int) -> Mapping[int, int]:
        """The sessions that were created from `since` to `now`, by day, ended ones included."""

    def ends_by_day(self, since: int, now: int) -> Mapping[int, int]:
        """The sessions that are expired at `now`, by the day of their end, from `since` to `now`."""

    def revocations_by_day(self, since: int, now: int) -> Mapping[int, int]:
        """The sessions that are revoked, by the day of their revocation, from `since` to `now`."""
