"""`authctl revoke --from`: the users of a CSV file, with a result for each row."""

from itertools import islice
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
    from authctl.registry.listed_users import ListedOutcome
    from authctl.user_lists import ListedName

_MOST_NAMED = 10
_HINT = "the rows and their reasons are on standard output"


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
    listed = cli.registry.listed_users.revoke(
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
        raise _without_session(listed, _HINT)
    if terms.deliver:
        told.check()


def plan_users_of_file(
    cli: Cli, plan: Path, path: Path, column: str, selection: "SessionFilter", keep: int | None, terms: Terms
) -> None:
    """Write a plan of the sessions of the users of a file. Raises NotFound where a row names nobody, after the plan is written."""
    from authctl.registry.listed_users import selection_of, users_of

    rows = read_rows(path, column)
    # decision 269: the same result of each row as without a plan
    listed = cli.registry.listed_users.revoke(
        rows, selection, note=None, actor=terms.actor, dry_run=True, max_affected=terms.max_affected, keep=keep
    )
    _warn_of_failed(cli, listed)
    make_plan(cli, plan, selection_of(users_of(rows), selection), Targets((), {}), keep, terms)
    if listed.failed:
        raise _without_session(listed, "to see them: the same with --dry-run in the place of --plan")


def _warn_of_failed(cli: Cli, listed: "ListedOutcome") -> None:
    """Warn of rows without a session to revoke, ten at most."""
    for row in islice((row for row in listed.rows if row.failed), _MOST_NAMED):
        cli.warn(f"row {row.row}, {quoted(row.username)}: {row.reason}")
    if listed.failed > _MOST_NAMED:
        cli.warn(f"and {counted(listed.failed - _MOST_NAMED, 'row')} more ({listed.failed:,} in all)")


def _without_session(listed: "ListedOutcome", hint: str) -> NotFound:
    return NotFound(f"{counted(listed.failed, 'row')} of {len(listed.rows):,} without a session to revoke", hint)


def read_rows(path: Path, column: str) -> "list[ListedName]":
    """The cells of a column of a CSV file, or of standard input for `-`. Raises InvalidInput."""
    from authctl.user_lists import read_column

    with opened_exports([path]) as files:
        return [name for file in files for name in read_column(file.file, quoted(file.name), column)]
