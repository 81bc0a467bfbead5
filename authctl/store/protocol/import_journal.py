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


class Registered(NamedTuple):
    """A session that an import registered."""

    number: int
    id: str
    kept: str | None
    """Why an undo leaves it: `revoked`, `ended` or `changed` since; None if it can be removed."""


class RegisteredSessions(NamedTuple):
    """Some of the sessions that an import registered."""

    until: int | None
    """The highest number that was looked at; None after the last one."""
    sessions: Sequence[Registered]
    missing: int
    """How many were removed by cleanup."""


class Before(NamedTuple):
    """A session that an import changed, and its rows before."""

    number: int
    id: str | None
    kept: str | None
    """Why an undo leaves it: `revoked`, `ended` or `changed` since, or `removed` by cleanup; None if it can be restored."""
    is_end_inferred: bool
    """Whether it is ended now because a complete listing did not have it."""
    at: int
    """When the import changed it."""
    last_revocation: int
    """The highest number of a revocation at that time."""
    is_unrevoked: bool
    """Whether its row before names no closed revocation."""
    session: dict[str, Any]
    """Its row of `sessions` before, by column; empty if it cannot be restored."""
    imported: dict[str, Any]
    """Its row of `imported`."""
    imported_rows: Sequence[dict[str, Any]]
    """Its rows of `imported_rows`."""


class ImportJournalView(Protocol):
    """Reading imports and their journals."""

    def recorded_imports(self) -> list[RecordedImport]:
        """All imports that are recorded, the latest first."""

    def recorded_import(self, import_id: int) -> RecordedImport | None:
        """One import; None if it is not recorded."""

    def latest_import(self, source: str | None) -> int | None:
        """The number of the latest import of a source, or without one, that was not taken back."""

    def registered_by(self, import_id: int, after: int, limit: int) -> RegisteredSessions:
        """The next sessions after a number that an import registered, in the order of their numbers."""

    def journal_size(self, import_id: int) -> int:
        """How many sessions the journal of an import names; those that it registered and changed twice."""

    def changed_by(self, import_id: int, after: int, limit: int) -> list[Before]:
        """The next sessions after a number that an import changed and did not register, in the order of their numbers."""


class ImportJournalChange(Protocol):
    """Writing imports and their journals, and undoing them."""

    def add_import(self, at: int, actor: str, source: str | None, detail: dict[str, Any]) -> int:
        """Add an import that begins; its number."""

    def finish_import(self, import_id: int | None, at: int, detail: dict[str, Any]) -> None:
        """Record the end of an import."""

    def open_batch(self, import_id: int, at: int) -> bool:
        """Begin to journal what this change does to imported sessions. False if the import is being taken back."""

    def keep_before(self, numbers: Sequence[int]) -> None:
        """Journal the rows of sessions before the import changes them; nothing outside a batch."""

    def record_met(self, numbers: Sequence[int]) -> None:
        """Record that an import without a source has sessions of a source, too: no undo of an earlier import removes them."""

    def close_batch(self) -> None:
        """Complete the journal of this change."""

    def begin_undo(self, import_id: int, at: int, actor: str, note: str) -> None:
        """Record that the undo of an import begins, and remove its complete listings."""

    def remove_registered(self, import_id: int, until: int, numbers: Sequence[int]) -> None:
        """Remove sessions that an import registered, and its journal up to a number. No final is kept of them."""

    def restore_before(self, import_id: int, until: int, sessions: Sequence[Before], now: int) -> None:
        """Restore sessions as an import found them, and remove its journal of changes up to a number.

        Active ones that another complete listing lacks end at the first of these.
        """

    def restore_listings(self, import_id: int, limit: int) -> int:
        """Restore the next instants of listings, and finals without a source. Returns how many batches and finals; 0 after the last."""

    def record_undo(self, import_id: int, counts: dict[str, Any], undone_at: int | None = None) -> None:
        """Record the counts of an undo so far, and its end."""

    def drop_journals(self, before: int, limit: int) -> int:
        """Remove the next rows of journals that are no longer used. Returns how many; 0 after the last.

        They are those of imports from before an instant, of those that were taken back, and of those that are not the latest of
        their source and changed sessions.
        """

    def remove_imports(self, before: int) -> int:
        """Remove imports from before an instant that have no journal. Returns how many."""
