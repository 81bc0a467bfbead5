"""The documentation is tested: commands as they say themselves, every field and module named, no link dead."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from authctl import profiles
from authctl.import_mappings import read_mapping
from authctl.model import Profile
from authctl.model.fields import PROFILE_FIELDS
from tests.conftest import Authctl

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_command_reference_is_what_the_commands_say():
    """docs/commands.md is generated, and up to date."""
    script = ROOT / "docs" / "generate_commands.py"
    ran = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def links(page: Path) -> list[str]:
    """The relative links of a page."""
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path):
    """Every relative link leads somewhere."""
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


def test_links_are_looked_for():
    """The README names at least ten files."""
    assert len(links(ROOT / "README.md")) >= 10


def mapped(text: str) -> list[str]:
    """The paths that the map names: each file lies in the package that is less indented above it."""
    block = re.search(r"^## The map$.*?^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block, "the map is gone"
    paths: list[str] = []
    folders: dict[int, str] = {}
    for line in block[1].splitlines():
        indent = len(line) - len(line.lstrip())
        folders = {depth: folder for depth, folder in folders.items() if depth < indent}
        parent = "".join(folders.values())
        if package := re.match(r"\w+/", line.lstrip()):
            folders[indent] = package[0]
            paths.append(f"{parent}{package[0]}__init__.py")
        paths += [parent + file for file in re.findall(r"\w+\.py\b", line) if file != "__init__.py"]
    return paths


def test_the_map_names_every_module():
    """The map on the architecture page has every file once, in its package, and no file that is gone."""
    paths = mapped((ROOT / "docs" / "architecture.md").read_text())
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "authctl").rglob("*.py")]
    assert len(files) > 50
    assert sorted(paths) == sorted(files)


def test_the_map_is_read_by_paths():
    """A file of the same name in another package does not stand for one that the map lacks."""
    lines = ["a/", "  b/   words", "    x.py  words  y.py", "    c/", "      x.py", "  x.py   words", "  d/"]
    assert mapped("## The map\n\n```text\n" + "\n".join(lines) + "\n```\n") == [
        "a/__init__.py", "a/b/__init__.py", "a/b/x.py", "a/b/y.py", "a/b/c/__init__.py", "a/b/c/x.py", "a/x.py", "a/d/__init__.py"
    ]  # fmt: skip


def test_the_paths_that_contributors_start_from_are_there():
    """Every file and folder that CONTRIBUTING.md names exists."""
    paths = re.findall(r"`((?:authctl|tests|docs)/[\w./]*|\w+\.example\.yaml)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(paths) >= 15
    assert [path for path in paths if "NOUN" not in path and not (ROOT / path).exists()] == []


def test_the_tests_that_the_security_model_names_are_there():
    """No promise is proven by a test that does not exist."""
    text = (ROOT / "docs" / "security.md").read_text()
    files, tests = set(re.findall(r"`(test_\w+\.py)", text)), re.findall(r"`test_\w+\.py: (test_\w+)`", text)
    assert len(files) > 20
    assert tests
    for name in files:
        assert (ROOT / "tests" / name).exists(), name
    for name in tests:
        assert any(f"def {name}(" in path.read_text() for path in (ROOT / "tests").glob("*.py")), name


def test_every_field_of_a_profile_is_explained():
    """docs/profiles.md has a row for every field, and the example shows every system."""
    text = (ROOT / "docs" / "profiles.md").read_text()
    fields = [*PROFILE_FIELDS, "version", "retention", "default_profile", "assignments", "profiles"]
    fields += ["refresh.grace", "refresh.on_reuse"]
    assert [field for field in fields if f"| `{field}` |" not in text] == []
    example = (ROOT / "profiles.example.yaml").read_bytes()
    found = profiles.read(example, "profiles.example.yaml").profiles
    assert {"mimecast", "entra", "exchange-basic", "owa", "sharepoint", "yammer", "arcgis"} <= set(found)
    plain = Profile("x").to_document()
    shown = {field for one in found.values() for field, value in one.to_document().items() if value != plain.get(field)}
    assert shown == set(PROFILE_FIELDS), "the example shows every field at work"


Shell = Callable[[list[str]], str]


@pytest.fixture
def shell(home: Path, tmp_path: Path) -> Shell:
    """A shell that runs lines as a reader would type them, in a folder of its own, and stops at the first that fails."""
    program = tmp_path / "bin" / "authctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m authctl "$@"\n')
    program.chmod(0o700)
    (tmp_path / "profiles.example.yaml").write_bytes((ROOT / "profiles.example.yaml").read_bytes())
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "AUTHCTL_HOME": str(home),
        "LOGNAME": "tester",
        "PYTHONPATH": str(ROOT),
    }

    def run(typed: list[str]) -> str:
        script = "\n".join(["set -ex", *typed])
        ran = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def typed_in(text: str) -> list[str]:
    """The command lines of a page."""
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


@pytest.mark.slow
def test_each_system_is_set_up_as_the_page_says(shell: Shell):
    """Every command of docs/systems.md, one after another."""
    typed = typed_in((ROOT / "docs" / "systems.md").read_text())
    assert len(typed) > 30
    assert '{"active": false, "action": "wipe"}' in shell(typed)


@pytest.mark.slow
def test_each_incident_is_handled_as_the_page_says(shell: Shell):
    """Every command of the incidents in docs/operating.md, in order, on an installation with sessions in it."""
    page = (ROOT / "docs" / "operating.md").read_text()
    part = page[page.index("## A lost device") : page.index("## A retired application")]
    typed = typed_in(part)
    assert len(typed) > 20
    prepared = [
        "authctl init --profiles profiles.example.yaml",
        "authctl tokens issue --user alice --application 'Mimecast Mobile' --device AL-PHONE > phone-token",
        "authctl tokens issue --user bob --application 'Mimecast Mobile'",
        "authctl tokens issue --user carol --application 'Mimecast Mobile'",
        "authctl tokens issue --user dora --application POP3",
        "sed 's/    on_revoke: wipe.*/    conditions: {blocked_applications: [POP3]}/' profiles.example.yaml > new-profiles.yaml",
    ]
    refused = [f"{line.split('  #')[0]} || test $? = 5" if "tokens verify" in line else line for line in typed]
    said = shell(prepared + refused)
    assert '{"active": false, "action": "wipe"}' in said
    assert '"unmet_conditions": 1' in said


def test_the_mappings_are_good():
    """Each mapping on the page can be read."""
    shown = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "importing.md").read_text(), re.DOTALL)
    assert len(shown) >= 2
    for text in shown:
        read_mapping(text.encode(), "importing.md")


def test_the_set_up_commands_are_one_line_each():
    """The README's two commands stand alone on a line, each with an environment of its own."""
    lines = [
        line.strip()
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("    python3 -m venv ")
    ]
    assert len(lines) == 2
    assert lines[0].endswith("authctl demo")
    assert lines[1].endswith("pytest -q")
    assert lines[0].split()[3] != lines[1].split()[3]


@pytest.mark.slow
def test_the_demo_does_the_main_job(authctl: Authctl):
    """It ends with a revoked session, its note, a refused token and a verified trail, and shows each command."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "authctl", "demo"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    said = (
        "$ authctl revoke --user alice --note 'lost device'",
        "note\tlost device",
        "status\trevoked",
        "(exit code 5)",
        "the audit chain is intact",
    )
    for text in said:
        assert text in ran.stdout
    assert authctl("sessions", "list").code == 6
