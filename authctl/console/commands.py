"""Command lines that do the same as the console: each is shown beside its list, and in the window of its operation.

Pure. A word is quoted for a POSIX shell; one with invisible characters is written as bash and zsh read `$'…'`.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from authctl.model import SessionFilter
from authctl.visible_text import first_invisible, is_invisible

_OPTIONS = {
    "username": "--user",
    "application": "--application",
    "platform": "--platform",
    "status": "--status",
    "kind": "--kind",
    "search": "--search",
}
"""The criteria of the console's filters, with their options."""


def command_line(*words: str, before: Sequence[str] = ()) -> str:
    """A command line of authctl; `before` are the options of authctl itself, such as `--home DIR`."""
    return " ".join(map(shell_word, ("authctl", *before, *words)))


def shell_word(text: str) -> str:
    """A text as one word of a shell, with nothing in it that cannot be seen."""
    if first_invisible(text) is None:
        return shlex.quote(text)
    return f"$'{''.join(map(_escaped, text))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if not is_invisible(character):
        return character
    return f"\\U{ord(character):08x}"


def option(name: str, value: str) -> Sequence[str]:
    """An option with its value; in one word where the value looks like an option itself."""
    return (f"{name}={value}",) if value.startswith("-") else (name, value)


def options(values: Mapping[str, str | None]) -> list[str]:
    """Options with their values; those without a value are left out."""
    return [word for name, value in values.items() if value is not None for word in option(name, value)]


def criteria_options(selection: SessionFilter, *, default_kind: str | None = None) -> list[str]:
    """The options that select the sessions of a filter; `default_kind` needs none."""
    kind = selection.kind or "all"
    criteria = {**selection.criteria(), "kind": None if kind == default_kind else kind}
    return [word for criterion, name in _OPTIONS.items() for word in _given(name, criteria.get(criterion))]


def _given(name: str, value: object) -> Iterator[str]:
    for text in value if isinstance(value, list) else () if value is None else (value,):
        yield from option(name, str(text))


def operands(names: Iterable[str]) -> list[str]:
    """The names after the options, where one may look like an option."""
    words = list(names)
    return ["--", *words] if any(word.startswith("-") for word in words) else words


def revoke_words(selection: SessionFilter, note: str) -> list[str]:
    """The words of the command that revokes the sessions of a filter."""
    words = ["revoke", *selection.ids]
    if selection.everything:
        words.append("--all")
    elif not selection.ids:
        words += criteria_options(selection, default_kind="all")
    words += [word for session_id in selection.except_ids for word in ("--except", session_id)]
    return [*words, *option("--note", note)]
