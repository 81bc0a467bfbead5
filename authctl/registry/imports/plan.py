"""What an import's rows of one key come to: sessions to register, or to update.

A key's rows make one session: created at the earliest, last used at the latest, every detail as its latest row that has
one gives it. So the order of rows and files does not matter, nor how often they come. A session that was revoked or ended is
final: rows up to that instant change nothing, and rows after it are a new session.

An import is late knowledge, and no way around a deed (decision 115). In the order of time each deed parts the rows: what they
say up to it is a session by itself, which is over then. Disabling the user, a changed password and a restore end it; a revocation of
everything revokes it, and one by criteria does where the session meets them. The one exception: a session that is already known to be
used after a deed is not parted by it; older rows join that session.

See docs/glossary.md#late-row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from authctl import names
from authctl.instants import DAY, MINUTE
from authctl.model import Session, User
from authctl.registry.imports.deeds import Deed, instant_of_deed, is_spared, revocation_of
from authctl.registry.imports.past_revocations import PastRevocations, Span
from authctl.registry.imports.session_rows import BEFORE_ALL, MATCHED, Rules, SessionFromRows, detail
from authctl.registry.users import password_ends
from authctl.store.protocol.imports import Imported, ImportedDetail, StagedKey, StagedRow

if TYPE_CHECKING:
    from authctl.store.protocol import View

_CLOCKS_DIFFER = 5 * MINUTE
"""How far ahead of the clock a row may be and still count as one of the present."""


@dataclass(slots=True)
class Plan:
    """The changes that some keys come to."""

    new: list[Imported] = field(default_factory=list)
    changed: list[tuple[int, Imported]] = field(default_factory=list)
    unchanged: int = 0
    ahead: set[tuple[bytes, int]] = field(default_factory=set)
    """Rows ahead of the clock that change nothing, by key and instant: they change nothing when the clock gets there, either."""
    moved: list[tuple[int, str]] = field(default_factory=list)
    """Lines whose key is that of another user's session, and what became of them."""

    def copy(self) -> Plan:
        """The same plan, to go on from."""
        return Plan(self.new.copy(), self.changed.copy(), self.unchanged, self.ahead.copy(), self.moved.copy())


