"""Deliveries: the messages to other systems, and the subscriptions that select them.

See docs/glossary.md#announcement and docs/glossary.md#delivery.
"""

from enum import StrEnum
from typing import NamedTuple


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GONE = "gone"
    """The receiver does not know the session or user any more."""
    REFUSED = "refused"
    DROPPED = "dropped"
    """An administrator gave it up."""
    DEAD = "dead"
    """It was pending for longer than `give_up_after`."""


class Narrowing(NamedTuple):
    """The sessions that concern a receiver, each field as folded keys; an empty field allows every session."""

    source: tuple[str, ...] = ()
    application: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()


class Subscription(NamedTuple):
    """The events and sessions that concern one receiver."""

    receiver: str
    events: tuple[str, ...]
    narrowing: Narrowing
    notes: bool
    """Whether its messages contain the text of notes."""
    give_up_after: int
    """How long a delivery may be pending, in microseconds."""


class Delivery(NamedTuple):
    """One message to one receiver, about one session or one user."""

    announcement: int
    number: int
    """The number of the session; 0 for an event of a user, and for the rest of an announcement that was not expanded yet."""
    jti: str
    receiver: str
    event: str
    state: str
    attempts: int
    next_attempt_at: int | None
    session_id: str | None
    username: str | None
    created_at: int
    delivered_at: int | None
    reason: str | None
    is_rest: bool
    """Whether it stands for all sessions of its announcement that have no delivery of their own yet."""
    at: int
    actor: str
    note: str | None
    revocation_id: int | None
    txn: int
    is_of_everything: bool = False
    """Whether it is about a session that a revocation of everything, without an exception, has revoked."""

    @property
    def id(self) -> str:
        """The number of the announcement, and for a delivery about a session the number of the session."""
        return f"{self.announcement}.{self.number}" if self.number else str(self.announcement)


class DeliveryFilter(NamedTuple):
    """A filter of deliveries: every criterion that is given must be met.

    Each may have several values, of which any matches. Receivers and users are compared by their folded key.
    """

    receiver: str | tuple[str, ...] | None = None
    state: str | tuple[str, ...] | None = None
    event: str | tuple[str, ...] | None = None
    username: str | tuple[str, ...] | None = None
    numbers: tuple[int, ...] = ()
    """The numbers of sessions."""
