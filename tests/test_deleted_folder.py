"""The working folder was deleted, or the operating system refuses something else: no command claims that it was done."""

import os
from pathlib import Path

import pytest

from tests.conftest import Authctl

COMMANDS = (
    ("backup", "copy.db"),
    ("restore", "copy.db", "--note", "disk failed", "--yes"),
    ("registry", "move", "--to", "elsewhere.db", "--note", "a larger disk", "--yes"),
    ("stats", "--html", "page.html", "--prometheus", "page.prom"),
)


@pytest.fixture
def in_deleted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder of the test does not exist any more."""
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()


@pytest.mark.usefixtures("in_deleted_folder")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_relative_path_leads_nowhere(installed: Authctl, command: tuple[str, ...]):
    """Exit 2 with the reason, and not 8: nothing was done."""
    ran = installed(*command)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-2:] == [
        "authctl: error: the working folder does not exist any more",
        "authctl: hint: cd to another folder",
    ]


@pytest.mark.usefixtures("in_deleted_folder")
def test_an_absolute_path_needs_no_working_folder(installed: Authctl):
    """The home is absolute, so every other command works."""
    assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q").code == 0
    assert installed("revoke", "--user", "alice", "--note", "lost device").code == 0


def test_a_refusal_that_nothing_expects_is_no_failure_of_the_output(
    installed: Authctl, monkeypatch: pytest.MonkeyPatch
):
    """Exit 1: the session was not revoked, and the message does not say that a result was lost."""
    assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q").code == 0

    def refuse(_user: int) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.delenv("AUTHCTL_ACTOR", raising=False)
    monkeypatch.delenv("LOGNAME", raising=False)
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 1)
    monkeypatch.setattr("pwd.getpwuid", refuse)
    ran = installed("revoke", "--user", "alice", "--note", "lost device")
    assert ran.code == 1, ran
    assert "the result could not be written" not in ran.err
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"
