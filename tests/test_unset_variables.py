"""A shell variable that was never set gives a blank argument: it selects nothing, names no file, and sets nothing."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from authctl import EventFilter, InvalidInput, SessionFilter
from authctl.adapters.guard import Guard
from tests.conftest import Authctl, every_command

needs_the_door = pytest.mark.skipif(find_spec("uvicorn") is None, reason="authctl[serve] is not installed")

BLANK = "\u3000 "
"""A text that folds to nothing, as an empty one does."""


@pytest.fixture
def blank(installed: Authctl) -> Authctl:
    """An installation with a session whose texts are white space, besides its user."""
    issue = ("tokens", "issue", "--user", "alice", "--application", "Teams", "-q")
    assert installed(*issue, "--device", BLANK, "--platform", BLANK).code == 0
    return installed


@pytest.mark.parametrize("text", ["", "  ", BLANK], ids=["empty", "white space", "wide white space"])
@pytest.mark.parametrize("option", ["--application", "--device", "--platform", "--source", "--user", "--profile"])
def test_a_blank_target_selects_nothing(blank: Authctl, option: str, text: str):
    """Exit 2 for a list and a revocation, alone and beside a text that selects something; the session stays active."""
    for command in (("sessions", "list"), ("revoke", "--note", "lost device", "--yes")):
        for more in ((), (option, "Outlook")):
            ran = blank(*command, *more, option, text)
            assert (ran.code, ran.out) == (2, ""), ran
    assert blank("sessions", "list", "--status", "active", "--count").out == "1\n"


@pytest.mark.parametrize("option", ["--actor", "--search", "--action", "--user"])
def test_a_blank_criterion_of_the_audit_log_is_refused(installed: Authctl, option: str):
    """Exit 2: a search for nothing would list every event."""
    ran = installed("audit", "list", option, "")
    assert (ran.code, ran.out) == (2, "")


def test_a_blank_receiver_is_refused(installed: Authctl):
    """An empty list would look as if nothing waited for that receiver."""
    ran = installed("deliveries", "list", "--receiver", " ")
    assert (ran.code, ran.out) == (2, "")


def test_the_filters_of_the_library_refuse_a_blank_text():
    """The same for the library, where the text may come from a form."""
    for name in ("application", "device", "platform", "source", "username", "profile", "search"):
        for value in ("", ("Outlook", "")) if name != "search" else ("",):
            with pytest.raises(InvalidInput, match="blank"):
                SessionFilter(**{name: value})
    for name in ("actor", "username", "search"):
        with pytest.raises(InvalidInput, match="blank"):
            EventFilter(**{name: " "})


def _files() -> list[tuple[tuple[str, ...], str | None]]:
    """Every command with a parameter that is a file: the name of the option, or None for an argument."""
    return [
        (path, param.opts[0] if param.param_type_name == "option" else None)
        for path, params in every_command().items()
        for param in params
        if param.type.name == "path"
    ]


def test_files_are_found():
    """The test below has something to try."""
    assert len(_files()) >= 14


@pytest.mark.parametrize(("command", "option"), _files(), ids=str)
def test_a_blank_name_of_a_file_is_refused(
    installed: Authctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], option: str | None
):
    """Exit 2, and the message names no folder: Typer makes the working folder of a blank text."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for text in ("", " "):
        ran = installed(*command, *([option] if option else []), text)
        assert (ran.code, ran.out) == (2, "")
        assert f"'{option or 'FILE'}': '{text}' is not the name of a file\n" in ran.err
    assert not list((tmp_path / "empty").iterdir())


def test_a_client_without_a_right_is_not_made(installed: Authctl):
    """A blank `--may` gives no right, so there is no client."""
    for more in ((), ("--may", "verify")):
        assert installed("clients", "add", "shop", *more, "--may", "").code == 2
    assert installed("clients", "list", "-o", "id").out == ""


@needs_the_door
@pytest.mark.parametrize("name", ["", " ", "a b", "a;b", "a=b", "caf\xe9"])
def test_a_cookie_has_a_name(installed: Authctl, name: str):
    """The door does not start with a cookie that no browser sends, and no adapter is made for one."""
    ran = installed("serve", "--cookie", name)
    assert ran.code == 2, ran
    assert "not the name of a cookie" in ran.err
    with pytest.raises(InvalidInput, match="not the name of a cookie"):
        Guard(None, "Outlook", name)


@needs_the_door
@pytest.mark.parametrize(
    "url", ["", "door", "ftp://door", "https://", "https://[x", "https://door?x", "https://door#x"]
)
def test_an_issuer_is_the_url_of_a_door(installed: Authctl, url: str):
    """The metadata of the door gives addresses below its issuer, which RFC 8414 defines."""
    ran = installed("serve", "--issuer", url)
    assert ran.code == 2, ran
    assert "not the URL of a door" in ran.err


@needs_the_door
@pytest.mark.parametrize(
    "address",
    ["", ":8400", "127.0.0.1:\xb2", "fd:\xb2", "fd:", f"fd:{2**31}", f"127.0.0.1:{'9' * 5_000}", "127.0.0.1:65536"],
)
def test_a_door_listens_at_an_address(installed: Authctl, address: str):
    """A text that is none is exit 2, also one with a sign that only looks like a digit to Python."""
    ran = installed("serve", "--bind", address)
    assert ran.code == 2, ran
    assert "not an address to listen at" in ran.err


def test_white_space_around_an_actor_is_not_recorded(installed: Authctl):
    """The audit log is searched for exactly that name, and a list shows no difference."""
    assert installed("tokens", "issue", "--user", "alice", "--application", "Teams", "-q").code == 0
    assert installed("revoke", "--user", "alice", "--note", "lost device", "--actor", " bob\u3000").code == 0
    assert [event["action"] for event in installed("audit", "list", "--actor", "bob", "-o", "json").json] == [
        "session.revoke"
    ]
    assert installed("revoke", "--user", "alice", "--note", "lost device", "--actor", " \u3000").code == 2
