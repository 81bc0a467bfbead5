"""The store of a registry, and its two kinds of transactions: a view to read, and a change to write.

See docs/glossary.md#recorded-time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from authctl.store.protocol.audit import AuditChange, AuditView
from authctl.store.protocol.backups import BackupsChange
from authctl.store.protocol.cleanup import CleanupChange, CleanupView
from authctl.store.protocol.clients import ClientsChange, ClientsView
from authctl.store.protocol.continuity import ContinuityChange, ContinuityView
from authctl.store.protocol.counts import CountsView
from authctl.store.protocol.effects import EffectsView
from authctl.store.protocol.import_journal import ImportJournalChange, ImportJournalView
from authctl.store.protocol.import_undo import ImportUndoChange, ImportUndoView
from authctl.store.protocol.imports import ImportsChange, ImportsView
from authctl.store.protocol.keys import KeysChange, KeysView
from authctl.store.protocol.logins import LoginsChange, LoginsView
from authctl.store.protocol.outbox import OutboxChange, OutboxView
from authctl.store.protocol.pages import PagesView
from authctl.store.protocol.previews import PreviewsView
from authctl.store.protocol.profiles import ProfilesChange, ProfilesView
from authctl.store.protocol.registry import RegistryChange, RegistryView
from authctl.store.protocol.revocations import RevocationsChange, RevocationsView
from authctl.store.protocol.sessions import SessionsChange, SessionsView
from authctl.store.protocol.statistics import StatisticsView
from authctl.store.protocol.users import UsersChange, UsersView
from authctl.store.protocol.wipes import WipesChange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from authctl.model import Client, ProfileSet, Session
    from authctl.store.protocol.health import Health
    from authctl.store.protocol.imports import Staging


class View(
    RegistryView,
    SessionsView,
    PagesView,
    CountsView,
    StatisticsView,
    PreviewsView,
    EffectsView,
    UsersView,
    RevocationsView,
    ContinuityView,
    ProfilesView,
    KeysView,
    AuditView,
    LoginsView,
    ImportsView,
    ImportJournalView,
    ImportUndoView,
    CleanupView,
    ClientsView,
    OutboxView,
    Protocol,
):
    """Reading, from one consistent snapshot."""


class Change(
    View,
    RegistryChange,
    SessionsChange,
    UsersChange,
    RevocationsChange,
    ContinuityChange,
    ProfilesChange,
    KeysChange,
    AuditChange,
    LoginsChange,
    WipesChange,
    ImportsChange,
    ImportJournalChange,
    ImportUndoChange,
    CleanupChange,
    ClientsChange,
    OutboxChange,
    BackupsChange,
    Protocol,
):
    """Reading and writing until the block ends. Then all changes are kept; after an error, none."""

    held_seconds: float
    """After the block: for how long another writer may have waited because of it.

    From the begin of the transaction to the end of its commit; of a `step`, until the disk has its writes, for which the commit
    of another writer may have to wait.
    """


class Store(Protocol):
    """The database of one registry. Threads may share it; a fork of the process may not."""

    def view(self) -> AbstractContextManager[View]:
        """A snapshot for reading. Keep it short: copy the values that you need, and leave the block."""

    def change(
        self,
        *,
        timeout: float | None = None,
        lock_timeouts: int = 1,
        synced: bool = True,
        shared: bool = False,
        step: bool = False,
        sign_in: str | None = None,
        in_turn: bool = False,
        revokes_all: bool = False,
    ) -> AbstractContextManager[Change]:
        """A transaction for writing.

        Nobody else writes during the block, unless it is `shared`: then other shared changes may run at the same time, but never
        one that is not shared. A store may still run them one after another.

        A shared change concerns one session or one login: it adds a session, or writes a use, a refresh, a wipe or a cached
        login; it may revoke the one session that it read, and record events. It must read the session inside its own block, by
        `by_number` or `session`, before it decides anything about it: the store keeps that session unchanged by others from
        then on. Lists and counts that it reads may be out of date. The delivery of announcements is shared, too: see
        `OutboxChange.take_turn`. Whatever concerns several sessions, users, profiles, keys or
        everybody is not shared, so that it meets no session in the middle of a change.

        The call waits for its turn up to 30 seconds, or as long as the store was opened with, times `lock_timeouts`, or up to `timeout` seconds; with 0 it asks
        once. A change that is not `synced` is visible at once, and may be lost in a power cut. A `step` is one of
        many large changes in turn: after each of them, and beside other writers, the store does the upkeep that it otherwise does
        now and then within a commit.

        `sign_in` names the user of a shared change that registers one session. The store may then read the facts that such a change judges
        by before its turn, and ask at the turn whether a change that is not shared came between. If one did, Overtaken is raised within
        the block or at its end, and nothing was done. Whoever repeats it does so `in_turn` in the end: it then reads at its turn. An error of the
        block that comes of facts which the store had read for an earlier sign-in is Overtaken, too. The same goes for a change that
        `revokes_all` sessions, and is not shared. Raises RegistryLocked if the turn does not come; RegistryUnavailable if the database cannot be written.
        """

    def by_number(self, number: int, now: int | None = None) -> tuple[Session, bytes | None] | None:
        """The session with that number, and the hash of its secret: the one look-up of `verify`, on its own connection.

        It is read at the present instant, which `read_at` of the session gives: the time of the store's own clock, or the
        recorded time if that is later. For a store on a server that is the clock of the server, the same for every host. `now`
        replaces that clock, as a test does. Raises RegistryUnavailable if the clock gives no valid time.
        """

    def look_ups(self) -> AbstractContextManager[None]:
        """A block in which look-ups of this thread (`by_number`, `client`) may all read the registry as it was at the first of them.

        A store may as well read it anew for each. No look-up reads an instant before the block began, and none that follows a `change`
        of this thread one before that change. Keep the block short: other threads may wait for it with their look-ups.
        """

    def profiles(self) -> ProfileSet:
        """The profiles in force, as `View.profiles`, on the connection of `by_number`."""

    def clock(self) -> int | None:
        """The time of the store's own clock, which is the same for every host, in microseconds; None if it has only this machine's."""

    def change_number(self) -> int:
        """A number that is another one after every change of the registry by any process, this one included.

        It is cheap enough to be asked every second. Only numbers of one open store can be compared, and only for equality. A store
        that nobody can change may always give the same number.
        """

    def has_events(self, events: Sequence[tuple[int, str]]) -> bool:
        """Whether the audit log has all events of those numbers and hashes."""

    def client(self, client_id: str) -> Client | None:
        """The client of the door with that id, on the connection of `by_number`; None where there is none, or where it was removed."""

    def engine(self) -> Health:
        """The name and version of the database program, and whether it has a known defect."""

    def alone(self) -> AbstractContextManager[bool]:
        """Whether this is the only process and thread inside such a block, which may be false by mistake; True until the block ends.

        A process that is killed leaves the block.
        """

    def keep_space(self) -> None:
        """Keep some space for changes that must be possible on a full disk. Never fails; a store without a disk keeps none."""

    def free_space(self) -> bool:
        """Give that space to the next change. False if none was kept."""

    def back_up(self, path: Path) -> None:
        """Copy the whole registry to a new private file, while others write. Raises Refused if the file exists."""

    def check(self) -> None:
        """Read the whole database. Raises IntegrityFailure if it is damaged."""

    def staging(self) -> Staging:
        """Empty room for the rows of an import."""

    def close(self) -> None:
        """Close the database. To close it twice is no error."""
