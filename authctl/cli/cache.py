"""`authctl cache`: list, clear."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start
from authctl.cli.options import Actor, Exact, Limit, Local, Note, Output, Paged, Quiet, several, user_names
from authctl.cli.session_filters import report_unknown_names, warn_of_unknown
from authctl.names import counted

User = Annotated[
    list[str] | None,
    typer.Option("--user", metavar="NAME", callback=user_names, help="Only logins of this user. Repeatable."),
]

app = typer.Typer(help="Show and clear the authentication cache.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    user: User = None,
    limit: Limit = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List remembered logins, most recently used first. The authenticator is not asked again until they expire."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    logins = map(records.cached_login, cli.registry.cache.list(several(user)))
    if not cli.show_cut(logins, render.CACHED_LOGINS, limit):
        report_unknown_names(cli, user)


@app.command()
def clear(
    ctx: typer.Context,
    user: User = None,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Delete remembered logins, so that the authenticator is asked at the next login. Sessions do not change."""
    # decision 72: it ends no session, and the authenticator is only asked again
    cli = start(ctx, output, quiet)
    outcome = cli.registry.cache.clear(several(user), note=cli.note(note), actor=actor)
    cli.say(f"forgot {counted(outcome.forgotten, 'login')}; sessions stay as they are")
    warn_of_unknown(cli, user or ())
    if cli.form:
        cli.show(records.cleared(outcome))
