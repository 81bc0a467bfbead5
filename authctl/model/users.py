"""Users: the record of a user, and the sessions of a group, counted by status."""

from typing import NamedTuple


class Group(NamedTuple):
    """The sessions that have one user, application or platform in common, counted by status."""

    group: str | None
    """As the session used last spells it; None for those that have none."""
    active: int
    expired: int
    revoked: int
    last_used_at: int | None

    @property
    def total(self) -> int:
        """How many they are."""
        return self.active + self.expired + self.revoked


class User(NamedTuple):
    """The record of a user."""

    username: str
    disabled_at: int | None = None
    """Since when no new session is registered; None where the user is enabled."""
    disabled_by: str | None = None
    note: str | None = None
    """Why the user is disabled."""
    ended_at: int | None = None
    """When disabling last ended every session; kept when the user is enabled again."""
    password_changed_at: int | None = None
