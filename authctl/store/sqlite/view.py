"""The view of the SQLite store: one small class a noun, as the protocol has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.store.sqlite.audit import AuditReader
from authctl.store.sqlite.cleanup import CleanupReader
from authctl.store.sqlite.continuity import ContinuityReader
from authctl.store.sqlite.counts import CountsReader
from authctl.store.sqlite.facts import FactsReader
from authctl.store.sqlite.import_journal import ImportJournalReader
from authctl.store.sqlite.import_undo import ImportUndoReader
from authctl.store.sqlite.imports import ImportsReader
from authctl.store.sqlite.keys import KeysReader
from authctl.store.sqlite.logins import LoginsReader
from authctl.store.sqlite.outbox import OutboxReader
from authctl.store.sqlite.pages import PagesReader
from authctl.store.sqlite.profiles import ProfilesReader
from authctl.store.sqlite.reader import Reader
from authctl.store.sqlite.revocations import RevocationsReader
from authctl.store.sqlite.sessions import SessionsReader
from authctl.store.sqlite.users import UsersReader

if TYPE_CHECKING:
    from authctl.store.protocol.previews import Summary


class PreviewsReader(Reader):
    """`PreviewsView` over SQLite; its module is loaded when a preview is asked for."""

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        from authctl.store.sqlite import previews

        return previews.used_last(self.connection, numbers, limit)

    def summary(self, numbers: Sequence[int], now: int, largest: int) -> Summary:
        from authctl.store.sqlite import previews

        return previews.summary(self.connection, numbers, self.continuity, now, largest)


class SqliteView(
    FactsReader,
    SessionsReader,
    PagesReader,
    CountsReader,
    PreviewsReader,
    UsersReader,
    RevocationsReader,
    ContinuityReader,
    ProfilesReader,
    KeysReader,
    AuditReader,
    LoginsReader,
    ImportsReader,
    ImportJournalReader,
    ImportUndoReader,
    CleanupReader,
    OutboxReader,
):
    """`View` over SQLite: a snapshot."""
