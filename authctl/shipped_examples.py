"""The example files that come with authctl, `examples/*`: their names, titles and texts.

Each file begins with a comment, and the first line of that comment is the title.
"""

from importlib import resources
from typing import NamedTuple

from authctl.errors import NotFound
from authctl.names import near_names_in_words, quoted

PROFILES = "profiles.yaml"


class ShippedExample(NamedTuple):
    """An example file that comes with authctl."""

    name: str
    title: str
    text: str
    """The whole file."""


def names() -> list[str]:
    """The names of all example files, in alphabetical order."""
    return sorted(file.name for file in (resources.files("authctl") / "examples").iterdir() if file.is_file())


def read(name: str) -> ShippedExample:
    """The example file of that name. Raises NotFound, with the nearest names."""
    known = names()
    if name not in known:
        hint = "to see them: authctl examples list"
        raise NotFound(f"no example {quoted(name)}{near_names_in_words(name, known)}", hint)
    text = (resources.files("authctl") / "examples" / name).read_text("utf-8")
    return ShippedExample(name, text.partition("\n")[0].removeprefix("# "), text)
