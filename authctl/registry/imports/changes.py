"""The changes that the rows of some keys of an import make, before they are written.

See docs/glossary.md#plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields

from authctl.store.protocol.imports import Imported, PlainSession, StagedRow


@dataclass(slots=True)
class Plan:
    """The changes that the rows of some keys make."""

    new: list[Imported | PlainSession] = field(default_factory=list)
    changed: list[tuple[int, Imported]] = field(default_factory=list)
    unchanged: int = 0
    ahead: set[tuple[bytes, int]] = field(default_factory=set)
    """Rows ahead of the clock that change nothing, by key and instant: they also change nothing later, when the clock has reached them."""
    moved: list[tuple[int, str]] = field(default_factory=list)
    """Lines whose key is that of another user's session, each with its message."""
    listed: list[tuple[int, int]] = field(default_factory=list)
    """Unchanged sessions by their numbers, and when a listing was taken that has them."""
    rows: list[tuple[int, Sequence[StagedRow]]] = field(default_factory=list)
    """Unchanged sessions by their numbers, and the rows to be stored of them."""
    used_after_end: int = 0
    """How many sessions were used in their source after they had ended."""
    decided: list[int | None] = field(default_factory=list)
    """The sessions that a decision of the past revokes or ends, a known one by its number."""
    late_uses: list[tuple[int, int]] = field(default_factory=list)
    """Unchanged sessions by their numbers, and the latest of these uses."""
    returned: int = 0
    """How many sessions had ended because a listing did not have them, and are there again."""
    lost: list[tuple[int, Imported]] = field(default_factory=list)
    """Those of the changed sessions that have no row in this import: others take their rows."""
    met: list[int] = field(default_factory=list)
    """The numbers of all known sessions that rows belong to."""

    adopted: list[int] = field(default_factory=list)
    """The numbers of sessions without a source that get the source of the import."""
    adopted_finals: set[bytes] = field(default_factory=set)
    """The keys of finals without a source that get it."""

    def copy(self) -> Plan:
        """A copy of the plan with lists of its own, to be continued."""
        values = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        return Plan(**{name: copy(value) for name, value in values.items()})
