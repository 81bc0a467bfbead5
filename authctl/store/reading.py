"""Reading the SQLite registry: `View` of `base`, one method a question."""

from __future__ import annotations  # what is only named in signatures is imported by whoever makes it

import json
import sqlite3
from array import array
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from authctl import model
from authctl.model import Grouping, Kind, Session, Status, texts_of
from authctl.names import fold
from authctl.store import moving, rows, searching
from authctl.store.counting import tally, unended
from authctl.store.holding import Holding
from authctl.store.paging import Walk, sorted_numbers
from authctl.store.selection import (
    AMONG_PROFILES,
    JOINED,
    OPEN,
    REVOKED,
    SORTED,
    UNACKNOWLEDGED,
    Criteria,
    Selection,
    compiled,
    is_key,
    keys_of,
    place,
    status_sql,
)
from authctl.store.values import (
    Cursor,
    DeadlineChanges,
    ImportedDetail,
    Mark,
    Page,
    PastRevocation,
    Removable,
    Signed,
    Summary,
)

if TYPE_CHECKING:
    from authctl.model import (
        AuditEvent,
        CachedLogin,
        ContinuityEvent,
        EventFilter,
        Group,
        ProfileSet,
        SessionFilter,
        Sort,
        Texts,
        User,
    )

_BY_NUMBER = f"SELECT {{columns}}, s.secret_hash FROM sessions AS s {JOINED} WHERE s.number = {{number}}"
BY_NUMBER = _BY_NUMBER.format(columns=rows.session_columns(now="max(?1, (SELECT seen_at FROM clock))"), number="?2")
"""Takes an instant and the number."""

LATEST_REVOKE_ALL = (
    "SELECT id FROM revocations INDEXED BY revocations_by_time WHERE everything AND at IS NOT NULL"
    " ORDER BY at DESC, id DESC LIMIT 1"
)

# A revocation is an event's subject by its number; which sessions it covers is what they say themselves.
_COVERING = f"SELECT CAST(s.revocation_id AS TEXT) FROM sessions AS s {{index}} WHERE s.revocation_id <> {OPEN} AND"
_NAMES_ANY = "EXISTS (SELECT 1 FROM json_each(detail, '$.{field}') AS said WHERE said.value IN (SELECT value FROM json_each(:{name})))"
_SESSIONS = "IN (SELECT value FROM json_each(:session))"
_USERS = "IN (SELECT value FROM json_each(:username))"
_ABOUT_SESSION = (
    f"(subject {_SESSIONS} OR action = 'session.revoke'"
    f" AND (subject IN ({_COVERING.format(index='')} s.id {_SESSIONS})"
    f" OR {_NAMES_ANY.format(field='sessions', name='session')})"
    " OR action IN ('user.disable', 'user.password', 'key.retire')"
    f" AND {_NAMES_ANY.format(field='sessions', name='session')})"
)
_ABOUT_USER = (
    f"(json_extract(detail, '$.username_key') {_USERS} OR action = 'session.revoke'"
    f" AND subject IN ({_COVERING.format(index='INDEXED BY sessions_by_user')} s.username_key {_USERS})"
    " OR action IN ('session.revoke', 'key.retire')"
    f" AND {_NAMES_ANY.format(field='username_keys', name='username')})"
)
_EVENT_TEXT = (
    "folded(coalesce(note, '') || ' ' || coalesce(subject, '') || ' ' || actor || ' ' || action || ' ' || detail)"
)


def by_number(connection: sqlite3.Connection, number: int, now: int) -> tuple[Session, bytes | None] | None:
    """The session of that number with the hash of its secret; continuity events are asked for once a deadline has passed."""
    found = connection.execute(BY_NUMBER, (now, number)).fetchone()
    if found is None:
        return None
    session = rows.session(found)
    if session.read_at >= session.token_expires_at:
        session = session.held_by(continuity_events(connection))
    return session, found[-1]


def profiles_in_force(connection: sqlite3.Connection) -> ProfileSet:
    """The profiles in force."""
    found = connection.execute("SELECT profiles FROM registry").fetchone()
    return rows.profiles(found and found[0])


def continuity_events(connection: sqlite3.Connection) -> list[ContinuityEvent]:
    """Every continuity event, the earliest first."""
    return [rows.continuity(row) for row in connection.execute(f"SELECT {rows.CONTINUITY} FROM continuity ORDER BY id")]


