"""Moves of a registry to another place: the marks that a registry has of them, and the comparison of both.

See docs/glossary.md#move.
"""

from typing import NamedTuple


class Marks(NamedTuple):
    """The marks of a move in a registry. Without a move all of them are None."""

    registry_id: str
    moved_to: str | None
    """The place where the registry is now: it is closed here."""
    moving_to: str | None
    """The place to which a move was begun, and is not finished."""
    arriving_from: str | None
    """The place from which the registry is arriving: it is not open here yet."""
    last_hash: str | None
    """The hash of the last audit event, by which a copy is known: it is that of the move which made the copy."""


class Compared(NamedTuple):
    """The outcome of comparing a copy with its registry, which were the same."""

    tables: dict[str, int]
    """The number of rows of each table."""
    rows: int
    """How many rows were compared, column by column: all rows of small tables, and random ones of large tables."""
