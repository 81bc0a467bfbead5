"""What only SQLite can get wrong: plans, pragmas, file modes, damage, locks and the append-only log."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authctl import AuthctlError, IntegrityFailure, Refused, Registry, RegistryUnavailable, SessionFilter, profiles
from authctl.cli.exit_codes import exit_code_of
from authctl.import_mappings import read_mapping
from authctl.registry import init
from authctl.settings import find_home
from authctl.store.sqlite import connections
from authctl.store.sqlite.cleanup import CleanupWriter
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, Clock

SELECTIONS = {
    "all": SessionFilter(kind="application"),
    "every kind": SessionFilter(),
    "active": SessionFilter(status="active", kind="application"),
    "expired": SessionFilter(status="expired", kind="application"),
    "revoked": SessionFilter(status="revoked", kind="application"),
    "not revoked": SessionFilter(status=("active", "expired"), kind="application"),
    "user": SessionFilter(username="alice"),
    "user, active": SessionFilter(username="alice", status="active"),
    "user, expired": SessionFilter(username="alice", status="expired"),
    "user, revoked": SessionFilter(username="alice", status="revoked"),
    "id": SessionFilter(ids=("abcdefgh23456789",)),
}
ORDERED = {"all", "every kind", "expired", "revoked", "not revoked", "user", "user, active"}


@pytest.fixture
def statements(registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that the registry runs, with its values filled in."""
    traced: list[str] = []
    connect = connections.connect

    def tracing(path: Path, *, writing: bool = False) -> sqlite3.Connection:
        connection = connect(path, writing=writing)
        connection.set_trace_callback(traced.append)
        return connection

    monkeypatch.setattr(connections, "connect", tracing)
    return traced


_NEWEST_EVENT = "FROM audit_events ORDER BY seq DESC LIMIT 1"
"""The end of a statement that reads one row. SQLite calls a walk along the key SCAN, also if it ends at its first step."""


def plans(home: Path, traced: list[str]) -> list[str]:
    """How SQLite would carry out what was traced, step by step."""
    steps: list[str] = []
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.create_function("folded", 1, str)
        for statement in traced:
            if statement.endswith(_NEWEST_EVENT):
                continue
            if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT")):
                steps += [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    return steps


def scans(steps: list[str]) -> list[str]:
    """The steps that read a whole table; lists that were handed in do not count, nor the few continuity events."""
    allowed = (
        "json_each",
        "SCAN listed VIRTUAL TABLE",
        "SCAN walked",
        "SCAN found",  # the profiles, each found by a look into an index
        "CONSTANT ROW",
        "registry",
        "SCAN g",  # the one row of the registry, with its one changeover
        "SCAN changeover",
        "(subquery",
        "revocations_open",
        "SCAN continuity",
        "SCAN clock",
        "SCAN subscriptions",
    )
    return [step for step in steps if step.startswith("SCAN") and not any(word in step for word in allowed)]


@pytest.mark.parametrize("name", SELECTIONS)
def test_no_list_scans_a_table(registry: Registry, home: Path, statements: list[str], name: str):
    """Lists of every status, user and id enter by an index, and the ordered ones need no sorting."""
    list(registry.sessions(SELECTIONS[name]))
    steps = plans(home, statements)
    assert steps
    if name == "revoked":
        steps = [step for step in steps if step != "SCAN r USING INDEX revocations_by_time"]
    assert scans(steps) == []
    if name in ORDERED:
        assert [step for step in steps if "TEMP B-TREE" in step] == []


@pytest.mark.parametrize("name", ORDERED)
def test_no_continuity_event_makes_a_list_scan_or_sort(
    registry: Registry, home: Path, clock: Clock, statements: list[str], name: str
):
    """With one event that is over and one that is running, the ordered lists enter by the same indexes."""
    held = profiles.read(b"version: 1\nprofiles: {default: {idle_timeout: 3d, continuity: true}}", "profiles.yaml")
    registry.profiles.apply(held, note="for outages")
    registry.issue(username="alice", application="Outlook")
    registry.continuity.start(note="identity provider is down")
    clock.forward(days=5)
    registry.continuity.end(note="it is back")
    clock.forward(days=1)
    registry.continuity.start(note="down again")
    statements.clear()
    list(registry.sessions(SELECTIONS[name]))
    steps = [step for step in plans(home, statements) if step != "SCAN r USING INDEX revocations_by_time"]
    assert steps
    assert scans(steps) == []
    assert [step for step in steps if "TEMP B-TREE" in step] == []


def test_show_and_revoke_by_user_scan_no_table(registry: Registry, home: Path, statements: list[str]):
    """Showing one session and revoking a user's sessions go by index, whatever else is there."""
    issued = registry.issue(username="alice", application="Outlook")
    registry.session(issued.session.id)
    registry.session(issued.session.id[:8])
    registry.verify(issued.access_token)
    registry.end([registry.issue(username="alice", application="Outlook").access_token])
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert any(statement.startswith("UPDATE sessions NOT INDEXED SET revocation_id") for statement in statements)
    steps = plans(home, statements)
    assert steps
    assert scans(steps) == []


def test_revoke_all_touches_no_session(registry: Registry, statements: list[str]):
    """Revoking everything fills in one row and opens another: nothing is written for each session."""
    for _ in range(3):
        registry.issue(username="alice", application="Outlook")
    del statements[:]
    assert registry.revoke(SessionFilter(everything=True), note="breach drill").revoked == 3
    written = [one for one in statements if one.startswith(("UPDATE", "INSERT", "DELETE"))]
    assert [one.split("(")[0].strip() for one in written if "UPDATE sessions" in one and "IN (SELECT" not in one] == []
    assert any(one.startswith("UPDATE revocations") for one in written)


def test_every_pragma_is_read_back(registry: Registry, home: Path):
    """WAL and full synchronisation are in force on every connection, and readers cannot write."""
    path = home / "registry.db"
    for writing in (False, True):
        with closing(connections.connect(path, writing=writing)) as connection:
            read = {
                name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "query_only", "trusted_schema")
            }
            assert read == {
                "journal_mode": "wal",
                "synchronous": 2,
                "query_only": int(not writing),
                "trusted_schema": 0,
            }


