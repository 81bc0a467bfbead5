"""The preview of an operation: the sessions that it would newly end, counted and listed, with the bound for the operation.

`revoke`, `keys.retire` and `profiles.apply` come in pairs of one shape: a preview returns a `Preview` with a bound, and the operation takes
this bound and refuses any other session. A restore has no bound, since it ends every session: its preview is its dry run.

See docs/glossary.md#bound-of-a-preview.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl.model import Session
from authctl.registry.bounds import Bound
from authctl.store.protocol.previews import Summary

if TYPE_CHECKING:
    from authctl.store.protocol import View

MOST_SHOWN = 10
"""The number of sessions that a preview lists."""

_LARGEST = 5
"""The number of users, and of applications, that a preview names."""


class Preview(NamedTuple):
    """The sessions that an operation would newly end, as of one instant."""

    summary: Summary
    sessions: tuple[Session, ...]
    """Up to ten of them, most recently used first."""
    bound: Bound | None
    """The sessions that the operation may end; None where it also means users who sign in before it is done."""


def preview_of(view: View, numbers: Sequence[int], now: int, *, bounded: bool = True) -> Preview:
    """The preview of an operation that would newly end the sessions of those numbers."""
    # Counted from the numbers, and not by the filter again: table, counts and bound are of the same sessions.
    summary = view.summary(numbers, now, _LARGEST)
    listed = view.sessions_by_number(view.used_last(numbers, MOST_SHOWN), now)
    return Preview(summary, tuple(listed), Bound.of(numbers) if bounded else None)
