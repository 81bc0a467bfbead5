"""Registering the sessions of another system's export: read and staged whole, then merged key by key, in batches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from time import sleep
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from authctl.errors import InvalidInput
from authctl.import_files import Rejected, read
from authctl.import_mappings import Listing, Mapping, Remark, Row, Skipped
from authctl.instants import DAY
from authctl.registry.batches import PAUSE_SECONDS, Progress, no_progress
from authctl.registry.imports.past_revocations import PastRevocations, past_revocations
from authctl.registry.imports.plan import Merger, Plan
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import actor_name
from authctl.store.protocol.imports import StagedKey
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.store.protocol import Staging, View

_KEYS_PER_BATCH = 500
_MOST_NAMED = 1_000
_MOST_REMARKED = 20
_FIRST_ROWS = 100
"""Rows that are looked at for rows one level down, while none was used."""
_FILE_SHIFT = 40
"""The place of a staged row is one integer: the number of its line in so many low bits, the number of its file above them."""
_SKIPPED = "skipped by where"
_QUOTED = re.compile(r"'[^']*'")


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of a file."""

    read: int = 0
    used: int = 0
    duplicates: int = 0
    skipped: int = 0
    rejected: int = 0


class ExportFile(NamedTuple):
    """A file of an export, and its name in messages."""

    name: str
    file: BinaryIO


class NamedRow(NamedTuple):
    """A row of a file that is reported, and why."""

    file: str
    line: int
    row: int | None
    """Its number in the file, from 1; None where it is not known."""
    reason: str = ""

    @property
    def place(self) -> str:
        """Its place in words: the line, and the number of the row if that is another."""
        return f"line {self.line}" if self.row in (None, self.line) else f"line {self.line}, row {self.row}"


class RemarkOutcome(NamedTuple):
    """A remark on the times of some rows."""

    remark: str
    total: int
    rows: tuple[NamedRow, ...]
    """The first of them, up to 20."""


class ImportOutcome(NamedTuple):
    """The rows that an import read, and the sessions that it registered, or would."""

    rows: RowCounts
    registered: int
    updated: int
    unchanged: int
    rejected_rows: tuple[NamedRow, ...]
    """Up to 1,000 rejected rows, each with its reason."""
    moved_rows: tuple[NamedRow, ...]
    """Up to 1,000 rows whose key is also that of another user's session."""
    unused_because: str | None
    """Why no row was used, the commonest reason with an example; None where one was."""
    dry_run: bool
    remarks: tuple[RemarkOutcome, ...] = ()

    @property
    def rejections(self) -> tuple[tuple[int, str], ...]:
        """Line number and reason of the rejected rows."""
        return tuple((one.line, one.reason) for one in self.rejected_rows)

    @property
    def moved(self) -> tuple[tuple[int, str], ...]:
        """Line number and text of the rows whose key is also that of another user's session."""
        return tuple((one.line, one.reason) for one in self.moved_rows)


