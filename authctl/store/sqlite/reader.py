"""A snapshot, and a change, in SQLite: its words, its search index, and its cache of pages."""

from collections.abc import Sequence

from authctl.store.nouns.reader import Reader as AnyReader
from authctl.store.nouns.reader import Writer as AnyWriter
from authctl.store.sqlite.dialect import SQLITE
from authctl.store.sqlite.library import sqlite3

_USUAL_CACHE_KIB = 2_000

SEARCH_BATCH = 256
"""The search index catches up at each number of a session or a revocation that is a multiple of this one."""


class Reader(AnyReader):
    """The open transaction of a connection, to read from."""

    dialect = SQLITE
    connection: sqlite3.Connection

    def numbers_containing(self, text: str) -> Sequence[int] | None:
        from authctl.store.sqlite import search_index

        return search_index.find(self.connection, text)

    def numbers_with_trigram(self, trigram: str, limit: int) -> list[int]:
        from authctl.store.sqlite import search_index

        return search_index.having_trigram(self.connection, trigram, limit)

    def newest_users(self, limit: int) -> list[str]:
        from authctl.store.sqlite import search_index

        return search_index.users_not_indexed(self.connection, limit)


class Writer(Reader, AnyWriter):
    """The open transaction of a connection, to write in."""

    def extend_search_at(self, number: int) -> None:
        if number % SEARCH_BATCH == 0:
            self.extend_search()

    def add_note_to_search(self, revocation_id: int, note_key: str) -> None:
        from authctl.store.sqlite import search_index

        search_index.add_note(self.connection, revocation_id, note_key)

    def extend_search(self) -> None:
        from authctl.store.sqlite import search_index

        search_index.extend(self.connection)

    def remove_from_search(self, numbers: Sequence[int]) -> None:
        from authctl.store.sqlite import search_index

        # The index keeps no text (decision 92), so the old text has to be removed before it changes.
        search_index.remove_sessions(self.connection, numbers)

    def remove_notes_from_search(self, condition: str) -> None:
        from authctl.store.sqlite import search_index

        search_index.remove_notes(self.connection, condition)

    def return_to_search(self, numbers: Sequence[int]) -> None:
        from authctl.store.sqlite import search_index

        search_index.add_sessions(self.connection, numbers)

    def next_numbers(self, count: int) -> int:  # noqa: ARG002  # SQLite counts the rows itself
        return self.one_number("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'") + 1

    def limit_page_cache(self, kib: int | None = None) -> None:
        # decision 202: with a small cache, an import reads pages of the indexes again and again
        self.write(f"PRAGMA cache_size = -{kib or _USUAL_CACHE_KIB}")
