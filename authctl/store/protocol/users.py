"""Users: their records, and the names of users with sessions.

See docs/glossary.md#folded-key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from authctl.model import User


class UsersView(Protocol):
    """Reading users."""

    def user(self, username: str) -> User | None:
        """The record of a user, however the name is spelled."""

    def users_among(self, usernames: Collection[str]) -> dict[str, User]:
        """The records of those users that have one, by folded key."""

    def users(self) -> list[User]:
        """All users with a record, by folded key."""

    def user_keys_beyond_ascii(self) -> list[str]:
        """The folded keys of users with sessions that contain a letter outside ASCII."""

    def user_keys_by_use(self) -> list[str]:
        """The folded keys of users with sessions, most recently used first."""

    def users_beginning(self, key: str, limit: int) -> list[str]:
        """Up to `limit` users with sessions whose folded key begins so, by folded key, as they were spelled last.

        Each takes a look-up or two, so the time does not grow with the registry.
        """

    def nearest_users(self, username: str, limit: int) -> list[str]:
        """Up to `limit` names of users with sessions that are spelled almost like that name, the nearest first.

        Each name is given as it was spelled last; the user of that very name is left out. A name that differs by one slip is
        always found: a letter missing, added or replaced, or two neighbours exchanged. Other names are found by a limited
        number of look-ups, which does not grow with the registry.
        """


class UsersChange(Protocol):
    """Writing users."""

    def save_user(self, user: User) -> None:
        """Write the record of a user, in place of the earlier one."""

    def end_disablings(self, now: int, limit: int) -> list[User]:
        """Record the end of up to `limit` disablings that ended by themselves, earliest first, each once; their users.

        The record keeps since when, by whom, why and until when the user was disabled.
        """
