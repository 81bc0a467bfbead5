"""The installation in hints: a command in a hint is for the installation that was typed, and not for the default one.

Loaded for an error, and by the doctor.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from authctl.registry_locations import has_password
from authctl.visible_text import visible

if TYPE_CHECKING:
    import typer

_PLACES = ("--home", "--registry", "--keys")
_COMMAND = r"(?<!of )\bauthctl (?=[a-z]|--registry )"
"""`authctl` before a command, or before another registry; "commands of authctl sessions" is none."""


def with_place(hint: str, arguments: Sequence[str]) -> str:
    """A hint whose commands have the options that were typed before the command, such as `--home DIR`."""
    # decision 271: without them, the command of the hint would act on another installation
    typed = dict(_typed(arguments))

    def insert(command: re.Match[str]) -> str:
        names_registry = hint.startswith("--registry", command.end())
        return command[0] + "".join(
            f"{name} {value} " for name, value in typed.items() if not (names_registry and name == "--registry")
        )

    return re.sub(_COMMAND, insert, hint) if typed else hint


def typed_options(context: "typer.Context") -> list[str]:
    """The options of an installation that were typed before the command; those of the environment are not among them."""
    root = context.find_root()
    return [
        word
        for option in _PLACES
        if (name := option.removeprefix("--")) in root.params
        and (source := root.get_parameter_source(name))
        and source.name == "COMMANDLINE"
        for word in (option, str(root.params[name]))
    ]


def _typed(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of an installation before the command, each with its value quoted for a shell."""
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in _PLACES:
            return
        value = value if equals else next(words, "")
        if not has_password(value):
            yield name, shlex.quote(visible(value))
