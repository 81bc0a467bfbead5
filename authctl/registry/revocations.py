"""Revoking: one selection, one note, one transaction, one audit event, and what happened to each session.

See docs/glossary.md#open-revocation and docs/glossary.md#revocation-by-criteria.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import AuthctlError, InvalidInput, OutcomeUnknown, Refused
from authctl.model import Session, SessionFilter, Status
from authctl.registry.installation import Installation
from authctl.registry.sessions import with_whole_ids
from authctl.registry.tokens.reader import TokenReader
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.store.base import View

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview

_PATIENCE = 2
_UNREVOKED = (Status.ACTIVE, Status.EXPIRED)


class RevokedSession(NamedTuple):
    """One session of a revocation, and what it was before."""

    id: str
    username: str
    application: str | None
    status_before: Status


class RevokeOutcome(NamedTuple):
    """What a revocation found and did; `revocation_id` is None when nothing was newly revoked."""

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
    """Up to 1,000 of those selected, newest use first."""


def revoke(
    installation: Installation,
    selection: SessionFilter,
    *,
    note: str | None,
    actor: str | None,
    dry_run: bool,
    max_affected: int | None,
    bound: "Bound | None",
) -> RevokeOutcome:
    """See `Registry.revoke`."""
    check_target(selection)
    if not (dry_run and note is None):
        note = names.note(note)
    if dry_run:
        with installation.snapshot() as (view, now):
            meant, not_found = with_whole_ids(view, selection)
            _check_limit(view, meant, now, max_affected)
            outcome = RevokeOutcome(None, now, actor_name(actor), note, 0, 0, 0, not_found, True, ())
            return _counted(view, meant, outcome)
    meant, outcome = installation.with_reserve(
        lambda: _revoked(installation, selection, note, actor, max_affected, bound)
    )
    if not _is_everything(meant):
        return outcome
    try:
        return _counted_afterwards(installation, meant, outcome)
    except AuthctlError as error:
        raise OutcomeUnknown(f"everything is revoked, but it could not be counted: {error.message}") from error


def preview(installation: Installation, selection: SessionFilter, max_affected: int | None) -> "Preview":
    """See `Registry.preview_revocation`."""
    from authctl.registry.previews import preview_of

    def look() -> "Preview":
        with installation.snapshot() as (view, now):
            meant, _ = with_whole_ids(view, selection)
            _check_limit(view, meant, now, max_affected)
            numbers = _newly_revoked(view, meant, now)
            return preview_of(view, numbers, now, bounded=not (meant.everything and numbers))

    check_target(selection)
    return installation.with_reserve(look)


def revoke_token(
    installation: Installation, reader: TokenReader, token: str, *, note: str | None, actor: str | None
) -> RevokeOutcome:
    """See `Registry.revoke_token`."""
    note = names.note(note)
    return installation.with_reserve(lambda: _token_revoked(installation, reader, token, note, actor))


def _token_revoked(
    installation: Installation, reader: TokenReader, token: str, note: str, actor: str | None
) -> RevokeOutcome:
    with installation.change(actor, patience=_PATIENCE) as unit:
        outcome = RevokeOutcome(None, unit.now, unit.actor, note, 0, 0, 0, (), False, ())
        session = reader.owner(unit.tx, token, unit.now)
        if session is None:
            return outcome
        meant = SessionFilter(ids=(session.id,))
        return _assign(unit, meant, _counted(unit.tx, meant, outcome))


def _revoked(
    installation: Installation,
    selection: SessionFilter,
    note: str | None,
    actor: str | None,
    max_affected: int | None,
    bound: "Bound | None",
) -> tuple[SessionFilter, RevokeOutcome]:
    with installation.change(actor, patience=_PATIENCE) as unit:
        meant, not_found = with_whole_ids(unit.tx, selection)
        _check_limit(unit.tx, meant, unit.now, max_affected)
        if bound is not None:
            bound.check(_newly_revoked(unit.tx, meant, unit.now), "would be revoked")
        outcome = RevokeOutcome(None, unit.now, unit.actor, note, 0, 0, 0, not_found, False, ())
        if _is_everything(meant):
            return meant, _close_open(unit, meant, outcome)
        return meant, _assign(unit, meant, _counted(unit.tx, meant, outcome))


def check_target(selection: SessionFilter) -> None:
    """Raise InvalidInput when a selection says nothing, or everything and something else."""
    if selection.wipe is not None:
        what = "--wipe selects sessions that are revoked already: there is nothing to revoke"
        raise InvalidInput(what, f"to see them: authctl sessions list --kind all --wipe {selection.wipe}")
    given = set(selection.criteria()) - {"except_ids", "everything"}
    if selection.everything and given - {"status"}:
        raise InvalidInput("--all cannot be combined with a filter", "leave out --all, or the filter")
    if not given and not selection.everything:
        raise InvalidInput("no sessions were selected", "give ids, --user, another filter, or --all")


def _is_everything(selection: SessionFilter) -> bool:
    return selection.everything and not selection.statuses


def _check_limit(view: View, meant: SessionFilter, now: int, max_affected: int | None) -> None:
    if max_affected is None:
        return
    if _count(view, meant, _UNREVOKED, now, max_affected + 1) > max_affected:
        raise Refused(
            f"more sessions would be newly revoked than the limit of {max_affected:,}",
            "raise --max-affected, or select fewer",
        )


def _newly_revoked(view: View, meant: SessionFilter, now: int) -> Sequence[int]:
    """The numbers of the sessions that are meant and not revoked yet."""
    asked = _asked(meant, _UNREVOKED)
    return view.numbers(meant.narrowed(status=asked), now) if asked else ()


def _count(view: View, meant: SessionFilter, statuses: tuple[Status, ...], now: int, at_most: int | None = None) -> int:
    asked = _asked(meant, statuses)
    return view.count(meant.narrowed(status=asked), now, at_most) if asked else 0


def _asked(meant: SessionFilter, statuses: tuple[Status, ...]) -> tuple[Status, ...]:
    return tuple(s for s in statuses if not meant.statuses or s in meant.statuses)


def _counted(view: View, meant: SessionFilter, outcome: RevokeOutcome) -> RevokeOutcome:
    page = view.page(meant, outcome.at, MOST_LISTED)
    if page.after is None:
        already = sum(s.status is Status.REVOKED for s in page.sessions)
        revoked = len(page.sessions) - already
    else:
        revoked = _count(view, meant, _UNREVOKED, outcome.at)
        already = _count(view, meant, (Status.REVOKED,), outcome.at)
    listed = tuple(RevokedSession(s.id, s.username, s.application, s.status) for s in page.sessions)
    return outcome._replace(selected=revoked + already, revoked=revoked, already_revoked=already, sessions=listed)


def _assign(unit: UnitOfWork, meant: SessionFilter, outcome: RevokeOutcome) -> RevokeOutcome:
    if not outcome.revoked and not (outcome.selected and meant.is_by_criteria):
        return outcome  # by ids nothing is left to do; criteria that matched bind what imports bring later
    assert outcome.note is not None
    selector = meant.criteria()
    newly: Sequence[RevokedSession | Session] = outcome.sessions
    if outcome.already_revoked:  # they may fill the page that was read
        newly = unit.tx.page(meant.narrowed(status=_asked(meant, _UNREVOKED)), unit.now, MOST_LISTED).sessions
    revocation_id = unit.tx.add_revocation(
        unit.now, unit.actor, outcome.note, json.dumps(selector), by_criteria=meant.is_by_criteria
    )
    revoked = unit.tx.assign(meant, unit.now, revocation_id)
    detail = {
        "selector": selector,
        "revoked": revoked,
        "sessions": [s.id for s in newly],
        "username_keys": sorted({names.fold(s.username) for s in newly}),
    }
    unit.record("session.revoke", subject=str(revocation_id), note=outcome.note, detail=detail)
    return outcome._replace(revocation_id=revocation_id, revoked=revoked)


def _close_open(unit: UnitOfWork, meant: SessionFilter, outcome: RevokeOutcome) -> RevokeOutcome:
    if not unit.tx.count(SessionFilter(except_ids=meant.except_ids), unit.now, at_most=1):
        return outcome
    assert outcome.note is not None
    spared = [s for s in (unit.tx.session(one, unit.now) for one in meant.except_ids) if s]
    selector = meant.criteria()
    closed = unit.tx.close_open_revocation(unit.now, unit.actor, outcome.note, json.dumps(selector))
    unit.tx.spare([s.number for s in spared], closed)
    unit.record("session.revoke", subject=str(closed), note=outcome.note, detail={"selector": selector})
    return outcome._replace(revocation_id=closed)


def _counted_afterwards(installation: Installation, meant: SessionFilter, outcome: RevokeOutcome) -> RevokeOutcome:
    """What a revocation of everything found, counted outside the lock that it no longer holds."""
    with installation.snapshot() as (view, now):
        revoked = view.covered(outcome.revocation_id) if outcome.revocation_id else 0
        all_revoked = SessionFilter(status=Status.REVOKED, except_ids=meant.except_ids)
        already = view.count(all_revoked, now) - revoked
        page = view.page(all_revoked, outcome.at, MOST_LISTED)
    listed = tuple(RevokedSession(s.id, s.username, s.application, _status_before(s, outcome)) for s in page.sessions)
    return outcome._replace(selected=revoked + already, revoked=revoked, already_revoked=already, sessions=listed)


def _status_before(session: Session, outcome: RevokeOutcome) -> Status:
    if session.revocation_id != outcome.revocation_id:
        return Status.REVOKED
    return Status.ACTIVE if session.is_alive(outcome.at) else Status.EXPIRED
