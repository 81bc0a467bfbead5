"""Corners of the command line that a person who knows only its documentation would try."""

import json
from pathlib import Path

import pytest

from authctl.names import without_tokens
from tests.conftest import Authctl


def issue(authctl: Authctl, *options: str) -> dict[str, str]:
    """A new session of alice, as JSON."""
    ran = authctl("tokens", "issue", "--user", "alice", "--application", "Outlook", *options, "-o", "json")
    assert ran.code == 0, ran.err
    session: dict[str, str] = ran.json["session"]
    return session


def test_the_source_is_last_in_every_record_of_a_session(installed: Authctl):
    """A list and a shown session have the same fields first, and `source` and `source_id` last."""
    session = issue(installed)
    listed = list(installed("sessions", "list", "-o", "json").json[0])
    shown = list(installed("sessions", "show", session["id"], "-o", "json").json)
    assert list(session) == listed
    assert listed[-2:] == shown[-2:] == ["source", "source_id"]
    assert shown[: len(listed) - 2] == listed[:-2]
    header = installed("sessions", "show", session["id"], "-o", "csv").out.splitlines()[0]
    assert header.split(",") == shown


@pytest.mark.parametrize("text", ["x1", "hello world", "1abcdef", "!"])
def test_a_text_that_can_be_no_id_is_unknown_to_every_command(installed: Authctl, text: str):
    """`sessions end` as the others: nothing has that id (3), as an argument and on standard input."""
    session = issue(installed)
    for ran in (
        installed("sessions", "show", text),
        installed("sessions", "end", text),
        installed("sessions", "end", "-", stdin=f"{text}\n"),
        installed("revoke", text, "--note", "lost device"),
        installed("revoke", "-", "--note", "lost device", stdin=f"{text}\n"),
        installed("explain", text),
        installed("deliveries", "list", "--session", text),
    ):
        assert (ran.code, ran.out) == (3, "")
    assert installed("sessions", "show", session["id"], "-o", "json").json["status"] == "active"


def test_standard_input_without_a_line_names_nothing(installed: Authctl):
    """The same exit code for ids and for names."""
    for command in (("revoke", "-"), ("users", "disable", "-")):
        assert installed(*command, "--note", "lost device", stdin="").code == 3
    assert installed("sessions", "end", "-", stdin="").code == 3


@pytest.mark.parametrize("receiver", ["\udcff", "a\u200bb", " ", "r" * 1001])
def test_a_receiver_that_no_file_can_name_is_refused(installed: Authctl, receiver: str):
    """As every other name in a filter; a lone surrogate was a defect (1)."""
    ran = installed("deliveries", "list", "--receiver", receiver)
    assert (ran.code, ran.out) == (2, "")
    assert "receiver name" in ran.err


def test_the_age_of_an_overdue_delivery_may_have_months(installed: Authctl):
    """An age is an age in every command."""
    ran = installed("deliver", "--check", "--max-age", "2 months")
    assert (ran.code, "no delivery is older than 2 months" in ran.err) == (0, True)
    assert "no delivery is older than 1h" in installed("deliver", "--check").err


def test_a_key_is_retired_for_one_reason(installed: Authctl):
    """`--sign-out` and `--compromised` together are wrong usage, also without a session to end, and nothing is done."""
    issue(installed)
    (key,) = installed("keys", "list", "-o", "id").out.split()
    assert installed("keys", "rotate", "--note", "yearly").code == 0
    for more in (("--yes",), ("--dry-run",), ()):
        ran = installed("keys", "retire", key, "--sign-out", "--compromised", "--note", "yearly", *more)
        assert (ran.code, ran.out) == (2, "")
        assert "not as both" in ran.err
    assert installed("sessions", "list", "--status", "active", "--count").out == "1\n"


@pytest.mark.parametrize("other", [("--all",), ("--wipe", "pending")])
def test_a_wrong_revocation_is_refused_before_standard_input_is_read(installed: Authctl, other: tuple[str, ...]):
    """The usage is at fault, whatever comes: an empty input was "no ids" instead."""
    for stdin in ("", "hello\n"):
        ran = installed("revoke", "-", *other, "--note", "lost device", "--yes", stdin=stdin)
        assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize("value", ["", " ~", " null"])
