"""The doctor: each thing that can be wrong with an installation, found, with the next command; and nothing else."""

import json
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter, TokenEnded, TokenExpired, key_ring, profiles
from authctl.instants import DAY
from authctl.registry.doctor import Finding
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sqlite import health
from authctl.store.sqlite.health import has_wal_reset_bug
from tests import places
from tests.conftest import Authctl, Clock

OF_A_FILE = {"file_system"}
OF_A_SERVER = {"server", "encoding", "search", "durability", "locks", "role", "rights", "replication", "transactions"}
OF_A_SERVER |= {"gate", "vacuum", "pooler", "audit_log"}


def wrong(registry: Registry) -> dict[str, Finding]:
    """What is found, by its check; the SQLite of whatever machine this is apart."""
    return {one.check: one for one in registry.doctor.examine() if not one.ok and one.check != "engine"}


def test_a_fresh_installation_is_in_order(registry: Registry, clock: Clock):
    """Every look is taken, and none finds anything."""
    (registry._installation.home.profiles).write_text((registry._installation.home.profiles).read_text())
    found = registry.doctor.examine()
    of_any = {"files", "registry", "engine", "clock", "audit_head", "keys", "profiles", "cleanup", "receivers"}
    assert {one.check for one in found} == of_any | (OF_A_SERVER if places.ON_POSTGRES else OF_A_FILE)
    assert wrong(registry) == {}
    assert all((one.next is None) == one.ok for one in found)


def test_the_next_command_is_for_the_installation_that_was_typed(authctl: Authctl, tmp_path: Path):
    """As in hints of errors: without its options the command would make, or mend, another installation."""
    ran = authctl("--home", "other home", "--registry", str(tmp_path / "gone.db"), "doctor", "-o", "json")
    (found,) = [one for one in ran.json if one["check"] == "registry"]
    assert found["next"] == f"authctl --home 'other home' --registry {tmp_path / 'gone.db'} init"


def test_files_that_others_can_touch(registry: Registry, home: Path):
    """Each of them, with the command that mends it; the registry's own keeps the rest from being looked at."""
    for name in ("profiles.yaml", "keys.json", "audit.head"):
        (home / name).chmod(0o644)
        found = wrong(registry)["files"]
        assert f"{home / name} is open to others (mode 0644)" in found.found
        assert found.next == f"chmod 600 {home / name}"
        (home / name).chmod(0o600)
    assert wrong(registry) == {}


def test_a_registry_that_cannot_be_opened(installed: Authctl, home: Path):
    """Its own finding, with what the error says and hints; exit 9, not 6 or 7."""
    with places.away(home):
        ran = installed("doctor", "-o", "json")
    assert ran.code == 9
    (found,) = [one for one in ran.json if one["check"] == "registry"]
    assert (found["ok"], "there is no registry" in found["found"]) == (False, True)
    places.damage(home)
    ran = installed("doctor", "-o", "json")
    assert (ran.code, [one["ok"] for one in ran.json if one["check"] == "registry"]) == (9, [False])


