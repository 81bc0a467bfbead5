"""An empty list says so on standard error, with the nearest names; what a list leaves out unasked is counted."""

import ast
from pathlib import Path

import pytest

import authctl as package
from authctl import InvalidInput
from authctl.model import EventFilter
from authctl.model.audit import ACTIONS
from tests.conftest import Authctl, every_command

EMPTY = {
    ("sessions", "list"): "no session matches",
    ("sessions", "list", "--group-by", "user"): "no session matches",
    ("sessions", "list", "--status", "revoked"): "no session matches",
    ("sessions", "list", "--wipe", "pending"): "no session matches",
    ("audit", "list", "--action", "session.revoke"): "no event matches",
    ("users", "list"): "no user is listed",
    ("users", "list", "--disabled"): "no user is listed",
    ("continuity", "status"): "no continuity event is running",
    ("cache", "list"): "no login is remembered",
    ("imports", "list"): "no import is recorded",
    ("receivers", "list"): "no receiver is configured; to begin with a file: authctl examples show receivers.yaml",
    ("deliveries", "list"): "no delivery matches",
    ("clients", "list"): "no client was added",
}


@pytest.fixture
def signed_in(installed: Authctl) -> Authctl:
    """The command line on an installation with a few users, one of whom has web sessions."""
    for user, kind in (
        ("alice", "application"),
        ("alice", "web"),
        ("alice", "web"),
        ("bob", "application"),
        ("carol", "web"),
    ):
        installed("tokens", "issue", "--user", user, "--application", "Outlook", "--kind", kind)
    return installed


@pytest.mark.parametrize("command", EMPTY, ids=" ".join)
@pytest.mark.parametrize("form", [(), ("-o", "json"), ("-o", "csv"), ("-o", "id")])
def test_every_empty_list_says_so(installed: Authctl, command: tuple[str, ...], form: tuple[str, ...]):
    """Exit 0, once, on standard error, and not where silence was asked for; standard output is as empty as ever."""
    ran = installed(*command, *form)
    assert (ran.code, ran.err) == (0, f"authctl: {EMPTY[command]}\n")
    quiet = installed(*command, *form, "-q")
    assert (quiet.code, quiet.err, quiet.out) == (0, "", ran.out)


def test_no_command_that_lists_was_forgotten():
    """What can be empty is above; keys, profiles, shipped mappings and examples never are."""
    lists = {path for path in every_command() if path[-1] in ("list", "status", "diff")}
    assert lists - {path[:2] for path in EMPTY} == {
        ("keys", "list"),
        ("profiles", "list"),
        ("profiles", "diff"),
        ("mappings", "list"),
        ("examples", "list"),
    }


def test_a_list_that_has_something_says_nothing(signed_in: Authctl):
    """Nothing is said where a row was printed."""
    for command in (("sessions", "list"), ("audit", "list"), ("users", "list"), ("sessions", "list", "--user", "bob")):
        assert signed_in(*command).err == ""


@pytest.mark.parametrize("more", [(), ("--kind", "all"), ("--count",), ("-o", "json"), ("--sort", "id")])
def test_a_list_of_a_user_whom_nobody_knows_names_the_nearest(signed_in: Authctl, more: tuple[str, ...]):
    """A list of several names the ones that nobody has, though others were found."""
    ran = signed_in("sessions", "list", "--user", "alcie", *more)
    assert ran.code == 0
    assert "authctl: no session of 'alcie' is in the registry; nearest names: 'alice'\n" in ran.err
    several = signed_in("sessions", "list", "--user", "bob", "--user", "bbo", *more)
    assert "no session of 'bbo' is in the registry; nearest names: 'bob'" in several.err
    assert "'bob' is in the registry" not in several.err
    assert signed_in("sessions", "list", "--user", "alcie", "-q", *more).err == ""


def test_an_empty_audit_list_of_an_unknown_user_names_the_nearest(signed_in: Authctl):
    """Only where it is empty: a user whose sessions were cleaned up still has events."""
    ran = signed_in("audit", "list", "--user", "alcie")
    assert ran.err.splitlines() == [
        "authctl: no event matches",
        "authctl: no session of 'alcie' is in the registry; nearest names: 'alice'",
    ]
    signed_in("users", "disable", "zoe", "--note", "never to sign in")
    assert signed_in("audit", "list", "--user", "zoe").err == ""
    assert "nearest names: 'bob'" in signed_in("cache", "list", "--user", "bobb").err


