"""A name that nobody has: said after the operation, with the nearest names; and several names at once, all or none."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, NotFound, Registry
from authctl.names import fold
from tests.conftest import Authctl, every_command, unseen

KNOWN = ["alice", "bob", "carol.mueller@example.org", "dora.smith", "al"]
WHY = ("--note", "left the company")


@pytest.fixture
def signed_in(installed: Authctl) -> Authctl:
    """The command line on an installation with a session of each known user."""
    for user in KNOWN:
        installed("tokens", "issue", "--user", user, "--application", "Outlook")
    return installed


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("alcie", "alice"),
        ("alic", "alice"),
        ("ailce", "alice"),
        ("alicee", "alice"),
        ("a1ice", "alice"),
        ("ALICR", "alice"),
        ("alice@example.org", "alice"),
        ("bobb", "bob"),
        ("rob", "bob"),
        ("carol.muller", "carol.mueller@example.org"),
        ("carol.mueller", "carol.mueller@example.org"),
        ("carol.mueller@example.com", "carol.mueller@example.org"),
        ("carol.mueler@exmple.org", "carol.mueller@example.org"),
        ("dora.smyht", "dora.smith"),
        ("dora", "dora.smith"),
    ],
)
def test_a_misspelled_name_is_said_with_the_nearest_one(signed_in: Authctl, typed: str, nearest: str):
    """It is disabled all the same, exit 0: to bar somebody beforehand is a real wish; quiet or not, it is said afterwards."""
    ran = signed_in("users", "disable", typed, *WHY, "-o", "json", "-q")
    assert ran.code == 0
    assert (ran.json["known"], ran.json["disabled"], ran.json["ended"]) == (False, True, 0)
    (said,) = ran.err.splitlines()
    assert said.startswith(f"authctl: warning: no session of '{typed}' is in the registry; nearest names: '{nearest}'")
    assert said.count("'") <= 8


def test_what_is_said_comes_after_what_was_done(signed_in: Authctl):
    """The operation is not kept waiting, and nobody takes the warning for a refusal."""
    done, warned = signed_in("users", "disable", "alcie", *WHY).err.splitlines()
    assert done.startswith("authctl: disabled alcie")
    assert warned.startswith("authctl: warning: no session of 'alcie'")


@pytest.mark.parametrize("verb", ["disable", "enable", "password-changed"])
def test_a_known_name_is_known_and_nothing_is_said_of_it(signed_in: Authctl, verb: str):
    """However it is spelled, and whatever became of its sessions."""
    signed_in("revoke", "--user", "bob", "--note", "lost device")
    for name in ("ALICE", "bob"):
        ran = signed_in("users", verb, name, *WHY, "-o", "json")
        assert (ran.code, ran.json["known"]) == (0, True)
        assert "warning" not in ran.err


@pytest.mark.parametrize("verb", ["disable", "enable", "password-changed"])
def test_json_says_of_each_change_whether_the_user_is_known(signed_in: Authctl, verb: str):
    """Disabling, enabling, a changed password, and a dry run."""
    signed_in("users", "disable", "zoe", *WHY)
    ran = signed_in("users", verb, "zoe", *WHY, "-o", "json")
    assert (ran.code, ran.json["known"]) == (0, False)
    dry = signed_in("users", "disable", "alcie", "--dry-run", "-o", "json")
    assert (dry.code, dry.json["known"], dry.json["dry_run"]) == (0, False, True)
    assert "'alice'" in dry.err


def test_a_name_far_from_all_is_said_with_no_other(signed_in: Authctl):
    """Nobody is suggested who is meant by nobody."""
    ran = signed_in("users", "disable", "quentin", *WHY)
    assert ran.err.splitlines()[1:] == ["authctl: warning: no session of 'quentin' is in the registry"]


def test_a_domain_in_common_brings_no_names_together(registry: Registry):
    """Addresses are near each other by what stands before the `@`; everybody of a company has the rest."""
    registry.issue(username="bob@example.org", application="Outlook")
    assert registry.users.nearest("quentin@example.org") == []
    assert registry.users.nearest("zed@example.org") == []
    assert registry.users.nearest("bobb@example.org") == ["bob@example.org"]


@pytest.mark.parametrize("command", [("users", "show", "alcie"), ("users", "enable", "alcie", *WHY)])
def test_an_unknown_user_is_not_found_with_the_nearest_names(signed_in: Authctl, command):
    """Where there is nothing to do, the error itself names them."""
    ran = signed_in(*command)
    assert ran.code == 3
    assert "error: no user 'alcie'; nearest names: 'alice'" in ran.err


def test_names_that_are_shown_as_nearest_do_no_harm(installed: Authctl):
    """What applications registered is foreign text: shown on one line, cut, and never as markup."""
    for name in ("mallory[bold]x[/bold]", "mallory:smile:", "mallory {a} %s", "mallory'; rm -rf", "mallory" * 100):
        installed("tokens", "issue", "--user", name, "--application", "Outlook")
        ran = installed("users", "disable", f"{name}x", *WHY)
        assert ran.code == 0
        assert unseen(ran.err) == []
        (said,) = [line for line in ran.err.splitlines() if "nearest" in line]
        assert f"nearest names: '{name[:57]}" in said
        assert len(said) < 400


def test_at_most_three_names_are_suggested_each_once_and_as_it_is_spelled(registry: Registry):
    """The nearest first; as the last session spells it; never the name itself."""
    for name in ("Alice", "ALICE", "alicia", "alibe", "alicf", "alicg", "malice"):
        registry.issue(username=name, application="Outlook")
    near = registry.users.nearest("alicx")
    assert len(near) == 3
    assert len(set(map(fold, near))) == 3
    assert registry.users.nearest("alices")[0] == "ALICE"
    assert registry.users.nearest("ALICE") == []
    with pytest.raises(InvalidInput):
        registry.users.nearest(" ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_slip_away_is_always_known(signed_in_many: Registry, data):
    """A letter left out, added, replaced, or exchanged with its neighbour: the name that was meant is among the nearest."""
    name = data.draw(st.sampled_from(MANY))
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789.-_@"))
    before, here, after = name[:at], name[at], name[at + 1 :]
    slipped = data.draw(
        st.sampled_from(
            [
                before + after,
                before + letter + here + after,
                before + letter + after,
                before + after[:1] + here + after[1:],
            ]
        )
    )
    if fold(slipped) and fold(slipped) not in map(fold, MANY):
        assert name in signed_in_many.users.nearest(slipped)


MANY = ["anna.schmidt", "bertrand@example.net", "christos77", "d-dubois", "evangelina_rossi", "5410023"]


@pytest.fixture
def signed_in_many(registry: Registry) -> Registry:
    """A registry with users who are far from each other, among a few hundred more."""
    if not registry.count():
        for name in MANY:
            registry.issue(username=name, application="Outlook")
        for number in range(300):
            registry.issue(username=f"user-{number:04}", application="Outlook")
    return registry


def test_two_slips_in_a_longer_name_are_found_by_what_is_shared(signed_in_many: Registry):
    """Whether the index of trigrams has the name already, or not yet."""
    for number in range(300, 600):
        signed_in_many.issue(username=f"user-{number:04}", application="Outlook")
    assert signed_in_many.users.nearest("evanglina_rosi")[0] == "evangelina_rossi"
    signed_in_many.issue(username="wolfeschlegelstein", application="Outlook")
    assert signed_in_many.users.nearest("wolfschlegelsteen")[0] == "wolfeschlegelstein"


@pytest.mark.parametrize("way", ["arguments", "input", "both"])
def test_several_users_are_changed_in_one_transaction(signed_in: Authctl, way: str):
    """An outcome for each, in an array; an event for each; at one instant."""
    given = {
        "arguments": (["alice", "bob"], ""),
        "input": (["-"], "\ufeffalice\r\n\n bob \n"),
        "both": (["alice", "-"], "bob"),
    }
    for verb in ("disable", "enable", "password-changed"):
        arguments, stdin = given[way]
        ran = signed_in("users", verb, *arguments, *WHY, "-o", "json", stdin=stdin)
        assert ran.code == 0, ran.err
        assert [one["username"] for one in ran.json] == ["alice", "bob"]
        assert len({one["at"] for one in ran.json}) == 1
        assert all(one["known"] for one in ran.json)
    for action in ("user.disable", "user.enable", "user.password"):
        events = signed_in("audit", "list", "--action", action, "-o", "json").json
        assert [one["subject"] for one in events] == ["bob", "alice"]


def test_one_name_answers_an_object_and_a_line_an_array(signed_in: Authctl):
    """The answer's shape follows from what was typed, not from how many lines there were."""
    assert isinstance(signed_in("users", "disable", "alice", *WHY, "-o", "json").json, dict)
    assert isinstance(signed_in("users", "enable", "-", *WHY, "-o", "json", stdin="alice\n").json, list)
    assert len(signed_in("users", "disable", "alice", "ALICE", *WHY, "-o", "json").json) == 1
    lines = signed_in("users", "disable", "bob", "al", *WHY, "-o", "ndjson").out.splitlines()
    assert [json.loads(line)["username"] for line in lines] == ["bob", "al"]


