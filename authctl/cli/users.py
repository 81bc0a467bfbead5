"""`authctl users`: list, show, disable, enable, password-changed."""

from typing import TYPE_CHECKING, Annotated

import typer

from authctl import records, render
from authctl.cli.context import Cli, counted, start
from authctl.cli.options import Actor, DryRun, Limit, Note, Output, Quiet, user_names
from authctl.cli.selecting import warn_of_similar

if TYPE_CHECKING:
    from authctl.registry.users import UserOutcome

Name = Annotated[
    str, typer.Argument(metavar="USER", callback=user_names, help="The user's name; case and width do not matter.")
]

app = typer.Typer(help="See users, and keep them out.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    disabled: Annotated[bool, typer.Option("--disabled", help="Only those who are disabled.")] = False,
    limit: Limit = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List users. With their sessions of every kind counted; used last comes first."""
    cli = start(ctx, output, quiet)
    found = (user for user in cli.registry.users() if not disabled or user.user.disabled_at is not None)
    cli.show_cut(map(records.user, found), render.USERS, limit)


@app.command()
def show(ctx: typer.Context, user: Name, output: Output = None, quiet: Quiet = False) -> None:
    """Show a user. Whether disabled, by whom and why; when the password changed; sessions counted."""
    cli = start(ctx, output, quiet)
    cli.show(records.user(cli.registry.user(user)))


@app.command()
def disable(
    ctx: typer.Context,
    user: Name,
    note: Note = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """End a user's sessions and refuse new tokens. Tokens would live on otherwise, whatever became of the account elsewhere."""
    cli = start(ctx, output, quiet)
    note = cli.note(note, may_ask=not dry_run)
    outcome = cli.registry.disable_user(user, note=note, actor=actor, dry_run=dry_run)
    warn_of_similar(cli, [user])
    _show(cli, outcome, _disabled(outcome))


def _disabled(outcome: "UserOutcome") -> str:
    name = outcome.user.username
    if not outcome.changed and not outcome.ended:
        return f"{name} was disabled before; {'this is a dry run' if outcome.dry_run else 'the note was not recorded'}"
    if outcome.dry_run:
        return f"dry run, nothing was changed: would disable {name} and end {counted(outcome.ended, 'living session')}"
    if not outcome.changed:
        return f"{name} was disabled before: {_ended(outcome)}"
    return f"disabled {name}: {_ended(outcome)}; no new token is issued until enabled"


@app.command()
def enable(
    ctx: typer.Context, user: Name, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Let a disabled user sign in again. No session comes back."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.enable_user(user, note=cli.note(note), actor=actor)
    name = outcome.user.username
    _show(cli, outcome, f"enabled {name}; no session comes back" if outcome.changed else f"{name} was not disabled")


@app.command("password-changed")
def password_changed(
    ctx: typer.Context, user: Name, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """End what a changed password ends. As the sessions' profiles say; later sign-ins are untouched."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.password_changed(user, note=cli.note(note), actor=actor)
    kept = f"; {counted(outcome.kept, 'session')} kept, as their profiles say" if outcome.kept else ""
    _show(cli, outcome, f"recorded for {outcome.user.username}: {_ended(outcome)}{kept}")


def _ended(outcome: "UserOutcome") -> str:
    return f"{counted(outcome.ended, 'living session')} ended"


def _show(cli: Cli, outcome: "UserOutcome", verdict: str) -> None:
    rest = f"authctl sessions list --status expired --kind all --limit {outcome.ended}"
    with cli.last_line(verdict):
        if outcome.sessions or cli.form:
            rest = "the same with -o json" if outcome.dry_run else rest
            cli.show_outcome(records.user_change(outcome), render.ENDED, outcome.ended, rest)
