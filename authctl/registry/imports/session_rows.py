"""The session that some rows of an import make, with the known session that they belong to.

See docs/glossary.md#late-row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from authctl import lifetimes, names
from authctl.instants import DAY, EARLIEST, NEVER
from authctl.lifetimes import Deadlines
from authctl.model import ContinuityEvent, NewSession, Profile, ProfileSet, Session, Tokens
from authctl.model.continuity import held_until
from authctl.registry.imports.known_sessions import NOT_LISTED
from authctl.store.protocol.imports import CompleteListing, ImportedDetail, SourceFacts, StagedRow
from authctl.store.protocol.revocations import PastRevocation

BEFORE_ALL = EARLIEST - 1 - DAY

MATCHED: dict[str, Callable[[str], str]] = {
    "username": names.fold,
    "application": names.fold,
    "device": names.fold,
    "platform": names.fold,
    "ip": str.lower,
    "source": names.fold,
    "source_id": names.fold,
}
"""The details that criteria are compared with, and how a text is made comparable."""


class Rules(NamedTuple):
    """The present rules by which rows become a session."""

    profiles: ProfileSet
    named: str | None
    """The profile that was named for the import."""
    continuity: Sequence[ContinuityEvent]
    now: int = 0
    source: str | None = None
    """The system that the sessions of the import live in."""
    listings: Mapping[str, Sequence[CompleteListing]] = {}  # a constant
    """The complete listings by the folded name of their system, the earliest first."""

    claimed: Sequence[CompleteListing] = ()
    """The complete listing that the import is, if it is one: it ends no known session that nobody was shown."""

    def listings_of(self, source: str | None) -> Sequence[CompleteListing]:
        """The complete listings of a system."""
        return self.listings.get(names.fold(source), ()) if source is not None else ()


class SessionFromRows:
    """The session that some rows make, with the known session that they belong to; a `LateSession` of `past_revocations`."""

    kind = "application"

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.known: ImportedDetail | None = None
        self.rows: list[StagedRow] = []
        self.detail_times: dict[str, int] = {}
        self._details: dict[str, Any] = {}
        self.exact_created_at: int | None = None
        self.listed_at: int | None = None
        self.end_in_source: tuple[int, str] | None = None
        self.end_here: tuple[int, str] | None = None
        self.used_after_end_at: int | None = None
        self._worked_out: tuple[Deadlines, int | None, Tokens] | None = None
        self.created_at, self.last_used_at = NEVER, BEFORE_ALL

    def join(self, known: ImportedDetail | None) -> None:
        """Make the part one of a known session, or of none."""
        if known is self.known:
            return
        rows, self.rows, self.known, self._worked_out = self.rows, [], known, None
        self.exact_created_at = known.facts.created_at if known else None
        self.listed_at = known.facts.listed_at if known and not known.rows else None
        self.created_at, self.last_used_at = NEVER, BEFORE_ALL
        self.detail_times, self._details = {}, {}
        if known and not known.rows:  # else its rows are among those that are added
            self.created_at, self.last_used_at = known.session.created_at, known.session.last_used_at
            self.detail_times = dict(known.detail_times)
            self._details = {name: detail(known.session, name) for name in self.detail_times}
        for row in rows:
            self.add(row)

    def add(self, row: StagedRow) -> None:
        """Add a row: each detail is as the latest row that has one gives it; of two at the same instant the greater text."""
        self.rows.append(row)
        self._worked_out = None
        self.created_at = min(self.created_at, row.at)
        self.last_used_at = max(self.last_used_at, row.at)
        if row.is_created_exact and row.created_at is not None:
            self.created_at = self.exact_created_at = row.created_at
        if row.listed_at is not None:
            self.listed_at = max(self.listed_at or row.listed_at, row.listed_at)
        for name, value in row.details.items():
            if name not in self.detail_times or (row.at, str(value)) > (
                self.detail_times[name],
                str(self._details[name]),
            ):
                self._details[name], self.detail_times[name] = value, row.at

    @property
    def ended(self) -> tuple[int, str] | None:
        """When and why the session ended first: here, in its source, or because a complete listing does not have it.

        An end that the source gives itself is known; nothing is to be inferred from a listing then.
        """
        # decision 278: an end that the source gives itself is known, and the end by a listing is inferred
        inferred = self._missing_in_listing() if self.end_in_source is None else None
        ends = (self.end_here, self.end_in_source, inferred)
        return min((end for end in ends if end is not None), default=None)

    def _missing_in_listing(self) -> tuple[int, str] | None:
        """The first complete listing after everything that is known of the session, if no deadline ended it by now."""
        listings = self._rules.listings_of(self.source)
        if self.known is None and self._rules.claimed:
            listings = sorted([*listings, *self._rules.claimed], key=lambda listing: listing.taken_at)
        if not listings:
            return None
        # decision 147: a function of rows and listings alone, so that the order of imports does not matter
        seen_at = max(self.created_at, self.last_used_at, self.listed_at or BEFORE_ALL)
        users = ("", names.fold(self._details["username"]))
        later = (
            listing.taken_at for listing in listings if listing.taken_at > seen_at and listing.username_key in users
        )
        missing_at = next(later, None)
        return None if missing_at is None or not self._outlives(self._rules.now) else (missing_at, NOT_LISTED)

    def _latest_use_after_end(self) -> int | None:
        known = self.known.session.used_after_end_at if self.known and not self.known.rows else None
        uses = [self.used_after_end_at, known]
        if self.end_in_source is not None and self.last_used_at > self.end_in_source[0]:
            uses.append(self.last_used_at)
        return max((at for at in uses if at is not None), default=None)

    @property
    def facts(self) -> SourceFacts:
        """The facts about it in its source."""
        return SourceFacts(self.exact_created_at, self.listed_at, *(self.end_in_source or (None, None)))

    @property
    def source(self) -> str | None:
        """The system that it lives in."""
        return self._rules.source or (self.known.session.source if self.known else None)

    @property
    def texts(self) -> dict[str, str]:
        """See `LateSession`."""
        details = {**self._details, "source": self.source} if self.source else self._details
        return {name: comparable(details[name]) for name, comparable in MATCHED.items() if name in details}

    @property
    def expires_at(self) -> int:
        """See `LateSession`."""
        return self._deadlines()[0].expires_at

    @property
    def profile(self) -> Profile:
        """The profile of the session: its own, or that named for the import, or the assigned one."""
        rules = self._rules
        if self.known:
            chosen = rules.profiles.ruling(self.known.session.profile, self.known.session.number)
        else:
            chosen = rules.profiles.get(rules.named) if rules.named else None
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
        ended = self.ended
        return self._outlives(at) if ended is None else at < ended[0] and self._outlives(at)

    def _outlives(self, at: int) -> bool:
        """Whether no deadline had come at an instant."""
        return held_until(self.expires_at, self.profile.name, self._rules.continuity) > at

    def session(self) -> NewSession:
        """The session, to be registered, or to replace the known one."""
        deadlines, fixed, tokens = self._deadlines()
        ended_at, ended_by = self.ended or (None, None)
        details = {name: value for name, value in self._details.items() if name != "expires_at"}
        # decision 50: without `wipe_on_revoke`: no token exists by which the application could get the order
        return NewSession(
            id=self.known.session.id if self.known else names.new_id(),
            profile=self.profile.name,
            created_at=self.created_at,
            last_used_at=self.last_used_at,
            deadlines=deadlines,
            fixed_expires_at=fixed,
            tokens=tokens,
            ended_at=ended_at,
            ended_by=ended_by,
            source=self.source,
            used_after_end_at=self._latest_use_after_end(),
            **details,
        )

    def _deadlines(self) -> tuple[Deadlines, int | None, Tokens]:
        """The deadlines, the fixed one, and the kind of tokens; computed once for the same rows."""
        if self._worked_out is None:
            profile, fixed, tokens = self.profile, self._details.get("expires_at"), Tokens.SINGLE
            # decision 46: the requested lifetime is not known, so it is the default, as for a sign-in that requests none
            if fixed is None and profile.requested:
                fixed = lifetimes.after(self.created_at, profile.requested.default_lifetime)
                tokens = Tokens.REQUESTED
            # A hard end had moved the stored deadline to its own instant: that deadline must not be kept if the end moves.
            known = None if self.known is None or self.known.session.ended_at is not None else self.known
            deadlines = _deadlines(profile, self.created_at, self.last_used_at, fixed, known)
            self._worked_out = (deadlines, fixed, tokens)
        return self._worked_out


def _deadlines(
    profile: Profile, created_at: int, last_used_at: int, fixed: int | None, known: ImportedDetail | None
) -> Deadlines:
    deadlines = profile.deadlines(created_at, last_used_at)
    if known and fixed == known.session.fixed_expires_at and last_used_at == known.session.last_used_at:
        old = known.session
        # decision 46: an older row is no later use, so it makes no session active again
        if not old.is_alive(old.read_at):
            return Deadlines(old.slid_at, old.idle_expires_at, old.absolute_expires_at, old.expires_at, old.use_due_at)
    if fixed is not None:
        return deadlines._replace(expires_at=fixed)
    if known and known.session.expires_at > min(known.session.idle_expires_at, known.session.absolute_expires_at):
        # decision 8: applying a profile ended it at that instant, which stays its end
        return deadlines._replace(expires_at=max(deadlines.expires_at, known.session.expires_at))
    return deadlines


def detail(session: Session | NewSession, name: str) -> Any:
    """A detail of a session by the name that rows give it; an expiry that was imported is the fixed one."""
    return getattr(session, "fixed_expires_at" if name == "expires_at" else name)
