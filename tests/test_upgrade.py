"""Registries that an older authctl made: upgraded when they are opened, and meaning what they meant.

`data/schema-1.sql` is the registry of a real installation of schema 1, dumped; `data/schema-1.json` has its key ring and
the tokens that it issued.
"""

import gzip
import json
from contextlib import closing
from pathlib import Path

import pytest

from authctl import NEVER, Registry, RegistryUnavailable, SessionFilter, TokenEnded, TokenRevoked
from authctl.store.sqlite import connections
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import SCHEMA_VERSION
from tests.conftest import Authctl, Start

DATA = Path(__file__).parent / "data"
TOKENS = json.loads((DATA / "schema-1.json").read_text())["tokens"]


@pytest.fixture
def old(home: Path) -> Path:
    """An installation as schema 1 had it; its folder."""
    home.mkdir(0o700)
    (home / "registry.db").touch(0o600)
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript((DATA / "schema-1.sql").read_text())
    (home / "keys.json").touch(0o600)
    (home / "keys.json").write_text(json.dumps(json.loads((DATA / "schema-1.json").read_text())["keys"]))
    return home


def schema(home: Path) -> int:
    """The schema that a registry says it has."""
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def test_what_was_there_means_what_it_meant(old: Path):
    """Tokens verify, what was revoked or ended is, with its note, profiles are in force, and the audit trail holds."""
    assert schema(old) == 1
    with Registry.open(old) as registry:
        for user in ("alice", "bob"):
            assert registry.verify(TOKENS[user]).username.lower() == user
        with pytest.raises(TokenRevoked):
            registry.verify(TOKENS["carol"])
        with pytest.raises(TokenEnded):
            registry.verify(TOKENS["dora"])
        carol, erin = (next(registry.sessions(SessionFilter(username=user))) for user in ("carol", "erin"))
        assert (carol.note, carol.revoked_by, carol.tokens, carol.refreshed_at) == (
            "lost device",
            "founder",
            "single",
            None,
        )
        assert (erin.created_at == erin.last_used_at, erin.status.value) == (True, "active")
        profiles = registry.profiles.in_force().profiles
        assert (profiles["default"].idle_timeout, profiles["default"].description) == (NEVER, "As schema 1 had it")
        assert (profiles["day"].pair, profiles["day"].requested, profiles["day"].slide_after) == (None, None, 0)
        assert registry.audit.verify().seq == 9
        assert registry.users.disable("alice", note="left the company").ended == 1
        assert registry.revoke(SessionFilter(username="bob"), note="lost device").revoked == 1
    assert schema(old) == SCHEMA_VERSION


def test_six_processes_open_it_at_once(old: Path, start: Start):
    """Each of them succeeds; one upgrades, and the others wait for it."""
    started = [start("-m", "authctl", "sessions", "list", "--kind", "all", "--count") for _ in range(6)]
    answers = [process.communicate(timeout=60) for process in started]
    assert answers == [("5\n", "")] * 6
    assert schema(old) == SCHEMA_VERSION


def test_an_upgrade_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch):
    """It is one transaction: killed or failed, the registry is as it was, and the next opening upgrades it."""
    from authctl.store.sqlite import migrations

    monkeypatch.setattr(migrations, "_LIFETIMES", (*migrations._LIFETIMES, "nonsense"))
    with pytest.raises(sqlite3.Error):
        connections.connect(old / "registry.db")
    assert schema(old) == 1
    monkeypatch.undo()
    with Registry.open(old) as registry:
        assert registry.verify(TOKENS["alice"]).username == "Alice"


def test_where_it_cannot_be_written_it_is_unavailable(old: Path, monkeypatch: pytest.MonkeyPatch):
    """On a read-only file system the reason is said, and the registry stays as it is."""
    with closing(sqlite3.connect(old / "registry.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (
        closing(sqlite3.connect(f"file:{old}/registry.db?mode=ro&immutable=1", uri=True)) as connection,
        pytest.raises(RegistryUnavailable, match="written by an older authctl, and its file system is read-only"),
    ):
        connections.set_up(connection, old / "registry.db", is_read_only=True, writing=False)
    assert schema(old) == 1


def test_through_the_command(old: Path, authctl: Authctl):
    """The first command after an upgrade of authctl just works."""
    ran = authctl("sessions", "list", "--status", "revoked", "-o", "json")
    assert (ran.code, ran.err, ran.json[0]["note"]) == (0, "", "lost device")


@pytest.fixture
def of_0_1_0(home: Path) -> Path:
    """An installation as 0.1.0 left it, with sessions that were revoked, ended and imported; its folder.

    `data/schema-6.db.gz` is its registry: imported from a listing whose key was `sid` alone, then revoked by id, user, device and
    profile, one session signed out, and one key given to two users, of whom 0.1.0 kept the second.
    """
    home.mkdir(0o700)
    document = json.loads((DATA / "schema-6.json").read_text())
    for name, content in (
        ("registry.db", gzip.decompress((DATA / "schema-6.db.gz").read_bytes())),
        ("keys.json", json.dumps(document["keys"]).encode()),
        ("audit.head", document["audit_head"].encode()),
    ):
        (home / name).touch(0o600)
        (home / name).write_bytes(content)
    return home


def test_0_1_0_with_revoked_ended_and_imported_sessions(of_0_1_0: Path):
    """Every status, note and reason is as it was, the audit trail holds, and revocations by criteria are known as such."""
    assert schema(of_0_1_0) == 6
    with Registry.open(of_0_1_0) as registry:
        found = {(s.username, s.application): (s.status.value, s.note, s.ended_reason) for s in registry.sessions()}
        assert found["carol", "Mail"] == found["carol", "Outlook"] == ("revoked", "lost device", None)
        assert found["bob", "Mail"] == ("revoked", "lost by id", None)
        assert found["frank", "Mail"] == ("revoked", "lost by device", None)
        assert found["erin", "Portal"] == ("revoked", "portal retired", None)
        assert found["dora", "Mail"] == ("expired", None, "signed_out")
        assert len(found) == 12
        registry.audit.verify()
        assert registry.profiles.unfinished() is None
        registry.profiles.apply(registry.profiles.in_force()._replace(withdrawn={}), note="as they are")
        assert next(registry.audit.events()).action == "profile.done"
    assert schema(of_0_1_0) == SCHEMA_VERSION
    with closing(sqlite3.connect(of_0_1_0 / "registry.db")) as connection:
        rows = connection.execute("SELECT note, by_criteria, profiles FROM revocations WHERE at IS NOT NULL").fetchall()
    by_criteria = {note: (known, profiles) for note, known, profiles in rows}
    assert by_criteria["lost by id"] == (0, None)
    assert by_criteria["lost device"] == by_criteria["lost by device"] == (1, None)
    known, profiles = by_criteria["portal retired"]
    assert (known, json.loads(profiles)["assignments"][0]["application"]) == (1, "Portal")
