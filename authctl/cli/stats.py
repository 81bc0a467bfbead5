"""`authctl stats`: counts as charts, records, a page and metrics."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, cast

import typer

from authctl import render, statistics_records
from authctl.cli.context import Cli, start
from authctl.cli.options import Output, Paged, Quiet, new_file, whole_number
from authctl.errors import InvalidInput
from authctl.names import counted, quoted
from authctl.render import Format

if TYPE_CHECKING:
    from authctl.model import Statistics

_MORE = "for all of them: --pager, or -o csv"

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def stats(
    ctx: typer.Context,
    days: Annotated[
        int,
        typer.Option(
            "--days",
            metavar="N",
            parser=whole_number(1),
            help="Number of UTC days, with today, for sign-ins, ends and revocations: 1 to 366. Default: 14.",
            show_default=False,
        ),
    ] = 14,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", callback=new_file, help="Write one HTML page with charts and tables to this file."
        ),
    ] = None,
    prometheus: Annotated[
        Path | None,
        typer.Option(
            "--prometheus",
            metavar="FILE",
            callback=new_file,
            help="Write metrics to this file, for the textfile collector of the Prometheus node exporter.",
        ),
    ] = None,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show active sessions by application, platform, profile and source, sign-ins, ends and revocations a day, and expiries to come.

    With --html or --prometheus only the files are written, unless -o is given, too.
    """
    cli = start(ctx, output, quiet, pager=pager)
    if html and prometheus and html.resolve() == prometheus.resolve():
        raise InvalidInput("--html and --prometheus name the same file", "give each of them a file of its own")
    found = cli.registry.statistics.read(days=days)
    _write_files(cli, found, html, prometheus)
    if cli.form in (Format.JSON, Format.NDJSON, Format.ID):  # statistics have no ids
        cli.show(statistics_records.statistics(found))
    elif cli.form or not (html or prometheus):
        _show(cli, found)


def _write_files(cli: Cli, found: "Statistics", html: Path | None, prometheus: Path | None) -> None:
    from authctl.files import replace_published

    if html:
        from authctl import statistics_page

        replace_published(html, statistics_page.page(found).encode(), statistics_page.MARK.encode())
        cli.say(f"page written to {quoted(str(html))}")
    if prometheus:
        from authctl import exposition

        replace_published(prometheus, exposition.exposition(found).encode(), exposition.MARK.encode())
        cli.say(f"metrics written to {quoted(str(prometheus))}")


def _show(cli: Cli, found: "Statistics") -> None:
    if not cli.draws:
        cli.show_rows(statistics_records.rows(found), render.STATISTICS)
        return
    from authctl.screens import statistics
    from authctl.screens.drawing import FirstLines, rows_that_fit

    with cli.drawing() as out:
        # a pager has room for all lines, and so has a terminal of unknown height
        room = None if cli.pager else rows_that_fit(sys.stdout, [2 * len(_MORE)])
        screen = FirstLines(out, room or sys.maxsize)
        statistics.draw(cast("TextIO", screen), found)
    if screen.left_out:
        cli.warn(f"{counted(screen.left_out, 'line')} of the charts left out; {_MORE}")
