"""Deliveries: send those that are due, list them, try them again, and drop them.

See docs/glossary.md#delivery.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound
from authctl.model.deliveries import Delivery, DeliveryFilter, DeliveryState
from authctl.model.filters import checked_texts
from authctl.model.told_events import Event
from authctl.registry.installation import Installation
from authctl.registry.outbox import is_told
from authctl.registry.unit_of_work import MOST_LISTED
from authctl.store.protocol.outbox import OutboxCount

if TYPE_CHECKING:
    from authctl.registry.delivering import DeliverOutcome
    from authctl.store.protocol import View

_PAGE = 1_000
_ID = re.compile(r"([1-9][0-9]{0,17})(?:\.([1-9][0-9]{0,17}))?", re.ASCII)
_ALL = DeliveryFilter()


class ShownDelivery(NamedTuple):
    """A delivery, or an announcement with the states of all its deliveries."""

    delivery: Delivery
    states: Mapping[str, int]
    """How many deliveries of the announcement are in each state; empty where one delivery was asked for."""


class DropOutcome(NamedTuple):
    """The outcome of dropping deliveries, or of trying them again."""

    at: int
    actor: str
    note: str | None
    changed: int
    """How many deliveries were changed; the rest of an announcement that was not expanded yet counts as one."""
    unchanged: tuple[str, ...]
    """The ids of which nothing was pending, refused or dead."""


class Deliveries:
    """The deliveries of a registry to the receivers."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def deliver(self, *, at_once: bool = False, counted: bool = True) -> DeliverOutcome:
        """Send the due deliveries to every receiver, until none is due or the receiver cannot be reached now.

        `at_once` disregards the pause of a receiver that failed before. Unless `counted`, the number of pending deliveries is given
        as 0. Safe to run twice at the same time, and to kill. Raises InvalidFile where the receivers file has faults,
        RegistryUnavailable where it is open to others.
        """
        from authctl.registry.delivering import deliver
        from authctl.registry.receivers import Receivers

        return deliver(self._installation, Receivers(self._installation).by_name(), at_once=at_once, counted=counted)

    def list(self, selection: DeliveryFilter = _ALL) -> Iterator[Delivery]:
        """Stream the selected deliveries, the newest decision first; the rest of an announcement comes as one.

        Raises InvalidInput as `page`.
        """
        after = None
        while True:
            page = self.page(selection, after, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = (page[-1].announcement, page[-1].number)

    def page(
        self, selection: DeliveryFilter = _ALL, after: tuple[int, int] | None = None, limit: int = _PAGE
    ) -> Sequence[Delivery]:
        """Up to that many of the selected deliveries, in the order of `list`, after the announcement and number of one of them.

        Raises InvalidInput for a receiver that no file can name, a name that no user has, and a state or event that there is not.
        """
        selection = _checked(selection)
        with self._installation.snapshot() as (view, _now):
            return view.deliveries(selection, limit, after)

    def of_session(self, number: int) -> Sequence[Delivery]:
        """The deliveries about the session of that number, by receiver and decision."""
        with self._installation.snapshot() as (view, _now):
            return view.deliveries_of_session(number)

    def of_revocation(self, revocation_id: int) -> Mapping[str, Mapping[str, int]]:
        """How many deliveries of a revocation are in each state, by receiver."""
        with self._installation.snapshot() as (view, _now):
            announcements = view.announcements_of_revocation(revocation_id)
            return {
                announcement.receiver: view.announcement_states(announcement.announcement)
                for announcement in announcements
            }

    def since(self, at: int) -> Mapping[str, Mapping[str, int]]:
        """How many deliveries of the decisions from an instant on are in each state, by receiver."""
        states: dict[str, Counter[str]] = {}
        with self._installation.snapshot() as (view, _now):
            for announcement in view.announcements_since(at):
                counts = view.announcement_states(announcement.announcement)
                states.setdefault(announcement.receiver, Counter()).update(counts)
        return states

    def is_told(self, source: str) -> bool:
        """Whether a receiver is told of revoked sessions of a source, by the receivers file that the last decision read."""
        with self._installation.snapshot() as (view, _now):
            return is_told(view, Event.SESSION_REVOKED, source)

    def counts(self) -> Sequence[OutboxCount]:
        """The deliveries by receiver: pending with the oldest, refused and dead."""
        with self._installation.snapshot() as (view, _now):
            return view.outbox_counts()

    def show(self, delivery_id: str) -> ShownDelivery:
        """The delivery of an id, or the announcement of the first part of one. Raises InvalidInput, NotFound."""
        announcement, number = _place(delivery_id)
        with self._installation.snapshot() as (view, _now):
            return _shown(view, delivery_id, announcement, number)

    def retry(self, ids: Sequence[str], *, note: str | None = None, actor: str | None = None) -> DropOutcome:
        """Make deliveries due now: pending, refused and dead ones; all of them, or none. A note is recorded. Raises as `show`."""
        note = None if note is None else names.note(note)
        places = [(one, *_place(one)) for one in ids]
        with self._installation.change(actor) as unit:
            # All ids are checked before one is changed: all of them, or none.
            for place in places:
                _shown(unit.tx, *place)
            counts = [unit.tx.retry(announcement, number, unit.clock, unit.now) for _, announcement, number in places]
            if sum(counts):
                detail = {"deliveries": list(ids)[:MOST_LISTED], "due": sum(counts)}
                unit.record("delivery.retry", note=note, detail=detail)
        return DropOutcome(unit.now, unit.actor, note, sum(counts), _unchanged(ids, counts))

    def drop(self, ids: Sequence[str], *, note: str | None, actor: str | None = None) -> DropOutcome:
        """Give up deliveries that are pending, refused or dead; all of them, or none. Raises Refused without a note, and as `show`."""
        note = names.note(note)
        places = [(delivery_id, *_place(delivery_id)) for delivery_id in ids]
        with self._installation.change(actor) as unit:
            # All ids are checked before one is changed: all of them, or none.
            for place in places:
                _shown(unit.tx, *place)
            counts = [unit.tx.drop(announcement, number, unit.now, note) for _, announcement, number in places]
            if sum(counts):
                detail = {"deliveries": list(ids)[:MOST_LISTED], "dropped": sum(counts)}
                unit.record("delivery.drop", note=note, detail=detail)
        return DropOutcome(unit.now, unit.actor, note, sum(counts), _unchanged(ids, counts))


def _checked(selection: DeliveryFilter) -> DeliveryFilter:
    """The filter with each text once. Raises InvalidInput for a text that no delivery could have."""
    return selection._replace(
        receiver=checked_texts(selection.receiver, "receiver", names.receiver_name),
        state=checked_texts(selection.state, "state", _state, str),
        event=checked_texts(selection.event, "event", _event, str),
        username=checked_texts(selection.username, "username", names.username),
    )


def _state(text: str) -> str:
    return _one_of(DeliveryState, text)


def _event(text: str) -> str:
    return _one_of(Event, text)


def _one_of(choices: type[DeliveryState | Event], text: str) -> str:
    if text not in tuple(choices):
        raise InvalidInput(f"{names.quoted(text)} is none of: {', '.join(choices)}")
    return text


def _unchanged(ids: Sequence[str], counts: Sequence[int]) -> tuple[str, ...]:
    return tuple(delivery_id for delivery_id, count in zip(ids, counts, strict=True) if not count)


def _place(delivery_id: str) -> tuple[int, int]:
    """The announcement and the number of the session in the id of a delivery; 0 for all of the announcement."""
    match = _ID.fullmatch(delivery_id.strip())
    if match is None:
        raise InvalidInput(
            f"not the id of a delivery: {names.quoted(delivery_id)}", "to see them: authctl deliveries list"
        )
    return int(match[1]), int(match[2] or 0)


def _shown(view: View, delivery_id: str, announcement: int, number: int) -> ShownDelivery:
    delivery = view.delivery(announcement, number)
    states: Mapping[str, int] = {}
    if delivery is None and not number:
        delivery = view.announcement(announcement)
        states = view.announcement_states(announcement) if delivery else {}
    if delivery is None:
        raise NotFound(f"no delivery {names.quoted(delivery_id)}", "to see them: authctl deliveries list")
    return ShownDelivery(delivery, states)
