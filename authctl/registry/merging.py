"""What an import's rows of one key come to: sessions to register, or to update.

A key's rows make one session: created at the earliest, last used at the latest, every detail as its latest row that has
one said it. So the order of rows and files does not matter, nor how often they come. What ended or was revoked is
final: rows up to that instant change nothing, and rows after it are a new session.

Late knowledge is no way around a deed: where everybody was revoked, or the user was disabled or changed the password, the
rows up to that instant make a session that was over then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from authctl import lifetimes, names
from authctl.instants import EARLIEST, NEVER
from authctl.lifetimes import Deadlines
from authctl.model import NewSession, Profile, ProfileSet, Session, Tokens, User
from authctl.registry.users import password_ends
from authctl.store.base import View
from authctl.store.values import Imported, ImportedDetail

_BEFORE_ALL = EARLIEST - 1

StagedRow = tuple[int, dict[str, Any]]


@dataclass(slots=True)
class Plan:
    """What some keys come to."""

    new: list[Imported] = field(default_factory=list)
    changed: list[tuple[int, Imported]] = field(default_factory=list)
    unchanged: int = 0


class _Cut(NamedTuple):
    """An instant at which sessions ended, by a revocation of everything or a hard end of the user's."""

    at: int
    revocation_id: int | None = None
    reason: str | None = None


class Merger:
    """Plans the keys of a batch by one snapshot of the registry."""

    def __init__(
        self, view: View, batch: Sequence[tuple[bytes, list[StagedRow]]], profile: str | None, now: int
    ) -> None:
        keys = [key for key, _ in batch]
        self.known = view.imported(keys, now)
        self.finals = view.imported_finals(keys)
        self.users = view.users_among(
            {name for _, rows in batch for _, row in rows for name in [row["username"]]}
            | {one.session.username for known in self.known.values() for one in known}
        )
        self.now = now
        self.named = profile
        self.profiles: ProfileSet = view.profiles()
        self.revoke_all = view.latest_revoke_all()
        self.plan = Plan()

    def add(self, key: bytes, rows: Sequence[StagedRow]) -> None:
        """Plan a key."""
        known = self.known.get(key, [])
        ends = [*(_final_end(one.session) for one in known), self.finals.get(key)]
        final = max((end for end in ends if end is not None), default=_BEFORE_ALL)
        fresh = [row for row in rows if row[0] > final]
        open_ones = [one for one in known if _final_end(one.session) is None]
        if not fresh:
            self.plan.unchanged += 1
            return
        latest = open_ones[-1] if open_ones else None
        whole = _merged(fresh, latest)[0]
        user = self.users.get(names.fold(whole["username"]))
        profile = self._profile(latest, whole)
        since = _BEFORE_ALL
        for cut in [*self._cuts(profile, open_ones, user), _Cut(NEVER)]:
            part = [row for row in fresh if since < row[0] <= cut.at]
            there = [one for one in open_ones if since < one.session.created_at <= cut.at]
            if part:
                self._add_part(key, part, there[-1] if there else None, profile, cut, user)
            since = cut.at

    def _cuts(self, profile: Profile, open_ones: Sequence[ImportedDetail], user: User | None) -> list[_Cut]:
        """When sessions of this key ended, earliest first; what was over before a revoke-all is revoked by it, too."""
        cuts = []
        if user and user.ended_at is not None:
            cuts.append(_Cut(user.ended_at, reason="user_disabled"))
        if user and user.password_changed_at is not None and password_ends(self.profiles, profile.name, None):
            cuts.append(_Cut(user.password_changed_at, reason="password_changed"))
        if self.revoke_all:
            revocation_id, at = self.revoke_all
            if all(
                one.session.created_at > at for one in open_ones
            ):  # else it was spared, and so is what is added to it
                cuts = [cut._replace(revocation_id=revocation_id) if cut.at <= at else cut for cut in cuts]
                cuts.append(_Cut(at, revocation_id))
        return sorted(cuts, key=lambda cut: cut.at)

    def _add_part(
        self,
        key: bytes,
        rows: Sequence[StagedRow],
        known: ImportedDetail | None,
        profile: Profile,
        cut: _Cut,
        user: User | None,
    ) -> None:
        details, said_at = _merged(rows, known)
        session = _ended(_session(details, rows, known, profile), cut, user, self.now)
        merged = Imported(key, session, said_at, cut.revocation_id)
        if known is None:
            self.plan.new.append(merged)
        elif _says_more(merged, known):
            self.plan.changed.append((known.session.number, merged))
        else:
            self.plan.unchanged += 1

    def _profile(self, known: ImportedDetail | None, details: dict[str, Any]) -> Profile:
        if known:
            chosen = self.profiles.get(known.session.profile)
        elif self.named is not None:
            chosen = self.profiles.get(self.named)
        else:
            chosen = self.profiles.assigned(details["username"], details.get("application", ""))
        assert chosen is not None
        return chosen


