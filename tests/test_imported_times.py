"""The beginning, the use and the end of a session, as a row has them."""

import json

import pytest

from authctl import InvalidFile, Registry, SessionFilter
from authctl.import_files import Rejected
from authctl.import_mappings import Listing, Row, read_mapping
from authctl.import_mappings.file import REASONS
from authctl.instants import parse_instant
from tests.test_mapping_language import load

CREATED, USED, ENDED, NOW = (f"2026-02-0{day}T09:00:00Z" for day in (1, 2, 3, 4))


def said(fields: str, row: dict) -> Row | Rejected:
    """What a row says, at noon of the fourth day."""
    mapping = read_mapping(f"fields: {{username: user, {fields}}}\nkey: [username]\n".encode(), "map.yaml")
    found = mapping.interpret({"user": "alice", **row}, Listing(now=parse_instant(NOW)))
    assert isinstance(found, Row | Rejected)
    return found


@pytest.mark.parametrize(
    ("fields", "at", "created"),
    [
        ("at: c", CREATED, None),
        ("created_at: c", CREATED, CREATED),
        ("last_used_at: u", USED, None),
        ("created_at: c, last_used_at: u", USED, CREATED),
        ("created_at: c, last_used_at: nothing", CREATED, CREATED),
        ("created_at: c, at: u", USED, CREATED),
        ("at: c, last_used_at: u", USED, CREATED),
        ("at: u, last_used_at: c", USED, CREATED),
        ("created_at: nothing, at: u", USED, None),
        ("created_at: {path: age, format: age_s}, at: {taken: true}", NOW, "2026-02-04T08:59:46Z"),
    ],
)
def test_created_and_used(fields: str, at: str, created: str | None):
    """The row counts at the latest time at which the session was there; a time of another name serves for `at`."""
    found = said(fields, {"c": CREATED, "u": USED, "age": 14})
    assert isinstance(found, Row)
    assert (found.at, found.created_at, found.ended_at) == (
        parse_instant(at),
        None if created is None else parse_instant(created),
        None,
    )


@pytest.mark.parametrize(
    ("fields", "row", "end", "reason"),
    [
        ("at: u, ended_at: e", {"e": ENDED}, ENDED, "signed_out"),
        ("at: u, ended_at: e", {"e": None}, None, None),
        ("at: u, ended_at: e", {"e": "0001-01-01T00:00:00Z"}, None, None),
        ("at: u, ended_at: e", {"e": True}, USED, "signed_out"),
        ("at: u, ended_at: e", {"e": False}, None, None),
        ("ended_at: e, created_at: c", {"e": True}, CREATED, "signed_out"),
        ("at: u, ended_at: {where: {e: [revoked, stopped]}}", {"e": "stopped"}, USED, "signed_out"),
        ("at: u, ended_at: {where: {e: [revoked, stopped]}}", {"e": "living"}, None, None),
        ("at: u, ended_at: {path: t, where: {e: stopped}}", {"e": "stopped", "t": ENDED}, ENDED, "signed_out"),
        ("at: u, ended_at: {path: t, where: {e: stopped}}", {"e": "living", "t": ENDED}, None, None),
        ("at: u, ended_at: [t, {where: {e: stopped}}]", {"e": "stopped"}, USED, "signed_out"),
        ("at: u, ended_at: {path: e, format: age_s}", {"e": 86_400}, ENDED, "signed_out"),
        ("at: u, ended_at: e, ended_reason: {value: user_disabled}", {"e": ENDED}, ENDED, "user_disabled"),
        ("at: u, ended_at: e, ended_reason: [why, {value: idle}]", {"e": ENDED}, ENDED, "idle"),
        ("at: u, ended_at: e, ended_reason: why", {"e": ENDED, "why": "absolute"}, ENDED, "absolute"),
        ("at: u, ended_at: e, ended_reason: why", {"e": None, "why": "nonsense"}, None, None),
    ],
)
def test_ended(fields: str, row: dict, end: str | None, reason: str | None):
    """At a time of its own, or at the time of the row where that says only that it ended; `signed_out` unless it says why."""
    found = said(fields, {"c": CREATED, "u": USED, **row})
    assert isinstance(found, Row), found
    assert (found.ended_at, found.ended_reason) == (None if end is None else parse_instant(end), reason)


