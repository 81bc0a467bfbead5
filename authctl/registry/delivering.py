"""The delivery of announcements: batch by batch to each receiver, until nothing is due.

A delivery is leased in one transaction, sent, and settled in the next one. After a kill in between, it is sent again under the same
id when its lease has ended. Receivers take turns, one batch each, so that the others do not wait for a slow one.

See docs/glossary.md#announcement, docs/glossary.md#delivery and docs/glossary.md#verdict.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import AuthctlError, ReceiverUnavailable
from authctl.instants import HOUR, MINUTE, SECOND, format_instant
from authctl.model import Status
from authctl.model.deliveries import DeliveryState
from authctl.model.told_events import Event
from authctl.receivers.messages import Message, Verdict
from authctl.registry.giving_up import give_up
from authctl.registry.unit_of_work import AUTHCTL, MOST_LISTED
from authctl.store.protocol.outbox import ReceiverPause, Settled

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.model.deliveries import Delivery
    from authctl.receivers import Channel, Receiver
    from authctl.registry.installation import Installation
    from authctl.registry.unit_of_work import UnitOfWork

_FIRST_PAUSE = 30 * SECOND
_LONGEST_PAUSE = HOUR
_EXPANDED_AT_ONCE = 1_000


class ReceiverOutcome(NamedTuple):
    """The deliveries of one receiver in one run."""

    receiver: str
    delivered: int
    gone: int
    refused: int
    retried: int
    """The number of deliveries that will be sent again."""
    pending: int
    """How many are pending after the run; sessions of an announcement that was not expanded yet count as one."""
    reason: str | None
    """The reason why something stays pending; None if there is none."""


class DeliverOutcome(NamedTuple):
    """One run over all receivers."""

    receivers: tuple[ReceiverOutcome, ...]
    dead: int
    """How many deliveries were given up: pending for longer than `give_up_after`."""

    @property
    def pending(self) -> int:
        """How many deliveries are pending after the run."""
        return sum(outcome.pending for outcome in self.receivers)


def back_off(attempts: int, chance: Callable[[], float] = random.random) -> int:
    """The microseconds until the next attempt: doubled each time up to an hour, and shortened by up to a quarter by chance."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(max(attempts, 1) - 1, 20))
    return int(longest * (1 - chance() / 4))


def deliver(
    installation: Installation, receivers: Mapping[str, Receiver], *, at_once: bool = False, counted: bool = True
) -> DeliverOutcome:
    """Send every receiver the messages that are due, once. Contract: `Deliveries.deliver`."""
    runs = [_Run(installation, receiver) for receiver in receivers.values()]
    active = [run for run in runs if run.begin(at_once=at_once)]
    while active:
        active = [run for run in active if run.tell_batch()]
    # decision 292: after a last try, which a clock that jumped ahead does not take away
    dead = give_up(installation, spared=[key for key, run in zip(receivers, runs, strict=True) if run.is_paused])
    with installation.snapshot() as (view, _now):
        # To count a million pending ones takes a second, which a service would do each second.
        counts = {names.fold(count.receiver): count for count in view.outbox_counts()} if counted else {}
    outcomes = [
        run.outcome(counts[key].pending if key in counts else 0) for key, run in zip(receivers, runs, strict=True)
    ]
    left = [_without_receiver(count.receiver, count.pending) for key, count in counts.items() if key not in receivers]
    return DeliverOutcome((*outcomes, *filter(None, left)), dead)


def _without_receiver(receiver: str, pending: int) -> ReceiverOutcome | None:
    """The deliveries of a receiver that is no longer in the file."""
    return ReceiverOutcome(receiver, 0, 0, 0, 0, pending, "receivers.yaml has no such receiver") if pending else None


@dataclass(slots=True)
class _Batch:
    """Leased deliveries, with the end of their lease, and the sessions that they are about."""

    until: int
    deliveries: Sequence[Delivery]
    sessions: Mapping[int, Session]
    expanded: int
    """How many sessions of announcements were looked at for it."""


