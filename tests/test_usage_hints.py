"""Errors of a first day: each gives the next thing to type, in words and not in formulas."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authctl.cli.app import COMMANDS
from tests.conftest import Authctl, OnTerminal, every_command


def issue(installed: Authctl, user: str = "alice") -> str:
    """A session of that user; its id."""
    return installed("tokens", "issue", "--user", user, "--application", "Outlook", "-o", "id", "-q").out.strip()


@pytest.mark.parametrize(
    ("arguments", "least"),
    [
        (("sessions", "list", "--limit"), 1),
        (("users", "list", "--limit"), 1),
        (("audit", "list", "--limit"), 1),
        (("audit", "show", "--"), 0),
        (("imports", "show"), 1),
        (("imports", "undo", "1", "--max-affected"), 0),
        (("revoke", "--all", "--max-affected"), 0),
        (("cleanup", "--batch-size"), 1),
        (("sessions", "import", "x", "--map", "y.yaml", "--max-affected"), 0),
    ],
    ids=str,
)
def test_a_number_that_an_option_does_not_take(installed: Authctl, arguments: tuple[str, ...], least: int):
    """Exit 2, with the least number in words; one that no database could hold is refused too."""
    for text in ("x", "1.5", "", "1_0", "\u0661", "\xb2", "+1", f"{least - 1}"):
        ran = installed(*arguments, text)
        assert ran.code == 2
        assert f"'{text}' is not a whole number of {least} or more" in ran.err
    assert "'4611686018427387905' is more than 4,611,686,018,427,387,904" in installed(*arguments, f"{2**62 + 1}").err
    assert "whole number" not in installed(*arguments, str(least)).err


def test_no_help_shows_a_formula(authctl: Authctl):
    """Limits of numbers are given in words, or not at all."""
    commands = list(every_command())
    assert len(commands) > 30
    for command in commands:
        assert "<=" not in authctl(*command, "--help").out, command


@pytest.mark.parametrize("group", [(), *((name,) for name in COMMANDS)], ids=str)
def test_the_list_of_commands_has_whole_sentences(authctl: Authctl, group: tuple[str, ...]):
    """A description that was cut hides what the command does."""
    out = authctl(*group, "--help").out
    commands = out.partition("Commands:\n")[2]
    assert commands or group
    assert "..." not in commands


@pytest.mark.parametrize("option", ["--home", "--registry", "--keys"])
def test_an_option_of_all_commands_after_the_command(authctl: Authctl, option: str):
    """The hint gives the order in which it is accepted; an option that no command has gets the help as before."""
    for typed in (option, f"{option}=x"):
        ran = authctl("sessions", "list", typed, "x")
        assert (ran.code, ran.out) == (2, "")
        assert f"error: {option} goes before the command\n" in ran.err
        assert re.search(rf"^authctl: hint: authctl {option} (DIR|PATH|PLACE) sessions list$", ran.err, re.MULTILINE)
    assert "hint: authctl sessions list --help\n" in authctl("sessions", "list", "--hone").err
    assert "hint: authctl --help\n" in authctl("--hone", "sessions", "list").err


def test_another_word_for_list(authctl: Authctl):
    """`ls` is `list` of every noun that has it, and no other word stands for a verb; no help text shows it."""
    nouns = {path[0] for path in every_command() if path[1:] == ("list",)}
    assert len(nouns) > 5
    for noun in nouns:
        assert authctl(noun, "ls", "--help").out == authctl(noun, "list", "--help").out
        assert " ls" not in authctl(noun, "--help").out
        for word in ("rm", "delete", "kill", "l", "LS"):
            ran = authctl(noun, word)
            assert (ran.code, f"no such command '{word}'" in ran.err) == (2, True)
            assert f"hint: commands of authctl {noun}: " in ran.err
    assert authctl("revoke", "ls", "--note", "lost device").code == 6  # an id, on an installation that is not there
    assert "no such command 'ls'" in authctl("ls").err


def test_a_user_in_the_place_of_an_id(installed: Authctl):
    """The hint of `revoke` names the user whom it knows; of others, and of what can be no name, it gives the list."""
    session = issue(installed)
    ran = installed("revoke", "ALICE", "--note", "lost device")
    assert ran.code == 3
    assert "error: no session 'ALICE'\n" in ran.err
    assert "hint: to revoke all sessions of this user: authctl revoke --user 'ALICE'\n" in ran.err
    assert installed("sessions", "show", session, "-o", "json").json["status"] == "active"
    for text in ("nobody", "a\u200bb", "x" * 2000):
        assert "hint: to find it: authctl sessions list\n" in installed("revoke", text, "--note", "lost device").err


def test_a_file_in_the_place_of_a_token(installed: Authctl, tmp_path: Path):
    """A path is no token; the warning shows how the file is given."""
    path = tmp_path / "token"
    path.write_text(installed("tokens", "issue", "--user", "alice", "--application", "Outlook").out)
    ran = installed("tokens", "verify", str(path))
    assert ran.code == 5
    assert "give it on standard input: < FILE" in ran.err
    assert installed("tokens", "verify", stdin=path.read_bytes()).code == 0


@pytest.mark.parametrize("typed", ["", "two\nlines"])
def test_a_password_that_nobody_could_have(installed: Authctl, home: Path, typed: str):
    """The hint gives the place from which it is read."""
    text = (home / "profiles.yaml").read_text() + "    authenticator: staff\n"
    (home / "profiles.yaml").write_text(text)
    (home / "authenticators.yaml").write_text("version: 1\nauthenticators:\n  staff: {command: [/bin/false]}\n")
    (home / "authenticators.yaml").chmod(0o600)
    assert installed("profiles", "apply", "--note", "name and password").code == 0
    ran = installed("login", "--user", "alice", "--application", "Outlook", stdin=typed)
    assert ran.code == 2
    assert "hint: give it in one line on standard input\n" in ran.err


OTHER_PROFILES = "version: 1\nprofiles:\n  default: {idle_timeout: 2d}\n"


def test_profiles_of_another_file(installed: Authctl, home: Path, tmp_path: Path):
    """They are in force, and the home's file would bring the old ones back: a warning; none where both files agree."""
    other = tmp_path / "other.yaml"
    other.write_text(OTHER_PROFILES)
    own = home / "profiles.yaml"
    apply = ("profiles", "apply", str(other), "--note", "two days")
    warning = f"authctl: warning: {own} has other profiles; to keep the applied ones: copy {other} there"
    assert warning not in installed(*apply, "--dry-run").err
    assert installed(*apply, "-q").err == ""
    first, second = installed(*apply).err.splitlines()[-2:]
    assert (first.startswith(warning), second.startswith(f"authctl: applied {other}: ")) == (True, True)
    (profiles,) = [one for one in installed("doctor", "-o", "json").json if one["check"] == "profiles"]
    assert profiles["found"] == f"{own} differs from the profiles in force"
    assert profiles["next"].startswith("authctl profiles diff; then correct the file, or ")
    own.write_text("version: 2\n")
    assert warning in installed(*apply).err
    own.write_text(OTHER_PROFILES)
    assert "warning" not in installed(*apply).err
    assert "warning" not in installed("profiles", "apply", "--note", "two days").err
    own.unlink()
    assert "warning" not in installed(*apply).err


