"""`authctl deliver`."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Annotated

import typer

from authctl import delivery_records, render
from authctl.cli.context import Cli, start
from authctl.cli.options import Output, Quiet
from authctl.cli.receiver_messages import warn_of_failures
from authctl.errors import InvalidInput
from authctl.instants import HOUR, Duration, format_second, parse_duration
from authctl.names import counted, quoted
from authctl.registry.delivering import DeliverOutcome

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_OVERDUE = 9
_OVERDUE_AFTER = Duration(microseconds=HOUR)
_WATCH_SECONDS = 1.0


@app.command()
def deliver(
    ctx: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run until interrupted, and send deliveries when they are due.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Deliver nothing. Exit code 9 if a delivery is overdue, refused or dead.")
    ] = False,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age", metavar="AGE", help="With --check: age from which a delivery is overdue. Default: 1h."
        ),
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Tell the receivers about revocations and other decisions. Exit code 9 if something stays pending. Safe for cron."""
    cli = start(ctx, output, quiet)
    if watch and check:
        raise InvalidInput("--watch and --check exclude each other")
    if max_age is not None and not check:
        raise InvalidInput("--max-age goes with --check")
    if check:
        check_overdue(cli, _OVERDUE_AFTER if max_age is None else parse_duration(max_age))
    elif watch:
        _watch(cli)
    elif show_run(cli, cli.registry.deliveries.deliver()):
        raise typer.Exit(_OVERDUE)


def show_run(cli: Cli, outcome: DeliverOutcome) -> bool:
    """Show a run; whether something is pending after it, or was refused in it."""
    record = delivery_records.run(outcome)
    delivered = sum(receiver.delivered + receiver.gone for receiver in outcome.receivers)
    refused = sum(receiver.refused for receiver in outcome.receivers)
    warn_of_failures(cli, outcome)
    text = f"{counted(delivered, 'message')} delivered"
    text += f", {refused:,} refused" if refused else ""
    text += f", {outcome.pending:,} pending" if outcome.pending else ""
    with cli.last_line(text):
        if cli.form in (render.Format.JSON, render.Format.NDJSON):
            cli.show(record)
        elif cli.form or (record["receivers"] and not cli.quiet):
            cli.show_rows(record["receivers"], render.RUN)
    return bool(outcome.pending or refused)


def check_overdue(cli: Cli, max_age: Duration) -> None:
    """Report the receivers with an overdue, refused or dead delivery. Raises Exit with 9 if there is one."""
    due = max_age.before(cli.registry.now())
    counts = cli.registry.deliveries.counts()
    is_overdue = [count.oldest_at is not None and count.oldest_at < due for count in counts]
    with cli.last_line(None if any(is_overdue) else f"no delivery is older than {max_age}"):
        if cli.form or (counts and not cli.quiet):
            cli.show_many(map(delivery_records.count, counts), render.OUTBOX)
    for one, overdue in zip(counts, is_overdue, strict=True):
        if overdue and one.oldest_at is not None:
            cli.warn(f"receiver {quoted(one.receiver)}: a delivery is pending since {format_second(one.oldest_at)}")
        if one.refused or one.dead:
            cli.warn(f"receiver {quoted(one.receiver)}: {one.refused:,} refused, {one.dead:,} dead")
    if any(is_overdue) or any(one.refused or one.dead for one in counts):
        raise typer.Exit(_OVERDUE)


def _watch(cli: Cli) -> None:
    """Deliver until SIGINT or SIGTERM, and check each second for due deliveries."""
    reasons: set[str] = set()
    with _interrupted_by_sigterm():
        while True:
            outcome = cli.registry.deliveries.deliver(counted=False)
            # Each failure is reported once as long as it lasts: people read the log of a service.
            present = {
                f"receiver {quoted(receiver.receiver)}: {receiver.reason}"
                for receiver in outcome.receivers
                if receiver.reason
            }
            for text in sorted(present - reasons):
                cli.warn(text)
            reasons = present
            delivered = sum(receiver.delivered + receiver.gone for receiver in outcome.receivers)
            if delivered:
                cli.say(f"{counted(delivered, 'message')} delivered")
            sleep(_WATCH_SECONDS)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: a program that was started for a receiver is ended, too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
