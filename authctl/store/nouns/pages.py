"""Lists of sessions, page by page. Its modules are loaded when a list is read.

See docs/glossary.md#cursor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.store.nouns.reader import Reader

if TYPE_CHECKING:
    from authctl.model import Session, SessionFilter, Sort
    from authctl.store.nouns.walks import Walk
    from authctl.store.protocol.cursors import Cursor, MoveCounters, Page


class PagesReader(Reader):
    """`PagesView` over any database."""

    def page(
        self, selection: "SessionFilter", now: int, limit: int, after: "Cursor | None" = None, *, brief: bool = False
    ) -> "Page":
        from authctl.store.protocol.cursors import Cursor, Page

        numbers, is_many, since = (*self.search(selection), None) if after is None else after[1:]
        walk = self._walk(selection, now, numbers, since, brief=brief)
        # First a short walk: where many sessions match, it fills the page. Where few match, all of them are read and sorted.
        if walk.chosen.needs_filtering and numbers is None and not is_many:
            if page := walk.short_walk(limit, after):
                return page
            numbers = walk.numbers_if_few()
            is_many = numbers is None
            walk = self._walk(selection, now, numbers, since, brief=brief)
        sessions, last = walk.page(limit, after)
        return Page(sessions, last and Cursor(last.key, numbers, is_many, since))

    def cursor_of_session(self, selection: "SessionFilter", session: "Session") -> "Cursor | None":
        from authctl.store.protocol.cursors import Cursor
        from authctl.store.sql.orders import key_of_session

        key = key_of_session(selection, session)
        return None if key is None else Cursor(key, *self.search(selection))

    def cursor_of_key(self, selection: "SessionFilter", key: tuple[Any, ...]) -> "Cursor | None":
        from authctl.store.protocol.cursors import Cursor
        from authctl.store.sql.orders import is_key

        return Cursor(key, *self.search(selection)) if is_key(selection, key) else None

    def sorted_numbers(
        self,
        selection: "SessionFilter",
        now: int,
        sort: "Sort",
        limit: int | None = None,
        after: "Cursor | None" = None,
    ) -> Sequence[int]:
        from array import array

        from authctl.store.nouns import moved_sessions
        from authctl.store.sql import pages

        chosen = moved_sessions.without_moved(self.select(selection, now), after and after.since, sort)
        return array("q", (row[0] for row in self.all_rows(*pages.sorted_numbers(chosen, sort, limit, after))))

    def cursor_of_number(self, sort: "Sort", number: int) -> "Cursor | None":
        from authctl.store.protocol.cursors import Cursor
        from authctl.store.sql import pages

        row = self.one_row(pages.key_of_number(sort, self.dialect), {"number": number})
        return None if row is None else Cursor(row)

    def move_counters(self) -> "MoveCounters":
        from authctl.store.protocol.cursors import MoveCounters

        sql = (
            "SELECT (SELECT max(seen_at) FROM clock), (SELECT moves FROM registry),"
            f" (SELECT coalesce(max(number), 0) FROM sessions), {self.tables.open_revocation}, (SELECT max(id) FROM revocations)"
        )
        return MoveCounters(*(self.one_row(sql) or ()))

    def moved_sessions(
        self,
        selection: "SessionFilter",
        now: int,
        limit: int,
        after: "Cursor",
        sort: "Sort | None",
        *,
        brief: bool = False,
    ) -> "list[Session]":
        from authctl.store.nouns import moved_sessions

        walk = self._walk(selection, now, self.search(selection)[0], brief=brief)
        return moved_sessions.page(self, walk, limit, after, sort)

    def _walk(
        self,
        selection: "SessionFilter",
        now: int,
        numbers: Sequence[int] | None,
        since: "MoveCounters | None" = None,
        *,
        brief: bool,
    ) -> "Walk":
        from authctl.store.nouns.walks import Walk
        from authctl.store.sql.selections import select

        chosen = select(selection, now, self.continuity, self.profile_keys, numbers)
        if since is not None:
            from authctl.store.nouns import moved_sessions

            chosen = moved_sessions.without_moved(chosen, since)
        return Walk(self.connection, chosen, *self.form(brief=brief))
