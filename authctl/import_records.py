"""Imports and mappings to records: the objects of the JSON output, field by field in the documented order; blank is null."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from authctl.model.fields import IMPORT_COUNTS
from authctl.records import Record, instant, session

if TYPE_CHECKING:
    from authctl.registry.imports.file import ImportOutcome
    from authctl.registry.imports.history import PastImport
    from authctl.registry.imports.reading import NamedRow
    from authctl.registry.imports.undo import UndoOutcome
    from authctl.shipped_mappings import ShippedMapping


def imported(outcome: "ImportOutcome") -> Record:
    """The rows that an import read, and the sessions that it registered."""
    return {
        **asdict(outcome.rows),
        "registered": outcome.registered,
        "updated": outcome.updated,
        "unchanged": outcome.unchanged,
        "used_after_end": outcome.used_after_end,
        "returned": outcome.returned,
        "adopted": outcome.adopted,
        "not_listed": outcome.not_listed,
        "import_id": outcome.import_id,
        "source": outcome.source,
        "dry_run": outcome.dry_run,
        "not_listed_sessions": [session(s) for s in outcome.not_listed_sessions],
        "rejections": [{**_file_row(row), "reason": row.reason} for row in outcome.rejected_rows],
        "moved": [{**_file_row(row), "reason": row.reason} for row in outcome.moved_rows],
        "remarks": [{"remark": r.remark, "count": r.total, "rows": [*map(_file_row, r.rows)]} for r in outcome.remarks],
    }


def past_import(past: "PastImport") -> Record:
    """An import that is recorded, and whether it can be undone."""
    recorded, detail = past.recorded, past.detail
    is_done = recorded.finished_at is not None
    return {
        "id": recorded.id,
        "at": instant(recorded.at),
        "finished_at": instant(recorded.finished_at),
        "actor": recorded.actor,
        "source": recorded.source,
        "file": detail.get("file"),
        "files": detail.get("files", 1),
        "rows": detail.get("rows"),
        "keys": detail.get("keys"),
        "taken_at": detail.get("taken_at"),
        "complete": detail.get("complete", False),
        "users": detail.get("users", []),
        **{name: detail.get(name, 0) if is_done else None for name in IMPORT_COUNTS},
        "undone_at": instant(recorded.undone_at),
        "undone_by": recorded.undone_by,
        "note": recorded.note,
        "undoable": past.obstacle is None,
        "obstacle": past.obstacle and past.obstacle.reason,
        "undo": past.undo_counts or None,
    }


def undo(outcome: "UndoOutcome") -> Record:
    """The sessions that an undo removed and restored."""
    return {
        "id": outcome.import_id,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "source": outcome.source,
        "removed": outcome.removed,
        "restored": outcome.restored,
        "taken_back": outcome.taken_back,
        "kept": [
            {"reason": group.reason, "count": group.total, "sessions": list(group.sessions)} for group in outcome.kept
        ],
        "dry_run": outcome.dry_run,
    }


def mapping(mapping_: "ShippedMapping") -> Record:
    """A shipped mapping."""
    return {
        "name": mapping_.name,
        "system": mapping_.system,
        "rows": mapping_.rows,
        "complete": mapping_.complete_for is not None,
        "complete_for": mapping_.complete_for,
        "title": mapping_.title,
    }


def shown_mapping(mapping_: "ShippedMapping") -> Record:
    """A shipped mapping with the head of its file, and its text."""
    head = mapping_.head
    described = {word: head[word] for word in ("Export", "Result", "Cannot know", "Reference")}
    return {
        **mapping(mapping_),
        **{word.lower().replace(" ", "_"): text for word, text in described.items()},
        "text": mapping_.text,
    }


def _file_row(row: "NamedRow") -> Record:
    return {"line": row.line, "row": row.row, "file": row.file}