def jupyterhub(tmp_path: Path, user: str, *numbers: int) -> str:
    """The listing of one user's tokens, as JupyterHub writes it."""
    created = (datetime.now(UTC) - timedelta(hours=4)).isoformat()
    tokens = [
        {"user": user, "id": f"{user}{n}", "note": "", "created": created, "last_activity": created} for n in numbers
    ]
    path = tmp_path / f"{user}.json"
    path.write_text(json.dumps({"api_tokens": tokens}))
    return str(path)


def test_a_complete_listing_of_one_user(installed: Authctl, on_terminal: OnTerminal, tmp_path: Path):
    """A mapping whose listings have one user: without --user a warning, since all other users are missing in the file."""
    alice, bob = jupyterhub(tmp_path, "alice", 1, 2, 3), jupyterhub(tmp_path, "bob", 4)
    imported = ("sessions", "import", "--map", "jupyterhub", "-q")
    assert installed(*imported, alice, bob).err == ""
    complete = (*imported, "--complete", "--taken-at", "1h", "--yes")
    ran = installed(*complete, bob)
    assert re.search(r"warning: a listing of 'jupyterhub' has the sessions of one user; .*--user NAME", ran.err)
    assert ran.code == 4
    assert installed(*complete, bob, "--user", "bob").err == ""
    assert re.search(r"complete +yes \(of bob\)", on_terminal("imports", "show", "2").text)
    mappings = {one["name"]: one for one in installed("mappings", "list", "-o", "json").json}
    assert {name: mappings[name]["complete_for"] for name in ("jupyterhub", "samba", "okta")} == {
        "jupyterhub": "user",
        "samba": "source",
        "okta": None,
    }
    assert all(one["complete"] is (one["complete_for"] is not None) for one in mappings.values())


def test_a_hint_is_for_the_installation_that_was_typed(authctl: Authctl, tmp_path: Path):
    """Typed without it, the next command would make or change another installation."""
    there = tmp_path / "another home"
    ran = authctl("--home", str(there), "sessions", "list")
    assert (ran.code, ran.err.splitlines()[-1]) == (6, f"authctl: hint: authctl --home '{there}' init")
    ran = authctl(f"--home={there}", "--keys", "k", "sessions", "list")
    assert ran.err.splitlines()[-1] == f"authctl: hint: authctl --home '{there}' --keys k init"
    assert authctl("sessions", "list").err.splitlines()[-1] == "authctl: hint: authctl init"
    assert "commands of authctl imports: list" in authctl("--home", str(there), "imports", "rm").err
