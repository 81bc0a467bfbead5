"""`authctl deliveries`: list, show, retry, drop."""

from enum import StrEnum
from typing import Annotated

import typer

from authctl import delivery_records, render
from authctl.cli.context import Cli, start
from authctl.cli.options import (
    Actor,
    Exact,
    Limit,
    Local,
    Note,
    OptionalNote,
    Output,
    Paged,
    Quiet,
    several,
    user_names,
)
from authctl.cli.session_filters import report_unknown_names
from authctl.model.deliveries import DeliveryFilter, DeliveryState
from authctl.model.told_events import Event
from authctl.names import counted
from authctl.registry.deliveries import DropOutcome

StateChoice = StrEnum("StateChoice", {state.name: state.value for state in DeliveryState})  # type: ignore[misc]
EventChoice = StrEnum("EventChoice", {event.name: event.value for event in Event})  # type: ignore[misc]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Delivery ids; the number before the dot means all of its decision."),
]

app = typer.Typer(
    help="Show deliveries to receivers, try them again, and drop them.", rich_markup_mode=None, add_completion=False
)


@app.command("list")
def list_(
    ctx: typer.Context,
    receiver: Annotated[
        list[str] | None,
        typer.Option("--receiver", metavar="NAME", help="Only deliveries to this receiver. Repeatable."),
    ] = None,
    state: Annotated[
        list[StateChoice] | None, typer.Option("--state", help="Only deliveries in this state. Repeatable.")
    ] = None,
    event: Annotated[
        list[EventChoice] | None, typer.Option("--event", help="Only deliveries of this event. Repeatable.")
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            "--user",
            metavar="NAME",
            callback=user_names,
            help="Only deliveries about this user or the user's sessions. Repeatable.",
        ),
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option("--session", metavar="ID", help="Only deliveries about this session. Repeatable."),
    ] = None,
    limit: Limit = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List deliveries to receivers, the newest decision first."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    selection = DeliveryFilter(
        several(receiver),
        several(state),
        several(event),
        several(user),
        tuple(cli.registry.session(one).number for one in session or ()),
    )
    deliveries = cli.registry.deliveries.list(selection)
    if not cli.show_cut(map(delivery_records.delivery, deliveries), render.DELIVERIES, limit):
        report_unknown_names(cli, user)


@app.command()
def show(
    ctx: typer.Context,
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="Delivery id, as `deliveries list` shows it.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show a delivery: its state, its attempts, and the reason that the receiver gave."""
    cli = start(ctx, output, quiet)
    cli.show(delivery_records.shown_delivery(cli.registry.deliveries.show(delivery_id)))


@app.command()
def retry(
    ctx: typer.Context,
    ids: Ids,
    note: OptionalNote = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Make deliveries due now: pending, refused and dead ones. `authctl deliver` then makes them."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.deliveries.retry(ids, note=note, actor=actor)
    _report(cli, outcome, "due now")


@app.command()
def drop(
    ctx: typer.Context, ids: Ids, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Give up deliveries, with a note: pending, refused and dead ones."""
    cli = start(ctx, output, quiet)
    cli.check_note(note)
    outcome = cli.registry.deliveries.drop(ids, note=cli.note(note), actor=actor)
    _report(cli, outcome, "dropped")


def _report(cli: Cli, outcome: DropOutcome, done: str) -> None:
    left = f"; {counted(len(outcome.unchanged), 'id')} had nothing to change" if outcome.unchanged else ""
    with cli.last_line(f"{counted(outcome.changed, 'message')} {done}{left}"):
        if cli.form:
            cli.show(delivery_records.dropped(outcome))
