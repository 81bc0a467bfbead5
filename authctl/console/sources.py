"""The sources of the console's lists: each reads a page of records from a registry, and gives the command that prints the same.

A page is read in a thread, with a registry that no other thread uses meanwhile. Knows nothing of the screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from authctl import delivery_records, names, records, render
from authctl.console.commands import operands, options
from authctl.console.paging import Page, Row
from authctl.errors import NotFound
from authctl.filter_texts import read_event_filter
from authctl.model import Status
from authctl.model.deliveries import DeliveryFilter
from authctl.names import fold
from authctl.screens.tables import Layout, layout

if TYPE_CHECKING:
    from authctl.console.filters import Filter
    from authctl.model import AuditEvent, Group, Session
    from authctl.records import Record
    from authctl.registry import Registry

PAGE = 200
_USER_PAGE = 50
_REST = 1.0
"""A whole list is read again after so many times as long as its reading took: the machine is not busy with it all the time."""

_SESSIONS = layout(
    ("username", "application", "device", "platform", "status", "last_used_at"),
    "username status application device | last_used_at | platform",
)
_REVOKED = layout(
    ("username", "application", "device", "revoked_at", "revoked_by", "note"),
    "username application device | note revoked_at | revoked_by",
)


class Source(Protocol):
    """A list of the console."""

    layout: Layout
    nothing: str
    """The message for an empty list."""
    is_behind: bool
    """Whether a change since then has not been read yet."""

    def page(self, registry: Registry, place: Any) -> Page:
        """The page that begins at a place; None is the beginning of the list."""

    def count(self, registry: Registry) -> int | None:
        """The number of rows of the whole list; None if it is not known before the list was read to its end."""

    def words(self) -> list[str]:
        """The words of the command that prints this list."""

    def show_words(self, row: Row) -> list[str]:
        """The words of the command that shows one of its rows."""


def _session(registry: Registry, session: Session) -> Record:
    """A session as `sessions show` has it: one that is over has the messages that receivers got about it."""
    about = () if session.status is Status.ACTIVE else registry.deliveries.of_session(session.number)
    return records.shown_session(session, [delivery_records.of_session(delivery) for delivery in about])


class Sessions:
    """The sessions that a filter selects, by the cursors of the registry."""

    nothing = render.SESSIONS.nothing
    is_behind = False

    def __init__(self, wanted: Filter) -> None:
        self._words = wanted.list_words()
        self._selection = wanted.selection()
        self.layout = _REVOKED if self._selection.statuses == (Status.REVOKED,) else _SESSIONS

    def page(self, registry: Registry, place: Any) -> Page:
        """The page after a cursor."""
        page = registry.lists.page(self._selection, after=place, limit=PAGE)
        return Page([Row(session.id, _session(registry, session)) for session in page.sessions], page.next)

    def count(self, registry: Registry) -> int:
        """The number of sessions that match."""
        return registry.count(self._selection)

    def words(self) -> list[str]:
        """`authctl sessions list`."""
        return self._words

    def show_words(self, row: Row) -> list[str]:
        """`authctl sessions show`."""
        return ["sessions", "show", row.key]


class _Whole:
    """A list that the registry gives as a whole: it is read at once, and its pages are cut from it."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._read_at = float("-inf")
        self._took = 0.0
        self.is_behind = False

    def page(self, registry: Registry, place: Any) -> Page:
        """The page from an index on."""
        begin = place or 0
        started = monotonic()
        if place is None:
            self.is_behind = started - self._read_at <= _REST * self._took
        if place is None and not self.is_behind:
            self._items = self._read(registry)
            self._read_at = monotonic()
            self._took = self._read_at - started
        rows = list(self._rows(registry, self._items[begin : begin + PAGE]))
        return Page(rows, begin + PAGE if begin + PAGE < len(self._items) else None)

    def count(self, _registry: Registry) -> int | None:
        """The number of rows, once the list was read."""
        return len(self._items) if self._took else None

    def _read(self, registry: Registry) -> list[Any]:
        raise NotImplementedError

    def _rows(self, registry: Registry, items: Sequence[Any]) -> Iterator[Row]:
        raise NotImplementedError


class Groups(_Whole):
    """The sessions that a filter selects, counted by user, application or platform."""

    nothing = render.GROUPS.nothing
    layout = layout(render.GROUPS.drawn, render.GROUPS.keep)

    def __init__(self, wanted: Filter) -> None:
        super().__init__()
        self._filter = wanted
        self._words = wanted.list_words()
        self._selection = wanted.selection()

    def _read(self, registry: Registry) -> list[Group]:
        assert self._filter.grouping is not None
        return registry.lists.groups(self._filter.grouping, self._selection)

    def _rows(self, _registry: Registry, items: Sequence[Group]) -> Iterator[Row]:
        return (Row(group.group or "", records.group(group)) for group in items)

    def words(self) -> list[str]:
        """`authctl sessions list --group-by`."""
        return self._words

    def show_words(self, row: Row) -> list[str]:
        """`authctl sessions list` of the group, or the command of all groups where no filter selects this one."""
        return self._filter.opened(row.key).list_words() if self._filter.takes(row.key) else self._words