def test_only_a_use_is_not_synced(registry: Registry, clock: Clock):
    """Who verifies does not wait for the disk; whatever is acknowledged is on it, also right after that."""

    def synchronous() -> int:
        return registry._installation.store._writer.connection().execute("PRAGMA synchronous").fetchone()[0]

    issued = registry.issue(username="alice", application="Outlook")
    assert synchronous() == 2
    clock.forward(hours=1)
    assert registry.verify(issued.access_token).last_used_at > issued.session.last_used_at
    assert synchronous() == 1
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert synchronous() == 2


def test_another_journal_mode_is_refused(registry: Registry, home: Path):
    """A pragma that did not take makes the registry unavailable, not weaker."""
    registry.close()
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with pytest.raises(RegistryUnavailable, match="journal mode"):
        open_and_read(home)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_every_file_is_private_from_creation(installed: Authctl, authctl: Authctl, tmp_path: Path, umask: int):
    """Whatever the umask, registry, log, key ring and profiles are 0600, and the folder is nobody else's."""
    before = os.umask(umask)
    try:
        place = find_home(tmp_path / "other", tmp_path / "other" / "registry.db")
        tmp_path.joinpath("other").mkdir(mode=0o700)
        tmp_path.joinpath("other").chmod(0o700)
        from authctl import profiles

        text = profiles.DEFAULT_FILE.encode()
        init.create(place, profiles.read(text, "p"), text, actor="founder")
        with Registry.open(place.folder, registry=place.registry) as registry:
            registry.issue(username="alice", application="Outlook")
            found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.folder.iterdir()}
    finally:
        os.umask(before)
    assert {"registry.db", "registry.db-wal", "registry.db-shm", "keys.json", "profiles.yaml"} <= set(found)
    assert {name: mode for name, mode in found.items() if mode != 0o600} == {}


def open_and_read(home: Path) -> int:
    """Open the registry and read from it."""
    with Registry.open(home, registry=home / "registry.db") as registry:
        return len(list(registry.sessions())) + registry.count()


