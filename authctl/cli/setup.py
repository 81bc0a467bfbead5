"""`authctl init`."""

from pathlib import Path
from typing import Annotated

import typer

from authctl.cli.context import start
from authctl.cli.files import check_written_by_few, read_file
from authctl.cli.options import Actor, Output, Quiet
from authctl.cli.streams import printing

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def init(
    ctx: typer.Context,
    profiles: Annotated[
        Path | None, typer.Option("--profiles", metavar="FILE", help="Profiles file to start with.")
    ] = None,
    print_sql: Annotated[
        bool,
        typer.Option(
            "--print-sql",
            help="Print the statements that make the database and roles of a registry in PostgreSQL, and make nothing.",
        ),
    ] = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Create an installation: home folder, key ring, profiles file and registry."""
    from authctl.profiles import DEFAULT_FILE, read
    from authctl.registry.init import create, statements_for_administrator

    cli = start(ctx, output, quiet)
    if print_sql:
        with printing() as out:
            out.write(statements_for_administrator(cli.installation_home))
        return
    if profiles:
        check_written_by_few(profiles, "profiles file")
    text = read_file(profiles) if profiles else DEFAULT_FILE.encode()
    create(cli.installation_home, read(text, str(profiles or "profiles.yaml")), text, actor=actor)
    cli.say(f"created {cli.installation_home.folder}")
    place = cli.installation_home.registry
    if isinstance(place, str) or place.parent != cli.installation_home.folder:
        cli.say(f"created {place}")
    if cli.form:
        cli.show({"home": str(cli.installation_home.folder), "registry": str(cli.installation_home.registry)})