def test_an_end_alone_is_a_time_of_the_row():
    """A row that has no other time was there until its end."""
    found = said("at: u, ended_at: e", {"e": ENDED})
    assert isinstance(found, Row)
    assert (found.at, found.ended_at) == (parse_instant(ENDED), parse_instant(ENDED))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"c": ENDED, "e": USED}, "ended_at is before created_at"),
        ({"c": CREATED, "e": "2026-02-04T09:00:01Z"}, "ended_at is ahead of the clock"),
        ({"c": CREATED, "e": "9999-12-31T00:00:00Z"}, "ended_at is ahead of the clock"),
        ({"c": "2026-02-06T09:00:00Z", "u": USED}, "created_at is more than a day ahead"),
        ({"c": CREATED, "e": USED, "why": "tired"}, "ended_reason is no reason of a session: 'tired'"),
        ({"c": CREATED, "e": USED, "why": "\x1b[2J"}, "ended_reason is no reason of a session: '\\x1b[2J'"),
        ({"c": CREATED, "e": "soon"}, "ended_at is not a time of the expected form: 'soon'"),
        ({"e": True}, "the time is blank"),
        ({}, "the time is blank"),
    ],
)
def test_times_that_cannot_be_true(row: dict, reason: str):
    """Reject the row."""
    assert said("created_at: c, last_used_at: u, ended_at: e, ended_reason: why", row) == Rejected(reason)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("", "map.yaml:1:9: 'at' is missing"),
        ("expires_at: x", "map.yaml:1:9: 'at' is missing"),
        ("ended_at: e", "map.yaml:1:9: 'at' is missing"),
        ("at: t, ended_reason: why", "map.yaml:1:33: 'ended_reason' needs 'ended_at'"),
        ("at: t, ended_at: e, ended_reason: {value: tired}", "map.yaml:1:68: no such reason: 'tired'; one of: idle,"),
        ("at: t, ended_at: {}", "map.yaml:1:43: 'ended_at': write a path, or conditions as in `where`"),
        ("at: t, ended_at: {where: {a: b}, format: unix}", "map.yaml:1:43: 'ended_at': `format`, `before` and `after`"),
        ("at: t, ended_at: {where: {a: {not: {}}}}", "map.yaml:1:55: 'a': write a value"),
        ("at: t, ended_at: {where: {^.a: b}}", "map.yaml:1:52: '^' and '$key' name the place of a row"),
        ("created_at: {taken: true}", "map.yaml:1:39: unknown field 'taken'"),
    ],
)
def test_faults(fields: str, fault: str):
    """Each has its line and column."""
    with pytest.raises(InvalidFile) as caught:
        said(fields, {})
    assert any(line.startswith(fault) for line in str(caught.value).splitlines()), caught.value


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_of_a_session_is_one(reason: str):
    """The words that sessions have as `ended_reason`."""
    found = said(f"at: u, ended_at: e, ended_reason: {{value: {reason}}}", {"u": USED, "e": ENDED})
    assert isinstance(found, Row)
    assert found.ended_reason == reason


def test_a_row_that_ended_is_never_registered_as_active(registry: Registry):
    """Its session is over at the instant that the row has, and no other one is."""
    text = "fields: {username: user, at: u, ended_at: e}\nkey: [username]\n"
    rows = [{"user": "alice", "u": USED, "e": ENDED}, {"user": "bob", "u": USED, "e": None}]
    outcome = load(registry, json.dumps(rows), text)
    assert (outcome.registered, outcome.rejections) == (2, ())
    alice, bob = (next(registry.sessions(SessionFilter(username=name))) for name in ("alice", "bob"))
    assert (alice.status.value, alice.ended_by, alice.ended_at) == ("expired", "signed_out", parse_instant(ENDED))
    assert bob.ended_at is None