@dataclass(slots=True)
class _Run:
    """The deliveries to one receiver in one run."""

    installation: Installation
    receiver: Receiver
    counts: dict[str, int] = field(default_factory=dict)
    reason: str | None = None
    is_paused: bool = False
    """Whether it was left alone in this run, after a failure in an earlier one."""
    _size: int = 1
    _begun_at: int = 0
    """The instant at which the run began. Later dues are left to the next run: else one that answers `retry` would be told without end."""
    _at_once: bool = False
    _channel: Channel | None = None

    def begin(self, *, at_once: bool) -> bool:
        """Open the channel of the receiver. Returns whether a delivery is due, and the receiver can be reached now."""
        self._at_once = at_once
        if not self._is_anything_due():
            return False
        try:
            self._channel = self.receiver.open(self.installation.home.push_key)
        except AuthctlError as error:
            self._fail(error)
            return False
        self._size = self._channel.batch
        return True

    def tell_batch(self) -> bool:
        """Send one batch of due deliveries. Returns whether there may be more, and the receiver can take them."""
        assert self._channel is not None
        # Not synced: a power cut that loses the lease has also ended the process that took it.
        with self._turn(synced=False) as unit:
            batch = self._lease(unit)
        if not batch.deliveries:
            # No session of this page concerns the receiver: the next page may have some.
            return batch.expanded > 0
        verdicts, failure = self._send(self._channel, batch)
        return self._settle(self._channel, batch, verdicts, failure)

    @contextmanager
    def _turn(self, *, synced: bool = True) -> Iterator[UnitOfWork]:
        """A change in which no other run writes deliveries."""
        # decision 321: sign-ins and uses go on meanwhile
        with self.installation.change(AUTHCTL, synced=synced, shared=True) as unit:
            unit.tx.take_turn()
            yield unit

    def outcome(self, pending: int) -> ReceiverOutcome:
        """The counts of the run."""
        delivered, gone, refused, retried = (
            self.counts.get(state, 0) for state in ("delivered", "gone", "refused", "pending")
        )
        return ReceiverOutcome(self.receiver.name, delivered, gone, refused, retried, pending, self.reason)

    def _is_anything_due(self) -> bool:
        """Whether the receiver has a delivery that is due, and is not paused after a failure."""
        key, clock = names.fold(self.receiver.name), self.installation.clock.now()
        self._begun_at = clock
        with self.installation.snapshot() as (view, _now):
            pause = view.pauses().get(key)
            is_due = view.has_due(key, clock)
        left = pause.until - clock if pause else 0
        # decision 237: a pause that ends later than the longest one was written before the clock was set back, and is over
        if pause is not None and not self._at_once and 0 < left <= _LONGEST_PAUSE:
            self.reason, self.is_paused = pause.reason, True
            return False
        return is_due

    def _fail(self, error: AuthctlError) -> None:
        """Pause the receiver, because its channel cannot be opened."""
        self.reason = error.message
        with self._turn() as unit:
            self._pause(unit, error)

    def _lease(self, unit: UnitOfWork) -> _Batch:
        """Take the next deliveries that are due."""
        # decision 237: by the clock, since the recorded time does not move while the clock is behind it. No two leases end at the
        # same microsecond, so the end identifies the lease.
        until = unit.clock + int((2 * self.receiver.seconds * SECOND) + MINUTE) + secrets.randbelow(SECOND)
        due = min(unit.clock, self._begun_at)
        leased = unit.tx.lease(self.receiver.name, self._size, unit.clock, until, due)
        expanded = 0
        if len(leased) < self._size:
            expanded = unit.tx.expand(self.receiver.name, _EXPANDED_AT_ONCE, due)
            leased += unit.tx.lease(self.receiver.name, self._size - len(leased), unit.clock, until, due)
        sessions = unit.tx.sessions_by_number([one.number for one in leased if one.number], unit.now)
        return _Batch(until, leased, {session.number: session for session in sessions}, expanded)

    def _send(self, channel: Channel, batch: _Batch) -> tuple[dict[str, Verdict], AuthctlError | None]:
        """Tell a batch; the verdicts by id, and why nothing more could be told."""
        untold = ((one, _reason_not_to_tell(one, batch)) for one in batch.deliveries)
        verdicts = {one.jti: Verdict(one.jti, DeliveryState.GONE, reason) for one, reason in untold if reason}
        messages = [_message(one, batch, self.receiver) for one in batch.deliveries if one.jti not in verdicts]
        wanted = {message.jti for message in messages}
        try:
            for verdict in channel.send(messages) if messages else ():
                # A verdict about a message that was not sent decides nothing; of two about one message the first
                # counts.
                if verdict.jti in wanted:
                    verdicts.setdefault(verdict.jti, verdict)
        # The verdicts that came before the error count: these messages were delivered.
        except AuthctlError as error:
            return verdicts, error
        return verdicts, None

    def _settle(
        self, channel: Channel, batch: _Batch, verdicts: Mapping[str, Verdict], failure: AuthctlError | None
    ) -> bool:
        """Write the verdicts of a batch with their event. Returns whether the receiver can take more."""
        with self._turn() as unit:
            clock = unit.clock
            settled = [
                self._settled(channel, delivery, verdicts.get(delivery.jti), failure, clock)
                for delivery in batch.deliveries
            ]
            written = unit.tx.settle(settled, unit.now, batch.until)
            self._record(unit, batch, written, failure)
            is_over = failure is not None and (not verdicts or _retry_after(failure) is not None)
            if failure is not None and is_over:
                self._pause(unit, failure)
            else:
                unit.tx.pause(self.receiver.name, None)
        # The receiver was too slow for this batch: the next one has as many deliveries as it answered.
        self._size = max(1, len(verdicts)) if failure else self._size
        for delivery in written:
            self.counts[delivery.state] = self.counts.get(delivery.state, 0) + 1
        self.reason = failure.message if failure else self.reason
        return not is_over

    def _settled(
        self, channel: Channel, delivery: Delivery, verdict: Verdict | None, failure: AuthctlError | None, clock: int
    ) -> Settled:
        place = (delivery.announcement, delivery.number)
        if verdict is not None and verdict.state is not DeliveryState.PENDING:
            return Settled(*place, verdict.state, verdict.reason, clock)
        # The channel answers each message that it sent: this one was not sent, so it is due at once and no attempt
        # failed.
        if verdict is None and failure is None and channel.is_complete:
            return Settled(*place, DeliveryState.PENDING, None, min(clock, self._begun_at))
        reason = verdict.reason if verdict else failure.message if failure else "no verdict"
        return Settled(*place, DeliveryState.PENDING, reason, clock + back_off(delivery.attempts))

    def _pause(self, unit: UnitOfWork, failure: AuthctlError) -> None:
        before = unit.tx.pauses().get(names.fold(self.receiver.name))
        failures = before.failures + 1 if before else 1
        asked = _retry_after(failure)
        length = back_off(failures) if asked is None else min(_LONGEST_PAUSE, int(asked * SECOND))
        unit.tx.pause(self.receiver.name, ReceiverPause(unit.clock + length, failures, failure.message))

    def _record(
        self, unit: UnitOfWork, batch: _Batch, written: Sequence[Settled], failure: AuthctlError | None
    ) -> None:
        if not written:
            return
        by_place = {(delivery.announcement, delivery.number): delivery for delivery in batch.deliveries}
        refused = [
            by_place[settled.announcement, settled.number]
            for settled in written
            if settled.state == DeliveryState.REFUSED
        ]
        states = [settled.state for settled in written]
        detail: dict[str, Any] = {state: states.count(state) for state in ("delivered", "gone", "refused", "pending")}
        detail["failure"] = failure and failure.message
        detail["sessions"] = [delivery.session_id for delivery in refused[:MOST_LISTED] if delivery.session_id]
        usernames = (delivery.username for delivery in refused[:MOST_LISTED] if delivery.username)
        detail["username_keys"] = sorted(set(map(names.fold, usernames)))
        unit.record("delivery.run", subject=self.receiver.name, detail=detail)


