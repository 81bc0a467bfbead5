"""The change of the SQLite store: one small class a noun, as the protocol has them."""

from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.audit import AuditReader, AuditWriter
from authctl.store.nouns.facts import FactsWriter
from authctl.store.nouns.outbox import OutboxWriter
from authctl.store.nouns.sessions import SessionsWriter
from authctl.store.nouns.users import UsersReader, UsersWriter
from authctl.store.sql import rows
from authctl.store.sqlite.clock import ClockWriter
from authctl.store.sqlite.reader import Writer
from authctl.store.sqlite.view import SqliteView

if TYPE_CHECKING:
    from authctl.model import AuditEvent, NewSession, ProfileSet, Session, User
    from authctl.store.nouns.clients import ClientsWriter
    from authctl.store.nouns.continuity import ContinuityWriter
    from authctl.store.nouns.import_undo import ImportUndoWriter
    from authctl.store.nouns.imports import ImportsWriter
    from authctl.store.nouns.keys import KeysWriter
    from authctl.store.nouns.logins import LoginsWriter
    from authctl.store.nouns.profiles import ProfilesWriter
    from authctl.store.nouns.revocations import RevocationsWriter
    from authctl.store.nouns.wipes import WipesWriter
    from authctl.store.protocol.backups import Carried
    from authctl.store.sqlite.cleanup import CleanupWriter
    from authctl.store.sqlite.facts import Facts
    from authctl.store.sqlite.library import sqlite3

    class SeldomWriters(
        CleanupWriter,
        ClientsWriter,
        ContinuityWriter,
        ImportUndoWriter,
        ImportsWriter,
        KeysWriter,
        LoginsWriter,
        ProfilesWriter,
        RevocationsWriter,
        WipesWriter,
    ):
        """The nouns that few changes write."""


SELDOM_WRITERS = {
    "nouns.cleanup.RemovalWriter": "remove_ended _expired_after _revoked _remove remove_unnamed_revocations",
    "sqlite.cleanup.CleanupWriter": ("begin_removal end_removal extend_search_index return_free_space"),
    "nouns.clients.ClientsWriter": "add_client replace_client remove_client",
    "nouns.continuity.ContinuityWriter": "start_continuity end_continuity remove_continuity",
    "nouns.import_journal.ImportJournalWriter": (
        "_batch import_id add_import finish_import open_batch keep_range keep_before _keeping record_met keep_listed"
        " keep_finals close_batch drop_journals remove_imports"
    ),
    "nouns.import_undo.ImportUndoWriter": (
        "begin_undo remove_registered restore_before _restore _add_rows_again _end_missing restore_listings"
        " _restore_finals record_undo"
    ),
    "nouns.imports.ImportsWriter": (
        "add_imported _add_others update_imported adopt_sessions adopt_finals add_complete_listings"
        " remove_complete_listings end_earlier record_listing record_use_after_end replace_rows _replace_rows _add_rows"
        " keep_ahead"
    ),
    "nouns.keys.KeysWriter": "end_signed",
    "nouns.logins.LoginsWriter": "save_login use_login forget_logins forget_old_logins",
    "nouns.profiles.ProfilesWriter": (
        "save_profiles save_changeover end_changeover copy_profile_rules recompute_deadlines recompute_deadlines_of"
    ),
    "nouns.revocations.RevocationsWriter": "add_revocation close_open_revocation assign assign_numbers unassign",
    "nouns.wipes.WipesWriter": "deliver_wipe acknowledge_wipe",
}
"""The nouns that few changes write: module and class, with the attributes of the class."""

if not TYPE_CHECKING:
    from authctl.store.sqlite.view import of_nouns

    SeldomWriters = type("SeldomWriters", (Writer,), of_nouns(SELDOM_WRITERS))


class BackupsWriter(Writer):
    """`BackupsChange` over SQLite; its module is loaded by a restore."""

    def carry_over(self, at: int, ended_at: int | None = None) -> "Carried":
        from authctl.store.sqlite.restrictions import carry_over

        self._continuity = None
        return carry_over(self.connection, at, ended_at)


class MovesWriter(FactsWriter):
    """The part of `RegistryChange` about moves, over SQLite."""

    connection: "sqlite3.Connection"

    def close_for_move(self, place: str) -> None:
        from authctl.store.sqlite.moves import close

        super().close_for_move(place)
        close(self.connection)


class SqliteChange(
    SeldomWriters,
    SqliteView,
    MovesWriter,
    ClockWriter,
    SessionsWriter,
    UsersWriter,
    AuditWriter,
    OutboxWriter,
    BackupsWriter,
):
    """`Change` over SQLite: the one writer of the open transaction."""

    def __init__(self, connection: "sqlite3.Connection", facts: "Facts | None" = None) -> None:
        super().__init__(connection)
        self._read_first = facts
        self._changes_before = connection.total_changes
        self._added_event: AuditEvent | None = None

    @property
    def facts(self) -> "Facts | None":
        """The facts that this change read first; None once it has changed a row."""
        return self._read_first if self.connection.total_changes == self._changes_before else None

    def recorded_time(self) -> int:
        facts = self.facts
        return super().recorded_time() if facts is None else facts.recorded_time

    def _recorded(self) -> int:
        return self.recorded_time()

    def profiles(self) -> "ProfileSet":
        facts = self.facts
        if facts is not None:
            return rows.profiles(*facts.profiles)
        from authctl.store.nouns.profiles import profiles_in_force

        return profiles_in_force(self.connection)

    def has_changeover(self) -> bool:
        facts = self.facts
        return self.profiles().changeover is not None if facts is None else facts.has_changeover

    def user(self, username: str) -> "User | None":
        facts = self.facts
        if facts is None or facts.user_key != fold(username):
            return UsersReader.user(self, username)
        return rows.user(facts.user) if facts.has_user else None

    def end_disablings(self, now: int, limit: int) -> "list[User]":
        facts = self.facts
        if facts is not None and (facts.end_of_disabling is None or facts.end_of_disabling > now):
            return []
        return super().end_disablings(now, limit)

    def _is_known_without_events(self) -> bool:
        return self.facts is not None and not self.facts.has_continuity

    def last_event(self) -> "AuditEvent | None":
        # The log has no other writer than `add_event`, and takes no event but the one after its last.
        if self._added_event is not None or self._read_first is None:
            return self._added_event or AuditReader.last_event(self)
        return self._read_first.last_event

    def add_event(self, event: "AuditEvent") -> None:
        super().add_event(event)
        self._added_event = event

    def add_session(self, session: "NewSession", revocation_id: int | None = None) -> "Session":
        facts = self.facts
        if facts is None or revocation_id is not None:
            return super().add_session(session, revocation_id)
        given = rows.columns(session)
        number = self._insert_session(given, facts.open_revocation)
        # Not read back (decision 352): its other columns are blank in every new session.
        return rows.registered(given, number, facts.open_revocation, max(session.last_used_at, facts.recorded_time))
