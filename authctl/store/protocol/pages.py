"""Lists of sessions: pages, orders, and the sessions that moved while a list was read.

See docs/glossary.md#walk and docs/glossary.md#cursor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from authctl.store.protocol.cursors import Cursor, MoveCounters, Page

if TYPE_CHECKING:
    from authctl.model import Session, SessionFilter, Sort


class PagesView(Protocol):
    """Reading lists of sessions, page by page."""

    def page(
        self, selection: "SessionFilter", now: int, limit: int, after: Cursor | None = None, *, brief: bool = False
    ) -> Page:
        """The next `limit` sessions of a selection; with `brief`, each of them is a ListedSession, which has fewer fields.

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
        self,
        selection: "SessionFilter",
        now: int,
        limit: int,
        after: Cursor,
        sort: "Sort | None",
        *,
        brief: bool = False,
    ) -> "list[Session]":
        """Up to `limit` selected sessions that moved since the counters of the cursor, by number, above the number in the cursor.

        `brief` is as in `page`.

        A session moved if a value changed by which its list is ordered: the selection's own order, or `sort`. Sessions that
        were registered since then are not among them.
        """
