"""The use cases. `Registry` is what the command line and application back ends call; each method is one
use case with its transaction, worked out in the module of its noun."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Self

from authctl.instants import Clock, Duration
from authctl.model import AuditEvent, ProfileSet, Session, SessionFilter
from authctl.registry import audit as audit_log
from authctl.registry import cleanup, profiles, revocations, sessions, tokens
from authctl.registry.audit import ChainHead
from authctl.registry.cleanup import CleanupOutcome, Progress
from authctl.registry.core import Core
from authctl.registry.profiles import ApplyOutcome, ProfileDifference
from authctl.registry.revocations import RevokeOutcome
from authctl.registry.sessions import EndOutcome
from authctl.registry.tokens import Issued
from authctl.settings import find_home
from authctl.store import open_store
from authctl.store.base import EventFilter

if TYPE_CHECKING:
    from authctl.importing import Mapping
    from authctl.registry.imports import ImportOutcome


def _silent(_done: int, _total: int) -> None:
    """No progress is shown."""


class Registry:
    """The registered sessions of one installation: issue, verify, list, revoke, and clean up.

    Safe to share between threads. A forked child opens its own. Instants in what is returned are integers,
    microseconds since 1970 UTC (`authctl.datetime_of` converts them). Every method may raise RegistryUnavailable
    (missing, locked, read-only, full) or IntegrityFailure (damaged or tampered with). Where an `actor` is left out,
    it is AUTHCTL_ACTOR, or the user behind sudo, or who is logged in.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tokens = tokens.TokenReader(core)

    @classmethod
    def open(
        cls, home: str | Path | None = None, *, registry: str | Path | None = None, clock: Clock | None = None
    ) -> Self:
        """Open an installation that `authctl init` made.

        `home` is its folder, by default as for the command line; `registry` names a database elsewhere.
        `clock` returns the time, as a datetime or in Unix seconds; tests pass one.
        """
        place = find_home(home, registry)
        return cls(Core(place, open_store(place.registry), clock))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; closing twice is no error."""
        self._core.store.close()

    # Sessions

    def sessions(self, selection: SessionFilter = SessionFilter()) -> Iterator[Session]:  # noqa: B008
        """Stream the selected sessions: newest use first; expired alone by newest end, revoked alone by newest revocation.

        Nothing is held open between batches, so a consumer may take its time. Whatever was selected at the
        start comes once; a session used meanwhile may come last instead of in its place.
        """
        return sessions.stream(self._core, selection)

    def count(self, selection: SessionFilter = SessionFilter()) -> int:  # noqa: B008
        """How many sessions are selected."""
        return sessions.count(self._core, selection)

    def session(self, session_id: str) -> Session:
        """The session of an id, which may be abbreviated to a unique beginning of six characters or more.

        Raises NotFound, or InvalidInput naming the candidates.
        """
        return sessions.show(self._core, session_id)

    def end(self, targets: Sequence[str], *, actor: str | None = None) -> EndOutcome:
        """Sign out the sessions of those ids or access tokens, now; one that is over already stays as it is."""
        return sessions.end(self._core, self._tokens, targets, actor)

    def import_sessions(
        self,
        file: BinaryIO,
        mapping: "Mapping",
        *,
        name: str = "import",
        profile: str | None = None,
        dry_run: bool = False,
        actor: str | None = None,
        progress: Progress = _silent,
    ) -> "ImportOutcome":
        """Register the sessions of another system's export, JSON lines or JSON, as the mapping reads them.

        Importing again, or overlapping files in any order, gives the same registry. Nothing is written before the
        whole file was read. Raises InvalidInput when it cannot be, NotFound for a profile not in force.
        """
        from authctl.registry.imports import import_sessions

        return import_sessions(
            self._core, file, mapping, name=name, profile=profile, dry_run=dry_run, actor=actor, progress=progress
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
    ) -> RevokeOutcome:
        """Revoke every selected session that is not revoked yet, with a note: all of them and the audit event, or nothing.

        Expired sessions are covered, too. The set is decided inside the transaction. A session that was revoked
        before keeps its first time and note. Raises Refused (no note, one that says nothing, more than
        `max_affected` newly revoked), InvalidInput (no criterion, an ambiguous id), NotFound (an unknown exception).
        """
        return revocations.revoke(
            self._core, selection, note=note, actor=actor, dry_run=dry_run, max_affected=max_affected
        )

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
        actor: str | None = None,
    ) -> Issued:
        """Register a session and mint its token; the profile is the one named, or else the assigned one.

        Raises InvalidInput for a text that cannot be accepted, NotFound for a profile not in force.
        """
        details = {
            "device": device,
            "platform": platform,
            "application_version": application_version,
            "ip": ip,
            "user_agent": user_agent,
            "referrer": referrer,
        }
        return tokens.issue(
            self._core,
            self._tokens,
            username=username,
            application=application,
            profile=profile,
            kind=kind,
            signed_in_with=signed_in_with,
            details=details,
            actor=actor,
        )

    def verify(self, token: str, *, application: str | None = None) -> Session:
        """The session of an access token that is good now; counts as use, which moves the idle deadline.

        `application` is the one that presents the token, where the caller knows it. Raises TokenInvalid, whose
        children say why; RegistryUnavailable or IntegrityFailure when it could not be judged. A use that cannot
        be written is let go.
        """
        return tokens.verify(self._core, self._tokens, token, application)

    # Profiles

    def profiles(self) -> ProfileSet:
        """The profiles in force."""
        return profiles.in_force(self._core)

    def diff_profiles(self, wanted: ProfileSet) -> tuple[ProfileDifference, ...]:
        """What putting profiles in force would change, by profile, and how many living sessions it would touch."""
        return profiles.diff(self._core, wanted)

    def apply_profiles(
        self,
        wanted: ProfileSet,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        may_end: int | None = None,
    ) -> ApplyOutcome:
        """Put profiles in force and recompute the deadlines of living sessions, in one transaction.

        Nothing revives; a session whose new deadline has passed ends now. Raises Refused without a note, or when more
        than `may_end` living sessions would end.
        """
        return profiles.apply(self._core, wanted, note=note, actor=actor, dry_run=dry_run, may_end=may_end)

    # Audit

    def events(self, selection: EventFilter = EventFilter()) -> Iterator[AuditEvent]:  # noqa: B008
        """Stream audit events, newest first."""
        return audit_log.events(self._core, selection)

    def event(self, seq: int) -> AuditEvent:
        """The audit event of that number. Raises NotFound."""
        return audit_log.event(self._core, seq)

    def verify_audit(self) -> ChainHead:
        """Walk the audit chain from its first event. Raises IntegrityFailure naming the first bad one."""
        return audit_log.verify(self._core)

    # Cleaning up

    def clean_up(
        self,
        *,
        older_than: Duration | None = None,
        dry_run: bool = False,
        batch_size: int | None = None,
        actor: str | None = None,
        progress: Progress = _silent,
    ) -> CleanupOutcome:
        """Remove sessions whose end lies further back than the retention in force, or than a longer `older_than`.

        In batches that hold the lock for about 50 ms; safe when two run at once, and the next run completes one that was
        killed. Raises Refused when `older_than` is shorter than the retention.
        """
        return cleanup.clean_up(
            self._core, older_than=older_than, dry_run=dry_run, batch_size=batch_size, actor=actor, progress=progress
        )

    def now(self) -> int:
        """The registry's present instant, by the clock it was opened with."""
        return self._core.now()
