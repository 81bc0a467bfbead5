"""Ids and tokens from standard input: a bad line loses nothing else, and what was pasted around a text does no harm."""

import json

import pytest

from authctl import Registry, TokenUnknown
from authctl.tokens import has_token_shape
from tests.conftest import Authctl

BOM = "\ufeff"
UNKNOWN = "zzzzzzzz"


def issue(authctl: Authctl, *users: str) -> list[dict]:
    """Sign users in."""
    signed_in = [authctl("tokens", "issue", "--user", user, "--application", "Outlook", "-o", "json") for user in users]
    return [one.json for one in signed_in]


def ids_of(issued: list[dict]) -> list[str]:
    """The ids of sessions that were issued."""
    return [one["session"]["id"] for one in issued]


REVOKE = ("revoke", "-", "--note", "lost device", "-o", "json")
END = ("sessions", "end", "-", "-o", "json")


@pytest.mark.parametrize("command", [REVOKE, END])
@pytest.mark.parametrize("line", ["not an id", "ABC!", "id", "\x1b[31m", "'", "x" * 5_000, "\udcff", UNKNOWN, "alice"])
def test_a_line_that_can_be_no_id_is_not_found_and_the_rest_is_done(installed: Authctl, command, line: str):
    """As an unknown one: exit 3, named in JSON, and the ids before and after it are done."""
    first, last = ids_of(issue(installed, "alice", "bob"))
    stdin = f"{first}\n{line}\n{last}\n".encode(errors="surrogateescape")
    ran = installed(*command, stdin=stdin)
    assert ran.code == 3, ran.err
    assert len(ran.json["not_found"]) == 1
    assert {one["id"] for one in ran.json["sessions"]} == {first, last}
    assert installed("sessions", "list", "--status", "active", "--count").out == "0\n"


@pytest.mark.parametrize("command", [REVOKE, END])
def test_a_line_that_is_too_short_or_not_unique_is_not_found_with_its_reason(installed: Authctl, command):
    """Its reason is said, and the rest is done; on the command line such an id stays a usage error."""
    issued = ids_of(issue(installed, "alice"))
    ran = installed(*command, stdin=f"abc\n{issued[0]}\n{issued[0][:4]}\n")
    assert ran.code == 3
    assert ran.json["not_found"] == ["abc", issued[0][:4]]
    assert ran.json["sessions"][0]["id"] == issued[0]
    assert "warning: the id 'abc' needs six characters or more" in ran.err
    alone = installed(*command, stdin="abc\n")
    assert (alone.code, alone.json["not_found"], alone.json["sessions"]) == (3, ["abc"], [])
    typed = [part if part != "-" else "abc" for part in command]
    assert installed(*typed).code == 2


def test_a_line_that_several_sessions_begin_with_is_not_found(
    installed: Authctl, home, monkeypatch: pytest.MonkeyPatch
):
    """It is not unique: none of them is ended, and what stands beside it is."""
    ids = iter(["abcdefgh22222222", "abcdefgh33333333", "zzzzzzzz22222222"])
    monkeypatch.setattr("authctl.names.new_id", lambda: next(ids))
    issue(installed, "alice", "bob", "carol")
    ran = installed(*END, stdin="abcdefgh\nzzzzzz\n")
    assert (ran.code, ran.json["not_found"]) == (3, ["abcdefgh"])
    assert "'abcdefgh' is not unique" in ran.err
    assert [one["username"] for one in ran.json["sessions"]] == ["carol"]


def test_lines_that_name_no_session_never_mean_everybody(installed: Authctl):
    """Where no line is usable, nothing is revoked; and a filter beside them only narrows."""
    issue(installed, "alice")
    for more in ((), ("--user", "alice"), ("--application", "Outlook")):
        ran = installed(*REVOKE, *more, stdin="abc\nabd\n")
        assert (ran.code, ran.json["revoked"], ran.json["not_found"]) == (3, 0, ["abc", "abd"])
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"


