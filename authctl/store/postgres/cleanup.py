"""The upkeep of a cleanup in PostgreSQL: the server does it by itself.

See docs/glossary.md#retention.
"""

from authctl.store.nouns.cleanup import RemovalWriter
from authctl.store.postgres.reader import Writer

_PLANS = "name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin')"
_PLAN_BY_INDEX = f"SELECT set_config(name, 'off', true) FROM pg_settings WHERE {_PLANS}"
_PLAN_AS_USUAL = f"SELECT set_config(name, reset_val, true) FROM pg_settings WHERE {_PLANS}"


class CleanupWriter(Writer, RemovalWriter):
    """`CleanupChange` over PostgreSQL."""

    def begin_removal(self, due: int) -> None:
        """Prepare nothing: an index is written with its row."""

    def end_removal(self) -> None:
        """End nothing."""

    def remove_unnamed_revocations(self) -> int:
        # decision 376: by one look into an index for each revocation. The server would read the index of all sessions instead, behind the gate
        self.write(_PLAN_BY_INDEX)
        removed = super().remove_unnamed_revocations()
        self.write(_PLAN_AS_USUAL)
        return removed

    def extend_search_index(self, most: int | None = None) -> int:  # noqa: ARG002  # it has nothing to do
        return 0

    def return_free_space(self, most: int = 0) -> int:  # noqa: ARG002  # as above
        return 0  # autovacuum makes the room of removed rows free for new ones, and no file shrinks
