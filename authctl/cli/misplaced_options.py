"""An option that was typed in the wrong place: before its command, or after the command although it belongs to `authctl` itself.

Loaded for a usage error alone: the whole tree of commands may be made to find the owner of an option.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Misplaced(NamedTuple):
    """A misplaced option: the message, and the command line with the option in its place."""

    message: str
    hint: str


def misplaced(context: Any, option: str, arguments: Sequence[str]) -> Misplaced | None:
    """The right place of an option; None if the command that was typed does not have it anywhere."""
    # decision 229: the tree of commands knows each option, and a list of options could be out of date
    root = context.find_root()
    typed = _typed_command(root, arguments)
    if own := _named(root, option):
        words = [root.command_path, option, own.metavar, *typed.command_path.split()[1:]]
        return Misplaced(f"{option} goes before the command", " ".join(filter(None, words)))
    if not _verbs(context):
        return None
    message = f"{option} goes after the command"
    if later := _named(typed, option):
        words = [typed.command_path, option, "" if later.is_flag else later.make_metavar(typed)]
        return Misplaced(message, " ".join(filter(None, words)))
    # Without a whole command, the owner can be any command below.
    if any(_named(command, option) for command in _below(typed)):
        return Misplaced(message, f"{typed.command_path} --help")
    return None


def _typed_command(root: Any, arguments: Sequence[str]) -> Any:
    """The context of the command that the arguments name; other words may stand between its words."""
    context = type(root)(root.command, info_name=root.info_name)
    for word in arguments:
        if word in _verbs(context):
            context = _child(context, word)
    return context


def _verbs(context: Any) -> list[str]:
    return context.command.list_commands(context) if hasattr(context.command, "list_commands") else []


def _child(context: Any, name: str) -> Any:
    return type(context)(context.command.get_command(context, name), info_name=name, parent=context)


def _below(context: Any) -> Iterator[Any]:
    for name in _verbs(context):
        child = _child(context, name)
        yield child
        yield from _below(child)


def _named(context: Any, option: str) -> Any:
    return next((param for param in context.command.params if option in param.opts), None)
