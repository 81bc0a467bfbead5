"""Sessions that an import adopts without a row of it: they may have ended by a complete listing from before.

See docs/glossary.md#source and docs/glossary.md#complete-listing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from authctl.registry.imports.known_sessions import final_end
from authctl.registry.imports.session_rows import Rules, SessionFromRows
from authctl.store.protocol.imports import Imported

if TYPE_CHECKING:
    from authctl.store.protocol.imports import ImportedDetail


def ended_by_adoption(
    own: Iterable[ImportedDetail], met: Collection[int], rules: Rules
) -> Iterator[tuple[int, Imported]]:
    """The sessions without a source, and without a row of the import, that a complete listing of their new source does not have."""
    # decision 276: a listing that was complete before the adoption did not have the session, either
    for known in own:
        session = known.session
        if session.source is None and session.number not in met and final_end(known) is None:
            merged = _in_source(known, rules)
            if merged.session.ended_by != session.ended_by:
                yield session.number, merged


def _in_source(known: ImportedDetail, rules: Rules) -> Imported:
    """A known session in the source of the import."""
    part = SessionFromRows(rules)
    part.join(known)
    for row in known.rows:
        part.add(row)
    if known.facts.ended_at is not None:
        part.end_in_source = (known.facts.ended_at, known.facts.ended_reason or "")
    identity = (known.key_without_user, known.profile_named, part.facts)
    return Imported(known.key, part.session(), part.detail_times, None, *identity, known.rows)
