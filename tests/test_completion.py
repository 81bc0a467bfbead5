"""Completion in the three real shells: names of the registry are completed, and a shell runs nothing of them."""

import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import termios
import time
from pathlib import Path

import pytest

from authctl import Registry
from authctl.cli import bash_words
from tests import places
from tests.conftest import PROGRAM, Authctl

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--private", "--no-config", "-i"],
}
BEFORE = {
    "bash": "PS1='ready> '",
    "zsh": "PS1='ready> '; unsetopt zle_bracketed_paste prompt_sp; autoload -Uz compinit; compinit -u -D",
    "fish": "function fish_prompt; echo -n 'ready> '; end; function fish_greeting; end",
}
NAMES = [
    "anna$(touch made)",
    "bert`touch made`",
    "carl;touch made",
    "dora*",
    "erik 'o' & touch made",
    'fred"$HOME"',
    "gert\\x|touch made",
    "hans<a>#!x~{b,c}",
    "~ines",
    "jo@example.org",
]
needs = pytest.mark.parametrize("shell", SHELLS)


class Typing:
    """A shell on a pseudo-terminal, and the keys that are typed."""

    def __init__(self, shell: str, folder: Path, home: Path) -> None:
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "authctl").write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
        (programs / "authctl").chmod(0o700)
        (folder / "work").mkdir(exist_ok=True)
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "AUTHCTL_HOME": str(home),
            **places.environment(),
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "TERM": "dumb" if shell == "zsh" else "xterm",
            "COLUMNS": "400",
            "LANG": "C.UTF-8",
        }
        self.folder = folder / "work"
        self.controller, terminal = pty.openpty()
        self.process = subprocess.Popen(
            SHELLS[shell],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # fish needs a terminal of its own
        )
        os.close(terminal)
        script = folder / f"script.{shell}"
        script.write_bytes(subprocess.run([*PROGRAM, "completion", shell], stdout=subprocess.PIPE, check=True).stdout)
        self.keys("stty cols 400\r")
        self.keys(f"{BEFORE[shell]}\r")
        self.keys(
            f"source {script}; echo loaded-$((40+2))\r" if shell != "fish" else f"source {script}; echo loaded-42\r"
        )
        self.wait_for(r"loaded-42\r?\n")

    def keys(self, text: str) -> None:
        """Type."""
        os.write(self.controller, text.encode())

    def wait_for(self, pattern: str, seconds: float = 20) -> str:
        """Read until the pattern appears; what was read."""
        seen, deadline = "", time.monotonic() + seconds
        while not re.search(pattern, seen):
            assert time.monotonic() < deadline, f"{pattern!r} not in {seen!r}"
            if select.select([self.controller], [], [], 0.1)[0]:
                seen += os.read(self.controller, 65536).decode(errors="replace")
        return seen

    def rest(self, seconds: float) -> str:
        """Read until nothing comes for some time."""
        seen = ""
        while select.select([self.controller], [], [], seconds)[0]:
            seen += os.read(self.controller, 65536).decode(errors="replace")
        return seen

    def close(self) -> None:
        """Close the terminal, which ends the shell."""
        os.close(self.controller)
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def typing(shell: str, tmp_path: Path, home: Path, installed: Authctl):
    """A shell in which the completion of authctl was read."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    opened = Typing(shell, tmp_path, home)
    yield opened
    opened.close()


@needs
def test_names_that_a_shell_would_run_are_completed_quoted(shell: str, typing: Typing, installed: Authctl):
    """Each name is completed from its beginning, and the command that is run then gets exactly that name."""
    for number, name in enumerate(NAMES):
        assert installed("tokens", "issue", "-q", "--user", name, "--application", "Outlook").code == 0
        beginning = name[:4] if name[0] != "~" else "\\~in"
        if name.startswith("jo@"):
            beginning = "jo@exa"
        out = typing.folder / f"out-{number}"
        typing.keys(f"authctl users show -o csv > out-{number} {beginning}")
        time.sleep(0.1)
        typing.keys("\t")
        typing.rest(1.0)
        typing.keys("\r")
        deadline = time.monotonic() + 10
        while not (out.exists() and out.read_text().count("\n") >= 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        expected = installed("users", "show", "-o", "csv", "--", name).out
        assert out.read_text() == expected, name
        assert sorted(p.name for p in typing.folder.iterdir()) == sorted(f"out-{n}" for n in range(number + 1))


@needs
def test_a_name_with_a_newline_is_left_out(shell: str, typing: Typing, installed: Authctl):
    """An application whose name has a newline is not completed, and another of the same beginning is."""
    for name in ("Emil\ntouch made\n", "Emily"):
        assert installed("tokens", "issue", "-q", "--user", "eve", "--application", name).code == 0
    assert installed("completion", shell, "--", *question(shell, "authctl revoke --application Em")).out == "Emily\n"
    typing.keys("authctl sessions list -o csv --application Em\t")
    typing.rest(1.0)
    typing.keys("> out\r")
    deadline = time.monotonic() + 10
    while not (typing.folder / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    typing.rest(1.0)
    assert "Emily" in (typing.folder / "out").read_text()
    assert [path.name for path in typing.folder.iterdir()] == ["out"]


@pytest.mark.parametrize("shell", ["zsh"])
def test_zsh_loads_the_completion_by_itself(shell: str, typing: Typing, installed: Authctl):
    """A file `_authctl` on fpath completes at the first key, without `source`."""
    typing.keys("unfunction _authctl; mkdir f; authctl completion zsh > f/_authctl; fpath=($PWD/f $fpath)\r")
    typing.keys("compinit -u -D; whence -w _authctl; echo again-$((40+2))\r")
    typing.wait_for(r"again-42\r?\n")
    for keys in ("authctl exam\t", "sh\t", "authctl-cleanup.c\t", "> out\r"):
        typing.keys(keys)
        typing.rest(1.0)
    deadline = time.monotonic() + 10
    while not (typing.folder / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    typing.rest(1.0)
    assert (typing.folder / "out").read_text() == installed("examples", "show", "authctl-cleanup.cron").out


def question(shell: str, line: str) -> list[str]:
    """What the script of a shell hands over for a line without quotes."""
    words = line.split(" ")
    return [line, words[-1]] if shell == "bash" else words


@needs
def test_every_kind_of_name_is_completed(shell: str, installed: Authctl, tmp_path: Path):
    """Commands, options, choices, users, applications, devices, platforms, ids, profiles, sources, keys, actions and sort fields."""
    (tmp_path / "map.yaml").write_text("fields: {username: u, at: t}\nkey: [username]\n")
    issued = installed(
        *(
            "tokens",
            "issue",
            "--user",
            "alice",
            "--application",
            "Outlook",
            "--device",
            "AL-PC",
            "--platform",
            "Windows",
        ),
        *("-o", "json"),
    ).json
    key = installed("keys", "list", "-o", "id").out.strip()
    imported = installed(
        *("sessions", "import", "-", "--map", str(tmp_path / "map.yaml"), "--source", "synapse"),
        stdin='{"u": "bob", "t": "2026-01-01T00:00:00Z"}\n',
    )
    assert imported.code == 0, imported.err
    session = issued["session"]["id"]
    for line, expected in {
        "authctl sess": "sessions",
        "authctl sessions sh": "show",
        "authctl -- sessions sh": "show",
        "authctl revoke --max": "--max-affected",
        "authctl sessions list --status rev": "revoked",
        "authctl sessions list --status=rev": "--status=revoked",
        "authctl revoke --user AL": "ALice",
        "authctl revoke --user=ali": "--user=alice",
        "authctl -q revoke --note x --application Out": "Outlook",
        "authctl revoke --device al": "al-PC",
        "authctl sessions list --device=AL-": "--device=AL-PC",
        "authctl sessions list --platform W": "Windows",
        "authctl tokens issue --platform Win": "Windows",
        f"authctl keys retire {key[:2]}": key,
        f"authctl explain {session[:4]}": session,
        f"authctl revoke {session[:3]}": session,
        f"authctl sessions show {session[:7].upper()}": session[:7].upper() + session[7:],
        "authctl sessions list --profile d": "default",
        "authctl sessions list --source s": "synapse",
        "authctl audit list --action user.dis": "user.disable",
        "authctl sessions list --sort -created": "-created_at",
        "authctl sessions import x --map sam": "samba",
        "authctl completion z": "zsh",
        "authctl users disable alice b": "bob",
    }.items():
        ran = installed("completion", shell, "--", *question(shell, line))
        assert (ran.out, ran.code) == (f"{expected}\n", 0), line
    for line in (
        "authctl revoke --note a",
        "authctl revoke --user nobody",
        "authctl nothing ",
        "authctl revoke --user \x1b",
    ):
        assert installed("completion", shell, "--", *question(shell, line)).out == "", line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("revoke", "--", "--max"), ""),
        (("sessions", "-", "sh"), ""),
        (("sessions", "--", "sh"), "show\n"),
        (("sessions", "list", "--count", "--status", "rev"), "revoked\n"),
        (("revoke", "--status=rev", "--max"), "--max-affected\n"),
        (("revoke", "--user", "alice\u200b"), ""),
        (("revoke", "--", "--user", "z1"), ""),
        (("revoke", "--user", "z1"), "z1\n"),
        (("revoke", "--wi"), ""),
        (("revoke", "?"), ""),
        (("sessions", "list", "--source", "\udc80"), ""),
        (("completion", "-"), "--help\n"),
        (("revoke", "--application", "x"), "x200" + "-" * 196 + "\n"),
    ],
)
def test_the_place_of_a_word(installed: Authctl, words: tuple[str, ...], expected: str):
    """After `--` no option, after a flag no value, no hidden or short option, nothing for a word with an invisible character, and no text beyond 200 characters."""
    for length in (200, 201):
        application = f"x{length}".ljust(length, "-")
        assert installed("tokens", "issue", "-q", "--user", "z1", "--application", application).code == 0
    ran = installed("completion", "fish", "--", "authctl", *words)
    assert (ran.out, ran.err, ran.code) == (expected, "", 0)


def test_a_home_with_a_tilde(installed: Authctl, home: Path, monkeypatch: pytest.MonkeyPatch):
    """A tilde in the home is the folder of the user; a home of an unknown user is ignored, without a message."""
    assert installed("tokens", "issue", "-q", "--user", "olga", "--application", "x").code == 0
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("AUTHCTL_HOME", str(home))
    for before in ("", "--home ~nobody-of-that-name "):
        ran = installed("completion", "fish", "--", *f"authctl {before}users show ol".split(" "))
        assert (ran.out, ran.err, ran.code) == ("olga\n", "", 0)
    monkeypatch.setenv("AUTHCTL_HOME", "/nowhere")
    ran = installed("completion", "fish", "--", "authctl", "--home", f"~/{home.name}", "users", "show", "ol")
    assert ran.out == "olga\n"


@pytest.mark.in_a_file  # the registry of another home is a file in it
@needs
def test_an_installation_named_before_the_command(shell: str, authctl: Authctl, tmp_path: Path):
    """Its names are completed; without a registry there are none, and no message."""
    other = str(tmp_path / "other")
    assert authctl("--home", other, "init", "-q").code == 0
    assert authctl("--home", other, "tokens", "issue", "-q", "--user", "olga", "--application", "x").code == 0
    for line, expected in {
        f"authctl --home {other} users show ol": "olga\n",
        f"authctl --home={other} users show ol": "olga\n",
        "authctl users show ol": "",
        "authctl --home /nowhere users show ol": "",
    }.items():
        ran = authctl("completion", shell, "--", *question(shell, line))
        assert (ran.out, ran.err, ran.code) == (expected, "", 0), line


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("authctl users show 'a", ["anna"]),
        ('authctl users show "a', ["anna"]),
        ("authctl users show a\\", None),
        ("authctl users show $(a", None),
        ("authctl users show `a", None),
        ("authctl users show > a", ["anna", "a\\$x"]),
        ("authctl users show >a", None),
        ("other | authctl users show a", ["anna", "a\\$x"]),
        ("X=1 /usr/bin/authctl users show a", ["anna", "a\\$x"]),
        ("other a", None),
    ],
)
def test_lines_of_bash(line: str, answers: list[str] | None):
    """Within quotes only plain names; nothing where bash would expand the word, or goes on with a backslash."""
    read = bash_words.read(line)
    assert (read and read.answers("a", ["anna", "a$x"])) == answers


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ('authctl users show "a\\b', "a\\b"),
        ('authctl users show "a\\$b', "a$b"),
        ("authctl users show a\\b", "ab"),
        ("authctl users show 'a\\$b", "a\\$b"),
        ('authctl users show "a>b', "a>b"),
    ],
)
def test_the_typed_text_of_bash(line: str, typed: str):
    """Within double quotes a backslash stands before four characters alone; no quoted character is a redirection."""
    read = bash_words.read(line)
    assert read is not None
    assert read.typed == typed


def test_a_common_beginning_never_ends_in_a_backslash():
    """Bash inserts the common beginning of the answers: a backslash at its end would change the meaning of the next character."""
    read = bash_words.read("authctl users show a")
    assert read is not None
    assert os.path.commonprefix(read.answers("a", ["a$x", "a;y"])) == "a"  # noqa: RUF071


def test_most_names_of_a_beginning(installed: Authctl):
    """At most a hundred."""
    rows = "".join(f'{{"u": "user{n:03}", "t": "2026-01-01T00:00:00Z"}}\n' for n in range(150))
    Path(os.environ["AUTHCTL_HOME"], "map.yaml").write_text("fields: {username: u, at: t}\nkey: [username]\n")
    mapping = str(Path(os.environ["AUTHCTL_HOME"], "map.yaml"))
    assert installed("sessions", "import", "-", "--map", mapping, stdin=rows).code == 0
    found = installed("completion", "zsh", "--", "authctl", "users", "show", "user").out.splitlines()
    assert found == [f"user{n:03}" for n in range(100)]


def test_most_recent_applications_and_the_last_spelling(installed: Authctl):
    """At most a hundred applications, too; a user as spelled in the session that was used last."""
    with Registry.open(os.environ["AUTHCTL_HOME"]) as registry:
        for user in ("carol", "CAROL", "Carol"):
            registry.issue(username=user, application="x")
        for n in range(101):
            registry.issue(username="dave", application=f"app{n:03}")
        assert registry.completions.applications("app") == [f"app{n:03}" for n in range(100)]
        assert registry.completions.users("ca") == ["Carol"]


def test_a_retired_key_is_not_completed(installed: Authctl):
    """Only keys that can still be retired are offered; the one that signs is among them, and its refusal gives the reason."""
    (first,) = installed("keys", "list", "-o", "id").out.split()
    assert installed("keys", "rotate", "--note", "yearly rotation").code == 0
    assert installed("keys", "retire", first, "--sign-out", "--note", "yearly rotation", "--yes").code == 0
    found = installed("completion", "fish", "--", "authctl", "keys", "retire", "").out.split()
    assert found == [one for one in installed("keys", "list", "-o", "id").out.split() if one != first] != []


def test_the_scripts_evaluate_nothing(installed: Authctl):
    """No script has an `eval`: what the registry answers is text."""
    for shell in SHELLS:
        script = installed("completion", shell).out
        assert "command authctl completion" in script
        assert "eval" not in script


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("help", "exi"), ["exit-codes"]),
        (("help", "ex"), ["explain", "examples", "exit-codes"]),
        (("help", "sessions", "li"), ["list"]),
        (("help", "sessions", "exi"), []),
        (("help", "revoke", ""), []),
        (("help", "times", ""), []),
        (("examples", "show", "authctl-cleanup.t"), ["authctl-cleanup.timer"]),
    ],
)
def test_topics_commands_and_examples(installed: Authctl, words: tuple[str, ...], found: list[str]):
    """After `help`: topics and commands, then the verbs of a noun; after `examples show` the example files."""
    assert installed("completion", "zsh", "--", "authctl", *words).out.split() == found
