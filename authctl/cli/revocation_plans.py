"""`authctl revoke --plan` and `--apply`: a revocation that one person plans and another one applies."""

from pathlib import Path
from typing import TYPE_CHECKING

from authctl import records, render
from authctl.cli.context import Cli
from authctl.cli.previews import confirm_plan, print_digest
from authctl.cli.revocation_outcomes import Terms, hint_for_unknown, show, warn_of_sources
from authctl.cli.targets import Targets, check_found
from authctl.errors import InvalidInput, NotFound, RegistryUnavailable, reason
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.revocation_plans import Plan


def make_plan(
    cli: Cli,
    path: Path,
    selection: "SessionFilter",
    targets: Targets,
    keep: int | None,
    terms: Terms,
) -> None:
    """Write the plan of a revocation to a new private file, and show what it would revoke."""
    from authctl.files import create_private

    made = cli.registry.plans.make(selection, keep=keep, actor=terms.actor, max_affected=terms.max_affected)
    outcome = made.outcome._replace(not_found=targets.not_found(made.outcome.not_found))
    targets.warn_of_unusable(cli)
    if not outcome.selected:
        check_found(outcome.not_found, hint_for_unknown(cli, outcome.not_found))
        raise NotFound("no session matches", "to see all sessions: authctl sessions list")
    try:
        create_private(path, made.plan.to_text().encode())
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
    with cli.last_line(f"nothing was revoked: plan of {counted(outcome.revoked, 'session')} written to {path}"):
        record = {**records.revocation(outcome), "effect": None}
        cli.show_outcome(record, render.REVOKED, outcome.revoked, "the file of the plan")
        if not cli.quiet:
            print_digest(made.plan)
    check_found(outcome.not_found, hint_for_unknown(cli, outcome.not_found))


def apply_plan(cli: Cli, path: Path, terms: Terms) -> None:
    """Show the sessions of a plan, ask, and revoke exactly them."""
    plan = read_plan(path)
    if not terms.dry_run:
        cli.check_note(terms.note)
        confirm_plan(cli, plan, terms.max_affected, terms.yes)
    elif not cli.quiet:
        print_digest(plan)
    note = cli.note(terms.note, may_ask=not terms.dry_run)
    outcome = cli.registry.plans.apply(
        plan, note=note, actor=terms.actor, dry_run=terms.dry_run, max_affected=terms.max_affected
    )
    warn_of_sources(cli, outcome)
    show(cli, outcome, deliver=terms.deliver)


def read_plan(path: Path) -> "Plan":
    """The plan of a private file. Raises InvalidInput where it is none, RegistryUnavailable where others can touch it."""
    from authctl import revocation_plans
    from authctl.files import check_private, read_private

    try:
        path.stat()
    except OSError as error:
        raise InvalidInput(f"cannot read {quoted(str(path))}: {reason(error)}") from None
    size = check_private(path, "plan").st_size
    if size > revocation_plans.LARGEST_FILE:
        raise InvalidInput(
            f"{quoted(str(path))} is larger than a plan can be ({revocation_plans.LARGEST_FILE:,} bytes)"
        )
    return revocation_plans.read_plan(read_private(path, "plan"), quoted(str(path)))
