"""Backups: the restrictions that a copy takes over from the registry that it replaces."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Carried(NamedTuple):
    """Counts of the rows that were carried over from the registry that a restore replaces: the backup alone would not have them."""

    disabled_users: int
    password_changes: int
    revocations: int
    sessions_revoked: int
    sessions_ended: int
    """Sessions with a hard end; some of them may be revoked, too."""
    continuity_ended: int
    """Continuity events that last longer in the backup."""
    import_keys: int
    """Keys with a final instant that is not in the backup."""

    def plus(self, other: Carried) -> Carried:
        """The sums of both."""
        return Carried(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class BackupsChange(Protocol):
    """Carrying restrictions over to a draft."""

    def carry_over(self, at: int, ended_at: int | None = None) -> Carried:
        """Carry over the restrictions of the registry that this draft is to replace, at the instant of a restore.

        These are: disabled users, their latest ends and password changes; revocations that were made since, under their own
        numbers if those are free; revoked and ended sessions as they are there, also those that the backup does not have (the
        first revocation and the first end win); what imports need: keys, final instants, and the instant of the last restore;
        and earlier ends of continuity events. An imported session that is active there and was used after `at` is carried over,
        and ended: otherwise its rows would make an active session when the clock gets there. Nothing that lets somebody in is
        carried over: no user is enabled, and no active session, profile or cached login is taken.

        A second call carries over what is new since. If the active sessions of the draft were ended beforehand as `restored`,
        `ended_at` is that instant: such an end does not count where the other registry knows that the session was over.
        """
