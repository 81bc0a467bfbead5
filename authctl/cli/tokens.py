"""`authctl tokens`: issue, verify."""

import sys
from typing import Annotated

import typer

from authctl import records
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, Output, Quiet, Token
from authctl.errors import InvalidInput, TokenInvalid
from authctl.render import Format
from authctl.tokens import LONGEST_TOKEN

app = typer.Typer(help="Issue and verify tokens.", rich_markup_mode=None, add_completion=False)


def _said(flag: str, what: str) -> object:
    return typer.Option(flag, metavar="TEXT", help=what)


@app.command()
def issue(
    ctx: typer.Context,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="Who signed in.")],
    application: Annotated[str, typer.Option("--application", metavar="NAME", help="With which application.")],
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="Instead of the assigned one.")
    ] = None,
    device: Annotated[str | None, _said("--device", "On which device.")] = None,
    platform: Annotated[str | None, _said("--platform", "Its operating system.")] = None,
    application_version: Annotated[str | None, _said("--application-version", "The application's version.")] = None,
    ip: Annotated[str | None, _said("--ip", "From which address.")] = None,
    user_agent: Annotated[str | None, _said("--user-agent", "What the application calls itself.")] = None,
    referrer: Annotated[str | None, typer.Option("--referrer", metavar="URL", help="From which page.")] = None,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="application or web.")] = "application",
    signed_in_with: Annotated[
        str | None, typer.Option("--signed-in-with", metavar="HOW", help="password, key, saml or other.")
    ] = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Register a session. Prints its token, which is shown this once."""
    cli = start(ctx, output, quiet)
    issued = cli.registry.issue(
        username=user,
        application=application,
        profile=profile,
        device=device,
        platform=platform,
        application_version=application_version,
        ip=ip,
        user_agent=user_agent,
        referrer=referrer,
        kind=kind,
        signed_in_with=signed_in_with,
        actor=actor,
    )
    cli.say(
        f"registered session {issued.session.id} of {issued.session.username} under profile {issued.session.profile}"
    )
    if cli.form_or_table is Format.TABLE:
        cli.show_line(issued.access_token)
    elif cli.form is Format.ID:
        cli.show_line(issued.session.id)
    else:
        cli.show(records.issued(issued))


@app.command()
def verify(
    ctx: typer.Context,
    token: Token = None,
    application: Annotated[str | None, _said("--application", "The application that presents it.")] = None,
    application_version: Annotated[str | None, _said("--application-version", "Its version.")] = None,  # noqa: ARG001
    platform: Annotated[str | None, _said("--platform", "Its operating system.")] = None,  # noqa: ARG001
    ip: Annotated[str | None, _said("--ip", "The address it comes from.")] = None,  # noqa: ARG001
    referrer: Annotated[str | None, typer.Option("--referrer", metavar="URL", help="The page it comes from.")] = None,  # noqa: ARG001
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Say whether a token is good. It counts as use; as JSON the answer is that of RFC 7662."""
    cli = start(ctx, output, quiet)
    as_json = cli.form in (Format.JSON, Format.NDJSON)
    try:
        session = cli.registry.verify(_read_token(cli, token), application=application)
    except TokenInvalid:
        if as_json:
            cli.show_line('{"active": false}')
            raise typer.Exit(TokenInvalid.exit_code) from None
        raise
    if as_json:
        cli.show(records.introspection(session))
    elif cli.form or not cli.quiet:
        cli.show(records.session(session))


def _piped() -> bytes:
    return sys.stdin.buffer.read(LONGEST_TOKEN + 3) if sys.stdin else b""


def _read_token(cli: Cli, given: str | None) -> str:
    """The token as given, or the one line of standard input. Raises InvalidInput beyond 4 KiB."""
    if given is not None and given != "-":
        cli.warn("a token among the arguments can be seen by others (ps) and stays in the shell's history")
        token = given.encode(errors="surrogateescape")
    else:
        token = cli.ask("authctl: token: ").encode() if cli.can_ask else _piped()
        token = token.removesuffix(b"\n").removesuffix(b"\r")
    if len(token) > LONGEST_TOKEN:
        raise InvalidInput(f"a token has at most {LONGEST_TOKEN:,} bytes")
    return token.decode("ascii", "replace")
