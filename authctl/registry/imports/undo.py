"""Taking an import back: the sessions that it registered are removed, and those that it changed are restored.

A session that was revoked, ended or imported again since then stays. Sessions are judged inside the transaction that changes them,
in batches; each batch removes its part of the journal, so that an undo that was killed is completed by running it again.

See docs/glossary.md#journal-of-an-import.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import Refused
from authctl.model import EventFilter
from authctl.registry.batches import PAUSE_SECONDS, BatchSize, Progress
from authctl.registry.imports.bound_rows import OperationsSince
from authctl.registry.imports.history import PastImport, check_undoable, past_import
from authctl.registry.journals import drop_journals
from authctl.registry.previews import Preview, preview_of
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.registry.bounds import Bound
    from authctl.registry.installation import Installation
    from authctl.store.protocol import View
    from authctl.store.protocol.import_undo import Before

_FIRST_BATCH = 200
_LARGEST_BATCH = 5_000
_LOCK_SECONDS = 0.08
_READ_AT_ONCE = 1_000
_MOST_NAMED = 10
_LISTINGS_AT_ONCE = 20


class KeptSessions(NamedTuple):
    """The sessions that an undo left as they are, for one reason."""

    reason: str
    """`revoked`, `ended` or `changed` since, `removed` by cleanup, or `bound` by a revocation or by a change of the user since,
    `unseen` in the preview."""
    total: int
    sessions: tuple[str, ...]
    """The ids of up to ten of them; of removed sessions no id is known."""


class UndoOutcome(NamedTuple):
    """The sessions that an undo removed and restored, or would."""

    import_id: int
    at: int
    actor: str
    note: str | None
    source: str | None
    removed: int
    restored: int
    taken_back: int
    """How many of the restored sessions had ended because the complete listing did not have them."""
    kept: tuple[KeptSessions, ...]
    dry_run: bool


class UndoPreview(NamedTuple):
    """The sessions that an undo would remove and restore."""

    preview: Preview
    removed: int
    restored: int


class Counts:
    """The counts of an undo, over all its batches and runs."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.removed = known.get("removed", 0)
        self.restored = known.get("restored", 0)
        self.taken_back = known.get("taken_back", 0)
        self._kept: dict[str, dict[str, Any]] = known.get("kept", {})

    def add(self, part: Part) -> None:
        """Count a part."""
        self.removed += len(part.removed)
        self.restored += len(part.restored)
        self.taken_back += sum(before.is_end_inferred for before in part.restored)
        for reason, session_id in part.kept:
            kept = self._kept.setdefault(reason, {"count": 0, "sessions": []})
            kept["count"] += 1
            if session_id is not None and len(kept["sessions"]) < _MOST_NAMED:
                kept["sessions"].append(session_id)

    @property
    def kept(self) -> tuple[KeptSessions, ...]:
        """The sessions that were left, by reason."""
        return tuple(
            KeptSessions(reason, kept["count"], tuple(kept["sessions"])) for reason, kept in sorted(self._kept.items())
        )

    @property
    def recorded(self) -> dict[str, Any]:
        """The counts as they are recorded."""
        return {
            "removed": self.removed,
            "restored": self.restored,
            "taken_back": self.taken_back,
            "kept": {reason: self._kept[reason] for reason in sorted(self._kept)},
        }


class Part(NamedTuple):
    """Some sessions of a journal: those to remove, to restore and to leave."""

    until: int
    """The highest number that was looked at."""
    removed: Sequence[int] = ()
    restored: Sequence[Before] = ()
    kept: Sequence[tuple[str, str | None]] = ()
    """The reason and the id of each session that is left."""

    @property
    def numbers(self) -> list[int]:
        """The sessions that are removed or restored."""
        return [*self.removed, *(before.number for before in self.restored)]


