"""The use cases: the command line and the back ends of applications call `Registry`.

Operations on sessions are methods here; all others belong to a noun, such as `registry.users.disable` (`nouns.py`).
"""

from typing import TYPE_CHECKING, Self, Unpack

from authctl.registry.installation import Installation
from authctl.registry.nouns import Nouns, complete_changeover
from authctl.settings import find_home
from authctl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from authctl.instants import Clock
    from authctl.model import Request, Session, SessionFilter
    from authctl.registry.batches import Progress
    from authctl.registry.bounds import Bound
    from authctl.registry.clock import Warn
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.session_ends import EndOutcome
    from authctl.registry.sessions import Listing
    from authctl.registry.tokens.issue import Issued, SignIn


class Registry(Nouns):
    """The registered sessions of one installation: issue, verify, list, revoke and end them.

    Threads may share it; a forked child opens its own. Instants in results are integers, microseconds since 1970 UTC
    (`authctl.datetime_of` converts them). Every method may raise RegistryUnavailable (missing, locked, read-only, full) or
    IntegrityFailure (damaged or tampered with). Without an `actor`, it is AUTHCTL_ACTOR, the user behind sudo, or the logged-in user.
    """

    @classmethod
    def open(
        cls,
        home: "str | Path | None" = None,
        *,
        registry: "str | Path | None" = None,
        keys: "str | Path | None" = None,
        clock: "Clock | None" = None,
        warn: "Warn | None" = None,
        lock_timeout: float | None = None,
    ) -> Self:
        """Open an installation that `authctl init` made.

        `home` is its folder, by default as for the command line; `registry` names a database elsewhere, `keys` a key ring. `clock`
        returns the time, as a datetime or in Unix seconds; tests pass one. `warn` is given warnings (a clock that was set back, an audit
        head that cannot be written); by default they go to the logger `authctl`. `lock_timeout` is how many seconds a change waits for
        its turn to write, and a revocation twice as long; by default 30.
        """
        place = find_home(home, registry, keys)
        installation = Installation(place, open_store(place.registry, lock_timeout), clock, warn)
        installation.on_unfinished = complete_changeover
        return cls(installation)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; closing twice is no error."""
        self._installation.close()

    def now(self) -> int:
        """The present instant of the registry, by the clock that it was opened with."""
        return self._installation.clock.now()

    def has_clock_of_server(self) -> bool:
        """Whether `now` asks a server, and so can take long, or raise RegistryUnavailable."""
        return self._installation.clock.is_of_store()

    def change_number(self) -> int:
        """A number that is another one after every change of the registry, by any process; asking for it costs next to nothing.

        Compare it, for equality, with an earlier number of this same object.
        """
        return self._installation.store.change_number()

    def issue(self, *, actor: str | None = None, **sign_in: "Unpack[SignIn]") -> "Issued":
        """Register a session and mint its tokens; the arguments are those of `SignIn`, such as `username`, `application` and `device`.

        Raises InvalidInput for a text that cannot be accepted, or where a fact is missing that the profile binds tokens to; NotFound for
        a profile that is not in force; Refused when the user is disabled, or the profile's conditions or lifetimes do not allow it.
        """
        from authctl.registry.tokens.issue import issue

        return issue(self._installation, self._reader, sign_in, actor)

    def verify(self, token: str, **request: "Unpack[Request]") -> "Session":
        """The session of a valid access token; counts as use, which moves the idle deadline of a session with a single token.

        The facts of the request are those of `Request`. A fact is required where the token is bound to it, or the profile has a
        condition about it.
        Raises TokenInvalid, whose children give the reason, and whose `action` is "wipe" where the application must remove its
        data; RegistryUnavailable or IntegrityFailure when it could not be checked. While another process writes, a
        due use waits, and the session is returned as it was before; a use that cannot be written at all is left out.
        """
        verify, caller, no_facts = self._verifying
        return verify(self._installation, self._reader, token, caller(**request) if request else no_facts)

    def refresh(self, token: str, *, actor: str | None = None, **request: "Unpack[Request]") -> "Issued":
        """Exchange a refresh token for the next pair: the old pair ends at once, and the idle deadline moves.

        A spent token gets the same pair again within the profile's grace, until that pair's refresh token is used. Otherwise it is reuse:
        TokenReused, and unless the profile only refuses, the session is revoked, which is committed before it is raised. Raises as
        `verify`; RegistryUnavailable when nothing could be written.
        """
        from authctl.model import Caller
        from authctl.registry.tokens.refresh import refresh

        return refresh(self._installation, self._reader, token, Caller(**request), actor)

    def sessions(
        self,
        selection: "SessionFilter | None" = None,
        *,
        sort: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> "Listing":
        """Stream the selected sessions, most recently used first; expired alone by newest end, revoked alone by newest revocation.

        Every session that is selected from beginning to end comes once; one that moved meanwhile may come last, and one that was
        registered meanwhile may be missing. Nothing is kept open between batches. `after` is a cursor or a session's id to continue
        after; `next` of the iterator is the cursor of the rest. `sort` is a `SortField`, or one with `-` before it for descending; that
        reads every selected session. Raises InvalidInput for another sort, a text that is no cursor of this list, or a session that is
        not in it; NotFound for an id that no session has.
        """
        from authctl.registry import sessions

        return sessions.Listing(self._installation, selection or sessions.ALL, sort, after, limit)

    def count(self, selection: "SessionFilter | None" = None) -> int:
        """The number of selected sessions."""
        from authctl.registry import sessions

        return sessions.count(self._installation, selection or sessions.ALL)

    def session(self, session_id: str) -> "Session":
        """The session of an id, or of the unique beginning of one with six characters or more.

        Raises NotFound, or InvalidInput naming the candidates.
        """
        from authctl.registry import sessions

        return sessions.show(self._installation, session_id)

    def end(
        self, targets: "Sequence[str]", *, actor: str | None = None, progress: "Progress | None" = None
    ) -> "EndOutcome":
        """Sign out the sessions of those ids or tokens, now; an ended one stays as it is.

        In batches that hold the lock for about 50 ms, each with its events or not at all; after an interruption, giving all targets again
        does the rest. Raises InvalidInput for an ambiguous id, before anything is done.
        """
        from authctl.registry.session_ends import end

        return end(self._installation, self._reader.owner, targets, actor, progress)

    def revoke(
        self,
        selection: "SessionFilter",
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        max_affected: int | None = None,
        bound: "Bound | None" = None,
        keep: int | None = None,
    ) -> "RevokeOutcome":
        """Revoke every selected session that is not revoked yet, expired ones too: all of them and the audit event, or nothing.

        A session that was revoked before keeps its first time and note. `bound` is that of a preview: any other session is one too many.
        With `keep`, the `keep` sessions with the latest use stay, of those that are selected and not revoked for each user and
        application; of equal ones the one that was registered last. Such a revocation binds nothing that an import brings later.
        Raises Refused (no note, more than `max_affected` newly revoked, or any beyond the bound), InvalidInput (no criterion, an
        ambiguous id), NotFound (an unknown exception).
        """
        if keep is not None:
            from authctl.registry.exact_revocations import revoke_all_but_newest

            return revoke_all_but_newest(self._installation, selection, keep, note, actor, dry_run, max_affected, bound)
        from authctl.registry.revocations import revoke

        return revoke(self._installation, selection, note, actor, dry_run, max_affected, bound)
