"""Counts of sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authctl.model import Group, Grouping, SessionFilter


class CountsView(Protocol):
    """Counting sessions."""

    def count(self, selection: SessionFilter, now: int, at_most: int | None = None) -> int:
        """How many sessions the selection has. Counting stops at `at_most`."""

    def groups(self, selection: SessionFilter, by: Grouping, now: int) -> list[Group]:
        """The selected sessions, counted by user, application or platform; the group with the most recent use first."""
