"""`authctl tokens`: issue, verify, refresh, revoke, wipe-done."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import records, render
from authctl.cli.context import Cli, counted, start
from authctl.cli.options import (
    Actor,
    Note,
    Output,
    Quiet,
    SeenAddress,
    SeenApplication,
    SeenPlatform,
    SeenReferrer,
    SeenVersion,
    Token,
)
from authctl.errors import InvalidInput, TokenInvalid
from authctl.instants import parse_lifetime
from authctl.render import Format
from authctl.tokens import LONGEST_TOKEN

if TYPE_CHECKING:
    from authctl.registry.tokens import Issued

app = typer.Typer(help="Issue, verify, refresh and revoke tokens.", rich_markup_mode=None, add_completion=False)


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
    lifetime: Annotated[
        str | None,
        typer.Option("--lifetime", metavar="AGE", help="For how long, where the profile lets that be requested."),
    ] = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Register a session. Prints its access token, which is shown this once; as JSON with the refresh token of a pair."""
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
        lifetime=None if lifetime is None else parse_lifetime(lifetime),
        actor=actor,
    )
    _show_issued(cli, issued, "registered")


@app.command()
def verify(
    ctx: typer.Context,
    token: Token = None,
    application: SeenApplication = None,
    application_version: SeenVersion = None,
    platform: SeenPlatform = None,
    ip: SeenAddress = None,
    referrer: SeenReferrer = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Say whether a token is good. It counts as use; as JSON the answer is that of RFC 7662."""
    cli = start(ctx, output, quiet)
    as_json = cli.form in (Format.JSON, Format.NDJSON)
    try:
        session = cli.registry.verify(
            _read_token(cli, token),
            application=application,
            application_version=application_version,
            platform=platform,
            ip=ip,
            referrer=referrer,
        )
    except TokenInvalid as refusal:
        if as_json:
            cli.show_line(json.dumps(records.refusal(refusal)))
        raise
    if as_json:
        cli.show(records.introspection(session))
    elif cli.form or not cli.quiet:
        cli.show(records.session(session))


@app.command()
def refresh(
    ctx: typer.Context,
    token: Token = None,
    application: SeenApplication = None,
    application_version: SeenVersion = None,
    platform: SeenPlatform = None,
    ip: SeenAddress = None,
    referrer: SeenReferrer = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Exchange a refresh token for the next pair. The old pair is over at once; a spent token that comes back is refused."""
    cli = start(ctx, output, quiet)
    try:
        issued = cli.registry.refresh(
            _read_token(cli, token),
            application=application,
            application_version=application_version,
            platform=platform,
            ip=ip,
            referrer=referrer,
            actor=actor,
        )
    except TokenInvalid as refusal:
        if refusal.action and cli.form in (Format.JSON, Format.NDJSON):
            cli.show_line(json.dumps(records.refusal(refusal)))
        raise
    _show_issued(cli, issued, "refreshed")


@app.command()
def revoke(
    ctx: typer.Context,
    token: Token = None,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Revoke the session of a token, with a note. As RFC 7009 has it, one that is unknown or over is no error."""
    cli = start(ctx, output, quiet)
    note = cli.note(note, may_ask=cli.can_ask)
    outcome = cli.registry.revoke_token(_read_token(cli, token), note=note, actor=actor)
    before = "" if outcome.revoked else "; the note was not recorded"
    cli.say(f"revoked {counted(outcome.revoked, 'session')}{before}")
    cli.show_outcome(records.revocation(outcome), render.REVOKED)


@app.command("wipe-done")
def wipe_done(
    ctx: typer.Context, token: Token = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Record that an application removed its data. As it was told to when its session was revoked; any token of the session will do."""
    cli = start(ctx, output, quiet)
    session = cli.registry.wipe_done(_read_token(cli, token), actor=actor)
    cli.say(f"recorded: {session.application} of {session.username} has removed its data")
    if cli.form:
        cli.show(records.session(session))


def _show_issued(cli: Cli, issued: "Issued", done: str) -> None:
    """The access token alone, or everything as JSON; the session in words."""
    session = issued.session
    cli.say(f"{done} session {session.id} of {session.username} under profile {session.profile}")
    if cli.form_or_table is Format.TABLE:
        if issued.refresh_token:
            cli.warn("this is the access token alone; the refresh token beside it comes with -o json")
        cli.show_line(issued.access_token)
    elif cli.form is Format.ID:
        cli.show_line(session.id)
    else:
        cli.show(records.issued(issued))


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
