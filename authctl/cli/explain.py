"""`authctl explain`, which is `authctl tokens explain`, too."""

from typing import Annotated

import typer

from authctl import explanation_records
from authctl.cli.context import start
from authctl.cli.options import Exact, Local, Output, Paged, Quiet
from authctl.cli.sign_in import (
    SeenAddress,
    SeenApplication,
    SeenPlatform,
    SeenReferrer,
    SeenVersion,
    read_token_or_id,
)
from authctl.instants import parse_when

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def explain(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOKEN|ID|-]", help="Token or session id. Default, and with -: read from standard input."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="T",
            help="Explain an earlier instant: a date (midnight UTC), today, yesterday, a time, or an age (7d: 7 days ago).",
        ),
    ] = None,
    application: SeenApplication = None,
    application_version: SeenVersion = None,
    platform: SeenPlatform = None,
    ip: SeenAddress = None,
    referrer: SeenReferrer = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Explain why a token is valid or not, check by check. Changes nothing, and does not count as a use. Exit 0 in both cases."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    instant = None if at is None else parse_when(at, cli.registry.now())
    explanation = cli.registry.tokens.explain(
        read_token_or_id(cli, target),
        at=instant,
        application=application,
        application_version=application_version,
        platform=platform,
        ip=ip,
        referrer=referrer,
    )
    cli.show(explanation_records.explanation(explanation), "explanation")
