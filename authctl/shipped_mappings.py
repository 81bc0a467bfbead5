"""The mapping files that come with authctl: their names, their texts, and the heads of their comments.

Nothing here reads the fields of a mapping, which is the business of `import_mappings`.

See docs/glossary.md#listing.
"""

import re
from functools import cache
from importlib import resources
from typing import NamedTuple

from authctl.errors import NotFound
from authctl.names import near_names_in_words, quoted

EVENT_LOG = "event log"
LISTING = "listing"

OF_SOURCE = "source"
OF_USER = "user"

_SUFFIX = ".yaml"
_HEAD = re.compile(r"# (?:([A-Z][a-z ]+): | {2})(.*\S)", re.ASCII)


class ShippedMapping(NamedTuple):
    """A mapping file that comes with authctl."""

    name: str
    title: str
    system: str
    """The system that makes the export, with its version."""
    rows: str
    """`listing` if the rows are sessions that exist, `event log` if they are events."""
    complete_for: str | None
    """`source` if an export can have all sessions of the system, `user` if it can have all those of a user; else None."""
    head: dict[str, str]
    """The head of the file: each word of its comment with its text."""
    text: str
    """The whole file."""


def is_name(text: str) -> bool:
    """Whether a text that a person types is the name of a shipped mapping, and not a path: no `/`, and no `.yaml` at its end."""
    return "/" not in text and not text.lower().endswith((_SUFFIX, ".yml"))


def names() -> list[str]:
    """The names of all shipped mappings, in alphabetical order."""
    files = (resources.files("authctl") / "mappings").iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def read(name: str) -> ShippedMapping:
    """The shipped mapping of that name. Raises NotFound, with the nearest names."""
    if name not in names():
        hint = "to see them: authctl mappings list"
        raise NotFound(f"no shipped mapping {quoted(name)}{nearest_in_words(name)}", hint)
    return _read(name)


def nearest_in_words(name: str) -> str:
    """The names of shipped mappings that are nearest to a name, for the end of a message; nothing where there are none."""
    return near_names_in_words(name, names())


@cache
def _read(name: str) -> ShippedMapping:
    text = (resources.files("authctl") / "mappings" / f"{name}{_SUFFIX}").read_text("utf-8")
    head = _head(text)
    return ShippedMapping(
        name, head["Title"], head["System"], head["Rows"], _complete_for(head["Complete"]), head, text
    )


def _complete_for(words: str) -> str | None:
    if not words.startswith("yes"):
        return None
    return OF_USER if words.startswith("yes, user by user") else OF_SOURCE


def _head(text: str) -> dict[str, str]:
    """The comment that a file begins with: `# Word: text`, and lines of text that go on after three blanks."""
    head: dict[str, str] = {}
    word = ""
    for line in text.splitlines():
        match = _HEAD.fullmatch(line)
        if match is None:
            break
        word = match[1] or word
        head[word] = f"{head[word]}\n{match[2]}" if word in head else match[2]
    return head
