"""The upkeep of a cleanup in SQLite: the search index, and pages of the file that nothing needs.

See docs/glossary.md#retention.
"""

from __future__ import annotations

from authctl.store.nouns.cleanup import RemovalWriter
from authctl.store.sqlite.reader import Writer

_FEW = 4_000
"""So many sessions are removed from the search index one by one, even if they are most of all."""

_CACHE_KIB = 65_536
"""The memory for pages of the file during a cleanup, in which each batch touches most pages of two indexes."""

_PAGES_AT_ONCE = 500
"""How many pages of the file one transaction returns to the disk, unless told otherwise (decision 105)."""


class CleanupWriter(Writer, RemovalWriter):
    """`CleanupChange` over SQLite."""

    def begin_removal(self, due: int) -> None:
        from authctl.store.sqlite import search_index

        self.limit_page_cache(_CACHE_KIB)
        remaining = self.one_number("SELECT count(*) FROM sessions") - due
        # decision 174: to delete an entry takes twice the time of a new one
        if due > max(_FEW, remaining // 2):
            search_index.renew(self.connection)

    def end_removal(self) -> None:
        from authctl.store.sqlite import search_index

        search_index.end_renewal(self.connection)
        self.limit_page_cache()

    def extend_search_index(self, most: int | None = None) -> int:
        from authctl.store.sqlite import search_index

        return search_index.extend(self.connection) if most is None else search_index.extend(self.connection, most)

    def return_free_space(self, most: int = _PAGES_AT_ONCE) -> int:
        # A tenth stays: pages that are given back and needed again the next day cost a file that shrinks and grows.
        free = self.one_number("PRAGMA freelist_count") - self.one_number("PRAGMA page_count") // 10
        pages = max(0, min(free, most))
        for _ in range(pages):
            self.write("PRAGMA incremental_vacuum(1)")  # `execute` takes one step, which is one page
        return pages