class Imports:
    """The imports of a registry."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def run(
        self,
        file: BinaryIO,
        mapping: Mapping,
        *,
        name: str = "import",
        more: Iterable[ExportFile] = (),
        taken_at: int | None = None,
        encoding: str | None = None,
        profile: str | None = None,
        strict: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        progress: Progress = no_progress,
    ) -> ImportOutcome:
        """Register the sessions of another system's export, JSON lines, JSON or a text, as the mapping reads them.

        The files of `more` are read after the first, as if all were one; each is asked for when the one before was read. `taken_at`
        is the instant when the listing was taken, by default what the file says, or now. `encoding` is for a file without a byte
        order mark; its default is the mapping's, or UTF-8. Importing a file again, or files that overlap in any order, gives the same
        registry. Nothing is written before all files were read, nor where no row is used. Rows from before a revocation, an end or a
        restore come under it. Raises InvalidInput when a file cannot be read, or with `strict` where a row is rejected; NotFound for
        a profile that is not in force.
        """
        who = actor_name(actor)
        staging = self._installation.store.staging()
        try:
            with self._installation.snapshot() as (view, now):
                if profile is not None:
                    profile = view.profiles().named(profile).name
            latest = max(self._installation.clock.now(), now) + DAY
            if taken_at is not None and taken_at > latest:
                raise InvalidInput("the time of the listing is more than a day ahead")
            reading = _Reading(mapping, staging, latest, Listing(taken_at, now))
            for file_name, export in chain([ExportFile(name, file)], more):
                reading.read(export, file_name, encoding)
            reading.check_level()
            if strict:
                reading.check_none_rejected()
            detail = {"file": visible(name), "rows": reading.counts.read}
            if len(reading.files) > 1:
                detail["files"] = len(reading.files)
            plan = (
                _registered(self._installation, staging, profile, dry_run, who, progress, detail)
                if reading.is_used
                else _NOTHING
            )
        finally:
            staging.close()
        moved = tuple(reading.staged_row(place, text) for place, text in plan.moved[:_MOST_NAMED])
        sessions = (plan.registered, plan.updated, plan.unchanged)
        because, remarks = reading.unused_because(), reading.remarks()
        return ImportOutcome(reading.counts, *sessions, tuple(reading.rejections), moved, because, dry_run, remarks)


def reject_ended(row: Row) -> Row | Rejected:
    """The row, or a rejection where it says that its session ended.

    The place for ends of other systems: as long as the registry does not take them over, a session that ended there must not be
    registered as one that is active. What goes on from here also takes `Row.created_at` and `Row.ended_reason`.
    """
    return row if row.ended_at is None else Rejected("its session has ended, and imported ends are not registered yet")


class _Reading:
    """The rows of files on their way to the staging, counted."""

    def __init__(self, mapping: Mapping, staging: Staging, latest: int, listing: Listing) -> None:
        self._mapping = mapping
        self._staging = staging
        self._latest = latest
        self._listing = listing
        self.files: list[str] = []
        self.counts = RowCounts()
        self.rejections: list[NamedRow] = []
        self._remarks: Counter[Remark] = Counter()
        self._remarked: dict[Remark, list[NamedRow]] = {}
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._below: str | None = None

    def read(self, file: BinaryIO, name: str, encoding: str | None) -> None:
        """Stage the rows of a file."""
        self.files.append(name)
        export = read(file, name, encoding or self._mapping.encoding, self._mapping.layout)
        if export.columns is not None:
            self._mapping.check_columns(export.columns)
        for number, (line, raw) in enumerate(export.rows, 1):
            self.add(line, number, raw)

    def add(self, line: int, number: int, raw: Any) -> None:
        """Stage a row that is used, and count any."""
        self.counts.read += 1
        result = raw if isinstance(raw, Rejected) else self._mapping.interpret(raw, self._listing)
        if isinstance(result, Row) and result.at > self._latest:
            result = Rejected("its time is more than a day ahead")
        if isinstance(result, Row):
            result = reject_ended(result)
        if isinstance(result, Row):
            self._add_used(line, number, result)
            return
        if not self.is_used and self.counts.read <= _FIRST_ROWS:
            self._below = self._below or self._mapping.rows_below(raw)
        row = NamedRow(self.files[-1], line, number)
        if isinstance(result, Skipped):
            self.counts.skipped += 1
            if _SKIPPED not in self._examples and not self.is_used:
                self._examples[_SKIPPED] = f"{self._place(row)}: {self._mapping.reason_to_skip(raw)}"
            return
        self.counts.rejected += 1
        if len(self.rejections) < _MOST_NAMED:
            self.rejections.append(row._replace(reason=result.reason))
        if not self.is_used:
            self._count_reason(self._place(row), result.reason)

    def _add_used(self, line: int, number: int, row: Row) -> None:
        if row.event_id is not None and self._staging.seen(row.event_id):
            self.counts.duplicates += 1
            return
        self.counts.used += 1
        for remark in set(row.remarks):
            self._remarks[remark] += 1
            rows = self._remarked.setdefault(remark, [])
            if len(rows) < _MOST_REMARKED:
                rows.append(NamedRow(self.files[-1], line, number))
        place = line + (len(self.files) - 1 << _FILE_SHIFT)
        self._staging.add(place, row.key, row.at, row.details, row.key_without_user)

    def staged_row(self, place: int, text: str) -> NamedRow:
        """The report of the row that was staged with a place."""
        file, line = divmod(place, 1 << _FILE_SHIFT)
        return NamedRow(self.files[file], line, None, text)

    def remarks(self) -> tuple[RemarkOutcome, ...]:
        """The remarks on the times of the used rows."""
        return tuple(
            RemarkOutcome(remark.value, self._remarks[remark], tuple(self._remarked[remark]))
            for remark in Remark
            if self._remarks[remark]
        )

    def _place(self, row: NamedRow) -> str:
        return row.place if len(self.files) == 1 else f"{row.file}: {row.place}"

    def check_level(self) -> None:
        """Raise InvalidInput where no row was used, and the rows are one level down in the document."""
        if self._below is not None and not self.is_used:
            message = f"{self.files[0]}: the rows are one level down in the document"
            raise InvalidInput(message, f"add this line to the mapping: rows: {self._below}")

    def _count_reason(self, place: str, reason: str) -> None:
        kind = _QUOTED.sub("...", reason)
        if kind in self._reasons or len(self._reasons) < _MOST_NAMED:
            self._reasons[kind] += 1
            self._examples.setdefault(kind, f"{place}: {reason}")

    @property
    def is_used(self) -> bool:
        """Whether any row was used; one that came before in the file was."""
        return bool(self.counts.used or self.counts.duplicates)

    def check_none_rejected(self) -> None:
        """Raise InvalidInput where a row was rejected."""
        if self.rejections:
            first, count = self.rejections[0], self.counts.rejected
            more = f" (and {count - 1:,} more)" if count > 1 else ""
            message = f"{first.file}: {first.place}: {first.reason}{more}"
            raise InvalidInput(message, "nothing was registered; without --strict the other rows are")

    def unused_because(self) -> str | None:
        """Why no row was used: the commonest reason, with an example."""
        if self.is_used:
            return None
        if not self.counts.read:
            return "the file has no rows"
        reasons = Counter({_SKIPPED: self.counts.skipped}) + self._reasons
        kind, number = reasons.most_common(1)[0]
        done = _SKIPPED if kind == _SKIPPED else "rejected"
        return f"{number:,} of {self.counts.read:,} rows {done}, such as {self._examples[kind]}"


class _Registered(NamedTuple):
    """The sessions that an import registered, updated and left as they were, and the rows of other users' keys."""

    registered: int
    updated: int
    unchanged: int
    moved: list[tuple[int, str]]


