"""The options that several commands share, each defined once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from authctl.errors import InvalidInput
from authctl.names import fold, quoted
from authctl.registry_locations import check_is_path
from authctl.render import Format

_LARGEST = 2**62
"""The largest number that an option takes."""
_MOST_DIGITS = 20
"""More digits than that number has. Python refuses to read thousands of them."""


def whole_number(least: int) -> Callable[[str], int]:
    """The reader of an option or argument that takes a whole number."""

    # decision 168: Typer's own range shows its limits as a formula
    def read(text: str | int) -> int:
        digits = str(text).strip()  # Typer passes a default, too
        # `int` alone would also read digits of other scripts, and `1_0` as 10
        if not (digits.isascii() and digits.isdigit()) or (least and not digits.strip("0")):
            raise typer.BadParameter(f"{quoted(str(text))} is not a whole number of {least} or more")
        number = int(digits[:_MOST_DIGITS])
        if number > _LARGEST:
            raise typer.BadParameter(f"{quoted(digits)} is more than {_LARGEST:,}")
        return number

    return read


def new_file(path: Path | None) -> Path | None:
    """The file that an option or argument names for writing. Raises BadParameter for `-`, the working folder and a database."""
    # decision 267: a private file must not go to standard output, and `-` would be a file of that name
    if path is not None and str(path) in ("-", "."):
        raise typer.BadParameter(f"{quoted(str(path))} is not the name of a file that can be written")
    return a_file(path)


def a_file(path: Path | None) -> Path | None:
    """The file that an option or argument names. Raises InvalidInput for the address of a database, which may hold a password."""
    check_is_path(
        str(path), "a file is needed", "for the database of a registry: --registry postgresql://USER@HOST/DATABASE"
    )
    return path


Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", envvar="AUTHCTL_OUTPUT", help="Output format: table, json, ndjson, csv or id."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no success messages.")]
Actor = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="Actor recorded in the audit log [env: AUTHCTL_ACTOR]."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Note = Annotated[
    str | None,
    typer.Option(
        "--note", metavar="TEXT", help="Reason, kept and shown later. Required: at least three letters or digits."
    ),
]
OptionalNote = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Reason, kept in the audit log. Default: none.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the effect without changing anything.")]
TIME = "a date (midnight UTC), today, yesterday, a time, or an age (7d: 7 days ago)"
TIME_AHEAD = "a date (midnight UTC), a time, or a length of time ahead"
"""The texts that an option takes as a time, as its help gives them."""

Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        parser=whole_number(1),
        help="Maximum number of rows. Default: on a terminal as many as fit, at most 50; otherwise all.",
    ),
]

Local = Annotated[bool, typer.Option("--local", help="On a terminal: times in its time zone. Default: UTC.")]
Exact = Annotated[
    bool, typer.Option("--exact", help='On a terminal: times to the second, instead of "3 h ago". In pipes always.')
]
Paged = Annotated[
    bool, typer.Option("--pager", help="On a terminal: show the whole result in $PAGER. Not under sudo or doas.")
]


def several(texts: Sequence[str] | None) -> tuple[str, ...] | None:
    """The values of an option that may be given again; None if it was not given."""
    return tuple(texts) if texts else None


_SHORTER_THAN_TOKENS = 100


def _is_token(text: str) -> bool:
    from authctl.tokens import has_token_shape

    return has_token_shape(text.strip())


def user_names(value: Any) -> Any:
    """The names of users as an option or argument was given them: `-` stands for standard input, and is nobody's name."""
    # decision 123: `-` means standard input, and a token would be stored and shown as a name
    for name in (value,) if isinstance(value, str) else value or ():
        if fold(name) == "-":
            raise InvalidInput("'-' is no user name", "for a user whose name is '-', use session ids")
        if len(name) > _SHORTER_THAN_TOKENS and _is_token(name):  # it would be kept, and shown, as a name
            raise InvalidInput(
                "a token is not a user name",
                "for the session of a token: authctl tokens --help",
            )
    return value