@pytest.mark.parametrize("name", [pytest.param("registry.db", marks=pytest.mark.in_a_file), "keys.json", "audit.head"])
def test_a_link_that_leads_to_itself(installed: Authctl, home: Path, name: str):
    """Whatever file it is in the place of: no defect, and a revocation that needs only the registry goes through."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    (home / name).rename(home / "kept")
    (home / name).symlink_to(name)
    assert installed("doctor").code == 9
    assert installed("keys", "rotate", "--note", "every year").code == (0 if name == "audit.head" else 6)
    revoked = installed("revoke", "--user", "alice", "--note", "lost device")
    assert revoked.code == (6 if name == "registry.db" else 0)
    assert "defect" not in revoked.err


def test_profiles_that_are_not_in_force(registry: Registry, home: Path):
    """Edited and not applied, or broken."""
    text = (home / "profiles.yaml").read_text()
    (home / "profiles.yaml").write_text(text.replace("idle_timeout: 3d", "idle_timeout: 4d"))
    assert "profiles diff" in str(wrong(registry)["profiles"].next)
    (home / "profiles.yaml").write_text("version: 2")
    assert "must be 1" in wrong(registry)["profiles"].found
    (home / "profiles.yaml").unlink()
    assert wrong(registry) == {}


def test_a_cleanup_that_is_overdue(registry: Registry, clock: Clock):
    """A backlog, and no run for two days."""
    registry.issue(username="alice", application="Outlook")
    clock.forward(days=170)
    registry.keys.rotate(note="every half year")
    registry.keys.retire(registry.keys.list()[0].key.id, note="every half year")
    assert wrong(registry) == {}
    clock.forward(days=30)
    assert "sessions past the retention: 1; last cleaned up: never" in wrong(registry)["cleanup"].found
    registry.cleanup.run()
    assert wrong(registry) == {}


def test_keys_that_are_old_or_idle(registry: Registry, clock: Clock):
    """One that has signed for a year; one that signs nothing living."""
    clock.forward(days=366)
    assert wrong(registry)["keys"].next == "authctl keys rotate --note WHY"
    registry.keys.rotate(note="every year")
    old = registry.keys.list()[0].key.id
    assert wrong(registry)["keys"].next == f"authctl keys retire {old} --note WHY"
    registry.keys.retire(old, note="every year")
    assert wrong(registry) == {}


def test_sessions_that_lost_their_key(registry: Registry, home: Path, tmp_path: Path, clock: Clock):
    """By another registry of the same ring; retired there, and gone from it."""
    registry.issue(username="alice", application="Outlook")
    old = registry.keys.list()[0].key.id
    place = find_home(tmp_path / "second", places.place_in(tmp_path / "second"), home / "keys.json")
    create(place, profiles.read(profiles.DEFAULT_FILE.encode(), "p"), b"", clock=clock)
    with Registry.open(place.folder, registry=place.registry, keys=place.keys, clock=clock) as second:
        second.keys.rotate(note="every year")
        second.keys.retire(old, note="every year")
    assert f"1 active session signed by key {old}, which is retired" in wrong(registry)["keys"].found
    (home / "keys.json").unlink()
    key_ring.create(home / "keys.json", registry.now())
    assert "not in the key ring" in wrong(registry)["keys"].found
    registry.revoke(SessionFilter(username="alice"), note="lost their key")
    assert wrong(registry) == {}


def test_an_audit_log_behind_its_head(registry: Registry, home: Path):
    """And a head that does not know the registry."""
    for _ in range(3):
        registry.issue(username="alice", application="Outlook")
    (home / "audit.head").rename(home / "kept")
    assert "has no entry for this registry" in wrong(registry)["audit_head"].found
    (home / "kept").rename(home / "audit.head")
    places.tamper(home, "DELETE FROM audit_events WHERE seq > 2")
    found = wrong(registry)["audit_head"]
    assert "it ends with event 2, and audit.head names event 4" in found.found
    assert "audit accept" in str(found.next)


def test_t1_a_mark_that_was_wrong_is_reset(registry: Registry, clock: Clock):
    """The clock was ahead for a while: found, and taken as it is with a note; what that expired ends for good."""
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(days=900)
    registry.revoke(SessionFilter(username="bob"), note="nobody there")
    registry.issue(username="bob", application="Outlook")
    clock.forward(days=-900)
    assert "doctor --accept-clock" in str(wrong(registry)["clock"].next)
    with pytest.raises(TokenExpired):
        registry.verify(issued.access_token)
    with pytest.raises(Refused, match="note is required"):
        registry.doctor.accept_clock(note=None)
    outcome = registry.doctor.accept_clock(note="the battery was empty", actor="eve")
    assert (outcome.ended, outcome.actor, outcome.seen - outcome.at) == (2, "eve", 900 * DAY)
    event = next(registry.audit.events())
    assert (event.action, event.actor, event.note) == ("clock.accept", "eve", "the battery was empty")
    detail = json.loads(event.detail)
    assert (detail["accepted"], detail["ended"]) == ("2026-03-02T09:00:00Z", 2)
    with pytest.raises(TokenEnded, match="idle"):
        registry.verify(issued.access_token)
    assert registry.issue(username="carol", application="Outlook")
    with pytest.raises(Refused, match="nothing to accept"):
        registry.doctor.accept_clock(note="once more")
    assert registry.audit.verify()


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
    ],
)
def test_versions_of_sqlite(version: tuple[int, int, int], has: bool):
    """3.7.0 to 3.51.2 can corrupt a log when it is reset, but for the later ones of two lines."""
    assert has_wal_reset_bug(version) == has


@pytest.mark.in_a_file
def test_a_network_file_system_is_found(
    registry: Registry, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """By the mount that is nearest above the registry."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"2 1 0:40 / {home.resolve()} rw,relatime shared:1 - nfs4 server:/export rw\n"
    )
    monkeypatch.setattr(health, "_MOUNTS", mounts)
    assert "network file system (nfs4)" in wrong(registry)["file_system"].found


def test_doctor_by_command(installed: Authctl, home: Path):
    """9 where there is something to mend, with the count in words; a table in a pipe has a line for each look."""
    ran = installed("doctor")
    header, *lines = ran.out.splitlines()
    assert header == "check\tok\tfound\tnext"
    assert len(lines) > 5
    bad = [line for line in lines if line.split("\t")[1] == "false"]
    assert ran.code == (9 if bad else 0)
    (home / "keys.json").chmod(0o640)
    ran = installed("doctor")
    assert (ran.code, "problem" in ran.err) == (9, True)
    assert f"chmod 600 {home / 'keys.json'}" in ran.out
    assert installed("doctor", "--accept-clock").code in (4, 6)
    (home / "keys.json").chmod(0o600)
    assert installed("doctor", "--accept-clock", "--note", "nothing to accept").code == 4
    assert key_ring.load(home / "keys.json").signing.secret.hex() not in ran.out
