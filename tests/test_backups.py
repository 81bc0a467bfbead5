"""Backups, taken while others write, and put back while others have the registry open; through the real store and command line."""

import gzip
import os
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authctl import (
    IntegrityFailure,
    InvalidInput,
    Refused,
    Registry,
    RegistryUnavailable,
    SessionFilter,
    Status,
    TokenEnded,
    TokenInvalid,
    TokenRevoked,
    profiles,
)
from authctl.registry.backups import restore
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store import how_to_move_away
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import Authctl, Clock


def issue(registry: Registry, name: str = "alice"):
    """A sign-in."""
    return registry.issue(username=name, application="Outlook")


@pytest.fixture
def put_back(home: Path, clock: Clock) -> Callable[..., object]:
    """Restore a backup into the home."""
    place = find_home(home, places.place_in(home))
    return lambda file, note="restored the backup of Monday", **how: restore(place, file, note=note, clock=clock, **how)


def test_a9_a_backup_is_whole_and_private(registry: Registry, tmp_path: Path, clock: Clock):
    """One file, 0600 whatever the umask, with everything up to an event; it never takes another file's place."""
    token = issue(registry).access_token
    before = os.umask(0o000)
    try:
        outcome = registry.backups.create(tmp_path / "copy.db")
    finally:
        os.umask(before)
    last = next(registry.audit.events())
    assert (outcome.seq, outcome.hash) == (last.seq, last.hash)
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith((".copy", "copy"))) == ["copy.db"]
    with pytest.raises(Refused, match="file already exists"):
        registry.backups.create(tmp_path / "copy.db")
    with pytest.raises(RegistryUnavailable):
        registry.backups.create(tmp_path / "nowhere" / "copy.db")
    assert registry.verify(token)


def test_a9_taken_while_others_write(registry: Registry, home: Path, tmp_path: Path):
    """Every copy's chain is whole, and ends where it says; no writer fails meanwhile."""
    stop = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        with Registry.open(home, registry=places.place_in(home)) as other:
            while not stop.is_set():
                try:
                    other.revoke(SessionFilter(ids=(issue(other).session.id,)), note="lost device")
                except Exception as error:  # noqa: BLE001
                    failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(5):
            outcome = registry.backups.create(tmp_path / f"{n}.db")
            with closing(sqlite3.connect(tmp_path / f"{n}.db")) as copy:
                assert copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                seq, digest = copy.execute("SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1").fetchone()
                assert (seq, digest) == (outcome.seq, outcome.hash)
                revoked = copy.execute("SELECT count(*) FROM audit_events WHERE action = 'session.revoke'").fetchone()
                assert copy.execute("SELECT count(*) - 1 FROM revocations").fetchone() == revoked
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []


def test_a8_what_is_put_back_signs_everybody_out(
    registry: Registry, home: Path, tmp_path: Path, put_back: Callable, clock: Clock
):
    """What was living is over, what was revoked since is revoked; who signs in after it is good; the chain goes on, and the head."""
    bob, erin = issue(registry, "bob"), issue(registry, "erin")
    registry.backups.create(tmp_path / "copy.db")
    clock.forward(hours=1)
    later = issue(registry)
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    with pytest.raises(Refused, match="note is required"):
        put_back(tmp_path / "copy.db", note=None)
    outcome = put_back(tmp_path / "copy.db", actor="eve")
    assert (outcome.seq, outcome.known, outcome.ended, outcome.actor) == (4, 5, 1, "eve")
    with pytest.raises(TokenEnded, match="restored"):
        registry.verify(erin.access_token)
    with pytest.raises(TokenRevoked):
        registry.verify(bob.access_token)
    with pytest.raises(TokenInvalid):
        registry.verify(later.access_token)
    carol = issue(registry, "carol")
    assert registry.verify(carol.access_token)
    assert registry.session(erin.session.id).status is Status.EXPIRED
    assert registry.session(bob.session.id).note == "lost device"
    assert registry.audit.verify().seq == 5
    event = registry.audit.event(4)
    assert (event.action, event.note, event.actor) == ("registry.restore", "restored the backup of Monday", "eve")
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        assert other.verify(carol.access_token)


