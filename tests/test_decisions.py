"""Decisions and the code: where a decision is implemented, the code names it, by a number that docs/decisions.md has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NUMBERED = re.compile(r"(?m)^(\d+)\. \*\*")
NAMED = re.compile(r"decisions? (\d+(?:(?:, | and )\d+)*)")


def documented() -> list[int]:
    """The numbers of the decisions, in the order of the page."""
    return list(map(int, NUMBERED.findall((ROOT / "docs" / "decisions.md").read_text())))


def named(root: Path = ROOT) -> dict[int, str]:
    """The decisions that the code names, each with one of the files."""
    files = [*sorted((root / "authctl").rglob("*.py")), *sorted((root / "docs").glob("*.py"))]
    return {
        int(number): path.relative_to(root).as_posix()
        for path in files
        for match in NAMED.finditer(path.read_text())
        for number in re.findall(r"\d+", match[1])
    }


def unknown(root: Path = ROOT) -> dict[int, str]:
    """The numbers that the code names and docs/decisions.md does not have, each with one of the files."""
    known = set(documented())
    return {number: path for number, path in named(root).items() if number not in known}


def test_decisions_are_numbered_without_a_gap():
    """A decision keeps its number, so that a comment goes on naming the right one."""
    numbers = documented()
    assert len(numbers) > 100
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_that_the_code_names_exists():
    """A reader who follows a number finds the decision."""
    assert unknown() == {}


def test_most_decisions_are_named_where_they_are_implemented():
    """The others are about tests, documents and example files, or were replaced by a later one."""
    assert len(named()) > 0.9 * len(documented())


def test_a_wrong_number_is_seen(tmp_path):
    """In a comment, in a docstring, and as one of two numbers."""
    (tmp_path / "authctl" / "store").mkdir(parents=True)
    (tmp_path / "authctl" / "planted.py").write_text("x = 1  # decision 1: right\ny = 2  # decision 9999: wrong\n")
    (tmp_path / "authctl" / "store" / "planted.py").write_text('"""Two of them (decisions 2 and 9998)."""\n')
    assert unknown(tmp_path) == {9999: "authctl/planted.py", 9998: "authctl/store/planted.py"}


ALONE = re.compile(r"(?m)^\s*# decisions? [\d, and]+$")


def test_a_number_never_stands_alone():
    """A comment gives the reason beside the number, so that nobody has to look it up to read the code."""
    assert ALONE.search("def f():\n    # decision 7\n    return 1\n")
    bare = [
        f"{path.relative_to(ROOT)}: {match[0].strip()}"
        for path in sorted((ROOT / "authctl").rglob("*.py"))
        for match in ALONE.finditer(path.read_text())
    ]
    assert bare == []
