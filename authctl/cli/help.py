"""`authctl help`: the topics, a topic, or the help of a command."""

from collections.abc import Iterator
from shutil import get_terminal_size
from textwrap import wrap
from typing import Annotated, Any

import typer

from authctl import help_topics
from authctl.cli.context import start
from authctl.errors import InvalidInput
from authctl.help_topics import Block, Items, Paragraph, Topic
from authctl.names import near_names_in_words, quoted

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_NARROWEST, _WIDEST = 40, 80
"""The widths of a page of help: longer lines are hard to read, and a table has no room in shorter ones."""
_WIDEST_NAME = 22
"""The widest first column of a table; the text of a wider name begins below it, as in the help of a command."""


@app.command("help")
def help_(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC|COMMAND...]", help="A topic, or a command with its verb.")
    ] = None,
) -> None:
    """Show a help topic, or the help of a command. Without an argument: list the topics."""
    # decision 225: one file is a topic here, in docs/commands.md and in the manual page
    cli = start(ctx)
    width = max(_NARROWEST, min(get_terminal_size().columns, _WIDEST))
    if not words:
        topics = [(name, help_topics.read(name).summary) for name in help_topics.names()]
        texts = [
            "Topics:",
            "\n".join(_table(topics, width)),
            "To show one: authctl help TOPIC.\nThe help of a command: authctl help COMMAND.",
        ]
        cli.show_line("\n\n".join(texts))
    elif len(words) == 1 and words[0] in help_topics.names():
        cli.show_line(_drawn(help_topics.read(words[0]), width))
    else:
        cli.show_line(_help_of_command(ctx.find_root(), words).rstrip())


def _help_of_command(root: Any, words: list[str]) -> str:
    """The help of a command. Raises InvalidInput for an unknown one, with the nearest names."""
    context = type(root)(root.command, info_name=root.info_name, **root.command.context_settings)
    for word in words:
        verbs = _verbs(context)
        if word not in verbs:
            topics = [] if context.parent else help_topics.names()
            near = "" if word in topics else near_names_in_words(word, [*verbs, *topics])
            raise InvalidInput(f"no help for {quoted(' '.join(words))}{near}", "to see the topics: authctl help")
        child = context.command.get_command(context, word)
        context = type(root)(child, info_name=word, parent=context)
    text: str = context.command.get_help(context)
    return text


def _verbs(context: Any) -> list[str]:
    return context.command.list_commands(context) if hasattr(context.command, "list_commands") else []


def _drawn(topic: Topic, width: int) -> str:
    """A topic as plain text that fits into a width."""
    blocks = ["\n".join(_lines(block, width)) for block in topic.blocks]
    return "\n\n".join([topic.title, *blocks])


def _lines(block: Block, width: int) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from _wrapped(block.text, width)
    elif isinstance(block, Items):
        for text in block.texts:
            yield from _wrapped(text, width, "- ", "  ")
    else:
        yield from _table(block.rows, width)


def _table(rows: Any, width: int) -> Iterator[str]:
    """The lines of a table: names, and beside them their texts."""
    room = min(max(len(name) for name, _ in rows), _WIDEST_NAME, width // 4)
    for name, text in rows:
        first = f"  {name:{room}}  "
        if len(name) > room:
            yield first.rstrip()
            first = " " * (room + 4)
        yield from _wrapped(text, width, first, " " * (room + 4))


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    # An option or a path that is broken at a hyphen cannot be copied.
    return wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )
