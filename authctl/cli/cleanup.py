"""`authctl cleanup`."""

from pathlib import Path
from typing import Annotated

import typer

from authctl import records
from authctl.cli.context import start
from authctl.cli.files import archived
from authctl.cli.options import Actor, DryRun, Output, Quiet, new_file, whole_number
from authctl.instants import parse_duration
from authctl.names import counted

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def cleanup(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Delete only sessions that ended longer ago than this. Not less than the retention period.",
        ),
    ] = None,
    dry_run: DryRun = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            parser=whole_number(1),
            help="Sessions per transaction. Default: as many as take about 80 ms.",
        ),
    ] = None,
    keep_unacknowledged: Annotated[
        bool,
        typer.Option("--keep-unacknowledged", help="Keep revoked sessions whose wipe was not acknowledged."),
    ] = False,
    archive: Annotated[
        Path | None,
        typer.Option(
            "--archive",
            metavar="FILE.jsonl.gz",
            callback=new_file,
            help="Write deleted sessions to this file first. It must not exist.",
        ),
    ] = None,
    accept_clock_jump: Annotated[
        bool, typer.Option("--accept-clock-jump", help="The clock is right, although nothing was recorded for months.")
    ] = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Delete sessions that ended before the retention period. Safe for cron: never asks."""
    cli = start(ctx, output, quiet)
    age = None if older_than is None else parse_duration(older_than)
    with cli.progress("removing") as progress, archived(None if dry_run else archive) as write:
        outcome = cli.registry.cleanup.run(
            older_than=age,
            dry_run=dry_run,
            batch_size=batch_size,
            keep_unacknowledged=keep_unacknowledged,
            accept_clock_jump=accept_clock_jump,
            archive=write,
            actor=actor,
            progress=progress,
        )
    done = "dry run, nothing was changed: would remove" if dry_run else "removed"
    unacknowledged = f"; {outcome.unacknowledged:,} never acknowledged their wipe" if outcome.unacknowledged else ""
    cli.report(
        records.cleanup(outcome),
        f"{done} {counted(outcome.removed, 'session')} ({outcome.expired:,} expired, {outcome.revoked:,} revoked{unacknowledged})",
    )