def test_missing_is_unavailable_and_stays_missing(tmp_path: Path):
    """A registry that is not there is never created by accident."""
    with pytest.raises(RegistryUnavailable, match="no registry"):
        open_and_read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_everybody_can_write_to_is_refused(registry: Registry, home: Path):
    """Whoever may rename its files could put others in their place."""
    registry.close()
    home.chmod(0o777)
    with pytest.raises(RegistryUnavailable, match="everybody can write"):
        open_and_read(home)


def test_a_closed_registry_stays_closed(registry: Registry):
    """What comes after the end of the block is a mistake, and is told."""
    registry.close()
    registry.close()
    with pytest.raises(RegistryUnavailable, match="closed"):
        registry.count()


@pytest.mark.parametrize("what", ["loose", "hard link", "folder", "pipe"])
def test_what_others_could_touch_is_refused(registry: Registry, home: Path, what: str):
    """As ssh does with keys: open to others, with a second name, or no regular file, it is not used."""
    registry.close()
    path = home / "registry.db"
    if what == "loose":
        path.chmod(0o640)
    elif what == "hard link":
        os.link(path, home / "second")
    else:
        path.unlink()
        path.mkdir() if what == "folder" else os.mkfifo(path)
    with pytest.raises(RegistryUnavailable):
        open_and_read(home)


def test_a_symbolic_link_is_followed_to_a_private_file(registry: Registry, home: Path, tmp_path: Path):
    """The registry may lie on another disk; its log lies beside the real file."""
    registry.close()
    real = tmp_path / "disk"
    real.mkdir()
    shutil.move(home / "registry.db", real / "registry.db")
    (home / "registry.db").symlink_to(real / "registry.db")
    with Registry.open(home, registry=home / "registry.db") as linked:
        linked.issue(username="alice", application="Outlook")
        assert (real / "registry.db-wal").exists()
        assert not (home / "registry.db-wal").exists()


@pytest.mark.parametrize("what", ["empty", "text", "other application", "half", "first page", "every page"])
def test_damaged_or_foreign_is_an_integrity_failure(registry: Registry, home: Path, what: str):
    """Damage is exit 7, never a traceback, never a fresh registry, never a token called invalid."""
    issued = registry.issue(username="alice", application="Outlook")
    registry.close()
    path = home / "registry.db"
    raw = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"not a database, but long enough to be read as one by somebody" * 9,
        "half": raw[: len(raw) // 2],
        "first page": raw[:100] + bytes(3996) + raw[4096:],
        "every page": b"".join(raw[n : n + 100] + b"\xff" * 3996 for n in range(0, len(raw), 4096)),
    }
    if what == "other application":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA application_id = 7")
    else:
        path.write_bytes(damaged[what])
    size = path.stat().st_size
    with pytest.raises(IntegrityFailure):
        open_and_read(home)
    with pytest.raises(IntegrityFailure), Registry.open(home, registry=path) as reopened:
        reopened.verify(issued.access_token)
    assert path.stat().st_size == size


def test_no_flipped_byte_is_a_traceback(registry: Registry, home: Path):
    """Whichever part of the file is overwritten, what comes out is an answer or one of our own errors."""
    for n in range(30):
        registry.issue(username=f"user{n}", application="Outlook")
    registry.revoke(SessionFilter(username="user3"), note="lost device")
    registry.close()
    path = home / "registry.db"
    raw = path.read_bytes()
    outcomes = set()
    for offset in range(0, len(raw) - 16, 1009):
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        path.write_bytes(raw[:offset] + os.urandom(16) + raw[offset + 16 :])
        try:
            open_and_read(home)
            outcomes.add("answered")
        except AuthctlError as error:
            outcomes.add(type(error).__name__)
    assert outcomes <= {"answered", "IntegrityFailure", "RegistryUnavailable"}
    assert "IntegrityFailure" in outcomes


