"""`authctl imports`: list, show, undo."""

from typing import Annotated

import typer

from authctl import import_records, render
from authctl.cli.context import start
from authctl.cli.options import (
    Actor,
    DryRun,
    Exact,
    Limit,
    Local,
    Note,
    Output,
    Paged,
    Quiet,
    Yes,
    whole_number,
)
from authctl.names import counted

app = typer.Typer(
    help="List and show past imports, and undo the latest import of a source.",
    rich_markup_mode=None,
    add_completion=False,
)

ImportId = Annotated[
    int, typer.Argument(metavar="ID", parser=whole_number(1), help="Number of an import, as `imports list` shows it.")
]
MaxAffected = Annotated[
    int | None,
    typer.Option(
        "--max-affected",
        metavar="N",
        parser=whole_number(0),
        help="Refuse if more sessions would be removed or restored.",
    ),
]
_KEPT = {
    "revoked": "revoked since",
    "ended": "ended here since",
    "changed": "changed since",
    "removed": "removed by cleanup since",
    "bound": "affected by a later revocation or a later change of the user",
    "unseen": "not in the preview",
}


@app.command("list")
def list_(
    ctx: typer.Context,
    limit: Limit = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List past imports, the latest first, with the number of sessions that each one registered and changed."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show_cut(map(import_records.past_import, cli.registry.imports.list()), render.IMPORTS, limit)


@app.command()
def show(
    ctx: typer.Context,
    import_id: ImportId,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show one import: its files, the number of its sessions, and whether it can be undone."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show(import_records.past_import(cli.registry.imports.show(import_id)), "import")


@app.command()
def undo(
    ctx: typer.Context,
    import_id: ImportId,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    max_affected: MaxAffected = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Undo an import: remove the sessions that only this import registered, and restore the sessions that it changed.

    Only the latest import of a source, within 30 days. Sessions that were revoked, ended or changed since stay as they are.
    """
    from authctl.cli.previews import confirm_undo

    cli = start(ctx, output, quiet)
    bound = None
    if not dry_run:
        cli.check_note(note)
        bound = confirm_undo(cli, import_id, max_affected, yes)
    note = cli.note(note, may_ask=not dry_run)
    with cli.progress("undoing") as progress:
        outcome = cli.registry.imports.undo(
            import_id,
            note=note,
            actor=actor,
            dry_run=dry_run,
            max_affected=max_affected,
            bound=bound,
            progress=progress,
        )
    for kept in outcome.kept:
        ids = f": {', '.join(kept.sessions)}{', …' * (kept.total > len(kept.sessions))}" if kept.sessions else ""
        cli.say(f"{counted(kept.total, 'session')} not undone, {_KEPT[kept.reason]}{ids}")
    done = "dry run, nothing was changed: would undo" if dry_run else "undid"
    would_be = "would be " if dry_run else ""
    removed = f"{counted(outcome.removed, 'session')} {would_be}removed, {outcome.restored:,} restored"
    cli.report(import_records.undo(outcome), f"{done} import {outcome.import_id}; {removed}")
