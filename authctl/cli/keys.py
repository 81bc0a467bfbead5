"""`authctl keys`: list, rotate, retire."""

from typing import Annotated

import typer

from authctl import records, render
from authctl.cli.context import start
from authctl.cli.options import Actor, DryRun, Exact, Local, Note, Output, Paged, Quiet, Yes
from authctl.names import counted

app = typer.Typer(help="List, rotate and retire signing keys.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List signing keys, with the number of active sessions each one signed, and the date after which it can be retired without loss."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show_many(map(records.key, cli.registry.keys.list()), render.KEYS)


@app.command()
def rotate(
    ctx: typer.Context, note: Note = None, actor: Actor = None, output: Output = None, quiet: Quiet = False
) -> None:
    """Create a new signing key. The previous key still verifies tokens until it is retired."""
    cli = start(ctx, output, quiet)
    use = cli.registry.keys.rotate(note=cli.note(note), actor=actor)
    cli.say(f"key {use.key.id} now signs new tokens; no session was ended")
    if cli.form:
        cli.show(records.key(use))


@app.command()
def retire(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Key id, as `keys list` shows it.")],
    sign_out: Annotated[
        bool, typer.Option("--sign-out", help="End the active sessions that it signed, as a routine step.")
    ] = False,
    compromised: Annotated[
        bool, typer.Option("--compromised", help="End them because the key may have been stolen.")
    ] = False,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Retire a signing key: its secret is deleted, and tokens that it signed are refused."""
    from authctl.cli.effects import told_effect
    from authctl.cli.previews import confirm_retirement

    cli = start(ctx, output, quiet)
    bound = None
    if not dry_run:
        cli.check_note(note)
        bound = confirm_retirement(cli, key_id, sign_out=sign_out, compromised=compromised, yes=yes)
    note = cli.note(note, may_ask=not dry_run)
    outcome = cli.registry.keys.retire(
        key_id, sign_out=sign_out, compromised=compromised, note=note, actor=actor, dry_run=dry_run, bound=bound
    )
    ended = f"{counted(outcome.ended, 'active session')} {'would end' if dry_run else 'ended'}"
    done = "dry run, nothing was changed: would retire" if dry_run else "retired"
    verdict = f"{done} key {outcome.key_id}" if outcome.changed else f"key {outcome.key_id} was retired before"
    rest = f"authctl sessions list --status expired --kind all --limit {outcome.ended}"
    effect = told_effect(cli, lambda: cli.registry.effects.of_retirement(outcome))
    if outcome.ended and not dry_run:
        from authctl.cli.receiver_messages import say_deliveries

        say_deliveries(cli, outcome.at)
    with cli.last_line(f"{verdict}; {ended}"):
        if outcome.sessions or cli.form:
            rest = "the same with -o json" if dry_run else rest
            cli.show_outcome({**records.retirement(outcome), "effect": effect}, render.ENDED, outcome.ended, rest)
