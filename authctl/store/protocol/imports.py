"""Imports: sessions of other systems, the rows that they come from, and the room where rows wait.

See docs/glossary.md#late-row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authctl.model import NewSession, Session


class StagedRow(NamedTuple):
    """A row of an import: its instant, its details by name, and the number of its first line in the file."""

    at: int
    details: dict[str, Any]
    line: int = 0


class StagedKey(NamedTuple):
    """A key of an import with all its rows, the oldest first."""

    key: bytes
    key_without_user: bytes | None
    """The digest of the key without the user, if the mapping's key does not name the user."""
    rows: list[StagedRow]


class Imported(NamedTuple):
    """A session of an import: the key of its rows, and for each detail the instant of its row."""

    key: bytes
    session: NewSession
    said_at: dict[str, int]
    revocation_id: int | None
    """The closed revocation to register it under, or None."""
    key_without_user: bytes | None = None
    profile_named: bool = False
    """Whether the import named the profile, so that no assignment decides it."""


class ImportedDetail(NamedTuple):
    """A session that an import registered, and for each detail the instant of its row."""

    session: Session
    said_at: dict[str, int]
    key: bytes
    key_without_user: bytes | None = None
    profile_named: bool = False


class ImportsView(Protocol):
    """Reading imported sessions."""

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        """The sessions that were imported under those keys, or under those keys without the user; the oldest first."""

    def imported_finals(self, keys: Sequence[bytes], *, without_user: bool = False) -> dict[bytes, int]:
        """The final instants of removed sessions with those keys: when the last of them was revoked, ended or used.

        Rows of such a key up to that instant change nothing. With `without_user`, those are keys without the user, whose user
        is no longer known.
        """

    def imported_ahead(self, keys: Sequence[bytes]) -> set[tuple[bytes, int]]:
        """The keys and instants of rows of those keys that were ahead of the clock and changed nothing."""


class ImportsChange(Protocol):
    """Writing imported sessions."""

    def add_imported(self, sessions: Sequence[Imported]) -> None:
        """Register imported sessions."""

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        """Replace the details of imported sessions, by their numbers. Their ids stay, and so do revocations, unless one is named."""

    def keep_ahead(self, ahead: Iterable[tuple[bytes, int]]) -> None:
        """Store the keys and instants of rows ahead of the clock that changed nothing, for `imported_ahead`."""


class Staging(Protocol):
    """Room outside the registry, where the rows of an import wait until the whole file was read."""

    def seen(self, event_id: str) -> bool:
        """Whether that event id was staged before. It counts as staged from now on."""

    def add(
        self, line: int, key: bytes, at: int, details: dict[str, Any], key_without_user: bytes | None = None
    ) -> None:
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
