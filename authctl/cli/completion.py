"""`authctl completion`: the script of a shell, and the answers to it."""

from enum import StrEnum
from importlib import resources
from typing import Annotated

import typer

from authctl.cli.context import Cli, start

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Shell(StrEnum):
    """The shells with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    ctx: typer.Context,
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell that reads the script.")],
    typed: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- WORD...]", help="The command line so far, as the script passes it on."),
    ] = None,
) -> None:
    """Print the script that completes commands, options and names in a shell. With words: the completions of the last word."""
    cli = start(ctx, None, False)
    if typed is None:
        # decision 192: the script only hands the words on; Typer's own scripts run the answer through `eval`
        script = resources.files("authctl").joinpath("completions", f"authctl.{shell}").read_text("utf-8")
        cli.show_line(script.removesuffix("\n"))
    else:
        _complete(ctx, cli, shell, typed)


def _complete(ctx: typer.Context, cli: Cli, shell: Shell, typed: list[str]) -> None:
    from authctl.cli import bash_words
    from authctl.cli.candidates import candidates

    root = ctx.find_root()
    if shell is not Shell.BASH:
        answers = candidates(root, typed[1:-1], typed[-1])
    elif line := bash_words.read(typed[0]):
        answers = line.answers(typed[-1], candidates(root, line.words, line.typed))
    else:
        answers = []
    if answers:
        cli.show_line("\n".join(answers))
