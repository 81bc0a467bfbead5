"""What a store owes, method by method: the docstrings are the contract, tests/test_store_contract.py its proof.

Absent is `None`, an empty list or zero. A method raises only when the database fails:
RegistryUnavailable (6) when it cannot be used now, IntegrityFailure (7) when what it holds makes no sense.
Statuses are judged at the `now` that is passed in. To add a store, implement these protocols and
name its factory in the contract suite.
"""

from __future__ import annotations  # the values passed about are imported where they are made

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from authctl.lifetimes import Deadlines

Done = TypeVar("Done")

MakeReady = Callable[["View | None", "Path | None", bool], Done]
"""What makes a draft ready: is given the registry that is replaced, the file that it is kept as, and whether this is the last time."""

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from authctl.model import (
        AuditEvent,
        CachedLogin,
        ContinuityEvent,
        EventFilter,
        Group,
        Grouping,
        NewSession,
        Profile,
        ProfileSet,
        Session,
        SessionFilter,
        Sort,
        Texts,
        User,
    )
    from authctl.store.values import (
        Archive,
        Carried,
        Cursor,
        DeadlineChanges,
        Imported,
        ImportedDetail,
        Mark,
        Page,
        PastRevocation,
        Removable,
        Removed,
        Signed,
        StagedKey,
        Summary,
    )


