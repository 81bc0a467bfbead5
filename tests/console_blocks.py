"""The console blocks of the pages: the command lines that a reader would type."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n\n)?^```console\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A console block."""

    lines: tuple[str, ...]
    """The command lines, without the prompt and without comments."""
    reason: str | None
    """The reason why it is not run, from the comment before it; None if it is run."""

    @property
    def as_root(self) -> bool:
        """Whether it is run as root, on a copy of the system."""
        return any("sudo " in line for line in self.lines)


def blocks(page: Path) -> list[Block]:
    """The console blocks of a page, in order."""
    return [Block(_lines(match["text"]), match["reason"]) for match in _BLOCK.finditer(page.read_text())]


def _lines(text: str) -> tuple[str, ...]:
    typed = re.findall(r"^\$ (.*)$", text, re.MULTILINE)
    # A comment stands after two blanks or more; a `#` within a word belongs to the command.
    return tuple(re.split(r"\s{2,}#\s|\s+#\s", line)[0].rstrip() for line in typed)
