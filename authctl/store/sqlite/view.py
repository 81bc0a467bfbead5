"""The view of the SQLite store: one small class a noun, as the protocol has them."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from authctl.store.nouns.facts import FactsReader
from authctl.store.nouns.previews_view import PreviewsReader
from authctl.store.sqlite.reader import Reader

if TYPE_CHECKING:
    from authctl.store.nouns.audit import AuditReader
    from authctl.store.nouns.cleanup import CleanupReader
    from authctl.store.nouns.clients import ClientsReader
    from authctl.store.nouns.continuity import ContinuityReader
    from authctl.store.nouns.counts import CountsReader
    from authctl.store.nouns.effects import EffectsReader
    from authctl.store.nouns.import_journal import ImportJournalReader
    from authctl.store.nouns.import_undo import ImportUndoReader
    from authctl.store.nouns.imports import ImportsReader
    from authctl.store.nouns.keys import KeysReader
    from authctl.store.nouns.logins import LoginsReader
    from authctl.store.nouns.outbox import OutboxReader
    from authctl.store.nouns.pages import PagesReader
    from authctl.store.nouns.profiles import ProfilesReader
    from authctl.store.nouns.revocations import RevocationsReader
    from authctl.store.nouns.sessions import SessionsReader
    from authctl.store.nouns.statistics import StatisticsReader
    from authctl.store.nouns.users import UsersReader
    from authctl.store.sqlite.library import sqlite3

    class SeldomNouns(
        AuditReader,
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
        OutboxReader,
        PagesReader,
        ProfilesReader,
        RevocationsReader,
        SessionsReader,
        StatisticsReader,
        UsersReader,
    ):
        """The nouns that few commands read."""


SELDOM_NOUNS = {
    "nouns.audit.AuditReader": "events event actors chain last_event has_event_since",
    "nouns.cleanup.CleanupReader": "ended_before oldest_end",
    "nouns.clients.ClientsReader": "clients client_named",
    "nouns.continuity.ContinuityReader": "continuity_events held_by_continuity",
    "nouns.counts.CountsReader": "count groups",
    "nouns.effects.EffectsReader": (
        "ended_among ended_by_changeover aftermath aftermath_by_user ends_of_profiles _released _aftermaths _others _given"
    ),
    "nouns.import_journal.ImportJournalReader": "recorded_imports recorded_import latest_import last_import_detail",
    "nouns.import_undo.ImportUndoReader": "registered_by journal_size changed_by",
    "nouns.imports.ImportsReader": (
        "imported last_imported made_of_same_rows imported_finals imported_ahead complete_listings missing_in_listing"
        " ended_later count_of_source _stored_rows _active_of_source _from _source_given _of_source"
    ),
    "nouns.keys.KeysReader": "key_usage",
    "nouns.logins.LoginsReader": "cached_login cached_logins",
    "nouns.outbox.OutboxReader": (
        "subscriptions read_subscriptions deliveries deliveries_of_session outbox_counts has_due announcement delivery"
        " announcement_states announcements_of_revocation announcements_since late_decisions _rest pauses"
    ),
    "nouns.pages.PagesReader": (
        "page cursor_of_session cursor_of_key sorted_numbers cursor_of_number move_counters moved_sessions _walk"
    ),
    "nouns.profiles.ProfilesReader": (
        "profiles deadline_changes has_changeover changeover_counts range_of_sessions ended_by"
    ),
    "nouns.revocations.RevocationsReader": (
        "count_of_revocation sources_of_revocation count_revocations_by_criteria revocations_by_criteria"
        " latest_revoke_all numbers_of_revocation"
    ),
    "nouns.sessions.SessionsReader": (
        "session by_number sessions_by_number active_sessions ids_beginning recent_names sources_beginning numbers count_ended"
    ),
    "nouns.statistics.StatisticsReader": "active_groups sign_ins_by_day ends_by_day revocations_by_day _by_day",
    "nouns.users.UsersReader": "user users_among users user_keys_beyond_ascii user_keys_by_use users_beginning nearest_users",
}
"""The nouns that few commands read: module and class, with the methods of the class."""


def by_attribute(nouns: Mapping[str, str]) -> dict[str, str]:
    """The module and class of each attribute in such a table."""
    return {attribute: noun for noun, attributes in nouns.items() for attribute in attributes.split()}


@cache
def _class_of(noun: str) -> type[Any]:
    """The class of a noun, whose module is loaded for it. Kept, since a change asks for up to nine of them."""
    module, _, cls = noun.rpartition(".")
    found: type[Any] = getattr(import_module(f"authctl.store.{module}"), cls)
    return found


if not TYPE_CHECKING:

    class _OfNoun:
        """An attribute of the class of a noun."""

        def __init__(self, noun: str, name: str) -> None:
            self._noun, self._name = noun, name

        def __get__(self, reader: Reader | None, owner: type[Any]) -> Any:
            attribute = _class_of(self._noun).__dict__[self._name]
            return attribute.__get__(reader, owner) if hasattr(attribute, "__get__") else attribute

    def of_nouns(nouns: Mapping[str, str]) -> dict[str, Any]:
        """The attributes of a class that has those nouns: a module is loaded when one of its noun is first asked for (decision 197)."""
        return {name: _OfNoun(noun, name) for name, noun in by_attribute(nouns).items()}

    SeldomNouns = type("SeldomNouns", (Reader,), of_nouns(SELDOM_NOUNS))


class SqliteView(FactsReader, PreviewsReader, SeldomNouns):
    """`View` over SQLite: a snapshot."""

    connection: "sqlite3.Connection"
