"""Known sessions of a key: which of them are over, and which one a row belongs to.

See docs/glossary.md#late-row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.store.protocol.imports import ImportedDetail

NOT_LISTED = "not_listed"
"""Why a session ended that a complete listing of its source does not have. That is no decision: a later listing takes it back."""


def end_of(session: Session) -> int | None:
    """The instant at which a session was revoked or ended; 0.1.0 stored ends ahead of the clock, which count as of the present."""
    end = session.ended_at if session.revoked_at is None else session.revoked_at
    return end and min(end, session.read_at)


def final_end(known: ImportedDetail) -> int | None:
    """The instant at which a session was revoked or ended by a decision here, which no row takes back.

    An end in its source is no such decision: an older row may still have more details of the session.
    """
    session = known.session
    if session.revoked_at is not None:
        return session.revoked_at
    # The hard end is stored once: it is that of the source if both instant and reason are equal to the imported ones.
    is_of_source = (session.ended_at, session.ended_by) == (known.facts.ended_at, known.facts.ended_reason)
    return None if is_of_source or session.ended_by == NOT_LISTED else end_of(session)


def unclear(own: Iterable[ImportedDetail]) -> list[ImportedDetail]:
    """The sessions that no decision ended, and whose source did not give the beginning; the earliest first.

    A session that began earlier may have been registered later.
    """
    chosen = (known for known in own if final_end(known) is None and known.facts.created_at is None)
    return sorted(chosen, key=lambda known: known.session.created_at)


def pick_by_creation(known: list[ImportedDetail], created_at: int, until: int | None = None) -> ImportedDetail | None:
    """The known session that began at an instant, taken out of the list; None if there is none.

    It is the one for which the source gave that instant. Else it is the earliest that the source gave none for, if it began by
    then: it was first seen later, or had not ended before. One whose rows are stored was first seen up to the instant `until`: its
    rows are of the session then.
    """
    # decision 144: the instant of creation is a part of the identity if the source gives it exactly
    same = next((candidate for candidate in known if candidate.facts.created_at == created_at), None)
    candidates = sorted(
        (candidate for candidate in known if candidate.facts.created_at is None),
        key=lambda candidate: candidate.session.created_at,
    )
    chosen = same or next(
        (one for one in candidates if created_at <= _latest_beginning(one) and _can_begin_by(one, until)), None
    )
    if chosen is not None:
        known.remove(chosen)
    return chosen


def _can_begin_by(known: ImportedDetail, until: int | None) -> bool:
    return until is None or not known.rows or final_end(known) is not None or known.session.created_at <= until


def _latest_beginning(known: ImportedDetail) -> int:
    end = final_end(known)
    return known.session.created_at if end is None else end


def ended_at_or_after(known: Iterable[ImportedDetail], at: int) -> ImportedDetail | None:
    """The first of some sessions that a decision here ended at an instant or later."""
    ended = [
        (end, candidate.session.number, candidate)
        for candidate in known
        if (end := final_end(candidate)) is not None and end >= at
    ]
    return min(ended, key=lambda triple: triple[:2])[2] if ended else None
