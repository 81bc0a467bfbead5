"""`authctl login`."""

import typer

from authctl.cli.context import start
from authctl.cli.options import Actor, Output, Quiet
from authctl.cli.sign_in import (
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
    read_password,
    show_issued,
)
from authctl.instants import parse_lifetime

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def login(
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
    lifetime: SignInLifetime = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Register a session for a user name and a password from standard input. Prints the same as `tokens issue`."""
    cli = start(ctx, output, quiet)
    issued = cli.registry.tokens.login(
        username=user,
        application=application,
        password=read_password(cli),
        profile=profile,
        device=device,
        platform=platform,
        application_version=application_version,
        ip=ip,
        user_agent=user_agent,
        referrer=referrer,
        kind=kind,
        lifetime=None if lifetime is None else parse_lifetime(lifetime),
        actor=actor,
    )
    show_issued(cli, issued, "registered")
