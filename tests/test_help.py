"""`authctl help`, the example files, and the manual pages: one text for each, wherever it is read."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from authctl import authenticators, help_topics, profiles, shipped_examples
from authctl.cli.app import COMMANDS, app
from authctl.cli.exit_codes import EXIT_CODES
from authctl.help_topics import Items, Paragraph, Table
from tests.conftest import HOSTILE, Authctl, OnTerminal, every_command, unseen

ROOT = Path(__file__).parents[1]
MANUAL = ROOT / "docs" / "man"
TOPICS = help_topics.names()


def words(text: str) -> list[str]:
    """The words of a page, whatever its lines are."""
    return re.sub(r"^\||\|$| \| ", " ", text, flags=re.MULTILINE).split()


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_topic_is_wrapped_and_whole(authctl: Authctl, topic: str, columns: int, monkeypatch: pytest.MonkeyPatch):
    """Each word of the page is there in its order, no line is wider than the terminal, and nothing but text comes out."""
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = authctl("help", topic)
    assert (ran.code, ran.err, unseen(ran.out)) == (0, "", [])
    page = help_topics.read(topic)
    text = re.sub(r"^\|.*\n\|---\|---\|$", "", page.text, flags=re.MULTILINE)
    assert words(ran.out) == [*page.title.split(), *words(text)]
    assert max(map(len, ran.out.splitlines())) <= min(columns, 80)


def test_every_topic_is_listed(authctl: Authctl):
    """By name, with the first sentence; the list is the answer to `help` alone."""
    ran = authctl("help")
    listed = re.findall(r"^  ([\w-]+)  ", ran.out, re.MULTILINE)
    assert {"exit-codes", "environment", "formats", "times"} <= set(listed)
    assert listed == TOPICS
    for topic in map(help_topics.read, TOPICS):
        assert topic.summary in " ".join(ran.out.split())
        assert topic.summary.endswith(".")


def test_no_topic_is_named_as_a_command():
    """Else one of the two could not be shown."""
    assert set(TOPICS) & set(COMMANDS) == set()


def test_the_help_of_a_command_is_its_help(authctl: Authctl):
    """`help COMMAND` shows the same as `COMMAND --help`, for every command and noun."""
    paths = [*every_command(), *((name,) for name in COMMANDS)]
    assert len(paths) > 50
    for path in paths:
        assert authctl("help", *path).out == authctl(*path, "--help").out, path


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("exit-code", "nearest names: 'exit-codes'"),
        ("envronment", "nearest names: 'environment'"),
        ("revok", "nearest names: 'revoke'"),
        ("sessions lst", "nearest names: 'list'"),
        ("zzz", ""),
    ],
)
def test_an_unknown_topic(authctl: Authctl, typed: str, near: str):
    """Exit 2, with the nearest names of topics and commands."""
    ran = authctl("help", *typed.split())
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"authctl: error: no help for '{typed}'")
    assert near in ran.err
    assert ("nearest" in ran.err) is bool(near)
    assert ran.err.endswith("authctl: hint: to see the topics: authctl help\n")


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 10_000])
def test_an_unknown_topic_is_made_visible(authctl: Authctl, text: str):
    """Nothing that a terminal would obey comes out."""
    for ran in (authctl("help", text), authctl("help", "sessions", text), authctl("examples", "show", text)):
        assert ran.code in (2, 3)
        assert unseen(ran.err) == []
        assert len(ran.err) < 1_000


def test_help_opens_no_pager(on_terminal: OnTerminal, tmp_path: Path):
    """The text goes to the terminal, whatever PAGER is; without colour."""
    screen = on_terminal("help", "formats", PAGER=f"touch {tmp_path / 'opened'}", COLUMNS="60")
    assert screen.code == 0
    assert screen.text.startswith("Formats\n")
    assert "\x1b" not in screen.text
    assert not (tmp_path / "opened").exists()


def table_of(topic: str) -> dict[str, str]:
    """The rows of the table of a topic."""
    return {
        name: text for block in help_topics.read(topic).blocks if isinstance(block, Table) for name, text in block.rows
    }


def test_every_exit_code_is_in_the_topic():
    """Those of the errors, success, a problem found and an interruption."""
    assert set(table_of("exit-codes")) == {"0", "9", "130", *map(str, EXIT_CODES.values())}


def test_every_variable_is_in_the_topic():
    """Each variable of the environment that the package reads by name."""
    sources = "".join(path.read_text() for path in (ROOT / "authctl").rglob("*.py"))
    read = set(re.findall(r"\"(AUTHCTL_[A-Z]+)\"", sources)) - {"AUTHCTL_"}
    read |= set(re.findall(r"environ(?:ment)?\.get\(\"([A-Z_]+)\"", sources))
    named = ", ".join(table_of("environment"))
    assert len(read) > 8
    assert {name for name in read if name not in named} == set()


def test_every_file_is_in_the_topic(installed: Authctl, home: Path):
    """Each file that `init` and a first session leave in the home."""
    installed("tokens", "issue", "--user", "alice", "--application", "Teams")
    there = {path.name for path in home.iterdir()} - {"registry.db-wal", "registry.db-shm"}
    assert {"keys.json", "audit.head", "profiles.yaml"} <= there
    assert there <= set(table_of("files"))


def test_a_topic_is_read_as_blocks():
    """Paragraphs and items on one line, tables without their header."""
    topic = help_topics.read("times")
    assert {type(block) for block in topic.blocks} == {Paragraph, Items, Table}
    assert ("7d, 2w", "an age in days or weeks") in [
        row for block in topic.blocks if isinstance(block, Table) for row in block.rows
    ]
    items = next(block.texts for block in topic.blocks if isinstance(block, Items))
    assert len(items) > 2
    assert not any("\n" in item or item.startswith("-") for item in items)


def test_the_times_of_the_topic_are_accepted(installed: Authctl):
    """Each text in its table, as the option of a list."""
    texts = [text for row in table_of("times") for text in row.split(", ")]
    assert len(texts) > 8
    for text in texts:
        assert installed("audit", "list", "--since", text).code == 0, text


# The example files


def test_an_example_is_printed_as_it_is(authctl: Authctl):
    """Whole, and with its title in the list; in JSON with both."""
    listed = {one["name"]: one["title"] for one in authctl("examples", "list", "-o", "json").json}
    assert list(listed) == shipped_examples.names()
    assert len(listed) >= 4
    for name, title in listed.items():
        text = (ROOT / "authctl" / "examples" / name).read_text()
        assert text.startswith(f"# {title}\n")
        assert authctl("examples", "show", name).out == text
        assert authctl("examples", "show", name, "-o", "json").json == {"name": name, "title": title, "text": text}


def test_the_example_of_profiles_is_one_text(authctl: Authctl, tmp_path: Path):
    """The command, the example file and the file of the project are the same, and it has no fault."""
    text = authctl("profiles", "example").out
    assert text == authctl("examples", "show", "profiles.yaml").out == (ROOT / "profiles.example.yaml").read_text()
    assert len(profiles.read(text.encode(), "profiles.yaml").profiles) > 10
    (tmp_path / "profiles.yaml").write_text(text)
    assert authctl("profiles", "check", str(tmp_path / "profiles.yaml"), "-q").code == 0


def test_the_examples_of_the_private_files_have_no_fault(installed: Authctl, home: Path):
    """They can be put in the home as they are; a message that misses one of them names the command that prints it."""
    for ran in (installed("receivers", "show", "hook"), installed("receivers", "list")):
        assert ("authctl examples show receivers.yaml" in ran.err) == (ran.code == 0)
    for name in ("receivers", "authenticators"):
        (home / f"{name}.yaml").touch(0o600)
        (home / f"{name}.yaml").write_text(installed("examples", "show", f"{name}.yaml").out)
    listed = installed("receivers", "list", "-o", "json")
    assert (listed.code, [one["name"] for one in listed.json]) == (0, ["synapse", "siem", "hook"])
    for name in ("staff", "campus", "directory"):
        assert authenticators.find(name, home / "authenticators.yaml")


def texts_for_users() -> dict[str, str]:
    """The texts of the package that a user can be shown, by their places: strings of the code that are no docstrings, and files."""
    package = ROOT / "authctl"
    texts = {str(path): path.read_text() for folder in ("topics", "examples") for path in (package / folder).iterdir()}
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                texts[f"{path}:{node.lineno}"] = texts.get(f"{path}:{node.lineno}", "") + node.value
    return texts


def test_no_message_names_a_page_of_the_source():
    """Whoever installed a wheel does not have `docs/`: a message names a command, or gives the rule."""
    texts = texts_for_users()
    assert any("authctl examples show receivers.yaml" in text for text in texts.values())
    assert [place for place, text in texts.items() if "docs/" in text or "README" in text] == []


def test_an_unknown_example(authctl: Authctl):
    """Exit 3, with the nearest names."""
    ran = authctl("examples", "show", "authctl-cleanup.servce")
    assert ran.code == 3
    assert "no example 'authctl-cleanup.servce'; nearest names: 'authctl-cleanup.service'" in ran.err
    assert "hint: to see all example files: authctl examples list\n" in ran.err


def program_of(tmp_path: Path) -> Path:
    """A program that stands where the examples expect authctl."""
    program = tmp_path / "authctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path):
    """`systemd-analyze verify` reports nothing about them; a wrong line is reported."""
    units = [name for name in shipped_examples.names() if name.endswith((".service", ".socket", ".timer"))]
    assert len(units) >= 4
    for name in units:
        text = shipped_examples.read(name).text
        # The program, the user and the manual page of an installation are not on this host.
        text = text.replace("/usr/local/bin/authctl", str(program_of(tmp_path)))
        text = re.sub(r"^(User|Group)=authctl$|^Documentation=man:.*$", "", text, flags=re.MULTILINE)
        (tmp_path / name).write_text(text)
    verify = ["systemd-analyze", "verify", *(str(tmp_path / name) for name in units)]
    ran = subprocess.run(verify, capture_output=True, text=True, check=False)
    ours = [line for line in ran.stderr.splitlines() if "authctl" in line]
    assert (ran.returncode, ours) == (0, [])
    with (tmp_path / units[0]).open("a") as file:
        file.write("NoSuchSetting=yes\n")
    ran = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert "NoSuchSetting" in ran.stderr


def test_the_examples_run_the_same_cleanup():
    """Unit and cron run the same command on the same home, and so does the line in the README."""
    service, cron = (shipped_examples.read(f"authctl-cleanup.{kind}").text for kind in ("service", "cron"))
    assert "\nExecStart=/usr/local/bin/authctl cleanup -q\n" in service
    assert "\nEnvironment=AUTHCTL_HOME=/var/lib/authctl\n" in service
    assert re.search(
        r"^17 3 \* \* \*  authctl  AUTHCTL_HOME=/var/lib/authctl /usr/local/bin/authctl cleanup -q$", cron, re.MULTILINE
    )
    assert (
        "17 3 * * *  AUTHCTL_HOME=/var/lib/authctl /usr/local/bin/authctl cleanup -q"
        in (ROOT / "README.md").read_text()
    )


# The manual pages


def test_there_is_a_page_for_every_command():
    """authctl(1), and one for each command or noun below it; the first names all others."""
    pages = {path.name for path in MANUAL.iterdir()}
    assert pages == {"authctl.1", *(f"authctl-{name}.1" for name in COMMANDS)}
    root = (MANUAL / "authctl.1").read_text()
    for name in COMMANDS:
        assert root.count(f"\n.BR authctl\\-{name} (1)") == 2, name


def long_options(command: object) -> set[str]:
    """The long names of the options of a command."""
    return {max(one.opts, key=len) for one in command.params if one.param_type_name == "option" and not one.hidden}  # type: ignore[attr-defined]


def test_a_page_has_every_verb_and_option(authctl: Authctl):
    """And all examples of the help, word by word."""
    root = get_command(app)
    context = root.make_context("authctl", ["--help"], resilient_parsing=True)
    for name, *verbs in every_command():
        text = (MANUAL / f"authctl-{name}.1").read_text().replace("\\-", "-")
        command = root.get_command(context, name)  # type: ignore[attr-defined]
        for verb in verbs:
            command = command.get_command(context, verb)
            assert f"\n.SH {name.upper()} {verb.upper()}\n" in text
        for option in long_options(command):
            assert f"\\fB{option}\\fR" in text, (name, verbs, option)
        shown = authctl("help", name, *verbs).out.partition("Examples:\n")[2]
        for example in shown.splitlines():
            assert f"\n{example.strip()}\n".replace("'", "\\(aq") in text, example


def test_a_page_has_the_conventional_sections():
    """In the order of man-pages(7)."""
    for path in MANUAL.iterdir():
        sections = re.findall(r"^\.SH (.*)$", path.read_text(), re.MULTILINE)
        assert sections[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"], path
        wanted = ["EXIT STATUS", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"]
        if path.name == "authctl.1":
            wanted = [
                "OPTIONS",
                "COMMANDS",
                "ENVIRONMENT",
                "EXIT STATUS",
                "FILES",
                "FORMATS",
                "TIMES",
                "EXAMPLES",
                "SEE ALSO",
            ]
        assert [name for name in sections if name in wanted] == wanted, path


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")
def test_mandoc_finds_no_fault():
    """No warning but the date that the pages do not have: the version dates them. A fault is found."""
    pages = sorted(map(str, MANUAL.iterdir()))
    ran = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True, check=False)
    found = [line for line in ran.stdout.splitlines() if "missing date" not in line]
    assert (found, ran.stderr) == ([], "")
    wrong = subprocess.run(
        ["mandoc", "-T", "lint"], input=".TH X 1\n.SH\n.XX\n", capture_output=True, text=True, check=False
    )
    assert "unknown macro" in wrong.stdout


@pytest.mark.skipif(
    shutil.which("man") is None or shutil.which("groff") is None, reason="man or groff is not installed"
)
@pytest.mark.parametrize("columns", [60, 80])
def test_man_shows_the_pages(columns: int):
    """Groff has no warning, no line is wider than the terminal, and an option is one that can be copied: with ASCII signs."""
    environment = {
        **os.environ,
        "MANWIDTH": str(columns),
        "LC_ALL": "C.UTF-8",
        "MANPAGER": "cat",
        "MAN_KEEP_FORMATTING": "",
    }
    for path in sorted(MANUAL.iterdir()):
        ran = subprocess.run(
            ["man", "--warnings=w", str(path)], capture_output=True, text=True, check=False, env=environment
        )
        assert (ran.returncode, ran.stderr) == (0, ""), path
        text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", ran.stdout)
        prose = text.partition("EXAMPLES")[0]
        assert max(map(len, prose.splitlines())) <= columns, path
        assert "--help" in text
        assert [sign for sign in text if not sign.isascii() and sign != "•"] == [], path
