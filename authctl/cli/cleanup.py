"""`authctl cleanup`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import records
from authctl.cli.context import Cli, start
from authctl.cli.files import archived
from authctl.cli.options import Actor, DryRun, Output, Quiet, new_file, whole_number
from authctl.errors import InvalidInput
from authctl.instants import format_second, parse_age, parse_duration
from authctl.names import counted

if TYPE_CHECKING:
    from authctl.registry.backlog import Backlog

_OVERDUE = 9

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
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Delete nothing. Exit code 9 if a session is past the retention period for too long."
        ),
    ] = False,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="AGE", help="With --check: how late a cleanup may be. Default: 2d."),
    ] = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Delete sessions that ended before the retention period. Safe for cron: never asks."""
    cli = start(ctx, output, quiet)
    age = None if older_than is None else parse_duration(older_than)
    if check and (dry_run or archive or batch_size or accept_clock_jump):
        raise InvalidInput(
            "--check deletes nothing: it goes only with --max-age, --older-than and --keep-unacknowledged"
        )
    if max_age is not None and not check:
        raise InvalidInput("--max-age goes with --check")
    if check:
        given = {} if max_age is None else {"max_age": parse_age(max_age, cli.registry.now())}
        backlog = cli.registry.cleanup.backlog(older_than=age, keep_unacknowledged=keep_unacknowledged, **given)
        _show_backlog(cli, backlog)
        return
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


def _show_backlog(cli: Cli, backlog: "Backlog") -> None:
    """Show the sessions that wait for a cleanup. Raises Exit with 9 if they wait for too long."""
    last = "never" if backlog.last_run_at is None else format_second(backlog.last_run_at)
    text = f"sessions past the retention of {backlog.retention}: {backlog.total:,}; last cleaned up: {last}"
    if backlog.oldest_at is not None:
        text += f"; the oldest ended at {format_second(backlog.oldest_at)}"
    if backlog.is_overdue:
        # a warning: cron with -q has to say why the exit code is not 0
        cli.warn(f"cleanup is overdue; {text}")
    with cli.last_line(None if backlog.is_overdue else text):
        if cli.form or not cli.quiet:
            cli.show(records.backlog(backlog))
    if backlog.is_overdue:
        raise typer.Exit(_OVERDUE)