@pytest.mark.parametrize("command", [REVOKE, END])
def test_an_error_names_ten_ids_and_counts_all(installed: Authctl, command):
    """The line stays readable whatever was piped in; JSON has all."""
    unknown = [f"zzzzzz{number:010}".translate(str.maketrans("01", "ab")) for number in range(25)]
    ran = installed(*command, stdin="\n".join(unknown))
    assert ran.code == 3
    assert ran.json["not_found"] == unknown
    (error,) = [line for line in ran.err.splitlines() if "error:" in line]
    assert [one for one in unknown if one in error] == unknown[:10]
    assert "and 15 more (25 in all)" in error
    typed = [part for part in command if part != "-"]
    assert "(25 in all)" in installed(*typed, *unknown).err


@pytest.mark.parametrize(
    "written",
    [
        BOM + "{}\r\n{}\r\n",
        '"{}"\n"{}"\n',
        "'{}'\r\n  '{}'  ",
        BOM + 'id\tusername\r\n"{}"\talice\r\n{}\tbob\r\n',
        "\n\n  {}\t\n\xa0{}\n\n\n",
    ],
)
@pytest.mark.parametrize("command", [REVOKE, END])
def test_what_editors_and_shells_put_around_a_line_does_no_harm(installed: Authctl, command, written: str):
    """A byte order mark, carriage returns, quotes, blanks and blank lines: the ids in it are meant."""
    ids = ids_of(issue(installed, "alice", "bob"))
    ran = installed(*command, stdin=written.format(*ids))
    assert (ran.code, {one["id"] for one in ran.json["sessions"]}) == (0, set(ids))


PASTED = [
    "{}\n\n\n",
    BOM + "{}\r\n",
    "  {}  ",
    '"{}"',
    "'{}'\n",
    "Bearer {}",
    "bearer  {}\n\n",
    '"Bearer {}"',
    'Bearer "{}"',
    "\xa0{}\xa0",
]


@pytest.mark.parametrize("written", PASTED)
@pytest.mark.parametrize("way", ["input", "argument"])
def test_what_was_pasted_around_a_token_is_taken_off_where_its_session_ends(installed: Authctl, written: str, way: str):
    """`tokens revoke` and `sessions end` take the token that is meant."""
    for command in (("tokens", "revoke", "--note", "lost device"), ("sessions", "end")):
        token = issue(installed, "alice")[0]["access_token"]
        text = written.format(token)
        ran = installed(*command, "-", stdin=text) if way == "input" else installed(*command, text)
        assert ran.code == 0, ran.err
        assert ("warning" in ran.err) == (way == "argument")
        assert token not in ran.out + ran.err
    assert installed("sessions", "list", "--status", "active", "--count").out == "0\n"


@pytest.mark.parametrize("written", PASTED)
def test_verify_and_refresh_stay_strict(installed: Authctl, home, written: str):
    """What is pasted around a token is no token there, nor in the library; one end of a line is all that is taken off."""
    token = issue(installed, "alice")[0]["access_token"]
    text = written.format(token)
    assert installed("tokens", "verify", stdin=text).code == 5
    assert installed("tokens", "refresh", stdin=text).code == 5
    with Registry.open(home) as registry:
        with pytest.raises(TokenUnknown):
            registry.verify(text)
        assert registry.tokens.revoke(text, note="lost device").revoked == 0


NO_TOKENS = [
    "",
    "\n\n",
    "nonsense",
    "acat_",
    "acat_" + "0" * 123,
    "acat_" + "0" * 125,
    "ACAT_" + "0" * 124,
    "acat_" + "g" * 124,
]


@pytest.mark.parametrize(
    "text",
    [
        *NO_TOKENS,
        "Bearer",
        "Bearer ",
        "{0} {0}",
        "{0}\n{0}",
        "{0}{0}",
        "{0}x",
        "x{0}",
        "Bearer Bearer {0}",
        "Authorization: Bearer {0}",
        b"\xff\xfe\0",
    ],
)
def test_what_can_be_no_token_is_a_usage_error_that_does_not_show_it(installed: Authctl, text):
    """Exit 2, quiet or not, and nothing is revoked: exit 0 would say that the session is over."""
    token = issue(installed, "alice")[0]["access_token"]
    stdin = text if isinstance(text, bytes) else text.format(token)
    for quiet in ((), ("-q",)):
        ran = installed("tokens", "revoke", "--note", "lost device", *quiet, stdin=stdin)
        assert (ran.code, ran.out) == (2, "")
        assert "error:" in ran.err
        assert token[20:40] not in ran.err
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"


