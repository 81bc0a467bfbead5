"""The commands that succeeded in a run of the tests. With AUTHCTL_TEST_EVERY_COMMAND=1 a run fails in which a command never did.

`make postgres-more` asks for that: each command of `docs/commands.md` has done its work on a registry in PostgreSQL.
"""

import os
from collections.abc import Iterable

IS_ASKED = bool(os.environ.get("AUTHCTL_TEST_EVERY_COMMAND"))

_lines: set[tuple[str, ...]] = set()


def remember(arguments: Iterable[object], code: int = 0) -> None:
    """Remember a command line that ended with that exit code."""
    if IS_ASKED and code == 0:
        _lines.add(tuple(map(str, arguments)))


def missing(commands: Iterable[tuple[str, ...]]) -> list[str]:
    """The commands of these that never succeeded."""
    done = {line[:length] for line in map(_without_options, _lines) for length in (1, 2)}
    return sorted(" ".join(path) for path in commands if path not in done)


_ABOUT_ALL = ("--home", "--registry", "--keys")


def _without_options(line: tuple[str, ...]) -> tuple[str, ...]:
    """A command line without the options before the command, of which each has a value."""
    while line[:1] and line[0] in _ABOUT_ALL:
        line = line[2:]
    return line