def test_a_revoke_of_a_user_whom_nobody_knows_names_the_nearest(signed_in: Authctl):
    """Exit 3 where nothing matched, and said, too, where another user of the same command was revoked."""
    ran = signed_in("revoke", "--user", "alcie", "--note", "lost device", "-q")
    assert ran.code == 3
    assert ran.err.splitlines()[0] == (
        "authctl: warning: no session of 'alcie' is in the registry; nearest names: 'alice'"
    )
    several = signed_in("revoke", "--user", "bob", "--user", "alcie", "--note", "both left", "-q")
    assert several.code == 0
    assert "no session of 'alcie'" in several.err
    assert "no session of" not in signed_in("revoke", "--user", "bob", "--note", "once more").err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("alcie", "no session 'alcie', and no user of that name; nearest names: 'alice'"),
        ("alice", "authctl sessions list --user 'alice'"),
        ("zzzzzzzz", "no session 'zzzzzzzz'"),
        ("nobody at all", "no session 'nobody at all'"),
        ("", "no session ''"),
        ("\udcff", "no session '\\udcff'"),
        ("x" * 3_000, "no session 'xxx"),
    ],
)
def test_a_name_in_the_place_of_an_id_is_met_with_the_nearest_names(signed_in: Authctl, typed: str, said: str):
    """`sessions show` stays exit 3, and says how to go on."""
    ran = signed_in("sessions", "show", typed)
    assert ran.code == 3
    assert said in ran.err


def test_web_sessions_that_a_list_leaves_out_unasked_are_counted(signed_in: Authctl):
    """Of the users that are named, within the other filters; not where a kind was asked for, nor quietly."""
    left_out = "authctl: 2 web sessions not listed; to see them, too: --kind all\n"
    assert signed_in("sessions", "list", "--user", "alice").err == left_out
    assert signed_in("sessions", "list", "--user", "alice", "--count").err == left_out
    assert "3 web sessions not listed" in signed_in("sessions", "list", "--user", "alice", "--user", "carol").err
    assert signed_in("sessions", "list", "--user", "carol").err.endswith(
        "1 web session not listed; to see them, too: --kind all\n"
    )
    for more in (("--kind", "application"), ("--kind", "all"), ("--kind", "web"), ("-q",), ("--status", "expired")):
        assert "web session" not in signed_in("sessions", "list", "--user", "alice", *more).err
    assert signed_in("sessions", "list").err == ""


@pytest.mark.parametrize(
    "action", ["session.revoked", "revoke", "SESSION.REVOKE", "", " ", "session.*", "x" * 900, "\x1b[31m"]
)
def test_an_action_that_no_event_can_have_is_refused(installed: Authctl, action: str):
    """As an unknown order is: exit 2, with those that are meant, or all."""
    ran = installed("audit", "list", "--action", action)
    assert (ran.code, ran.out) == (2, "")
    assert "no event has the action" in ran.err
    assert "hint: one of: " in ran.err
    assert installed("audit", "list", "--action", "session.issue", "--action", action).code == 2
    with pytest.raises(InvalidInput):
        EventFilter(action=action)


def test_the_nearest_actions_are_named_first(installed: Authctl):
    """And no others, where some are near."""
    assert "hint: one of: session.revoke" in installed("audit", "list", "--action", "session.revoked").err
    assert ", ".join(ACTIONS) in installed("audit", "list", "--action", "nonsense").err


def recorded() -> dict[str, str]:
    """Every action that the code records, and where: the texts of that form that are given to whatever records."""
    found: dict[str, str] = {}
    for path in Path(package.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name.lstrip("_") in ("record", "save_and_end", "sealed"):
                texts = [
                    one.value
                    for one in [*node.args, *(k.value for k in node.keywords)]
                    if isinstance(one, ast.Constant)
                ]
                found |= {text: path.name for text in texts if isinstance(text, str) and text.count(".") == 1}
    return found


def test_the_actions_that_can_be_asked_for_are_those_that_are_recorded():
    """None is missing, and none is one that no code records."""
    found = recorded()
    assert len(found) > 20
    assert sorted(found) == list(ACTIONS)


def test_every_action_can_be_asked_for(installed: Authctl):
    """Each is accepted, alone and with all others."""
    every = [part for action in ACTIONS for part in ("--action", action)]
    assert installed("audit", "list", *every, "-o", "json").json[0]["action"] == "registry.init"
