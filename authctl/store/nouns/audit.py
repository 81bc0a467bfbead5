"""The audit log. Triggers of the schema, and on a server the rights of a role, keep it append-only.

See docs/glossary.md#audit-chain.
"""

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from authctl.model import AuditEvent, EventFilter
    from authctl.model.audit import NewEvent, Place
    from authctl.store.sql.dialect import Dialect
    from authctl.store.sql.filters import Criteria


def _is_about_session(dialect: "Dialect") -> str:
    """Whether an event is about a session in the list `:session`."""
    listed = partial(dialect.is_listed, parameter="session")
    names_one = dialect.has_member("detail", "sessions", "session")
    return (
        f"({listed('subject')} OR action = 'session.revoke' AND (subject IN ({_covering(dialect)} {listed('s.id')}) OR {names_one})"
        " OR action IN ('user.disable', 'user.password', 'key.retire', 'session.import', 'import.undo')"
        f" AND {names_one})"
    )


def _is_about_user(dialect: "Dialect") -> str:
    """Whether an event is about a user in the list `:username`."""
    listed = partial(dialect.is_listed, parameter="username")
    return (
        f"({listed(dialect.member('detail', 'username_key'))} OR action = 'session.revoke'"
        f" AND subject IN ({_covering(dialect, 'sessions_by_user')} {listed('s.username_key')})"
        " OR action IN ('session.revoke', 'key.retire', 'session.import', 'import.undo')"
        f" AND {dialect.has_member('detail', 'username_keys', 'username')})"
    )


def _covering(dialect: "Dialect", index: str = "") -> str:
    """The subjects of the events of revocations that cover some sessions, without the condition on these."""
    # A revocation is the subject of its event by its number; the sessions that it covers are read from their rows.
    table, is_open = dialect.table("sessions", "s", index), tables(dialect).open_revocation
    return f"SELECT CAST(s.revocation_id AS TEXT) FROM {table} WHERE s.revocation_id <> {is_open} AND"


def _criteria(selection: "EventFilter", dialect: "Dialect") -> "Criteria":
    from authctl.model import texts_of
    from authctl.store.sql.filters import Criteria, keys_of

    criteria = Criteria(dialect)
    criteria.add("at >= :since", "since", selection.since)
    criteria.add("at < :until", "until", selection.until)
    criteria.add_values("actor", "actor", texts_of(selection.actor))
    criteria.add_values("action", "action", texts_of(selection.action))
    # Events of revocations name a thousand sessions at the most; beyond that, the row of the session names its revocation.
    criteria.add_list(_is_about_session(dialect), "session", texts_of(selection.session_id))
    criteria.add_list(_is_about_user(dialect), "username", keys_of(selection.username))
    criteria.add_text(dialect.contains(dialect.event_text, "search"), "search", selection.search)
    return criteria


class AuditReader(Reader):
    """`AuditView` over any database."""

    def events(self, selection: "EventFilter", limit: int, before: int | None = None) -> "list[AuditEvent]":
        criteria = _criteria(selection, self.dialect)
        criteria.add("seq < :before", "before", before)
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE {criteria.where} ORDER BY seq DESC LIMIT :limit"
        return [rows.event(row) for row in self.all_rows(sql, {**criteria.parameters, "limit": limit})]

    def actors(self, keys: Collection[str]) -> list[str]:
        every = self.all_rows("SELECT DISTINCT actor FROM audit_events")
        return [actor for (actor,) in every if fold(actor) in keys]

    def event(self, seq: int) -> "AuditEvent | None":
        row = self.one_row(f"SELECT {rows.EVENT} FROM audit_events WHERE seq = ?", (seq,))
        return rows.event(row) if row else None

    def chain(self, after: int, limit: int) -> "list[AuditEvent]":
        sql = f"SELECT {rows.EVENT} FROM audit_events WHERE seq > ? ORDER BY seq LIMIT ?"
        return [rows.event(row) for row in self.all_rows(sql, (after, limit))]

    def last_event(self) -> "AuditEvent | None":
        row = self.one_row(f"SELECT {rows.EVENT} FROM audit_events ORDER BY seq DESC LIMIT 1")
        return rows.event(row) if row else None

    def has_event_since(self, seq: int, actions: Collection[str]) -> bool:
        sql = f"SELECT 1 FROM audit_events WHERE seq > :seq AND {self.dialect.is_listed('action', 'actions')} LIMIT 1"
        return self.one_row(sql, {"seq": seq, "actions": self.dialect.list_of(actions)}) is not None


class AuditWriter(Writer):
    """`AuditChange` over any database."""

    def append_at_commit(self, event: "NewEvent") -> "Callable[[], Place] | None":  # noqa: ARG002  # see the contract
        return None

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