class View(Protocol):
    """Reading, from one consistent snapshot."""

    def registry_id(self) -> str:
        """What tells this registry from every other."""

    def seen_at(self) -> int:
        """The latest instant that any change was made at."""

    def leapt_at(self) -> int | None:
        """When that last went ahead by more than `LEAP` at once, unless it was set since; the clock may have been wrong."""

    def session(self, session_id: str, now: int) -> Session | None:
        """The session of that whole id."""

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        """The session of that number with the hash of its secret."""

    def ids_beginning(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` ids that begin with the prefix, in order."""

    def page(self, selection: SessionFilter, now: int, limit: int, after: Cursor | None = None) -> Page:
        """The next `limit` sessions: newest use first; expired alone newest end first;
        revoked alone newest revocation first. Every session that does not change meanwhile is on one page.

        Where the cursor has a mark, without the sessions that moved since, and without those that were registered since.
        """

    def place(self, selection: SessionFilter, session: Session) -> Cursor | None:
        """Where `page` goes on after a session; None where its status has no place in that order."""

    def resumed(self, selection: SessionFilter, key: tuple[Any, ...]) -> Cursor | None:
        """The cursor that has this key; None for what is no key of the selection's order."""

    def in_order(
        self, selection: SessionFilter, now: int, sort: Sort, limit: int | None = None, after: Cursor | None = None
    ) -> Sequence[int]:
        """The numbers of the selected sessions in an order of their own, or the first so many; equals by their numbers.

        With a cursor, those after it, as `page`.
        """

    def sorted_place(self, sort: Sort, number: int) -> Cursor | None:
        """Where `in_order` goes on after the session of that number; None where there is none."""

    def counters(self) -> Mark:
        """How far this registry has counted, for later pages to compare with."""

    def moved(self, selection: SessionFilter, now: int, limit: int, after: Cursor, sort: Sort | None) -> list[Session]:
        """Up to `limit` selected sessions by their numbers, of those above the cursor's, that moved since its mark was taken.

        A session moved when what its list is ordered by changed: the selection's own order, or the one that is named. None that was
        registered since.
        """

    def numbered(self, numbers: Sequence[int], now: int) -> list[Session]:
        """The sessions of those numbers that are there, in that order."""

    def numbers(self, selection: SessionFilter, now: int) -> Sequence[int]:
        """The numbers of all selected sessions, ascending: those that `count` counts and `assign` revokes."""

    def used_last(self, numbers: Sequence[int], limit: int) -> list[int]:
        """Up to `limit` of those numbers, the session that was used last first."""

    def summary(self, numbers: Sequence[int], now: int, largest: int) -> Summary:
        """The sessions of those numbers, none of them revoked, counted by kind, status, user and application.

        Of users and applications so many are named as `largest` says: those with the most sessions.
        """

    def count(self, selection: SessionFilter, now: int, at_most: int | None = None) -> int:
        """How many sessions the selection has; no more than `at_most` are counted."""

    def groups(self, selection: SessionFilter, by: Grouping, now: int) -> list[Group]:
        """The selection's sessions counted by user, application or platform, most recently used first."""

    def user_keys_beyond_ascii(self) -> list[str]:
        """The keys of the users with sessions, of those that have a letter beyond ASCII."""

    def nearest_users(self, username: str, limit: int) -> list[str]:
        """Up to `limit` names of users with sessions that are spelled nearly like that one, as they were last spelled; the
        nearest comes first, and the user of that name is not among them.

        Names that are one slip away are always known: a letter left out, added, replaced, or two neighbours exchanged. Others
        are found as far as a bounded number of looks goes, which does not grow with the registry.
        """

    def user(self, username: str) -> User | None:
        """What was recorded of a user, however the name is spelled."""

    def users_among(self, usernames: Collection[str]) -> dict[str, User]:
        """What was recorded of those users, by their keys, of each of whom something was."""

    def users(self) -> list[User]:
        """Every user of whom something was recorded, in the order of their keys."""

    def continuity_events(self) -> list[ContinuityEvent]:
        """Every continuity event, the earliest first."""

    def held(self, profile: str, now: int) -> int:
        """How many sessions of that profile are active at `now` only because a continuity event holds them."""

    def signed(self, now: int) -> dict[str, Signed]:
        """What active sessions each key signs, by its id."""

    def covered(self, revocation_id: int) -> int:
        """How many sessions name that revocation."""

    def count_revocations_by_criteria(self) -> tuple[int, int]:
        """How many revocations by criteria there are, those of everything included, and the greatest id of one."""

    def revocations_by_criteria(self) -> list[PastRevocation]:
        """The revocations by criteria, those of everything apart, in the order of time."""

    def restored_at(self) -> int | None:
        """The instant of the last restore, or acceptance of a chain: every session from before has ended then."""

    def count_ended(self) -> int:
        """How many sessions were ended before their deadline, whether they are revoked or not."""

    def latest_revoke_all(self) -> tuple[int, int] | None:
        """The id and instant of the newest revocation of everything."""

    def profiles(self) -> ProfileSet:
        """The profiles in force."""

    def deadline_changes(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        """What `recompute_deadlines` would do, by profile name, for profiles with active sessions."""

    def ended_by(self, profiles: ProfileSet, now: int) -> Sequence[int]:
        """The numbers, ascending, of the active sessions that putting those profiles in force would end.

        They are as many as `deadline_changes` counts as ended: those that `recompute_deadlines` ends now, and those that only a
        continuity event holds whose profile would no longer allow one.
        """

    def events(self, selection: EventFilter, limit: int, before: int | None = None) -> list[AuditEvent]:
        """Up to `limit` events, newest first, of those with a sequence number below `before`."""

    def event(self, seq: int) -> AuditEvent | None:
        """The event of that number."""

    def chain(self, after: int, limit: int) -> list[AuditEvent]:
        """Up to `limit` events in the order of their numbers, of those above `after`, as they stand."""

    def last_event(self) -> AuditEvent | None:
        """The newest event."""

    def has_event_since(self, seq: int, actions: Collection[str]) -> bool:
        """Whether an event of one of those actions came after the event of that number."""

    def ended_before(self, cutoff: int, *, keep_unacknowledged: bool = False) -> Removable:
        """How many sessions' end lies before the cutoff; without those whose wipe was not acknowledged, if asked for."""

    def cached_login(self, profile: str, username: str) -> CachedLogin | None:
        """The success that is remembered of a user under a profile, however old."""

    def cached_logins(self, username: Texts = None) -> list[CachedLogin]:
        """Every success that is remembered, or one user's or several users', most recently used first."""

    def imported(self, keys: Sequence[bytes], keys_without_user: Sequence[bytes], now: int) -> list[ImportedDetail]:
        """The sessions that imports registered under those keys, or under those keys without the user, oldest first."""

    def imported_finals(self, keys: Sequence[bytes], *, without_user: bool = False) -> dict[bytes, int]:
        """The latest instants at which removed sessions of those keys were revoked or ended, of each that has one; with
        `without_user` of the keys without the user, whose user is not known any more."""


class Change(View, Protocol):
    """Reading and writing, alone, until the block is left: then everything is kept, or nothing."""

    def add_session(self, session: NewSession, revocation_id: int | None = None) -> Session:
        """Register a session, not revoked unless a closed revocation is named; its number never comes back."""

    def saw(self, at: int) -> None:
        """Record that a change is made at that instant; the latest one stays."""

    def set_seen(self, at: int) -> None:
        """Record that instant as the latest, whatever was seen before; a restore at a later one counts as made then."""

    def set_restored(self, at: int) -> None:
        """Record the instant of a restore, or of the acceptance of a chain: every session from before has ended then. The latest
        one stays."""

    def carry_over(self, at: int, ended_at: int | None = None) -> Carried:
        """Take over what restricts from the registry that this copy of a backup is to replace (`Draft`), at the instant of a restore.

        Disabled users, the latest ends and password changes of users; revocations that were made since, under their own numbers
        where these are free; sessions that are revoked or ended, as they stand there, whether the backup has them or not, the
        first revocation and the first end before later ones; what imports need to know: their keys, the instants up to which
        rows of a key change nothing, and the instant of the last restore; and that continuity events ended earlier. Of an
        imported session that lives there and was used ahead of `at`, that its rows change nothing. Nothing that lets somebody
        in is taken over: no user is enabled, and no active session, profile or remembered login is taken.

        Done once more, it takes over what is new there. Where the active sessions of the copy were ended beforehand as
        `restored`, `ended_at` is that instant: such an end is none where the other registry knows a session to be over.
        """

    def end_all(self, at: int, reason: str) -> int:
        """Make a hard end of every session that lives at that instant; how many that were."""

    def end_dubious(self, at: int, seen: int) -> int:
        """Make a hard end, then, of what was over at a later instant and would live, and of what was begun or used after
        `at`; how many that were. The reason is the deadline that comes first."""

    def record_use(self, number: int, used_at: int, deadlines: Deadlines) -> None:
        """Write a use and the deadlines it leads to; before `saw`, which tells a late use from others."""

    def rotate(self, number: int, at: int, deadlines: Deadlines, access_expires_at: int, key_id: str) -> None:
        """Begin the next generation of a session's tokens: a use, with the end of the new access token and the key that
        signs the tokens."""

    def end_signed(self, key_id: str, at: int, reason: str) -> int:
        """As `end_all`, for those alone whose present tokens that key signed."""

    def end_sessions(self, numbers: Sequence[int], at: int, reason: str) -> None:
        """Make a hard end: those sessions end at that instant, for that reason."""

    def mark(self, profiles: Sequence[Profile]) -> None:
        """Bring what the sessions of those profiles carry of them in line: whether they have conditions, and order wipes.

        Only of sessions that are not revoked, and that have tokens.
        """

    def deliver_wipe(self, number: int, at: int) -> None:
        """Record that a session's application was told to remove its data."""

    def acknowledge_wipe(self, number: int, at: int) -> None:
        """Record that a session's application has removed its data; it was told by then, too."""

    def save_login(self, login: CachedLogin, capacity: int) -> None:
        """Remember a success, in the place of the user's last one; those of its profile used longest ago beyond so many go."""

    def use_login(self, login: CachedLogin, at: int) -> None:
        """Record that a remembered success was relied on."""

    def forget_logins(self, username: str | None = None) -> int:
        """Forget every success that is remembered, or a user's; how many that were."""

    def forget_old_logins(self, kept_since: Mapping[str, int]) -> None:
        """Forget what succeeded before the instant that its profile is mapped to, and everything of any other profile."""

    def start_continuity(self, profile: str, at: int, ends_at: int, actor: str, note: str) -> None:
        """Record a continuity event of a profile, for as long as that."""

    def end_continuity(self, event_id: int, at: int, actor: str, note: str) -> None:
        """Let a continuity event end then, or where it began if that is later."""

    def remove_continuity(self, cutoff: int) -> int:
        """Forget the continuity events that ended before the cutoff; how many that were."""

    def save_user(self, user: User) -> None:
        """Record a user, in the place of what was recorded before."""

    def add_revocation(self, at: int, actor: str, note: str, selector: str, *, by_criteria: bool = False) -> int:
        """A closed revocation that no session names yet; its id. One by criteria is kept for good, with what it goes by: the
        greatest number of a session, and the profiles in force where its selector names one."""

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        """Revoke every session that is not, by closing the open revocation; the closed one's id."""

    def assign(self, selection: SessionFilter, now: int, revocation_id: int) -> int:
        """Revoke the selection's sessions that are not revoked yet; how many that were."""

    def spare(self, numbers: Sequence[int], revocation_id: int) -> int:
        """Move those sessions from a revocation to the open one; how many that were."""

    def save_profiles(self, profiles: ProfileSet) -> None:
        """Put profiles in force."""

    def recompute_deadlines(self, profiles: ProfileSet, now: int) -> dict[str, DeadlineChanges]:
        """Judge every active session anew under its profile; one whose deadline would lie in the past ends now.

        What a continuity event holds lives, and goes on being held. Nothing that is revoked, ended or expired changes, nor a deadline that was imported with its session. No requested
        lifetime becomes longer than what was asked for, and an access token's only shorter: it may have expired.
        """

    def add_event(self, event: AuditEvent) -> None:
        """Append to the audit log, which takes only the next number and never changes."""

    def remove_ended(
        self,
        cutoff: int,
        limit: int,
        after: Cursor | None = None,
        *,
        keep_unacknowledged: bool = False,
        archive: Archive | None = None,
    ) -> Removed:
        """Look at the next `limit` sessions whose end lies before the cutoff, and remove those that `ended_before` counts.

        Of an imported one that was revoked or ended, the key, with and without the user, and that instant are kept for
        `imported_finals`.
        """

    def catch_up(self) -> int:
        """Bring the search index nearer to what it lags behind, by a batch; how many that were."""

    def give_back(self) -> int:
        """Give room that nothing needs any more back to the disk, some of it; how much, in pages. A tenth is kept for what comes."""

    def remove_unnamed_revocations(self) -> int:
        """Remove closed revocations that no session names, those by criteria apart; how many that were."""

    def add_imported(self, sessions: Sequence[Imported]) -> None:
        """Register imported sessions."""

    def update_imported(self, changes: Sequence[tuple[int, Imported]]) -> None:
        """Replace what is known of imported sessions, by their numbers; their ids stay, and so do their revocations unless
        one is named."""

    def keep_finals(self, finals: Mapping[bytes, int]) -> None:
        """Keep, for those keys, an instant up to which rows change nothing; a later one that is known stays."""


class Staging(Protocol):
    """Room outside the registry where an import's rows wait, key by key, until the whole file was read."""

    def seen(self, event_id: str) -> bool:
        """Whether that event id was staged before; remembers it."""

    def add(
        self, line: int, key: bytes, at: int, details: dict[str, Any], key_without_user: bytes | None = None
    ) -> None:
        """Stage one row."""

    def keys_of_several_users(self) -> set[bytes]:
        """The keys without the user of which rows of several users were staged."""

    def by_key(self) -> Iterator[StagedKey]:
        """Each key with its rows, oldest first; keys that are the same without the user together, by their oldest row. An order
        that does not depend on the file's."""

    def keys(self) -> int:
        """How many keys were staged."""

    def close(self) -> None:
        """Give the room back."""


class Store(Protocol):
    """One registry's database; safe to share between threads, not across a fork."""

    def view(self) -> AbstractContextManager[View]:
        """A snapshot to read from. Keep it short: copy what is needed and leave."""

    def change(self, *, wait: bool = True, patience: int = 1, synced: bool = True) -> AbstractContextManager[Change]:
        """A transaction to write in; waits for its turn, up to 30 s times its patience, or hardly at all without `wait`.

        What is not `synced` is there at once for everybody, and may be lost in a power cut. Raises RegistryUnavailable
        when the turn does not come, or the database cannot be written.
        """

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        """As `View.by_number`, by a connection of its own, read at `now` or what was seen later: the hot path's one look-up."""

    def profiles(self) -> ProfileSet:
        """As `View.profiles`, by the same connection."""

    def engine(self) -> tuple[str, str | None]:
        """The database's name and version, and what is known to be wrong with that, if anything."""

    def back_up(self, path: Path) -> None:
        """Copy everything as it is now to a new file, private and whole, while others write. Raises Refused when one is there."""

    def check(self) -> None:
        """Read all of the database. Raises IntegrityFailure where it is damaged."""

    def staging(self) -> Staging:
        """Fresh room for an import."""

    def close(self) -> None:
        """Let go of the database; closing twice is no error."""


class Draft(Protocol):
    """A copy of a backup, on its way into the place of a registry."""

    @property
    def store(self) -> Store:
        """The copy, which nobody else has."""

    def preview(self, make_ready: MakeReady[Done]) -> Done:
        """Make the copy ready as `put` does beforehand, and put it nowhere."""

    def put(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        """Put the copy into the place of the registry: all of it, or nothing.

        It is made ready twice: beforehand, so that little is left to be done, and in the moment from which on nobody can change
        the registry that is there, so that no deed falls in between. `make_ready` is given that registry, the file that it is
        kept as, private and beside it, under that name or one that begins with it, and whether this is the last time; None and
        None, and once only, where no registry is there. The copy then has given every number that the other has given,
        and has seen what that one has seen, and `carry_over` takes from it. Raises Refused where the backup is of another
        registry, or a log lies where no registry is; DiskFull and RegistryUnavailable. Nothing has changed then, and no file
        is left.
        """