@pytest.mark.parametrize(
    "field",
    ["default_profile", "description", "idle_timeout", "access_lifetime", "authenticator", "scope", "conditions"],
)
def test_a_field_without_a_value_is_a_fault(installed: Authctl, tmp_path: Path, field: str, value: str):
    """With its line and column: it would mean its default, so that a forgotten timeout were three days without a word."""
    path = tmp_path / "p.yaml"
    lines = ["version: 1", "profiles:", "  d:", f"    {field}:{value}"]
    if field == "default_profile":
        lines = ["version: 1", f"{field}:{value}", "profiles:", "  d: {}"]
    path.write_text("\n".join(lines) + "\n")
    ran = installed("profiles", "check", str(path))
    number = next(number for number, line in enumerate(lines, 1) if field in line)
    column = len(lines[number - 1]) - len(value.strip()) + 1
    assert (ran.code, ran.out) == (2, "")
    assert f"{path}:{number}:{column}: '{field}' " in ran.err.replace("': ", "' ")
    path.write_text("version: 1\nprofiles:\n  d: {}\n")
    assert installed("profiles", "check", str(path)).code == 0


def test_a_number_out_of_range_is_told_in_words_of_ours(installed: Authctl, tmp_path: Path):
    """Position, field and limit, and no sentence of a library."""
    path = tmp_path / "p.yaml"
    for capacity, words in (
        ("0", "must be 1 or more"),
        ("1000001", "must be 1,000,000 or less"),
        ("ten", "whole number"),
    ):
        path.write_text(
            "version: 1\ndefault_profile: d\nprofiles:\n  d:\n    authenticator: staff\n"
            f"    cache: {{max_age: 24h, capacity: {capacity}}}\n"
        )
        ran = installed("profiles", "check", str(path))
        assert ran.code == 2
        assert f"{path}:6:37: 'capacity' " in ran.err
        assert words in ran.err


def test_a_mapping_field_without_a_value_is_a_fault(installed: Authctl, tmp_path: Path):
    """As in a profiles file: a forgotten path would leave the field out of every session."""
    mapping, rows = tmp_path / "m.yaml", tmp_path / "rows.jsonl"
    mapping.write_text("fields:\n  username: u\n  at: t\n  device:\nkey: [username]\n")
    rows.write_text(json.dumps({"u": "alice", "t": "2026-01-01"}) + "\n")
    ran = installed("sessions", "import", str(rows), "--map", str(mapping))
    assert (ran.code, "'device' has no value" in ran.err) == (2, True)


def test_the_time_of_the_listing_stands_for_a_mapping_without_any_time(installed: Authctl, tmp_path: Path):
    """With `--taken-at` each row has that time, and again changes nothing; without it the mapping is at fault, and no row is read."""
    mapping, rows = tmp_path / "m.yaml", tmp_path / "rows.jsonl"
    mapping.write_text("fields: {username: u, device: d}\nkey: [username, device]\n")
    rows.write_text("".join(json.dumps({"u": user, "d": "PC"}) + "\n" for user in ("alice", "bob")))
    command = ("sessions", "import", str(rows), "--map", str(mapping), "-o", "json")
    ran = installed(*command)
    assert (ran.code, "'at' is missing" in ran.err) == (2, True)
    for counts in ((2, 0, 0), (0, 0, 2)):
        ran = installed(*command, "--taken-at", "2026-11-01T09:00:00Z")
        assert (ran.code, ran.json["rejected"]) == (0, 0)
        assert (ran.json["registered"], ran.json["updated"], ran.json["unchanged"]) == counts
    for session in installed("sessions", "list", "-o", "json").json:
        assert session["created_at"] == session["last_used_at"] == "2026-11-01T09:00:00Z"
    later = installed(*command, "--taken-at", "2026-11-02T09:00:00Z")
    assert (later.json["updated"], later.json["registered"]) == (2, 0)


def test_what_is_left_of_a_token_is_cut_once():
    """A text that was cut before stays as it is."""
    cut = without_tokens(f"no session acat_{'0f' * 70}")
    assert cut == without_tokens(cut) == "no session acat_..."
    assert without_tokens("acrt_ and acat_0f...") == "acrt_... and acat_..."
