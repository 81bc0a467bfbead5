"""Decisions and the code: where a decision is implemented, the code names it, by a number that docs/decisions.md has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBERED = re.compile(r"(?m)^(\d+)\. \*\*")
NAMED = re.compile(r"decisions? (\d+(?:(?:, | and )\d+)*)")


def documented() -> list[int]:
    """The numbers of the decisions, in the order of the page."""
    return list(map(int, NUMBERED.findall((ROOT / "docs" / "decisions.md").read_text())))


def named() -> dict[int, str]:
    """The decisions that the code names, each with one of the files."""
    return {
        int(number): path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "authctl").rglob("*.py"))
        for match in NAMED.finditer(path.read_text())
        for number in re.findall(r"\d+", match[1])
    }


def test_decisions_are_numbered_without_a_gap():
    """A decision keeps its number, so that a comment goes on naming the right one."""
    numbers = documented()
    assert len(numbers) > 100
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_that_the_code_names_exists():
    """Most decisions are named where they are implemented, and each of these is in the page."""
    assert len(named()) > 100
    assert {number: path for number, path in named().items() if number not in documented()} == {}