@pytest.mark.parametrize("text", [*NO_TOKENS, "{0} {0}", "{0}{0}", "x{0}", "Authorization: Bearer {0}"])
def test_what_can_be_no_id_and_no_token_ends_nothing(installed: Authctl, text: str):
    """`sessions end` refuses it as an argument, and where standard input has nothing else."""
    token = issue(installed, "alice")[0]["access_token"]
    written = text.format(token)
    for ran in (installed("sessions", "end", "-", "-q", stdin=written), installed("sessions", "end", "-q", written)):
        assert (ran.code, ran.out) == (3, "")
        assert "neither an id nor a token" in ran.err
        assert token[20:40] not in ran.err
    both = installed("sessions", "end", "-q", written, token)
    assert both.code == 3
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"


def test_a_broken_token_beside_good_lines_is_not_found_and_is_not_shown(installed: Authctl):
    """The rest is done, and what is named of it is its readable beginning."""
    one, two = issue(installed, "alice", "bob")
    ran = installed(*END, stdin=f"{one['access_token']}\n{two['access_token'][:-1]}\nBearer {two['access_token']}\n")
    assert (ran.code, ran.json["ended"], ran.json["not_found"]) == (3, 2, ["acat_..."])


def test_a_token_that_is_unknown_here_is_no_error(installed: Authctl):
    """Well-formed and of another registry, or signed by nobody: RFC 7009 has it that this is done."""
    for unknown in ("acat_" + "0" * 124, "acrt_" + "f" * 124, "acst_" + "0" * 64):
        assert has_token_shape(unknown)
        ran = installed("tokens", "revoke", "--note", "lost device", "-o", "json", stdin=unknown)
        assert (ran.code, ran.json["revoked"]) == (0, 0)


def test_every_token_that_is_issued_has_the_shape_of_one(install):
    """Of each kind: single, pair, sealed."""
    text = "version: 1\ndefault_profile: default\nprofiles: {default: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d}, sealed: {tokens: requested, max_lifetime: 1d, sealed: true}}"
    registry = install(text)
    pair = registry.issue(username="alice", application="Outlook")
    sealed = registry.issue(username="\xe4" * 200, application="ArcGIS", profile="sealed")
    assert pair.refresh_token
    assert all(map(has_token_shape, (pair.access_token, pair.refresh_token, sealed.access_token)))


def test_a_list_of_ten_thousand_bad_lines_beside_one_good(installed: Authctl):
    """One line of error, whatever was piped in; everything is in the JSON."""
    (good,) = ids_of(issue(installed, "alice"))
    ran = installed(*REVOKE, stdin="\n".join([*(f"no session {number}" for number in range(10_000)), good]))
    assert (ran.code, ran.json["revoked"], len(ran.json["not_found"])) == (3, 1, 10_000)
    assert len(ran.err) < 1_000
    assert json.loads(ran.out)["not_found"][0] == "no session 0"


@pytest.mark.parametrize("header", ["username", "email", "User Name", '"E-Mail"', "UserPrincipalName", "\ufefflogin"])
@pytest.mark.parametrize("verb", ["disable", "enable", "password-changed"])
def test_the_header_of_a_column_is_not_a_user(installed: Authctl, verb: str, header: str):
    """2, and nobody is changed: the header of a file with one column would be disabled as a user."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    ran = installed("users", verb, "-", "--note", "left the company", stdin=f"{header}\r\nalice\r\n")
    assert (ran.code, "looks like the header of a column" in ran.err) == (2, True)
    assert installed("users", "list", "-o", "json").json[0]["active"] == 1


def test_a_user_who_is_called_like_a_header_is_one(installed: Authctl):
    """With a session in the registry; or as an argument; and a name on another line is never a header."""
    installed("tokens", "issue", "--user", "login", "--application", "Outlook")
    note = ("--note", "left the company")
    assert installed("users", "disable", "-", *note, stdin="login\nalice\n").code == 0
    assert installed("users", "disable", "email", *note).code == 0
    assert installed("users", "disable", "-", *note, stdin="alice\nemail\n").code == 0
