"""Moves -> records: the JSON that readers see, field by field."""

from typing import TYPE_CHECKING

from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.registry.moving import MoveOutcome
    from authctl.registry.unfinished_moves import GivenUp


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


def given_up(outcome: "GivenUp") -> Record:
    """The outcome of giving a move up, or of its dry run."""
    event = outcome.event
    return {
        "registry_id": outcome.registry_id,
        "in_force": outcome.in_force,
        "given_up": outcome.given_up,
        "was_closed": outcome.was_closed,
        "copy": str(outcome.copy),
        "seq": event.seq if event else None,
        "at": instant(event.at) if event else None,
        "actor": event.actor if event else None,
        "note": event.note if event else None,
        "dry_run": event is None,
    }
