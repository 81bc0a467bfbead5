"""The facts that a change reads first, in one statement, and that it would read later one by one.

Nobody else writes beside a change, so they hold until it changes a row itself (decision 351).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.names import fold
from authctl.store.move_marks import COLUMNS as MARKS
from authctl.store.sql import rows
from authctl.store.sqlite.connections import check_marks
from authctl.store.sqlite.dialect import OPEN, SQLITE

if TYPE_CHECKING:
    from pathlib import Path

    from authctl.model import AuditEvent
    from authctl.store.sqlite.library import sqlite3

_DISABLED = SQLITE.table("users", index="users_by_disabled_until")
_READ = (
    f"SELECT {', '.join(f'g.{mark}' for mark in MARKS.split(', '))}, (SELECT max(seen_at) FROM clock), {OPEN},"
    f" (SELECT min(disabled_until) FROM {_DISABLED} WHERE disabled_until IS NOT NULL AND enabled_at IS NULL),"
    f" EXISTS (SELECT 1 FROM continuity), g.profiles, {rows.CHANGEOVER}, {', '.join(f'e.{column}' for column in rows.EVENT.split(', '))}"
)
_FROM = (
    " FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"
    " LEFT JOIN audit_events AS e ON e.seq = (SELECT max(seq) FROM audit_events)"
)
_READ_FACTS = _READ + _FROM
_READ_SIGN_IN = (
    f"{_READ}, {', '.join(f'u.{column}' for column in rows.USER.split(', '))}{_FROM}"
    " LEFT JOIN users AS u ON u.username_key = ?"
)
_PROFILES = slice(7, 8 + len(rows.CHANGEOVER.split(", ")))
_EVENT = slice(_PROFILES.stop, _PROFILES.stop + len(rows.EVENT.split(", ")))
_USER = slice(_EVENT.stop, None)


class Facts(NamedTuple):
    """The facts that a change reads first."""

    recorded_time: int
    open_revocation: int
    end_of_disabling: int | None
    """The earliest instant at which a disabling ends by itself; None without one."""
    has_continuity: bool
    profiles: tuple[Any, ...]
    """The columns that `rows.profiles` reads: the profiles in force, and those of a changeover, if there is one."""
    event: tuple[Any, ...]
    """The columns that `rows.event` reads, all None in a log without events."""
    user_key: str | None
    """The key of the user who signs in; None in another change."""
    user: tuple[Any, ...]
    """The columns that `rows.user` reads, all None for a user without a row."""

    @property
    def has_changeover(self) -> bool:
        """Whether profiles have not reached all sessions yet."""
        return self.profiles[1] is not None

    @property
    def has_user(self) -> bool:
        """Whether the user who signs in has a row."""
        return self.user[0] is not None

    @property
    def last_event(self) -> "AuditEvent | None":
        """The newest event of the audit log."""
        return None if self.event[0] is None else rows.event(self.event)


def read_facts(connection: "sqlite3.Connection", path: "Path", sign_in: str | None = None) -> Facts | None:
    """The facts of a change that begins, with those of a user who signs in; None in a registry that is being made.

    Raises RegistryMoved if the registry is at another place now; RegistryUnavailable if it has not arrived at this one yet.
    """
    if sign_in is None:
        key, row = None, connection.execute(_READ_FACTS).fetchone()
    else:
        key = fold(sign_in)
        row = connection.execute(_READ_SIGN_IN, (key,)).fetchone()
    if row is None:
        return None
    check_marks(path, row)
    recorded_time, open_revocation, end_of_disabling, has_continuity = row[3:7]
    return Facts(
        recorded_time or 0,
        open_revocation,
        end_of_disabling,
        bool(has_continuity),
        row[_PROFILES],
        row[_EVENT],
        key,
        row[_USER],
    )
