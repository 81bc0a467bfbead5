"""Loading of a whole registry from a portable file into PostgreSQL: the same rows, numbers, texts and rights."""

from contextlib import closing
from pathlib import Path

import pytest

from authctl import IntegrityFailure, Refused, Registry, SessionFilter, TokenRevoked, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store import load_store, open_store
from authctl.store.sqlite.library import sqlite3
from tests.filled_registry import dump, fill
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation in a file with something in most of its tables."""
    home = tmp_path / "home"
    raw = profiles.DEFAULT_FILE.encode()
    create(find_home(home), profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    fill(home)
    return home


def test_a_registry_that_is_loaded_and_backed_up_again_is_the_same(home: Path, tmp_path: Path, postgres_url: str):
    """Every table, every column, and the numbers that come next."""
    with load_store(postgres_url, home / "registry.db"):
        pass
    with closing(open_store(postgres_url)) as store:
        store.back_up(tmp_path / "again.db")
    before, after = dump(home / "registry.db"), dump(tmp_path / "again.db")
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