def test_the_sessions_of_several_users_are_one_table(signed_in: Authctl):
    """As a table and as ids, what ended is listed once, under one header."""
    ran = signed_in("users", "disable", "alice", "bob", *WHY)
    header, *rows = ran.out.splitlines()
    assert header.startswith("id\tusername")
    assert [row.split("\t")[1] for row in rows] == ["alice", "bob"]
    assert signed_in("users", "password-changed", "dora.smith", "al", *WHY, "-o", "id").out.count("\n") == 2


@pytest.mark.parametrize("bad", ["", " ", "a\u200bb", "-", "x" * 1_001, "\udcff"])
@pytest.mark.parametrize("verb", ["disable", "enable", "password-changed"])
def test_a_name_that_cannot_be_refuses_all(signed_in: Authctl, verb: str, bad: str):
    """Exit 2, and nothing is done to those before and after it."""
    before = signed_in("audit", "list", "-o", "id").out
    arguments = ["alice", bad, "bob"] if bad != "-" else ["alice", "\uff0d", "bob"]
    assert signed_in("users", verb, *arguments, *WHY).code == 2
    if bad.strip():
        stdin = f"alice\n{bad}\nbob\n".encode(errors="surrogateescape")
        assert signed_in("users", verb, "-", *WHY, stdin=stdin).code == 2
    assert signed_in("audit", "list", "-o", "id").out == before


