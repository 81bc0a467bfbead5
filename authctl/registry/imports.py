"""Registering the sessions of another system's export.

A key's rows make one session: created at the earliest, last used at the latest, every detail as its latest row that has
one said it. So the order of rows and files does not matter, nor how often they come. What ended
or was revoked is final: rows up to that instant change nothing, and rows after it are a new session.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

from authctl import names
from authctl.exports import Rejected, rows
from authctl.importing import Mapping, Row, Skipped
from authctl.instants import DAY
from authctl.model import NewSession, ProfileSet, Session
from authctl.registry.cleanup import Progress
from authctl.registry.core import Core, actor_name
from authctl.store.base import Imported, ImportedDetail, Staging, View

_KEYS_PER_BATCH = 500
_MOST_NAMED = 1_000

Staged = tuple[bytes, list[tuple[int, dict[str, Any]]]]


@dataclass(slots=True)
class RowCounts:
    """What became of the rows of a file."""

    read: int = 0
    used: int = 0
    duplicates: int = 0
    skipped: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import read and registered, or would."""

    rows: RowCounts
    registered: int
    updated: int
    unchanged: int
    rejections: tuple[tuple[int, str], ...]
    """Line number and reason, for up to 1,000 rejected rows."""
    dry_run: bool


@dataclass(slots=True)
class _Plan:
    """What a batch of keys comes to."""

    new: list[Imported]
    changed: list[tuple[int, Imported]]
    unchanged: int = 0


def import_sessions(
    core: Core,
    file: BinaryIO,
    mapping: Mapping,
    *,
    name: str,
    profile: str | None,
    dry_run: bool,
    actor: str | None,
    progress: Progress,
) -> ImportOutcome:
    """See `Registry.import_sessions`."""
    actor_name(actor)
    staging = core.store.staging()
    try:
        counts, rejections = _stage(file, mapping, name, staging, core.now() + DAY)
        with core.look() as (view, _now):
            if profile is not None:
                profile = view.profiles().named(profile).name
        done = _registered(
            core, staging, profile, dry_run, actor, progress, {"file": names.visible(name), "rows": counts.read}
        )
    finally:
        staging.close()
    return ImportOutcome(counts, *done, tuple(rejections), dry_run)


def _stage(
    file: BinaryIO, mapping: Mapping, name: str, staging: Staging, latest: int
) -> tuple[RowCounts, list[tuple[int, str]]]:
    counts = RowCounts()
    rejections: list[tuple[int, str]] = []
    for line, raw in rows(file, name):
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
                for number, one in plan.changed:
                    unit.tx.update_imported(number, one)
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


def _planned(view: View, batch: Sequence[Staged], profile: str | None, now: int) -> _Plan:
    profiles = view.profiles()
    revoke_all = view.latest_revoke_all()
    plan = _Plan([], [])
    for key, staged in batch:
        _plan_key(plan, key, staged, view.imported(key, now), view.imported_final(key), profiles, profile, revoke_all)
    return plan


def _plan_key(
    plan: _Plan,
    key: bytes,
    staged: list[tuple[int, dict[str, Any]]],
    known: list[ImportedDetail],
    removed: int | None,
    profiles: ProfileSet,
    profile: str | None,
    revoke_all: tuple[int, int] | None,
) -> None:
    ends = [_final_end(one.session) for one in known]
    final = max((end for end in (*ends, removed) if end is not None), default=None)
    open_ones = [one for one in known if _final_end(one.session) is None]
    fresh = [row for row in staged if final is None or row[0] > final]
    if any(revoke_all and one.session.created_at <= revoke_all[1] for one in open_ones):
        revoke_all = None  # spared by it, so it does not divide this key's rows
    before, after = _divided(fresh, revoke_all)
    if before and revoke_all:
        plan.new.append(_imported(key, before, None, profiles, profile, revoke_all[0]))
    if after and open_ones:
        one = open_ones[-1]
        merged = _imported(key, after, one, profiles, profile, None)
        if _says_more(merged, one):
            plan.changed.append((one.session.number, merged))
        else:
            plan.unchanged += 1
    elif after:
        plan.new.append(_imported(key, after, None, profiles, profile, None))
    elif not before:
        plan.unchanged += 1


def _final_end(session: Session) -> int | None:
    """Up to when the rows of a session's key are settled: its end, or its last use where a clock was ahead."""
    end = session.ended_at if session.revoked_at is None else session.revoked_at
    return None if end is None else max(end, session.last_used_at)


def _divided(
    staged: list[tuple[int, dict[str, Any]]], revoke_all: tuple[int, int] | None
) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, dict[str, Any]]]]:
    """The rows up to the latest revocation of everything, and those after it."""
    if revoke_all is None:
        return [], staged
    return [r for r in staged if r[0] <= revoke_all[1]], [r for r in staged if r[0] > revoke_all[1]]


def _imported(
    key: bytes,
    staged: list[tuple[int, dict[str, Any]]],
    known: ImportedDetail | None,
    profiles: ProfileSet,
    profile: str | None,
    revocation_id: int | None,
) -> Imported:
    details, said_at = _merged(staged, known)
    created_at = min(staged[0][0], known.session.created_at) if known else staged[0][0]
    last_used_at = max(staged[-1][0], known.session.last_used_at) if known else staged[-1][0]
    fixed = details.pop("expires_at", None)
    if known:
        chosen = profiles.get(known.session.profile)
    elif profile is not None:
        chosen = profiles.get(profile)
    else:
        chosen = profiles.assigned(details["username"], details.get("application", ""))
    assert chosen is not None
    deadlines = chosen.deadlines(created_at, last_used_at)
    if known and known.session.expires_at > min(known.session.idle_expires_at, known.session.absolute_expires_at):
        # applying a profile ended it at that instant, which is not taken back
        deadlines = replace(deadlines, expires_at=max(deadlines.expires_at, known.session.expires_at))
    new = NewSession(
        id=known.session.id if known else names.new_id(),
        profile=chosen.name,
        created_at=created_at,
        last_used_at=last_used_at,
        deadlines=deadlines,
        fixed_expires_at=fixed,
        **details,
    )
    return Imported(key, new, said_at, revocation_id)


def _merged(
    staged: list[tuple[int, dict[str, Any]]], known: ImportedDetail | None
) -> tuple[dict[str, Any], dict[str, int]]:
    """Each detail as the latest row that has one said it; of two at the same instant the greater text."""
    details: dict[str, Any] = {}
    said_at: dict[str, int] = dict(known.said_at) if known else {}
    if known:
        details = {name: _detail(known.session, name) for name in said_at}
    for at, row in staged:
        for name, value in row.items():
            if name not in said_at or (at, str(value)) > (said_at[name], str(details[name])):
                details[name], said_at[name] = value, at
    return details, said_at


def _detail(session: Session, name: str) -> Any:
    return session.fixed_expires_at if name == "expires_at" else getattr(session, name)


def _says_more(merged: Imported, known: ImportedDetail) -> bool:
    new, old = merged.session, known.session
    same = all(
        _detail(old, name) == getattr(new, "fixed_expires_at" if name == "expires_at" else name)
        for name in merged.said_at
    )
    return not (
        same
        and merged.said_at == known.said_at
        and (new.created_at, new.last_used_at) == (old.created_at, old.last_used_at)
    )
