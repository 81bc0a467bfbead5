"""Moves of a registry to another place: whole, compared, and closed where it was."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authctl import (
    IntegrityFailure,
    Refused,
    Registry,
    RegistryMoved,
    SessionFilter,
    TokenRevoked,
)
from authctl.registry.moving import move
from authctl.settings import find_home
from authctl.store import open_store
from authctl.store.moving import compare, marks_at
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, Install, OnTerminal, unseen
from tests.filled_registry import dump, fill
from tests.new_places import WAYS, MakePlace
from tests.postgres_server import Server


@pytest.mark.in_a_file
@pytest.mark.parametrize("kind", ["file", "server"])
def test_there_and_back_is_the_same_registry(
    authctl: Authctl, install: Install, home: Path, new_place: MakePlace, kind: str
):
    """Every table, every column and the next numbers are the same; the audit log has an event for each move."""
    install().close()
    fill(home)
    before = dump(home / "registry.db")
    assert not [table for table, rows in before.items() if not rows], "a table without a row shows nothing"
    between, back = new_place(kind), new_place("file")
    ran = authctl("registry", "move", "--to", str(between), "--yes", "--note", "to the server", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["tables"] == {table: len(before[table]) for table in ran.json["tables"]}
    assert ran.json["compared"] == sum(ran.json["tables"].values())
    ran = authctl("--registry", str(between), "registry", "move", "--to", str(back), "--yes", "--actor", "eve")
    assert ran.code == 0, ran.err
    after = dump(back)
    events = after.pop("audit_events")
    assert sorted(events)[:-2] == sorted(before.pop("audit_events"))
    (_, _, actor, action, subject, note, detail, *_), (_, _, other, *_) = sorted(events)[-2:]
    assert (actor, action, subject, note) == ("tester", "registry.move", before["registry"][0][1], "to the server")
    assert json.loads(detail)["to"] == str(between)
    assert other == "eve"
    for table in before.keys() - {"clock", "search_index"}:
        assert before[table] == after[table], table
    assert [row[2] for row in after["clock"]] == [row[2] for row in before["clock"]]
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    ran = authctl("--registry", str(back), "audit", "verify", "-o", "json")
    assert (ran.code, ran.json["seq"]) == (0, len(events))


@pytest.mark.in_a_file
@pytest.mark.parametrize(("old", "new"), WAYS)
def test_the_moved_registry_goes_on(installed_at: MakePlace, home: Path, new_place: MakePlace, old: str, new: str):
    """Tokens are judged as before, texts are found, numbers rise, the chain continues, and audit.head moves on with it."""
    place, target = installed_at(old), new_place(new)
    with Registry.open(home, registry=place) as registry:
        issued = [
            registry.issue(username=name, application="Outlook", device=f"{name}-ПК") for name in ("alice", "жук")
        ]
        registry.revoke(SessionFilter(username="alice"), note="потерян 'телефон'", actor="admin")
        registry.users.disable("bob", note="left", actor="admin")
        last = registry.audit.verify().seq
    outcome = move(find_home(home, place), target, note="to the new host", actor="admin")
    assert (outcome.seq, outcome.active, outcome.was_begun) == (last + 1, 1, False)
    with Registry.open(home, registry=target) as registry:
        assert registry.audit.verify() == (outcome.seq, outcome.hash)
        assert registry.audit.event(outcome.seq).note == "to the new host"
        assert f"{outcome.seq:019d} {outcome.hash}" in (home / "audit.head").read_text()
        assert registry.verify(issued[1].access_token).username == "жук"
        with pytest.raises(TokenRevoked):
            registry.verify(issued[0].access_token)
        assert [one.username for one in registry.sessions(SessionFilter(search="телефон"))] == ["alice"]
        with pytest.raises(Refused, match="disabled"):
            registry.issue(username="bob", application="Outlook")
        assert registry.issue(username="eve", application="Outlook").session.number > issued[1].session.number
        assert all(finding.ok for finding in registry.doctor.examine() if finding.check in ("audit_head", "registry"))


@pytest.mark.in_a_file
@pytest.mark.parametrize(("old", "new"), WAYS)
def test_whoever_has_the_old_place_open_is_refused(
    installed_at: MakePlace, home: Path, new_place: MakePlace, old: str, new: str
):
    """Look-ups, lists and changes of an open registry name the new place at once, also about what only the new place has."""
    place, target = installed_at(old), new_place(new)
    with Registry.open(home, registry=place) as opened:
        known = opened.issue(username="alice", application="Outlook").access_token
        client, _secret = opened.clients.add("shop", may=["introspect"])[:2]
        store = opened._installation.store
        assert opened.verify(known).username == "alice"
        store.client("nobody")
        store.profiles()
        move(find_home(home, place), target)
        with Registry.open(home, registry=target) as registry:
            unknown = registry.issue(username="bob", application="Outlook").access_token
        calls: dict[str, Callable[[], object]] = {
            "verify": lambda: opened.verify(known),
            "verify an unknown one": lambda: opened.verify(unknown),
            "a client": lambda: store.client(str(client)),
            "an unknown client": lambda: store.client("nobody"),
            "profiles": store.profiles,
            "issue": lambda: opened.issue(username="alice", application="Outlook"),
            "list": lambda: list(opened.sessions()),
            "count": opened.count,
            "revoke": lambda: opened.revoke(SessionFilter(username="alice"), note="lost device"),
            "disable": lambda: opened.users.disable("alice", note="left"),
            "events": lambda: list(opened.audit.events()),
            "verify the chain": opened.audit.verify,
            "backup": lambda: opened.backups.create(home / "copy.db"),
        }
        for name, call in calls.items():
            with pytest.raises(RegistryMoved, match=f"was moved to {'/' if new == 'file' else 'postgresql'}") as caught:
                call()
            assert caught.value.moved_to == str(target), name
    with Registry.open(home, registry=place) as late, pytest.raises(RegistryMoved):
        late.verify(known)


@pytest.mark.in_a_file
def test_a_process_of_an_earlier_version_cannot_go_on(installed_at: MakePlace, home: Path, new_place: MakePlace):
    """Its statements, which ask for no move, find no table for the time and for clients."""
    place = installed_at("file")
    with closing(sqlite3.connect(place)) as former:
        judged = "SELECT s.id FROM sessions AS s WHERE s.number = 1 AND s.expires_at > (SELECT seen_at FROM clock)"
        former.execute(judged)
        move(find_home(home, place), new_place("file"))
        for statement in (judged, "UPDATE clock SET seen_at = 1", "SELECT * FROM clients"):
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                former.execute(statement)


@pytest.mark.in_a_file
def test_the_messages_name_the_new_place(installed: Authctl, home: Path, tmp_path: Path):
    """What to set for every process; later commands end with 6 and have the new place in the hint; to move again is no error."""
    target = tmp_path / "new place.db"
    ran = installed("registry", "move", "--to", str(target), "--yes")
    assert ran.code == 0
    assert f"export AUTHCTL_REGISTRY='{target}'" in ran.err
    ran = installed("sessions", "list")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == (
        f"authctl: error: the registry at {home / 'registry.db'} was moved to {target}\n"
        f"authctl: hint: authctl --registry '{target}' COMMAND, or AUTHCTL_REGISTRY='{target}'\n"
    )
    ran = installed("--home", str(home), "sessions", "list")
    assert f"hint: authctl --home {home} --registry '{target}' COMMAND" in ran.err
    ran = installed("--home", str(home), "--registry", str(home / "registry.db"), "sessions", "list")
    assert f"hint: authctl --home {home} --registry '{target}' COMMAND" in ran.err
    ran = installed("registry", "move", "--to", str(target), "-o", "json")
    assert (ran.code, ran.json["was_begun"], ran.json["compared"]) == (0, True, None)
    ran = installed("registry", "move", "--to", str(tmp_path / "elsewhere.db"), "--yes")
    assert (ran.code, (tmp_path / "elsewhere.db").exists()) == (6, False)
    for path in home.glob("registry.db*"):
        path.unlink()
    ran = installed("--registry", str(target), "registry", "move", "--to", str(home / "registry.db"), "--yes")
    assert ran.code == 0
    assert "remove AUTHCTL_REGISTRY and --registry" in ran.err
    assert installed("sessions", "list").code == 0


@pytest.mark.in_a_file
def test_a_dry_run_changes_nothing(installed: Authctl, home: Path, tmp_path: Path):
    """It has the same record, and leaves both places as they were; so does a question that nobody can answer."""
    before = dump(home / "registry.db")
    ran = installed("registry", "move", "--to", str(tmp_path / "new.db"), "--dry-run", "-o", "json")
    assert (ran.code, ran.json["dry_run"], ran.json["tables"]["audit_events"], ran.json["compared"]) == (
        0,
        True,
        1,
        None,
    )
    assert "dry run, nothing was changed: would move" in ran.err
    ran = installed("registry", "move", "--to", str(tmp_path / "new.db"))
    assert (ran.code, ran.out) == (4, "")
    assert not list(tmp_path.glob("*new.db*"))
    assert dump(home / "registry.db") == before


@pytest.mark.in_a_file
def test_a_person_is_asked(installed: Authctl, on_terminal: OnTerminal, home: Path, tmp_path: Path):
    """The content and both places are shown first."""
    target = tmp_path / "new.db"
    screen = on_terminal("registry", "move", "--to", str(target), answers=("n",), columns=400)
    assert screen.code == 4
    assert f"this moves 0 sessions (0 active) and 1 audit event from {home / 'registry.db'} to {target}" in screen.text
    assert not target.exists()
    assert on_terminal("registry", "move", "--to", str(target), answers=("y",)).code == 0
    assert installed("--registry", str(target), "sessions", "list").code == 0


@pytest.mark.in_a_file
def test_wrong_places(installed: Authctl, home: Path, tmp_path: Path):
    """Each is refused, nothing is made, and the registry stays in force."""
    (tmp_path / "some.txt").write_text("text")
    (tmp_path / "log.db-wal").write_text("text")
    installed("backup", str(tmp_path / "copy.db"))
    assert installed("--home", str(tmp_path / "other"), "init").code == 0
    (home / "link.db").symlink_to(home / "registry.db")
    files = {path: path.stat().st_mtime_ns for path in [*tmp_path.rglob("*")] if path.is_file()}
    wrong = {
        str(tmp_path / "some.txt"): 4,
        str(tmp_path): 4,
        str(tmp_path / "log.db"): 4,
        str(tmp_path / "copy.db"): 4,
        str(tmp_path / "other" / "registry.db"): 4,
        str(tmp_path / "nowhere" / "new.db"): 6,
        str(home / "registry.db"): 2,
        str(home / "link.db"): 2,
        str(home / "registry.db-wal"): 2,
        str(home / "receivers.yaml"): 2,
        "": 2,
        " ": 2,
        "-": 2,
        "--yes": 2,
        "a\udcffb.db": 2,
        "mysql://host/db": 2,
        "postgresql://user:secret@host/db": 2,
        "postgresql://user@127.0.0.1:1/db?connect_timeout=2": 6,
    }
    for place, code in wrong.items():
        ran = installed("registry", "move", "--to", place, "--yes")
        assert (ran.code, ran.out) == (code, ""), (place, ran.err)
        assert "secret" not in ran.err
        assert not unseen(ran.err)
    assert installed("registry", "move", "--to", str(tmp_path / "new.db"), "--yes", "--note", "-").code == 4
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(files)
    assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook").code == 0
    assert not any("move" in line for line in installed("doctor").out.splitlines())


@pytest.mark.in_a_file
def test_databases_that_are_not_empty_or_not_ours(
    installed: Authctl, postgres_server: Server, new_place: MakePlace, tmp_path: Path
):
    """Another registry, tables of somebody else, and a role that may make none."""
    taken, strange, other = (new_place("server") for _ in range(3))
    assert installed("--home", str(tmp_path / "other"), "--registry", str(taken), "init").code == 0
    assert installed("registry", "move", "--to", str(taken), "--yes").code == 4
    database = str(strange).split("/", 3)[3].split("?")[0]
    for made in ("users (name text)", "registry (name text)"):
        postgres_server.execute(f"CREATE TABLE {made}", database)
        ran = installed("registry", "move", "--to", str(strange), "--yes")
        assert (ran.code, "the database is not empty" in ran.err) == (4, True), ran.err
    database = str(other).split("/", 3)[3].split("?")[0]
    postgres_server.execute("CREATE ROLE guest LOGIN")
    postgres_server.execute(f"GRANT CONNECT ON DATABASE {database} TO guest")
    ran = installed("registry", "move", "--to", postgres_server.url(database, "guest"), "--yes")
    assert (ran.code, "the role may make no tables" in ran.err) == (6, True), ran.err
    assert installed("registry", "move", "--to", str(other), "--yes").code == 0


@pytest.mark.in_a_file
@pytest.mark.parametrize("kind", ["file", "server"])
def test_a_role_that_may_change_nothing_moves_nothing(
    installed_at: MakePlace, home: Path, new_place: MakePlace, authctl: Authctl, postgres_server: Server, kind: str
):
    """A role that can read the old place alone cannot close it, so the copy does not stay either."""
    place, target = installed_at("server"), new_place(kind)
    database = str(place).split("/", 3)[3].split("?")[0]
    role = f"reader_{kind}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN; GRANT CONNECT ON DATABASE {database} TO {role}")
    postgres_server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", database)
    command = ("--registry", postgres_server.url(database, role), "registry", "move", "--to", str(target), "--yes")
    for more in (
        "USAGE ON SEQUENCE changes",
        "UPDATE (moving_to) ON registry",
        "INSERT, UPDATE ON audit_events, clock",
    ):
        ran = authctl(*command)
        assert (ran.code, "too few rights" in ran.err) == (6, True), ran.err
        postgres_server.execute(f"GRANT {more} TO {role}", database)
    ran = authctl(*command)
    assert (ran.code, "too few rights" in ran.err) == (6, True), ran.err
    assert marks_at(target) is None
    assert marks_at(place).moving_to is None
    with Registry.open(home, registry=place) as registry:
        registry.issue(username="alice", application="Outlook")
    assert move(find_home(home, place), target).tables["sessions"] == 1


@pytest.mark.in_a_file
def test_a_copy_that_differs_is_noticed(install: Install, home: Path, tmp_path: Path):
    """A row too many, and a changed column, in every table that has rows."""
    install().close()
    fill(home)
    with Registry.open(home) as registry:
        registry.backups.create(tmp_path / "copy.db")
    tables = [name for name in dump(home / "registry.db") if not name.startswith(("sqlite_", "search_index"))]
    assert len(tables) > 20
    for table in tables:
        for sql in _faults(tmp_path / "copy.db", table):
            file = tmp_path / "differs.db"
            file.write_bytes((tmp_path / "copy.db").read_bytes())
            file.chmod(0o600)
            with closing(sqlite3.connect(file, isolation_level=None)) as connection:
                for (trigger,) in connection.execute(
                    "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
                ).fetchall():
                    connection.execute(f"DROP TRIGGER {trigger}")
                connection.execute(sql)
            with (
                closing(open_store(home / "registry.db")) as one,
                closing(open_store(file)) as other,
                one.view() as view,
                other.view() as copy,
                pytest.raises(IntegrityFailure, match=f"in the table {table}:"),
            ):
                compare(view, copy, 0)
            for path in tmp_path.glob("differs.db*"):
                path.unlink()


def _faults(file: Path, table: str) -> Iterator[str]:
    """Statements that damage a table: its last row goes, and its last column that can be changed has another value."""
    with closing(sqlite3.connect(file)) as connection:
        columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,)).fetchall()
    keys = [name for name, _, pk in columns if pk] or [columns[0][0]]
    if table not in ("registry", "clock"):
        yield f'DELETE FROM "{table}" WHERE "{keys[0]}" = (SELECT max("{keys[0]}") FROM "{table}")'
    changeable = {
        "registry": "profiles = profiles || ' '",
        "clock": "seen_at = seen_at + 1",
        "imported_ahead": "at = at + 1",
        "announced_sessions": "number = number + 1",
        "sessions": "secret_hash = randomblob(32) WHERE number = 1",
        "changeover": "ended = ended + 1",
        "continuity": "note = note || ' '",
        "deliveries": "reason = reason || ' '",
        "imported_finals": "at = at + 1",
        "complete_listings": "taken_at = taken_at + 1",
        "revocations": "note = note || ' ' WHERE note IS NOT NULL",
    }
    name, kind, _ = columns[-1]
    value = {
        "INTEGER": f"coalesce({name}, 0) + 1",
        "TEXT": f"coalesce({name}, '') || 'x'",
        "BLOB": f"randomblob(length({name}))",
    }[kind]
    yield f'UPDATE "{table}" SET {changeable.get(table, f"{name} = {value}")}'