def test_enabling_one_that_is_unknown_refuses_all(signed_in: Authctl):
    """As for one alone: exit 3, and nobody is enabled."""
    signed_in("users", "disable", "alice", *WHY)
    ran = signed_in("users", "enable", "alice", "bbo", *WHY)
    assert ran.code == 3
    assert "no user 'bbo'; nearest names: 'bob'" in ran.err
    assert signed_in("users", "show", "alice", "-o", "json").json["disabled"]


def test_no_names_on_standard_input_is_not_found(signed_in: Authctl):
    """As for ids: a list that came out empty names nobody."""
    for verb in ("disable", "enable", "password-changed"):
        assert signed_in("users", verb, "-", *WHY, stdin="\n \n").code == 3


def test_a_token_that_was_piped_in_the_place_of_names_is_refused(signed_in: Authctl):
    """It would be recorded as a user's name, and shown in every list of users."""
    token = signed_in("tokens", "issue", "--user", "alice", "--application", "Outlook", "-q").out
    ran = signed_in("users", "disable", "-", *WHY, stdin=f"bob\n{token}")
    assert (ran.code, token[30:60] in ran.err) == (2, False)
    assert signed_in("users", "list", "--disabled", "-o", "id").out == ""


def test_a_note_is_owed_for_several_as_for_one(signed_in: Authctl):
    """A missing or empty one refuses all."""
    for note in ((), ("--note", "--")):
        assert signed_in("users", "disable", "alice", "bob", *note).code == 4
    assert signed_in("users", "list", "--disabled", "-o", "id").out == ""


