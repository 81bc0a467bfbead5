"""`authctl audit`: list, show, export, verify, accept."""

from enum import StrEnum
from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start
from authctl.cli.options import TIME, Actor, Exact, Limit, Local, Note, Output, Paged, Quiet, user_names, whole_number
from authctl.filter_texts import read_event_filter
from authctl.names import counted

ExportFormat = StrEnum("ExportFormat", ["jsonl", "ocsf", "ecs", "caep"])

app = typer.Typer(help="Read and verify the audit log.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help=f"Only events at or after this time: {TIME}.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"Only events before this time: {TIME}."),
    ] = None,
    actor: Annotated[
        list[str] | None, typer.Option("--actor", metavar="NAME", help="Only events of this actor. Repeatable.")
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option("--action", metavar="NOUN.VERB", help="Only events with this action. Repeatable."),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="NAME",
            callback=user_names,
            help="Only events about this user, with revocations that covered the user. Repeatable.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(
            "--session",
            metavar="ID",
            help="Only events about this session, with revocations that covered it. Repeatable.",
        ),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Only events that contain this text.")
    ] = None,
    limit: Limit = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List audit events, newest first."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    texts = {
        "since": since,
        "until": until,
        "actor": actor,
        "action": action,
        "user": user,
        "session": session,
        "search": search,
    }
    selection = read_event_filter(texts, cli.registry.now())
    if not cli.show_cut(map(records.event, cli.registry.audit.events(selection)), render.EVENTS, limit):
        from authctl.cli.session_filters import report_unknown_names

        report_unknown_names(cli, user)


@app.command()
def show(
    ctx: typer.Context,
    seq: Annotated[int, typer.Argument(metavar="SEQ", parser=whole_number(0), help="Number of the event.")],
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show an audit event, with its detail and hashes."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show(records.event(cli.registry.audit.event(seq)), "event")


@app.command()
def export(
    ctx: typer.Context,
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="Format of the lines: jsonl, ocsf, ecs or caep.")
    ] = ExportFormat.jsonl,
    after: Annotated[
        int,
        typer.Option(
            "--after", metavar="SEQ", parser=whole_number(0), help="Only events after the event of this number."
        ),
    ] = 0,
    quiet: Quiet = False,
) -> None:
    """Export audit events as JSON lines, oldest first, in the format of a log system."""
    from authctl.audit_exports import FORMATS

    cli = start(ctx, render.Format.NDJSON, quiet)
    lines = FORMATS[format_.value]
    cli.show_rows((line for event in cli.registry.audit.export(after) for line in lines(event)), render.EVENTS)


@app.command()
def verify(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Verify the audit chain. If it is broken, name the first bad event and exit with 7."""
    cli = start(ctx, output, quiet)
    head = cli.registry.audit.verify()
    cli.report({"seq": head.seq, "hash": head.hash}, f"the audit chain is intact, {counted(head.seq, 'event')}")


@app.command()
def accept(
    ctx: typer.Context, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Accept the audit chain as it is, after an old registry was put back. Ends every session."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.audit.accept(note=cli.note(note), actor=actor)
    result = (
        f"accepted: the audit chain now ends with event {outcome.seq}; {counted(outcome.ended, 'active session')} ended"
    )
    cli.report(records.acceptance(outcome), result)
