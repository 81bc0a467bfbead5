"""Registering the sessions of another system's export: read and staged whole, then merged key by key, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from time import sleep
from typing import Any, BinaryIO, NamedTuple

from authctl.escapes import visible
from authctl.exports import Export, Rejected, read
from authctl.importing import Mapping, Row, Skipped
from authctl.instants import DAY
from authctl.registry.cleanup import BREATH_SECONDS, Progress
from authctl.registry.core import Core, actor_name
from authctl.registry.merging import Merger, Plan, StagedRow
from authctl.store.base import Staging, View

_KEYS_PER_BATCH = 500
_MOST_NAMED = 1_000

Staged = tuple[bytes, list[StagedRow]]


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of a file."""

    read: int = 0
    used: int = 0
    duplicates: int = 0
    skipped: int = 0
    rejected: int = 0


class ImportOutcome(NamedTuple):
    """What an import read and registered, or would."""

    rows: RowCounts
    registered: int
    updated: int
    unchanged: int
    rejections: tuple[tuple[int, str], ...]
    """Line number and reason, for up to 1,000 rejected rows."""
    dry_run: bool


def import_sessions(
    core: Core,
    file: BinaryIO,
    mapping: Mapping,
    *,
    name: str,
    encoding: str | None,
    profile: str | None,
    dry_run: bool,
    actor: str | None,
    progress: Progress,
) -> ImportOutcome:
    """See `Registry.import_sessions`."""
    actor_name(actor)
    staging = core.store.staging()
    try:
        export = read(file, name, encoding or mapping.encoding)
        if export.columns is not None:
            mapping.check_columns(export.columns)
        counts, rejections = _stage(export, mapping, staging, core.now() + DAY)
        with core.look() as (view, _now):
            if profile is not None:
                profile = view.profiles().named(profile).name
        done = _registered(
            core, staging, profile, dry_run, actor, progress, {"file": visible(name), "rows": counts.read}
        )
    finally:
        staging.close()
    return ImportOutcome(counts, *done, tuple(rejections), dry_run)


def _stage(export: Export, mapping: Mapping, staging: Staging, latest: int) -> tuple[RowCounts, list[tuple[int, str]]]:
    counts = RowCounts()
    rejections: list[tuple[int, str]] = []
    for line, raw in export.rows:
        counts.read += 1
        meant = raw if isinstance(raw, Rejected) else mapping.interpret(raw)
        if isinstance(meant, Row) and meant.at > latest:
            meant = Rejected("its time is more than a day ahead")
        if isinstance(meant, Skipped):
            counts.skipped += 1
        elif isinstance(meant, Rejected):
            counts.rejected += 1
            if len(rejections) < _MOST_NAMED:
                rejections.append((line, meant.reason))
        elif meant.event_id is not None and staging.seen(meant.event_id):
            counts.duplicates += 1
        else:
            counts.used += 1
            staging.add(meant.key, meant.at, meant.details)
    return counts, rejections


def _registered(
    core: Core,
    staging: Staging,
    profile: str | None,
    dry_run: bool,
    actor: str | None,
    progress: Progress,
    detail: dict[str, Any],
) -> tuple[int, int, int]:
    total = staging.keys()
    registered = updated = unchanged = done = 0
    if not dry_run:
        with core.change(actor) as unit:
            unit.record("session.import", detail={**detail, "keys": total, "stage": "begun"})
    by_key = staging.by_key()
    while batch := list(islice(by_key, _KEYS_PER_BATCH)):
        if dry_run:
            with core.look() as (view, now):
                plan = _planned(view, batch, profile, now)
        else:
            with core.change(actor) as unit:
                plan = _planned(unit.tx, batch, profile, unit.now)
                unit.tx.add_imported(plan.new)
                unit.tx.update_imported(plan.changed)
            sleep(BREATH_SECONDS)
        registered += len(plan.new)
        updated += len(plan.changed)
        unchanged += plan.unchanged
        done += len(batch)
        progress(done, total)
    if not dry_run:
        with core.change(actor) as unit:
            counts = {"registered": registered, "updated": updated, "unchanged": unchanged}
            unit.record("session.import", detail={**detail, **counts, "stage": "done"})
    return registered, updated, unchanged


def _planned(view: View, batch: Sequence[Staged], profile: str | None, now: int) -> Plan:
    merger = Merger(view, batch, profile, now)
    for key, rows_of_key in batch:
        merger.add(key, rows_of_key)
    return merger.plan
