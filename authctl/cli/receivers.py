"""`authctl receivers`: list, show, test, key, example."""

import json
from typing import Annotated

import typer

from authctl import delivery_records, render, shipped_receivers
from authctl.cli.context import start
from authctl.cli.options import Output, Quiet
from authctl.cli.streams import printing
from authctl.names import quoted

_OVERDUE = 9

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the receiver.")]

app = typer.Typer(
    help="Show the systems that are told of revocations, and test one.", rich_markup_mode=None, add_completion=False
)


@app.command("list")
def list_(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """List the receivers of receivers.yaml. Secrets are never shown."""
    cli = start(ctx, output, quiet)
    cli.show_many(map(delivery_records.receiver, cli.registry.receivers.list()), render.RECEIVERS)


@app.command()
def show(ctx: typer.Context, name: Name, output: Output = None, quiet: Quiet = False) -> None:
    """Show a receiver: its events, its filter, and the names of its files. Secrets are never shown."""
    cli = start(ctx, output, quiet)
    cli.show(delivery_records.shown_receiver(cli.registry.receivers.show(name)))


@app.command("test")
def send_verification(ctx: typer.Context, name: Name, output: Output = None, quiet: Quiet = False) -> None:
    """Send a verification event to a receiver, and show its answer. It concerns no session and no user."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.receivers.test(name)
    cli.report(delivery_records.verification(outcome), f"receiver {quoted(outcome.receiver)}: {outcome.answer}")
    if not outcome.ok:
        raise typer.Exit(_OVERDUE)


@app.command()
def key(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Print the public key of pushed tokens as a JWKS, to publish it. The first call makes the key."""
    cli = start(ctx, output, quiet)
    with printing() as out:
        out.write(json.dumps(cli.registry.receivers.key(), indent=2) + "\n")


@app.command()
def example(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the example. Without one, their names are printed.")
    ] = None,
) -> None:
    """Print a receiver that comes with authctl, to put it into a file: synapse, jupyterhub, keycloak or http."""
    start(ctx)
    with printing() as out:
        out.write("\n".join(shipped_receivers.names()) + "\n" if name is None else shipped_receivers.read(name))
