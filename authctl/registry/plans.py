"""Plans of revocations: made in one snapshot, and applied to exactly their sessions, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, Refused
from authctl.model import SessionFilter
from authctl.registry.exact_revocations import (
    Found,
    check_kept,
    check_limit,
    find,
    outcome_of,
    revoke_numbers,
    with_sessions,
)
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS
from authctl.registry.previews import preview_of
from authctl.registry.revocations import UNREVOKED
from authctl.registry.sessions import with_whole_ids
from authctl.registry.unit_of_work import actor_name
from authctl.revocation_plans import MOST_SESSIONS, Plan, PlanFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.registry.installation import Installation
    from authctl.registry.previews import Preview
    from authctl.registry.revocations import RevokeOutcome
    from authctl.store.protocol import View
    from authctl.store.protocol.previews import Summary

_MOST_NAMED = 3
_NO_SESSION = ("-",)
"""The ids of an empty plan in a filter: no ids at all would mean every session."""

_AGAIN = "make the plan again: authctl revoke ... --plan FILE"


class MadePlan(NamedTuple):
    """A new plan, with the outcome that applying it would have now."""

    plan: Plan
    outcome: RevokeOutcome


class PlanPreview(NamedTuple):
    """The sessions of a plan that is about to be applied, and how many others its filter selects by now."""

    preview: Preview
    newcomers: int


class _Checked(NamedTuple):
    """The sessions of a plan without drift."""

    found: Found
    newcomers: int


class Plans:
    """Plans of revocations: make one, preview it, and apply it."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def make(
        self,
        selection: SessionFilter,
        *,
        keep: int | None = None,
        actor: str | None = None,
        max_affected: int | None = None,
    ) -> MadePlan:
        """The plan to revoke exactly the sessions that `Registry.revoke` would newly revoke now; nothing is written.

        `Plan.to_text` is the text of its file, and `authctl.revocation_plans.read_plan` reads it. Raises as `RevocationPreviews.make`;
        Refused for more than a million sessions.
        """
        check_kept(selection, keep)
        who = actor_name(actor)
        with self._installation.snapshot() as (view, now):
            whole, not_found = with_whole_ids(view, selection)
            found = find(view, whole, keep, now)
            check_limit(found.numbers, max_affected)
            if len(found.numbers) > MOST_SESSIONS:
                raise Refused(
                    f"{len(found.numbers):,} sessions are more than a plan can have ({MOST_SESSIONS:,})", "select fewer"
                )
            counts = _counts(view.summary(found.numbers, now, 1))
            ids = tuple(view.ids_of(found.numbers))
            plan = Plan(view.registry_id(), now, who, whole, keep, counts, ids)
            outcome = outcome_of(found, now, who, None, not_found)._replace(dry_run=True, plan=_facts(plan, 0))
            return MadePlan(plan, with_sessions(view, found.numbers, outcome))

    def preview(self, plan: Plan, *, max_affected: int | None = None) -> PlanPreview:
        """The sessions of a plan as they are now, and how many others its filter selects by now. Raises as `apply` with `dry_run`."""
        with self._installation.snapshot() as (view, now):
            checked = _check(view, plan, now)
            check_limit(checked.found.numbers, max_affected)
            return PlanPreview(preview_of(view, checked.found.numbers, now), checked.newcomers)

    def apply(
        self,
        plan: Plan,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        max_affected: int | None = None,
    ) -> RevokeOutcome:
        """Revoke exactly the sessions of a plan: all of them and the audit event, or nothing.

        Raises Refused where one of them was removed, revoked, or is no longer selected by the plan's filter; where the note is missing,
        or more than `max_affected` would be revoked; InvalidInput for a plan of another registry. Sessions that the filter selects by
        now and the plan does not have are counted as newcomers, and stay.
        """
        if not (dry_run and note is None):
            note = names.note(note)
        if dry_run:
            with self._installation.snapshot() as (view, now):
                checked = _check(view, plan, now)
                check_limit(checked.found.numbers, max_affected)
                outcome = outcome_of(checked.found, now, actor_name(actor), note)
                outcome = outcome._replace(dry_run=True, plan=_facts(plan, checked.newcomers))
                return with_sessions(view, checked.found.numbers, outcome)

        def revoke_sessions() -> RevokeOutcome:
            with self._installation.change(actor, lock_timeouts=URGENT_LOCK_TIMEOUTS) as unit:
                checked = _check(unit.tx, plan, unit.now)
                check_limit(checked.found.numbers, max_affected)
                facts = _facts(plan, checked.newcomers)
                outcome = outcome_of(checked.found, unit.now, unit.actor, note)._replace(plan=facts)
                return revoke_numbers(unit, checked.found.numbers, _selector(plan, facts), outcome)

        return self._installation.with_kept_space(revoke_sessions)


