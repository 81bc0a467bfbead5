"""Registering the staged rows of an import, batch by batch, and ending the sessions that a complete listing does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, islice
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.errors import Refused
from authctl.names import fold
from authctl.registry.batches import PAUSE_SECONDS, Progress
from authctl.registry.imports.changes import Plan
from authctl.registry.imports.known_sessions import NOT_LISTED
from authctl.registry.imports.past_revocations import PastRevocations, past_revocations
from authctl.registry.imports.plan import Merger
from authctl.registry.journals import drop_journals
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork

if TYPE_CHECKING:
    from authctl.model import AuditEvent, Session
    from authctl.registry.imports.complete import CompleteSource
    from authctl.registry.installation import Installation
    from authctl.registry.previews import Preview
    from authctl.store.protocol import Change, Staging, View
    from authctl.store.protocol.imports import StagedKey

# decision 202: with more keys, another writer waits too long; with fewer, pages of indexes are written more often
_KEYS_PER_BATCH = 1_500
# decision 181: ends that lie in one transaction would hold the lock for seconds
_ENDS_PER_BATCH = 500
"""How many sessions one change ends."""
_NAMED = ("sessions", "username_keys")
"""The fields that only the audit event of an import has."""


class Done:
    """The sessions that an import registered, updated and left as they were, or would."""

    def __init__(self) -> None:
        self.registered = self.updated = self.unchanged = self.used_after_end = self.returned = self.adopted = 0
        self.moved: list[tuple[int, str]] = []
        """The places of rows whose key is also that of another user's session, each with its message."""

    def add(self, plan: Plan) -> None:
        """Count a batch."""
        self.registered += len(plan.new)
        self.updated += len(plan.changed)
        self.unchanged += plan.unchanged
        self.used_after_end += plan.used_after_end
        self.returned += plan.returned
        self.adopted += len(plan.adopted)
        self.moved.extend(plan.moved)

    @property
    def counts(self) -> dict[str, int]:
        """The counts as they are recorded: always the first three, and of the others those that are not 0."""
        always = {"registered": self.registered, "updated": self.updated, "unchanged": self.unchanged}
        others = {"used_after_end": self.used_after_end, "returned": self.returned, "adopted": self.adopted}
        return always | {name: count for name, count in others.items() if count}


class ImportSource(NamedTuple):
    """The system that the rows of an import are of."""

    name: str | None
    parts_rows: bool
    """Whether its rows can show that their session ended, or began, so that rows of before belong to other ones."""


Remember = Callable[[Done, int, int, int], dict[str, Any]]
"""Makes the record of a file, for a later import of the same file, from the counts, the instant, the last event and the number of keys."""