class Users(_Whole):
    """The users, most recently used first, or those whose names begin with a text; each page is read anew when it is looked at."""

    nothing = render.USERS.nothing
    layout = layout(render.USERS.drawn, render.USERS.keep)

    def __init__(self, beginning: str = "", *, only_disabled: bool = False) -> None:
        super().__init__()
        self._beginning = beginning.strip()
        self._only_disabled = only_disabled

    def _read(self, registry: Registry) -> list[str]:
        if not self._beginning:
            return list(registry.users.keys(disabled=self._only_disabled))
        found = registry.completions.users(self._beginning)
        # A user without sessions is found by the whole name.
        return list({fold(name): name for name in [*found, self._beginning]}.values())

    def _rows(self, registry: Registry, items: Sequence[str]) -> Iterator[Row]:
        for name in items:
            with suppress(NotFound):
                record = records.user(registry.users.get(name))
                if record["disabled"] or not self._only_disabled:
                    yield Row(fold(name), record)

    def words(self) -> list[str]:
        """`authctl users list`; a beginning is completed by the shell."""
        return ["users", "list", *(["--disabled"] if self._only_disabled else [])]

    def show_words(self, row: Row) -> list[str]:
        """`authctl users show`."""
        return ["users", "show", *operands([row.record["username"]])]


class Events:
    """The audit events that a search selects, newest first. Events never change: those that were read are kept."""

    nothing = render.EVENTS.nothing
    is_behind = False
    layout = layout(render.EVENTS.drawn, render.EVENTS.keep)

    def __init__(self, search: str = "") -> None:
        self._search = search if fold(search) else None
        self._read: list[Row] = []
        self._rest: Iterator[AuditEvent] = iter(())

    def page(self, registry: Registry, place: Any) -> Page:
        """The page from an index on; the beginning reads the log anew."""
        begin = place or 0
        if place is None:
            self._rest = registry.audit.events(read_event_filter({"search": self._search}, registry.now()))
            self._read = []
        missing = begin + PAGE - len(self._read)
        self._read += [Row(str(event.seq), records.event(event)) for event in islice(self._rest, max(0, missing))]
        rows = self._read[begin : begin + PAGE]
        return Page(rows, begin + PAGE if len(rows) == PAGE else None)

    def count(self, _registry: Registry) -> None:
        """Unknown: the log is read as it is looked at."""

    def words(self) -> list[str]:
        """`authctl audit list`."""
        return ["audit", "list", *options({"--search": self._search})]

    def show_words(self, row: Row) -> list[str]:
        """`authctl audit show`."""
        return ["audit", "show", row.key]


class Deliveries:
    """The deliveries to receivers in one state, or in any; the newest decision first."""

    nothing = render.DELIVERIES.nothing
    is_behind = False
    layout = layout(render.DELIVERIES.drawn, render.DELIVERIES.keep)

    def __init__(self, state: str | None = None, username: str = "") -> None:
        self._state = state
        self._username = username.strip() or None
        self._selection = DeliveryFilter(state=state, username=self._username and names.username(self._username))

    def page(self, registry: Registry, place: Any) -> Page:
        """The page after the place of a delivery."""
        read = registry.deliveries.page(self._selection, place, PAGE)
        rows = [Row(one.id, delivery_records.delivery(one)) for one in read]
        return Page(rows, (read[-1].announcement, read[-1].number) if len(read) == PAGE else None)

    def count(self, _registry: Registry) -> None:
        """Unknown: they are read as they are looked at."""

    def words(self) -> list[str]:
        """`authctl deliveries list`."""
        return ["deliveries", "list", *options({"--state": self._state, "--user": self._username})]

    def show_words(self, row: Row) -> list[str]:
        """`authctl deliveries show`."""
        return ["deliveries", "show", row.key]


class ContinuityEvents(_Whole):
    """The continuity events that are running."""

    nothing = render.CONTINUITY.nothing
    layout = layout(render.CONTINUITY.drawn, render.CONTINUITY.keep)

    def _read(self, registry: Registry) -> list[Record]:
        return list(map(records.continuity, registry.continuity.status()))

    def _rows(self, _registry: Registry, items: Sequence[Record]) -> Iterator[Row]:
        return (Row(item["profile"], item) for item in items)

    def words(self) -> list[str]:
        """`authctl continuity status`."""
        return ["continuity", "status"]

    def show_words(self, _row: Row) -> list[str]:
        """`authctl continuity status`: no command shows one event by itself."""
        return self.words()
