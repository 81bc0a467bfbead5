"""`authctl doctor`."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import counted, start
from authctl.cli.options import Actor, Note, Output, Quiet

app = typer.Typer(rich_markup_mode=None, add_completion=False)

TO_MEND = 9
"""The exit code where something should be mended."""


@app.command()
def doctor(
    ctx: typer.Context,
    accept_clock: Annotated[
        bool,
        typer.Option("--accept-clock", help="Go by the clock as it is: what the registry has seen later was wrong."),
    ] = False,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Look the installation over. Each finding with the next command; exit 9 where there is something to mend."""
    from authctl.registry.doctor import examine

    cli = start(ctx, output, quiet)
    if accept_clock:
        outcome = cli.registry.accept_clock(note=cli.note(note), actor=actor)
        ended = f"{counted(outcome.ended, 'session')} that had expired by the wrong one, or were used by it"
        cli.say(f"the clock is gone by as it is from now on; ended for good: {ended}")
    found = examine(cli.place)
    cli.show_many(map(records.finding, found), render.FINDINGS)
    if wrong := sum(not one.ok for one in found):
        cli.say(f"{counted(wrong, 'thing')} to mend")
        raise typer.Exit(TO_MEND)