class Undo:
    """The undo of one import."""

    def __init__(self, installation: Installation, import_id: int, actor: str | None) -> None:
        self._installation = installation
        self._id = import_id
        self._actor = actor
        self._operations = OperationsSince()
        self._allowed: Sequence[int] | None = None
        self._ids: list[str] = []
        self._user_keys: set[str] = set()

    def preview(self, max_affected: int | None) -> UndoPreview:
        """The sessions that the undo would remove and restore. Raises NotFound, Refused."""
        with self._installation.snapshot() as (view, now):
            check_undoable(past_import(view, self._id, now))
            counts = Counts({})
            numbers = self._judge(view, counts, max_affected)
            return UndoPreview(preview_of(view, numbers, now), counts.removed, counts.restored)

    def look(self, note: str | None, max_affected: int | None) -> UndoOutcome:
        """Judge all sessions, and write nothing. Raises NotFound, Refused."""
        actor = actor_name(self._actor)
        with self._installation.snapshot() as (view, now):
            past = past_import(view, self._id, now)
            check_undoable(past)
            counts = Counts(past.undo_counts)
            self._judge(view, counts, max_affected)
        return _outcome(past, counts, now, actor, note, dry_run=True)

    def run(self, note: str, bound: Bound | None, max_affected: int | None, progress: Progress) -> UndoOutcome:
        """Undo the import, batch by batch. Raises NotFound, Refused."""
        self._check_affected(bound, max_affected)
        self._begin(note)
        with self._installation.snapshot() as (view, _now):
            total = view.journal_size(self._id)
        done = 0
        for step in (self._remove, self._restore):
            batches = BatchSize(_FIRST_BATCH, _LARGEST_BATCH, _LOCK_SECONDS)
            while (seconds := self._change(step, batches.size)) is not None:
                done += batches.size
                progress(min(done, total), total)
                batches.adjust(seconds)
        while self._restore_listings():
            sleep(PAUSE_SECONDS)
        outcome = self._finish(note)
        drop_journals(self._installation, self._actor)
        return outcome

    def _check_affected(self, bound: Bound | None, max_affected: int | None) -> None:
        """Compare the sessions that would be removed or restored with the limits. No other sessions will be. Raises NotFound, Refused."""
        # decision 151: before the lock: to read the journal of 100,000 sessions takes 4 s, for which nobody else could
        # write
        if bound is None and max_affected is None:
            return
        with self._installation.snapshot() as (view, now):
            check_undoable(past_import(view, self._id, now))
            numbers = self._judge(view, Counts({}), max_affected)
        if bound is not None:
            bound.check(numbers, "would be removed or restored")
        self._allowed = numbers if bound is None else bound.numbers

    def _judge(self, view: View, counts: Counts, max_affected: int | None) -> Sequence[int]:
        """The numbers, ascending, of all sessions to remove or restore; they and the others are added to the counts. Raises Refused."""
        numbers = array("q")
        for part in self._parts(view):
            counts.add(part)
            numbers.extend(part.numbers)
        _check_number(len(numbers), max_affected)
        return array("q", sorted(numbers))

    def _unseen(self, number: int) -> str | None:
        """The reason to leave a session that can be undone only since the limits were checked; None for any other."""
        if self._allowed is None:
            return None
        position = bisect_left(self._allowed, number)
        is_allowed = position < len(self._allowed) and self._allowed[position] == number
        return None if is_allowed else "unseen"

    def _begin(self, note: str) -> None:
        """Record that the undo begins."""
        with self._installation.change(self._actor) as unit:
            past = past_import(unit.tx, self._id, unit.now)
            check_undoable(past)
            unit.check_clock()
            unit.tx.begin_undo(self._id, unit.now, unit.actor, note)
            detail = {"stage": "begun", "source": past.recorded.source}
            unit.record("import.undo", subject=str(self._id), note=note, detail=detail)

    def _parts(self, view: View) -> Iterator[Part]:
        """All parts of the journal, for reading."""
        for next_part in (self._next_registered, self._next_changed):
            after = 0
            while (part := next_part(view, after, _READ_AT_ONCE)) is not None:
                yield part
                after = part.until

    def _next_registered(self, view: View, after: int, limit: int) -> Part | None:
        """The next sessions that the import registered."""
        until, sessions, missing = view.registered_by(self._id, after, limit)
        if until is None:
            return None
        fates = [(session, session.kept or self._unseen(session.number)) for session in sessions]
        kept: list[tuple[str, str | None]] = [(kept, session.id) for session, kept in fates if kept is not None]
        kept += [("removed", None)] * missing
        return Part(until, [session.number for session, kept in fates if kept is None], kept=kept)

    def _next_changed(self, view: View, after: int, limit: int) -> Part | None:
        """The next sessions that the import changed."""
        changed = view.changed_by(self._id, after, limit)
        if not changed:
            return None
        now, _clock = self._installation.clock.present(view)
        bound = self._operations.bind(view, [before for before in changed if before.kept is None], now)
        fates = [
            (before, before.kept or ("bound" if before.number in bound else self._unseen(before.number)))
            for before in changed
        ]
        restored = [before for before, kept in fates if kept is None]
        return Part(changed[-1].number, restored=restored, kept=[(kept, before.id) for before, kept in fates if kept])

    def _change(self, step: Any, size: int) -> float | None:
        """Do one batch of a step, and let others write; for how long the lock was held, or None where nothing is left."""
        with self._installation.change(self._actor) as unit:
            began = perf_counter()
            part = step(unit, size)
            if part is not None:
                # Read again in each batch: an undo that was killed and run again continues the same counts.
                counts = Counts(past_import(unit.tx, self._id, unit.now).undo_counts)
                counts.add(part)
                unit.tx.record_undo(self._id, counts.recorded)
        if part is None:
            return None
        seconds = perf_counter() - began
        sleep(PAUSE_SECONDS)
        return seconds

    def _remove(self, unit: UnitOfWork, size: int) -> Part | None:
        part = self._next_registered(unit.tx, 0, size)
        # decision 150: sessions that only this import registered are removed without a final instant, as if they had never been
        if part is not None:
            self._name(unit, part.removed)
            unit.tx.remove_registered(self._id, part.until, part.removed)
        return part

    def _restore(self, unit: UnitOfWork, size: int) -> Part | None:
        part = self._next_changed(unit.tx, 0, size)
        if part is not None:
            numbers = [before.number for before in part.restored]
            unit.tx.restore_before(self._id, part.until, part.restored, unit.now)
            # decision 153: the stored rows have the deadlines of the profiles of that time
            if self._has_applied_profiles(unit.tx, unit.now):
                _recompute_deadlines(unit, part.restored)
            self._name(unit, numbers)
        return part

    def _has_applied_profiles(self, view: View, now: int) -> bool:
        """Whether profiles were applied since the import, or are being applied."""
        applied = EventFilter(action="profile.apply", since=past_import(view, self._id, now).recorded.at)
        return bool(view.events(applied, 1))

    def _name(self, unit: UnitOfWork, numbers: Sequence[int]) -> None:
        """Note up to 1,000 of the sessions for the audit log."""
        sessions: Sequence[Session] = ()
        if numbers and len(self._ids) < MOST_LISTED:
            sessions = unit.tx.sessions_by_number(numbers[: MOST_LISTED - len(self._ids)], unit.now)
        self._ids += [session.id for session in sessions]
        self._user_keys |= {names.fold(session.username) for session in sessions}

    def _restore_listings(self) -> int:
        with self._installation.change(self._actor) as unit:
            return unit.tx.restore_listings(self._id, _LISTINGS_AT_ONCE)

    def _finish(self, note: str) -> UndoOutcome:
        """Record that the import is undone; another process that undid it, too, may have done so."""
        with self._installation.change(self._actor) as unit:
            past = past_import(unit.tx, self._id, unit.now)
            counts = Counts(past.undo_counts)
            # Two undos of one import may run at once: only the first one is recorded.
            if past.recorded.undone_at is None:
                unit.tx.record_undo(self._id, counts.recorded, unit.now)
                detail = {"stage": "done", "source": past.recorded.source, **counts.recorded}
                detail |= {"sessions": self._ids, "username_keys": sorted(self._user_keys)}
                unit.record("import.undo", subject=str(self._id), note=note, detail=detail)
            return _outcome(past, counts, unit.now, unit.actor, note, dry_run=False)


def _check_number(affected: int, limit: int | None) -> None:
    if limit is not None and affected > limit:
        message = f"more sessions would be removed or restored than the limit of {limit:,}: {affected:,}"
        raise Refused(message, "raise --max-affected")


def _outcome(past: PastImport, counts: Counts, at: int, actor: str, note: str | None, *, dry_run: bool) -> UndoOutcome:
    recorded = past.recorded
    return UndoOutcome(
        recorded.id,
        at,
        actor,
        note,
        recorded.source,
        counts.removed,
        counts.restored,
        counts.taken_back,
        counts.kept,
        dry_run,
    )


def _recompute_deadlines(unit: UnitOfWork, restored: Sequence[Before]) -> None:
    """Compute the deadlines of restored sessions by the profiles that rule them now."""
    profiles = unit.tx.profiles()
    changeover = profiles.changeover
    former = [
        before.number
        for before in restored
        if changeover and not changeover.has_reached(before.session["profile"], before.number)
    ]
    unit.tx.recompute_deadlines_of(
        [before.number for before in restored if before.number not in former], profiles, unit.now
    )
    if changeover and former:
        unit.tx.recompute_deadlines_of(former, changeover.before, unit.now)