def _counts(summary: Summary) -> dict[str, int]:
    return {
        "sessions": summary.total,
        "active": summary.active,
        "expired": summary.expired,
        "web": summary.web,
        "users": len(summary.users.counts) + summary.users.more,
        "applications": len(summary.applications.counts) + summary.applications.more,
    }


def _facts(plan: Plan, newcomers: int) -> PlanFacts:
    return PlanFacts(plan.digest, plan.made_at, plan.made_by, newcomers)


def _selector(plan: Plan, facts: PlanFacts) -> dict[str, object]:
    """The selector of a plan's revocation: the plan, and the filter by which its sessions were found, without lists of ids."""
    criteria = {name: value for name, value in plan.content["filter"].items() if name not in ("ids", "except_ids")}
    made = {"digest": facts.digest, "made_at": plan.content["made_at"], "made_by": facts.made_by}
    kept = {} if plan.keep is None else {"keep": plan.keep}
    return {
        "plan": {
            **made,
            "sessions": len(plan.session_ids),
            "newcomers": facts.newcomers,
            "filter": {**criteria, **kept},
        }
    }


def _check(view: View, plan: Plan, now: int) -> _Checked:
    """The sessions of a plan as they are now. Raises InvalidInput for a plan of another registry, Refused where they have drifted."""
    # decision 205
    if plan.registry_id != view.registry_id():
        raise InvalidInput("this plan is of another registry", _AGAIN)
    named = SessionFilter(ids=plan.session_ids or _NO_SESSION)
    known, unrevoked = view.numbers(named, now), view.numbers(named.narrowed(status=UNREVOKED), now)
    selected = set(find(view, plan.selection, plan.keep, now).numbers)
    if len(unrevoked) < len(plan.session_ids) or not selected.issuperset(unrevoked):
        raise _refusal(view, plan, known, set(unrevoked), selected)
    return _Checked(Found(unrevoked, 0, 0), len(selected) - len(unrevoked))


def _refusal(view: View, plan: Plan, known: Sequence[int], unrevoked: set[int], selected: set[int]) -> Refused:
    """The refusal of a plan whose sessions have drifted: how many of each, with some of their ids."""
    gone = set(plan.session_ids).difference(view.ids_of(known))
    revoked = view.ids_of(list(set(known) - unrevoked))
    unmet = view.ids_of(list(unrevoked - selected))
    drifts = (
        _in_words(sorted(gone), "removed"),
        _in_words(revoked, "revoked since"),
        _in_words(unmet, "no longer selected by its filter"),
    )
    return Refused(f"not done: sessions of the plan are not as they were: {'; '.join(filter(None, drifts))}", _AGAIN)


def _in_words(ids: Sequence[str], problem: str) -> str:
    """How many sessions have drifted in one way, with the first of their ids; blank for none."""
    named = ", ".join(ids[:_MOST_NAMED]) + (", ..." if len(ids) > _MOST_NAMED else "")
    return f"{len(ids):,} {problem} ({named})" if ids else ""
