"""`authctl revoke`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, DryRun, Note, Output, Quiet, Yes, new_file, whole_number
from authctl.cli.previews import confirm_revocation
from authctl.cli.revocation_outcomes import Terms, show, warn_of_sources
from authctl.cli.session_filters import (
    Application,
    CreatedBefore,
    CreatedSince,
    Delivery,
    Device,
    ExpiresBefore,
    KindChoice,
    Platform,
    ProfileName,
    RefusedWipe,
    RevokedKind,
    Search,
    Source,
    Statuses,
    UnusedFor,
    UsedAfterEnd,
    UsedSince,
    User,
    option_texts,
    warn_of_similar,
    warn_of_unknown,
    web_sessions,
)
from authctl.cli.targets import Targets, read_ids
from authctl.errors import InvalidInput, NotFound
from authctl.filter_texts import read_session_filter
from authctl.model import texts_of
from authctl.names import counted
from authctl.registry.revocations import check_target

if TYPE_CHECKING:
    from authctl.model import SessionFilter

_OTHER_TARGETS = {
    "ids": "ids",
    "everything": "--all",
    "excepted": "--except",
    "used_after_end": "--used-after-end",
    "keep": "--keep",
    "user_file": "--from",
    "column": "--column",
    "plan": "--plan",
}
"""The other parameters that name targets, each with the name that a person knows."""

app = typer.Typer(rich_markup_mode=None, add_completion=False)

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...|-]", help="Session ids. With -, one id per line on standard input."),
]
Everything = Annotated[bool, typer.Option("--all", help="All sessions of all users.")]
Except = Annotated[
    list[str] | None, typer.Option("--except", metavar="ID", help="Do not revoke this session. Repeatable.")
]
Keep = Annotated[
    int | None,
    typer.Option(
        "--keep",
        metavar="N",
        parser=whole_number(1),
        help="Do not revoke the N most recently used of these sessions of each user in each application. Asks first.",
    ),
]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="FILE",
        callback=new_file,
        help="Revoke nothing; write these sessions to a new file for --apply.",
    ),
]
AppliedPlan = Annotated[
    Path | None,
    typer.Option("--apply", metavar="FILE", help="Revoke exactly the sessions of a plan. Asks first."),
]
UserFile = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Only sessions of the users in a CSV file. Needs --column."),
]
Column = Annotated[
    str | None, typer.Option("--column", metavar="NAME", help="The column of --from that has the user names.")
]
MaxAffected = Annotated[
    int | None,
    typer.Option(
        "--max-affected",
        metavar="N",
        parser=whole_number(0),
        help="Refuse if more sessions would be newly revoked.",
    ),
]

Deliver = Annotated[
    bool,
    typer.Option(
        "--deliver", help="Tell the receivers at once, after the commit. Exit code 9 if something stays pending."
    ),
]


@app.command()
def revoke(
    ctx: typer.Context,
    ids: Ids = None,
    user: User = None,
    application: Application = None,
    device: Device = None,
    platform: Platform = None,
    profile: ProfileName = None,
    kind: RevokedKind = None,
    search: Search = None,
    source: Source = None,
    used_after_end: UsedAfterEnd = False,
    created_since: CreatedSince = None,
    created_before: CreatedBefore = None,
    used_since: UsedSince = None,
    unused_for: UnusedFor = None,
    expires_before: ExpiresBefore = None,
    status: Statuses = None,
    wipe: RefusedWipe = None,
    delivery: Delivery = None,
    everything: Everything = False,
    excepted: Except = None,
    keep: Keep = None,
    user_file: UserFile = None,
    column: Column = None,
    plan: PlanFile = None,
    apply: AppliedPlan = None,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    max_affected: MaxAffected = None,
    deliver: Deliver = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Revoke sessions, with a note. Cannot be undone. Ids and --user act at once; filters and --all ask first."""
    arguments = locals()
    cli = start(ctx, output, quiet)
    terms = Terms(note, actor, dry_run, yes, max_affected, deliver)
    if apply is not None:
        from authctl.cli.revocation_plans import apply_plan

        _check_no_targets(arguments)
        apply_plan(cli, apply, terms)
        return
    _check_plan(plan, terms)
    if user_file is not None or column is not None:
        _revoke_listed(cli, arguments, terms)
        return
    if "-" in (ids or ()):  # a wrong command is refused before it waits for standard input
        check_target(_selection(cli, arguments, Targets(tuple(ids or ()), {})))
    targets = read_ids(cli, ids or ())
    if ids and not targets.ids:
        raise NotFound("no ids on standard input")
    selection = _selection(cli, arguments, targets)
    check_target(selection)
    if plan is not None:
        from authctl.cli.revocation_plans import make_plan

        make_plan(cli, plan, selection, targets, keep, terms)
        return
    # Standard input gives the ids, so that nobody can type a note there.
    terms = terms._replace(may_ask="-" not in (ids or ()))
    _revoke(cli, selection, targets, keep, terms, all_kinds=kind is None)


