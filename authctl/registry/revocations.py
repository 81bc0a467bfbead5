"""Revocations: one selection, one note, one transaction and one audit event, with the status of each session before.

See docs/glossary.md#open-revocation and docs/glossary.md#revocation-by-criteria.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import AuthctlError, InvalidInput, OutcomeUnknown, Refused
from authctl.model import Session, SessionFilter, Status
from authctl.model.told_events import Event
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS, Installation
from authctl.registry.sessions import with_whole_ids
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.session_ends import FindOwner
    from authctl.revocation_plans import PlanFacts
    from authctl.store.protocol import View

UNREVOKED = (Status.ACTIVE, Status.EXPIRED)


class RevokedSession(NamedTuple):
    """One session of a revocation, with its status before."""

    id: str
    username: str
    application: str | None
    status_before: Status


class RevokeOutcome(NamedTuple):
    """The outcome of a revocation, or of its dry run; `revocation_id` is None when nothing was newly revoked."""

    revocation_id: int | None
    at: int
    actor: str
    note: str | None
    selected: int
    revoked: int
    already_revoked: int
    not_found: tuple[str, ...]
    dry_run: bool
    sessions: tuple[RevokedSession, ...]
    """Up to 1,000 of those selected, most recently used first."""
    by_source: Mapping[str, int] = MappingProxyType({})
    """How many of the newly revoked sessions live in each other system, which gets no message from authctl."""
    kept: int = 0
    """How many of the selected sessions are not revoked because they are among the newest of their user and application."""
    plan: "PlanFacts | None" = None
    """The plan that was made or applied, if there is one."""


def revoke(
    installation: Installation,
    selection: SessionFilter,
    note: str | None,
    actor: str | None,
    dry_run: bool,
    max_affected: int | None,
    bound: "Bound | None",
) -> RevokeOutcome:
    """Revoke a selection in one transaction; everything is counted after its commit. Contract: `Registry.revoke`."""
    check_target(selection)
    # decision 10: a dry run writes nothing, so it needs no note; one that is given must still have content
    if not (dry_run and note is None):
        note = names.note(note)
    if dry_run:
        with installation.snapshot() as (view, now):
            whole, not_found = with_whole_ids(view, selection)
            check_limit_of_filter(view, whole, now, max_affected)
            outcome = RevokeOutcome(None, now, actor_name(actor), note, 0, 0, 0, not_found, True, ())
            return _with_counts(view, whole, outcome)[0]
    # A revocation of everything is counted after the commit: counting a million sessions would hold the lock for seconds.
    whole, outcome = installation.with_kept_space(
        lambda: _revoke_selection(installation, selection, note, actor, max_affected, bound)
    )
    if not _is_everything(whole):
        return outcome
    try:
        return _with_counts_after_commit(installation, whole, outcome)
    except AuthctlError as error:
        raise OutcomeUnknown(f"all sessions are revoked, but they could not be counted: {error.message}") from error


def revoke_owner(
    installation: Installation, find_owner: "FindOwner", token: str, note: str | None, actor: str | None
) -> RevokeOutcome:
    """Revoke the session that a token was issued to, in one transaction. Contract: `Tokens.revoke`."""
    checked_note = names.note(note)

    def revoke_session() -> RevokeOutcome:
        with installation.change(actor, lock_timeouts=URGENT_LOCK_TIMEOUTS) as unit:
            outcome = RevokeOutcome(None, unit.now, unit.actor, checked_note, 0, 0, 0, (), False, ())
            session = find_owner(unit.tx, token, unit.now)
            if session is None:
                return outcome
            owner = SessionFilter(ids=(session.id,))
            return _assign_revocation(unit, owner, *_with_counts(unit.tx, owner, outcome))

    return installation.with_kept_space(revoke_session)


def _revoke_selection(
    installation: Installation,
    selection: SessionFilter,
    note: str | None,
    actor: str | None,
    max_affected: int | None,
    bound: "Bound | None",
) -> tuple[SessionFilter, RevokeOutcome]:
    def revoke_selected(unit: UnitOfWork) -> tuple[SessionFilter, RevokeOutcome]:
        whole, not_found = with_whole_ids(unit.tx, selection)
        check_limit_of_filter(unit.tx, whole, unit.now, max_affected)
        if bound is not None:
            bound.check(newly_revoked(unit.tx, whole, unit.now), "would be revoked")
        outcome = RevokeOutcome(None, unit.now, unit.actor, note, 0, 0, 0, not_found, False, ())
        if _is_everything(whole):
            return whole, _close_open_revocation(unit, whole, outcome)
        return whole, _assign_revocation(unit, whole, *_with_counts(unit.tx, whole, outcome))

    return installation.revocation(actor, revoke_selected, is_everything=_is_everything(selection))


def check_target(selection: SessionFilter) -> None:
    """Raise InvalidInput when a selection has no criterion, or selects everything and has another criterion."""
    if selection.wipe is not None:
        message = "--wipe selects sessions that are revoked already: there is nothing to revoke"
        raise InvalidInput(message, f"to see them: authctl sessions list --kind all --wipe {selection.wipe}")
    criteria = set(selection.criteria()) - {"except_ids", "everything"}
    if selection.everything and criteria - {"status"}:
        raise InvalidInput("--all cannot be combined with a filter", "leave out --all, or the filter")
    if not criteria and not selection.everything:
        raise InvalidInput("no sessions were selected", "give ids, --user, another filter, or --all")


def _is_everything(selection: SessionFilter) -> bool:
    return selection.everything and not selection.statuses


def check_limit_of_filter(view: "View", selection: SessionFilter, now: int, max_affected: int | None) -> None:
    """Raise Refused where a filter would newly revoke more sessions than the limit."""
    if max_affected is None:
        return
    # One more than the limit is enough to know: the count stops there.
    if _count(view, selection, UNREVOKED, now, max_affected + 1) > max_affected:
        raise Refused(
            f"more sessions would be newly revoked than the limit of {max_affected:,}",
            "raise --max-affected, or select fewer",
        )


def newly_revoked(view: "View", selection: SessionFilter, now: int) -> Sequence[int]:
    """The numbers of the selected sessions that are not revoked yet."""
    statuses = _selected_statuses(selection, UNREVOKED)
    return view.numbers(selection.narrowed(status=statuses), now) if statuses else ()


def _count(
    view: "View", selection: SessionFilter, statuses: tuple[Status, ...], now: int, at_most: int | None = None
) -> int:
    statuses = _selected_statuses(selection, statuses)
    return view.count(selection.narrowed(status=statuses), now, at_most) if statuses else 0


def _selected_statuses(selection: SessionFilter, statuses: tuple[Status, ...]) -> tuple[Status, ...]:
    """The given statuses, those that the filter does not select left out."""
    return tuple(s for s in statuses if not selection.statuses or s in selection.statuses)


def _with_counts(
    view: "View", selection: SessionFilter, outcome: RevokeOutcome
) -> tuple[RevokeOutcome, Sequence[Session] | None]:
    """The outcome with its counts and sessions; and all selected sessions, or None where they are more than a page."""
    # Up to a page, the sessions are counted from the page that is shown anyway; beyond it, from indexes.
    page = view.page(selection, outcome.at, MOST_LISTED)
    if page.after is None:
        already = sum(s.status is Status.REVOKED for s in page.sessions)
        revoked = len(page.sessions) - already
    else:
        revoked = _count(view, selection, UNREVOKED, outcome.at)
        already = _count(view, selection, (Status.REVOKED,), outcome.at)
    listed = tuple(RevokedSession(s.id, s.username, s.application, s.status) for s in page.sessions)
    counted = outcome._replace(selected=revoked + already, revoked=revoked, already_revoked=already, sessions=listed)
    return counted, page.sessions if page.after is None else None


def _assign_revocation(
    unit: UnitOfWork, selection: SessionFilter, outcome: RevokeOutcome, selected: Sequence[Session] | None
) -> RevokeOutcome:
    # decision 119: by ids there is nothing to do; criteria that selected a session also apply to sessions that are imported later
    if not outcome.revoked and not (outcome.selected and selection.is_by_criteria):
        return outcome
    assert outcome.note is not None
    selector = selection.criteria()
    if selected is not None:
        newly = [s for s in selected if s.status is not Status.REVOKED]
    else:  # a page of those that are not revoked yet: the others may fill the page that was read
        unrevoked = selection.narrowed(status=_selected_statuses(selection, UNREVOKED))
        newly = unit.tx.page(unrevoked, unit.now, MOST_LISTED).sessions
    revocation_id = unit.tx.add_revocation(
        unit.now, unit.actor, outcome.note, json.dumps(selector), by_criteria=selection.is_by_criteria
    )
    if selected is not None:  # read in this change, so that no other session meets the criteria (decision 353)
        revoked = unit.tx.assign_numbers([s.number for s in newly], revocation_id)
    else:
        revoked = unit.tx.assign(selection, unit.now, revocation_id)
    detail = {
        "selector": selector,
        "revoked": revoked,
        "sessions": [s.id for s in newly],
        "username_keys": sorted({names.fold(s.username) for s in newly}),
    }
    unit.record("session.revoke", subject=str(revocation_id), note=outcome.note, detail=detail)
    if revoked:
        unit.announce(Event.SESSION_REVOKED, note=outcome.note, revocation_id=revocation_id)
    has_sources = selected is None or any(s.source for s in newly)
    by_source = unit.tx.sources_of_revocation(revocation_id) if has_sources else {}
    return outcome._replace(revocation_id=revocation_id, revoked=revoked, by_source=by_source)


def _close_open_revocation(unit: UnitOfWork, selection: SessionFilter, outcome: RevokeOutcome) -> RevokeOutcome:
    # Without a session to revoke, no row is closed: `revoke --all` twice is one revocation.
    if not unit.tx.count(SessionFilter(except_ids=selection.except_ids), unit.now, at_most=1):
        return outcome
    assert outcome.note is not None
    spared = [s for s in (unit.tx.session(session_id, unit.now) for session_id in selection.except_ids) if s]
    selector = selection.criteria()
    closed = unit.tx.close_open_revocation(unit.now, unit.actor, outcome.note, json.dumps(selector))
    # decision 1: closing the row revoked all sessions. The excepted ones are moved to the new open row; they are few.
    unit.tx.unassign([s.number for s in spared], closed)
    unit.record("session.revoke", subject=str(closed), note=outcome.note, detail={"selector": selector})
    unit.announce(Event.SESSION_REVOKED, note=outcome.note, revocation_id=closed)
    return outcome._replace(revocation_id=closed)


def _with_counts_after_commit(
    installation: Installation, selection: SessionFilter, outcome: RevokeOutcome
) -> RevokeOutcome:
    """The outcome of a revocation of everything, counted after its commit, outside the lock."""
    with installation.snapshot() as (view, now):
        closed = outcome.revocation_id
        revoked = view.count_of_revocation(closed) if closed else 0
        by_source = view.sources_of_revocation(closed) if closed else {}
        all_revoked = SessionFilter(status=Status.REVOKED, except_ids=selection.except_ids)
        # Others may revoke between the commit and this count: only the sessions of `closed` belong to this revocation.
        already = view.count(all_revoked, now) - revoked
        page = view.page(all_revoked, outcome.at, MOST_LISTED)
    listed = tuple(RevokedSession(s.id, s.username, s.application, _status_before(s, outcome)) for s in page.sessions)
    counts = outcome._replace(selected=revoked + already, revoked=revoked, already_revoked=already)
    return counts._replace(sessions=listed, by_source=by_source)


def _status_before(session: Session, outcome: RevokeOutcome) -> Status:
    if session.revocation_id != outcome.revocation_id:
        return Status.REVOKED
    return Status.ACTIVE if session.is_alive(outcome.at) else Status.EXPIRED
