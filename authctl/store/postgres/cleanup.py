"""The upkeep of a cleanup in PostgreSQL: the server does it by itself.

See docs/glossary.md#retention.
"""

from authctl.store.nouns.cleanup import RemovalWriter
from authctl.store.postgres.reader import Writer


class CleanupWriter(Writer, RemovalWriter):
    """`CleanupChange` over PostgreSQL."""

    def begin_removal(self, due: int) -> None:
        """Prepare nothing: an index is written with its row."""

    def end_removal(self) -> None:
        """End nothing."""

    def extend_search_index(self, most: int | None = None) -> int:  # noqa: ARG002  # it has nothing to do
        return 0

    def return_free_space(self, most: int = 0) -> int:  # noqa: ARG002  # as above
        return 0  # autovacuum makes the room of removed rows free for new ones, and no file shrinks
