"""Imports: sessions of other systems, the rows that they come from, and the room where rows wait.

See docs/glossary.md#late-row and docs/glossary.md#digest-of-rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authctl.lifetimes import Deadlines
    from authctl.model import NewSession, Session


class StagedRow(NamedTuple):
    """A row of an import: the latest instant at which it shows its session in use, and its details by name."""

    at: int
    details: dict[str, Any]
    line: int = 0
    """The number of its first line in the file."""
    created_at: int | None = None
    """When its session began, where the source gives that."""
    is_created_exact: bool = False
    """Whether that instant is the same in every listing. One that was computed from an age is not."""
    ended_at: int | None = None
    ended_reason: str | None = None
    """When and why its session ended in its source; None where it did not."""
    listed_at: int | None = None
    """When the listing was taken that has the row, if it is a listing."""


class StagedKey(NamedTuple):
    """A key of an import with all its rows, the oldest first."""

    key: bytes
    key_without_user: bytes | None
    """The digest of the key without the user, if the mapping's key does not name the user."""
    rows: list[StagedRow]
    digest: bytes = b""
    """The digest of the rows, without their places in files and the time of the listing."""


class SourceFacts(NamedTuple):
    """The facts about a session in its source, beside its details."""

    created_at: int | None = None
    """When it began, exactly; a part of its identity. None where the source does not give that."""
    listed_at: int | None = None
    """When the latest listing was taken that has it."""
    ended_at: int | None = None
    ended_reason: str | None = None
    """When and why it ended there."""


class Imported(NamedTuple):
    """A session of an import: the key of its rows, and for each detail the instant of its row."""

    key: bytes
    session: NewSession
    detail_times: dict[str, int]
    revocation_id: int | None
    """The closed revocation to register it under, or None."""
    key_without_user: bytes | None = None
    profile_named: bool = False
    """Whether the import named the profile, so that no assignment decides it."""
    facts: SourceFacts = SourceFacts()
    rows: tuple[StagedRow, ...] = ()
    """Its rows, where a later end may part them; else none are stored."""
    rows_digest: bytes | None = None
    """The digest of all rows of its key in this import, if they are all its own."""


class PlainSession(NamedTuple):
    """A new session of an import as its rows give it: no operation binds it, and it is under no closed revocation."""

    key: bytes
    key_without_user: bytes | None
    rows_digest: bytes
    details: dict[str, Any]
    """Its texts by name, and under `expires_at` its fixed expiry."""
    detail_times: dict[str, int] | int
    """For each detail the instant of its row; one instant if it is the same for all."""
    username_key: str
    profile: str
    deadlines: Deadlines
    """By its profile alone."""
    created_at: int
    last_used_at: int
    is_created_exact: bool
    listed_at: int | None
    source: str | None
    profile_named: bool


class SameRows(NamedTuple):
    """A session that was made of the same rows of a key that are imported again."""

    key: bytes
    number: int
    listed_at: int | None
    used_after_end_at: int | None


class ImportedDetail(NamedTuple):
    """A session that an import registered, and for each detail the instant of its row."""

    session: Session
    detail_times: dict[str, int]
    key: bytes
    key_without_user: bytes | None = None
    profile_named: bool = False
    facts: SourceFacts = SourceFacts()
    rows: tuple[StagedRow, ...] = ()


class Final(NamedTuple):
    """The end of a removed session of a key: rows up to it change nothing."""

    at: int
    """When the session was revoked or ended, or was last used."""
    created_at: int | None = None
    """When it began, where its source gave that."""
    is_of_none: bool = False
    """Whether it has no source."""


class CompleteListing(NamedTuple):
    """A listing of all sessions of a source, or of all sessions of one user there."""

    username_key: str
    """The folded user name; blank for all users."""
    taken_at: int


