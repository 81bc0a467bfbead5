"""An option that takes one value refuses another one; an option that names targets in a filter takes several."""

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from authctl.cli.app import app
from tests.conftest import ENDLESS, Authctl, every_command

SEVERAL = {
    ("clients", "add"): {"may", "application"},
    ("serve",): {"proxy"},
    ("sessions", "list"): {"status", "user", "application", "device", "platform", "profile", "source"},
    ("sessions", "import"): {"user"},
    ("users", "password-changed"): {"excepted"},
    ("revoke",): {"status", "user", "application", "device", "platform", "profile", "source", "excepted"},
    ("audit", "list"): {"actor", "action", "user", "session"},
    ("deliveries", "list"): {"receiver", "state", "event", "user", "session"},
    ("cache", "list"): {"user"},
    ("cache", "clear"): {"user"},
    ("continuity", "start"): {"profiles"},
    ("continuity", "end"): {"profiles"},
}
"""The parameters of each command that may be given several values."""


def options(params: list[Any]) -> list[Any]:
    """The options among a command's parameters that take a value."""
    return [one for one in params if one.param_type_name == "option" and not (one.is_flag or one.count)]


def every_option() -> list[tuple[tuple[str, ...], Any]]:
    """Every option that takes a value, of every command and of the root."""
    commands: dict[tuple[str, ...], list[Any]] = {(): get_command(app).params, **every_command()}
    return [(path, option) for path, params in commands.items() for option in options(params)]


def test_every_option_that_takes_one_value_is_refused_with_two(authctl: Authctl):
    """On every command and on the root: exit 2, and both values are named."""
    tried = 0
    for path, option in every_option():
        if option.multiple:
            continue
        for name in option.opts:
            given = [name, "first", name, "second"]
            ran = authctl(*path, *given) if path else authctl(*given, "doctor")
            assert ran.code == 2, (path, name, ran)
            assert f"error: {option.opts[0]} was given twice: 'first' and 'second'" in ran.err, (path, name)
            tried += 1
    assert tried > 100


def test_no_option_is_refused_for_the_same_value_again(authctl: Authctl, monkeypatch, tmp_path: Path):
    """An alias that says `--home X` already may meet the same value again, as may every option."""
    monkeypatch.chdir(tmp_path)  # some of them write a file of that name
    tried = 0
    for path, option in every_option():
        if path in ENDLESS:
            continue
        name = option.opts[0]
        given = [name, "first", f"{name}=first"] if name.startswith("--") else [name, "first", name, "first"]
        ran = authctl(*path, *given) if path else authctl(*given, "no-such-command")
        assert "was given twice" not in ran.err, (path, name)
        tried += 1
    assert tried > 100


def test_the_options_that_take_several_values_are_these():
    """A filter's targets, and what narrows a command to several things."""
    found: dict[tuple[str, ...], set[str]] = {}
    for path, option in every_option():
        if option.multiple:
            found.setdefault(path, set()).add(option.name)
    assert found == SEVERAL


def test_each_way_to_write_an_option_is_the_same_option(installed: Authctl):
    """Short and long, with a space or an equals sign: two values are two."""
    for given in (["-o", "json", "--output=csv"], ["-ojson", "-ocsv"], ["--output", "json", "-o", "csv"]):
        ran = installed("sessions", "list", *given)
        assert (ran.code, ran.out) == (2, "")
        assert "--output was given twice: 'json' and 'csv'" in ran.err
    assert installed("sessions", "list", "-o", "json", "--output=json").code == 0


def test_nothing_is_done_where_a_note_was_given_twice(installed: Authctl):
    """The last note does not win: nothing is revoked."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    ran = installed("revoke", "--user", "alice", "--note", "lost device", "--note", "left the company")
    assert ran.code == 2
    assert "--note was given twice: 'lost device' and 'left the company'" in ran.err
    assert installed("sessions", "list", "-o", "json").json[0]["status"] == "active"


def test_flags_may_repeat(installed: Authctl):
    """A flag that is said again says nothing new."""
    assert installed("sessions", "list", "-q", "--quiet", "-qq", "--count", "--count").out == "0\n"


def test_the_environment_says_no_first_value(installed: Authctl, monkeypatch: pytest.MonkeyPatch):
    """What is typed replaces what a variable says, and is not compared with it."""
    monkeypatch.setenv("AUTHCTL_OUTPUT", "csv")
    assert installed("sessions", "list", "-o", "json").json == []
    monkeypatch.setenv("AUTHCTL_ACTOR", "carol")
    assert installed("audit", "list", "-o", "json", "--actor", "tester").code == 0


def test_a_value_that_was_given_twice_is_shown_with_no_token_and_nothing_raw(installed: Authctl):
    """What is repeated in the message is cut, visible, and without tokens."""
    token = "acat_" + "0" * 124
    ran = installed("revoke", "--note", f"\x1b[31m{token}", "--note", "x" * 5_000)
    assert ran.code == 2
    assert "\x1b" not in ran.err
    assert "0" * 32 not in ran.err
    assert len(ran.err) < 400
