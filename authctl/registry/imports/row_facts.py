"""Facts of the rows of a key, and of its known sessions: beginnings, span, texts, and whether a merge changed anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from authctl.registry.imports.partition import Event
from authctl.registry.imports.past_revocations import Span
from authctl.registry.imports.session_rows import BEFORE_ALL, MATCHED, detail
from authctl.store.protocol.imports import Imported, ImportedDetail, StagedRow


def is_listed_alone(row: StagedRow) -> bool:
    """Whether a row shows only that a listing has its session: its time is that of the listing."""
    return row.created_at is None and row.at == row.listed_at


def span_of(events: Sequence[Event], unended: Sequence[ImportedDetail]) -> Span:
    """The span of the sessions that the rows of a key make, and of its known sessions."""
    instants = [event.row.at for event in events]
    instants += [at for known in unended for at in (known.session.created_at, known.session.last_used_at)]
    return Span(min(instants), max(instants))


def all_texts(
    events: Sequence[Event], unended: Sequence[ImportedDetail], source: str | None
) -> Iterable[tuple[str, str]]:
    """Every text of the rows and known sessions of a key that criteria may be compared with, each with its name."""
    rows = [{**event.row.details, "source": source} for event in events]
    rows += [{name: getattr(known.session, name) for name in MATCHED} for known in unended]
    return {(name, comparable(row[name])) for row in rows for name, comparable in MATCHED.items() if row.get(name)}


def adds_to(merged: Imported, known: ImportedDetail) -> bool:
    """Whether a merged session differs from the known session."""
    new, old = merged.session, known.session
    same = all(detail(old, name) == detail(new, name) for name in merged.detail_times)
    compared = ("created_at", "last_used_at", "ended_at", "ended_by", "source", "used_after_end_at")
    same = same and all(getattr(old, name) == getattr(new, name) for name in compared)
    # The time of the listing is left out: it changes with each nightly listing, and is recorded by itself (`Plan.listed`).
    facts = merged.facts._replace(listed_at=known.facts.listed_at) == known.facts
    facts = facts and (merged.facts.listed_at or BEFORE_ALL) >= (known.facts.listed_at or BEFORE_ALL)
    return not (same and facts and merged.detail_times == known.detail_times)


def is_seen_before(merged: Imported, at: int) -> bool:
    """Whether a session has no end, and was created, used and listed before an instant."""
    session = merged.session
    seen_at = max(session.created_at, session.last_used_at, merged.facts.listed_at or BEFORE_ALL)
    return session.ended_by is None and merged.revocation_id is None and seen_at < at
