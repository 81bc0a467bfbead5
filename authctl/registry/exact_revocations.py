"""Revocations of exact sessions: those of a filter without the newest ones, or those of a plan.

They name their sessions by number within one transaction, and do not apply to sessions that an import registers later.

See docs/glossary.md#plan.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, Refused
from authctl.model import Status
from authctl.model.told_events import Event
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS
from authctl.registry.revocations import RevokedSession, RevokeOutcome, check_target, newly_revoked
from authctl.registry.sessions import with_whole_ids
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authctl.model import SessionFilter
    from authctl.registry.bounds import Bound
    from authctl.registry.installation import Installation
    from authctl.store.protocol import View


class MatchingSessions(NamedTuple):
    """The sessions that a filter selects: those to revoke, and how many others."""

    numbers: Sequence[int]
    """The numbers of those to revoke, ascending."""
    kept: int
    """The newest ones of each user and application, which are left out."""
    already_revoked: int


def find(view: View, selection: SessionFilter, keep: int | None, now: int) -> MatchingSessions:
    """The sessions of a filter with whole ids: the unrevoked ones but the newest `keep` of each user and application."""
    # decision 206: the newest are counted among the sessions that are not revoked, active or not
    unrevoked = newly_revoked(view, selection, now)
    numbers = unrevoked if keep is None else view.beyond_newest(unrevoked, keep)
    is_counted = not selection.statuses or Status.REVOKED in selection.statuses
    already = view.count(selection.narrowed(status=Status.REVOKED, everything=False), now) if is_counted else 0
    return MatchingSessions(numbers, len(unrevoked) - len(numbers), already)


def revoke_all_but_newest(
    installation: Installation,
    selection: SessionFilter,
    keep: int,
    note: str | None,
    actor: str | None,
    dry_run: bool,
    max_affected: int | None,
    bound: Bound | None,
) -> RevokeOutcome:
    """Revoke the sessions that a filter selects except the newest, in one transaction. Contract: `Registry.revoke`."""
    check_kept(selection, keep)
    if not (dry_run and note is None):
        note = names.note(note)
    if dry_run:
        with installation.snapshot() as (view, now):
            matching, outcome = _select(view, selection, keep, now, actor_name(actor), note, max_affected)
            return with_sessions(view, matching.numbers, outcome._replace(dry_run=True))

    def revoke_rest() -> RevokeOutcome:
        with installation.change(actor, lock_timeouts=URGENT_LOCK_TIMEOUTS) as unit:
            matching, outcome = _select(unit.tx, selection, keep, unit.now, unit.actor, note, max_affected)
            if bound is not None:
                bound.check(matching.numbers, "would be revoked")
            return revoke_numbers(unit, matching.numbers, {**selection.criteria(), "keep": keep}, outcome)

    return installation.with_kept_space(revoke_rest)


def check_kept(selection: SessionFilter, keep: int | None) -> None:
    """Refuse a revocation without a target, and one that keeps less than one session. Raises InvalidInput."""
    check_target(selection)
    if keep is not None and keep < 1:
        raise InvalidInput(f"at least one session is kept, not {keep}", "to revoke all of them, leave out --keep")


def _select(
    view: View,
    selection: SessionFilter,
    keep: int | None,
    now: int,
    actor: str,
    note: str | None,
    max_affected: int | None,
) -> tuple[MatchingSessions, RevokeOutcome]:
    whole, not_found = with_whole_ids(view, selection)
    matching = find(view, whole, keep, now)
    check_limit(matching.numbers, max_affected)
    return matching, outcome_of(matching, now, actor, note, not_found)


def outcome_of(
    matching: MatchingSessions, at: int, actor: str, note: str | None, not_found: tuple[str, ...] = ()
) -> RevokeOutcome:
    """The outcome of revoking those sessions, without the list of them."""
    selected = len(matching.numbers) + matching.kept + matching.already_revoked
    revoked = len(matching.numbers)
    outcome = RevokeOutcome(None, at, actor, note, selected, revoked, matching.already_revoked, not_found, False, ())
    return outcome._replace(kept=matching.kept)


def check_limit(numbers: Sequence[int], max_affected: int | None) -> None:
    """Raise Refused where more sessions would be newly revoked than the limit."""
    if max_affected is not None and len(numbers) > max_affected:
        raise Refused(
            f"more sessions would be newly revoked than the limit of {max_affected:,}",
            "raise --max-affected, or select fewer",
        )


def with_sessions(view: View, numbers: Sequence[int], outcome: RevokeOutcome) -> RevokeOutcome:
    """The outcome with up to 1,000 of the sessions, most recently used first."""
    listed = view.sessions_by_number(view.used_last(numbers, MOST_LISTED), outcome.at)
    sessions = tuple(RevokedSession(s.id, s.username, s.application, s.status) for s in listed)
    return outcome._replace(sessions=sessions)


def revoke_numbers(
    unit: UnitOfWork,
    numbers: Sequence[int],
    selector: Mapping[str, Any],
    outcome: RevokeOutcome,
    *,
    by_criteria: bool = False,
) -> RevokeOutcome:
    """Revoke the unrevoked sessions of those numbers, with the event.

    Without such sessions nothing is written, unless the revocation is by criteria that selected a session.
    """
    outcome = with_sessions(unit.tx, numbers, outcome)
    # decision 119: criteria that selected only revoked sessions still apply to late rows
    if not numbers and not (by_criteria and outcome.selected):
        return outcome
    assert outcome.note is not None
    revocation_id = unit.tx.add_revocation(
        unit.now, unit.actor, outcome.note, json.dumps(selector), by_criteria=by_criteria
    )
    revoked = unit.tx.assign_numbers(numbers, revocation_id)
    detail = {
        "selector": selector,
        "revoked": revoked,
        "sessions": [session.id for session in outcome.sessions],
        "username_keys": sorted({names.fold(session.username) for session in outcome.sessions}),
    }
    unit.record("session.revoke", subject=str(revocation_id), note=outcome.note, detail=detail)
    unit.announce(Event.SESSION_REVOKED, note=outcome.note, revocation_id=revocation_id)
    by_source = unit.tx.sources_of_revocation(revocation_id)
    return outcome._replace(revocation_id=revocation_id, revoked=revoked, by_source=by_source)
