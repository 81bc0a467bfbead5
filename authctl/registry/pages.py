"""Lists of sessions page by page: a walk that ends, and lists each session that stays selected, with any changes between its pages.

A walk has two passes (decision 125). The first follows the order of the list, and leaves out the sessions that moved since the walk
began. The keys of the others do not change, so the pass ends. The second pass reads the moved sessions by number. A number never
changes, and numbers above the last one of the beginning are not read. So this pass ends, too, and has each session that the first left
out.

After a restore, or an accepted clock that is behind, the moved sessions are not known: then all sessions are read by number.

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
"""The number of changes before the walk, if every session has to count as moved."""

_BY_NUMBER = 1_000
_HASH_LENGTH = 8
_ID_LENGTH = 8


class SessionList:
    """Which sessions, in which order (the selection's own, or another), and whether as `ListedSession` with fewer fields."""

    def __init__(self, selection: SessionFilter, sort: "Sort | None", *, brief: bool = False) -> None:
        self.selection = selection
        self.sort = sort
        self.brief = brief


class WalkPosition(NamedTuple):
    """The position of a walk: after a key of the list's order, or after a number."""

    key: Cursor | None
    """The key in the list's order after which the walk continues; None at its beginning, and in the second pass."""
    number: int | None
    """The number after which the second pass continues; None in the first pass."""
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
        step = _in_own_order(view, listed, now, size or _BY_NUMBER, position)
    else:
        step = _sorted(view, listed.selection, listed.sort, now, size, position)
    # A list that one snapshot reads as a whole needs no second pass: nothing moved in it.
    if step.position is not None or position.key is None:
        return step
    # The first pass is complete, and the page has room: continue with the sessions that moved since the walk began.
    left = _BY_NUMBER if size is None else size - len(step.numbers) - len(step.sessions)
    rest = _by_number(view, listed, now, left, position._replace(key=None, number=0))
    return WalkStep(step.numbers, step.sessions + rest.sessions, rest.position)


def _in_own_order(view: "View", listed: SessionList, now: int, size: int, position: WalkPosition) -> WalkStep:
    page = view.page(listed.selection, now, size, _since(position), brief=listed.brief)
    return WalkStep((), page.sessions, position._replace(key=page.after) if page.after else None)


def _sorted(
    view: "View", selection: SessionFilter, sort: "Sort", now: int, size: int | None, position: WalkPosition
) -> WalkStep:
    numbers = view.sorted_numbers(selection, now, sort, None if size is None else size + 1, _since(position))
    if size is None or len(numbers) <= size:
        return WalkStep(numbers, [], None)
    return WalkStep(numbers[:size], [], position._replace(key=view.cursor_of_number(sort, numbers[size - 1])))


def _since(position: WalkPosition) -> Cursor | None:
    """The key of a position, with the counters by which the sessions that moved since the walk began are left out."""
    return position.key and position.key._replace(since=position.counters)


def _by_number(view: "View", listed: SessionList, now: int, size: int, position: WalkPosition) -> WalkStep:
    behind = position.number or 0
    moved = view.moved_sessions(
        listed.selection,
        now,
        size + 1,
        Cursor((behind,), since=position.counters),
        listed.sort,
        brief=listed.brief,
    )
    # One session more than the page was read: without it there is no next page.
    if len(moved) <= size:
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
