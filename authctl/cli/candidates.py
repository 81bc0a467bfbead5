"""The completions of a word: commands, options, choices, and names of the registry by their beginning."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from authctl.cli.context import Cli
from authctl.errors import AuthctlError
from authctl.visible_text import visible

_LONGEST = 200
"""The longest completion, in characters."""

_GLOBALS = {"home": "home", "registry": "registry_path", "keys": "keys_path"}
"""The options before the command that name an installation, with the places in `Cli` that have their values."""
_BY_OPTION = {
    "--user": "users",
    "--application": "applications",
    "--device": "devices",
    "--platform": "platforms",
    "--profile": "profiles",
    "--source": "sources",
    "--except": "ids",
    "--session": "ids",
    "--after": "ids",
    "--action": "actions",
    "--sort": "sort fields",
    "--map": "mappings",
}
_BY_COMMAND = {
    "revoke": "ids",
    "explain": "ids",
    "keys retire": "keys",
    "sessions show": "ids",
    "sessions end": "ids",
    "users show": "users",
    "users disable": "users",
    "users enable": "users",
    "users password-changed": "users",
    "profiles show": "profiles",
    "mappings show": "mappings",
    "examples show": "examples",
}
"""The names that an option or an argument takes."""


def candidates(root: Any, words: Sequence[str], typed: str) -> list[str]:
    """The completions of `typed` after the words of a command line, each beginning with it as it was typed.

    A name with a control character or an invisible one is left out: no shell could show it as it is. Where the registry cannot be
    read there are none.
    """
    place = _Place(root)
    for word in words:
        place.pass_word(word)
    names = [*place.completions(typed)]
    return [name for name in names if name == visible(name) and len(name) <= _LONGEST]


class _Place:
    """A place in a command line: the command, and the option whose value comes next."""

    def __init__(self, root: Any) -> None:
        self._context = type(root)(root.command, info_name="authctl")
        self._globals: dict[str, str | None] = {option: getattr(root.obj, name) for option, name in _GLOBALS.items()}
        self._option: Any = None
        self._only_arguments = False
        self._is_unknown = False
        self._is_help = False
        """Whether the words after `authctl help` name a topic or a command."""

    def pass_word(self, word: str) -> None:
        """Go on past a word that is complete."""
        if self._option is not None:
            self._keep(self._option, word)
            self._option = None
        elif word == "--":
            self._only_arguments = True
        elif word.startswith("-") and len(word) > 1 and not self._only_arguments:
            name, sign, value = word.partition("=")
            option = self._named(name)
            takes_value = option is not None and not option.is_flag
            if takes_value and sign:
                self._keep(option, value)
            self._option = option if takes_value and not sign else None
        else:
            self._enter(word)

    def completions(self, typed: str) -> Iterator[str]:
        """The completions of the word at this place."""
        if self._is_unknown:
            return
        if self._option is not None:
            yield from self._values(self._option, typed)
        elif typed.startswith("-") and not self._only_arguments:
            yield from self._options(typed)
        elif names := self._commands():
            yield from _beginning_with(typed, [*names, *(self._topics() if self._is_help else ())])
        elif not self._is_help:
            yield from self._arguments(typed)

    def _named(self, name: str) -> Any:
        params = self._context.command.get_params(self._context)
        return next((p for p in params if p.param_type_name == "option" and name in p.opts), None)

    def _keep(self, option: Any, value: str) -> None:
        """Keep an installation that is named before the command: its names are completed."""
        if self._context.parent is None and option.name in _GLOBALS:
            with suppress(RuntimeError):  # no such user
                is_path = value.startswith("~")  # the address of a database is none
                self._globals[option.name] = str(Path(value).expanduser()) if is_path else value

    def _commands(self) -> list[str]:
        below = getattr(self._context.command, "list_commands", None)
        return below(self._context) if below else []

    def _topics(self) -> list[str]:
        from authctl import help_topics

        return help_topics.names() if self._context.parent is None else []

    def _enter(self, word: str) -> None:
        names = self._commands()
        if word == "help" and self._context.parent is None and not self._is_help:
            self._is_help = True
        elif word in names:
            command = self._context.command.get_command(self._context, word)
            self._context = type(self._context)(command, info_name=word, parent=self._context)
        elif names:
            self._is_unknown = True

    def _options(self, typed: str) -> Iterator[str]:
        name, sign, value = typed.partition("=")
        if sign:
            option = self._named(name)
            yield from (f"{name}={completion}" for completion in (self._values(option, value) if option else ()))
            return
        for param in self._context.command.get_params(self._context):
            if param.param_type_name == "option" and not param.hidden:
                yield from (text for text in param.opts if text.startswith(typed) and text.startswith("--"))

    def _values(self, option: Any, typed: str) -> Iterable[str]:
        if choices := getattr(option.type, "choices", ()):
            return _beginning_with(typed, map(str, choices))
        return self._names(_BY_OPTION.get(max(option.opts, key=len)), typed)

    def _arguments(self, typed: str) -> Iterable[str]:
        command = self._context.command
        if choices := next((p.type.choices for p in command.params if hasattr(p.type, "choices") and p.required), ()):
            return _beginning_with(typed, map(str, choices))
        return self._names(_BY_COMMAND.get(self._context.command_path.partition(" ")[2]), typed)

    def _names(self, kind: str | None, typed: str) -> Iterable[str]:
        fixed = _fixed(kind)
        if kind is None or fixed is not None:
            return _beginning_with(typed, fixed or ())
        cli = Cli(self._globals["home"], self._globals["registry"], self._globals["keys"])
        with suppress(AuthctlError):
            try:
                names = getattr(cli.registry.completions, kind)(typed)
                return [typed + name[len(typed) :] for name in names]
            finally:
                cli.close()
        return []


def _beginning_with(typed: str, names: Iterable[str]) -> list[str]:
    """Those of the names that begin with the typed text, as it was typed."""
    return [name for name in names if name.startswith(typed)]


def _fixed(kind: str | None) -> Iterable[str] | None:
    """The names of a kind that is the same in every registry; None for another kind."""
    if kind == "actions":
        from authctl.model.audit import ACTIONS

        return ACTIONS
    if kind == "sort fields":
        from authctl.model import SortField

        return [sign + field for sign in ("", "-") for field in SortField]
    if kind == "mappings":
        from authctl import shipped_mappings

        return shipped_mappings.names()
    if kind == "examples":
        from authctl import shipped_examples

        return shipped_examples.names()
    return None