class Merger:
    """Plans the keys of an import, batch by batch, each by one snapshot of the registry."""

    def __init__(self, shared_keys: set[bytes], profile: str | None) -> None:
        self._shared_keys = shared_keys
        self._first_users: dict[bytes, str] = {}
        self._named = profile

    def plan(self, view: View, batch: Sequence[StagedKey], past: PastRevocations, now: int) -> Plan:
        """The plan of a batch of keys."""
        self.now = now
        self.past = past
        self.rules = Rules(view.profiles(), self._named, view.continuity_events())
        self.restored_at = view.restored_at()
        self._read_known(view, batch)
        self._plan = Plan()
        for _, group in groupby(batch, key=lambda staged: staged.key_without_user or staged.key):
            self._add_group(list(group))
        return self._plan

    def _add_group(self, group: Sequence[StagedKey]) -> None:
        """Plan keys that are the same without the user: what ends the rows of one ends older rows of the others.

        So they are planned again until none of them learns of another end, whatever their order in the files.
        """
        before, ends = self._plan, {staged.key: list[Deed]() for staged in group}
        first_users = dict(self._first_users)
        for _ in range(len(group) + 1):
            self._plan, self._first_users, known = before.copy(), dict(first_users), ends
            ends = {
                staged.key: self._add(staged, [end for key in known if key != staged.key for end in known[key]])
                for staged in group
            }
            if ends == known:
                return

    def _read_known(self, view: View, batch: Sequence[StagedKey]) -> None:
        without_user = [staged.key_without_user for staged in batch if staged.key_without_user is not None]
        keys = [*(staged.key for staged in batch), *without_user]  # 0.1.0 stored the key without the user as the key
        self.finals = view.imported_finals(keys)
        self.ahead = view.imported_ahead([staged.key for staged in batch])
        self.finals_without_user = view.imported_finals(without_user, without_user=True)
        self.known: dict[bytes, list[ImportedDetail]] = {}
        for one in view.imported(keys, without_user, self.now):
            for key in {one.key, one.key_without_user} - {None}:
                self.known.setdefault(key, []).append(one)  # type: ignore[arg-type]  # None was taken out
        self.users = view.users_among({row.details["username"] for staged in batch for row in staged.rows})

    def _add(self, staged: StagedKey, inherited: Sequence[Deed]) -> list[Deed]:
        """Plan a key; the ends that this makes for older rows of other users under the same key."""
        own, others = self._sessions_of(staged)
        unended = [one for one in own if _end(one.session) is None]
        final = self._settled_until(staged, own)
        rows = sorted(((self._counts_as(row.at), row) for row in staged.rows), key=lambda pair: pair[0])
        self._plan.ahead |= {(staged.key, row.at) for counts_as, row in rows if counts_as <= final < row.at}
        fresh = [pair for pair in rows if pair[0] > final and not self._is_part_of_ended(staged, pair[1].at, own)]
        fresh = self._without_removed(staged, fresh, is_known=bool(unended))
        if not fresh:
            self._plan.unchanged += 1
            return []
        registered = len(self._plan.new)
        user = self.users.get(names.fold(fresh[0][1].details["username"]))
        inherited = [end for end in inherited if not is_spared(end, unended)]
        deeds = self._deeds_since(fresh, unended, [*inherited, *self._ends_of_others(others, unended)], user)
        partition = _Partition(self, staged, fresh, unended, user, deeds)
        partition.plan()
        if len(self._plan.new) > registered:
            self._report_moved(staged, fresh[0][1], others)
        return partition.ends

    def _sessions_of(self, staged: StagedKey) -> tuple[list[ImportedDetail], list[ImportedDetail]]:
        """The known sessions of a key, and those of other users under the same key without the user."""
        # decision 116
        own = [one for one in self.known.get(staged.key, []) if one.key == staged.key]
        if staged.key_without_user is None:
            return own, []
        user = names.fold(staged.rows[0].details["username"])
        same = self.known.get(staged.key_without_user, [])
        others = [one for one in same if names.fold(one.session.username) != user]
        taken = {one.session.number for one in (*own, *others)}
        of_0_1_0 = [one for one in same if one.key == staged.key_without_user and one.session.number not in taken]
        return sorted([*own, *of_0_1_0], key=lambda one: one.session.number), others

    def _settled_until(self, staged: StagedKey, own: Iterable[ImportedDetail]) -> int:
        """The instant up to which rows of a key change nothing."""
        ends = [_end(one.session) for one in own]
        ends.append(self.finals.get(staged.key))
        if staged.key_without_user is not None:  # as 0.1.0 kept it
            ends.append(self.finals.get(staged.key_without_user))
        return max((end for end in ends if end is not None), default=BEFORE_ALL)

    def _is_part_of_ended(self, staged: StagedKey, at: int, own: Iterable[ImportedDetail]) -> bool:
        """Whether a row after the end changes nothing all the same: it belongs to a session that is over and had a clock ahead of ours."""
        ended = (one.session for one in own if _end(one.session) is not None)
        return (staged.key, at) in self.ahead or any(one.created_at <= at <= one.last_used_at for one in ended)

    def _without_removed(
        self, staged: StagedKey, fresh: list[tuple[int, StagedRow]], *, is_known: bool
    ) -> list[tuple[int, StagedRow]]:
        """The rows after the end of another user's session of the same key that was removed. The earlier ones are reported."""
        end = self.finals_without_user.get(staged.key_without_user or b"")
        if end is None or is_known:
            return fresh
        text = "not registered: the session of its key ended under another user name after this row, and was removed"
        self._plan.moved += [(row.line, text) for counts_as, row in fresh if counts_as <= end]
        return [pair for pair in fresh if pair[0] > end]

    def _counts_as(self, at: int) -> int:
        """The instant that a row counts as where it is compared with deeds.

        A clock that is a little ahead makes a row of the present. One further ahead may be a local time that was written as UTC:
        it is not taken to be later than any deed of the day before.
        """
        # decision 117
        if at <= self.now:
            return at
        return self.now if at <= self.now + _CLOCKS_DIFFER else self.now - DAY

    def _deeds_since(
        self,
        fresh: Sequence[tuple[int, StagedRow]],
        unended: Sequence[ImportedDetail],
        ends_of_others: Sequence[Deed],
        user: User | None,
    ) -> Callable[[int], Iterator[Deed]]:
        """The deeds that may bind the rows of a key, from an instant on, in the order of time."""
        fixed = [*self._ends(user), *ends_of_others]
        if self.past.of_everything:
            fixed.append(Deed(self.past.of_everything.at, criteria=self.past.of_everything))
        fixed.sort(key=instant_of_deed)
        if self.past.is_empty:
            return lambda since: (deed for deed in fixed if deed.at >= since)
        texts, span = _all_texts(fresh, unended), _span(fresh, unended)

        def deeds(since: int) -> Iterator[Deed]:
            by_criteria = (Deed(one.at, criteria=one) for one in self.past.possible(texts, since, span))
            return merge((deed for deed in fixed if deed.at >= since), by_criteria, key=instant_of_deed)

        return deeds

    def _ends(self, user: User | None) -> Iterator[Deed]:
        """The hard ends: of every session by a restore, of the user's by disabling or a changed password."""
        # decision 39
        if self.restored_at is not None:
            yield Deed(self.restored_at, reason="restored")
        if user and user.ended_at is not None:
            yield Deed(user.ended_at, reason="user_disabled")
        if user and user.password_changed_at is not None:
            yield Deed(user.password_changed_at, reason="password_changed", of_password=True)

    @staticmethod
    def _ends_of_others(others: Sequence[ImportedDetail], unended: Sequence[ImportedDetail]) -> Iterator[Deed]:
        """The ends of other users' sessions of the same key: rows from before tell of that session under another name."""
        for session in (one.session for one in others):
            at = _end(session)
            if at is not None:
                revocation_id = session.revocation_id if session.revoked_at is not None else None
                reason = None if revocation_id else session.ended_by
                end = Deed(at, revocation_id=revocation_id, reason=reason, of_other=True)
                if not is_spared(end, unended):
                    yield end

    def _report_moved(self, staged: StagedKey, row: StagedRow, others: Sequence[ImportedDetail]) -> None:
        key, user = staged.key_without_user, row.details["username"]
        if key is None:
            return
        other = others[0].session.username if others else self._first_users.get(key)
        if other is not None:
            text = f"its key is also that of a session of {names.quoted(other)}; registered as a session of {names.quoted(user)}"
            self._plan.moved.append((row.line, text))
        if key in self._shared_keys:
            self._first_users.setdefault(key, user)

    def add(self, merged: Imported, known: ImportedDetail | None) -> None:
        """Plan one session of a key: a new one, or a change of a known one."""
        if known is None:
            self._plan.new.append(merged)
        elif merged.revocation_id is not None or _adds_to(merged, known):
            self._plan.changed.append((known.session.number, merged))
        else:
            self._plan.unchanged += 1


