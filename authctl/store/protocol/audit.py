"""Audit events: the log that only grows.

See docs/glossary.md#audit-chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from authctl.model import AuditEvent, EventFilter
    from authctl.model.audit import NewEvent, Place


class AuditView(Protocol):
    """Reading the audit log."""

    def events(self, selection: EventFilter, limit: int, before: int | None = None) -> list[AuditEvent]:
        """Up to `limit` selected events, the newest first, with a number below `before`. An actor is compared letter by letter."""

    def actors(self, keys: Collection[str]) -> list[str]:
        """The actors of all events whose names have one of those folded keys, each spelling once. Reads the whole log."""

    def event(self, seq: int) -> AuditEvent | None:
        """The event with that number."""

    def chain(self, after: int, limit: int) -> list[AuditEvent]:
        """Up to `limit` events in the order of their numbers, above `after`, as they are stored."""

    def last_event(self) -> AuditEvent | None:
        """The newest event."""

    def has_event_since(self, seq: int, actions: Collection[str]) -> bool:
        """Whether an event with one of those actions came after the event with that number."""


class AuditChange(Protocol):
    """Writing the audit log."""

    def append_at_commit(self, event: NewEvent) -> Callable[[], Place] | None:
        """Append an event as the last step of this change, in which no other event is recorded; its place is known after the commit.

        None, and nothing is done, if this store or this change does not do so. Then the event is sealed with the hash of
        `last_event`, and added.
        """

    def add_event(self, event: AuditEvent) -> None:
        """Append an event. The log accepts only the next number, and never changes."""
