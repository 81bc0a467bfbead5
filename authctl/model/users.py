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
    password_except: tuple[str, ...] = ()
    """The ids of the sessions that the latest change of the password did not end."""
    disabled_until: int | None = None
    """When the disabling ends by itself; None where it lasts until the user is enabled."""
    enabled_at: int | None = None
    """When the latest disabling ended; None where it has not, or was before this was recorded."""
    enabled_by: str | None = None
    """The cause of its end: `enable`, or `until` for the instant that was given."""

    def as_of(self, now: int) -> "User":
        """The record at an instant: of a user whose disabling has ended by itself, an enabled one.

        Only instants decide, so that nothing has to run at that time, and a clock that is set back makes nobody enabled.
        """
        # decision 208: the record of the disabling stays, so that a clock that was ahead and is set back leaves the user disabled
        if self.disabled_until is None:
            return self
        if now < self.disabled_until:
            return self._replace(enabled_at=None, enabled_by=None)
        nobody = User(self.username, ended_at=self.ended_at, password_changed_at=self.password_changed_at)
        return nobody._replace(password_except=self.password_except, enabled_at=self.disabled_until, enabled_by="until")
