"""Profiles in SQLite, and the deadlines that new ones give to active sessions.

See docs/glossary.md#deadline.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.sql import rows
from authctl.store.sqlite.dialect import EACH_NUMBER, OPEN, SQLITE, TABLES, UNREVOKED
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet
    from authctl.store.protocol.profiles import DeadlineChanges
    from authctl.store.sql.deadlines import NewDeadlines
    from authctl.store.sqlite.library import sqlite3

_OF_PROFILE = f"{UNREVOKED} AND s.kind IN ('application', 'web') AND s.profile_key = :profile"
_HELD = f"{TABLES.by_deadline} WHERE {_OF_PROFILE} AND s.expires_at > :since AND s.expires_at <= :now AND s.ended_at IS NULL"
"""The sessions of a profile that only a continuity event keeps active."""


def profiles_in_force(connection: sqlite3.Connection) -> ProfileSet:
    """The profiles in force."""
    row = connection.execute("SELECT profiles FROM registry").fetchone()
    return rows.profiles(row and row[0])


def deadline_changes(reader: Reader, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
    """How many active sessions of each profile its new deadlines would shorten, lengthen and end."""
    from authctl.store.protocol.profiles import DeadlineChanges
    from authctl.store.sql.deadlines import new_deadlines, recomputations
    from authctl.store.sqlite.status_counts import count_unended

    changes = {}
    for name, parameters in recomputations(profiles, now, reader.continuity):
        shortened, lengthened, ended, active = reader.connection.execute(
            new_deadlines(SQLITE).counts, parameters
        ).fetchone()
        since = _held_since(reader, profiles, name, now)
        released = 0 if since is None else count_unended(reader.connection, fold(name), since, now)
        # Profiles without active sessions are left out: nothing is written for them, and nothing is shown.
        if released or active:
            changes[name] = DeadlineChanges(shortened, lengthened, ended + released)
    return changes


def _held_since(reader: Reader, profiles: ProfileSet, name: str, now: int) -> int | None:
    """The start of the event that keeps a profile's sessions active now, if the profile would no longer allow one."""
    event = None if profiles.profiles[name].continuity else reader.continuity.running(now).get(fold(name))
    return event and event.started_at


class ProfilesReader(Reader):
    """`ProfilesView` over SQLite."""

    def profiles(self) -> ProfileSet:
        return profiles_in_force(self.connection)

    def deadline_changes(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        return deadline_changes(self, profiles, now)

    def ended_by(self, profiles: ProfileSet, now: int) -> Sequence[int]:
        from authctl.store.sql.deadlines import new_deadlines, recomputations
        from authctl.store.sqlite.previews import filtered_numbers, numbers_of

        deadlines = new_deadlines(SQLITE)
        numbers: list[int] = []
        for name, parameters in recomputations(profiles, now, self.continuity):
            by_index = f"{_OF_PROFILE} AND s.expires_at > :since"
            filtered = f"WHERE {deadlines.active} AND {deadlines.ends_now}"
            numbers += filtered_numbers(self.connection, by_index, filtered, parameters)
            since = _held_since(self, profiles, name, now)
            if since is not None:
                numbers += numbers_of(self.connection, _HELD, {"profile": fold(name), "since": since, "now": now})
        return array("q", sorted(numbers))


class ProfilesWriter(Writer):
    """`ProfilesChange` over SQLite."""

    def save_profiles(self, profiles: ProfileSet) -> None:
        document = json.dumps(profiles.to_document(), ensure_ascii=False)
        self.write("UPDATE registry SET profiles = ?", (document,))

    def copy_profile_rules(self, profiles: Sequence[Profile]) -> None:
        from authctl.model import OnRevoke

        # decisions 47 and 53: the row of a session has both rules, so that `verify` reads no profile
        wanted = {fold(p.name): [int(bool(p.conditions)), int(p.on_revoke is OnRevoke.WIPE)] for p in profiles}
        sql = (
            "UPDATE sessions AS s INDEXED BY sessions_by_revocation"
            " SET (has_conditions, wipe_on_revoke) = (new.has_conditions, new.wipe_on_revoke)"
            " FROM (SELECT key, json_extract(value, '$[0]') AS has_conditions, json_extract(value, '$[1]') AS wipe_on_revoke"
            f" FROM json_each(:wanted)) AS new WHERE s.revocation_id = {OPEN} AND s.profile_key = new.key"
            " AND s.secret_hash IS NOT NULL AND (s.has_conditions, s.wipe_on_revoke) IS NOT (new.has_conditions, new.wipe_on_revoke)"
        )
        self.write(sql, {"wanted": json.dumps(wanted)})

    def recompute_deadlines(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        from authctl.store.sql.deadlines import new_deadlines, recomputations

        new = new_deadlines(SQLITE)
        changes = deadline_changes(self, profiles, now)
        sql = f"UPDATE {TABLES.by_deadline} SET {_new_values(new)} WHERE {new.active}"
        for name, parameters in recomputations(profiles, now, self.continuity):
            if name in changes:
                self.write(sql, {**parameters, "move": self.move})
        return changes

    def recompute_deadlines_of(self, numbers: Sequence[int], profiles: ProfileSet, now: int) -> None:
        from authctl.store.sql.deadlines import new_deadlines, recomputations

        new = new_deadlines(SQLITE)
        sql = f"UPDATE sessions AS s SET {_new_values(new)} WHERE s.{EACH_NUMBER} AND {new.active}"
        for _, parameters in recomputations(profiles, now, self.continuity):
            self.write(sql, {**parameters, "move": self.move, "numbers": json.dumps(list(numbers))})


def _new_values(new: NewDeadlines) -> str:
    """The assignments of new deadlines to a session."""
    return (
        f"expires_at = {new.expires_at}, moved_in = iif({new.expires_at} = s.expires_at, s.moved_in, :move),"
        f" idle_expires_at = {new.idle}, absolute_expires_at = {new.absolute},"
        f" access_expires_at = {new.access}, use_due_at = {new.use_due}"
    )
