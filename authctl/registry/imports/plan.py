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

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING

from authctl import names
from authctl.instants import DAY, MINUTE
from authctl.model import User
from authctl.registry.imports.changes import Plan
from authctl.registry.imports.known_keys import KnownKeys
from authctl.registry.imports.known_sessions import NOT_LISTED, ended_at_or_after, final_end, pick_by_creation
from authctl.registry.imports.operations import Operation, ends_of_others, instant_of_operation, is_spared
from authctl.registry.imports.partition import Event, Partition, distinct, events_of
from authctl.registry.imports.past_revocations import PastRevocations
from authctl.registry.imports.row_facts import adds_to, all_texts, by_exact_beginning, is_listed_alone, span_of
from authctl.registry.imports.session_rows import BEFORE_ALL, Rules
from authctl.registry.imports.short_way import ShortWay
from authctl.store.protocol.imports import Imported, ImportedDetail, SameRows, StagedKey, StagedRow

if TYPE_CHECKING:
    from authctl.store.protocol import View

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
        self.rules = Rules(view.profiles(), self._named, view.continuity_events(), now, self._source, listings)
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
        by_creation, rows = self._by_creation(staged, own)
        ends: list[Operation] = []
        for created_at in sorted(by_creation, reverse=True):  # the latest first: it adopts a session first seen later
            known = pick_by_creation(own, created_at)
            ends += self._add_one(staged, created_at, by_creation[created_at], known, others, inherited)
        return ends + (self._add_others(staged, rows, own, others, inherited) if rows else [])

    def _by_creation(
        self, staged: StagedKey, own: Sequence[ImportedDetail]
    ) -> tuple[dict[int, list[StagedRow]], list[StagedRow]]:
        """The rows of a key by the exact beginning of their session, and those without one.

        A row without one belongs to the session that began last before it, unless a decision here ended that.
        """
        # decision 165: so a row without a beginning moves no beginning of another session
        by_creation, rest = by_exact_beginning(staged.rows)
        known = {session.facts.created_at for session in own} if rest else set()
        beginnings = sorted(
            at for at in {*by_creation, *known} if at is not None and not self._is_over(staged, own, at)
        )
        left: list[StagedRow] = []
        for row in rest:
            earlier = bisect_right(beginnings, row.at if row.created_at is None else row.created_at)
            (by_creation.setdefault(beginnings[earlier - 1], []) if earlier else left).append(row)
        return by_creation, left

    def _is_over(self, staged: StagedKey, own: Sequence[ImportedDetail], created_at: int) -> bool:
        """Whether a decision here ended the session that began at an instant, or it was removed."""
        known = pick_by_creation([*own], created_at)
        return self._known.is_removed(staged, created_at) if known is None else final_end(known) is not None

    def _add_one(
        self,
        staged: StagedKey,
        created_at: int,
        rows: Sequence[StagedRow],
        known: ImportedDetail | None,
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
    ) -> list[Operation]:
        """Plan the one session of a key that began at an instant."""
        end = None if known is None else final_end(known)
        if known is not None and end is not None:
            self._add_uses_after(known, [row.at for row in rows], end)
            return []
        if known is None and self._known.is_removed(staged, created_at):
            self._plan.unchanged += 1
            return []
        events = events_of(rows, self._counts_as)
        return self._add_parts(staged, events, [known] if known else [], others, inherited, created_at)

    def _add_others(
        self,
        staged: StagedKey,
        rows: Sequence[StagedRow],
        own: Sequence[ImportedDetail],
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
    ) -> list[Operation]:
        """Plan the sessions of a key that rows make by their own times."""
        # by their beginnings: a session that began earlier may have been registered later
        unended = sorted(
            (known for known in own if final_end(known) is None and known.facts.created_at is None),
            key=lambda known: known.session.created_at,
        )
        final = self._settled_until(staged, own)
        events = events_of([*rows, *(row for known in unended for row in known.rows)], self._counts_as)
        if not unended and final > BEFORE_ALL:  # decision 146: a listing is no sign-in
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
        return self._add_parts(staged, unsettled, unended, others, inherited)

    def _add_parts(
        self,
        staged: StagedKey,
        events: Sequence[Event],
        unended: Sequence[ImportedDetail],
        others: Sequence[ImportedDetail],
        inherited: Sequence[Operation],
        created_at: int | None = None,
    ) -> list[Operation]:
        """Plan the sessions that events make; one session, where its source gave the instant of its beginning."""
        registered, is_one, rules = len(self._plan.new), created_at is not None, self._rules_of(staged)
        user = self._known.users.get(names.fold(events[0].row.details["username"]))
        inherited = [end for end in inherited if not is_spared(end, unended)]
        of_others = [*inherited, *ends_of_others(others, unended)]
        # decision 163: two sessions with different exact beginnings are two, whoever has them
        if is_one:
            of_others = [end for end in of_others if end.created_at in (None, created_at)]
        operations = self._operations_since(events, unended, [*of_others, *self._ends_in_source(events, unended)], user)
        # decision 145: a later end may have to divide these rows, which a merged session does not show
        keeps_rows = self._keeps_rows and not is_one and all(known.rows for known in unended)
        partition = Partition(rules, staged, events, unended, user, operations, is_one=is_one, keeps_rows=keeps_rows)
        planned = partition.plan()
        # a row ahead of the clock can show a use after an end that is to come
        is_past = all(event.row.at <= self.now for event in events)
        has_digest = len(planned) == 1 and len(events) >= len(staged.rows) and is_past
        for session in planned:
            imported = session.imported._replace(rows_digest=staged.digest) if has_digest else session.imported
            self.add(imported, session.known)
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

        A clock that is a little ahead makes a row of the present. One further ahead may be a local time that was written as UTC:
        it is not taken to be later than any operation of the day before.
        """
        # decision 117: most likely a local time that was written as UTC
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

    def _ends_in_source(self, events: Sequence[Event], unended: Sequence[ImportedDetail]) -> Iterator[Operation]:
        """The ends of the sessions of a key in their source, as its rows have them and as they are known."""
        ends = {(event.row.ended_at, event.row.ended_reason) for event in events}
        ends |= {(known.facts.ended_at, known.facts.ended_reason) for known in unended}
        for at, reason in ends:
            if at is not None:
                yield Operation(self._counts_as(at), reason=reason, of_source=True)

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
        plan = self._plan
        plan.used_after_end += merged.session.used_after_end_at is not None
        if known is None:
            plan.new.append(merged)
            return
        number = known.session.number
        plan.met.append(number)
        is_returned = known.session.ended_by == NOT_LISTED and merged.session.ended_by is None
        plan.returned += is_returned and merged.revocation_id is None
        if merged.revocation_id is not None or adds_to(merged, known):
            plan.changed.append((number, merged))
            return
        plan.unchanged += 1
        if (listed_at := merged.facts.listed_at) is not None and listed_at != known.facts.listed_at:
            plan.listed.append((number, listed_at))
        if merged.rows and merged.rows != distinct(known.rows):
            plan.rows.append((number, merged.rows))
