"""The values of a walk through a list: its cursor, its pages, and the counters of the moves since it began.

A module of its own, since every list loads it, and no list loads the protocols.

See docs/glossary.md#walk and docs/glossary.md#cursor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from authctl.model import Session


class MoveCounters(NamedTuple):
    """The counters of a registry at one instant. Compared with later values, they show which sessions moved in their lists."""

    recorded_time: int
    moves: int
    """The number of changes that moved sessions. Below zero, every session counts as moved."""
    last_number: int
    """The highest number of a session."""
    open_revocation: int
    last_revocation: int


class Cursor(NamedTuple):
    """The place after the last session of a page, where the next page begins."""

    key: tuple[Any, ...]
    numbers: Sequence[int] | None = None
    """The numbers of all sessions of the list, if the search index gave them."""
    is_many: bool = False
    """Whether the search index was asked, and gave too many."""
    since: MoveCounters | None = None
    """With counters: sessions that moved since, or were registered since, are left out."""


class Page(NamedTuple):
    """Some sessions in the order of their list, and the cursor of the next page; None after the last one."""

    sessions: "list[Session]"
    after: Cursor | None
