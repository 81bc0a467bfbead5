"""The view of the store in PostgreSQL: one small class a noun, as the protocol has them."""

from authctl.store.nouns.audit import AuditReader
from authctl.store.nouns.cleanup import CleanupReader
from authctl.store.nouns.clients import ClientsReader
from authctl.store.nouns.continuity import ContinuityReader
from authctl.store.nouns.counts import CountsReader
from authctl.store.nouns.effects import EffectsReader
from authctl.store.nouns.facts import FactsReader
from authctl.store.nouns.import_journal import ImportJournalReader
from authctl.store.nouns.import_undo import ImportUndoReader
from authctl.store.nouns.imports import ImportsReader
from authctl.store.nouns.keys import KeysReader
from authctl.store.nouns.logins import LoginsReader
from authctl.store.nouns.outbox import OutboxReader
from authctl.store.nouns.pages import PagesReader
from authctl.store.nouns.previews_view import PreviewsReader
from authctl.store.nouns.profiles import ProfilesReader
from authctl.store.nouns.revocations import RevocationsReader
from authctl.store.nouns.sessions import SessionsReader
from authctl.store.nouns.statistics import StatisticsReader
from authctl.store.nouns.users import UsersReader
from authctl.store.postgres.facts import READ_CLOCK
from authctl.store.postgres.reader import Reader


class PostgresView(
    Reader,
    FactsReader,
    SessionsReader,
    AuditReader,
    PreviewsReader,
    CleanupReader,
    ClientsReader,
    ContinuityReader,
    CountsReader,
    EffectsReader,
    ImportJournalReader,
    ImportUndoReader,
    ImportsReader,
    KeysReader,
    LoginsReader,
    PagesReader,
    ProfilesReader,
    RevocationsReader,
    StatisticsReader,
    UsersReader,
    OutboxReader,
):
    """`View` over PostgreSQL: a snapshot."""

    _recorded_time: int | None = None
    """The recorded time, once it was read, until this transaction changes it."""

    def clock(self) -> int | None:
        row = self.one_row(READ_CLOCK)
        if row is None:
            return None
        self._recorded_time = row[1]
        return int(row[0])

    def recorded_time(self) -> int:
        return super().recorded_time() if self._recorded_time is None else self._recorded_time
