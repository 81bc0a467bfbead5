"""Lists of sessions page by page: a walk that ends, and misses nobody who stays in the list, whatever is done between its pages.

A walk goes along the list's order first, and leaves out what moved since it began; of what is left no key changes, so that it comes to
an end. Then it fetches what moved, by number. A number never changes, none above the last one of the beginning is asked for, and what
moved once has moved for good: so that ends, too, and whoever is missed in the order is met here.

Where the history itself was replaced, by a restore, or a clock was accepted that is behind, it is not known what moved: then
everything is fetched by number.

See docs/glossary.md#cursor and docs/glossary.md#walk.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl.model import Session, SessionFilter, Sort
from authctl.store.protocol.pages import Cursor, Mark

if TYPE_CHECKING:
    from authctl.store.protocol import View

_REPLACING = ("registry.restore", "audit.accept", "clock.accept")
"""What was done where nothing tells which sessions moved."""

_EVERYTHING = -1
"""How many changes had moved sessions, where each counts as moved since."""

_BY_NUMBER = 1_000
_HASH_LENGTH = 8


class SessionPage(NamedTuple):
    """Some sessions of a list, in its order."""

    sessions: tuple[Session, ...]
    next: str | None
    """The cursor that the next page goes on after; None where there is no next page."""


class SessionList(NamedTuple):
    """Which sessions, and in which order: the selection's own, or another."""

    selection: SessionFilter
    sort: Sort | None


class Event(NamedTuple):
    """An event of the audit log, as a cursor tells it from that of another log."""

    seq: int
    hash: str


class Place(NamedTuple):
    """Where a walk stands: behind a key of the list's order, or else behind a number."""

    key: Cursor | None
    """Behind what in the list's order; None at its beginning, and where the order is through."""
    number: int | None
    """Behind which number; None while the order is not through."""
    mark: Mark
    """What the registry had counted when the walk began."""
    event: Event
    """The last event when the walk was last here."""


class Part(NamedTuple):
    """What comes next in a walk: sessions to be read by those numbers, then these, and where to go on."""

    numbers: Sequence[int]
    sessions: list[Session]
    place: Place | None


def begin(view: "View", key: Cursor | None = None) -> Place:
    """The place that a walk begins at: a list's beginning, or behind a key of its order."""
    return Place(key, None, view.counters(), _last_event(view))


def read_part(view: "View", listed: SessionList, now: int, size: int | None, place: Place) -> Part:
    """The next sessions after a place, so many at the most; without a size, all of an order that was asked for."""
    if _is_replaced(view, place.event):
        place = place._replace(key=None, number=0, mark=place.mark._replace(moves=_EVERYTHING))
    place = place._replace(event=_last_event(view))
    if place.number is not None:
        return _by_number(view, listed, now, size or _BY_NUMBER, place)
    if listed.sort is None:
        part = _in_own_order(view, listed.selection, now, size or _BY_NUMBER, place)
    else:
        part = _sorted(view, listed.selection, listed.sort, now, size, place)
    if part.place is not None or place.key is None:  # what is read whole by one snapshot has not moved
        return part
    left = _BY_NUMBER if size is None else size - len(part.numbers) - len(part.sessions)
    rest = _by_number(view, listed, now, left, place._replace(key=None, number=0))
    return Part(part.numbers, part.sessions + rest.sessions, rest.place)


def _in_own_order(view: "View", selection: SessionFilter, now: int, size: int, place: Place) -> Part:
    page = view.page(selection, now, size, _since(place))
    return Part((), page.sessions, place._replace(key=page.after) if page.after else None)


def _sorted(view: "View", selection: SessionFilter, sort: Sort, now: int, size: int | None, place: Place) -> Part:
    numbers = view.in_order(selection, now, sort, None if size is None else size + 1, _since(place))
    if size is None or len(numbers) <= size:
        return Part(numbers, [], None)
    return Part(numbers[:size], [], place._replace(key=view.sorted_place(sort, numbers[size - 1])))


def _since(place: Place) -> Cursor | None:
    """The key of a place, behind which comes what did not move since the walk began."""
    return place.key and place.key._replace(since=place.mark)


def _by_number(view: "View", listed: SessionList, now: int, size: int, place: Place) -> Part:
    behind = place.number or 0
    moved = view.moved_sessions(listed.selection, now, size + 1, Cursor((behind,), since=place.mark), listed.sort)
    if len(moved) <= size:  # the one more would tell that there is a next page
        return Part((), moved, None)
    shown = moved[:size]
    return Part((), shown, place._replace(number=shown[-1].number if shown else behind))


def _last_event(view: "View") -> Event:
    last = view.last_event()
    return Event(last.seq, last.hash[:_HASH_LENGTH]) if last else Event(0, "")


def _is_replaced(view: "View", known: Event) -> bool:
    """Whether the registry has not the history that it had when the walk was last here, or does not tell what moved since."""
    event = view.event(known.seq)
    is_same = event is None if known.seq == 0 else event is not None and event.hash[:_HASH_LENGTH] == known.hash
    return not is_same or view.has_event_since(known.seq, _REPLACING)