def test_a_name_in_the_schema_that_is_no_text(registry: Registry, home: Path):
    """It is a damaged registry, and no defect; nor does the look for a move, which follows, stumble over it."""
    registry.close()
    path = home / "registry.db"
    raw = path.read_bytes()
    assert b"tableregistryregistry" in raw
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(raw.replace(b"tableregistryregistry", b"tableregis\xa9ryregistry"))
    with pytest.raises(IntegrityFailure):
        open_and_read(home)


def test_a_newer_schema_is_unavailable_and_says_so(registry: Registry, home: Path):
    """What a newer authctl wrote is left alone."""
    registry.close()
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(RegistryUnavailable, match="newer authctl"):
        open_and_read(home)


def test_read_only_file_system(installed: Authctl, home: Path):
    """On a read-only mount everything can be read and nothing changed."""
    issued = installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-o", "json").json
    script = f"""
        mount --bind {home} {home} && mount -o remount,ro,bind {home} || exit 99
        export AUTHCTL_HOME={home}
        run="{sys.executable} -P -m authctl"
        $run sessions list --count || exit 1
        $run sessions show {issued["session"]["id"]} >/dev/null || exit 2
        echo {issued["access_token"]} | $run tokens verify -q || exit 3
        $run audit verify -q || exit 4
        $run revoke --user alice --note 'lost device'; [ $? = 6 ] || exit 5
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert "read-only" in done.stderr


def test_a_locked_registry_is_unavailable(registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch):
    """A writer that never ends makes writes unavailable after the wait; reading and verify go on."""
    issued = registry.issue(username="alice", application="Outlook")
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_SECONDS", 0.05)
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as hog:
        hog.execute("BEGIN IMMEDIATE")
        assert registry.verify(issued.access_token).status == "active"
        assert registry.count() == 1
        with pytest.raises(RegistryUnavailable, match="locked by another process"):
            registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1


def test_a_list_left_open_blocks_nobody(registry: Registry):
    """A reader that stops in the middle of a list keeps no snapshot open and no writer waiting."""
    for _ in range(5):
        registry.issue(username="alice", application="Outlook")
    listing = registry.sessions()
    next(listing)
    assert registry.revoke(SessionFilter(everything=True), note="breach drill").revoked == 5
    assert len(list(listing)) == 4


def test_a_fork_is_refused(registry: Registry):
    """A connection shared across a fork corrupts: the child is told to open its own."""
    registry.count()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            registry.count()
            os.write(writer, b"used")
        except RegistryUnavailable:
            os.write(writer, b"refused")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 99) == b"refused"
    os.close(reader)
    os.close(writer)


def test_threads_share_a_registry(registry: Registry):
    """Eight threads issue, verify, list and revoke on one registry; nothing is lost and nothing fails."""
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for _ in range(20):
                issued = registry.issue(username=name, application="Outlook")
                registry.verify(issued.access_token)
                registry.count()
            registry.revoke(SessionFilter(username=name), note="left the company")
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"user{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert registry.count(SessionFilter(status="revoked")) == 160
    assert registry.audit.verify().seq == 1 + 160 + 8


@pytest.mark.parametrize("statement", ["UPDATE audit_events SET note = 'x'", "DELETE FROM audit_events"])
def test_the_log_is_append_only(registry: Registry, home: Path, statement: str):
    """The database itself refuses to change or remove an event."""
    with (
        closing(sqlite3.connect(home / "registry.db")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


def test_a_creation_that_was_killed_at_its_last_moment_is_finished(registry: Registry, home: Path):
    """The registry has two names for an instant; the next command takes the first one away."""
    registry.close()
    draft = home / ".registry.db.k1ll3d.new"
    os.link(home / "registry.db", draft)
    assert open_and_read(home) == 0
    assert not draft.exists()


def test_creation_that_fails_leaves_nothing(tmp_path: Path, authctl: Authctl, home: Path):
    """An init that cannot finish takes back what it made; one that finds anything touches nothing."""
    assert authctl("--registry", str(tmp_path / "nowhere" / "registry.db"), "init").code == 6
    assert list(home.iterdir()) == []
    assert authctl("init").code == 0
    before = {path: path.read_bytes() for path in home.iterdir()}
    assert authctl("init").code == 4
    assert {path: path.read_bytes() for path in home.iterdir()} == before
    for name in ("registry.db", "registry.db-reserve", "profiles.yaml", "audit.head"):
        (home / name).unlink()
    assert authctl("init").code == exit_code_of(Refused)
    assert [path.name for path in home.iterdir()] == ["keys.json"]


def test_another_process_never_takes_itself_for_the_last_one(registry: Registry, home: Path):
    """However many connections this process has opened, one that comes and goes leaves its write-ahead log alone."""
    environment = {"PATH": os.environ["PATH"], "AUTHCTL_HOME": str(home)}
    command = [sys.executable, "-P", "-m", "authctl", "sessions", "list", "--count"]
    counts = []
    for _ in range(3):
        registry.verify(registry.issue(username="alice", application="Outlook").access_token)
        registry.count()
        counts.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert counts == ["1\n", "2\n", "3\n"]
    assert (home / "registry.db-wal").exists()


def test_cleanup_gives_room_back(registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch):
    """When most sessions are gone the file is smaller, and little of it is empty; each step gives back as many pages as it says."""
    return_free_space = CleanupWriter.return_free_space
    steps: list[tuple[int, int]] = []

    def watched(tx: CleanupWriter, most: int) -> int:
        size = tx.one_number("PRAGMA page_count")
        said = return_free_space(tx, most)
        assert said <= most
        steps.append((said, size - tx.one_number("PRAGMA page_count")))
        return said

    monkeypatch.setattr(CleanupWriter, "return_free_space", watched)
    rows = "".join(json.dumps({"u": f"user{number}", "t": "2020-01-01"}) + "\n" for number in range(6_000))
    mapping = read_mapping(b"fields: {username: u, at: t}\nkey: [username]\n", "map.yaml")
    registry.imports.run(io.BytesIO(rows.encode()), mapping)
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = connection.execute("PRAGMA page_count").fetchone()[0]
        assert registry.cleanup.run().removed == 6_000
        after, empty = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        assert after < before / 2
        assert empty <= after // 9
        assert max(steps)[0] > 1
        assert all(came >= said for said, came in steps)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("is_writer", [False, True])
def test_every_method_of_a_seldom_noun_is_found(is_writer: bool):
    """The lists of seldom nouns have every attribute of their classes, and no loaded class hides one of them."""
    from importlib import import_module
    from inspect import getattr_static

    from authctl.store.sqlite.change import SELDOM_WRITERS, SqliteChange
    from authctl.store.sqlite.view import SELDOM_NOUNS, SqliteView

    nouns, whole = (SELDOM_WRITERS, SqliteChange) if is_writer else (SELDOM_NOUNS, SqliteView)
    assert len(nouns) > 5
    listed: list[str] = []
    for noun, methods in nouns.items():
        module, _, name = noun.rpartition(".")
        cls = getattr(import_module(f"authctl.store.{module}"), name)
        attributes = {attribute for attribute in vars(cls) if not attribute.startswith("__")}
        assert attributes == {*methods.split()}, noun
        assert all(
            vars(getattr_static(whole, attribute)) == {"_noun": noun, "_name": attribute} for attribute in attributes
        )
        listed += attributes
    assert len(listed) == len(set(listed))


def test_a_view_has_no_method_of_a_change(registry: Registry):
    """A name of no noun is an AttributeError: a view cannot write."""
    with registry._installation.store.view() as view:
        assert view.users() == []
        with pytest.raises(AttributeError, match="add_event"):
            view.add_event(None)


def test_the_adapters_of_the_host_application_stay():
    """NULL and bytes are bound as they are (decision 354), except where the process has an adapter for them already."""
    program = """
try:
    from pysqlite3 import dbapi2 as sqlite3
except ImportError:
    import sqlite3
sqlite3.register_adapter(bytes, bytes.hex)
from authctl.store.sqlite.library import sqlite3 as chosen
connection = chosen.connect(":memory:")
print(connection.execute("SELECT ?, ?, typeof(?)", (b"a", None, None)).fetchone())
print((type(None), chosen.PrepareProtocol) in chosen.adapters)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["('61', None, 'null')", "True"]
