"""`authctl registry`: move."""

from contextlib import ExitStack
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import move_records
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, DryRun, OptionalNote, Output, Quiet, Yes
from authctl.cli.streams import print_message
from authctl.files import resolved
from authctl.names import counted
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.registry.batches import Progress
    from authctl.registry.moving import MoveOutcome

app = typer.Typer(help="Move the registry to another place.", rich_markup_mode=None, add_completion=False)


@app.command()
def move(
    ctx: typer.Context,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="PLACE", help="New place: a file, or an empty database as postgresql://USER@HOST/DATABASE."
        ),
    ],
    note: OptionalNote = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Move the registry to a file or a database, compare both, and close the old place. After an interruption, run it again."""
    from authctl.registry import moving

    cli = start(ctx, output, quiet)
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
    role = (
        ", with the role of the hosts" if "://" in outcome.moved_to or outcome.moved_to.startswith("service=") else ""
    )
    return f"set the new place for every process{role}: export AUTHCTL_REGISTRY={quote(outcome.moved_to)}"
