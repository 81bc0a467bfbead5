"""`authctl examples`: list, show; and `authctl profiles example`."""

from typing import Annotated

import typer

from authctl import records, render, shipped_examples
from authctl.cli.context import Cli, start
from authctl.cli.options import Output, Paged, Quiet
from authctl.render import Format

app = typer.Typer(
    help="List and print the example files that come with authctl: profiles, units of systemd, a file for cron.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_(ctx: typer.Context, pager: Paged = False, output: Output = None, quiet: Quiet = False) -> None:
    """List the example files."""
    cli = start(ctx, output, quiet, pager=pager)
    examples = map(shipped_examples.read, shipped_examples.names())
    cli.show_many(map(records.example, examples), render.EXAMPLES)


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of an example file, as `examples list` shows it.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Print an example file, to be kept in a file and changed. As JSON, an object with the text in it."""
    _show(start(ctx, output, quiet), name)


def example_profiles(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Print an example of profiles.yaml: a working profile for each system, with every field."""
    _show(start(ctx, output, quiet), shipped_examples.PROFILES)


def _show(cli: Cli, name: str) -> None:
    """Print the text of an example file, or its record in another format."""
    # decision 226: a package has no place on the disk that a person knows
    example = shipped_examples.read(name)
    if cli.form_or_table is Format.TABLE:
        cli.show_line(example.text.removesuffix("\n"))
    else:
        cli.show(records.shown_example(example))
