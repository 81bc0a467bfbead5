"""Several statements in one message to a real PostgreSQL server, and the audit event that is appended with the commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from authctl import Registry, audit_chain, profiles
from authctl.errors import RegistryUnavailable
from authctl.model import EventFilter
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres import connections as module
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import Connection, connect
    from authctl.store.postgres.exchange import Statement
    from authctl.store.postgres.library import psycopg

TEXTS = ("alice", "Ålice \U0001f511", 'quo"te', "back\\slash", "per%cent", "{}", "'; --")
PROFILES = b"version: 1\ndefault_profile: mail\nprofiles: {mail: {idle_timeout: 30d}}\n"


@pytest.fixture
def connection(postgres_url: str) -> "Iterator[Connection]":
    """A connection to an empty database."""
    with connect(read_address(postgres_url)) as made:
        yield made


@pytest.fixture
def registry(tmp_path: Path, postgres_url: str) -> Iterator[Registry]:
    """An empty registry on the server."""
    create(find_home(tmp_path / "home", postgres_url), profiles.read(PROFILES, "profiles.yaml"), PROFILES)
    with Registry.open(tmp_path / "home", registry=postgres_url) as opened:
        yield opened


@pytest.mark.parametrize("prepares", [True, False])
def test_the_rows_of_each_statement(connection, prepares):
    """In order, prepared or not, the second time as the first; a parameter is a text, a number, bytes or nothing."""
    if not prepares:
        connection.prepare_threshold = None
    for _ in range(2):
        found = connection.exchange(
            Statement("SELECT $1::text, $2::bigint, $3::bytea, $4::text", ("ж%s", 2**40, b"\0\xff", None)),
            Statement("SELECT 1 WHERE false"),
            Statement("SELECT n FROM generate_series(1, $1::int) AS n", (3,)),
        )
        assert found == [[("ж%s", 2**40, b"\0\xff", None)], [], [(1,), (2,), (3,)]]
    assert connection.is_idle
    prepared = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'authctl%'").fetchone()
    assert prepared == (3 if prepares else 0,)


def test_a_large_question_with_a_large_answer(connection):
    """More than the buffers of both sides hold: neither waits for the other without end."""
    connection.patience = 60
    text = "ж" * 400_000
    found = connection.exchange(*(Statement("SELECT $1 || $1", (text,)) for _ in range(40)))
    assert [len(rows[0][0]) for rows in found] == [800_000] * 40


def test_nothing_is_done_after_the_first_error(connection):
    """It is raised, the transaction has failed, and the connection goes on after a rollback."""
    connection.execute("CREATE TABLE kept (value int PRIMARY KEY)")
    insert = Statement("INSERT INTO kept VALUES ($1)", (1,))
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.exchange(insert, insert, Statement("SELECT 1 / 0"))
    assert connection.is_idle
    connection.exchange(Statement("BEGIN"), insert)
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.exchange(Statement("SELECT 1 / $1::int", (0,)), Statement("COMMIT"))
    connection.execute("ROLLBACK")
    connection.exchanges.forget()
    assert connection.exchange(Statement("SELECT count(*) FROM kept")) == [[(0,)]]
    connection.exchange(insert)
    assert connection.exchange(Statement("SELECT 1 / $1::int", (1,))) == [[(1,)]]


def test_a_text_that_cannot_be_stored_is_not_sent(connection):
    """As with the driver's own cursor: libpq would cut a text at U+0000 without a word."""
    for text, error in (("a\0b", psycopg.DataError), ("\ud800", UnicodeEncodeError)):
        with pytest.raises(error):
            connection.exchange(Statement("SELECT $1::text", (text,)))
        assert connection.exchange(Statement("SELECT 1")) == [[(1,)]]


def test_a_server_that_ends_the_connection(connection, postgres_server: Server):
    """Its reason is the error; without one, the connection is lost."""
    pid = connection.info.backend_pid
    postgres_server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
    with pytest.raises(psycopg.OperationalError):
        connection.exchange(Statement("SELECT 1"), Statement("SELECT 2"))
    assert connection.closed


def test_a_server_that_does_not_answer(connection):
    """The wait ends after the patience of the connection, which is closed then: the answer could come later."""
    connection.patience = 0.3
    with pytest.raises(psycopg.OperationalError):
        connection.exchange(Statement("SELECT pg_sleep(5)"))
    assert connection.closed


def test_the_server_computes_the_hashes_of_the_chain(registry: Registry):
    """Whatever the texts: the log verifies, and the events are those of the sign-ins, one after another."""
    for text in TEXTS:
        registry.issue(username=text, application=text, device=text, actor=text)
    assert registry.audit.verify().seq > 1
    with registry._installation.snapshot() as (view, _):
        events = view.events(EventFilter(action="session.issue"), 99)
    assert [event.actor for event in reversed(events)] == list(TEXTS)
    assert all(audit_chain.digest(event) == event.hash for event in events)


@pytest.mark.parametrize("is_done", [True, False])
def test_the_answer_to_a_commit_with_its_event_is_lost(registry: Registry, monkeypatch, is_done):
    """The event is looked for by its content: a sign-in that is there counts as done, and is the head of the log."""
    registry.issue(username="alice", application="Outlook", actor="first")
    real = Connection.exchange

    def exchange(self, *statements):
        if Statement("COMMIT") not in statements:
            return real(self, *statements)
        if is_done:
            real(self, *statements)
        else:
            self.close()
        raise psycopg.OperationalError("the answer was lost")

    monkeypatch.setattr(module.Connection, "exchange", exchange)
    if is_done:
        session = registry.issue(username="alice", application="Outlook", actor="second").session
    else:
        with pytest.raises(RegistryUnavailable, match="nothing has changed"):
            registry.issue(username="alice", application="Outlook", actor="second")
    monkeypatch.undo()
    assert registry.audit.verify().seq > 1
    with registry._installation.snapshot() as (view, _):
        newest = view.events(EventFilter(), 1)[0]
        assert (newest.actor, newest.subject) == ("second", session.id) if is_done else newest.actor == "first"
        head = registry._installation.head.read()
        assert head == (newest.seq, newest.hash)
