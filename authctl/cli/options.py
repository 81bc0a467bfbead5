"""The options that several commands share, each said once."""

from typing import Annotated

import typer

from authctl.render import Format

LARGEST = 2**62
"""The largest number that an option takes."""

Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", envvar="AUTHCTL_OUTPUT", help="How to print: table, json, ndjson, csv or id."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing about success.")]
Actor = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="Who does this, as the audit log records it [env: AUTHCTL_ACTOR]."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Note = Annotated[
    str | None,
    typer.Option(
        "--note", metavar="TEXT", help="Why; kept and shown later. Required: at least three letters or digits."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=LARGEST, help="At most so many; 50 on a terminal, else all."),
]
