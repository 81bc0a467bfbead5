"""Registering the sessions of another system's export: read and staged whole, then merged key by key, in batches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from time import sleep
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from authctl.errors import InvalidInput
from authctl.import_files import Rejected, read
from authctl.import_mappings import Mapping, Row, Skipped
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


class ImportOutcome(NamedTuple):
    """The rows that an import read, and the sessions that it registered, or would."""

    rows: RowCounts
    registered: int
    updated: int
    unchanged: int
    rejections: tuple[tuple[int, str], ...]
    """Line number and reason, for up to 1,000 rejected rows."""
    moved: tuple[tuple[int, str], ...]
    """Line number and text, for up to 1,000 rows whose key is also that of another user's session."""
    unused_because: str | None
    """Why no row was used, the commonest reason with an example; None where one was."""
    dry_run: bool


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
        encoding: str | None = None,
        profile: str | None = None,
        strict: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        progress: Progress = no_progress,
    ) -> ImportOutcome:
        """Register the sessions of another system's export, JSON lines, JSON or CSV, as the mapping reads them.

        `encoding` is for a file without a byte order mark; its default is the mapping's, or UTF-8. Importing a file again, or files that
        overlap in any order, gives the same registry. Nothing is written before the whole file was read, nor where no row is used. Rows
        from before a revocation, an end or a restore come under it. Raises InvalidInput when the file cannot be read, or with `strict`
        where a row is rejected; NotFound for a profile that is not in force.
        """
        who = actor_name(actor)
        staging = self._installation.store.staging()
        try:
            export = read(file, name, encoding or mapping.encoding)
            if export.columns is not None:
                mapping.check_columns(export.columns)
            with self._installation.snapshot() as (view, now):
                if profile is not None:
                    profile = view.profiles().named(profile).name
            reading = _Reading(mapping, staging, max(self._installation.clock.now(), now) + DAY)
            for line, raw in export.rows:
                reading.add(line, raw)
            if strict:
                reading.check_none_rejected(name)
            detail = {"file": visible(name), "rows": reading.counts.read}
            plan = (
                _registered(self._installation, staging, profile, dry_run, who, progress, detail)
                if reading.is_used
                else _NOTHING
            )
        finally:
            staging.close()
        rejections, moved = tuple(reading.rejections), tuple(plan.moved[:_MOST_NAMED])
        sessions = (plan.registered, plan.updated, plan.unchanged)
        return ImportOutcome(reading.counts, *sessions, rejections, moved, reading.unused_because(), dry_run)


class _Reading:
    """The rows of a file on their way to the staging, counted."""

    def __init__(self, mapping: Mapping, staging: Staging, latest: int) -> None:
        self._mapping = mapping
        self._staging = staging
        self._latest = latest
        self.counts = RowCounts()
        self.rejections: list[tuple[int, str]] = []
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, line: int, raw: Any) -> None:
        """Stage a row that is used, and count any."""
        self.counts.read += 1
        meant = raw if isinstance(raw, Rejected) else self._mapping.interpret(raw)
        if isinstance(meant, Row) and meant.at > self._latest:
            meant = Rejected("its time is more than a day ahead")
        if isinstance(meant, Skipped):
            self.counts.skipped += 1
            if _SKIPPED not in self._examples and not self.is_used:
                self._examples[_SKIPPED] = f"line {line}: {self._mapping.reason_to_skip(raw)}"
        elif isinstance(meant, Rejected):
            self.counts.rejected += 1
            if len(self.rejections) < _MOST_NAMED:
                self.rejections.append((line, meant.reason))
            if not self.is_used:
                self._count_reason(line, meant.reason)
        elif meant.event_id is not None and self._staging.seen(meant.event_id):
            self.counts.duplicates += 1
        else:
            self.counts.used += 1
            self._staging.add(line, meant.key, meant.at, meant.details, meant.key_without_user)

    def _count_reason(self, line: int, reason: str) -> None:
        kind = _QUOTED.sub("...", reason)
        if kind in self._reasons or len(self._reasons) < _MOST_NAMED:
            self._reasons[kind] += 1
            self._examples.setdefault(kind, f"line {line}: {reason}")

    @property
    def is_used(self) -> bool:
        """Whether any row was used; one that came before in the file was."""
        return bool(self.counts.used or self.counts.duplicates)

    def check_none_rejected(self, name: str) -> None:
        """Raise InvalidInput where a row was rejected."""
        if self.rejections:
            line, reason = self.rejections[0]
            count = self.counts.rejected
            what = f"{name}: line {line}: {reason}" + (f" (and {count - 1:,} more)" if count > 1 else "")
            raise InvalidInput(what, "nothing was registered; without --strict the other rows are")

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
