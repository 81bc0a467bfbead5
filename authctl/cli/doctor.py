"""`authctl doctor`."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start
from authctl.cli.options import Actor, Note, Output, Quiet
from authctl.names import counted

app = typer.Typer(rich_markup_mode=None, add_completion=False)

PROBLEMS_FOUND = 9
"""The exit code if there is a problem."""


@app.command()
def doctor(
    ctx: typer.Context,
    accept_clock: Annotated[
        bool,
        typer.Option(
            "--accept-clock", help="Accept the clock as it is: the later time recorded in the registry was wrong."
        ),
    ] = False,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Check the installation. Every problem is shown with the next command; exit 9 if there is one."""
    from authctl.registry.doctor import examine

    cli = start(ctx, output, quiet)
    if accept_clock:
        outcome = cli.registry.doctor.accept_clock(note=cli.note(note), actor=actor)
        ended = f"{counted(outcome.ended, 'session')} that had expired only by the wrong clock, or were used while it was ahead"
        cli.say(f"the present clock is accepted; ended: {ended}")
    from authctl.cli.place_in_hints import typed_options, with_place

    places = typed_options(ctx)
    findings = [
        finding._replace(next=finding.next and with_place(finding.next, places))
        for finding in examine(cli.installation_home)
    ]
    cli.show_many(map(records.finding, findings), render.FINDINGS)
    if wrong := sum(not finding.ok for finding in findings):
        cli.say(f"{counted(wrong, 'problem')} found")
        raise typer.Exit(PROBLEMS_FOUND)
