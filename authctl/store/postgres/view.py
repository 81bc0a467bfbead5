"""The view of the store in PostgreSQL: one small class a noun, as the protocol has them."""

from typing import TYPE_CHECKING

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
from authctl.store.postgres.facts import READ_CLOCK, ViewFacts
from authctl.store.postgres.reader import Reader

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection
    from authctl.store.protocol.cursors import MoveCounters


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
    """The methods of `View` over PostgreSQL, in a snapshot or in a change."""

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


class PostgresSnapshot(PostgresView):
    """`View` over PostgreSQL. It knows what was read with its beginning, which stays as it is (decision 366)."""

    def __init__(self, connection: "Connection") -> None:
        self._facts = facts = ViewFacts(*connection.facts)
        # a registry without an open revocation is damaged, and no session is unrevoked there
        super().__init__(connection, "NULL" if facts.open_revocation is None else str(facts.open_revocation))
        self._recorded_time = facts.recorded_time

    def clock(self) -> int | None:
        return self._facts.clock

    def registry_id(self) -> str:
        return self._facts.registry_id

    def last_seal(self) -> tuple[int, str]:
        return self._facts.last_event, self._facts.last_hash

    def move_counters(self) -> "MoveCounters":
        from authctl.store.protocol.cursors import MoveCounters

        facts = self._facts
        counters = (facts.recorded_time, facts.moves, facts.last_number, facts.open_revocation, facts.last_revocation)
        return MoveCounters(*counters)  # type: ignore[arg-type]  # only a damaged registry lacks one of them

    def _is_known_without_events(self) -> bool:
        return not self._facts.has_continuity
