"""The help topics that come with authctl: their names, and their texts as blocks.

A topic is a page `topics/NAME.md`: a title, then paragraphs, lists and tables. The commands, docs/commands.md and the manual pages
are made from the same page. Nothing here prints.
"""

import re
from importlib import resources
from typing import NamedTuple

_SUFFIX = ".md"


class Paragraph(NamedTuple):
    """A paragraph, on one line."""

    text: str


class Items(NamedTuple):
    """A list, each item on one line."""

    texts: tuple[str, ...]


class Table(NamedTuple):
    """A table of two columns, without its header."""

    rows: tuple[tuple[str, str], ...]


Block = Paragraph | Items | Table


class Topic(NamedTuple):
    """A page of help about one topic."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    text: str
    """The whole page, after its title."""

    @property
    def summary(self) -> str:
        """The first sentence, for the list of topics."""
        begin = next(block.text for block in self.blocks if isinstance(block, Paragraph))
        return begin.partition(". ")[0].removesuffix(".") + "."


def names() -> list[str]:
    """The names of all topics, in alphabetical order."""
    files = (resources.files("authctl") / "topics").iterdir()
    return sorted(file.name.removesuffix(_SUFFIX) for file in files if file.name.endswith(_SUFFIX))


def read(name: str) -> Topic:
    """The topic of a name that `names` gives."""
    page = (resources.files("authctl") / "topics" / f"{name}{_SUFFIX}").read_text("utf-8")
    title, _, text = page.partition("\n")
    text = text.strip("\n")
    return Topic(name, title.removeprefix("# "), tuple(map(_block, text.split("\n\n"))), text)


def _block(text: str) -> Block:
    if text.startswith("- "):
        return Items(tuple(map(_one_line, re.split(r"\n(?=- )", text.removeprefix("- ")))))
    if text.startswith("| "):
        _header, _rule, *lines = text.splitlines()
        return Table(tuple(map(_row, lines)))
    return Paragraph(_one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.removeprefix("- ").split())


def _row(line: str) -> tuple[str, str]:
    name, text = line.strip("| ").split(" | ")
    return name, text