class SqliteView:
    """A snapshot of one connection's open transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._holding: Holding | None = None

    @property
    def holding(self) -> Holding:
        """The continuity events of this snapshot."""
        if self._holding is None:
            self._holding = Holding(self.continuity_events())
        return self._holding

    @property
    def _session_columns(self) -> str:
        return rows.session_columns(self.holding.end("s.expires_at"), self.holding.end("s.access_expires_at"))

    def registry_id(self) -> str:
        found = self._one("SELECT id FROM registry")
        return str(found and found[0])

    def seen_at(self) -> int:
        return self._number("SELECT seen_at FROM clock")

    def leapt_at(self) -> int | None:
        found = self._one("SELECT leapt_at FROM clock")
        return found[0] if found else None

    def continuity_events(self) -> list[ContinuityEvent]:
        return continuity_events(self.connection)

    def _all(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()

    def _one(self, sql: str, parameters: Any = ()) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self.connection.execute(sql, parameters).fetchone()
        return found

    def _number(self, sql: str, parameters: Any = ()) -> int:
        found = self._one(sql, parameters)
        return int(found[0] or 0) if found else 0

    def session(self, session_id: str, now: int) -> Session | None:
        sql = f"SELECT {self._session_columns} FROM sessions AS s {JOINED} WHERE s.id = :id"
        found = self._one(sql, {"id": session_id, "now": now, **self.holding.parameters})
        return rows.checked_session(found) if found else None

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        sql = _BY_NUMBER.format(columns=self._session_columns, number=":number")
        found = self._one(sql, {"number": number, "now": now, **self.holding.parameters})
        return found and (rows.session(found), found[-1])

    def ids_beginning(self, prefix: str, limit: int) -> list[str]:
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        sql = "SELECT id FROM sessions WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        return [row[0] for row in self._all(sql, (prefix, after, limit))]

    def page(self, selection: SessionFilter, now: int, limit: int, after: Cursor | None = None) -> Page:
        numbers, is_many, since = (*self._searched(selection), None) if after is None else after[1:]
        walk = self._walk(selection, now, numbers, since)
        if walk.chosen.is_sifted and numbers is None and not is_many:
            if page := walk.near(limit, after):
                return page
            numbers = walk.few()
            is_many = numbers is None
            walk = self._walk(selection, now, numbers, since)
        sessions, last = walk.page(limit, after)
        return Page(sessions, last and Cursor(last.key, numbers, is_many, since))

    def place(self, selection: SessionFilter, session: Session) -> Cursor | None:
        key = place(selection, session)
        return None if key is None else Cursor(key, *self._searched(selection))

    def resumed(self, selection: SessionFilter, key: tuple[Any, ...]) -> Cursor | None:
        return Cursor(key, *self._searched(selection)) if is_key(selection, key) else None

    def in_order(
        self, selection: SessionFilter, now: int, sort: Sort, limit: int | None = None, after: Cursor | None = None
    ) -> Sequence[int]:
        chosen = moving.unmoved(self._compiled(selection, now), after and after.since, sort)
        return array("q", (row[0] for row in sorted_numbers(self.connection, chosen, sort, limit, after)))

    def sorted_place(self, sort: Sort, number: int) -> Cursor | None:
        found = self._one(
            f"SELECT {SORTED[sort.field]}, s.number FROM sessions AS s {JOINED} WHERE s.number = ?", (number,)
        )
        return None if found is None else Cursor(found)

    def counters(self) -> Mark:
        return moving.counters(self.connection)

    def moved(self, selection: SessionFilter, now: int, limit: int, after: Cursor, sort: Sort | None) -> list[Session]:
        return moving.page(self._walk(selection, now, self.found(selection)), limit, after, sort)

    def numbered(self, numbers: Sequence[int], now: int) -> list[Session]:
        sql = (
            f"SELECT {self._session_columns} FROM json_each(:numbers) AS n CROSS JOIN sessions AS s ON s.number = n.value {JOINED}"
            " ORDER BY n.id"
        )
        found = self._all(sql, {"numbers": json.dumps(list(numbers)), "now": now, **self.holding.parameters})
        return [rows.checked_session(row) for row in found]

    def _walk(
        self, selection: SessionFilter, now: int, numbers: Sequence[int] | None, since: Mark | None = None
    ) -> Walk:
        chosen = moving.unmoved(compiled(selection, now, self.holding, self.profile_keys, numbers), since)
        return Walk(self.connection, self._session_columns, chosen)

    def found(self, selection: SessionFilter) -> Sequence[int] | None:
        """What the index knows of a selection's search; None where there is none, or another criterion leaves less to look at."""
        return self._searched(selection)[0]

    def _searched(self, selection: SessionFilter) -> tuple[Sequence[int] | None, bool]:
        """The same, and whether so many are known to be selected that walking the list soon meets them."""
        if selection.search is None or selection.username is not None or selection.ids:
            return None, False
        numbers = searching.found(self.connection, fold(selection.search))
        if numbers is None or len(numbers) <= searching.FEW:
            return numbers, False
        return None, set(selection.criteria()) <= {"search", "kind"}

    def _compiled(self, selection: SessionFilter, now: int) -> Selection:
        return compiled(selection, now, self.holding, self.profile_keys, self.found(selection))

    def numbers(self, selection: SessionFilter, now: int) -> Sequence[int]:
        from authctl.store import affected

        return affected.selected(self.connection, self._compiled(selection, now))

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        from authctl.store import affected

        return affected.used_last(self.connection, numbers, limit)

    def summary(self, numbers: Sequence[int], now: int, largest: int) -> Summary:
        from authctl.store import affected

        return affected.summary(self.connection, numbers, self.holding, now, largest)

    def count(self, selection: SessionFilter, now: int, at_most: int | None = None) -> int:
        if at_most is None and set(selection.criteria()) <= {"status", "kind"}:
            held = {key: event.started_at for key, event in self.holding.running(now).items()}
            living_since = {key: held.get(key, now) for key in self.profile_keys()}
            return tally(self.connection, selection.statuses, selection.kind, living_since)
        chosen = self._compiled(selection, now)
        everywhere = " AND s.kind IN ('application', 'web')" if chosen.by_kind else ""
        limit = "" if at_most is None else " LIMIT :at_most"
        counted = 0
        for lane in chosen.lanes:
            within = f"{chosen.where} AND {lane.condition}{everywhere}{limit}"
            sql = f"SELECT count(*) FROM (SELECT 1 FROM {chosen.counted(lane)} WHERE {within})"
            parameters = {**chosen.parameters, **lane.parameters}
            counted += self._number(sql, {**parameters, "at_most": at_most and max(0, at_most - counted)})
        return counted

    def profile_keys(self) -> list[str]:
        """The keys of the profiles that have sessions which are not revoked, each found by one look into the index."""
        least = f"SELECT min(profile_key) FROM sessions INDEXED BY sessions_by_expiry WHERE revocation_id = {OPEN} AND kind = :kind"
        sql = (
            f"WITH RECURSIVE found (key) AS ({least} UNION ALL SELECT ({least} AND profile_key > key) FROM found"
            " WHERE key IS NOT NULL) SELECT key FROM found WHERE key IS NOT NULL"
        )
        return sorted({row[0] for kind in Kind for row in self._all(sql, {"kind": kind.value})})

    def groups(self, selection: SessionFilter, by: Grouping, now: int) -> list[Group]:
        chosen = self._compiled(selection, now)
        everywhere = " AND s.kind IN ('application', 'web')" if chosen.by_kind else ""
        name = _GROUPED[by]
        counts = ", ".join(f"sum({status_sql(status, self.holding, now)})" for status in Status)
        sql = (  # SQLite takes a bare column from the row that has the maximum
            f"SELECT s.{name}, {counts}, max(s.last_used_at) AS used FROM {chosen.counted()}"
            f" WHERE {chosen.where_at_all}{everywhere} GROUP BY s.{name}_key ORDER BY used DESC, s.{name}_key"
        )
        return [model.Group(*row) for row in self._all(sql, chosen.parameters)]

    def user_keys_beyond_ascii(self) -> list[str]:
        least = "SELECT min(username_key) FROM sessions INDEXED BY sessions_by_user"
        sql = (
            f"WITH RECURSIVE found (key) AS ({least} UNION ALL SELECT ({least} WHERE username_key > key) FROM found"
            " WHERE key IS NOT NULL) SELECT key FROM found WHERE key GLOB '*[^ -~]*'"
        )
        return [row[0] for row in self._all(sql)]

    def nearest_users(self, username: str, limit: int) -> list[str]:
        from authctl.store import spelling

        return spelling.nearest(self.connection, fold(username), limit)

    def user(self, username: str) -> User | None:
        found = self._one(f"SELECT {rows.USER} FROM users WHERE username_key = ?", (fold(username),))
        return rows.user(found) if found else None

    def users_among(self, usernames: Collection[str]) -> dict[str, User]:
        sql = f"SELECT username_key, {rows.USER} FROM users WHERE username_key IN (SELECT value FROM json_each(?))"
        found = self._all(sql, (json.dumps(list(map(fold, usernames))),))
        return {key: rows.user(row) for key, *row in found}

    def users(self) -> list[User]:
        return [rows.user(row) for row in self._all(f"SELECT {rows.USER} FROM users ORDER BY username_key")]

    def signed(self, now: int) -> dict[str, Signed]:
        end = self.holding.end("s.expires_at")
        # a refresh gives the session tokens of another key; use moves a single one's deadline up to its absolute one
        until = "iif(s.tokens = 'single' AND s.fixed_expires_at IS NULL, s.absolute_expires_at, s.expires_at)"
        sql = (
            f"SELECT s.key_id, count(*), max(max({until}, {end})) FROM sessions AS s INDEXED BY sessions_by_revocation"
            f" WHERE {status_sql(Status.ACTIVE, self.holding, now)} AND s.key_id IS NOT NULL GROUP BY s.key_id"
        )
        found = self._all(sql, {"now": now, **self.holding.parameters})
        return {key_id: Signed(sessions, last) for key_id, sessions, last in found}

    def covered(self, revocation_id: int) -> int:
        sql = "SELECT count(*) FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = ?"
        return self._number(sql, (revocation_id,))

    def count_revocations_by_criteria(self) -> tuple[int, int]:
        sql = "SELECT count(*), max(id) FROM revocations INDEXED BY revocations_by_criteria WHERE by_criteria"
        count, last = self._one(sql) or (0, None)
        return count, last or 0

    def revocations_by_criteria(self) -> list[PastRevocation]:
        sql = (
            "SELECT id, at, selector, last_number, profiles FROM revocations INDEXED BY revocations_by_criteria"
            " WHERE by_criteria AND NOT everything ORDER BY at, id"
        )
        return [
            PastRevocation(id_, at, selector, last_number, rows.profiles(profiles) if profiles else None)
            for id_, at, selector, last_number, profiles in self._all(sql)
        ]

    def restored_at(self) -> int | None:
        found = self._one("SELECT restored_at FROM registry")
        return found[0] if found else None

    def count_ended(self) -> int:
        return self._number("SELECT count(*) FROM sessions INDEXED BY sessions_by_end WHERE ended_at IS NOT NULL")

    def latest_revoke_all(self) -> tuple[int, int] | None:
        found = self._one(f"SELECT id, at FROM revocations WHERE id = ({LATEST_REVOKE_ALL})")
        return found and (found[0], found[1])

    def profiles(self) -> ProfileSet:
        return profiles_in_force(self.connection)

    def deadline_changes(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        from authctl.store import affected

        return affected.deadline_changes(self.connection, profiles, self.holding, now)

    def ended_by(self, profiles: ProfileSet, now: int) -> Sequence[int]:
        from authctl.store import affected

        return affected.ended_by(self.connection, profiles, self.holding, now)

    def held(self, profile: str, now: int) -> int:
        event = self.holding.running(now).get(fold(profile))
        if event is None:
            return 0
        return unended(self.connection, fold(profile), event.started_at, now)

    def events(self, selection: EventFilter, limit: int, before: int | None = None) -> list[AuditEvent]:
        asked = _event_criteria(selection)
        asked.add("seq < :before", "before", before)
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE {asked.where} ORDER BY seq DESC LIMIT :limit"
        return [rows.event(row) for row in self._all(sql, {**asked.parameters, "limit": limit})]

    def event(self, seq: int) -> AuditEvent | None:
        found = self._one(f"SELECT {rows.EVENT} FROM audit_events WHERE seq = ?", (seq,))
        return rows.event(found) if found else None

    def chain(self, after: int, limit: int) -> list[AuditEvent]:
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE seq > ? ORDER BY seq LIMIT ?"
        return [rows.event(row) for row in self._all(sql, (after, limit))]

    def last_event(self) -> AuditEvent | None:
        found = self._one(f"SELECT {rows.EVENT} FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)")
        return rows.event(found) if found else None

    def has_event_since(self, seq: int, actions: Collection[str]) -> bool:
        sql = "SELECT 1 FROM audit_events WHERE seq > ? AND action IN (SELECT value FROM json_each(?)) LIMIT 1"
        return self._one(sql, (seq, json.dumps(list(actions)))) is not None

    def ended_before(self, cutoff: int, *, keep_unacknowledged: bool = False) -> Removable:
        expired, revoked = removable(self.holding, cutoff)
        parameters = {"cutoff": cutoff, "profiles": json.dumps(self.profile_keys()), **self.holding.parameters}
        found = self._one(f"SELECT count(*), sum({UNACKNOWLEDGED}) FROM {revoked}", parameters) or (0, 0)
        every, unacknowledged = found[0], found[1] or 0
        gone = (every - unacknowledged, 0) if keep_unacknowledged else (every, unacknowledged)
        return Removable(self._number(f"SELECT count(*) FROM {expired}", parameters), *gone)

    def cached_login(self, profile: str, username: str) -> CachedLogin | None:
        sql = f"SELECT {rows.LOGIN} FROM cached_logins WHERE profile_key = ? AND username_key = ?"
        found = self._one(sql, (fold(profile), fold(username)))
        return rows.login(found) if found else None

    def cached_logins(self, username: Texts = None) -> list[CachedLogin]:
        asked = Criteria()
        asked.add_texts("username_key", "username", username)
        sql = f"SELECT {rows.LOGIN} FROM cached_logins WHERE {asked.where} ORDER BY last_used_at DESC, username_key, profile_key"
        return [rows.login(row) for row in self._all(sql, asked.parameters)]

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        sql = (
            f"SELECT {self._session_columns}, i.said_at, i.key, i.key_without_user, i.profile_named"
            f" FROM imported AS i INDEXED BY {{index}} JOIN sessions AS s ON s.number = i.number {JOINED} WHERE {{condition}}"
        )
        either = [
            ("imported_by_key", f"i.key IN ({_listed('key', keys)})", "key", keys),
            (
                "imported_by_key_without_user",
                f"i.key_without_user IN ({_listed('without', keys_without_user)}) AND i.key_without_user IS NOT NULL",
                "without",
                keys_without_user,
            ),
        ]
        found: dict[int, ImportedDetail] = {}
        for index, condition, name, values in either:
            given = {f"{name}_{position}": value for position, value in enumerate(values)}
            parameters = {**given, "now": now, **self.holding.parameters}
            for row in self._all(sql.format(index=index, condition=condition), parameters) if values else ():
                session = rows.checked_session(row)
                said_at, key, without_user, named = row[-4:]
                found[session.number] = ImportedDetail(session, json.loads(said_at), key, without_user, bool(named))
        return [found[number] for number in sorted(found)]

    def imported_finals(self, keys: Sequence[bytes], *, without_user: bool = False) -> dict[bytes, int]:
        sql = f"SELECT key, at FROM imported_finals WHERE key IN ({_listed('key', keys)}) AND without_user = :without_user"
        given = {f"key_{index}": key for index, key in enumerate(keys)}
        return dict(self._all(sql, {**given, "without_user": without_user}))


def _listed(name: str, values: Sequence[object]) -> str:
    """A parameter for each value: JSON cannot carry the bytes of a key."""
    return ", ".join(f":{name}_{index}" for index in range(len(values)))


_GROUPED = {Grouping.USER: "username", Grouping.APPLICATION: "application", Grouping.PLATFORM: "platform"}


def removable(holding: Holding, cutoff: int) -> tuple[str, str]:
    """The expired and the revoked sessions whose end lies before a cutoff, the parameter of that name."""
    expired = (
        "sessions AS s INDEXED BY sessions_by_expiry"
        f" WHERE s.revocation_id = {OPEN} AND s.kind IN ('application', 'web') AND {AMONG_PROFILES} AND s.expires_at < :cutoff"
        f" AND NOT {holding.kept(cutoff)}"
    )
    return expired, f"{REVOKED} WHERE r.at IS NOT NULL AND r.at < :cutoff"


def _event_criteria(selection: EventFilter) -> Criteria:
    asked = Criteria()
    asked.add("at >= :since", "since", selection.since)
    asked.add("at < :until", "until", selection.until)
    asked.add_values("actor", "actor", texts_of(selection.actor))
    asked.add_values("action", "action", texts_of(selection.action))
    asked.add_list(_ABOUT_SESSION, "session", texts_of(selection.session_id))
    asked.add_list(_ABOUT_USER, "username", keys_of(selection.username))
    asked.add_text(f"instr({_EVENT_TEXT}, :search)", "search", selection.search)
    return asked
