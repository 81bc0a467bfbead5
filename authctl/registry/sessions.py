"""Sessions: find, list and count them. They are ended in `session_ends.py`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from authctl import names
from authctl.errors import InvalidInput, NotFound
from authctl.model import Session, SessionFilter
from authctl.registry.pages import SessionList, WalkPosition, WalkStep, begin, beginning_of_id, next_step
from authctl.store.protocol.cursors import Cursor

if TYPE_CHECKING:
    from authctl.model import Sort
    from authctl.registry.installation import Installation
    from authctl.store.protocol import View

ALL = SessionFilter()
"""The filter that selects every session."""

_FIRST_BATCH = 64
_BATCH = 1_000
_CANDIDATES = 10


def resolve(view: "View", text: str) -> str | None:
    """The whole id that a text abbreviates; None when no session has it.

    Raises InvalidInput, naming the candidates, when it is shorter than six characters or not unique.
    """
    prefix = names.id_prefix(text)
    if prefix is None:
        return None
    ids = view.ids_beginning(prefix, _CANDIDATES + 1)
    short = len(prefix) < names.SHORTEST_PREFIX
    if short or len(ids) > 1:
        listed = ", ".join(ids[:_CANDIDATES]) + (", …" if len(ids) > _CANDIDATES else "")
        problem = "needs six characters or more" if short else "is not unique"
        raise InvalidInput(f"the id {names.quoted(text)} {problem}", f"it could be: {listed}" if ids else None)
    return ids[0] if ids else None


def resolve_all(view: "View", texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The whole ids that the texts abbreviate, each once, and the texts that are unknown."""
    known: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for text in texts:
        session_id = resolve(view, text)
        if session_id is None:
            unknown[names.without_tokens(text)] = None
        else:
            known[session_id] = None
    return tuple(known), tuple(unknown)


def show(installation: "Installation", session_id: str) -> Session:
    """Read one session by its id or the beginning of it. Contract: `Registry.session`."""
    with installation.snapshot() as (view, now):
        return find(view, session_id, now)


def find(view: "View", session_id: str, now: int) -> Session:
    """The session of an id, or of the unique beginning of one. Raises NotFound or InvalidInput."""
    whole = resolve(view, session_id)
    session = whole and view.session(whole, now)
    if not session:
        from authctl.registry.unknown_users import unknown_session

        raise unknown_session(view, session_id, now)
    return session


class Listing(Iterator[Session]):
    """The sessions of a list, read part by part as they are asked for, each once. Contract: `Registry.sessions`.

    With `brief` they are of `ListedSession`: a walk uses nothing but their numbers.
    """

    def __init__(
        self,
        installation: "Installation",
        selection: SessionFilter,
        sort: str | None,
        after: str | None,
        limit: int | None,
        *,
        brief: bool = False,
    ) -> None:
        self._installation = installation
        self._list = SessionList(selection, read_sort(sort), brief=brief)
        self._sessions = self._walk(after, limit)
        self.next: str | None = None
        """The cursor of the next page, known once the last session was taken; None where there is none."""

    def __iter__(self) -> Iterator[Session]:  # noqa: PYI034
        return self._sessions  # a call for each session less than with `__next__`

    def __next__(self) -> Session:
        return next(self._sessions)

    def _walk(self, after: str | None, limit: int | None) -> Iterator[Session]:
        listed = self._list
        with self._installation.snapshot() as (view, now):
            wanted = whole_list(view, listed, after)
            position = position_of(view, listed, wanted, now, after)
            step = WalkStep((), [], position)
            # Read in the snapshot in which the walk begins: most lists end with this step.
            if limit is None or limit > 0:
                step = next_step(view, wanted, now, _size(listed.sort, _FIRST_BATCH, limit), position)
        shown = _Numbers()
        while True:
            for batch in self._batches(step, now):
                # A session that moved between two steps may be read in both passes: it is listed once.
                yield from shown.add_sessions(batch)
            if step.position is None or (limit is not None and len(shown) >= limit):
                break
            left = None if limit is None else limit - len(shown)
            with self._installation.store.view() as view:
                step = next_step(view, wanted, now, _size(listed.sort, _BATCH, left), step.position)
        self.next = cursor_of(listed, step.position)

    def _batches(self, step: WalkStep, now: int) -> Iterator[Sequence[Session]]:
        for start in range(0, len(step.numbers), _BATCH):
            with self._installation.store.view() as view:
                batch = view.sessions_by_number(step.numbers[start : start + _BATCH], now, brief=self._list.brief)
            yield batch
        yield step.sessions


def read_sort(text: str | None) -> "Sort | None":
    """The order that is asked for. Only a list in another order than its own loads the module."""
    if text is None:
        return None
    from authctl.model import Sort

    return Sort.parse(text)


def _size(sort: "Sort | None", size: int, left: int | None) -> int | None:
    """The number to read at once; all of an order that was asked for, since each step reads every selected session."""
    # decision 96: an explicit order keeps the numbers of all selected sessions, so reading it in parts would repeat the
    # work
    return left if sort is not None else min(size, size if left is None else left)