def _revoke_listed(cli: Cli, arguments: Mapping[str, Any], terms: Terms) -> None:
    """Revoke the sessions of the users of a file, or make a plan of them."""
    from authctl.cli.user_files import plan_users_of_file, revoke_users_of_file

    path, column, keep = arguments["user_file"], arguments["column"], arguments["keep"]
    if path is None or column is None:
        raise InvalidInput("--from and --column belong together", "for example: --from leavers.csv --column email")
    if given := [name for name in ("ids", "user", "everything") if arguments[name]]:
        option = _OTHER_TARGETS.get(given[0], "--user")
        raise InvalidInput(f"--from names the users, and takes no {option}", f"leave out {option}, or --from")
    selection = _selection(cli, arguments, Targets((), {}))
    if arguments["plan"] is not None:
        plan_users_of_file(cli, arguments["plan"], path, column, selection, keep, terms)
    else:
        revoke_users_of_file(cli, path, column, selection, keep, terms)


def _selection(cli: Cli, arguments: Mapping[str, Any], targets: Targets) -> "SessionFilter":
    texts = option_texts(arguments) | {"kind": arguments["kind"] or KindChoice.ALL}
    return read_session_filter(
        texts,
        cli.registry.now(),
        ids=targets.ids,
        except_ids=tuple(arguments["excepted"] or ()),
        everything=arguments["everything"],
        used_after_end=arguments["used_after_end"],
    )


def _revoke(
    cli: Cli, selection: "SessionFilter", targets: Targets, keep: int | None, terms: Terms, *, all_kinds: bool
) -> None:
    """Ask for confirmation if necessary, revoke, and show the outcome with its warnings."""
    dry_run, users = terms.dry_run, texts_of(selection.username)
    bound = None
    if not dry_run:
        cli.check_note(terms.note, may_ask=terms.may_ask)
    # Named sessions are revoked at once. A filter may select more sessions than its author thinks, so it is asked about.
    if not dry_run and (keep is not None or not (selection.ids or users)):
        bound = confirm_revocation(cli, selection, terms.max_affected, terms.yes, keep)
    note = cli.note(terms.note, may_ask=terms.may_ask and not dry_run)
    counts_web = all_kinds and keep is None and not selection.ids and (users or dry_run)
    web = web_sessions(cli, selection) if counts_web else 0
    outcome = cli.registry.revoke(
        selection,
        note=note,
        actor=terms.actor,
        dry_run=dry_run,
        max_affected=terms.max_affected,
        bound=bound,
        keep=keep,
    )
    if web and outcome.revoked:
        cli.say(f"{counted(web, 'web session')} among them: without --kind every kind is covered")
    warn_of_sources(cli, outcome)
    warn_of_similar(cli, users)
    warn_of_unknown(cli, users)
    if targets.texts and 0 < outcome.selected < len(set(targets.texts)) - len(outcome.not_found):
        cli.warn("some of the ids do not match the other filters, and were not selected")
    targets.warn_of_unusable(cli)
    show(cli, outcome._replace(not_found=targets.not_found(outcome.not_found)), deliver=terms.deliver)


def _check_no_targets(arguments: Mapping[str, Any]) -> None:
    """Raise InvalidInput for an option that names targets beside `--apply`: a plan has all of its own."""
    named = {**option_texts(arguments), **{name: arguments[name] for name in _OTHER_TARGETS}}
    if given := [name for name, value in named.items() if value not in (None, False, [])]:
        option = _OTHER_TARGETS.get(given[0], f"--{given[0].replace('_', '-')}")
        raise InvalidInput(f"--apply revokes the sessions of a plan, and takes no {option}", f"leave out {option}")


def _check_plan(plan: Path | None, terms: Terms) -> None:
    """Raise InvalidInput for an option that makes no sense beside `--plan`, which revokes nothing."""
    if plan is not None and terms.note is not None:
        raise InvalidInput("--plan revokes nothing, and takes no --note", "give the note with --apply")
    if plan is not None and terms.dry_run:
        raise InvalidInput("--plan revokes nothing, and takes no --dry-run", "leave out --dry-run, or --plan")
    if plan is not None and terms.deliver:
        raise InvalidInput("--plan revokes nothing, and takes no --deliver", "give it with --apply")
