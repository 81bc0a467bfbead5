"""Profiles, and the deadlines that new ones give to active sessions.

See docs/glossary.md#deadline.
"""

import json
from array import array
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.model import Changeover, Profile, ProfileSet
    from authctl.store.protocol.cursors import MoveCounters
    from authctl.store.protocol.profiles import DeadlineChanges, NumberRange
    from authctl.store.sql.deadlines import NewDeadlines
    from authctl.store.sql.dialect import Dialect
    from authctl.store.sql.executor import Executor


class _Texts:
    """The queries of active sessions of a profile, in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        entrances = tables(dialect)
        self.of_profile = f"{entrances.unrevoked} AND s.kind IN ('application', 'web') AND s.profile_key = :profile"
        self.held = (
            f"{entrances.by_deadline} WHERE {self.of_profile} AND s.expires_at > :since AND s.expires_at <= :now"
            " AND s.ended_at IS NULL"
        )
        """The sessions of a profile that only a continuity event keeps active."""
        moved = (
            f"SELECT number FROM {dialect.table('sessions', index='sessions_by_move')} WHERE moved_in > :moves"
            f" UNION SELECT number FROM {dialect.whole_table('sessions')} WHERE number > :last_number"
        )
        self.moved = dialect.join_in_order(
            f"({moved}) AS moved", dialect.table("sessions", "s"), "s.number = moved.number"
        )
        """The sessions that were moved or registered since some counters."""


@cache
def _texts(dialect: "Dialect") -> _Texts:
    return _Texts(dialect)


_IN_FORCE = f"SELECT g.profiles, {rows.CHANGEOVER} FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"


def profiles_in_force(connection: "Executor") -> "ProfileSet":
    """The profiles in force."""
    row = connection.execute(_IN_FORCE).fetchone()
    return rows.profiles(*(row or (None,)))


def deadline_changes(reader: Reader, profiles: "ProfileSet", now: int) -> "dict[str, DeadlineChanges]":
    """How many active sessions of each profile its new deadlines would shorten, lengthen and end."""
    from authctl.store.nouns.status_counts import count_unended
    from authctl.store.protocol.profiles import DeadlineChanges
    from authctl.store.sql.deadlines import new_deadlines, recomputations

    changes = {}
    for name, parameters in recomputations(profiles, now, reader.continuity):
        shortened, lengthened, ended, active = reader.all_rows(new_deadlines(reader.dialect).counts, parameters)[0]
        since = _held_since(reader, profiles, name, now)
        released = 0 if since is None else count_unended(reader, fold(name), since, now)
        # Profiles without active sessions are left out: nothing is written for them, and nothing is shown.
        if released or active:
            changes[name] = DeadlineChanges(shortened, lengthened, ended + released)
    return changes


def _held_since(reader: Reader, profiles: "ProfileSet", name: str, now: int) -> int | None:
    """The start of the event that keeps a profile's sessions active now, if the profile would no longer allow one."""
    event = None if profiles.profiles[name].continuity else reader.continuity.running(now).get(fold(name))
    return event and event.started_at


class ProfilesReader(Reader):
    """`ProfilesView` over any database."""

    def profiles(self) -> "ProfileSet":
        return profiles_in_force(self.connection)

    def deadline_changes(self, profiles: "ProfileSet", now: int) -> "dict[str, DeadlineChanges]":
        return deadline_changes(self, profiles, now)

    def has_changeover(self) -> bool:
        return self.one_row("SELECT 1 FROM changeover") is not None

    def changeover_counts(self) -> "DeadlineChanges":
        from authctl.store.protocol.profiles import DeadlineChanges

        return DeadlineChanges(*self.all_rows("SELECT shortened, lengthened, ended FROM changeover")[0])

    def range_of_sessions(self, after: int, last: int, limit: int) -> "NumberRange":
        from authctl.store.protocol.profiles import NumberRange

        sql = "SELECT number FROM sessions WHERE number > ? AND number <= ? ORDER BY number LIMIT 1 OFFSET ?"
        row = self.one_row(sql, (after, last, limit - 1))
        return NumberRange(after, row[0] if row else last)

    def ended_by(self, profiles: "ProfileSet", now: int, since: "MoveCounters | None" = None) -> Sequence[int]:
        from authctl.store.nouns.previews import filtered_numbers, numbers_of
        from authctl.store.sql.deadlines import new_deadlines, recomputations

        deadlines, texts = new_deadlines(self.dialect), _texts(self.dialect)
        filtered = f"WHERE {deadlines.active} AND {deadlines.ends_now}"
        numbers: list[int] = []
        for name, parameters in recomputations(profiles, now, self.continuity):
            if since is not None:
                moved = {**parameters, "moves": since.moves, "last_number": since.last_number}
                numbers += numbers_of(self, f"{texts.moved} {filtered}", moved)
                continue
            by_index = f"{texts.of_profile} AND s.expires_at > :since"
            numbers += filtered_numbers(self, by_index, filtered, parameters)
            held_since = _held_since(self, profiles, name, now)
            if held_since is not None:
                held = {"profile": fold(name), "since": held_since, "now": now}
                numbers += numbers_of(self, texts.held, held)
        return array("q", sorted(numbers))


