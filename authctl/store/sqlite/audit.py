"""The audit log in SQLite. Triggers of the schema keep it append-only.

See docs/glossary.md#audit-chain.
"""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from authctl.store.sql import rows
from authctl.store.sqlite.dialect import OPEN, SQLITE
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.model import AuditEvent, EventFilter
    from authctl.store.sql.filters import Criteria

# A revocation is the subject of its event by its number; the sessions that it covers are read from their rows.
_COVERING = f"SELECT CAST(s.revocation_id AS TEXT) FROM sessions AS s {{index}} WHERE s.revocation_id <> {OPEN} AND"
_NAMES_ONE = "EXISTS (SELECT 1 FROM json_each(detail, '$.{field}') AS named WHERE named.value IN (SELECT value FROM json_each(:{name})))"
_SESSIONS = "IN (SELECT value FROM json_each(:session))"
_USERS = "IN (SELECT value FROM json_each(:username))"
_ABOUT_SESSION = (
    f"(subject {_SESSIONS} OR action = 'session.revoke'"
    f" AND (subject IN ({_COVERING.format(index='')} s.id {_SESSIONS})"
    f" OR {_NAMES_ONE.format(field='sessions', name='session')})"
    " OR action IN ('user.disable', 'user.password', 'key.retire', 'session.import', 'import.undo')"
    f" AND {_NAMES_ONE.format(field='sessions', name='session')})"
)
_ABOUT_USER = (
    f"(json_extract(detail, '$.username_key') {_USERS} OR action = 'session.revoke'"
    f" AND subject IN ({_COVERING.format(index='INDEXED BY sessions_by_user')} s.username_key {_USERS})"
    " OR action IN ('session.revoke', 'key.retire', 'session.import', 'import.undo')"
    f" AND {_NAMES_ONE.format(field='username_keys', name='username')})"
)
_EVENT_TEXT = (
    "folded(coalesce(note, '') || ' ' || coalesce(subject, '') || ' ' || actor || ' ' || action || ' ' || detail)"
)


def _criteria(selection: "EventFilter") -> "Criteria":
    from authctl.model import texts_of
    from authctl.store.sql.filters import Criteria, keys_of

    criteria = Criteria(SQLITE)
    criteria.add("at >= :since", "since", selection.since)
    criteria.add("at < :until", "until", selection.until)
    criteria.add_values("actor", "actor", texts_of(selection.actor))
    criteria.add_values("action", "action", texts_of(selection.action))
    # Events of revocations name a thousand sessions at the most; beyond that, the row of the session names its revocation.
    criteria.add_list(_ABOUT_SESSION, "session", texts_of(selection.session_id))
    criteria.add_list(_ABOUT_USER, "username", keys_of(selection.username))
    criteria.add_text(SQLITE.contains(_EVENT_TEXT, "search"), "search", selection.search)
    return criteria


class AuditReader(Reader):
    """`AuditView` over SQLite."""

    def events(self, selection: "EventFilter", limit: int, before: int | None = None) -> "list[AuditEvent]":
        criteria = _criteria(selection)
        criteria.add("seq < :before", "before", before)
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE {criteria.where} ORDER BY seq DESC LIMIT :limit"
        return [rows.event(row) for row in self.all_rows(sql, {**criteria.parameters, "limit": limit})]

    def event(self, seq: int) -> "AuditEvent | None":
        row = self.one_row(f"SELECT {rows.EVENT} FROM audit_events WHERE seq = ?", (seq,))
        return rows.event(row) if row else None

    def chain(self, after: int, limit: int) -> "list[AuditEvent]":
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE seq > ? ORDER BY seq LIMIT ?"
        return [rows.event(row) for row in self.all_rows(sql, (after, limit))]

    def last_event(self) -> "AuditEvent | None":
        row = self.one_row(f"SELECT {rows.EVENT} FROM audit_events WHERE seq = (SELECT max(seq) FROM audit_events)")
        return rows.event(row) if row else None

    def has_event_since(self, seq: int, actions: Collection[str]) -> bool:
        sql = "SELECT 1 FROM audit_events WHERE seq > ? AND action IN (SELECT value FROM json_each(?)) LIMIT 1"
        return self.one_row(sql, (seq, json.dumps(list(actions)))) is not None


class AuditWriter(Writer):
    """`AuditChange` over SQLite."""

    def add_event(self, event: "AuditEvent") -> None:
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
        self.write(f"INSERT INTO audit_events ({rows.EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
