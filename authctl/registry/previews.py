"""The preview of a deed: the sessions that it would newly end, counted and shown, with the bound that the deed then keeps.

See docs/glossary.md#bound-of-a-preview.
"""

from collections.abc import Sequence
from typing import NamedTuple

from authctl.model import Session
from authctl.registry.bounds import Bound
from authctl.store.base import View
from authctl.store.values import Summary

MOST_SHOWN = 10
"""How many sessions a preview shows."""

_LARGEST = 5
"""How many users and applications a preview names."""


class Preview(NamedTuple):
    """The sessions that a deed would newly end, as of one instant."""

    summary: Summary
    sessions: tuple[Session, ...]
    """Up to ten of them, newest use first."""
    bound: Bound | None
    """What the deed may hit; None where it means whoever signs in before it is done, too."""


def preview_of(view: View, numbers: Sequence[int], now: int, *, bounded: bool = True) -> Preview:
    """The preview of a deed that would newly end the sessions of those numbers."""
    summary = view.summary(numbers, now, _LARGEST)
    shown = view.numbered(view.used_last(numbers, MOST_SHOWN), now)
    return Preview(summary, tuple(shown), Bound.of(numbers) if bounded else None)
