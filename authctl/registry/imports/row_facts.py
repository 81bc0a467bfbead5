"""Facts of the rows of a key, and of its known sessions: beginnings, span, texts, and whether a merge changed anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from authctl.registry.imports.partition import Event
from authctl.registry.imports.past_revocations import Span
from authctl.registry.imports.session_rows import MATCHED, detail
from authctl.store.protocol.imports import Imported, ImportedDetail, StagedRow


def is_listed_alone(row: StagedRow) -> bool:
    """Whether a row shows only that a listing has its session: its time is that of the listing."""
    return row.created_at is None and row.at == row.listed_at


def by_exact_beginning(rows: Iterable[StagedRow]) -> tuple[dict[int, list[StagedRow]], list[StagedRow]]:
    """The rows that have the exact beginning of their session, by that, and the others."""
    by_creation: dict[int, list[StagedRow]] = {}
    without_beginning = []
    for row in rows:
        if row.created_at is not None and row.is_created_exact:
            by_creation.setdefault(row.created_at, []).append(row)
        else:
            without_beginning.append(row)
    return by_creation, without_beginning


def span_of(events: Sequence[Event], unended: Sequence[ImportedDetail]) -> Span:
    """The span of all sessions that the rows of a key make, and of those that are known of it."""
    instants = [event.row.at for event in events]
    instants += [at for known in unended for at in (known.session.created_at, known.session.last_used_at)]
    return Span(min(instants), max(instants))


def all_texts(
    events: Sequence[Event], unended: Sequence[ImportedDetail], source: str | None
) -> Iterable[tuple[str, str]]:
    """Every text by which criteria may be met by the rows of a key, or by what is known of it, with its name."""
    rows = [{**event.row.details, "source": source} for event in events]
    rows += [{name: getattr(known.session, name) for name in MATCHED} for known in unended]
    return {(name, comparable(row[name])) for row in rows for name, comparable in MATCHED.items() if row.get(name)}


def adds_to(merged: Imported, known: ImportedDetail) -> bool:
    """Whether a session that was merged differs from what is known of it."""
    new, old = merged.session, known.session
    same = all(detail(old, name) == detail(new, name) for name in merged.detail_times)
    compared = ("created_at", "last_used_at", "ended_at", "ended_by", "source", "used_after_end_at")
    same = same and all(getattr(old, name) == getattr(new, name) for name in compared)
    facts = merged.facts._replace(listed_at=known.facts.listed_at) == known.facts
    return not (same and facts and merged.detail_times == known.detail_times)
