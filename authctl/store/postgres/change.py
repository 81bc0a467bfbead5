"""The change of the store in PostgreSQL: one small class a noun, as the protocol has them."""

from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.audit import AuditWriter
from authctl.store.nouns.clients import ClientsWriter
from authctl.store.nouns.continuity import ContinuityWriter
from authctl.store.nouns.facts import FactsWriter
from authctl.store.nouns.import_undo import ImportUndoWriter
from authctl.store.nouns.imports import ImportsWriter
from authctl.store.nouns.keys import KeysWriter
from authctl.store.nouns.logins import LoginsWriter
from authctl.store.nouns.outbox import OutboxWriter
from authctl.store.nouns.profiles import ProfilesWriter
from authctl.store.nouns.revocations import RevocationsWriter
from authctl.store.nouns.sessions import SessionsWriter
from authctl.store.nouns.users import UsersWriter
from authctl.store.nouns.wipes import WipesWriter
from authctl.store.postgres.cleanup import CleanupWriter
from authctl.store.postgres.connection import gate_key, let_take_time
from authctl.store.postgres.view import PostgresView
from authctl.store.sql import rows

if TYPE_CHECKING:
    from authctl.model import AuditEvent
    from authctl.store.postgres.connection import Connection
    from authctl.store.protocol.backups import Carried

_SLOTS = 64
"""How many rows the recorded time has: changes that are under way at once seldom wait for each other to write it."""

_RECORD_TIME = f"""
    INSERT INTO clock (slot, seen_at, leapt_at) VALUES (pg_backend_pid() % {_SLOTS}, :at, NULL)
    ON CONFLICT (slot) DO UPDATE SET seen_at = greatest(clock.seen_at, excluded.seen_at), leapt_at =
        CASE WHEN (SELECT max(seen_at) FROM clock) BETWEEN 1 AND :at - :leap THEN :at ELSE clock.leapt_at END
"""


def text_of_event(note: str | None, subject: str | None, actor: str, action: str, detail: str) -> str:
    """The folded text of an audit event, in which events are searched."""
    return fold(f"{note or ''} {subject or ''} {actor} {action} {detail}")


class PostgresChange(
    PostgresView,
    CleanupWriter,
    FactsWriter,
    SessionsWriter,
    UsersWriter,
    RevocationsWriter,
    ContinuityWriter,
    ProfilesWriter,
    KeysWriter,
    AuditWriter,
    LoginsWriter,
    WipesWriter,
    ImportsWriter,
    ImportUndoWriter,
    ClientsWriter,
    OutboxWriter,
):
    """`Change` over PostgreSQL: a transaction that holds the gate."""

    def __init__(self, connection: "Connection", registry_id: str, *, shared: bool) -> None:
        super().__init__(connection)
        self.locks_rows = shared
        self._registry_id = registry_id
        self._has_chain = False

    def record_time(self, at: int) -> None:
        from authctl.store.protocol.registry import CLOCK_JUMP

        # decision 88: a leap from the first instant on is remembered, since 0 is that of an empty registry
        self.write(_RECORD_TIME, {"at": at, "leap": CLOCK_JUMP})

    def take_time(self) -> None:
        let_take_time(self.connection.connection)

    def last_event(self) -> "AuditEvent | None":
        """The newest event, which the next one follows. From now on until the commit nobody else appends one.

        The chain is the last lock of a change (decision 297): it is held for a commit alone.
        """
        if not self._has_chain:
            # By a statement of its own: the snapshot of a statement that takes a lock is older than the lock.
            self.write("SELECT pg_advisory_xact_lock(?)", (gate_key(self._registry_id, "chain"),))
            self._has_chain = True
        return super().last_event()

    def add_event(self, event: "AuditEvent") -> None:
        text = text_of_event(event.note, event.subject, event.actor, event.action, event.detail)
        sql = f"INSERT INTO audit_events ({rows.EVENT}, text_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.write(sql, (*event, text))
        # By it, the outcome of a commit whose answer was lost is found out.
        self.connection.connection.last_event = (event.seq, event.hash)

    def carry_over(self, at: int, ended_at: int | None = None) -> "Carried":  # noqa: ARG002  # see below
        raise RuntimeError("a restore carries over into a draft, which is a file")
