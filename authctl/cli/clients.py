"""`authctl clients`: add, list, show, rotate, remove."""

from typing import Annotated

import typer

from authctl import client_records, render
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, Exact, Local, Note, OptionalNote, Output, Paged, Quiet
from authctl.instants import parse_length, parse_lifetime
from authctl.names import counted
from authctl.registry.clients import DEFAULT_CACHE, NewSecret

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the client, or its id.")]

app = typer.Typer(
    help="Manage the programs that ask about tokens by HTTP (authctl serve).",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new client.")],
    may: Annotated[
        list[str],
        typer.Option("--may", metavar="RIGHT", help="Right: introspect, revoke, refresh, wipe or verify. Repeatable."),
    ],
    application: Annotated[
        list[str] | None,
        typer.Option(
            "--application", metavar="NAME", help="Only tokens of this application. Repeatable. Default: of all."
        ),
    ] = None,
    cache_for: Annotated[
        str | None,
        typer.Option("--cache-for", metavar="AGE", help="Longest time to keep an answer. Default: 60s."),
    ] = None,
    lag: Annotated[
        str | None,
        typer.Option(
            "--lag",
            metavar="AGE",
            help="Longest time until the client notices a revocation. Default: as --cache-for.",
        ),
    ] = None,
    facts: Annotated[
        bool,
        typer.Option(
            "--facts", help="Believe its address, platform, referrer and version, for bound tokens and conditions."
        ),
    ] = False,
    revoke_note: Annotated[
        str | None,
        typer.Option("--revoke-note", metavar="TEXT", help="Note of its revocations. Required with --may revoke."),
    ] = None,
    certificate: Annotated[
        str | None,
        typer.Option(
            "--certificate",
            metavar="SHA256",
            help="Fingerprint of its TLS certificate, with which it needs no secret.",
        ),
    ] = None,
    note: OptionalNote = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Add a client, and print its id and its secret. The secret is shown only once."""
    cli = start(ctx, output, quiet)
    made = cli.registry.clients.add(
        name,
        may=may,
        applications=application or (),
        cache_for=DEFAULT_CACHE if cache_for is None else parse_lifetime(cache_for),
        lag=None if lag is None else parse_length(lag),
        facts=facts,
        revoke_note=revoke_note,
        certificate=certificate,
        note=note,
        actor=actor,
    )
    _show_secret(cli, made, f"added client {made.client.name}; the secret is shown only once")


@app.command("list")
def list_(
    ctx: typer.Context,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List clients with their rights. Secrets are never shown."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show_many(map(client_records.client, cli.registry.clients.list()), render.CLIENTS)


@app.command()
def show(
    ctx: typer.Context,
    name: Name,
    local: Local = False,
    exact: Exact = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show a client. Its secrets are never shown."""
    cli = start(ctx, output, quiet, local=local, exact=exact)
    cli.show(client_records.client(cli.registry.clients.get(name)))


@app.command()
def rotate(
    ctx: typer.Context,
    name: Name,
    note: Note = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="Refuse the secret before from now on.")] = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Make a new secret, and print it. The secret before is accepted until the next rotation, so that the client can be changed over."""
    cli = start(ctx, output, quiet)
    made = cli.registry.clients.rotate(name, note=cli.note(note), at_once=at_once, actor=actor)
    before = "is refused from now on" if at_once else "is accepted until the next rotation"
    _show_secret(cli, made, f"client {made.client.name} has a new secret, shown only once; the one before {before}")


@app.command()
def remove(
    ctx: typer.Context, name: Name, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Remove a client. Its next request is refused."""
    cli = start(ctx, output, quiet)
    client = cli.registry.clients.remove(name, note=cli.note(note), actor=actor)
    cli.say(f"removed client {client.name}: {counted(len(client.may), 'right')} withdrawn")
    if cli.form:
        cli.show(client_records.client(client))


def _show_secret(cli: Cli, made: NewSecret, message: str) -> None:
    """Print id and secret: parted by a tab, or as the record that was asked for."""
    with cli.last_line(message):
        if cli.form:
            cli.show(client_records.new_secret(made))
        else:
            cli.show_line(f"{made.client.client_id}\t{made.secret}")
