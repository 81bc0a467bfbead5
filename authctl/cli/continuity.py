"""`authctl continuity`: start, end, status."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start as begin
from authctl.cli.options import TIME_AHEAD, Actor, Exact, Local, Note, Output, Quiet
from authctl.instants import parse_when
from authctl.names import counted, quoted

Profiles = Annotated[list[str] | None, typer.Option("--profile", metavar="NAME", help="Only this profile. Repeatable.")]

app = typer.Typer(help="Keep sessions active during an outage.", rich_markup_mode=None, add_completion=False)


@app.command()
def start(
    ctx: typer.Context,
    profiles: Profiles = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help=f"End of the event: {TIME_AHEAD} (2h: in 2 hours).",
        ),
    ] = None,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Keep active sessions active until the event ends, in profiles that allow it. Expired sessions stay expired."""
    cli = begin(ctx, output, quiet)
    when = None if until is None else parse_when(until, cli.registry.now(), ahead=True)
    states = cli.registry.continuity.start(profiles or (), until=when, note=cli.note(note), actor=actor)
    only = "".join(f" --profile {quoted(name)}" for name in profiles or ())
    held = ", ".join(state.event.profile for state in states)
    cli.say(f"continuity started for {held}; to end it: authctl continuity end{only} --note WHY")
    if cli.form:
        cli.show_many(map(records.continuity, states), render.CONTINUITY)


@app.command()
def end(
    ctx: typer.Context,
    profiles: Profiles = None,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """End continuity events. Sessions past their deadline expire now."""
    cli = begin(ctx, output, quiet)
    states = cli.registry.continuity.end(profiles or (), note=cli.note(note), actor=actor)
    over = sum(state.held_sessions for state in states)
    cli.say(
        f"continuity ended for {', '.join(state.event.profile for state in states)}; {counted(over, 'session')} expired"
    )
    if cli.form:
        cli.show_many(map(records.continuity, states), render.CONTINUITY)


@app.command()
def status(
    ctx: typer.Context,
    local: Local = False,
    exact: Exact = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show running continuity events, with the number of sessions past their deadline that each keeps active."""
    cli = begin(ctx, output, quiet, local=local, exact=exact)
    states = cli.registry.continuity.status()
    cli.show_many(map(records.continuity, states), render.CONTINUITY)