def _session(
    details: dict[str, Any], rows: Sequence[StagedRow], known: ImportedDetail | None, profile: Profile
) -> NewSession:
    created_at, last_used_at = rows[0][0], rows[-1][0]
    if known:
        created_at = min(created_at, known.session.created_at)
        last_used_at = max(last_used_at, known.session.last_used_at)
    fixed = details.pop("expires_at", None)
    asked = None
    if fixed is None and profile.requested:  # nothing is known of what was asked for: the default, as for a sign-in
        fixed = asked = lifetimes.after(created_at, profile.requested.default_lifetime)
    return NewSession(
        id=known.session.id if known else names.new_id(),
        profile=profile.name,
        created_at=created_at,
        last_used_at=last_used_at,
        deadlines=_deadlines(profile, created_at, last_used_at, fixed, known),
        fixed_expires_at=fixed,
        tokens=Tokens.SINGLE if asked is None else Tokens.REQUESTED,
        **details,
    )


def _final_end(session: Session) -> int | None:
    """Up to when the rows of a session's key are settled: its end, or its last use where a clock was ahead."""
    end = session.ended_at if session.revoked_at is None else session.revoked_at
    return None if end is None else max(end, session.last_used_at)


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


def _ended(session: NewSession, cut: _Cut, user: User | None, now: int) -> NewSession:
    """The session, with the hard end that the cut made of it if it lived then, or that its user's disabling makes now."""
    lives = session.deadlines.expires_at
    if cut.reason and lives > cut.at:
        return session._replace(ended_at=cut.at, ended_by=cut.reason)
    if user and user.disabled_at is not None and cut.revocation_id is None and lives > now:
        return session._replace(ended_at=max(user.disabled_at, session.last_used_at), ended_by="user_disabled")
    return session


def _merged(rows: Sequence[StagedRow], known: ImportedDetail | None) -> tuple[dict[str, Any], dict[str, int]]:
    """Each detail as the latest row that has one said it; of two at the same instant the greater text."""
    details: dict[str, Any] = {}
    said_at: dict[str, int] = dict(known.said_at) if known else {}
    if known:
        details = {name: _detail(known.session, name) for name in said_at}
    for at, row in rows:
        for name, value in row.items():
            if name not in said_at or (at, str(value)) > (said_at[name], str(details[name])):
                details[name], said_at[name] = value, at
    return details, said_at


def _detail(session: Session | NewSession, name: str) -> Any:
    return getattr(session, "fixed_expires_at" if name == "expires_at" else name)


def _says_more(merged: Imported, known: ImportedDetail) -> bool:
    new, old = merged.session, known.session
    same = all(_detail(old, name) == _detail(new, name) for name in merged.said_at)
    span = (new.created_at, new.last_used_at, new.ended_at) == (old.created_at, old.last_used_at, old.ended_at)
    return not (same and span and merged.said_at == known.said_at)
