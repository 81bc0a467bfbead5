"""Sizes of a terminal in COLUMNS and LINES that are none: an operation that is done is shown all the same."""

import sys

import pytest

from tests.conftest import Authctl

COMMANDS = (
    ("revoke", "--user", "alice", "--note", "lost device"),
    ("sessions", "list"),
    ("sessions", "list", "--group-by", "user"),
    ("audit", "show", "1"),
    ("stats",),
    ("cleanup",),
    ("doctor",),
)


@pytest.mark.parametrize("variable", ["COLUMNS", "LINES"])
@pytest.mark.parametrize(
    "size", ["\xb2", "\u0662\u0660", "-5", "0", "", "8" * 5_000, "wide"], ids=lambda size: size[:6]
)
def test_a_size_that_is_none_is_passed_over(
    installed: Authctl, monkeypatch: pytest.MonkeyPatch, variable: str, size: str
):
    """Python calls a raised 2 a digit, and `int` cannot read it: rich failed with it, after the revocation."""
    monkeypatch.setattr("authctl.cli.context.is_terminal", lambda stream: stream in (sys.stdout, sys.stderr))
    assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q").code == 0
    monkeypatch.setenv(variable, size)
    for command in COMMANDS:
        ran = installed(*command)
        assert ran.code == (9 if command == ("doctor",) and ran.code else 0), (command, ran)
        assert "unexpected failure" not in ran.err
