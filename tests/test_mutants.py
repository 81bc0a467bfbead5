"""The mutants of the histories: each applies to the present code, names a test that exists, and has its row in docs/guards.md."""

import ast
import re

import pytest

from tests.mutants_of_histories import HISTORIES, MUTANTS, ROOT, Mutant, check_text

ROWS = re.compile(r"^\| ([^|]+) \| `(\w+)` \|", re.MULTILINE)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_a_mutant_applies_to_the_present_code(mutant: Mutant):
    """Its text is in its file exactly once, also after code was moved, and the file with the fault in it is Python."""
    check_text(mutant)
    text = (ROOT / "authctl" / mutant.file).read_text()
    assert ast.dump(ast.parse(text.replace(mutant.old, mutant.new))) != ast.dump(ast.parse(text))


def test_every_named_test_exists():
    """A guard that the histories do not reach names a test of ours."""
    named = {mutant.test for mutant in MUTANTS} - {HISTORIES}
    assert len(named) > 5
    for test in named:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), test


def test_every_mutant_has_its_row():
    """docs/guards.md has each fault once, in the same order, with the test that noticed it."""
    rows = ROWS.findall((ROOT / "docs" / "guards.md").read_text())
    assert rows == [(mutant.fault, mutant.test.partition("::")[2] or mutant.test) for mutant in MUTANTS]
