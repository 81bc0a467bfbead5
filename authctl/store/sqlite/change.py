"""The change of the SQLite store: one small class a noun, as the protocol has them."""

from typing import TYPE_CHECKING

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
from authctl.store.sqlite.cleanup import CleanupWriter
from authctl.store.sqlite.clock import ClockWriter
from authctl.store.sqlite.reader import Writer
from authctl.store.sqlite.view import SqliteView

if TYPE_CHECKING:
    from authctl.store.protocol.backups import Carried


class BackupsWriter(Writer):
    """`BackupsChange` over SQLite; its module is loaded by a restore."""

    def carry_over(self, at: int, ended_at: int | None = None) -> "Carried":
        from authctl.store.sqlite.restrictions import carry_over

        self._continuity = None
        return carry_over(self.connection, at, ended_at)


class SqliteChange(
    SqliteView,
    FactsWriter,
    ClockWriter,
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
    CleanupWriter,
    ClientsWriter,
    OutboxWriter,
    BackupsWriter,
):
    """`Change` over SQLite: the one writer of the open transaction."""
