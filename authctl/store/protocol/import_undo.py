"""The undo of an import: its journal is read, and its sessions are removed and restored.

See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    is_unrevoked: bool
    """Whether its row before names no closed revocation."""
    session: dict[str, Any]
    """Its row of `sessions` before, by column; empty if it cannot be restored."""
    imported: dict[str, Any]
    """Its row of `imported`."""
    imported_rows: Sequence[dict[str, Any]]
    """Its rows of `imported_rows`."""


class ImportUndoView(Protocol):
    """Reading the sessions that the undo of an import has to change."""

    def registered_by(self, import_id: int, after: int, limit: int) -> RegisteredSessions:
        """The next sessions after a number that an import registered, in the order of their numbers."""

    def journal_size(self, import_id: int) -> int:
        """How many sessions the journal of an import names; those that it registered and changed twice."""

    def changed_by(self, import_id: int, after: int, limit: int) -> list[Before]:
        """The next sessions after a number that an import changed and did not register, in the order of their numbers."""


class ImportUndoChange(Protocol):
    """Undoing an import."""

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
