"""Lists of sessions page by page: a walk that ends, and misses nobody who stays in the list, with any changes between its pages.

A walk goes along the list's order first, and leaves out what moved since it began; of what is left no key changes, so that it comes to
an end. Then it fetches what moved, by number. A number never changes, none above the last one of the beginning is asked for, and what
moved once has moved for good: so that ends, too, and whoever is missed in the order is met here.

Where the history itself was replaced, by a restore, or a clock was accepted that is behind, it is not known what moved: then
everything is fetched by number.

See docs/glossary.md#cursor and docs/glossary.md#walk.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl.model import Session, SessionFilter
from authctl.store.protocol.cursors import Cursor, MoveCounters

if TYPE_CHECKING:
    from authctl.model import Sort
    from authctl.store.protocol import View

_REPLACING = ("registry.restore", "audit.accept", "clock.accept")
"""The operations that do not record which sessions moved."""

_EVERYTHING = -1
"""How many changes had moved sessions, where each counts as moved since."""

_BY_NUMBER = 1_000
_HASH_LENGTH = 8
_ID_LENGTH = 8


class SessionList:
    """Which sessions, and in which order: the selection's own, or another."""

    def __init__(self, selection: SessionFilter, sort: "Sort | None") -> None:
        self.selection = selection
        self.sort = sort


class WalkPosition(NamedTuple):
    """Where a walk stands: behind a key of the list's order, or else behind a number."""

    key: Cursor | None
    """Behind what in the list's order; None at its beginning, and where the order is through."""
    number: int | None
    """Behind which number; None while the order is not through."""
    counters: MoveCounters
    """The counters of the registry when the walk began."""
    event: tuple[int, str]
    """The last event when the walk was last here: its number, and the beginning of its hash."""
    registry: str | None = None
    """The beginning of the registry's id; None in the cursor of an earlier version."""


class WalkStep:
    """One step of a walk: sessions to be read by those numbers, then these sessions, and the position after them."""

    def __init__(self, numbers: Sequence[int], sessions: list[Session], position: WalkPosition | None) -> None:
        self.numbers = numbers
        self.sessions = sessions
        self.position = position


def begin(view: "View", key: Cursor | None = None) -> WalkPosition:
    """The position that a walk begins at: a list's beginning, or behind a key of its order."""
    return WalkPosition(key, None, view.move_counters(), _last_event(view), beginning_of_id(view))


def beginning_of_id(view: "View") -> str:
    """The part of a registry's id by which a cursor names it."""
    return view.registry_id()[:_ID_LENGTH]


def next_step(view: "View", listed: SessionList, now: int, size: int | None, position: WalkPosition) -> WalkStep:
    """The next sessions after a position, so many at the most; without a size, all of an order that was asked for."""
    last = _last_event(view)
    if last != position.event:  # the same last event means the same history, and nothing was recorded since
        if _is_replaced(view, position.event):
            position = position._replace(key=None, number=0, counters=position.counters._replace(moves=_EVERYTHING))
        position = position._replace(event=last)
    if position.number is not None:
        return _by_number(view, listed, now, size or _BY_NUMBER, position)
    if listed.sort is None:
        step = _in_own_order(view, listed.selection, now, size or _BY_NUMBER, position)
    else:
        step = _sorted(view, listed.selection, listed.sort, now, size, position)
    if step.position is not None or position.key is None:  # what is read whole by one snapshot has not moved
        return step
    # The order is through, and the page has room: go on with the sessions that moved since the walk began.
    left = _BY_NUMBER if size is None else size - len(step.numbers) - len(step.sessions)
    rest = _by_number(view, listed, now, left, position._replace(key=None, number=0))
    return WalkStep(step.numbers, step.sessions + rest.sessions, rest.position)


def _in_own_order(view: "View", selection: SessionFilter, now: int, size: int, position: WalkPosition) -> WalkStep:
    page = view.page(selection, now, size, _since(position))
    return WalkStep((), page.sessions, position._replace(key=page.after) if page.after else None)


def _sorted(
    view: "View", selection: SessionFilter, sort: "Sort", now: int, size: int | None, position: WalkPosition
) -> WalkStep:
    numbers = view.sorted_numbers(selection, now, sort, None if size is None else size + 1, _since(position))
    if size is None or len(numbers) <= size:
        return WalkStep(numbers, [], None)
    return WalkStep(numbers[:size], [], position._replace(key=view.cursor_of_number(sort, numbers[size - 1])))


def _since(position: WalkPosition) -> Cursor | None:
    """The key of a position, behind which comes what did not move since the walk began."""
    return position.key and position.key._replace(since=position.counters)


def _by_number(view: "View", listed: SessionList, now: int, size: int, position: WalkPosition) -> WalkStep:
    behind = position.number or 0
    moved = view.moved_sessions(
        listed.selection, now, size + 1, Cursor((behind,), since=position.counters), listed.sort
    )
    if len(moved) <= size:  # the one more would tell that there is a next page
        return WalkStep((), moved, None)
    shown = moved[:size]
    return WalkStep((), shown, position._replace(number=shown[-1].number if shown else behind))


def _last_event(view: "View") -> tuple[int, str]:
    seq, hash_ = view.last_seal()
    return seq, hash_[:_HASH_LENGTH]


def _is_replaced(view: "View", known: tuple[int, str]) -> bool:
    """Whether the registry has not the history that it had when the walk was last here, or does not record the sessions that moved since."""
    # Event 0 stands for an empty log. The hash is compared because a restored log may have another event of that number.
    seq, hash_ = known
    event = view.event(seq)
    is_same = event is None if seq == 0 else event is not None and event.hash[:_HASH_LENGTH] == hash_
    return not is_same or view.has_event_since(seq, _REPLACING)
