"""`authctl tokens`: issue, verify, refresh, revoke, wipe-done; explain is in `explain.py`."""

import json
from typing import Annotated

import typer

from authctl import names, records, render
from authctl.cli.context import start
from authctl.cli.options import Actor, Note, Output, Quiet
from authctl.cli.sign_in import (
    SeenAddress,
    SeenApplication,
    SeenPlatform,
    SeenReferrer,
    SeenVersion,
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
from authctl.errors import TokenInvalid
from authctl.instants import parse_lifetime
from authctl.names import counted

Token = Annotated[
    str | None, typer.Argument(metavar="[TOKEN|-]", help="Token. Default, and with -: read from standard input.")
]

app = typer.Typer(
    help="Issue, verify, explain, refresh and revoke tokens.", rich_markup_mode=None, add_completion=False
)

ELSEWHERE = {"explain": ("explain", "explain")}
"""Verbs of this noun in other modules, which are loaded when the verb runs: module and function."""


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
        str | None,
        typer.Option("--signed-in-with", metavar="HOW", help="Sign-in method: password, key, saml or other."),
    ] = None,
    lifetime: SignInLifetime = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Register a session and print its access token. It is shown only once. The refresh token of a pair is printed with -o json."""
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
    """Verify an access token. This counts as use of the session. With -o json the answer follows RFC 7662."""
    cli = start(ctx, output, quiet)
    as_json = cli.prints_json
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
    """Exchange a refresh token for a new pair of tokens. The old pair ends at once; a refresh token that was used before is refused."""
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
        if refusal.action and cli.prints_json:
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
    """Revoke the session of a token, with a note. An unknown or ended token is no error (RFC 7009)."""
    cli = start(ctx, output, quiet)
    note = names.note(cli.note(note, may_ask=cli.can_ask))
    outcome = cli.registry.tokens.revoke(read_pasted_token(cli, token), note=note, actor=actor)
    before = "" if outcome.revoked else "; the note was not recorded"
    with cli.last_line(f"revoked {counted(outcome.revoked, 'session')}{before}"):
        cli.show_outcome(records.revocation(outcome), render.REVOKED)


@app.command("wipe-done")
def wipe_done(
    ctx: typer.Context, token: Token = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Record that an application has removed its data, as it was ordered when its session was revoked. Takes any token of the session."""
    cli = start(ctx, output, quiet)
    session = cli.registry.tokens.wipe_done(read_token(cli, token), actor=actor)
    cli.say(f"wipe acknowledged: {session.application} of {session.username} has removed its data")
    if cli.form:
        cli.show(records.session(session))
