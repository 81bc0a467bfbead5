"""The documentation is tested: commands as they say themselves, every field and module named, no link dead."""

import ast
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from authctl import profiles
from authctl.cli.app import app
from authctl.import_mappings import read_mapping
from authctl.model import Profile
from authctl.model.fields import PROFILE_FIELDS
from authctl.names import note
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


def test_the_answers_to_five_questions_name_what_is_there():
    """Each file exists below authctl/, and has the function or class that is named after it."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    part = page[page.index("## Five questions") : page.index("## The map")]
    named = re.findall(r"`([\w/]+\.py)(?:: ([\w.]+))?`", part)
    assert len(named) > 15
    for path, symbol in named:
        if "NOUN" in path:
            continue
        text = (ROOT / "authctl" / path).read_text()
        assert not symbol or re.search(rf"\b(?:def|class) {symbol.rpartition('.')[2]}", text), path


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


def typed_in(text: str) -> list[str]:
    """The command lines of a page."""
    return re.findall(r"^\$ (.*)$", text, re.MULTILINE)


WRITTEN_BY_HAND = [page for page in PAGES if page.name != "commands.md"]


def commands_of(page: Path) -> list[list[str]]:
    """Every command line of authctl on a page: those of its examples, and those within a sentence. Without comments and redirections."""
    text = page.read_text()
    # In `sudo -u authctl authctl …` the first one is the user, and so it is in the lines that make this user.
    typed = [line.removeprefix("sudo -u authctl ") for line in typed_in(text)]
    typed = [line for line in typed if "authctl" in line.split() and not line.startswith("sudo ")]
    typed += [" ".join(line.split()) for line in re.findall(r"(?<!`)`(authctl [^`]+)`", text)]
    lines = [re.split(r"\s(?:#|<|>|\|\||\| sudo)(?:\s|$)", line)[0] for line in typed]
    words = [shlex.split(line) for line in lines]
    return [line[line.index("authctl") + 1 :] for line in words]


def options_of(arguments: list[str]) -> tuple[Any, set[str]]:
    """The command that arguments name, and the options that it does not have; what stands in brackets is a choice."""
    root = get_command(app)
    command, context = root, root.make_context("authctl", ["--help"], resilient_parsing=True)
    known = {name for param in root.params for name in param.opts}
    for word in arguments:
        child = command.get_command(context, word) if hasattr(command, "list_commands") else None
        if child is not None:
            command = child
            known |= {name for param in child.params for name in param.opts} | {"--help", "-h"}
    named = {word.strip("[]") for word in arguments if word.strip("[]").startswith("-") and word.strip("[]") != "-"}
    return command, named - known


@pytest.mark.parametrize("page", WRITTEN_BY_HAND, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_of_authctl(page: Path):
    """It names a command and options that are there, and a note that would be accepted."""
    for arguments in commands_of(page):
        command, unknown = options_of(arguments)
        assert not hasattr(command, "list_commands"), arguments
        assert unknown == set(), arguments
        for option, text in pairwise(arguments):
            if option == "--note":
                assert note(text) == text, arguments


def test_commands_are_looked_for():
    """The pages for administrators have many, in examples and in sentences; a wrong one is seen."""
    found = {page.name: len(commands_of(page)) for page in WRITTEN_BY_HAND}
    assert min(found[name] for name in ("README.md", "operating.md", "importing.md", "systems.md")) >= 10
    assert options_of(["sessions", "list", "--usr", "x"])[1] == {"--usr"}
    assert hasattr(options_of(["sesions", "list"])[0], "list_commands")


def docstrings() -> dict[str, str]:
    """Every docstring of the package, of attributes too, by its place."""
    return {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.value.value
        for path in sorted((ROOT / "authctl").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def test_no_docstring_begins_with_what():
    """A docstring names its object in its first words: a clause that begins with "what" cannot be translated word by word."""
    assert len(docstrings()) > 1_000
    assert [place for place, text in docstrings().items() if text.split(maxsplit=1)[0] == "What"] == []


def test_sentences_give_times_to_the_second():
    """A sentence has `format_second`; exact instants are for records, which are no part of a sentence."""
    of_json = {"session_texts.py"}
    sentences = [
        (path, node)
        for path in sorted((ROOT / "authctl").rglob("*.py"))
        if path.name not in of_json
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr)
    ]
    exact = [
        f"{path.relative_to(ROOT)}:{sentence.lineno}"
        for path, sentence in sentences
        for part in ast.walk(sentence)
        if isinstance(part, ast.Name) and part.id == "format_instant"
    ]
    assert len(sentences) > 500
    assert exact == []


def programs_of(page: Path) -> str:
    """The programs of a page, one after another: a later one can go on within a block of an earlier one."""
    return "".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))


def test_the_program_of_the_readme_runs(installed: Authctl, home: Path, capsys: pytest.CaptureFixture[str]):
    """It signs a user in, ends her session, reads the list page by page and disables another user."""
    for number in range(5):
        assert installed("tokens", "issue", "--user", f"user{number}", "--application", "Teams", "-q").code == 0
    program = programs_of(ROOT / "README.md").replace("/var/lib/authctl", str(home)).replace("limit=100", "limit=2")
    assert "registry.lists.page(" in program
    exec(compile(program, "README.md", "exec"), {})
    pages = [len(ast.literal_eval(line)) for line in capsys.readouterr().out.splitlines()]
    assert pages == [2, 2, 1]
    statuses = {one["username"]: one["status"] for one in installed("sessions", "list", "-o", "json").json}
    assert (statuses["alice"], statuses["user4"]) == ("revoked", "active")
    assert [one["username"] for one in installed("users", "list", "--disabled", "-o", "json").json] == ["bob"]


def test_the_program_of_the_page_on_imports_runs(
    installed: Authctl, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """It imports a listing with a shipped mapping."""
    listing = tmp_path / "sessions.json"
    listing.write_text((ROOT / "tests/data/listings/samba.json").read_text())
    program = programs_of(ROOT / "docs" / "importing.md").replace("/var/lib/authctl", str(home))
    assert "registry.imports.run(" in program
    exec(compile(program.replace("sessions.json", str(listing)), "importing.md", "exec"), {})
    registered = int(capsys.readouterr().out)
    assert registered == int(installed("sessions", "list", "--source", "samba", "--count").out) > 0


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
