"""Cached logins: successful logins that count again for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authctl.model import CachedLogin, Texts


class LoginsView(Protocol):
    """Reading cached logins."""

    def cached_login(self, profile: str, username: str) -> CachedLogin | None:
        """The cached login of a user under a profile, of any age."""

    def cached_logins(self, username: Texts = None) -> list[CachedLogin]:
        """All cached logins, or those of one user or of several; the most recent use first."""


class LoginsChange(Protocol):
    """Writing cached logins."""

    def save_login(self, login: CachedLogin, capacity: int) -> None:
        """Store a login in place of the user's earlier one. If its profile has more than `capacity`, the least recently used go."""

    def use_login(self, login: CachedLogin, at: int) -> None:
        """Record a use of a cached login."""

    def forget_logins(self, username: str | None = None) -> int:
        """Delete all cached logins, or those of one user. Returns how many."""

    def forget_old_logins(self, kept_since: Mapping[str, int]) -> None:
        """Delete the logins that are older than the instant of their profile, and all logins of a profile without an instant."""
