"""`authctl registry`: move."""

from contextlib import ExitStack
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import move_records
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, DryRun, Output, Quiet, Yes
from authctl.cli.streams import print_message
from authctl.errors import InvalidInput
from authctl.files import resolved
from authctl.names import counted
from authctl.registry_locations import is_address
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.registry.batches import Progress
    from authctl.registry.moving import MoveOutcome
    from authctl.registry.unfinished_moves import GivenUp

app = typer.Typer(help="Move the registry to another place.", rich_markup_mode=None, add_completion=False)


@app.command()
def move(
    ctx: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="PLACE", help="New place: a file, or an empty database as postgresql://USER@HOST/DATABASE."
        ),
    ] = None,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up", help="Give up a move that was not finished: the old place opens, the copy is removed."
        ),
    ] = False,
    copy_lost: Annotated[
        bool,
        typer.Option("--copy-lost", help="With --give-up: the new place never comes back, and is not asked."),
    ] = False,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", metavar="TEXT", help="Reason, kept in the audit log. Required by --give-up. Default: none."
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Move the registry to a file or a database, compare both, and close the old place. After an interruption, run it again."""
    cli = start(ctx, output, quiet)
    if (to is not None) == give_up:
        raise InvalidInput(
            "exactly one of --to and --give-up is needed", "authctl registry move --to PLACE, or --give-up"
        )
    if copy_lost and not give_up:
        raise InvalidInput("--copy-lost belongs to --give-up", "authctl registry move --give-up --copy-lost")
    if to is None:
        _give_up(cli, note, actor, copy_lost=copy_lost, dry_run=dry_run, yes=yes)
    else:
        _move(cli, to, note, actor, dry_run=dry_run, yes=yes)


def _move(cli: Cli, to: str, note: str | None, actor: str | None, *, dry_run: bool, yes: bool) -> None:
    """Move the registry, or finish a move that was interrupted."""
    from authctl.registry import moving

    with ExitStack() as bar:

        def agree(preview: "MoveOutcome") -> None:
            if not yes:
                _ask(cli, preview)
            shown.append(bar.enter_context(cli.progress("moving the registry")))  # not before the question

        shown: list[Progress] = []
        outcome = moving.move(
            cli.installation_home,
            to,
            note=note,
            actor=actor,
            dry_run=dry_run,
            warn=cli.warn,
            agree=agree,
            progress=lambda done, total: shown[0](done, total) if shown else None,
        )
    done = "dry run, nothing was changed: would move" if dry_run else "moved"
    if outcome.was_begun:
        done = "the old place was closed before; the move is finished:"
    cli.say(f"{done} {_in_words(outcome)}")
    if not dry_run:
        cli.say(_next_step(cli, outcome))
    if cli.form:
        cli.show(move_records.move(outcome))


def _give_up(cli: Cli, note: str | None, actor: str | None, *, copy_lost: bool, dry_run: bool, yes: bool) -> None:
    """Give up a move that was not finished."""
    from authctl.registry import unfinished_moves

    def agree(preview: "GivenUp") -> None:
        if not yes and cli.can_ask:
            print_message(f"the move to {visible(preview.given_up)} is not finished; {_effect(preview)}")
        cli.confirm("give the move up? [y/N]", "y", yes=yes)

    outcome = unfinished_moves.give_up(
        cli.installation_home,
        note=note,
        actor=actor,
        copy_is_lost=copy_lost,
        dry_run=dry_run,
        warn=cli.warn,
        agree=agree,
    )
    done = "dry run, nothing was changed: would give up" if dry_run else "gave up"
    cli.say(f"{done} the move to {outcome.given_up}; {_effect(outcome)}")
    if cli.form:
        cli.show(move_records.given_up(outcome))


def _effect(outcome: "GivenUp") -> str:
    """The place that is in force once a move is given up, and what becomes of the copy."""
    opens = "opens again, and is in force" if outcome.was_closed else "is in force"
    copy = {
        "none": "there is no copy",
        "removed": "the copy is removed",
        "left": f"a copy may be left there, and never opens ({outcome.why_left})",
    }[outcome.copy]
    return f"{visible(outcome.in_force)} {opens}; {copy}"


def _ask(cli: Cli, preview: "MoveOutcome") -> None:
    """Show what would move, and ask."""
    if cli.can_ask:
        print_message(f"this moves {_in_words(preview)}")
        print_message("no change is possible meanwhile; afterwards every process needs the new place")
    cli.confirm(f"close {visible(preview.moved_from)} for good? [y/N]", "y", yes=False)


def _in_words(outcome: "MoveOutcome") -> str:
    """The content of the registry and both places, in words."""
    sessions, events = outcome.tables["sessions"], outcome.tables["audit_events"]
    content = f"{counted(sessions, 'session')} ({outcome.active:,} active) and {counted(events, 'audit event')}"
    compared = "" if outcome.compared is None else f"; compared with the copy: {counted(outcome.compared, 'row')}"
    return f"{content} from {outcome.moved_from} to {outcome.moved_to}{compared}"


def _next_step(cli: Cli, outcome: "MoveOutcome") -> str:
    """How every process finds the registry from now on."""
    if outcome.moved_to == str(resolved(cli.installation_home.folder / "registry.db")):
        return "the registry is in the home now: remove AUTHCTL_REGISTRY and --registry wherever they are set"
    role = "; put the role of the hosts in the place of the owner" if is_address(outcome.moved_to) else ""
    return f"set the new place for every process{role}: export AUTHCTL_REGISTRY={quote(outcome.moved_to)}"
