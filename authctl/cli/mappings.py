"""`authctl mappings`: list, show."""

from typing import Annotated

import typer

from authctl import import_records, render, shipped_mappings
from authctl.cli.context import start
from authctl.cli.options import Output, Paged, Quiet
from authctl.render import Format

app = typer.Typer(
    help="List and show the shipped mapping files, for sessions of other systems.",
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("list")
def list_(ctx: typer.Context, pager: Paged = False, output: Output = None, quiet: Quiet = False) -> None:
    """List the shipped mappings, with the kind of the rows, and whether an export can have all sessions of the source or of a user."""
    cli = start(ctx, output, quiet, pager=pager)
    mappings = map(shipped_mappings.read, shipped_mappings.names())
    cli.show_many(map(import_records.mapping, mappings), render.MAPPINGS)


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a shipped mapping, as `mappings list` shows it.")
    ],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Print the text of a shipped mapping, to be kept in a file and changed. As JSON, an object with the text in it."""
    cli = start(ctx, output, quiet)
    mapping = shipped_mappings.read(name)
    if cli.form_or_table is Format.TABLE:
        cli.show_line(mapping.text.removesuffix("\n"))
    else:
        cli.show(import_records.shown_mapping(mapping))
