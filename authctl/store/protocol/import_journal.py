"""The journal of imports: the sessions that each one registered and changed, kept for some time to take the import back.

See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class RecordedImport(NamedTuple):
    """An import as it is recorded."""

    id: int
    at: int
    actor: str
    source: str | None
    detail: str
    """The files, rows and counts as JSON."""
    finished_at: int | None
    """None for an import that was interrupted, or still runs."""
    has_journal: bool
    """Whether its journal is still whole."""
    undo_begun_at: int | None
    undone_at: int | None
    undone_by: str | None
    note: str | None
    undo_counts: str | None
    """The counts of its undo as JSON."""
    has_written: bool = True
    """Whether it registered or changed any session, as far as its journal tells."""


class ImportJournalView(Protocol):
    """Reading imports and their journals."""

    def recorded_imports(self) -> list[RecordedImport]:
        """All imports that are recorded, the latest first."""

    def recorded_import(self, import_id: int) -> RecordedImport | None:
        """One import; None if it is not recorded."""

    def last_import_detail(self, source: str | None) -> str | None:
        """The record of the last import of a source, or without one, as JSON; None if there is none."""

    def latest_import(self, source: str | None) -> int | None:
        """The number of the latest import of a source, or without one, that registered or changed sessions and was not taken back."""


class ImportJournalChange(Protocol):
    """Writing imports and their journals."""

    def add_import(self, at: int, actor: str, source: str | None, detail: dict[str, Any]) -> int:
        """Add an import that begins; its number."""

    def finish_import(self, import_id: int | None, at: int, detail: dict[str, Any]) -> None:
        """Record the end of an import."""

    def open_batch(self, import_id: int, at: int) -> bool:
        """Begin the journal of this change: the imported sessions that it registers and changes. False if the import is being taken back."""

    def keep_before(self, numbers: Sequence[int]) -> None:
        """Journal the rows of sessions before the import changes them; nothing outside a batch."""

    def record_met(self, numbers: Sequence[int]) -> None:
        """Record that an import without a source has sessions of a source, too: no undo of an earlier import removes them."""

    def close_batch(self) -> None:
        """Complete the journal of this change."""

    def drop_journals(self, before: int, limit: int) -> int:
        """Remove the next rows of journals that are no longer used. Returns how many; 0 after the last.

        They are those of imports from before an instant, of those that were taken back, and of those that are not the latest of
        their source and changed sessions.
        """

    def remove_imports(self, before: int) -> int:
        """Remove imports from before an instant that have no journal. Returns how many."""
