"""The groups of options in the help texts: nothing is lost or said twice, and those of every day are in the first screen."""

import pytest
from typer.main import get_command

from authctl.cli.app import app
from authctl.cli.option_groups import DAILY
from tests.conftest import Authctl, every_command

LINES, COLUMNS = 24, 80


def options(path: str) -> set[str]:
    """The long names of all options of a command that are not hidden."""
    command = get_command(app)
    context = command.make_context("authctl", ["--help"], resilient_parsing=True)
    for name in path.split():
        command = command.get_command(context, name)  # type: ignore[attr-defined]
        context = type(context)(command, info_name=name, parent=context)
    shown = [param for param in command.get_params(context) if param.get_help_record(context)]
    return {max(param.opts, key=len) for param in shown if param.param_type_name == "option"}


def shown_options(text: str) -> list[str]:
    """The long name of each option that begins a line of a help text."""
    begins = [line.split() for line in text.splitlines() if line.startswith("  -")]
    return [next(word for word in words if word.startswith("--")) for words in begins]


@pytest.mark.parametrize("path", sorted(DAILY))
def test_the_options_of_every_day_are_in_the_first_screen(path: str, authctl: Authctl, monkeypatch: pytest.MonkeyPatch):
    """24 lines of 80 columns hold the usage, the description and the whole first group."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    lines = authctl(*path.split(), "--help").out.splitlines()
    assert all(len(line) <= COLUMNS for line in lines[: lines.index("Examples:")])
    first_screen = "\n".join(lines[:LINES])
    assert set(shown_options(first_screen)) >= set(DAILY[path])
    assert lines[lines.index("Options:") :].index("") + lines.index("Options:") <= LINES
    assert options(path) >= set(DAILY[path])


@pytest.mark.parametrize("path", [" ".join(words) for words in every_command()])
def test_every_option_is_in_one_group(path: str, authctl: Authctl):
    """Each help text shows each option of its command once."""
    shown = shown_options(authctl(*path.split(), "--help").out.partition("Examples:")[0])
    assert sorted(shown) == sorted(options(path))


def test_the_last_group_has_guards_and_actor_alone(authctl: Authctl):
    """The other options of revoke are its guards, its actor and its delivery; those of a list are all in a named group."""
    last = authctl("revoke", "--help").out.partition("Other options:\n")[2].partition("\n\n")[0]
    assert set(shown_options(last)) == {"--max-affected", "--deliver", "--actor"}
    assert "Other options:" not in authctl("sessions", "list", "--help").out