class _Partition:
    """The rows of one key, parted by deeds into sessions."""

    def __init__(
        self,
        merger: Merger,
        staged: StagedKey,
        fresh: Sequence[tuple[int, StagedRow]],
        unended: Sequence[ImportedDetail],
        user: User | None,
        deeds_since: Callable[[int], Iterator[Deed]],
    ) -> None:
        self.merger = merger
        self.staged = staged
        self.fresh = fresh
        self.unended = unended
        self.user = user
        self.deeds_since = deeds_since
        self._since = BEFORE_ALL
        self._next = 0
        self._part = SessionFromRows(merger.rules)
        self.ends: list[Deed] = []
        """The ends that its parts have, for older rows of other users under the same key."""

    def plan(self) -> None:
        """Plan a session for each part of the rows."""
        created = (one.session.created_at for one in self.unended)
        for deed in self.deeds_since(min(self.fresh[0][0], *created) if self.unended else self.fresh[0][0]):
            if self._next == len(self.fresh) and not self._part.rows:
                return
            known = self._known_until(deed.at)
            if known and known.session.last_used_at > deed.at:
                continue  # the one exception: it is known to be used after the deed, and is not parted
            self._take_rows(deed.at, known)
            if not self._part.rows:
                if deed.criteria is None and (known or not deed.of_password) and self._binds(deed, known):
                    self._begin_part(deed.at)
            elif self._binds(deed, known):
                self._close(deed)
        self._take_rows(None, self._known_until(None))
        if self._part.rows:
            self._close(None)

    def _known_until(self, at: int | None) -> ImportedDetail | None:
        """The active session of the key that was created since the last parting, up to an instant where one is given."""
        created = [one for one in self.unended if self._since < one.session.created_at]
        return next((one for one in reversed(created) if at is None or one.session.created_at <= at), None)

    def _take_rows(self, until: int | None, known: ImportedDetail | None) -> None:
        """Add the rows up to an instant to the present part, and the session that is known of it."""
        self._part.join(known)
        while self._next < len(self.fresh) and (until is None or self.fresh[self._next][0] <= until):
            self._part.add(self.fresh[self._next][1])
            self._next += 1

    def _begin_part(self, since: int) -> None:
        self._since = since
        self._part = SessionFromRows(self.merger.rules)

    def _binds(self, deed: Deed, known: ImportedDetail | None) -> bool:
        """Whether a deed ends or revokes the present part."""
        if deed.of_password:
            return password_ends(self.merger.rules.profiles, self._part.profile.name, None)
        if deed.criteria is None:
            return True
        return not (known and known.session.id in deed.criteria.except_ids) and deed.criteria.is_met_by(self._part)

    def _close(self, deed: Deed | None) -> None:
        """Plan the session of the present part, which a deed closes, or nothing does."""
        part, user, now = self._part, self.user, self.merger.now
        revoking = None
        if deed:
            if deed.reason and part.lived_at(deed.at):
                part.end(deed.at, deed.reason)
            deeds = (later for later in self.deeds_since(deed.at) if later == deed or not later.of_other)
            revoking = next(filter(self._revokes, deeds), None)
        if user and user.disabled_at is not None and revoking is None and part.lived_at(now):
            part.end(
                max(user.disabled_at, min(part.last_used_at, now)), "user_disabled"
            )  # decision 143: no end is ahead
        self._note_end(revoking)
        revocation_id = revoking and revocation_of(revoking)
        named = part.known.profile_named if part.known else self.merger.rules.named is not None
        key, without_user = self.staged.key, self.staged.key_without_user
        self.merger.add(Imported(key, part.session(), part.said_at, revocation_id, without_user, named), part.known)
        if deed:
            self._begin_part(deed.at)

    def _revokes(self, deed: Deed) -> bool:
        """Whether a deed revokes the present part, which is closed by then."""
        return revocation_of(deed) is not None and self._binds(deed, self._part.known)

    def _note_end(self, revoking: Deed | None) -> None:
        """Note the end of the present part, and the revocation by criteria that it comes under."""
        part = self._part
        if revoking is None:
            if part.ended is not None:
                at, reason = part.ended
                self.ends.append(Deed(at, reason=reason, of_other=True))
            return
        self.ends.append(Deed(revoking.at, revocation_id=revocation_of(revoking), of_other=True))


