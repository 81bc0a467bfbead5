"""Signing keys: the active sessions whose tokens a key signed.

See docs/glossary.md#signing-key.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class KeyUsage(NamedTuple):
    """The active sessions whose present tokens one key signed."""

    sessions: int
    until: int
    """The end of the last of those tokens, however they are used meanwhile; `NEVER` if one may have no end."""


class KeysView(Protocol):
    """Reading the use of keys."""

    def key_usage(self, now: int) -> dict[str, KeyUsage]:
        """The active sessions of each key, by its id."""


class KeysChange(Protocol):
    """Ending the sessions of a key."""

    def end_signed(self, key_id: str, at: int, reason: str) -> int:
        """Write a hard end, as `end_all`, of the sessions whose present tokens that key signed. Returns how many."""
