"""`authctl backup` and `authctl restore`."""

from pathlib import Path
from typing import Annotated

import typer

from authctl import records
from authctl.cli.context import counted, start
from authctl.cli.options import Actor, Note, Output, Quiet

backup_app = typer.Typer(rich_markup_mode=None, add_completion=False)
restore_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@backup_app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; nothing may be there.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Copy the registry while others write. Without the key ring, which is kept elsewhere."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.back_up(file)
    cli.say(f"copied to {outcome.file}, up to event {outcome.seq}; keep the key ring elsewhere")
    if cli.form:
        cli.show(records.backup(outcome))


@restore_app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup that `authctl backup` took.")],
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Put a backup back. Ends every session that it has: what was revoked since would live again."""
    from authctl.registry.backups import restore as put_back

    cli = start(ctx, output, quiet)
    outcome = put_back(cli.place, file, note=cli.note(note), actor=actor, warn=cli.warn)
    cli.say(f"restored {outcome.file}; {counted(outcome.ended, 'living session')} ended, everybody signs in again")
    if cli.form:
        cli.show(records.restoration(outcome))
