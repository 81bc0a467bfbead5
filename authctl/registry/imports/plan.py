"""The plan for an import's rows of one key: sessions to register, or to update.

A key's rows make one session: created at the earliest, last used at the latest, every detail as its latest row that has
one gives it. So the order of rows and files does not matter, nor how often they come. Where the source gives the instant of the
beginning, it is a part of the key. A session that was revoked or ended here is final: rows up to that instant change nothing, and
rows after it are a new session, unless they have a beginning up to that instant.

An import is late knowledge, and cannot undo an operation (decision 115). Operations divide the rows in the order of time: the rows up to
an operation are one session, which it ended. Disabling the user, a changed password and a restore end it; a revocation of
everything revokes it, and one by criteria does if the session meets them. The only exception: a session that is already known to be
used after an operation is not divided by it; older rows join that session.

See docs/glossary.md#late-row, docs/glossary.md#partition and docs/glossary.md#plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from authctl import names
from authctl.instants import DAY, MINUTE
from authctl.model import User
from authctl.registry.imports.adopted import ended_by_adoption
from authctl.registry.imports.beginnings import Group, as_rows, ends_in_source, first_end, groups_of, is_mixed
from authctl.registry.imports.changes import Plan
from authctl.registry.imports.known_keys import KnownKeys
from authctl.registry.imports.known_sessions import NOT_LISTED, ended_at_or_after, final_end, pick_by_creation, unclear
from authctl.registry.imports.operations import Operation, ends_of_others, instant_of_operation, is_spared
from authctl.registry.imports.partition import Event, OfBeginning, Partition, distinct, events_of
from authctl.registry.imports.past_revocations import PastRevocations
from authctl.registry.imports.row_facts import adds_to, all_texts, is_listed_alone, span_of
from authctl.registry.imports.session_rows import BEFORE_ALL, Rules
from authctl.registry.imports.short_way import ShortWay
from authctl.store.protocol.imports import CompleteListing, Imported, ImportedDetail, SameRows, StagedKey, StagedRow

if TYPE_CHECKING:
    from authctl.store.protocol import View

_OF_USERS = ("user_disabled", "password_changed")
"""The reasons of ends that decisions about a user make."""

_CLOCKS_DIFFER = 5 * MINUTE
"""How far ahead of the clock a row may be and still count as one of the present."""


class Merger:
    """Plans the keys of an import, batch by batch, each by one snapshot of the registry."""

    def __init__(
        self, shared_keys: set[bytes], profile: str | None, *, source: str | None = None, keeps_rows: bool = False
    ) -> None:
        self._shared_keys = shared_keys
        self._first_users: dict[bytes, str] = {}
        self._named = profile
        self._source = source
        self._keeps_rows = keeps_rows
        self.claimed: Sequence[CompleteListing] = ()
        """The complete listing that the import is, for each user whose sessions it has."""
        self._is_alone = True
        """Whether all imported sessions are of this import, so far: its keys are not known then."""
        self._last_number = 0

    def note_written(self, view: View) -> None:
        """Note that a batch was written."""
        self._last_number = view.last_imported()

    def plan(self, view: View, batch: Sequence[StagedKey], past: PastRevocations, now: int) -> Plan:
        """The plan of a batch of keys."""
        self.now = now
        self.past = past
        self.restored_at = view.restored_at()
        self._plan = Plan()
        # decision 179: as long as all imported sessions are its own, none of the keys can be known, and no look-up is
        # needed
        self._is_alone = self._is_alone and view.last_imported() == self._last_number
        batch = batch if self._is_alone else self._without_same_rows(view, batch)
        self._known = KnownKeys(view, batch, self._source, now, has_sessions=not self._is_alone)
        listings = {source: view.complete_listings(source) for source in self._known.sources}
        self.rules = Rules(
            view.profiles(), self._named, view.continuity_events(), now, self._source, listings, self.claimed
        )
        self._short_way = ShortWay(self.rules, past, self._ends(None), self._known.users, keeps_rows=self._keeps_rows)
        if self._shared_keys:
            for _, group in groupby(batch, key=lambda staged: staged.key_without_user or staged.key):
                self._add_group(list(group))
        else:
            for staged in batch:
                self._add_alone(staged)
        return self._plan

    def _without_same_rows(self, view: View, batch: Sequence[StagedKey]) -> list[StagedKey]:
        """The keys whose sessions were not made of the same rows. The others are planned as unchanged."""
        # decision 154: the same rows change nothing, so neither session nor row is read
        same = {same_rows.key: same_rows for same_rows in view.made_of_same_rows(batch, self._source)}
        for staged in batch if same else ():
            if staged.key in same:
                self._add_same_rows(same[staged.key], staged)
        return [staged for staged in batch if staged.key not in same]

    def _add_same_rows(self, same: SameRows, staged: StagedKey) -> None:
        plan = self._plan
        plan.unchanged += 1
        plan.met.append(same.number)
        latest = max(row.at for row in staged.rows)
        plan.used_after_end += same.used_after_end_at is not None and latest >= same.used_after_end_at
        listed_at = max((row.listed_at for row in staged.rows if row.listed_at is not None), default=None)
        if listed_at is not None and listed_at > (same.listed_at or BEFORE_ALL):
            plan.listed.append((same.number, listed_at))

    def _add_alone(self, staged: StagedKey) -> None:
        """Plan a key that no other user has in this import."""
        if not self._known.has(staged, self._shared_keys) and (new := self._short_way.session_of(staged)):
            self._plan.new.append(new)
        else:
            self._add(staged, ())

    def _add_group(self, group: Sequence[StagedKey]) -> None:
        """Plan keys that are the same without the user: an end of the rows of one user also ends older rows of the others.

        So they are planned again until there is no further end. The result does not depend on their order in the files.
        """
        if len(group) == 1:
            self._add_alone(group[0])
            return
        before, ends = self._plan, {staged.key: list[Operation]() for staged in group}
        first_users = dict(self._first_users)
        for _ in range(len(group) + 1):
            self._plan, self._first_users, known = before.copy(), dict(first_users), ends
            ends = {
                staged.key: self._add(staged, [end for key in known if key != staged.key for end in known[key]])
                for staged in group
            }
            if ends == known:
                return

    def _add(self, staged: StagedKey, inherited: Sequence[Operation]) -> list[Operation]:
        """Plan a key; the ends that this makes for older rows of other users under the same key."""
        own, others = self._known.sessions_of(staged)
        if self._source is not None:
            self._plan.adopted += [imported.session.number for imported in own if imported.session.source is None]
            self._plan.adopted_finals |= {staged.key for final in self._known.finals_of(staged) if final.is_of_none}
        groups = groups_of(staged.rows, own, partial(self._is_over, staged, own))
        left, ends = list(own), list[Operation]()
        dated = [group for group in reversed(groups) if group.created_at is not None]
        # the latest is nearest to what was first seen later
        known = [pick_by_creation(left, group.created_at or 0, group.last_of_first) for group in dated]
        for group, session in zip(dated, known, strict=True):
            ends += self._add_one(staged, group, session, left, others, inherited)
        if groups and groups[0].created_at is None:
            ends += self._add_others(staged, groups[0], left, others, inherited)
        if self._source is not None:
            self._plan.changed += ended_by_adoption(own, set(self._plan.met), self.rules)
        return ends

    def _is_over(self, staged: StagedKey, own: Sequence[ImportedDetail], created_at: int) -> bool:
        """Whether a decision here ended the session that began at an instant, or it was removed."""
        known = pick_by_creation([*own], created_at)
        return self._known.is_removed(staged, created_at) if known is None else final_end(known) is not None

    def _add_one(
        self,
        staged: StagedKey,
        group: Group,
        known: ImportedDetail | None,
        left: Sequence[ImportedDetail],
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
    ) -> list[Operation]:
        """Plan the session of a key that began at an instant, and those that rows without a beginning make after its end."""
        created_at, rows = group.created_at or 0, group.rows
        end = None if known is None else final_end(known)
        if known is not None and end is not None:
            self._add_uses_after(known, [row.at for row in rows], end)
            return []
        if known is None and self._known.is_removed(staged, created_at):
            self._plan.unchanged += 1
            return []
        unended: list[ImportedDetail] = []
        if is_mixed(rows, known):
            unended = [one for one in unclear(left) if group.has(one.session.created_at)]
            if known is not None and not known.rows:
                known = known._replace(rows=as_rows(known, created_at))
                rows = [*rows, *known.rows]
        beginning = OfBeginning(known, first_end(row for row in rows if row.is_created_exact))
        events = events_of(rows, self._counts_as)
        return self._add_parts(staged, group._replace(rows=rows), events, unended, others, inherited, beginning)

    def _add_others(
        self,
        staged: StagedKey,
        group: Group,
        own: Sequence[ImportedDetail],
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
    ) -> list[Operation]:
        """Plan the sessions of a key that rows make by their own times."""
        unended = [known for known in unclear(own) if not known.rows or group.has(known.session.created_at)]
        final = self._settled_until(staged, own)
        events = events_of(group.rows, self._counts_as)
        if not unended and final > BEFORE_ALL:  # decision 146: that a listing still has a session is no sign-in
            events = [event._replace(began_at=final) if is_listed_alone(event.row) else event for event in events]
        self._plan.ahead |= {
            (staged.key, event.row.at)
            for event in events
            if event.counts_as <= final < event.row.at and event.began_at is None
        }
        unsettled = [event for event in events if not self._is_settled(staged, event, final, own)]
        is_noted = self._note_uses_after(events, own, final)
        unsettled = self._without_removed(staged, unsettled, is_known=bool(unended))
        if not unsettled:
            self._plan.unchanged += not is_noted
            return []
        return self._add_parts(staged, group, unsettled, unended, others, inherited)

    def _add_parts(
        self,
        staged: StagedKey,
        group: Group,
        events: Sequence[Event],
        unended: Sequence[ImportedDetail],
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
        beginning: OfBeginning | None = None,
    ) -> list[Operation]:
        """Plan the sessions that events make; the first of them is known, where its source gave the instant of its beginning."""
        registered, rules = len(self._plan.new), self._rules_of(staged)
        known = [*unended, *([beginning.known] if beginning and beginning.known else [])]
        user = self._known.users.get(names.fold(events[0].row.details["username"]))
        inherited = [end for end in inherited if not is_spared(end, known)]
        of_others = [*inherited, *ends_of_others(others, known)]
        if beginning:  # decision 163
            of_others = [end for end in of_others if end.created_at in (None, group.created_at)]
        rows, end = [event.row for event in events], beginning and beginning.end
        ends_there = ends_in_source(group._replace(rows=rows), known, end, self._counts_as)
        operations = self._operations_since(events, known, [*of_others, *ends_there], user)
        # decision 145, decision 277
        has_rows = [bool(one.rows) for one in unended]
        keeps_rows = (self._keeps_rows or any(has_rows)) and all(has_rows)
        if beginning:
            keeps_rows = is_mixed(group.rows, beginning.known)
        partition = Partition(
            rules, staged, events, unended, user, operations, of_beginning=beginning, keeps_rows=keeps_rows
        )
        planned = partition.plan()
        # a row ahead of the clock can show a use after an end that is to come
        is_past = all(event.row.at <= self.now for event in events)
        is_whole = sum(event.row.line > 0 for event in events if not event.is_beginning) == len(staged.rows)
        # the time of a listing that has stored rows is stored with them
        is_listed = keeps_rows and any(event.row.listed_at is not None for event in events)
        has_digest = len(planned) == 1 and is_whole and is_past and not is_listed
        for session in planned:
            imported = session.imported._replace(rows_digest=staged.digest) if has_digest else session.imported
            self.add(imported, session.known, is_met=session.is_met)
        if len(self._plan.new) > registered:
            self._report_moved(staged, events[0].row, others)
        return partition.ends

    def _rules_of(self, staged: StagedKey) -> Rules:
        """The rules for a key. An import without a source registers sessions in the source that its key is known in."""
        # decision 164: else the first import with that source would adopt it, and the order of imports mattered
        if self._source is not None:
            return self.rules
        sources = {known.session.source for known in self._known.sessions_of(staged)[0]}
        return self.rules._replace(source=sources.pop()) if len(sources) == 1 else self.rules

    def _add_uses_after(self, known: ImportedDetail, uses: Sequence[int], end: int) -> None:
        """Plan the rows of a session that had ended: the latest use after its end, if they show one."""
        self._plan.unchanged += 1
        self._plan.met.append(known.session.number)
        if uses and max(uses) > end:
            self._plan.used_after_end += 1
            self._plan.late_uses.append((known.session.number, max(uses)))

    def _note_uses_after(self, events: Sequence[Event], own: Sequence[ImportedDetail], final: int) -> bool:
        """Note uses of ended sessions, of which rows have a beginning by then. Returns whether there are any."""
        uses: dict[int, list[int]] = {}
        ended = {imported.session.number: imported for imported in own}
        for event in events:
            if event.began_at is not None and event.began_at <= final:
                known = ended_at_or_after(own, event.began_at)
                if known is not None:
                    uses.setdefault(known.session.number, []).append(event.row.at)
        for number, instants in uses.items():
            self._add_uses_after(ended[number], instants, final_end(ended[number]) or final)
        return bool(uses)

    def _settled_until(self, staged: StagedKey, own: Iterable[ImportedDetail]) -> int:
        """The instant up to which rows of a key change nothing."""
        ends = [*(final_end(known) for known in own), *(final.at for final in self._known.finals_of(staged))]
        return max((end for end in ends if end is not None), default=BEFORE_ALL)

    def _is_settled(self, staged: StagedKey, event: Event, final: int, own: Iterable[ImportedDetail]) -> bool:
        """Whether a row changes nothing: the session that it belongs to is over by a decision here, or was removed."""
        if not event.row.line:
            return False  # it was not settled when it was stored
        if (event.counts_as if event.began_at is None else event.began_at) <= final:
            return True
        return event.began_at is None and self._is_part_of_ended(staged, event.row.at, own)

    def _is_part_of_ended(self, staged: StagedKey, at: int, own: Iterable[ImportedDetail]) -> bool:
        """Whether a row after the end still changes nothing: it belongs to an ended session, whose clock was ahead of ours."""
        ended = (imported.session for imported in own if final_end(imported) is not None)
        return (staged.key, at) in self._known.ahead or any(
            session.created_at <= at <= session.last_used_at for session in ended
        )

    def _without_removed(self, staged: StagedKey, events: list[Event], *, is_known: bool) -> list[Event]:
        """The rows after the end of another user's session of the same key that was removed. The earlier ones are reported."""
        finals = self._known.finals_without_user.get(staged.key_without_user or b"")
        if not finals or is_known:
            return events
        end = max(final.at for final in finals)
        text = "not registered: the session of its key ended under another user name after this row, and was removed"
        self._plan.moved += [(event.row.line, text) for event in events if event.counts_as <= end]
        return [event for event in events if event.counts_as > end]

    def _counts_as(self, at: int) -> int:
        """The instant that a row counts as where it is compared with operations.

        A row of a clock that is a little ahead is one of the present. One further ahead is not later than any operation of the day before.
        """
        # decision 117: it is most likely a local time that was written as UTC
        if at <= self.now:
            return at
        return self.now if at <= self.now + _CLOCKS_DIFFER else self.now - DAY

    def _operations_since(
        self,
        events: Sequence[Event],
        unended: Sequence[ImportedDetail],
        ends: Sequence[Operation],
        user: User | None,
    ) -> Callable[[int], Iterator[Operation]]:
        """The operations that may bind the rows of a key, from an instant on, in the order of time."""
        fixed = [*self._ends(user), *ends]
        if self.past.of_everything:
            fixed.append(Operation(self.past.of_everything.at, criteria=self.past.of_everything))
        fixed.sort(key=instant_of_operation)
        if self.past.is_empty:
            return lambda since: (operation for operation in fixed if operation.at >= since)
        texts, span = all_texts(events, unended, self._source), span_of(events, unended)

        def operations(since: int) -> Iterator[Operation]:
            by_criteria = (
                Operation(criteria.at, criteria=criteria) for criteria in self.past.possible(texts, since, span)
            )
            return merge(
                (operation for operation in fixed if operation.at >= since), by_criteria, key=instant_of_operation
            )

        return operations

    def _ends(self, user: User | None) -> Iterator[Operation]:
        """The hard ends: of every session by a restore, of the user's by disabling or a changed password."""
        # decision 39: without these, an import could undo a decision about a user
        if self.restored_at is not None:
            yield Operation(self.restored_at, reason="restored")
        if user and user.ended_at is not None:
            yield Operation(user.ended_at, reason="user_disabled")
        if user and user.password_changed_at is not None:
            yield Operation(user.password_changed_at, reason="password_changed", of_password=True)

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

    def add(self, merged: Imported, known: ImportedDetail | None, *, is_met: bool) -> None:
        """Plan one session of a key: a new one, or a change of a known one. Without a row of this import it counts if it changes."""
        plan = self._plan
        plan.used_after_end += is_met and merged.session.used_after_end_at is not None
        if merged.revocation_id is not None or merged.session.ended_by in _OF_USERS:
            plan.decided.append(known and known.session.number)
        if known is None:
            plan.new.append(merged)
            return
        number = known.session.number
        if is_met:
            plan.met.append(number)
        is_unended = merged.session.ended_by is None and merged.revocation_id is None
        plan.returned += known.session.ended_by == NOT_LISTED and is_unended
        if merged.revocation_id is not None or adds_to(merged, known):
            plan.changed.append((number, merged))
            plan.lost += [] if is_met else [(number, merged)]
            return
        plan.unchanged += is_met
        if (listed_at := merged.facts.listed_at) is not None and listed_at != known.facts.listed_at:
            plan.listed.append((number, listed_at))
        if merged.rows and merged.rows != distinct(known.rows):
            plan.rows.append((number, merged.rows))
