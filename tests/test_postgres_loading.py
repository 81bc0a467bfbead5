"""Loading of a whole registry from a portable file into PostgreSQL: the same rows, numbers, texts and rights."""

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from authctl import IntegrityFailure, Refused, Registry, SessionFilter, TokenRevoked, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store import load_store, open_store
from authctl.store.sqlite.library import sqlite3
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

FILLED = """
INSERT INTO continuity VALUES (3, 'Отдел', 1, 2, 'admin', 'storm', NULL, NULL);
INSERT INTO cached_logins VALUES ('mail', 'alice', 'Alice', 'Mail', 'ldap', 1, 2, 'k1', zeroblob(16), randomblob(32));
INSERT INTO changeover VALUES (1, '{}', '[]', 0, 1, 2, 3, 4, 5, 6);
INSERT INTO clients VALUES ('c1', 'api', 'API', '[]', '[]', 1, 2, 1, NULL, NULL, 3, 'admin', randomblob(32), 4, NULL, NULL);
INSERT INTO imported VALUES (4, randomblob(9), '{}', NULL, 1, 0, 5, NULL, NULL, randomblob(32), 1);
INSERT INTO imported_finals VALUES (x'00FF5C74', 'hub', -1, 9, 1);
INSERT INTO imported_ahead VALUES (x'5C4E0A', 9);
INSERT INTO imported_rows VALUES (4, 5, '{"a": "\t"}', NULL, 1, 'x', NULL), (4, 5, '{"a": "\t"}', NULL, 1, 'x', NULL);
INSERT INTO complete_listings VALUES ('hub', '', 5, 1);
INSERT INTO imports VALUES (41, 1, 'admin', 'Hub', 'hub', '{}', 2, 'none', 3, 4, 'b', 'wrong file', '{}');
INSERT INTO import_batches VALUES (7, 41, 1, 2, 3, 4, 5, 6, NULL, NULL);
INSERT INTO import_changes VALUES (41, 4, NULL, '{}');
INSERT INTO import_finals VALUES (41, x'00', -1, 2, 0, NULL);
INSERT INTO subscriptions VALUES (1, x'01', '[]');
INSERT INTO announcements VALUES (12, 'j', 'Портал', 'портал', 'session.revoked', 1, 'a', 'n', 5, NULL, NULL, NULL, 2, '{}', 3, 1, 'pending', 4, 5);
INSERT INTO announced_sessions VALUES (2, 4);
INSERT INTO deliveries VALUES (12, 4, 'портал', NULL, 'dead', 3, 1, 2, 9, 'x');
INSERT INTO receiver_pauses VALUES ('портал', 1, 2, 'x');
UPDATE registry SET restored_at = 5, moves = 6;
UPDATE clock SET leapt_at = 7;
"""
"""Rows of the tables that the operations below do not write, with what COPY and JSON must not change."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation in a file with something in most of its tables."""
    home = tmp_path / "home"
    raw = profiles.DEFAULT_FILE.encode()
    create(find_home(home), profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    with Registry.open(home) as registry:
        for name in ("alice", "bob", "жук", "Ａｄａ"):
            registry.issue(username=name, application="Outlook", device=f"{name}-ПК", ip="2001:DB8::1")
        registry.revoke(SessionFilter(username="alice"), note="потерян 'телефон'\t\\N %", actor="admin")
        registry.users.disable("bob", note="left", actor="admin")
        registry.users.password_changed("жук", note="ticket 5", actor="admin")
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.executescript(FILLED)
    return home


def _dump(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of a registry in a file, and the last numbers that were given."""
    with closing(sqlite3.connect(file)) as connection:
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%found%' AND name NOT LIKE '%migrations%'"
        names = [name for (name,) in connection.execute(sql)]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}


def test_a_registry_that_is_loaded_and_backed_up_again_is_the_same(home: Path, tmp_path: Path, postgres_url: str):
    """Every table, every column, and the numbers that come next."""
    with load_store(postgres_url, home / "registry.db"):
        pass
    with closing(open_store(postgres_url)) as store:
        store.back_up(tmp_path / "again.db")
    before, after = _dump(home / "registry.db"), _dump(tmp_path / "again.db")
    assert before.keys() == after.keys()
    assert not [table for table, rows in before.items() if not rows], "a table without a row shows nothing"
    for table in before.keys() - {"search_index"}:
        assert before[table] == after[table], table


def test_the_loaded_registry_goes_on(home: Path, tmp_path: Path, postgres_url: str, postgres_server: Server):
    """Tokens are judged as before, texts are found, numbers rise, the audit chain continues, and its events cannot be removed."""
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM changeover")  # made up, and to be completed by the next change
    with Registry.open(home) as registry:
        token = registry.issue(username="eve", application="Outlook").access_token
        revoked = registry.issue(username="zoe", application="Outlook").access_token
        registry.revoke(SessionFilter(username="zoe"), note="gone", actor="admin")
        numbers = [session.number for session in registry.sessions()]
        last = next(iter(registry.audit.events()))
    with load_store(postgres_url, home / "registry.db"):
        pass
    with Registry.open(home, registry=postgres_url) as registry:
        assert registry.verify(token).username == "eve"
        with pytest.raises(TokenRevoked):
            registry.verify(revoked)
        assert [session.username for session in registry.sessions(SessionFilter(search="жук-пк"))] == ["жук"]
        assert [session.username for session in registry.sessions(SessionFilter(search="'телефон'"))] == ["alice"]
        assert registry.issue(username="new", application="Outlook").session.number == max(numbers) + 1
        assert registry.audit.verify().seq == last.seq + 1
    database = postgres_url.split("/", 3)[3].split("?", maxsplit=1)[0]
    for statement in ("DELETE FROM audit_events", "UPDATE audit_events SET note = ''", "TRUNCATE audit_events"):
        with psycopg.connect(postgres_url) as owner, pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute(statement)
        with pytest.raises(psycopg.errors.RaiseException):
            postgres_server.execute(statement, database)


def test_nothing_is_loaded_beside_a_registry_or_by_a_block_that_fails(home: Path, postgres_url: str):
    """One transaction makes it: all of it is there, or the database is as empty as before."""
    with pytest.raises(KeyError), load_store(postgres_url, home / "registry.db") as store:
        with store.view() as view:
            assert view.by_number(1, 0) is not None
        raise KeyError
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        ).fetchone() == (0,)
    with load_store(postgres_url, home / "registry.db"):
        pass
    with pytest.raises(Refused, match="already exists"), load_store(postgres_url, home / "registry.db"):
        pass


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE sessions SET user_agent = 'a' || char(0) || 'b' WHERE number = 1", "sessions"),
        ("ALTER TABLE sessions ADD COLUMN extra TEXT", "sessions: extra"),
        ("PRAGMA foreign_keys = OFF; UPDATE sessions SET revocation_id = 99 WHERE number = 1", "revocation"),
        ("ALTER TABLE users DROP COLUMN password_except", "users: password_except"),
    ],
)
def test_what_no_registry_holds_is_refused(home: Path, postgres_url: str, sql: str, found: str):
    """A file that somebody changed by hand is not loaded in part."""
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.executescript(sql)
    with pytest.raises(IntegrityFailure, match=found), load_store(postgres_url, home / "registry.db"):
        pass
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT to_regclass('sessions')").fetchone() == (None,)