class ProfilesWriter(Writer):
    """`ProfilesChange` over any database."""

    def save_profiles(self, profiles: "ProfileSet") -> None:
        document = json.dumps(profiles.to_document(), ensure_ascii=False)
        self.write("UPDATE registry SET profiles = ?", (document,))

    def save_changeover(self, changeover: "Changeover", counts: "DeadlineChanges") -> None:
        if self.write(
            "UPDATE changeover SET stage = ?, done = ?, shortened = shortened + ?, lengthened = lengthened + ?, ended = ended + ?",
            (changeover.stage, changeover.done, *counts),
        ):
            return
        before = json.dumps(changeover.before.to_document(), ensure_ascii=False)
        numbers = (changeover.stage, changeover.done, changeover.last, changeover.event, *counts)
        sql = "INSERT INTO changeover VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.write(sql, (before, json.dumps(changeover.stages), *numbers))

    def end_changeover(self) -> None:
        self.write("DELETE FROM changeover")

    def copy_profile_rules(self, profiles: "Sequence[Profile]", numbers: "NumberRange | None" = None) -> None:
        from authctl.model import OnRevoke

        # decisions 47 and 53: the row of a session has both rules, so that `verify` reads no profile
        wanted: dict[tuple[int, int], list[str]] = {}
        for profile in profiles:
            rules = (int(bool(profile.conditions)), int(profile.on_revoke is OnRevoke.WIPE))
            wanted.setdefault(rules, []).append(fold(profile.name))
        sql = (
            f"UPDATE {self.tables.anywhere} SET has_conditions = :has_conditions, wipe_on_revoke = :wipe_on_revoke"
            f" WHERE s.number > :after AND s.number <= :until AND {self.tables.unrevoked} AND {self.tables.of_profiles}"
            " AND s.secret_hash IS NOT NULL"
            " AND (s.has_conditions <> :has_conditions OR s.wipe_on_revoke <> :wipe_on_revoke)"
        )
        for (has_conditions, wipe_on_revoke), keys in wanted.items():
            given = {"has_conditions": has_conditions, "wipe_on_revoke": wipe_on_revoke, **_range(numbers)}
            self.write(sql, {**given, "profiles": self.dialect.list_of(keys)})

    def recompute_deadlines(
        self, profiles: "ProfileSet", now: int, numbers: "NumberRange | None" = None
    ) -> "dict[str, DeadlineChanges]":
        from authctl.store.protocol.profiles import DeadlineChanges
        from authctl.store.sql.deadlines import new_deadlines, recomputations

        new = new_deadlines(self.dialect)
        changes = {}
        sql = f"UPDATE {self.tables.anywhere} SET {_new_values(new)} WHERE {new.in_range} AND {_differs(new, self.dialect)}"
        for name, parameters in recomputations(profiles, now, self.continuity):
            given = {**parameters, **_range(numbers)}
            shortened, lengthened, ended, active = self.all_rows(new.counts_in_range, given)[0]
            if active:
                self.write(sql, {**given, "move": self.move})
                changes[name] = DeadlineChanges(shortened, lengthened, ended)
        return changes

    def recompute_deadlines_of(self, numbers: Sequence[int], profiles: "ProfileSet", now: int) -> None:
        from authctl.store.sql.deadlines import new_deadlines, recomputations

        new = new_deadlines(self.dialect)
        sql = f"UPDATE sessions AS s SET {_new_values(new)} WHERE {self.tables.each_number} AND {new.active}"
        for _, parameters in recomputations(profiles, now, self.continuity):
            self.write(sql, {**parameters, "move": self.move, "numbers": self.dialect.list_of(numbers)})


def _range(numbers: "NumberRange | None") -> dict[str, int]:
    """The parameters of a range of numbers, or of all."""
    return {"after": 0, "until": 2**62} if numbers is None else numbers._asdict()


def _new_values(new: "NewDeadlines") -> str:
    """The assignments of new deadlines to a session."""
    return (
        f"expires_at = {new.expires_at}, moved_in = CASE WHEN {new.expires_at} = s.expires_at THEN s.moved_in ELSE :move END,"
        f" idle_expires_at = {new.idle}, absolute_expires_at = {new.absolute},"
        f" access_expires_at = {new.access}, use_due_at = {new.use_due}"
    )


def _differs(new: "NewDeadlines", dialect: "Dialect") -> str:
    """Whether new deadlines are others than those of a session: rows that stay as they are need not be written."""
    computed = f"{new.expires_at}, {new.idle}, {new.absolute}, {new.access}, {new.use_due}"
    columns = "s.expires_at, s.idle_expires_at, s.absolute_expires_at, s.access_expires_at, s.use_due_at"
    return dialect.differs(f"({columns})", f"({computed})")
