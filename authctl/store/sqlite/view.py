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
from authctl.store.sqlite.pages import PagesReader
from authctl.store.sqlite.profiles import ProfilesReader
from authctl.store.sqlite.reader import Reader
from authctl.store.sqlite.revocations import RevocationsReader
from authctl.store.sqlite.sessions import SessionsReader
from authctl.store.sqlite.users import UsersReader

if TYPE_CHECKING:
    from authctl.store.protocol.previews import Aftermath, Summary


class PreviewsReader(Reader):
    """`PreviewsView` over SQLite; its module is loaded when a preview is asked for."""

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        from authctl.store.sqlite import previews

        return previews.used_last(self.connection, numbers, limit)

    def beyond_newest(self, numbers: Sequence[int], keep: int) -> Sequence[int]:
        from authctl.store.sqlite import previews

        return previews.beyond_newest(self.connection, numbers, keep)

    def ids_of(self, numbers: Sequence[int]) -> list[str]:
        from authctl.store.sqlite import previews

        return previews.ids_of(self.connection, numbers)

    def counts_by_user(self, numbers: Sequence[int]) -> dict[str, int]:
        from authctl.store.sqlite import previews

        return previews.counts_by_user(self.connection, numbers)

    def aftermath(self, numbers: Sequence[int], at: int, now: int, reason: str | None) -> Aftermath:
        from authctl.store.sqlite import previews

        return previews.aftermath(self.connection, numbers, self.continuity, at, now, reason)

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
):
    """`View` over SQLite: a snapshot."""
