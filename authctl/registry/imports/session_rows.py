"""The session that some rows of an import make, with the known session that they belong to.

See docs/glossary.md#late-row.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from authctl import lifetimes, names
from authctl.instants import DAY, EARLIEST, NEVER
from authctl.lifetimes import Deadlines
from authctl.model import ContinuityEvent, NewSession, Profile, ProfileSet, Session, Tokens
from authctl.model.continuity import held_until
from authctl.store.protocol.imports import ImportedDetail, StagedRow
from authctl.store.protocol.revocations import PastRevocation

BEFORE_ALL = EARLIEST - 1 - DAY

MATCHED: dict[str, Callable[[str], str]] = {
    "username": names.fold,
    "application": names.fold,
    "device": names.fold,
    "platform": names.fold,
    "ip": str.lower,
}
"""The details that criteria are compared with, and how a text is made comparable."""


class Rules(NamedTuple):
    """The rules by which rows become a session, as they are now."""

    profiles: ProfileSet
    named: str | None
    """The profile that was named for the import."""
    continuity: Sequence[ContinuityEvent]


class SessionFromRows:
    """The session that some rows make, with the known session that they belong to; a `LateSession` of `past_revocations`."""

    kind = "application"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.known: ImportedDetail | None = None
        self.rows: list[StagedRow] = []
        self.said_at: dict[str, int] = {}
        self._details: dict[str, Any] = {}
        self.ended: tuple[int, str] | None = None
        self._worked_out: tuple[Deadlines, int | None, Tokens] | None = None
        self.created_at, self.last_used_at = NEVER, BEFORE_ALL

    def join(self, known: ImportedDetail | None) -> None:
        """Make the part one of a known session, or of none."""
        if known is self.known:
            return
        rows, self.rows, self.known, self._worked_out = self.rows, [], known, None
        self.said_at = dict(known.said_at) if known else {}
        self.created_at = known.session.created_at if known else NEVER
        self.last_used_at = known.session.last_used_at if known else BEFORE_ALL
        self._details = {name: detail(known.session, name) for name in self.said_at} if known else {}
        for row in rows:
            self.add(row)

    def add(self, row: StagedRow) -> None:
        """Add a row: each detail is as the latest row that has one gives it; of two at the same instant the greater text."""
        self.rows.append(row)
        self._worked_out = None
        self.created_at = min(self.created_at, row.at)
        self.last_used_at = max(self.last_used_at, row.at)
        for name, value in row.details.items():
            if name not in self.said_at or (row.at, str(value)) > (self.said_at[name], str(self._details[name])):
                self._details[name], self.said_at[name] = value, row.at

    def end(self, at: int, reason: str) -> None:
        """End the session at an instant."""
        self.ended = (at, reason)

    @property
    def texts(self) -> dict[str, str]:
        """See `LateSession`."""
        return {name: comparable(self._details[name]) for name, comparable in MATCHED.items() if name in self._details}

    @property
    def expires_at(self) -> int:
        """See `LateSession`."""
        return self._deadlines()[0].expires_at

    @property
    def profile(self) -> Profile:
        """The profile of the session: its own, or that named for the import, or the assigned one."""
        rules = self._rules
        chosen = rules.profiles.get(self.known.session.profile if self.known else rules.named or "")
        return chosen or rules.profiles.assigned(self._details["username"], self._details.get("application", ""))

    def profile_at(self, revocation: PastRevocation) -> str:
        """See `LateSession`. Assignments that changed since the revocation move no session in or out."""
        if self.known and (
            self.known.profile_named
            or revocation.last_number is None
            or self.known.session.number <= revocation.last_number
        ):
            return self.known.session.profile
        if self._rules.named is not None or revocation.profiles is None:
            return self.profile.name
        return revocation.profiles.assigned(self._details["username"], self._details.get("application", "")).name

    def lived_at(self, at: int) -> bool:
        """See `LateSession`."""
        if self.ended is not None and self.ended[0] <= at:
            return False
        return held_until(self.expires_at, self.profile.name, self._rules.continuity) > at

    def session(self) -> NewSession:
        """The session, to be registered or to replace what is known of it."""
        deadlines, fixed, tokens = self._deadlines()
        details = {name: value for name, value in self._details.items() if name != "expires_at"}
        return NewSession(
            id=self.known.session.id if self.known else names.new_id(),
            profile=self.profile.name,
            created_at=self.created_at,
            last_used_at=self.last_used_at,
            deadlines=deadlines,
            fixed_expires_at=fixed,
            tokens=tokens,
            ended_at=self.ended[0] if self.ended else None,
            ended_by=self.ended[1] if self.ended else None,
            **details,
        )

    def _deadlines(self) -> tuple[Deadlines, int | None, Tokens]:
        """The deadlines, with the fixed one and the kind of tokens that they go with; worked out once for the same rows."""
        if self._worked_out is None:
            profile, fixed, tokens = self.profile, self._details.get("expires_at"), Tokens.SINGLE
            if (
                fixed is None and profile.requested
            ):  # nothing is known of what was asked for: the default, as for a sign-in
                fixed = lifetimes.after(self.created_at, profile.requested.default_lifetime)
                tokens = Tokens.REQUESTED
            deadlines = _deadlines(profile, self.created_at, self.last_used_at, fixed, self.known)
            self._worked_out = (deadlines, fixed, tokens)
        return self._worked_out


def _deadlines(
    profile: Profile, created_at: int, last_used_at: int, fixed: int | None, known: ImportedDetail | None
) -> Deadlines:
    deadlines = profile.deadlines(created_at, last_used_at)
    if known and fixed == known.session.fixed_expires_at and last_used_at == known.session.last_used_at:
        old = known.session
        if not old.is_alive(old.read_at):  # an older row is no use that could revive it
            return Deadlines(old.slid_at, old.idle_expires_at, old.absolute_expires_at, old.expires_at, old.use_due_at)
    if fixed is not None:
        return deadlines._replace(expires_at=fixed)
    if known and known.session.expires_at > min(known.session.idle_expires_at, known.session.absolute_expires_at):
        # applying a profile ended it at that instant, which is not taken back
        return deadlines._replace(expires_at=max(deadlines.expires_at, known.session.expires_at))
    return deadlines


def detail(session: Session | NewSession, name: str) -> Any:
    """A detail of a session by the name that rows give it; an expiry that was imported is the fixed one."""
    return getattr(session, "fixed_expires_at" if name == "expires_at" else name)
