"""`authctl revoke --from`: the users of a CSV file, with a result for each row."""

from pathlib import Path
from typing import TYPE_CHECKING

from authctl import records, render
from authctl.cli.context import Cli
from authctl.cli.effects import told_effect
from authctl.cli.files import opened_exports
from authctl.cli.previews import confirm_revocation
from authctl.cli.receiver_messages import told_deliveries
from authctl.cli.revocation_outcomes import Terms, verdict, warn_of_sources
from authctl.cli.revocation_plans import make_plan
from authctl.cli.session_filters import warn_of_similar
from authctl.cli.targets import Targets
from authctl.errors import NotFound
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.user_lists import ListedName

_HINT = "to see them: the rows on standard output"


def revoke_users_of_file(
    cli: Cli, path: Path, column: str, selection: "SessionFilter", keep: int | None, terms: Terms
) -> None:
    """Revoke the sessions of the users of a file. Raises NotFound where a row names nobody, after the rest is done."""
    may_ask = str(path) != "-"
    if not terms.dry_run:
        cli.check_note(terms.note, may_ask=may_ask)
    rows = read_rows(path, column)
    bound = None
    if keep is not None and not terms.dry_run:
        from authctl.registry.listed_users import selection_of, users_of

        wanted = selection_of(users_of(rows), selection)
        bound = confirm_revocation(cli, wanted, terms.max_affected, terms.yes, keep)
    note = cli.note(terms.note, may_ask=may_ask and not terms.dry_run)
    listed = cli.registry.revoke_listed(
        rows,
        selection,
        note=note,
        actor=terms.actor,
        dry_run=terms.dry_run,
        max_affected=terms.max_affected,
        bound=bound,
        keep=keep,
    )
    warn_of_sources(cli, listed.outcome)
    warn_of_similar(cli, [row.username for row in listed.rows if row.result not in ("invalid", "repeated")])
    effect = told_effect(cli, lambda: cli.registry.effects.of_revocation(listed.outcome), sources=False)
    told = told_deliveries(cli, listed.outcome, deliver=terms.deliver)
    record = {**records.listed_revocation(listed), "effect": effect, "deliveries": told.states}
    with cli.last_line(verdict(listed.outcome)):
        rest = "the same with -o csv" if terms.dry_run else None
        cli.show_outcome(record, render.LISTED_USERS, rest=rest, field="rows")
    if listed.failed:
        raise NotFound(f"{counted(listed.failed, 'row')} of {len(rows):,} without a session to revoke", _HINT)
    if terms.deliver:
        told.check()


def plan_users_of_file(
    cli: Cli, plan: Path, path: Path, column: str, selection: "SessionFilter", keep: int | None, terms: Terms
) -> None:
    """Write a plan of the sessions of the users of a file. Raises NotFound where a row names nobody, after the plan is written."""
    from authctl.registry.listed_users import selection_of, users_of

    rows = read_rows(path, column)
    users = users_of(rows)
    wanted = selection_of(users, selection)
    problems = {f"row {row}": f"row {row}: {reason}" for row, reason in users.invalid.items()}
    unknown = {name: f"no session of {quoted(name)}" for name in cli.registry.users.unknown(users.usernames)}
    make_plan(cli, plan, wanted, Targets((), {**problems, **unknown}), keep, terms)


def read_rows(path: Path, column: str) -> "list[ListedName]":
    """The cells of a column of a CSV file, or of standard input for `-`. Raises InvalidInput."""
    from authctl.user_lists import read_column

    with opened_exports([path]) as files:
        return [name for file in files for name in read_column(file.file, quoted(file.name), column)]
