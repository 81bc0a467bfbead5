"""Continuity events: they keep the sessions of a profile active beyond their deadlines.

See docs/glossary.md#continuity-event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent


class ContinuityView(Protocol):
    """Reading continuity events."""

    def continuity_events(self) -> list[ContinuityEvent]:
        """All continuity events, the earliest first."""

    def held_by_continuity(self, profile: str, now: int) -> int:
        """How many sessions of that profile are active at `now` only because of a continuity event."""


class ContinuityChange(Protocol):
    """Writing continuity events."""

    def start_continuity(self, profile: str, at: int, ends_at: int, actor: str, note: str) -> None:
        """Record a continuity event of a profile, from the one instant to the other."""

    def end_continuity(self, event_id: int, at: int, actor: str, note: str) -> None:
        """End a continuity event at that instant, or at its own start if that is later."""

    def remove_continuity(self, cutoff: int) -> int:
        """Remove the continuity events that ended before the cutoff. Returns how many."""
