"""A command line of bash, read as far as a completion needs it: quotes and backslashes are undone, nothing is expanded."""

import os.path
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

_PROGRAM = "authctl"
_ACTIVE = frozenset("$`")
_BETWEEN_COMMANDS = frozenset(";|&(){}\n")
_UNKNOWN = frozenset("<>")
"""After a redirection comes a file, which bash completes by itself."""
_ESCAPED_IN_QUOTES = frozenset('"\\$`')
_TO_ESCAPE = re.compile(r"([^\w.,:=@%+/-])", re.ASCII)
_PLAIN = re.compile(r"[\w .,:=@%+/-]*")


class BashLine(NamedTuple):
    """The words after `authctl`, the last of which is completed."""

    words: tuple[str, ...]
    typed: str
    quote: str
    """The quote that is open at the end; empty for none."""

    def answers(self, word: str, names: Sequence[str]) -> list[str]:
        """The texts that bash puts in the place of its own last word, which may be a part of ours: `alice@exa` has two.

        Each begins with the typed text and goes on with the rest of a name. After a backslash each character stands for itself.
        Within open quotes only names are completed that mean the same there as outside.
        """
        # decision 194: each special character is escaped, so that the shell neither runs nor expands a name
        rests = [name[len(self.typed) :] for name in names]
        if self.quote:
            return [word + rest for rest in rests if _PLAIN.fullmatch(rest)]
        escaped = [word + _escaped(rest) for rest in rests]
        common = os.path.commonprefix(escaped)  # noqa: RUF071  # these are texts, not paths
        # Bash inserts the common beginning: it must not end within a backslash and its character.
        is_open = len(escaped) > 1 and (len(common) - len(common.rstrip("\\"))) % 2
        return [*escaped, common[:-1]] if is_open else escaped


def _escaped(text: str) -> str:
    return "".join(rf"\{c}" if c.isascii() and _TO_ESCAPE.match(c) else c for c in text)


def read(line: str) -> BashLine | None:
    """The command line up to the cursor; None where its last word has something that bash expands, or is no word of authctl."""
    words, quote, is_active = _split(line)
    programs = [at for at, word in enumerate(words[:-1]) if PurePath(word).name == _PROGRAM]
    if not programs or is_active:
        return None
    return BashLine(tuple(words[programs[0] + 1 : -1]), words[-1], quote)


def _split(line: str) -> tuple[list[str], str, bool]:
    """The words of the last command, the open quote, and whether the last word cannot be judged."""
    words, quote, is_active = [""], "", False
    characters = iter(line)
    for c in characters:
        if quote == "'" and c != quote:
            words[-1] += c
        elif c == "\\":
            following = next(characters, None)
            is_active |= following is None
            words[-1] += ("\\" if quote and following not in _ESCAPED_IN_QUOTES else "") + (following or "")
        elif c in ("'", '"') and quote in ("", c):
            quote = "" if quote else c
        elif not quote and c in " \t":
            words, is_active = [*words, ""] if words[-1] else words, False
        elif not quote and c in _BETWEEN_COMMANDS:
            words, is_active = [""], False
        else:
            is_active |= c in _ACTIVE or (not quote and c in _UNKNOWN)
            words[-1] += c
    return words, quote, is_active
