"""The outbox: announcements, one for each receiver of a decision, and the deliveries that they are expanded to.

See docs/glossary.md#announcement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model.deliveries import Delivery, DeliveryFilter, Subscription


class ReadSubscriptions(NamedTuple):
    """The subscriptions of the receivers file as it was read last."""

    digest: bytes
    subscriptions: tuple[Subscription, ...]


class Decision(NamedTuple):
    """A decision that receivers are told."""

    event: str
    at: int
    actor: str
    note: str | None
    txn: int
    """The audit event of it."""
    username: str | None = None
    """The user, for an event of a user."""
    revocation_id: int | None = None
    """The revocation whose sessions it covers."""
    numbers: Sequence[int] = ()
    """Otherwise the numbers of the sessions that it covers."""


class LateDecision(NamedTuple):
    """A decision made before the sessions that it covers were imported."""

    event: str
    actor: str | None
    """Who revoked them; None where they ended with a decision about their user."""
    note: str | None
    numbers: Sequence[int]


class Settled(NamedTuple):
    """The new state of a leased delivery."""

    announcement: int
    number: int
    state: str
    """`pending` for one that is to be tried again at `next_attempt_at`."""
    reason: str | None
    next_attempt_at: int


class OutboxCount(NamedTuple):
    """The deliveries of one receiver, counted; those of an announcement that was not expanded yet count as one."""

    receiver: str
    pending: int
    oldest_at: int | None
    """The instant of the oldest decision of a pending delivery."""
    refused: int
    dead: int


class ReceiverPause(NamedTuple):
    """How long a receiver is left alone after it could not be told anything."""

    until: int
    failures: int
    reason: str


class OutboxView(Protocol):
    """Reading the outbox."""

    def subscriptions(self) -> ReadSubscriptions | None:
        """The subscriptions that the last decision went by; None before the first one."""

    def deliveries(self, selection: DeliveryFilter, limit: int, after: tuple[int, int] | None = None) -> list[Delivery]:
        """Selected deliveries, the newest announcement and in it the newest session first, after that place.

        An announcement that was not expanded to its end comes after its deliveries, as one that stands for the rest.
        """

    def deliveries_of_session(self, number: int) -> list[Delivery]:
        """The deliveries about one session, those of announcements that cover it and were not expanded so far included."""

    def outbox_counts(self) -> list[OutboxCount]:
        """The deliveries by receiver, for every receiver that has one."""

    def has_due(self, receiver: str, clock: int) -> bool:
        """Whether a receiver has a delivery that is due, or an announcement to expand; leased and waiting ones count, too."""

    def delivery(self, announcement: int, number: int) -> Delivery | None:
        """The delivery of an announcement about the session of that number, or, with 0, about its user."""

    def announcement(self, announcement: int) -> Delivery | None:
        """An announcement, as one that stands for its rest; its state is `none` where all of it was expanded."""

    def announcement_states(self, announcement: int) -> dict[str, int]:
        """How many deliveries of an announcement are in each state, those that it was not expanded to so far included."""

    def announcements_of_revocation(self, revocation_id: int) -> list[Delivery]:
        """The announcements of a revocation, one for each receiver."""

    def announcements_since(self, at: int) -> list[Delivery]:
        """The announcements of the decisions from an instant on, one for each receiver and decision."""

    def late_decisions(self, after: int, numbers: Sequence[int]) -> list[LateDecision]:
        """The decisions by which sessions with a number after that one, or with one of these, are revoked or ended.

        Revocations, disabled users and changed passwords; ends in the source, by a restore or by a listing are none.
        """

    def pauses(self) -> dict[str, ReceiverPause]:
        """The pauses of receivers, by folded name."""


class OutboxChange(Protocol):
    """Writing to the outbox."""

    def save_subscriptions(self, read: ReadSubscriptions) -> None:
        """Keep the subscriptions of a receivers file that has changed."""

    def announce(self, decision: Decision, subscriptions: Sequence[Subscription]) -> None:
        """Add an announcement for each subscription that has the event, however many sessions it covers."""

    def take_turn(self) -> None:
        """Let nobody else expand, lease, settle or pause until this transaction ends; a shared change calls it before it does so itself."""

    def expand(self, receiver: str, limit: int, clock: int) -> int:
        """Make deliveries of a receiver's announcements, up to about that many, due at `clock`; how many sessions were looked at.

        An earlier announcement that covers the same session and was not expanded so far is expanded for that session, too.
        """

    def lease(self, receiver: str, limit: int, clock: int, until: int, due: int | None = None) -> list[Delivery]:
        """Take pending deliveries that are due, and that nobody else has a lease of; their lease ends at `until`.

        With `due` only those that were due at that instant, which is earlier than the clock.

        A delivery waits for every earlier one that is pending about the same session, or the same user. One whose time lies further
        ahead than any retry can be is due: the clock was set back.
        """

    def settle(self, settled: Sequence[Settled], now: int, until: int) -> list[Settled]:
        """Write the new states of deliveries whose lease still ends at `until`; those that were written."""

    def pause(self, receiver: str, pause: ReceiverPause | None) -> None:
        """Leave a receiver alone until an instant; None ends that."""

    def give_up(self, now: int, limit: int, spared: Sequence[str] = ()) -> int:
        """Let up to that many pending deliveries be dead that were announced too long ago; how many. None of the spared receivers."""

    def revive(self, now: int) -> int:
        """Let deliveries be pending again that are dead before their time, since the clock was ahead; how many."""

    def retry(self, announcement: int, number: int, clock: int, now: int) -> int:
        """Make a delivery due now, one that was refused or is dead as well; without a number all of its announcement. How many.

        A lease of it ends: it may be told twice, under one id, if somebody is just telling it.
        """

    def drop(self, announcement: int, number: int, now: int, reason: str) -> int:
        """Give up a pending delivery; without a number all of its announcement, those that were not expanded included. How many."""

    def forget_announcements(self, cutoff: int) -> int:
        """Remove the announcements before an instant of which nothing is pending, and of whose sessions none is left."""