def _retry_after(failure: AuthctlError) -> float | None:
    return failure.retry_after if isinstance(failure, ReceiverUnavailable) else None


def _reason_not_to_tell(delivery: Delivery, batch: _Batch) -> str | None:
    """Why a receiver is not told of a session any more; None where it is, or where the delivery is about a user."""
    if not delivery.number:
        return None
    if (session := batch.sessions.get(delivery.number)) is None:
        return "not in the registry any more"
    if delivery.event in (Event.SESSION_REVOKED, Event.SESSION_ENDED) and session.status == Status.ACTIVE:
        return "active again: an import was undone"
    return None


def _message(delivery: Delivery, batch: _Batch, receiver: Receiver) -> Message:
    """The message of a delivery to its receiver."""
    session = batch.sessions.get(delivery.number)
    # decision 240: the note was copied only if the file allowed it at the decision; it must also allow it now
    note = delivery.note if receiver.subscription.notes else None
    fields = {
        "jti": delivery.jti,
        "event": delivery.event,
        "at": format_instant(delivery.at),
        "actor": delivery.actor,
        "note": note,
        "source": session and session.source,
        "source_id": session and session.source_id,
        "session": session and _session_fields(session, delivery),
        "username": delivery.username,
        "revocation_id": delivery.revocation_id,
    }
    return Message(delivery.jti, fields, delivery.at, delivery.txn)


def _session_fields(session: Session, delivery: Delivery) -> dict[str, Any]:
    return {
        "id": session.id,
        "username": session.username,
        "application": session.application,
        "device": session.device,
        "platform": session.platform,
        "kind": session.kind,
        "profile": session.profile,
        "created_at": format_instant(session.created_at),
        "last_used_at": format_instant(session.last_used_at),
        "status": session.status.value,
        "revoked_with_all": delivery.is_of_everything,
    }