_NOTHING = _Registered(0, 0, 0, [])


def _registered(
    installation: Installation,
    staging: Staging,
    profile: str | None,
    dry_run: bool,
    actor: str | None,
    progress: Progress,
    detail: dict[str, Any],
) -> _Registered:
    total, done = staging.keys(), _NOTHING._replace(moved=[])
    if not dry_run:
        with installation.change(actor) as unit:
            unit.record("session.import", detail={**detail, "keys": total, "stage": "begun"})
    batches = _Batches(installation, Merger(staging.keys_of_several_users(), profile))
    keys = 0
    for batch in _together(staging):
        plan = batches.look(batch) if dry_run else batches.register(batch, actor)
        done.moved.extend(plan.moved)
        done = _Registered(
            done.registered + len(plan.new),
            done.updated + len(plan.changed),
            done.unchanged + plan.unchanged,
            done.moved,
        )
        keys += len(batch)
        progress(keys, total)
    if not dry_run:
        with installation.change(actor) as unit:
            counts = {"registered": done.registered, "updated": done.updated, "unchanged": done.unchanged}
            unit.record("session.import", detail={**detail, **counts, "stage": "done"})
    return done


def _together(staging: Staging) -> Iterator[list[StagedKey]]:
    """The keys in batches; keys that are the same without the user are never in two of them."""
    batch: list[StagedKey] = []
    for _, group in groupby(staging.by_key(), key=lambda staged: staged.key_without_user or staged.key):
        batch += group
        if len(batch) >= _KEYS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


class _Batches:
    """Registers keys batch by batch, each in a transaction; the revocations by criteria are read when they change."""

    def __init__(self, installation: Installation, merger: Merger) -> None:
        self._installation = installation
        self._merger = merger
        self._past: PastRevocations | None = None

    def look(self, batch: Sequence[StagedKey]) -> Plan:
        """Plan a batch, and write nothing."""
        with self._installation.snapshot() as (view, now):
            return self._plan(view, batch, now)

    def register(self, batch: Sequence[StagedKey], actor: str | None) -> Plan:
        """Plan a batch and write it, and let others write afterwards."""
        with self._installation.change(actor) as unit:
            plan = self._plan(unit.tx, batch, unit.now)
            unit.tx.add_imported(plan.new)
            unit.tx.update_imported(plan.changed)
            unit.tx.keep_ahead(plan.ahead)
        sleep(PAUSE_SECONDS)
        return plan

    def _plan(self, view: View, batch: Sequence[StagedKey], now: int) -> Plan:
        # decision 115
        self._past = past_revocations(view, self._past)
        return self._merger.plan(view, batch, self._past, now)
