"""Moves -> records: the JSON that readers see, field by field."""

from typing import TYPE_CHECKING

from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.registry.moving import MoveOutcome


def move(outcome: "MoveOutcome") -> Record:
    """The outcome of a move of the registry, or of its dry run."""
    return {
        "registry_id": outcome.registry_id,
        "moved_from": outcome.moved_from,
        "moved_to": outcome.moved_to,
        "seq": outcome.seq,
        "hash": outcome.hash,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "active": outcome.active,
        "tables": outcome.tables,
        "compared": outcome.compared,
        "was_begun": outcome.was_begun,
        "dry_run": outcome.dry_run,
    }
