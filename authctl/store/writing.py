"""Writing the SQLite registry: `Change` of `base`, inside a transaction that is already open.

See docs/glossary.md#hard-end and docs/glossary.md#open-revocation.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from authctl.instants import NEVER
from authctl.lifetimes import Deadlines
from authctl.model import (
    AuditEvent,
    CachedLogin,
    NewSession,
    OnRevoke,
    Profile,
    ProfileSet,
    Session,
    SessionFilter,
    Status,
    User,
)
from authctl.names import fold
from authctl.store import rows, searching
from authctl.store.deadlines import (
    LIVING,
    NEW_ABSOLUTE,
    NEW_ACCESS,
    NEW_DEADLINE,
    NEW_DUE,
    NEW_IDLE,
    recomputations,
)
from authctl.store.reading import BY_NUMBER, SqliteView, removable
from authctl.store.selection import JOINED, OPEN, UNACKNOWLEDGED, status_sql
from authctl.store.values import LEAP, Archive, Carried, Cursor, DeadlineChanges, Imported, Removable, Removed

_KEEP_FINALS = (
    "INSERT INTO imported_finals (key, at, without_user)"
    " SELECT {key}, max(max(coalesce(r.at, s.ended_at), s.last_used_at)), {without_user} FROM json_each(?) AS gone"
    f" JOIN imported AS i ON i.number = gone.value JOIN sessions AS s ON s.number = i.number {JOINED}"
    " WHERE coalesce(r.at, s.ended_at) IS NOT NULL AND {key} IS NOT NULL GROUP BY {key}"
    " ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at), without_user = min(without_user, excluded.without_user)"
)


_LAST_NUMBER = "(SELECT coalesce(max(number), 0) FROM sessions)"
_PROFILES_OF_SELECTOR = "(SELECT profiles FROM registry WHERE json_extract(?, '$.profile') IS NOT NULL)"

_END = "UPDATE sessions AS s INDEXED BY sessions_by_revocation SET ended_at = :now, ended_reason = :reason, expires_at = :now, moved_in = :moving"
_END_BY_DEADLINE = _END.replace(
    ":reason",
    "CASE WHEN {end} > s.expires_at THEN 'continuity_ended' WHEN s.fixed_expires_at <= s.expires_at THEN 'lifetime'"
    " WHEN s.absolute_expires_at <= s.idle_expires_at THEN 'absolute' ELSE 'idle' END",
)

_NEW_END = f"iif({NEW_DEADLINE} > :since, {NEW_DEADLINE}, :now)"

_KEPT = ("id", "secret_hash", "key_id")
"""What of an imported session no import replaces."""

_GIVEN_BACK = 500
"""How many pages are given back at once."""

_NEW_DEADLINES = "slid_at = :slid_at, use_due_at = :due, idle_expires_at = :idle, absolute_expires_at = :absolute, expires_at = :expires"


class SqliteChange(SqliteView):
    """The one writer of a connection's open transaction."""

    def add_session(self, session: NewSession, revocation_id: int | None = None) -> Session:
        values = rows.columns(session)
        number = self.connection.execute(_insertion(tuple(values)), (*values.values(), revocation_id)).lastrowid
        found = self._one(BY_NUMBER, (session.last_used_at, number))
        assert found is not None
        searching.settle(self.connection, found[0])
        return rows.session(found)

    @cached_property
    def _moving(self) -> int:
        """The number that this change gives to each session that it moves within a list, counted up when there is a first one."""
        return self._number("UPDATE registry SET moves = moves + 1 RETURNING moves")

    def saw(self, at: int) -> None:
        sql = "UPDATE clock SET leapt_at = iif(seen_at BETWEEN 1 AND :at - :leap, :at, leapt_at), seen_at = max(seen_at, :at)"
        self.connection.execute(sql, {"at": at, "leap": LEAP})

    def set_seen(self, at: int) -> None:
        self.connection.execute("UPDATE clock SET seen_at = ?, leapt_at = NULL", (at,))
        self.connection.execute("UPDATE registry SET restored_at = min(restored_at, ?)", (at,))

    def set_restored(self, at: int) -> None:
        self.connection.execute("UPDATE registry SET restored_at = max(coalesce(restored_at, :at), :at)", {"at": at})

    def carry_over(self, at: int, ended_at: int | None = None) -> Carried:
        from authctl.store.restrictions import carry_over

        self._holding = None
        return carry_over(self.connection, at, ended_at)

    def end_all(self, at: int, reason: str) -> int:
        sql = f"{_END} WHERE {status_sql(Status.ACTIVE, self.holding, at)}"
        given = {"now": at, "reason": reason, "moving": self._moving}
        return self.connection.execute(sql, {**given, **self.holding.parameters}).rowcount

    def end_dubious(self, at: int, seen: int) -> int:
        was_held = self.holding.held(seen) or "FALSE"
        revived = f"{status_sql(Status.ACTIVE, self.holding, at)} AND s.expires_at <= {int(seen)} AND NOT {was_held}"
        sql = (
            f"{_END_BY_DEADLINE.format(end=self.holding.end('s.expires_at'))} WHERE s.revocation_id = {OPEN}"
            f" AND s.ended_at IS NULL AND (max(s.created_at, s.slid_at, s.last_used_at) > :now OR {revived})"
        )
        return self.connection.execute(sql, {"now": at, "moving": self._moving, **self.holding.parameters}).rowcount

    def record_use(self, number: int, used_at: int, deadlines: Deadlines) -> None:
        moved = self._moved_late(used_at)
        sql = f"UPDATE sessions SET last_used_at = :used_at, {_NEW_DEADLINES}{moved} WHERE number = :number"
        self.connection.execute(sql, _use(number, used_at, deadlines))

    def _moved_late(self, used_at: int) -> str:
        """What else to write of a use: nothing where it is later than all that was seen, so that its instant tells that it came since."""
        return f", moved_in = {self._moving}" if used_at <= self.seen_at() else ""

    def rotate(self, number: int, at: int, deadlines: Deadlines, access_expires_at: int, key_id: str) -> None:
        sql = (
            f"UPDATE sessions SET last_used_at = max(last_used_at, :used_at), {_NEW_DEADLINES}, refreshed_at = :used_at,"
            f" generation = generation + 1, access_expires_at = :access, key_id = :key_id{self._moved_late(at)} WHERE number = :number"
        )
        self.connection.execute(sql, {**_use(number, at, deadlines), "access": access_expires_at, "key_id": key_id})

    def end_sessions(self, numbers: Sequence[int], at: int, reason: str) -> None:
        sql = (
            "UPDATE sessions SET ended_at = :at, ended_reason = :reason, expires_at = :at, moved_in = :moving"
            " WHERE number IN (SELECT value FROM json_each(:numbers))"
        )
        if numbers:
            given = {"numbers": json.dumps(numbers), "at": at, "reason": reason, "moving": self._moving}
            self.connection.execute(sql, given)

    def mark(self, profiles: Sequence[Profile]) -> None:
        wanted = {fold(p.name): [int(bool(p.conditions)), int(p.on_revoke is OnRevoke.WIPE)] for p in profiles}
        sql = (
            "UPDATE sessions AS s INDEXED BY sessions_by_revocation SET (conditioned, wipes) = (new.conditioned, new.wipes)"
            " FROM (SELECT key, json_extract(value, '$[0]') AS conditioned, json_extract(value, '$[1]') AS wipes"
            f" FROM json_each(:wanted)) AS new WHERE s.revocation_id = {OPEN} AND s.profile_key = new.key"
            " AND s.secret_hash IS NOT NULL AND (s.conditioned, s.wipes) IS NOT (new.conditioned, new.wipes)"
        )
        self.connection.execute(sql, {"wanted": json.dumps(wanted)})

    def deliver_wipe(self, number: int, at: int) -> None:
        self.connection.execute("UPDATE sessions SET wipe_delivered_at = ? WHERE number = ?", (at, number))

    def acknowledge_wipe(self, number: int, at: int) -> None:
        sql = (
            "UPDATE sessions SET wipe_acknowledged_at = :at, wipe_delivered_at = coalesce(wipe_delivered_at, :at)"
            " WHERE number = :number"
        )
        self.connection.execute(sql, {"at": at, "number": number})

    def save_login(self, login: CachedLogin, capacity: int) -> None:
        keys = {"profile": fold(login.profile), "username": fold(login.username)}
        sql = (
            f"INSERT INTO cached_logins (profile_key, username_key, {rows.LOGIN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT DO UPDATE SET ({rows.LOGIN}) = ({rows.LOGIN_GIVEN})"
        )
        self.connection.execute(sql, (*keys.values(), *login))
        sql = (
            "DELETE FROM cached_logins WHERE profile_key = :profile AND username_key IN (SELECT username_key"
            " FROM cached_logins WHERE profile_key = :profile"
            " ORDER BY username_key = :username DESC, last_used_at DESC, username_key LIMIT -1 OFFSET :capacity)"
        )
        self.connection.execute(sql, {**keys, "capacity": capacity})

    def use_login(self, login: CachedLogin, at: int) -> None:
        sql = "UPDATE cached_logins SET last_used_at = max(last_used_at, ?) WHERE profile_key = ? AND username_key = ?"
        self.connection.execute(sql, (at, fold(login.profile), fold(login.username)))

    def forget_logins(self, username: str | None = None) -> int:
        sql = "DELETE FROM cached_logins WHERE username_key = coalesce(:username, username_key)"
        return self.connection.execute(sql, {"username": None if username is None else fold(username)}).rowcount

    def forget_old_logins(self, kept_since: Mapping[str, int]) -> None:
        sql = (
            "DELETE FROM cached_logins WHERE authenticated_at <"
            " coalesce((SELECT value FROM json_each(:since) WHERE key = profile_key), :ever)"
        )
        since = json.dumps({fold(profile): since for profile, since in kept_since.items()})
        self.connection.execute(sql, {"since": since, "ever": NEVER})

    def end_signed(self, key_id: str, at: int, reason: str) -> int:
        sql = f"{_END} WHERE {status_sql(Status.ACTIVE, self.holding, at)} AND s.key_id = :key_id"
        given = {"now": at, "reason": reason, "key_id": key_id, "moving": self._moving}
        parameters = {**given, **self.holding.parameters}
        return self.connection.execute(sql, parameters).rowcount

    def start_continuity(self, profile: str, at: int, ends_at: int, actor: str, note: str) -> None:
        sql = "INSERT INTO continuity (profile, started_at, ends_at, actor, note) VALUES (?, ?, ?, ?, ?)"
        self.connection.execute(sql, (profile, at, ends_at, actor, note))
        self._holding = None

    def end_continuity(self, event_id: int, at: int, actor: str, note: str) -> None:
        sql = "UPDATE continuity SET ends_at = max(started_at, ?), ended_by = ?, end_note = ? WHERE id = ?"
        self.connection.execute(sql, (at, actor, note, event_id))
        self._holding = None

    def remove_continuity(self, cutoff: int) -> int:
        removed = self.connection.execute("DELETE FROM continuity WHERE ends_at < ?", (cutoff,)).rowcount
        self._holding = None
        return removed

    def save_user(self, user: User) -> None:
        sql = (
            f"INSERT INTO users (username_key, {rows.USER}) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (username_key) DO UPDATE SET username = excluded.username, disabled_at = excluded.disabled_at,"
            " disabled_by = excluded.disabled_by, disabled_note = excluded.disabled_note, ended_at = excluded.ended_at,"
            " password_changed_at = excluded.password_changed_at"
        )
        self.connection.execute(sql, (fold(user.username), *user))

    def add_revocation(self, at: int, actor: str, note: str, selector: str, *, by_criteria: bool = False) -> int:
        sql = (
            "INSERT INTO revocations (at, actor, note, note_key, selector, by_criteria, last_number, profiles)"
            f" VALUES (?, ?, ?, ?, ?, ?, {_LAST_NUMBER}, {_PROFILES_OF_SELECTOR}) RETURNING id"
        )
        added = self._number(sql, (at, actor, note, fold(note), selector, by_criteria, selector))
        searching.settle(self.connection, added)
        return added

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        sql = (
            "UPDATE revocations SET at = ?, actor = ?, note = ?, note_key = ?, selector = ?, everything = 1,"
            f" by_criteria = 1, last_number = {_LAST_NUMBER} WHERE id = {OPEN} RETURNING id"
        )
        closed = self._number(sql, (at, actor, note, fold(note), selector))
        searching.put_note(self.connection, closed, fold(note))
        self.connection.execute("INSERT INTO revocations (at) VALUES (NULL)")
        return closed

    def assign(self, selection: SessionFilter, now: int, revocation_id: int) -> int:
        chosen = self._compiled(selection, now)
        sql = (
            f"UPDATE sessions NOT INDEXED SET revocation_id = :revocation_id WHERE revocation_id = {OPEN}"
            f" AND number IN (SELECT s.number FROM {chosen.counted()} WHERE {chosen.where_at_all})"
        )
        return self.connection.execute(sql, {**chosen.parameters, "revocation_id": revocation_id}).rowcount

    def spare(self, numbers: Sequence[int], revocation_id: int) -> int:
        sql = (
            f"UPDATE sessions NOT INDEXED SET revocation_id = {OPEN} WHERE revocation_id = ?"
            " AND number IN (SELECT value FROM json_each(?))"
        )
        return self.connection.execute(sql, (revocation_id, json.dumps(numbers))).rowcount

    def save_profiles(self, profiles: ProfileSet) -> None:
        document = json.dumps(profiles.to_document(), ensure_ascii=False)
        self.connection.execute("UPDATE registry SET profiles = ?", (document,))

    def recompute_deadlines(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        changes = self.deadline_changes(profiles, now)
        sql = (
            "UPDATE sessions AS s INDEXED BY sessions_by_expiry"
            f" SET expires_at = {_NEW_END}, moved_in = iif({_NEW_END} = s.expires_at, s.moved_in, :moving),"
            f" idle_expires_at = {NEW_IDLE}, absolute_expires_at = {NEW_ABSOLUTE},"
            f" access_expires_at = {NEW_ACCESS}, use_due_at = {NEW_DUE} WHERE {LIVING}"
        )
        for name, parameters in recomputations(profiles, now, self.holding):
            if name in changes:
                self.connection.execute(sql, {**parameters, "moving": self._moving})
        return changes

    def add_event(self, event: AuditEvent) -> None:
        sql = f"INSERT INTO audit_events ({rows.EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        values = (
            event.seq,
            event.at,
            event.actor,
            event.action,
            event.subject,
            event.note,
            event.detail,
            event.prev_hash,
            event.hash,
        )
        self.connection.execute(sql, values)

    def remove_ended(
        self,
        cutoff: int,
        limit: int,
        after: Cursor | None = None,
        *,
        keep_unacknowledged: bool = False,
        archive: Archive | None = None,
    ) -> Removed:
        expired, revoked = removable(self.holding, cutoff)
        parameters = {"cutoff": cutoff, "profiles": json.dumps(self.profile_keys()), **self.holding.parameters}
        numbers = [
            row[0] for row in self._all(f"SELECT s.number FROM {expired} LIMIT :limit", {**parameters, "limit": limit})
        ]
        seen = self._revoked(revoked, {**parameters, "limit": limit - len(numbers)}, after)
        gone = [row for row in seen if not (keep_unacknowledged and row[-1])]
        removed = sorted(numbers + [row[-2] for row in gone])
        if archive and removed:
            archive(self.numbered(removed, cutoff))
        self._remove(removed)
        more = len(numbers) + len(seen) == limit
        last = Cursor(seen[-1][:-1]) if seen else after or Cursor((0, 0, "", 0, 0))
        return Removed(Removable(len(numbers), len(gone), sum(row[-1] for row in gone)), last if more else None)

    def _revoked(self, source: str, parameters: dict[str, Any], after: Cursor | None) -> list[tuple[Any, ...]]:
        """The next sessions of a source of revoked ones, in the order of its index, each with whether its wipe is unacknowledged."""
        sql = (
            f"SELECT r.at, r.id, s.kind, s.last_used_at, s.number, {UNACKNOWLEDGED} FROM {source}{{beyond}}"
            " ORDER BY r.at, r.id, s.kind, s.last_used_at, s.number LIMIT :limit"
        )
        if after is None:
            return self._all(sql.format(beyond=""), parameters)
        parameters |= {f"after_{index}": value for index, value in enumerate(after.key)}
        within = " AND r.id = :after_1 AND (s.kind, s.last_used_at, s.number) > (:after_2, :after_3, :after_4)"
        found = self._all(sql.format(beyond=within), parameters)
        parameters["limit"] -= len(found)
        return found + self._all(sql.format(beyond=" AND (r.at, r.id) > (:after_0, :after_1)"), parameters)

    def _remove(self, numbers: Sequence[int]) -> None:
        given = json.dumps(numbers)
        for key, without_user in (("i.key", 0), ("i.key_without_user", 1)):
            self.connection.execute(_KEEP_FINALS.format(key=key, without_user=without_user), (given,))
        searching.take_out(self.connection, numbers)
        for table in ("imported", "sessions"):
            sql = f"DELETE FROM {table} WHERE number IN (SELECT value FROM json_each(?))"
            self.connection.execute(sql, (given,))

    def catch_up(self) -> int:
        return searching.catch_up(self.connection)

    def give_back(self) -> int:
        spare = self._number("PRAGMA freelist_count") - self._number("PRAGMA page_count") // 10
        pages = max(0, min(spare, _GIVEN_BACK))
        for _ in range(pages):
            self.connection.execute("PRAGMA incremental_vacuum(1)")  # `execute` steps once, which is one page
        return pages

    def remove_unnamed_revocations(self) -> int:
        unnamed = (
            "at IS NOT NULL AND NOT EXISTS"
            " (SELECT 1 FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = revocations.id)"
            " AND NOT by_criteria"
        )
        searching.take_out_notes(self.connection, unnamed)
        return self.connection.execute(f"DELETE FROM revocations WHERE {unnamed}").rowcount

    def add_imported(self, sessions: Sequence[Imported]) -> None:
        if not sessions:
            return
        first = self._number("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'") + 1
        numbered = list(enumerate(sessions, first))
        self.connection.executemany(
            _insertion(("number", *rows.columns(sessions[0].session))),
            ((number, *rows.columns(one.session).values(), one.revocation_id) for number, one in numbered),
        )
        self.connection.executemany(
            "INSERT INTO imported (number, key, said_at, key_without_user, profile_named) VALUES (?, ?, ?, ?, ?)",
            (
                (number, one.key, json.dumps(one.said_at), one.key_without_user, one.profile_named)
                for number, one in numbered
            ),
        )
        searching.catch_up(self.connection)

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        if not changes:
            return
        numbers = [number for number, _ in changes]
        changed = [name for name in rows.columns(changes[0][1].session) if name not in _KEPT]
        searching.take_out(self.connection, numbers)
        self.connection.executemany(
            f"UPDATE sessions SET {', '.join(f'{name} = :{name}' for name in changed)},"
            f" revocation_id = coalesce(:revocation_id, revocation_id), moved_in = {self._moving} WHERE number = :number",
            (
                {**rows.columns(one.session), "revocation_id": one.revocation_id, "number": number}
                for number, one in changes
            ),
        )
        self.connection.executemany(
            "UPDATE imported SET said_at = ?, key = ?, key_without_user = ? WHERE number = ?",
            ((json.dumps(one.said_at), one.key, one.key_without_user, number) for number, one in changes),
        )
        searching.put_back(self.connection, numbers)

    def keep_finals(self, finals: Mapping[bytes, int]) -> None:
        sql = "INSERT INTO imported_finals (key, at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET at = max(at, excluded.at)"
        self.connection.executemany(sql, finals.items())


@cache
def _insertion(columns: tuple[str, ...]) -> str:
    """The statement that registers a session: takes those columns, and the revocation that it has, or None."""
    given = ", ".join("?" for _ in columns)
    return f"INSERT INTO sessions ({', '.join(columns)}, revocation_id) VALUES ({given}, coalesce(?, {OPEN}))"


def _use(number: int, used_at: int, deadlines: Deadlines) -> dict[str, Any]:
    """The parameters of a statement that writes a use."""
    return {
        "number": number,
        "used_at": used_at,
        "slid_at": deadlines.slid_at,
        "due": deadlines.use_due_at,
        "idle": deadlines.idle_expires_at,
        "absolute": deadlines.absolute_expires_at,
        "expires": deadlines.expires_at,
    }
