"""`authctl demo` touches nothing of the caller's, wherever the caller's own things are said to be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import authctl as package

pytestmark = pytest.mark.slow

PLACES = ("AUTHCTL_HOME", "AUTHCTL_REGISTRY", "AUTHCTL_KEYS")
OTHERS = {"AUTHCTL_OUTPUT": "csv", "AUTHCTL_ACTOR": "somebody else", "AUTHCTL_TO_COME": "x"}


def variables() -> set[str]:
    """Every variable that the code reads."""
    texts = (path.read_text() for path in Path(package.__file__).parent.rglob("*.py"))
    return {name for text in texts for name in re.findall(r"AUTHCTL_[A-Z]+\b", text)}


def demo(tmp_path: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with these variables set."""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), **changed}
    (tmp_path / "temporary").mkdir(exist_ok=True)
    command = [sys.executable, "-P", "-m", "authctl", "demo"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_every_variable_is_tried():
    """A new one is one that the demo must not go by."""
    assert variables() == {*PLACES, "AUTHCTL_OUTPUT", "AUTHCTL_ACTOR"}


@pytest.mark.parametrize("name", [*PLACES, *OTHERS])
def test_the_demo_goes_by_no_variable_of_the_caller(tmp_path: Path, name: str):
    """It ends well, does the same as ever, and leaves nothing behind where the variable points, or in the temporary folder."""
    place = tmp_path / "mine"
    ran = demo(tmp_path, **{name: OTHERS.get(name, str(place / "thing"))})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert not place.exists()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert "somebody else" not in ran.stdout
    assert "the audit chain is intact" in ran.stdout