class ImportsView(Protocol):
    """Reading imported sessions."""

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        """The sessions that were imported under those keys, or under those keys without the user; the oldest first."""

    def last_imported(self) -> int:
        """The greatest number of an imported session; 0 without one. Each new session has a greater one."""

    def made_of_same_rows(self, keys: Sequence[StagedKey], source: str | None) -> list[SameRows]:
        """The sessions of a source, or without one of any, that were made of just the rows of these keys.

        Two kinds are not among them. Rows may bring back a session that ended because a complete listing did not have it. If
        another user has a session of the same key, its end may apply to the rows.
        """

    def imported_finals(
        self, keys: Sequence[bytes], source: str | None, *, without_user: bool = False
    ) -> dict[bytes, list[Final]]:
        """The ends of removed sessions with those keys, of that source or of none; without a source, of any.

        With `without_user`, those are keys without the user, whose user is no longer known.
        """

    def imported_ahead(self, keys: Sequence[bytes]) -> set[tuple[bytes, int]]:
        """The keys and instants of rows of those keys that were ahead of the clock and changed nothing."""

    def complete_listings(self, source: str) -> list[CompleteListing]:
        """The complete listings of a source, the earliest first."""

    def missing_in_listing(
        self,
        source: str | None,
        user_keys: Sequence[str],
        taken_at: int,
        now: int,
        numbers: Sequence[int] | None = None,
    ) -> list[int]:
        """The numbers of the active sessions of a source, or of none, that were created, last used and last listed before an instant.

        Only sessions of the users with those folded names, if there are any; only those with some `numbers`, if these are given.
        """

    def ended_later(
        self, source: str, user_keys: Sequence[str], taken_at: int, numbers: Sequence[int] | None = None
    ) -> list[int]:
        """The numbers of the sessions that later complete listings ended, and that were last seen before an instant.

        Only sessions of the users with those folded names, if there are any; only those with some `numbers`, if these are given.
        """

    def count_of_source(
        self, source: str | None, user_keys: Sequence[str], now: int, numbers: Sequence[int] | None = None
    ) -> int:
        """How many active sessions a source has, or some users there; only those with some `numbers`, if these are given."""


class ImportsChange(Protocol):
    """Writing imported sessions. Within a batch of `ImportJournalChange`, each method journals its changes."""

    def add_imported(self, sessions: Sequence[Imported | PlainSession]) -> None:
        """Register imported sessions, in this order."""

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        """Replace the details of imported sessions, by their numbers. Their ids stay, and so do revocations, unless one is named."""

    def adopt_sessions(self, numbers: Sequence[int], source: str) -> None:
        """Give a source to sessions that have none, by their numbers."""

    def adopt_finals(self, keys: Iterable[bytes], source: str) -> None:
        """Give a source to the finals of those keys that have none."""

    def add_complete_listings(self, source: str, user_keys: Sequence[str], taken_at: int, import_id: int) -> None:
        """Add a complete listing of a source, of all users or of some."""

    def remove_complete_listings(self, before: int) -> int:
        """Remove complete listings from before an instant, of which a later one has the same source and user."""

    def end_earlier(self, numbers: Sequence[int], taken_at: int) -> None:
        """Move the ends of sessions, which later complete listings made, to the time of an earlier one."""

    def record_listing(self, listed: Sequence[tuple[int, int]]) -> None:
        """Record, by their numbers, when sessions were last listed by their source."""

    def record_use_after_end(self, uses: Sequence[tuple[int, int]]) -> None:
        """Record, by their numbers, when sessions were last used in their source after they had ended here."""

    def replace_rows(self, rows: Sequence[tuple[int, Sequence[StagedRow]]]) -> None:
        """Replace the stored rows of sessions, by their numbers."""

    def keep_ahead(self, ahead: Iterable[tuple[bytes, int]]) -> None:
        """Store the keys and instants of rows ahead of the clock that changed nothing, for `imported_ahead`."""


class Staging(Protocol):
    """Room outside the registry, where the rows of an import wait until the whole file was read."""

    def seen(self, event_id: str) -> bool:
        """Whether that event id was staged before. It counts as staged from now on."""

    def add(self, row: StagedRow, key: bytes, key_without_user: bytes | None = None) -> None:
        """Stage one row."""

    def keys_of_several_users(self) -> set[bytes]:
        """The keys without the user whose rows are of several users."""

    def by_key(self) -> Iterator[StagedKey]:
        """Each key with its rows, the oldest first. The order does not depend on the order of the file.

        Keys that are equal without the user come one after another, in the order of their oldest rows.
        """

    def keys(self) -> int:
        """How many keys were staged."""

    def close(self) -> None:
        """Free the room."""
