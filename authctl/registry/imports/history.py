"""Past imports: the record of each, and whether it can be taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.errors import NotFound, Refused
from authctl.names import fold, quoted
from authctl.registry.journals import UNDOABLE_FOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.store.protocol import View
    from authctl.store.protocol.import_journal import RecordedImport


class Obstacle(NamedTuple):
    """The reason why an import cannot be taken back, and the next command to type."""

    reason: str
    hint: str


class PastImport(NamedTuple):
    """An import that is recorded."""

    recorded: RecordedImport
    obstacle: Obstacle | None
    """Why it cannot be taken back; None if it can."""

    @property
    def detail(self) -> dict[str, Any]:
        """The files, rows and counts of it."""
        return _parsed(self.recorded.detail)

    @property
    def undo_counts(self) -> dict[str, Any]:
        """The counts of its undo; empty if there was none."""
        return _parsed(self.recorded.undo_counts)


def past_imports(view: View, now: int) -> Sequence[PastImport]:
    """All imports that are recorded, the latest first."""
    latest: dict[str | None, int] = {}
    imports = view.recorded_imports()
    for recorded in imports:
        if recorded.undone_at is None and recorded.has_written:
            latest.setdefault(_source_key(recorded), recorded.id)
    restored_at = view.restored_at()
    return [
        PastImport(recorded, _obstacle(recorded, latest.get(_source_key(recorded)), restored_at, now))
        for recorded in imports
    ]


def past_import(view: View, import_id: int, now: int) -> PastImport:
    """One import. Raises NotFound."""
    recorded = view.recorded_import(import_id)
    if recorded is None:
        raise NotFound(f"no import {import_id}", "to see all imports: authctl imports list")
    latest = view.latest_import(recorded.source)
    return PastImport(recorded, _obstacle(recorded, latest, view.restored_at(), now))


def check_undoable(past: PastImport) -> None:
    """Raise Refused where an import cannot be taken back."""
    if past.obstacle is not None:
        raise Refused(past.obstacle.reason, past.obstacle.hint)


def _obstacle(recorded: RecordedImport, latest: int | None, restored_at: int | None, now: int) -> Obstacle | None:
    number, show = recorded.id, f"to see it: authctl imports show {recorded.id}"
    if recorded.undone_at is not None:
        return Obstacle(f"import {number} was undone before", show)
    # decision 152: the journal is about the registry that was replaced
    if restored_at is not None and restored_at >= recorded.at:
        return Obstacle(f"import {number} began before the registry was restored, or its audit log was accepted", show)
    if now - recorded.at > UNDOABLE_FOR:
        return Obstacle(f"import {number} is older than 30 days", show)
    # decision 201: a nightly import of the same file, which wrote nothing, must not keep the one before it from an undo
    if latest not in (None, number) and recorded.has_written and recorded.undo_begun_at is None:
        source = "also has no source" if recorded.source is None else f"has the same source, {quoted(recorded.source)}"
        return Obstacle(
            f"import {latest} is later than import {number} and {source}", f"first: authctl imports undo {latest}"
        )
    if not recorded.has_journal:
        return Obstacle(
            f"import {number} cannot be undone any more: it changed sessions, and a later import began", show
        )
    return None


def _source_key(recorded: RecordedImport) -> str | None:
    return None if recorded.source is None else fold(recorded.source)


def _parsed(text: str | None) -> dict[str, Any]:
    """The JSON object of a text; empty if the text is no JSON object."""
    try:
        parsed = json.loads(text or "{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
