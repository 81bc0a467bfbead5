"""`authctl tokens`: issue, verify, refresh, revoke, wipe-done."""

import json
from typing import Annotated

import typer

from authctl import names, records, render
from authctl.cli.context import counted, start
from authctl.cli.issuing import (
    SignInAddress,
    SignInAgent,
    SignInApplication,
    SignInDevice,
    SignInKind,
    SignInLifetime,
    SignInPlatform,
    SignInProfile,
    SignInReferrer,
    SignInUser,
    SignInVersion,
    read_pasted_token,
    read_token,
    show_issued,
)
from authctl.cli.options import Actor, Note, Output, Quiet
from authctl.errors import TokenInvalid
from authctl.instants import parse_lifetime
from authctl.render import Format

SeenApplication = Annotated[
    str | None, typer.Option("--application", metavar="TEXT", help="The application that presents it.")
]
SeenVersion = Annotated[str | None, typer.Option("--application-version", metavar="TEXT", help="Its version.")]
SeenPlatform = Annotated[str | None, typer.Option("--platform", metavar="TEXT", help="Its operating system.")]
SeenAddress = Annotated[str | None, typer.Option("--ip", metavar="TEXT", help="The address it comes from.")]
SeenReferrer = Annotated[str | None, typer.Option("--referrer", metavar="URL", help="The page it comes from.")]
Token = Annotated[
    str | None, typer.Argument(metavar="[TOKEN|-]", help="The token; by default, and with -, from standard input.")
]

app = typer.Typer(help="Issue, verify, refresh and revoke tokens.", rich_markup_mode=None, add_completion=False)


@app.command()
def issue(
    ctx: typer.Context,
    user: SignInUser,
    application: SignInApplication,
    profile: SignInProfile = None,
    device: SignInDevice = None,
    platform: SignInPlatform = None,
    application_version: SignInVersion = None,
    ip: SignInAddress = None,
    user_agent: SignInAgent = None,
    referrer: SignInReferrer = None,
    kind: SignInKind = "application",
    signed_in_with: Annotated[
        str | None, typer.Option("--signed-in-with", metavar="HOW", help="password, key, saml or other.")
    ] = None,
    lifetime: SignInLifetime = None,
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
    show_issued(cli, issued, "registered")


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
            read_token(cli, token),
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
            read_token(cli, token),
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
    show_issued(cli, issued, "refreshed")


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
    note = names.note(cli.note(note, may_ask=cli.can_ask))
    outcome = cli.registry.revoke_token(read_pasted_token(cli, token), note=note, actor=actor)
    before = "" if outcome.revoked else "; the note was not recorded"
    with cli.last_line(f"revoked {counted(outcome.revoked, 'session')}{before}"):
        cli.show_outcome(records.revocation(outcome), render.REVOKED)


@app.command("wipe-done")
def wipe_done(
    ctx: typer.Context, token: Token = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Record that an application removed its data. As it was told to when its session was revoked; any token of the session will do."""
    cli = start(ctx, output, quiet)
    session = cli.registry.wipe_done(read_token(cli, token), actor=actor)
    cli.say(f"wipe acknowledged: {session.application} of {session.username} has removed its data")
    if cli.form:
        cli.show(records.session(session))