def cursor_of(listed: SessionList, position: WalkPosition | None) -> str | None:
    """The cursor of the next page. Only a list with a next page loads its module."""
    if position is None:
        return None
    from authctl.registry.cursors import write_cursor

    return write_cursor(listed, position)


def whole_list(view: "View", wanted: SessionList, after: str | None) -> SessionList:
    """The same list with whole ids in its filter; `after` is the place to continue after."""
    selection = wanted.selection
    if after is not None:
        from authctl.registry.cursors import is_cursor

        if is_cursor(after):  # a session that is excepted may have been removed since the page before
            excepted = tuple(text for text in selection.except_ids if resolve(view, text) is not None)
            selection = selection.narrowed(except_ids=excepted)
    return SessionList(with_whole_ids(view, selection)[0], wanted.sort, brief=wanted.brief)


def position_of(view: "View", listed: SessionList, wanted: SessionList, now: int, after: str | None) -> WalkPosition:
    """Where a walk goes on: at its beginning, after a cursor, or after a session where that now stands in the list."""
    if after is None:
        return begin(view)
    from authctl.registry.cursors import is_cursor, is_sort_key, no_cursor, read_cursor

    if not is_cursor(after):
        return begin(view, _cursor_of_session(view, wanted, find(view, after, now), now))
    position = read_cursor(listed, after)
    if position.registry not in (None, beginning_of_id(view)):
        raise InvalidInput("this cursor belongs to another registry", "begin again without --after")
    # A cursor comes from outside: its key must have the columns of this order, or the comparison in SQL would fail.
    if position.key is None or listed.sort is not None:
        is_key = position.key is None or is_sort_key(position.key.key)
        resumed = position.key
    else:
        resumed = view.cursor_of_key(wanted.selection, position.key.key)
        is_key = resumed is not None
    if not is_key:
        raise no_cursor(after)
    return position._replace(key=resumed)


def _cursor_of_session(view: "View", wanted: SessionList, session: Session, now: int) -> Cursor:
    """The position of a session in a list. Raises InvalidInput for a session that is not in it."""
    if wanted.sort is None:
        position = view.cursor_of_session(wanted.selection, session)
    else:
        # `view.count` with this id alone answers whether the other criteria select the session.
        is_listed = not wanted.selection.ids or session.id in wanted.selection.ids
        alone = wanted.selection.narrowed(ids=(session.id,))
        position = view.cursor_of_number(wanted.sort, session.number) if is_listed and view.count(alone, now) else None
    if position is None:
        raise InvalidInput(
            f"session {names.quoted(session.id)} is not in this list", "continue after a session that is"
        )
    return position


def pages(view: "View", selection: SessionFilter, now: int) -> Iterator[Session]:
    """Every selected session of one snapshot."""
    # decision 17: each page is a short read, so that a pager that is left open blocks nothing
    page = view.page(selection, now, _FIRST_BATCH)
    yield from page.sessions
    while page.after is not None:
        page = view.page(selection, now, _BATCH, page.after)
        yield from page.sessions


class _Numbers:
    """A set of session numbers, one bit each, in chunks: a large number needs no more room than a small one."""

    # decision 103: one string of bits up to the greatest number cost most of the time of a first page of ten million
    # sessions

    def __init__(self) -> None:
        self._chunks: defaultdict[int, bytearray] = defaultdict(partial(bytearray, 512))
        self._count = 0

    def add_sessions(self, sessions: Sequence[Session]) -> list[Session]:
        """Add the numbers of sessions. Returns the sessions whose numbers are new."""
        new, chunks = [], self._chunks
        for session in sessions:
            number = session.number
            # 4,096 numbers a chunk: the upper bits choose the chunk, the next nine its byte, the last three the bit.
            chunk, byte, bit = chunks[number >> 12], number >> 3 & 511, 1 << (number & 7)
            if not chunk[byte] & bit:
                chunk[byte] |= bit
                new.append(session)
        self._count += len(new)
        return new

    def __len__(self) -> int:
        return self._count


def count(installation: "Installation", selection: SessionFilter) -> int:
    """Count the selected sessions in one snapshot."""
    with installation.snapshot() as (view, now):
        return view.count(with_whole_ids(view, selection)[0], now)


def with_whole_ids(view: "View", selection: SessionFilter) -> tuple[SessionFilter, tuple[str, ...]]:
    """The filter with whole ids in place of abbreviated ones, and the ids that no session has.

    Raises NotFound for an unknown exception: sparing nobody by a typing error would end the wrong session.
    """
    excepted, unknown = resolve_all(view, selection.except_ids)
    if unknown:
        raise NotFound(f"no session {names.quoted(unknown[0])} to except")
    known, not_found = resolve_all(view, selection.ids)
    ids = known or not_found  # unknown ids select nothing; no ids would select everything
    # Each filter is checked when it is made: one with whole ids is not made again.
    if (ids, excepted) == (selection.ids, selection.except_ids):
        return selection, not_found
    return selection.narrowed(ids=ids, except_ids=excepted), not_found