class Registration:
    """The registration of staged rows: an event at its beginning, batches, and an event at its end."""

    def __init__(
        self,
        installation: Installation,
        staging: Staging,
        profile: str | None,
        actor: str | None,
        progress: Progress,
        detail: dict[str, Any],
        of: ImportSource,
        remember: Remember | None = None,
    ) -> None:
        self._installation = installation
        self._staging = staging
        self._actor = actor
        self._progress = progress
        self._source = of.name
        self._remember = remember
        self._detail = {**detail, "source": of.name} if of.name else detail
        self._complete: CompleteSource | None = None
        self._past: PastRevocations | None = None
        self._shared_keys = staging.keys_of_several_users()
        self._merger = Merger(self._shared_keys, profile, source=of.name, keeps_rows=of.parts_rows)
        self.import_id: int | None = None
        self._begun: AuditEvent | None = None
        self.done = Done()
        self.ends: Preview | None = None
        self.not_listed = 0
        self.not_listed_sessions: list[Session] = []

    def preview_ends(self, complete: CompleteSource, *, dry_run: bool) -> None:
        """Find the sessions that a complete listing does not have, and let a person agree before anything is written."""
        # decision 149: a refusal registers nothing, and only sessions that were shown can end
        self._complete = complete
        self._merger.claimed = complete.as_listings
        for plan in self._plans():
            complete.add_plan(plan)
        with self._installation.snapshot() as (view, now):
            preview = complete.preview(view, now)
        self.not_listed, self.not_listed_sessions = preview.summary.total, list(preview.sessions)
        self.ends = preview
        if not dry_run:
            complete.agree(preview)

    def look(self) -> None:
        """Plan all rows, and write nothing."""
        for plan in self._plans():
            self.done.add(plan)

    def run(self) -> None:
        """Register all rows, and end the sessions that a complete listing does not have."""
        total, keys = self._staging.keys(), 0
        listing = self._complete.detail if self._complete else {}
        with self._installation.change(self._actor) as unit:
            begun = {**self._detail, **listing, "keys": total}
            self.import_id = unit.tx.add_import(unit.now, unit.actor, self._source, begun)
            unit.record("session.import", subject=str(self.import_id), detail={**begun, "stage": "begun"})
            self._begun = unit.recorded[-1]
        drop_journals(self._installation, self._actor)
        for batch in _batches(self._staging, self._shared_keys):
            self.done.add(self._register(batch))
            keys += len(batch)
            self._progress(keys, total)
        drop_journals(self._installation, self._actor)  # earlier ones: this import may have written by now
        ended = self._end_not_listed() if self._complete else {}
        with self._installation.change(self._actor) as unit:
            detail = {**self._detail, **listing, **self.done.counts, **ended}
            recorded = {name: value for name, value in detail.items() if name not in _NAMED}
            unit.record("session.import", subject=str(self.import_id), detail={**detail, "stage": "done"})
            same = self._remember(self.done, unit.now, unit.recorded[-1].seq, total) if self._remember else {}
            unit.tx.finish_import(self.import_id, unit.now, {**recorded, "keys": total, **same})

    def _plans(self) -> Iterator[Plan]:
        keys, total = 0, self._staging.keys()
        for batch in _batches(self._staging, self._shared_keys):
            with self._installation.snapshot() as (view, now):
                yield self._plan(view, batch, now)
            keys += len(batch)
            self._progress(keys, total)

    def _register(self, batch: Sequence[StagedKey]) -> Plan:
        """Plan a batch and write it, and let others write afterwards."""
        with self._change() as unit:
            plan = self._plan(unit.tx, batch, unit.now)
            if self._source is not None:
                unit.tx.adopt_sessions(plan.adopted, self._source)
                unit.tx.adopt_finals(plan.adopted_finals, self._source)
            last_number = unit.tx.last_imported() if plan.decided else 0
            _write(unit.tx, plan)
            if self._source is None:
                unit.tx.record_met(plan.met)
            if plan.decided:
                self._announce(unit, last_number, [number for number in plan.decided if number is not None])
            self._merger.note_written(unit.tx)
        # decision 100: another process that waits for the lock gets its turn
        sleep(PAUSE_SECONDS)
        return plan

    def _announce(self, unit: UnitOfWork, after: int, numbers: Sequence[int]) -> None:
        """Announce the sessions of a batch that decisions of the past revoke or end: the receivers could not be told of them then."""
        # decision 288: the receivers could not be told of these sessions when the decision was made
        assert self._begun is not None
        for decision in unit.tx.late_decisions(after, numbers):
            recorded = self._begun._replace(actor=decision.actor or self._begun.actor)
            unit.announce(decision.event, note=decision.note, numbers=decision.numbers, recorded=recorded)

    @contextmanager
    def _change(self) -> Iterator[UnitOfWork]:
        """A change that is journaled. Raises Refused where the import is being taken back."""
        assert self.import_id is not None
        with self._installation.change(self._actor) as unit:
            if not unit.tx.open_batch(self.import_id, unit.now):
                raise Refused(f"import {self.import_id} was taken back before it was complete")
            yield unit
            unit.tx.close_batch()

    def _plan(self, view: View, batch: Sequence[StagedKey], now: int) -> Plan:
        # decision 115: read in each transaction: a revocation may come between two batches, and applies to the rest
        self._past = past_revocations(view, self._past)
        return self._merger.plan(view, batch, self._past, now)

    def _end_not_listed(self) -> dict[str, Any]:
        """End the sessions that a person agreed to and that are still missing. Returns the record of them."""
        complete, ended = self._complete, 0
        assert complete is not None
        assert self.import_id is not None
        sessions: list[Session] = []
        with self._change() as unit:
            unit.tx.add_complete_listings(complete.source, complete.user_keys, complete.taken_at, self.import_id)
        self._end_earlier(complete)
        for numbers in _batches_of_ends(complete.missing):
            with self._change() as unit:
                missing = complete.still_missing(unit.tx, numbers, unit.now)
                unit.tx.keep_before(missing)
                unit.tx.end_sessions(missing, complete.taken_at, NOT_LISTED)
                if len(sessions) < MOST_LISTED:
                    sessions += unit.tx.sessions_by_number(missing[: MOST_LISTED - len(sessions)], unit.now)
            ended += len(missing)
            sleep(PAUSE_SECONDS)
        self.not_listed, self.not_listed_sessions = ended, sessions
        if not ended:
            return {"not_listed": 0}
        user_keys = sorted({fold(session.username) for session in sessions})
        return {"not_listed": ended, "sessions": [session.id for session in sessions], "username_keys": user_keys}

    def _end_earlier(self, complete: CompleteSource) -> None:
        """Move the ends that later complete listings made to this listing, which does not have these sessions either."""
        listing = (complete.source, complete.user_keys, complete.taken_at)
        with self._installation.snapshot() as (view, _):
            ended_later = view.ended_later(*listing)
        for numbers in _batches_of_ends(ended_later):
            with self._change() as unit:
                # decision 181: asked again, since a later listing may have brought one of them back
                still = unit.tx.ended_later(*listing, numbers)
                unit.tx.end_earlier(still, complete.taken_at)
            sleep(PAUSE_SECONDS)


def _write(tx: Change, plan: Plan) -> None:
    tx.add_imported(plan.new)
    tx.update_imported(plan.changed)
    tx.keep_ahead(plan.ahead)
    tx.record_listing(plan.listed)
    tx.record_use_after_end(plan.late_uses)
    tx.replace_rows(plan.rows)


def _batches_of_ends(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers of sessions that end, in batches."""
    for start in range(0, len(numbers), _ENDS_PER_BATCH):
        yield numbers[start : start + _ENDS_PER_BATCH]


def _batches(staging: Staging, shared_keys: set[bytes]) -> Iterator[list[StagedKey]]:
    """The keys in batches; keys that are the same without the user are never in two of them."""
    if not shared_keys:
        keys = staging.by_key()
        yield from iter(lambda: list(islice(keys, _KEYS_PER_BATCH)), [])
        return
    # decision 116: an end of one user of a shared key applies to the others, so they are planned together
    batch: list[StagedKey] = []
    for _, group in groupby(staging.by_key(), key=lambda staged: staged.key_without_user or staged.key):
        batch += group
        if len(batch) >= _KEYS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
