"""The use cases. `Registry` is what the command line and application back ends call; each method is one
use case with its transaction, worked out in the module of its noun."""

from __future__ import annotations  # most of the types below belong to modules that are imported when they are used

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from authctl.errors import InvalidInput
from authctl.model import Grouping, SessionFilter
from authctl.names import quoted
from authctl.registry import sessions
from authctl.registry.installation import Installation
from authctl.settings import find_home
from authctl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta
    from types import TracebackType

    from authctl.import_mappings import Mapping
    from authctl.instants import Clock, Duration
    from authctl.model import AuditEvent, Caller, EventFilter, Group, ProfileSet, Session, Texts
    from authctl.registry.audit import AcceptOutcome, ChainHead
    from authctl.registry.backups import BackupOutcome
    from authctl.registry.bounds import Bound
    from authctl.registry.cleanup import CleanupOutcome, Progress
    from authctl.registry.clock import Warn
    from authctl.registry.continuity import ContinuityState
    from authctl.registry.doctor import ClockOutcome, Finding
    from authctl.registry.imports.file import ImportOutcome
    from authctl.registry.keys import KeyUse, RetireOutcome
    from authctl.registry.pages import SessionPage
    from authctl.registry.previews import Preview
    from authctl.registry.profiles import ApplyOutcome, ApplyPreview, ProfileDifference
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.sessions import EndOutcome, Listing
    from authctl.registry.tokens.issue import Issued
    from authctl.registry.tokens.login import ClearOutcome, Remembered
    from authctl.registry.tokens.reader import TokenReader
    from authctl.registry.users import UserOutcome, UserSessions
    from authctl.store.values import Archive


def _silent(_done: int, _total: int) -> None:
    """No progress is shown."""