def _span(fresh: Sequence[tuple[int, StagedRow]], unended: Sequence[ImportedDetail]) -> Span:
    """The span of all sessions that the rows of a key make, and of those that are known of it."""
    instants = [row.at for _, row in fresh]
    instants += [at for one in unended for at in (one.session.created_at, one.session.last_used_at)]
    return Span(min(instants), max(instants))


def _all_texts(fresh: Sequence[tuple[int, StagedRow]], unended: Sequence[ImportedDetail]) -> Iterable[tuple[str, str]]:
    """Every text by which criteria may be met by the rows of a key, or by what is known of it, with its name."""
    rows = [row.details for _, row in fresh]
    rows += [{name: getattr(one.session, name) for name in MATCHED} for one in unended]
    return {(name, comparable(row[name])) for row in rows for name, comparable in MATCHED.items() if row.get(name)}


def _end(session: Session) -> int | None:
    """The instant at which a session was revoked or ended; 0.1.0 stored ends ahead of the clock, which count as of the present."""
    end = session.ended_at if session.revoked_at is None else session.revoked_at
    return end and min(end, session.read_at)


def _adds_to(merged: Imported, known: ImportedDetail) -> bool:
    """Whether a session that was merged differs from what is known of it."""
    new, old = merged.session, known.session
    same = all(detail(old, name) == detail(new, name) for name in merged.said_at)
    span = (new.created_at, new.last_used_at, new.ended_at) == (old.created_at, old.last_used_at, old.ended_at)
    return not (same and span and merged.said_at == known.said_at)
