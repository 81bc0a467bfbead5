"""The tables of docs/scenarios.md and docs/threats.md agree with the tests that are named after their rows."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"

ROW = re.compile(r"^\| ([A-Z][0-9]+) \|", re.MULTILINE)
"""The first cell of a row of a table: its number."""

TEST_NAME = re.compile(r"^def test_([a-z][0-9]+)_((?:and_|to_)?)(?:([a-z][0-9]+)_)?", re.MULTILINE)
"""A test named after a row, or after two: `test_m3_…`, `test_g4_and_g5_…`, `test_x1_to_x4_…`."""

NOT_BUILT = "not built yet"


@cache
def page(name: str) -> str:
    """The text of a page in docs/."""
    return (DOCS / f"{name}.md").read_text()


def rows(text: str) -> list[str]:
    """The numbers of a page's rows, in order."""
    return ROW.findall(text)


def proofs(text: str) -> dict[str, str]:
    """The last cell of each row, by the row's number."""
    return {line.split("|")[1].strip(): line.rsplit("|", 2)[1].strip() for line in text.splitlines() if ROW.match(line)}


def rows_of(name: tuple[str, str, str]) -> set[str]:
    """The rows that a test's name stands for."""
    first, word, last = name
    if word == "to_" and last:
        return {f"{first[0].upper()}{number}" for number in range(int(first[1:]), int(last[1:]) + 1)}
    return {row.upper() for row in (first, last if word else "") if row}


@cache
def rows_with_tests() -> dict[str, set[str]]:
    """The rows that tests are named after, with the files that have these tests."""
    found: dict[str, set[str]] = {}
    for path in TESTS.glob("test_*.py"):
        for name in TEST_NAME.findall(path.read_text()):
            for row in rows_of(name):
                found.setdefault(row, set()).add(path.name)
    return found


def faults(scenarios: str, threats: str, tested: dict[str, set[str]]) -> list[str]:
    """Everything in which the two pages and the names of the tests do not agree."""
    of_scenarios, of_threats = rows(scenarios), rows(threats)
    proof = proofs(threats)
    twice = [row for part in (of_scenarios, of_threats) for row, times in Counter(part).items() if times > 1]
    cited = {row for row in of_threats if row not in of_scenarios and f"`test_{row.lower()}_…`" in proof[row]}
    named = {row for row in tested if row in of_threats and row not in of_scenarios}
    return [
        *(f"{row} is there twice" for row in twice),
        *(f"{row} has a test and no row" for row in sorted(tested) if row not in {*of_scenarios, *of_threats}),
        *(f"{row} has no test" for row in of_scenarios if row not in tested),
        *(f"{row} names no test" for row in of_threats if proof[row] != NOT_BUILT and "`test_" not in proof[row]),
        *(
            f"{row} has tests that its row does not name, or names tests that it has not"
            for row in sorted(cited ^ named)
        ),
    ]


def test_the_pages_and_the_tests_agree():
    """Every row has its test, every test named after a row has that row, and no number is used twice."""
    assert faults(page("scenarios"), page("threats"), rows_with_tests()) == []


def test_many_rows_and_many_tests_were_found():
    """The patterns above still find what they look for."""
    assert len(rows(page("scenarios"))) >= 58
    assert len(rows(page("threats"))) >= 45
    assert len(rows_with_tests()) >= 70
    assert {"M3", "R9", "A8", "X2", "G5"} <= set(rows_with_tests())


def test_the_files_and_tests_that_the_pages_name_are_there():
    """In the column `test` and in the prose: files, single tests, and the files that have the tests of a row."""
    source = {path.name: path.read_text() for path in TESTS.rglob("test_*.py")}
    for name in ("scenarios", "threats"):
        files = set(re.findall(r"`(?:tests/)?(test_\w+\.py)`", page(name)))
        assert len(files) >= 5
        assert files <= set(source)
        for test in re.findall(r"`(test_[a-z]{2,}\w*)`", page(name)):
            assert any(f"def {test}(" in text for text in source.values()), test
    for row, proof in proofs(page("threats")).items():
        for listed in re.findall(rf"`test_{row.lower()}_…` in ([^;|(]*)", proof):
            assert set(re.findall(r"`(test_\w+\.py)`", listed)) == rows_with_tests()[row], row


@pytest.mark.parametrize(
    ("row", "named"),
    [("M3", "M3 has a test and no row"), ("R9", "R9 has a test and no row"), ("A8", "A8 has a test and no row")],
)
def test_a_row_that_is_taken_out_is_missed(row: str, named: str):
    """The test above fails when somebody deletes a row."""
    scenarios, threats = (re.sub(rf"(?m)^\| {row} \|.*\n", "", page(name)) for name in ("scenarios", "threats"))
    assert named in faults(scenarios, threats, rows_with_tests())


@pytest.mark.parametrize("row", ["M3", "R9", "A8", "K4"])
def test_a_row_that_is_there_twice_is_found(row: str):
    """The test above fails when a number is used for a second row of the same page."""
    scenarios, threats = (re.sub(rf"(?m)^(\| {row} \|.*\n)", r"\1\1", page(name)) for name in ("scenarios", "threats"))
    assert faults(scenarios, threats, rows_with_tests()) == [f"{row} is there twice"]


@pytest.mark.parametrize(
    ("page_name", "line", "named"),
    [
        ("scenarios", "| M99 | A situation. | An answer. |\n", "M99 has no test"),
        ("threats", "| A99 | A fault. | An answer. | a look |\n", "A99 names no test"),
        ("threats", "| A98 | A fault. | An answer. | `test_a98_…` in `test_trust.py` |\n", "A98 has tests that"),
    ],
)
def test_a_row_without_a_test_is_found(page_name: str, line: str, named: str):
    """The test above fails when somebody adds a row and no test."""
    texts = {name: page(name) + (line if name == page_name else "") for name in ("scenarios", "threats")}
    assert any(fault.startswith(named) for fault in faults(texts["scenarios"], texts["threats"], rows_with_tests()))
