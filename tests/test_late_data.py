"""Rows of an import that tell of the past, share a key, or leave sessions out: rows K1 to K3 of docs/threats.md."""

import io
import json
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.import_mappings import read_mapping
from tests.conftest import Authctl, Clock

MAP_TEXT = "fields: {username: user, device: device, at: time}\nkey: [session]\n"
MAP = read_mapping(MAP_TEXT.encode(), "map.yaml")
BEFORE, AFTER = "2026-03-02T08:00:00Z", "2026-03-02T10:00:00Z"
"""An hour before and an hour after the start of the test's clock."""


def lines(*rows: tuple[str, str, str, str]) -> bytes:
    """Rows of a session, a user, a device and a time, as JSON lines."""
    names = ("session", "user", "device", "time")
    return b"".join(json.dumps(dict(zip(names, row, strict=True))).encode() + b"\n" for row in rows)


def load(registry: Registry, *rows: tuple[str, str, str, str]):
    """Import those rows."""
    return registry.imports.run(io.BytesIO(lines(*rows)), MAP)


def by_user(registry: Registry) -> dict[str, tuple[str, str | None]]:
    """Status and note of each user's only session."""
    return {session.username: (session.status.value, session.note) for session in registry.sessions()}


def test_k1_late_rows_come_under_the_earliest_revocation_that_they_meet(registry: Registry, clock: Clock):
    """The session of the rows from before is revoked with the first note; rows from after are a new session."""
    load(registry, ("s0", "carol", "PHONE", BEFORE))
    registry.revoke(SessionFilter(device="PHONE"), note="lost device")
    clock.forward(minutes=30)
    registry.revoke(SessionFilter(everything=True), note="breach")
    clock.forward(hours=2)
    load(registry, ("s1", "alice", "phone", BEFORE), ("s1", "alice", "phone", AFTER), ("s2", "bob", "PC", BEFORE))
    found = {(s.username, s.status.value, s.note) for s in registry.sessions()}
    assert found == {
        ("carol", "revoked", "lost device"),
        ("alice", "revoked", "lost device"),
        ("alice", "active", None),
        ("bob", "revoked", "breach"),
    }


def test_k2_users_who_share_a_key_have_a_session_each(registry: Registry):
    """The second user is registered beside the first, with a warning, and a revocation of one leaves the other active."""
    outcome = load(registry, ("s1", "alice", "PC", BEFORE), ("s1", "bob", "PC", BEFORE))
    assert (outcome.registered, outcome.updated) == (2, 0)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert by_user(registry) == {"alice": ("revoked", "lost device"), "bob": ("active", None)}


def test_k3_a_partial_listing_ends_nobody(registry: Registry):
    """Sessions that a file does not mention are unchanged."""
    load(registry, ("s1", "alice", "PC", BEFORE), ("s2", "bob", "PC", BEFORE))
    outcome = load(registry, ("s1", "alice", "PC", BEFORE))
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 1)
    assert by_user(registry) == {"alice": ("active", None), "bob": ("active", None)}


@pytest.mark.parametrize("content", [b"", b'{"other": "system"}\n'])
def test_k3_an_empty_listing_changes_nothing(registry: Registry, content: bytes):
    """The outcome of a file without a used row gives the reason, and not even an event is written."""
    load(registry, ("s1", "alice", "PC", BEFORE))
    events = len(list(registry.audit.events()))
    assert registry.imports.run(io.BytesIO(content), MAP).unused_because
    assert by_user(registry) == {"alice": ("active", None)}
    assert len(list(registry.audit.events())) == events


def test_k3_an_empty_listing_by_command(installed: Authctl, tmp_path: Path):
    """Exit 3, and 0 where `--allow-empty` says that a file without rows is expected."""
    (tmp_path / "map.yaml").write_text(MAP_TEXT)
    (tmp_path / "empty.jsonl").touch()
    command = ("sessions", "import", str(tmp_path / "empty.jsonl"), "--map", str(tmp_path / "map.yaml"))
    assert installed(*command).code == 3
    assert installed(*command, "--allow-empty").code == 0