class Registry:
    """The registered sessions of one installation: issue, verify, list, revoke, and clean up.

    Safe to share between threads. A forked child opens its own. Instants in what is returned are integers,
    microseconds since 1970 UTC (`authctl.datetime_of` converts them). Every method may raise RegistryUnavailable
    (missing, locked, read-only, full) or IntegrityFailure (damaged or tampered with). Where an `actor` is left out,
    it is AUTHCTL_ACTOR, or the user behind sudo, or who is logged in.
    """

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    @cached_property
    def _tokens(self) -> TokenReader:
        from authctl.registry.tokens.reader import TokenReader

        return TokenReader(self._installation)

    @classmethod
    def open(
        cls,
        home: str | Path | None = None,
        *,
        registry: str | Path | None = None,
        keys: str | Path | None = None,
        clock: Clock | None = None,
        warn: Warn | None = None,
    ) -> Self:
        """Open an installation that `authctl init` made.

        `home` is its folder, by default as for the command line; `registry` names a database elsewhere, `keys` a key ring.
        `clock` returns the time, as a datetime or in Unix seconds; tests pass one. `warn` is told what keeps no deed
        from being done (a clock that was set back, an audit head that cannot be written); by default the logger `authctl` is.
        """
        place = find_home(home, registry, keys)
        return cls(Installation(place, open_store(place.registry), clock, warn))

    @cached_property
    def _verifying(self) -> tuple[Callable[[Installation, TokenReader, str, Caller], Session], type[Caller]]:
        """What verifying takes, looked up once: it is called thousands of times a second."""
        from authctl.model import Caller
        from authctl.registry.tokens.verify import verify

        return verify, Caller

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; closing twice is no error."""
        self._installation.store.close()

    # Sessions

    def sessions(
        self,
        selection: SessionFilter = SessionFilter(),  # noqa: B008
        *,
        sort: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Listing:
        """Stream the selected sessions: newest use first; expired alone by newest end, revoked alone by newest revocation.

        Nothing is held open between batches, so a consumer may take its time. Whatever was selected at the
        start, and still is, comes once; a session that moved meanwhile may come last instead of in its place, and one that was
        registered meanwhile need not come. `after` is a cursor, or the id of a session, to go on after, at the same cost however
        deep that is; when a `limit` was reached, `next` of the iterator is the cursor of the rest. `sort` names another order, a
        `SortField` or one with `-` before it for the greatest first; that reads every selected session. Raises InvalidInput for
        another sort, for what is no cursor of this list, or for a session that is not in it; NotFound for an id that no session has.
        """
        return sessions.Listing(self._installation, selection, sort, after, limit)

    def page(
        self,
        selection: SessionFilter = SessionFilter(),  # noqa: B008
        *,
        sort: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> SessionPage:
        """One page of that list: its `sessions`, and `next`, the cursor to give as `after` for the next one; None on the last.

        Page after page comes to an end, and every session that is selected all the while is on one page at least, whatever is used,
        ended, revoked, registered or imported between them; what moved within the list meanwhile comes last, for some once more. A
        cursor may be kept as long as one likes: it says where the list goes on, and not after which session. `after` may be
        a session's id, too: then the walk begins there. Raises as `sessions`.
        """
        return sessions.page(self._installation, selection, sort, after, limit)

    def count(self, selection: SessionFilter = SessionFilter()) -> int:  # noqa: B008
        """How many sessions are selected."""
        return sessions.count(self._installation, selection)

    def groups(self, by: Grouping | str, selection: SessionFilter = SessionFilter()) -> list[Group]:  # noqa: B008
        """The selected sessions counted by user, application or platform; most recently used first."""
        if by not in tuple(Grouping):
            raise InvalidInput(f"sessions are grouped by {', '.join(Grouping)}, not by {quoted(by)}")
        return sessions.groups(self._installation, selection, Grouping(by))

    def session(self, session_id: str) -> Session:
        """The session of an id, which may be abbreviated to a unique beginning of six characters or more.

        Raises NotFound, or InvalidInput naming the candidates.
        """
        return sessions.show(self._installation, session_id)

    def end(self, targets: Sequence[str], *, actor: str | None = None, progress: Progress = _silent) -> EndOutcome:
        """Sign out the sessions of those ids or tokens, now; one that is over already stays as it is.

        Many are done in batches that hold the lock for about 50 ms, each with its events or not at all; `progress` is told how many of
        the targets are done. Giving all of them again after an interruption does the rest. Raises InvalidInput for an
        ambiguous id, before anything is done.
        """
        return sessions.end(self._installation, self._tokens, targets, actor, progress)

    def import_sessions(
        self,
        file: BinaryIO,
        mapping: Mapping,
        *,
        name: str = "import",
        encoding: str | None = None,
        profile: str | None = None,
        strict: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        progress: Progress = _silent,
    ) -> ImportOutcome:
        """Register the sessions of another system's export, JSON lines, JSON or CSV, as the mapping reads them.

        `encoding` names how its text is encoded where no byte order mark says it; by default as the mapping says, or
        UTF-8. Importing again, or overlapping files in any order, gives the same registry. Nothing is written before the
        whole file was read, nor where no row is used. Rows from before a revocation, an end or a restore come under it.
        Raises InvalidInput when the file cannot be read, or with `strict` where a row is rejected; NotFound for a profile not in
        force.
        """
        from authctl.registry.imports.file import import_sessions

        return import_sessions(
            self._installation,
            file,
            mapping,
            name=name,
            encoding=encoding,
            profile=profile,
            strict=strict,
            dry_run=dry_run,
            actor=actor,
            progress=progress,
        )

    # Revocations

    def revoke(
        self,
        selection: SessionFilter,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        max_affected: int | None = None,
        bound: Bound | None = None,
    ) -> RevokeOutcome:
        """Revoke every selected session that is not revoked yet, with a note: all of them and the audit event, or nothing.

        Expired sessions are covered, too. The set is decided inside the transaction. A session that was revoked
        before keeps its first time and note. `bound` is that of a preview: whatever it does not allow would be one session too many.
        Raises Refused (no note, one that says nothing, more than `max_affected` newly revoked, or any beyond the bound),
        InvalidInput (no criterion, an ambiguous id), NotFound (an unknown exception).
        """
        from authctl.registry import revocations

        return revocations.revoke(
            self._installation,
            selection,
            note=note,
            actor=actor,
            dry_run=dry_run,
            max_affected=max_affected,
            bound=bound,
        )

    def preview_revocation(self, selection: SessionFilter, *, max_affected: int | None = None) -> Preview:
        """The sessions that `revoke` would newly revoke, to be shown to a person, with the bound for `revoke`.

        No bound comes with `everything`: whoever signs in before that is done is meant, too; unless nothing is there to revoke.
        Raises as `revoke` with `dry_run`.
        """
        from authctl.registry import revocations

        return revocations.preview(self._installation, selection, max_affected)

    def revoke_token(self, token: str, *, note: str | None, actor: str | None = None) -> RevokeOutcome:
        """Revoke the session of a token of any kind, spent or expired ones included, with a note.

        A token that is unknown here selects nothing, and that is no error (RFC 7009, section 2.2). Raises Refused without a note.
        """
        from authctl.registry import revocations

        return revocations.revoke_token(self._installation, self._tokens, token, note=note, actor=actor)

    # Tokens

    def issue(
        self,
        *,
        username: str,
        application: str,
        profile: str | None = None,
        device: str | None = None,
        platform: str | None = None,
        application_version: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        referrer: str | None = None,
        kind: str = "application",
        signed_in_with: str | None = None,
        lifetime: int | timedelta | None = None,
        actor: str | None = None,
    ) -> Issued:
        """Register a session and mint its tokens; the profile is the one named, or else the assigned one.

        `signed_in_with` is password, key, saml or other: a changed password may end only what a password opened.
        `lifetime`, as a timedelta or in microseconds, is for profiles that let it be requested. Raises InvalidInput for
        what cannot be accepted, a missing fact that the profile binds to included; NotFound for a profile not in force;
        Refused when the user is disabled, a condition of the profile is not met, or it does not grant that lifetime.
        """
        from authctl.registry.tokens import issue

        details = {
            "device": device,
            "platform": platform,
            "application_version": application_version,
            "ip": ip,
            "user_agent": user_agent,
            "referrer": referrer,
        }
        sign_in = issue.SignIn(username, application, profile, kind, signed_in_with, lifetime, details)
        return issue.issue(self._installation, self._tokens, sign_in, actor)

    def login(
        self,
        *,
        username: str,
        application: str,
        password: str,
        profile: str | None = None,
        device: str | None = None,
        platform: str | None = None,
        application_version: str | None = None,
        ip: str | None = None,
        user_agent: str | None = None,
        referrer: str | None = None,
        kind: str = "application",
        lifetime: int | timedelta | None = None,
        actor: str | None = None,
    ) -> Issued:
        """The same for whoever knows the password, by the authentication cache or else the profile's authenticator.

        A success is remembered for as long as the profile's `cache` says. Raises as `issue`; LoginRefused for a password that is
        not the user's; AuthenticatorUnavailable where that could not be found out; Refused where the profile has no
        authenticator; NotFound, InvalidFile or RegistryUnavailable where `authenticators.yaml` does not say who that is.
        """
        from authctl.registry.tokens import issue, login

        details = {
            "device": device,
            "platform": platform,
            "application_version": application_version,
            "ip": ip,
            "user_agent": user_agent,
            "referrer": referrer,
        }
        sign_in = issue.SignIn(username, application, profile, kind, "password", lifetime, details)
        return login.login(self._installation, self._tokens, sign_in, password, actor)

    def verify(
        self,
        token: str,
        *,
        application: str | None = None,
        application_version: str | None = None,
        platform: str | None = None,
        ip: str | None = None,
        referrer: str | None = None,
    ) -> Session:
        """The session of an access token that is good now; counts as use, which moves the idle deadline.

        Of a pair or a requested lifetime it does not: there only a refresh does, or nothing. The caller are what the
        caller saw of whoever presents the token; one that it is bound to, or that its profile has a condition about, has to be
        given. Raises TokenInvalid, whose children say why, and whose `action` is "wipe" where the application must remove its
        data; RegistryUnavailable or IntegrityFailure when it could not be judged. A use that cannot be written is let go.
        """
        verify, caller = self._verifying
        return verify(
            self._installation, self._tokens, token, caller(application, application_version, platform, ip, referrer)
        )

    def refresh(
        self,
        token: str,
        *,
        application: str | None = None,
        application_version: str | None = None,
        platform: str | None = None,
        ip: str | None = None,
        referrer: str | None = None,
        actor: str | None = None,
    ) -> Issued:
        """Exchange a refresh token for the next pair: the old pair is over at once, and the idle deadline moves.

        A spent token is answered again with the same pair within the profile's grace, while the pair's own refresh token was
        not used. Otherwise it is reuse: TokenReused, and unless the profile only refuses, the session is revoked,
        which is committed before it is raised. Raises as `verify`; RegistryUnavailable when nothing could be written.
        """
        from authctl.model import Caller
        from authctl.registry.tokens import refresh

        caller = Caller(application, application_version, platform, ip, referrer)
        return refresh.refresh(self._installation, self._tokens, token, caller, actor)

    def wipe_done(self, token: str, *, actor: str | None = None) -> Session:
        """Record that the application of a token, of any kind and however old, has removed its data as it was told.

        Once is enough: the first instant stays. Raises TokenInvalid where nothing was ordered.
        """
        from authctl.registry.tokens import wipe

        return wipe.done(self._installation, self._tokens, token, actor)

    # The authentication cache

    def cached_logins(self, username: Texts = None) -> list[Remembered]:
        """The successful logins that still count, everybody's or those of one user or several, with the end of each, most recently used first."""
        from authctl.registry.tokens import login

        return login.remembered(self._installation, username)

    def clear_cache(self, username: Texts = None, *, note: str | None, actor: str | None = None) -> ClearOutcome:
        """Forget successful logins, everybody's or those of one user or several, so that the authenticator is asked again.

        Raises Refused without a note.
        """
        from authctl.registry.tokens import login

        return login.clear(self._installation, username, note=note, actor=actor)

    # Users

    def users(self) -> Iterator[UserSessions]:
        """Every user with a session, or of whom something was recorded, with the number of sessions, most recently used first."""
        from authctl.registry import users

        return users.users(self._installation)

    def user(self, username: str) -> UserSessions:
        """What is known of a user, however the name is spelled. Raises NotFound."""
        from authctl.registry import users

        return users.user(self._installation, username)

    def similar_users(self, *usernames: str) -> list[str]:
        """The keys of other users with sessions whose names look like one of these: with letters of other scripts."""
        from authctl.registry import users

        return users.similar(self._installation, usernames)

    def nearest_users(self, username: str) -> list[str]:
        """Up to three names of users with sessions that are spelled nearly like that one, where no session is of that user."""
        from authctl.registry import unknown_users

        return unknown_users.nearest(self._installation, username)

    def unknown_users(self, usernames: Sequence[str]) -> list[str]:
        """Those of the names of which no session is in the registry, each user once."""
        from authctl.registry import unknown_users

        return unknown_users.unknown(self._installation, usernames)

    def disable_user(
        self, username: str, *, note: str | None, actor: str | None = None, dry_run: bool = False
    ) -> UserOutcome:
        """End every active session of a user, and register no new one until the user is enabled.

        One disabled before keeps the first note. Raises Refused without a note, InvalidInput for a name that cannot be.
        """
        return self.disable_users([username], note=note, actor=actor, dry_run=dry_run)[0]

    def disable_users(
        self, usernames: Sequence[str], *, note: str | None, actor: str | None = None, dry_run: bool = False
    ) -> tuple[UserOutcome, ...]:
        """As `disable_user`, for several in one transaction: an outcome for each user, or nothing at all."""
        from authctl.registry import users

        return users.disable(self._installation, usernames, note=note, actor=actor, dry_run=dry_run)

    def enable_user(self, username: str, *, note: str | None, actor: str | None = None) -> UserOutcome:
        """Let a disabled user sign in again; no session comes back. Raises Refused without a note, NotFound."""
        return self.enable_users([username], note=note, actor=actor)[0]

    def enable_users(
        self, usernames: Sequence[str], *, note: str | None, actor: str | None = None
    ) -> tuple[UserOutcome, ...]:
        """As `enable_user`, for several in one transaction: an outcome for each user, or nothing at all."""
        from authctl.registry import users

        return users.enable(self._installation, usernames, note=note, actor=actor)

    def password_changed(self, username: str, *, note: str | None, actor: str | None = None) -> UserOutcome:
        """End the active sessions of a user whose password was changed or reset, as their profiles say; later ones are untouched.

        Raises Refused without a note.
        """
        return self.passwords_changed([username], note=note, actor=actor)[0]

    def passwords_changed(
        self, usernames: Sequence[str], *, note: str | None, actor: str | None = None
    ) -> tuple[UserOutcome, ...]:
        """As `password_changed`, for several users in one transaction: an outcome for each user, or nothing at all."""
        from authctl.registry import users

        return users.password_changed(self._installation, usernames, note=note, actor=actor)

    # Continuity

    def continuity(self) -> tuple[ContinuityState, ...]:
        """The continuity events that are running, with how many sessions each holds beyond their time."""
        from authctl.registry import continuity

        return continuity.status(self._installation)

    def start_continuity(
        self,
        profiles: Sequence[str] = (),
        *,
        note: str | None,
        until: int | datetime | None = None,
        actor: str | None = None,
    ) -> tuple[ContinuityState, ...]:
        """Hold the sessions of those profiles, or of all that allow it, until the event ends: then, or when it is ended.

        What is active now, or is registered meanwhile, stays so whatever its deadlines; revocations and hard ends win.
        Raises Refused without a note, where a profile does not allow it, or where an event holds it already; NotFound for a
        profile that rules no session; InvalidInput for an `until` that has passed.
        """
        from authctl.registry import continuity

        return continuity.start(self._installation, profiles, until=until, note=note, actor=actor)

    def end_continuity(
        self, profiles: Sequence[str] = (), *, note: str | None, actor: str | None = None
    ) -> tuple[ContinuityState, ...]:
        """End the events of those profiles, or all: sessions held beyond their time expire now.

        Raises Refused without a note, NotFound where none is running.
        """
        from authctl.registry import continuity

        return continuity.end(self._installation, profiles, note=note, actor=actor)

    # Profiles

    def profiles(self) -> ProfileSet:
        """The profiles in force."""
        from authctl.registry import profiles

        return profiles.in_force(self._installation)

    def diff_profiles(self, wanted: ProfileSet) -> tuple[ProfileDifference, ...]:
        """What putting profiles in force would change, by profile, and how many active sessions it would touch."""
        from authctl.registry import profiles

        return profiles.diff(self._installation, wanted)

    def diff_settings(self, wanted: ProfileSet) -> dict[str, tuple[Any, Any]]:
        """What else would change: retention, default profile and assignments, each as it is and as it would be."""
        from authctl.registry import profiles

        return profiles.changed_settings(self._installation, wanted)

    def apply_profiles(
        self,
        wanted: ProfileSet,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        bound: Bound | None = None,
    ) -> ApplyOutcome:
        """Put profiles in force and recompute the deadlines of active sessions, in one transaction.

        Nothing revives; a session whose new deadline has passed ends now. `bound` is that of a preview. Raises Refused without a
        note, or when a active session would end that the bound does not allow.
        """
        from authctl.registry import profiles

        return profiles.apply(self._installation, wanted, note=note, actor=actor, dry_run=dry_run, bound=bound)

    def preview_profiles(self, wanted: ProfileSet) -> ApplyPreview:
        """What `apply_profiles` would change, and the active sessions that it would end, with the bound for it."""
        from authctl.registry import profiles

        return profiles.preview(self._installation, wanted)

    # Keys

    def signing_keys(self) -> list[KeyUse]:
        """The keys of the ring, the oldest first, each with the active sessions that it still signs, and until when."""
        from authctl.registry import keys

        return keys.listed(self._installation)

    def rotate_keys(self, *, note: str | None, actor: str | None = None) -> KeyUse:
        """Sign from now on with a fresh key; the one that did still verifies. Raises Refused without a note."""
        from authctl.registry import keys

        return keys.rotate(self._installation, note=note, actor=actor)

    def retire_key(
        self,
        key_id: str,
        *,
        sign_out: bool = False,
        compromised: bool = False,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        bound: Bound | None = None,
    ) -> RetireOutcome:
        """Let a key verify no more, and forget its secret; what it signed is refused from now on.

        While active sessions depend on it, say how they end: `sign_out` as a matter of routine, or `compromised`. `bound` is that
        of a preview. Raises Refused otherwise, for the key that signs, without a note, or when a active session would end that the
        bound does not allow; NotFound for an unknown key.
        """
        from authctl.registry import keys

        return keys.retire(
            self._installation,
            key_id,
            sign_out=sign_out,
            compromised=compromised,
            note=note,
            actor=actor,
            dry_run=dry_run,
            bound=bound,
        )

    def preview_retirement(self, key_id: str, *, sign_out: bool = False, compromised: bool = False) -> Preview:
        """The active sessions that `retire_key` would end, with the bound for it. Raises as `retire_key` with `dry_run`."""
        from authctl.registry import keys

        return keys.preview(self._installation, key_id, sign_out=sign_out, compromised=compromised)

    # Audit

    def events(self, selection: EventFilter | None = None) -> Iterator[AuditEvent]:
        """Stream audit events, newest first."""
        from authctl.registry import audit

        return audit.events(self._installation, selection)

    def event(self, seq: int) -> AuditEvent:
        """The audit event of that number. Raises NotFound."""
        from authctl.registry import audit

        return audit.event(self._installation, seq)

    def verify_audit(self) -> ChainHead:
        """Walk the audit chain from its first event, up to the head that is kept outside the registry.

        Raises IntegrityFailure naming the first bad event.
        """
        from authctl.registry import audit

        return audit.verify_against_head(self._installation)

    def accept_audit(self, *, note: str | None, actor: str | None = None) -> AcceptOutcome:
        """Take the present chain as true, after an old registry was put back, and end every session issued before.

        What happened between is not known: what was revoked then would live again. Raises Refused without a note, or where there is
        nothing to accept; IntegrityFailure where the chain is not whole in itself.
        """
        from authctl.registry import audit

        return audit.accept(self._installation, note=note, actor=actor)

    # Backups

    def back_up(self, file: str | Path) -> BackupOutcome:
        """Copy the registry as it is now to a new file of mode 0600, while others write.

        Raises Refused when something is there, IntegrityFailure where the registry is behind the head that is kept outside it. The
        key ring is not part of it: keep that elsewhere.
        """
        from authctl.registry import backups

        return backups.back_up(self._installation, Path(file))

    # Health

    def doctor(self) -> list[Finding]:
        """Look the installation over: what is in order, and what should be mended, each with the next command."""
        from authctl.registry import doctor

        return doctor.examine(self._installation.home, self._installation)

    def accept_clock(self, *, note: str | None, actor: str | None = None) -> ClockOutcome:
        """Go by the clock as it is, though the registry has seen a later instant: it was wrong then.

        Nothing revives: what had expired by that later instant ends for good, as does what was begun or used after the
        present one. Raises Refused without a note, or where the clock is not behind; RegistryUnavailable where it says no time.
        """
        from authctl.registry import doctor

        return doctor.accept_clock(self._installation, note=note, actor=actor)

    # Cleaning up

    def clean_up(
        self,
        *,
        older_than: Duration | None = None,
        dry_run: bool = False,
        batch_size: int | None = None,
        keep_unacknowledged: bool = False,
        accept_clock_jump: bool = False,
        archive: Archive | None = None,
        actor: str | None = None,
        progress: Progress = _silent,
    ) -> CleanupOutcome:
        """Remove sessions whose end lies further back than the retention in force, or than a longer `older_than`.

        In batches that hold the lock for about 80 ms; safe when two run at once, and the next run completes one that was
        killed. `keep_unacknowledged` leaves revoked sessions whose applications have not said that their data is removed.
        `archive` is given each batch before it is removed, inside the transaction: what it raises keeps the batch.
        Raises Refused when `older_than` is shorter than the retention, where the clock is behind, and, unless `accept_clock_jump`,
        when more than half of all sessions would go though nothing was recorded for seven months: the clock may be ahead.
        """
        from authctl.registry import cleanup

        return cleanup.clean_up(
            self._installation,
            older_than=older_than,
            dry_run=dry_run,
            batch_size=batch_size,
            keep_unacknowledged=keep_unacknowledged,
            accept_clock_jump=accept_clock_jump,
            archive=archive,
            actor=actor,
            progress=progress,
        )

    def now(self) -> int:
        """The registry's present instant, by the clock it was opened with."""
        return self._installation.clock.now()