def test_numbers_that_were_given_never_come_back(registry: Registry, tmp_path: Path, put_back: Callable):
    """No session after the restore answers to a token from before it, nor does a revocation take another's number."""
    registry.backups.create(tmp_path / "copy.db")
    lost = [issue(registry).session.number for _ in range(3)]
    revocation = registry.revoke(SessionFilter(username="alice"), note="lost device").revocation_id
    put_back(tmp_path / "copy.db")
    assert issue(registry).session.number > max(lost)
    assert (registry.revoke(SessionFilter(username="alice"), note="lost device").revocation_id or 0) > (revocation or 0)


def test_numbers_that_are_given_meanwhile_do_not_come_back_either(
    registry: Registry, tmp_path: Path, home: Path, clock: Clock
):
    """Others sign in until the very moment from which on the registry is locked."""
    registry.backups.create(tmp_path / "copy.db")
    lost: list[int] = []

    def meanwhile() -> datetime:
        if not lost:  # once it is locked, nobody signs in until it is done
            lost.append(issue(registry).session.number)
        return clock()

    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk failed", clock=meanwhile)
    assert lost
    assert issue(registry).session.number > max(lost)


def test_who_has_it_open_goes_on_with_what_was_put_there(
    registry: Registry, home: Path, tmp_path: Path, put_back: Callable, clock: Clock
):
    """Other connections, in the middle of a list too, see the one or the other, and never a mixture."""
    for n in range(50):
        issue(registry, f"user{n}")
    registry.backups.create(tmp_path / "copy.db")
    issue(registry, "late")
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        listed = other.sessions()
        first = next(listed)
        put_back(tmp_path / "copy.db")
        assert first.username == "late"
        assert other.count() == 50
        assert {s.ended_reason for s in other.sessions()} == {"restored"}
        assert issue(other, "new").session.status is Status.ACTIVE
    assert registry.count() == 51


def test_a_missing_registry_is_put_back(registry: Registry, home: Path, tmp_path: Path, put_back: Callable):
    """Where the file is gone the backup takes its place, private."""
    issue(registry)
    registry.backups.create(tmp_path / "copy.db")
    registry.close()
    places.take_away(home)
    assert put_back(tmp_path / "copy.db").ended == 1
    if not places.ON_POSTGRES:
        assert stat.S_IMODE((home / "registry.db").stat().st_mode) == 0o600
    with Registry.open(home, registry=places.place_in(home)) as again:
        assert again.audit.verify().seq == 3
    assert sorted(p.name for p in home.iterdir() if not p.name.startswith("registry.db-")) == [
        "audit.head",
        "keys.json",
        "profiles.yaml",
        *([] if places.ON_POSTGRES else ["registry.db"]),
    ]


