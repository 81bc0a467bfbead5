"""Finding, listing and ending sessions."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound
from authctl.instants import MINUTE
from authctl.model import Session, SessionFilter, Sort, Status
from authctl.registry.core import Core
from authctl.store.values import Cursor, Page

if TYPE_CHECKING:
    from authctl.model import Group, Grouping
    from authctl.registry.claims import TokenReader
    from authctl.store.base import View

_FIRST_BATCH = 64
_BATCH = 1_000
_CANDIDATES = 10
_OVERTAKEN = MINUTE
"""How much earlier than a list began a use may have been judged that is written while it streams."""


class EndOutcome(NamedTuple):
    """What `end` found and did."""

    ended: int
    already_ended: int
    not_found: tuple[str, ...]
    sessions: tuple[Session, ...]


def resolve(view: "View", text: str) -> str | None:
    """The whole id that a text abbreviates; None when no session has it.

    Raises InvalidInput, naming the candidates, when it is shorter than six characters or not unique.
    """
    prefix = names.id_prefix(text)
    if prefix is None:
        return None
    found = view.ids_beginning(prefix, _CANDIDATES + 1)
    short = len(prefix) < names.SHORTEST_PREFIX
    if short or len(found) > 1:
        listed = ", ".join(found[:_CANDIDATES]) + (", …" if len(found) > _CANDIDATES else "")
        what = "needs six characters or more" if short else "is not unique"
        raise InvalidInput(f"the id {names.quoted(text)} {what}", f"it could be: {listed}" if found else None)
    return found[0] if found else None


def resolve_all(view: "View", texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The whole ids that the texts abbreviate, each once, and the texts that are unknown."""
    found: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for text in texts:
        session_id = resolve(view, text)
        if session_id is None:
            unknown[names.without_tokens(text)] = None
        else:
            found[session_id] = None
    return tuple(found), tuple(unknown)


def show(core: Core, session_id: str) -> Session:
    """See `Registry.session`."""
    with core.look() as (view, now):
        return _found(view, session_id, now)


def _found(view: "View", session_id: str, now: int) -> Session:
    whole = resolve(view, session_id)
    session = whole and view.session(whole, now)
    if not session:
        raise NotFound(f"no session {names.quoted(session_id)}", "to find it: authctl sessions list --search TEXT")
    return session


def listed(
    core: Core, selection: SessionFilter, sort: str | None, after: str | None, limit: int | None
) -> Iterator[Session]:
    """See `Registry.sessions`."""
    order = None if sort is None else Sort.parse(sort)
    if order is not None:
        found = _sorted(core, selection, order, after, limit)
    elif after is not None:
        found = _after(core, selection, after)
    else:
        found = _stream(core, selection)
    return islice(found, limit)


def _after(core: Core, selection: SessionFilter, after: str) -> Iterator[Session]:
    with core.look() as (view, now):
        selection = with_whole_ids(view, selection)[0]
        place = view.place(selection, _found(view, after, now))
    if place is None:
        raise _not_listed(after)
    yield from _pages(core, selection, now, place)


def _sorted(
    core: Core, selection: SessionFilter, sort: Sort, after: str | None, limit: int | None
) -> Iterator[Session]:
    with core.look() as (view, now):
        selection = with_whole_ids(view, selection)[0]
        numbers = view.in_order(selection, now, sort, limit if after is None else None)
        if after is not None:
            number = _found(view, after, now).number
            if number not in numbers:
                raise _not_listed(after)
            numbers = numbers[numbers.index(number) + 1 :]
    for start in range(0, len(numbers), _BATCH):
        with core.store.view() as view:
            batch = view.numbered(numbers[start : start + _BATCH], now)
        yield from batch


def _not_listed(session_id: str) -> InvalidInput:
    return InvalidInput(f"session {names.quoted(session_id)} is not in this list", "go on after one that is")


def _stream(core: Core, selection: SessionFilter) -> Iterator[Session]:
    with core.look() as (view, now):
        selection = with_whole_ids(view, selection)[0]
    listed = _Numbers()
    for session in _pages(core, selection, now):
        listed.add(session.number)
        yield session
    if len(listed) < _BATCH or selection.statuses in ((Status.EXPIRED,), (Status.REVOKED,)):
        return
    recently = max(now - _OVERTAKEN, selection.used_since or 0)
    before = -1
    while before < len(listed):
        before = len(listed)
        for session in _pages(core, selection.narrowed(used_since=recently), now):
            if session.number not in listed:
                listed.add(session.number)
                yield session


