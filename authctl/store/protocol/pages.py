"""Lists of sessions: pages, orders, and the sessions that moved while a list was read.

See docs/glossary.md#walk and docs/glossary.md#cursor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from authctl.model import Session, SessionFilter, Sort


class MoveCounters(NamedTuple):
    """The counters of a registry at one instant. Compared with later values, they show which sessions moved in their lists."""

    recorded_time: int
    moves: int
    """The number of changes that moved sessions. Below zero, every session counts as moved."""
    last_number: int
    """The highest number of a session."""
    open_revocation: int
    last_revocation: int


class Cursor(NamedTuple):
    """The place after the last session of a page, where the next page begins."""

    key: tuple[Any, ...]
    numbers: Sequence[int] | None = None
    """The numbers of all sessions of the list, if the search index gave them."""
    is_many: bool = False
    """Whether the search index was asked, and gave too many."""
    since: MoveCounters | None = None
    """With counters: sessions that moved since, or were registered since, are left out."""


class Page(NamedTuple):
    """Some sessions in the order of their list, and the cursor of the next page; None after the last one."""

    sessions: "list[Session]"
    after: Cursor | None


class PagesView(Protocol):
    """Reading lists of sessions, page by page."""

    def page(self, selection: "SessionFilter", now: int, limit: int, after: Cursor | None = None) -> Page:
        """The next `limit` sessions of a selection.

        The order is: most recent use first; of expired sessions alone, most recent end first; of revoked sessions alone, most
        recent revocation first. A session that does not change meanwhile is on exactly one page. If the cursor has counters,
        sessions that moved or were registered since are left out.
        """

    def cursor_of_session(self, selection: "SessionFilter", session: "Session") -> Cursor | None:
        """The cursor after a session in the order of `page`; None if its status has no place in that order."""

    def cursor_of_key(self, selection: "SessionFilter", key: tuple[Any, ...]) -> Cursor | None:
        """The cursor with that key; None if the selection's order has no such keys."""

    def sorted_numbers(
        self, selection: "SessionFilter", now: int, sort: "Sort", limit: int | None = None, after: Cursor | None = None
    ) -> Sequence[int]:
        """The numbers of the selected sessions in a chosen order; equal ones by number. All of them, or up to `limit`.

        With a cursor, those after it, as in `page`.
        """

    def cursor_of_number(self, sort: "Sort", number: int) -> Cursor | None:
        """The cursor after the session with that number in the order of `sorted_numbers`; None if there is no such session."""

    def move_counters(self) -> MoveCounters:
        """The present counters of the registry, for later pages to compare with."""

    def moved_sessions(
        self, selection: "SessionFilter", now: int, limit: int, after: Cursor, sort: "Sort | None"
    ) -> "list[Session]":
        """Up to `limit` selected sessions that moved since the counters of the cursor, by number, above the number in the cursor.

        A session moved if a value changed by which its list is ordered: the selection's own order, or `sort`. Sessions that
        were registered since then are not among them.
        """