def test_a_dry_run_of_several_changes_nothing(signed_in: Authctl):
    """The same shape, with `dry_run`, and no event."""
    before = signed_in("audit", "list", "-o", "id").out
    ran = signed_in("users", "disable", "-", "--dry-run", "-o", "json", stdin="alice\nbbo\n")
    assert ran.code == 0
    assert [(one["ended"], one["dry_run"], one["known"]) for one in ran.json] == [(1, True, True), (0, True, False)]
    assert ran.err.count("nothing was changed") == 2
    assert signed_in("audit", "list", "-o", "id").out == before


def test_a_list_of_users_can_be_piped_on(signed_in: Authctl):
    """A table's header is no user, and its first column is the name. The header of a column alone is refused, unless it is an argument."""
    table = signed_in("users", "list").out
    assert table.startswith("username\t")
    ran = signed_in("users", "disable", "-", *WHY, "-o", "json", stdin=table)
    assert {one["username"] for one in ran.json} == set(KNOWN)
    assert signed_in("users", "disable", "-", *WHY, stdin="username\n").code == 2
    assert signed_in("users", "disable", "username", *WHY, "-o", "json").json["username"] == "username"


def test_of_many_names_ten_are_said_and_all_are_counted(signed_in: Authctl):
    """Standard error stays readable, and JSON has everybody."""
    ran = signed_in("users", "disable", "-", *WHY, "-o", "json", stdin="\n".join(f"nobody{n:02}" for n in range(25)))
    assert len(ran.json) == 25
    assert "15 users more (25 in all)" in ran.err
    assert "nor of 15 more (25 in all)" in ran.err
    assert len(ran.err.splitlines()) == 22


def test_the_library_changes_one_or_several(registry: Registry):
    """One outcome for one user, one each for several, in one transaction."""
    registry.issue(username="alice", application="Outlook")
    assert registry.users.disable("alice", note="left the company").known
    both = registry.users.disable_all(["bob", "alice"], note="left the company")
    assert [(one.user.username, one.changed, one.known) for one in both] == [
        ("bob", True, False),
        ("alice", False, True),
    ]
    with pytest.raises(NotFound):
        registry.users.enable_all(["alice", "zoe"], note="came back")
    assert [one.changed for one in registry.users.enable_all(["alice", "bob"], note="came back")] == [True, True]
    assert [one.ended for one in registry.users.passwords_changed(["alice", "bob"], note="reset")] == [0, 0]


def test_no_command_takes_a_dash_as_a_users_name(signed_in: Authctl):
    """Where `-` is not standard input it is nobody: exit 2 on every option and argument that names a user."""
    tried = 0
    for path, params in every_command().items():
        for param in params:
            if param.name == "user" or (
                param.param_type_name == "argument" and (param.metavar or "").startswith("USER")
            ):
                given = ["--user", "-"] if param.param_type_name == "option" else ["alice", "\uff0d"][-1:]
                owed = ["--application", "Outlook"] if path in (("tokens", "issue"), ("login",)) else []
                note = list(WHY) if any(one.name == "note" for one in params) else []
                ran = signed_in(*path, *given, *owed, *note, stdin="password\n")
                assert ran.code == 2, (path, ran.err)
                assert "is no user name" in ran.err or "invisible" in ran.err, (path, ran.err)
                tried += 1
    assert tried >= 11
    assert signed_in("users", "show", "-").code == 2


def test_a_user_who_is_called_dash_can_still_be_met_by_id(home: Path, registry: Registry, authctl: Authctl):
    """Where an application registered one, the session's id is the way."""
    issued = registry.issue(username="-", application="Outlook")
    assert authctl("revoke", "--user", "-", "--note", "lost device").code == 2
    assert authctl("revoke", issued.session.id, "--note", "lost device").code == 0
