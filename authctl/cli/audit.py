"""`authctl audit`: list, show, verify, accept."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import counted, start
from authctl.cli.options import LARGEST, Actor, Limit, Note, Output, Quiet, several, user_names
from authctl.cli.selecting import say_of_names
from authctl.instants import parse_when
from authctl.model import EventFilter

app = typer.Typer(help="See who did what.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only events since: a date, a time, or so long ago.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Only events before: a date, a time, or so long ago.")
    ] = None,
    actor: Annotated[
        list[str] | None, typer.Option("--actor", metavar="NAME", help="Only what this one did; may be given again.")
    ] = None,
    action: Annotated[
        list[str] | None, typer.Option("--action", metavar="NOUN.VERB", help="Only this action; may be given again.")
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="NAME",
            callback=user_names,
            help="Only about this user, revocations included; may be given again.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(
            "--session", metavar="ID", help="Only about this session, revocations included; may be given again."
        ),
    ] = None,
    search: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="Only events with this text.")] = None,
    limit: Limit = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List audit events, newest first."""
    cli = start(ctx, output, quiet)
    now = cli.registry.now()
    selection = EventFilter(
        since=None if since is None else parse_when(since, now),
        until=None if until is None else parse_when(until, now),
        actor=several(actor),
        action=several(action),
        username=several(user),
        session_id=several(session),
        search=search,
    )
    if not cli.show_cut(map(records.event, cli.registry.events(selection)), render.EVENTS, limit):
        say_of_names(cli, user)


@app.command()
def show(
    ctx: typer.Context,
    seq: Annotated[int, typer.Argument(metavar="SEQ", min=0, max=LARGEST, help="The event's number.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show an audit event. With its detail and hashes."""
    cli = start(ctx, output, quiet)
    cli.show(records.event(cli.registry.event(seq)))


@app.command()
def verify(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Walk the audit chain. Exit 7, naming the first bad event, when it does not hold."""
    cli = start(ctx, output, quiet)
    head = cli.registry.verify_audit()
    cli.report({"seq": head.seq, "hash": head.hash}, f"the audit chain holds, {counted(head.seq, 'event')}")


@app.command()
def accept(
    ctx: typer.Context, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Take the present chain as true. After an old registry was put back; ends every session issued before."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.accept_audit(note=cli.note(note), actor=actor)
    said = (
        f"accepted: the audit chain now ends with event {outcome.seq}; {counted(outcome.ended, 'living session')} ended"
    )
    cli.report(records.acceptance(outcome), said)