def test_what_cannot_be_put_back(registry: Registry, home: Path, tmp_path: Path, put_back: Callable, clock: Clock):
    """Another registry's backup, a damaged or loose one, none, something else; and nothing has changed then."""
    issue(registry)
    copy = tmp_path / "copy.db"
    registry.backups.create(copy)
    other = tmp_path / "other"
    create(
        find_home(other, places.place_in(other)), profiles.read(profiles.DEFAULT_FILE.encode(), "p"), b"", clock=clock
    )
    with Registry.open(other, registry=places.place_in(other), clock=clock) as second:
        second.backups.create(tmp_path / "second.db")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as foreign:
        foreign.execute("CREATE TABLE something_else (it)")
    shutil.copy(copy, tmp_path / "newer.db")
    with closing(sqlite3.connect(tmp_path / "newer.db")) as newer:
        newer.execute("PRAGMA user_version = 99")
    for name in ("foreign.db", "newer.db"):
        (tmp_path / name).chmod(0o600)
    (tmp_path / "text.db").touch(0o600)
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be looked at" * 20)
    damaged = bytearray(copy.read_bytes())
    for at in range(5000, len(damaged), 4096):
        damaged[at : at + 400] = b"\x00" * len(damaged[at : at + 400])
    (tmp_path / "damaged.db").touch(0o600)
    (tmp_path / "damaged.db").write_bytes(damaged)
    shutil.copy(copy, tmp_path / "loose.db")
    (tmp_path / "loose.db").chmod(0o644)
    shutil.copy(copy, tmp_path / "edited.db")
    (tmp_path / "edited.db").chmod(0o600)
    with closing(sqlite3.connect(tmp_path / "edited.db", isolation_level=None)) as edited:
        edited.execute("DROP TRIGGER audit_events_no_update")
        edited.execute("UPDATE audit_events SET note = 'x' WHERE seq = 2")
    count, last = registry.count(), next(registry.audit.events())
    for name, error in {
        "second.db": Refused,
        "text.db": IntegrityFailure,
        "foreign.db": IntegrityFailure,
        "newer.db": RegistryUnavailable,
        "damaged.db": IntegrityFailure,
        "loose.db": RegistryUnavailable,
        "edited.db": IntegrityFailure,
        "nowhere.db": RegistryUnavailable,
    }.items():
        with pytest.raises(error) as refused:
            put_back(tmp_path / name)
        assert "the registry at" not in str(refused.value)
        assert (str(tmp_path / name) in str(refused.value), ".new" in str(refused.value)) == (
            name != "edited.db",
            False,
        )
        assert (registry.count(), next(registry.audit.events())) == (count, last), name
    assert [p.name for p in home.iterdir() if p.name.startswith(".")] == []


@pytest.mark.in_a_file
def test_a_log_that_was_left_is_not_taken_for_another_s(
    registry: Registry, home: Path, tmp_path: Path, put_back: Callable
):
    """A write-ahead log beside a registry that is gone would be played into whatever is put there: refused, for copies too."""
    issue(registry)
    registry.backups.create(tmp_path / "copy.db")
    (tmp_path / "other.db-wal").write_bytes(b"a log of something else")
    with pytest.raises(Refused, match=r"file already exists: .*other.db-wal"):
        registry.backups.create(tmp_path / "other.db")
    assert not (tmp_path / "other.db").exists()
    log = (home / "registry.db-wal").read_bytes()
    registry.close()
    places.take_away(home)
    (home / "registry.db-wal").write_bytes(log)
    with pytest.raises(Refused, match=r"file already exists: .*registry.db-wal"):
        put_back(tmp_path / "copy.db")
    assert not (home / "registry.db").exists()
    (home / "registry.db-wal").unlink()
    assert put_back(tmp_path / "copy.db").ended == 1