def _pages(core: Core, selection: SessionFilter, now: int, after: Cursor | None = None) -> Iterator[Session]:
    def read(size: int, after: Cursor | None) -> Page:
        with core.store.view() as view:
            return view.page(selection, now, size, after)

    return _walked(read, after)


def pages(view: "View", selection: SessionFilter, now: int) -> Iterator[Session]:
    """Every selected session of one snapshot."""
    return _walked(lambda size, after: view.page(selection, now, size, after))


def _walked(read: Callable[[int, Cursor | None], Page], after: Cursor | None = None) -> Iterator[Session]:
    """The sessions of one page after the other; the first is a short one, since it may be all that is wanted."""
    page = read(_FIRST_BATCH, after)
    yield from page.sessions
    while page.after is not None:
        page = read(_BATCH, page.after)
        yield from page.sessions


class _Numbers:
    """A set of session numbers, one bit each; chunk by chunk, so that the first costs no more for being a large one."""

    _CHUNK = 512

    def __init__(self) -> None:
        self._chunks: defaultdict[int, bytearray] = defaultdict(partial(bytearray, self._CHUNK))
        self._count = 0

    def add(self, number: int) -> None:
        byte, bit = divmod(number, 8)
        self._chunks[byte // self._CHUNK][byte % self._CHUNK] |= 1 << bit
        self._count += 1

    def __contains__(self, number: int) -> bool:
        byte, bit = divmod(number, 8)
        chunk = self._chunks.get(byte // self._CHUNK)
        return chunk is not None and bool(chunk[byte % self._CHUNK] >> bit & 1)

    def __len__(self) -> int:
        return self._count


def count(core: Core, selection: SessionFilter) -> int:
    """See `Registry.count`."""
    with core.look() as (view, now):
        return view.count(with_whole_ids(view, selection)[0], now)


def groups(core: Core, selection: SessionFilter, by: "Grouping") -> "list[Group]":
    """See `Registry.groups`."""
    with core.look() as (view, now):
        return view.groups(with_whole_ids(view, selection)[0], by, now)


def with_whole_ids(view: "View", selection: SessionFilter) -> tuple[SessionFilter, tuple[str, ...]]:
    """The filter with whole ids in place of abbreviated ones, and the ids that no session has.

    Raises NotFound for an unknown exception: sparing nobody by a typing error would end the wrong session.
    """
    excepted, unknown = resolve_all(view, selection.except_ids)
    if unknown:
        raise NotFound(f"no session {names.quoted(unknown[0])} to except")
    found, not_found = resolve_all(view, selection.ids)
    ids = found or not_found  # unknown ids select nothing; no ids would select everything
    return selection.narrowed(ids=ids, except_ids=excepted), not_found


def end(core: Core, reader: "TokenReader", targets: Sequence[str], actor: str | None) -> EndOutcome:
    """See `Registry.end`."""
    ended: list[Session] = []
    already: list[Session] = []
    not_found: list[str] = []
    with core.change(actor) as unit:
        for target in targets:
            session = _target(unit.tx, reader, target, unit.now)
            if session is None:
                not_found.append(names.without_tokens(target))
            elif session.status_at(unit.now) is not Status.ACTIVE:
                unit.tx.saw(unit.now)  # it stays over, should the clock be wrong
                already.append(session)
            else:
                unit.tx.end_sessions([session.number], unit.now, "signed_out")
                detail = {"username_key": names.fold(session.username), "reason": "signed_out"}
                unit.record("session.end", subject=session.id, detail=detail)
                found = unit.tx.session(session.id, unit.now)
                ended += [found] if found else []
    return EndOutcome(len(ended), len(already), tuple(not_found), (*ended, *already))


def _target(view: "View", reader: "TokenReader", target: str, now: int) -> Session | None:
    from authctl.tokens import looks_like_token

    if looks_like_token(target):
        return reader.owner(view, target, now)
    whole = resolve(view, target)
    return view.session(whole, now) if whole else None
