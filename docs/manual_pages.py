"""The manual pages of the commands, in the macros of man(7): authctl(1), and one for each command or noun below it."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from authctl import help_topics
from authctl.cli.option_groups import grouped
from authctl.cli.sample_commands import sample_commands_of
from authctl.help_topics import Block, Items, Paragraph
from authctl.version import __version__

_SIGNS = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
"""The characters that roff reads as something else, or prints as another character than the one to type."""
_TOPICS_OF_ROOT = ("environment", "exit-codes", "files")
"""The topics that have a conventional section of a manual page; authctl(1) has the others after these."""
_HEADINGS = {"exit-codes": "EXIT STATUS"}


def pages(root: typer.Context) -> dict[str, str]:
    """The text of every page, by the name of its file."""
    contexts = _children(root)
    return {"authctl.1": _root_page(root, contexts)} | {
        f"authctl-{context.info_name}.1": _command_page(context) for context in contexts
    }


def _children(context: Any) -> list[Any]:
    """The commands below a command, each with its context."""
    names = context.command.list_commands(context) if hasattr(context.command, "list_commands") else ()
    commands = [(name, context.command.get_command(context, name)) for name in names]
    return [type(context)(command, info_name=name, parent=context) for name, command in commands]


def _root_page(root: Any, commands: list[Any]) -> str:
    others = [name for name in help_topics.names() if name not in _TOPICS_OF_ROOT]
    lines = [
        *_begin("authctl", root.command.get_short_help_str()),
        *("[\\fIOPTIONS\\fR]", "\\fICOMMAND\\fR", "[\\fIARGUMENTS\\fR]"),
        *(".SH DESCRIPTION", _text(root.command.help), *_options(root)),
        ".SH COMMANDS",
    ]
    for context in commands:
        lines += [
            ".TP",
            f".BR authctl\\-{_escaped(context.info_name)} (1)",
            _text(context.command.get_short_help_str()),
        ]
    for name in (*_TOPICS_OF_ROOT, *others):
        lines += _topic(name)
    lines += _sample_commands([root])
    return _ended(lines, [context.info_name for context in commands])


def _command_page(context: Any) -> str:
    verbs = _children(context)
    name = f"authctl-{context.info_name}"
    first, *rest = [_usage(one) for one in verbs or [context]]
    lines = [*_begin(name, context.command.get_short_help_str()), first]
    lines += [line for usage in rest for line in (".br", usage)]
    lines += [".SH DESCRIPTION", _text(context.command.help)]
    for verb in verbs:
        lines += [
            f".SH {_escaped(verb.command_path.partition(' ')[2].upper())}",
            _text(verb.command.help),
            *_options(verb, ".SS"),
        ]
    lines += [] if verbs else _options(context)
    lines += _topic("exit-codes")
    lines += [
        ".SH ENVIRONMENT",
        ".BR AUTHCTL_HOME ,",
        "and the other variables and files, are described in",
        ".BR authctl (1).",
    ]
    lines += _sample_commands(verbs or [context])
    return _ended(lines, ["authctl"])


def _begin(name: str, summary: str) -> list[str]:
    """The head of a page up to its synopsis. It has no date: the version dates it."""
    text = summary[:1].lower() + summary[1:].rstrip(".")
    head = f'.TH {_escaped(name.upper())} 1 "" "authctl {__version__}" "authctl manual"'
    # No justified lines, and no hyphenation: a name that is broken cannot be copied.
    lines = ['.\\" Written by docs/generate_commands.py from the help of the commands.', head, ".nh", ".ad l"]
    lines += [".SH NAME", f"{_escaped(name)} \\- {_text(text)}", ".SH SYNOPSIS"]
    return lines if "-" in name else [*lines, ".B authctl"]


def _usage(context: Any) -> str:
    pieces = context.command.collect_usage_pieces(context)
    arguments = "".join(f" {_metavar(piece)}" for piece in pieces)
    return f"\\fB{_escaped(context.command_path)}\\fR{arguments}"


def _options(context: Any, macro: str = ".SH") -> Iterator[str]:
    """The arguments and options of a command, in the groups of its help."""
    shown = [(one, line) for one in context.command.get_params(context) if (line := one.get_help_record(context))]
    arguments = [line for one, line in shown if one.param_type_name == "argument"]
    options = [(max(one.opts, key=len), line) for one, line in shown if one.param_type_name == "option"]
    groups = {"Arguments": arguments} | grouped(context.command_path.partition(" ")[2], options)
    for heading, lines in groups.items():
        if lines:
            yield f"{macro} {heading.upper() if macro == '.SH' else heading}"
        for names, text in lines:
            yield from (".TP", _names(names), _text(text) or "\\&")


def _names(names: str) -> str:
    """The names of an option in bold, with its metavar in italics."""
    words = re.split(r"(?<=,) | ", names)
    return " ".join(f"\\fB{_escaped(word)}\\fR" if word.startswith("-") else _metavar(word) for word in words)


def _metavar(word: str) -> str:
    """A word that stands for a text: capitals in italics, a word to type in bold, brackets and dots as they are."""
    word = word if "|" in word else word.strip("{}")
    marked = re.sub(
        r"[A-Za-z][\w-]*", lambda match: f"\\f{'I' if match[0].isupper() else 'B'}{_escaped(match[0])}\\fR", word
    )
    return marked.replace("|", r"|\:")  # a line may end after each choice


def _topic(name: str) -> Iterator[str]:
    topic = help_topics.read(name)
    yield f".SH {_escaped(_HEADINGS.get(name, topic.title.upper()))}"
    for place, block in enumerate(topic.blocks):
        yield from _block(block, is_first=place == 0)


def _block(block: Block, *, is_first: bool) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from () if is_first else (".PP",)
        yield _text(block.text)
    elif isinstance(block, Items):
        for text in block.texts:
            yield from (".IP \\(bu 2", _text(text))
    else:
        for name, text in block.rows:
            yield from (".TP", f"\\fB{_escaped(name)}\\fR", _text(text))


def _sample_commands(contexts: Iterable[Any]) -> Iterator[str]:
    samples = [line for one in contexts for line in sample_commands_of(one.command_path.partition(" ")[2])]
    if samples:
        yield from (".SH EXAMPLES", ".nf", *map(_text, samples), ".fi")


def _ended(lines: list[str], others: list[str]) -> str:
    """The text of a page, with its last section."""
    names = [name if name == "authctl" else f"authctl-{name}" for name in others]
    topics = [name for name in help_topics.names() if name not in _TOPICS_OF_ROOT]
    references = [f".BR {_escaped(name)} (1){',' if name != names[-1] else ''}" for name in names]
    asked = [f"\\fBauthctl help {_escaped(name)}\\fR{',' if name != topics[-1] else ''}" for name in topics]
    return "\n".join([*lines, ".SH SEE ALSO", *references[:-1], f"{references[-1]},", *asked]) + "\n"


def _text(text: str) -> str:
    """A text on one line; what stands in backquotes is bold."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    line = "".join(f"\\fB{_escaped(part)}\\fR" if place % 2 else _escaped(part) for place, part in enumerate(parts))
    return f"\\&{line}" if line.startswith(".") else line


def _escaped(text: str) -> str:
    signs = (_SIGNS.get(sign, sign if sign.isascii() else f"\\[u{ord(sign):04X}]") for sign in text)
    return "".join(signs)