def test_no_backup_where_everybody_can_write(registry: Registry, tmp_path: Path):
    """It could not be restored from there: refused before anything is written."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(RegistryUnavailable, match="everybody can write"):
        registry.backups.create(tmp_path / "open" / "copy.db")
    assert list((tmp_path / "open").iterdir()) == []


@pytest.mark.in_a_file
def test_a_backup_behind_a_link(registry: Registry, home: Path, tmp_path: Path, put_back: Callable):
    """A copy with its log beside it is restored with what the log has, by whatever name it is reached."""
    issue(registry)
    issue(registry, "bob")
    (tmp_path / "kept").mkdir()
    for name in ("registry.db", "registry.db-wal"):
        shutil.copy(home / name, tmp_path / "kept" / name)
    assert (tmp_path / "kept" / "registry.db-wal").stat().st_size
    (tmp_path / "copy.db").symlink_to(tmp_path / "kept" / "registry.db")
    assert put_back(tmp_path / "copy.db").ended == 2


def test_a_backup_that_was_killed_at_its_last_moment(registry: Registry, tmp_path: Path, put_back: Callable):
    """The name that it was made under is left beside its own, and taken away when it is used."""
    issue(registry)
    registry.backups.create(tmp_path / "copy.db")
    os.link(tmp_path / "copy.db", tmp_path / ".copy.db.abcdefgh.new")
    assert put_back(tmp_path / "copy.db").ended == 1
    assert not (tmp_path / ".copy.db.abcdefgh.new").exists()


def test_a_backup_is_not_touched_by_a_restore(registry: Registry, tmp_path: Path, put_back: Callable):
    """Not a byte of it, and nothing is left beside it."""
    registry.backups.create(tmp_path / "copy.db")
    before = (tmp_path / "copy.db").read_bytes()
    put_back(tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


def test_a_backup_that_was_killed_with_both_its_names_is_used(registry: Registry, tmp_path: Path, put_back: Callable):
    """The name that it was made under goes; another second name is refused as it is."""
    copy = tmp_path / "copy.db"
    registry.backups.create(copy)
    os.link(copy, tmp_path / ".copy.db.abc.new")
    put_back(copy)
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == ["copy.db"]
    os.link(copy, tmp_path / "mine.db")
    with pytest.raises(RegistryUnavailable, match="second name"):
        put_back(copy)


def test_a_restore_waits_no_longer_than_any_writer(
    registry: Registry, home: Path, tmp_path: Path, put_back: Callable, monkeypatch: pytest.MonkeyPatch
):
    """A registry that stays locked is unavailable (6), and as it was; nothing is left in the home."""
    issue(registry)
    registry.backups.create(tmp_path / "copy.db")
    issue(registry, "late")
    for kind in ("sqlite", "postgres") if places.ON_POSTGRES else ("sqlite",):
        monkeypatch.setattr(f"authctl.store.{kind}.connections.LOCK_TIMEOUT_SECONDS", 0.2)
    with places.held(places.place_in(home)), pytest.raises(RegistryUnavailable, match="locked by another process"):
        put_back(tmp_path / "copy.db")
    assert registry.count() == 2
    assert registry.audit.verify().seq == 3
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == []


def test_backup_and_restore_by_command(installed: Authctl, tmp_path: Path, home: Path):
    """What is said and shown; the note is required; a damaged registry has to be moved away first."""
    token = installed("tokens", "issue", "--user", "alice", "--application", "Outlook").out
    taken = installed("backup", str(tmp_path / "copy.db"), "-o", "json")
    assert (taken.code, list(taken.json)) == (0, ["file", "registry_id", "seq", "hash"])
    assert installed("backup", str(tmp_path / "copy.db")).code == 4
    assert installed("restore", str(tmp_path / "copy.db")).code == 4
    assert installed("restore", str(tmp_path / "nowhere.db"), "--note", "disk failed").code == 6
    assert installed("tokens", "verify", stdin=token).code == 0
    done = installed("restore", str(tmp_path / "copy.db"), "--note", "disk failed", "--yes", "-o", "json")
    assert (done.code, done.json["ended"], done.json["note"]) == (0, 1, "disk failed")
    assert installed("tokens", "verify", stdin=token).code == 5
    assert installed("audit", "verify").code == 0
    places.damage(home)
    refused = installed("restore", str(tmp_path / "copy.db"), "--note", "disk failed", "--yes")
    assert (refused.code, how_to_move_away(places.place_in(home)) in refused.err) == (4, True)
    places.take_away(home)
    assert installed("restore", str(tmp_path / "copy.db"), "--note", "disk failed", "--yes").code == 0
    assert installed("tokens", "verify", stdin=token).code == 5


# What cleanup removes, kept elsewhere


def test_what_is_removed_is_archived_first(registry: Registry, authctl: Authctl, tmp_path: Path, clock: Clock):
    """Every field of every session, as the list has it, in batches; nothing else, and nothing twice."""
    clock.now = datetime.now(UTC) - timedelta(days=400)
    with registry._installation.store.change() as tx:
        tx.set_recorded_time(0)
    for n in range(5):
        issue(registry, f"user{n}")
    registry.revoke(SessionFilter(username="user1"), note="lost device")
    clock.now = datetime.now(UTC)
    issue(registry, "fresh")
    listed = authctl("sessions", "list", "-o", "ndjson").out.splitlines()
    old = sorted(line for line in listed if "fresh" not in line)
    dry = authctl(
        "cleanup", "--archive", str(tmp_path / "gone.jsonl.gz"), "--dry-run", "--accept-clock-jump", "-o", "json"
    )
    assert (dry.code, dry.json["removed"], (tmp_path / "gone.jsonl.gz").exists()) == (0, 5, False)
    done = authctl(
        "cleanup",
        "--archive",
        str(tmp_path / "gone.jsonl.gz"),
        "--batch-size",
        "2",
        "--accept-clock-jump",
        "-o",
        "json",
    )
    assert (done.code, done.json["removed"]) == (0, 5)
    with gzip.open(tmp_path / "gone.jsonl.gz", "rt") as file:
        assert sorted(file.read().splitlines()) == old
    assert stat.S_IMODE((tmp_path / "gone.jsonl.gz").stat().st_mode) == 0o600
    assert authctl("cleanup", "--archive", str(tmp_path / "gone.jsonl.gz")).code == 4
    assert authctl("cleanup", "--archive", "/nowhere/gone.jsonl.gz").code == 6


def test_a_cleanup_that_is_refused_leaves_no_archive(
    registry: Registry, authctl: Authctl, tmp_path: Path, clock: Clock
):
    """So that what its hint says can be typed, with the same file."""
    clock.now = datetime.now(UTC) - timedelta(days=400)
    with registry._installation.store.change() as tx:
        tx.set_recorded_time(0)
    issue(registry)
    archive = ("--archive", str(tmp_path / "gone.jsonl.gz"))
    refused = authctl("cleanup", *archive)
    assert (refused.code, "--accept-clock-jump" in refused.err) == (4, True)
    assert authctl("cleanup", *archive, "--accept-clock-jump").code == 0
    with gzip.open(tmp_path / "gone.jsonl.gz", "rt") as file:
        assert len(file.readlines()) == 1


def test_what_cannot_be_archived_stays(registry: Registry, authctl: Authctl, clock: Clock):
    """A full disk under the archive: 6, and the batch is still there."""
    for n in range(3):
        issue(registry, f"user{n}")
    clock.forward(days=200)

    def full(_sessions: object) -> None:
        raise RegistryUnavailable("cannot write: no space left on device")

    with pytest.raises(RegistryUnavailable):
        registry.cleanup.run(archive=full)
    assert registry.count() == 3


def test_a_name_that_no_file_can_have_is_refused(registry: Registry):
    """A NUL character is an error of the input, and not a defect."""
    with pytest.raises(InvalidInput, match="no file can have the name"):
        registry.backups.create("copy\0.db")


def test_the_users_who_stay_disabled_are_named_by_the_restore(installed: Authctl, tmp_path: Path):
    """One of them, or several: disabled in the backup, and enabled since."""
    for users, words in ((("alice",), "1 user, who was disabled"), (("alice", "bob"), "2 users, who were disabled")):
        copy = str(tmp_path / f"copy{len(users)}")
        installed("users", "disable", *users, "--until", "30d", "--note", "on leave")
        assert installed("backup", copy).code == 0
        assert installed("users", "enable", *users, "--note", "back again").code == 0
        ran = installed("restore", copy, "--note", "lost the disk", "--yes")
        assert (ran.code, words in ran.err) == (0, True), ran.err
        shown = installed("users", "show", users[0], "-o", "json").json
        assert (shown["disabled"], shown["disabled_until"] is not None) == (True, True)
