"""Look-ups on a real PostgreSQL server: they read little, and whatever another host does counts at the next one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authctl import (
    ConditionNotMet,
    IntegrityFailure,
    Registry,
    RegistryUnavailable,
    TokenInvalid,
    TokenRevoked,
    profiles,
)
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sql import fixed_columns
from tests.conftest import Clock
from tests.postgres_server import Server, why_not
from tests.visited_sessions import OPERATIONS, PROFILES, Visited, whole

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg

    from authctl.store.postgres import look_up
    from authctl.store.postgres.connection import Connection

REUSED = PROFILES.replace("access_lifetime: 1h", "access_lifetime: 1h, refresh: {grace: 0s, on_reuse: revoke}")
NETWORKS = PROFILES.replace("on_revoke: wipe", "conditions: {networks: [10.0.0.0/8]}")

WATCH = """
CREATE FUNCTION alone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT turn FROM registry) IS DISTINCT FROM pg_current_xact_id()::text::bigint THEN
        RAISE EXCEPTION 'changed beside others: %', TG_TABLE_NAME;
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER alone BEFORE INSERT OR UPDATE OR DELETE ON clients FOR EACH ROW EXECUTE FUNCTION alone();
CREATE TRIGGER alone BEFORE INSERT OR UPDATE OR DELETE ON changeover FOR EACH ROW EXECUTE FUNCTION alone();
CREATE TRIGGER alone BEFORE INSERT OR UPDATE OR DELETE ON schema_version FOR EACH ROW EXECUTE FUNCTION alone();
CREATE TRIGGER alone BEFORE UPDATE OR DELETE ON revocations FOR EACH ROW WHEN (OLD.at IS NULL) EXECUTE FUNCTION alone();
CREATE TRIGGER added BEFORE INSERT ON revocations FOR EACH ROW WHEN (NEW.at IS NULL) EXECUTE FUNCTION alone();
CREATE TRIGGER alone BEFORE UPDATE ON registry FOR EACH ROW
    WHEN ((OLD.profiles, OLD.moved_to) IS DISTINCT FROM (NEW.profiles, NEW.moved_to)) EXECUTE FUNCTION alone();
"""
"""Refuses a change that is not alone, of everything that a look-up takes for unchanged as long as the turn is the same."""


@pytest.fixture
def visited(tmp_path: Path, postgres_url: str, clock: Clock) -> Iterator[Visited]:
    """A registry whose sessions were all verified."""
    home, raw = tmp_path / "home", REUSED.encode()
    create(find_home(home, postgres_url), profiles.read(raw, "profiles.yaml"), raw, clock=clock)
    with Registry.open(home, registry=postgres_url, clock=clock) as registry:
        visited = Visited(registry, home, postgres_url, clock)
        yield visited
        visited.close()


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all look-ups from now on."""
    sent: list[str] = []
    real = Connection.find

    def find(self, statement):
        sent.append(statement.sql)
        return real(self, statement)

    monkeypatch.setattr(Connection, "find", find)
    return sent


def known(registry: Registry) -> object:
    """What the connection of the look-ups knows of its registry."""
    with registry._installation.store._connections.hot() as connection:  # type: ignore[attr-defined]
        return connection.known


def reuse(visited: Visited) -> None:
    """Refresh the pair twice by one token on another host, which revokes it by a change beside others."""
    token = visited.issued[1].refresh_token
    assert token
    with visited.other() as other:
        other.refresh(token)
        with pytest.raises(TokenInvalid):
            other.refresh(token)


CHANGES: dict[str, Callable[[Visited], object]] = {**OPERATIONS, "reused": reuse}


@pytest.mark.parametrize("operation", CHANGES)
def test_a_session_that_was_looked_up_before_comes_back_as_its_row_is_now(visited: Visited, operation: str):
    """Another host does the operation; the next look-up returns what the whole row contains."""
    CHANGES[operation](visited)
    store = visited.registry._installation.store
    for issued in visited.issued:
        number = issued.session.number
        for _ in range(2):
            row = store.by_number(number, visited.registry.now())
            assert (row and row[0]) == whole(visited.registry, number)


def test_a_revocation_beside_other_changes_counts_at_once(visited: Visited):
    """It leaves no turn: the session itself tells that it is revoked."""
    before = known(visited.registry)
    reuse(visited)
    with pytest.raises(TokenRevoked):
        visited.registry.verify(visited.issued[1].access_token)
    assert known(visited.registry) == before


@pytest.mark.parametrize("operation", CHANGES)
def test_only_a_change_that_is_alone_alters_what_look_ups_take_for_unchanged(
    visited: Visited, postgres_server: Server, operation: str
):
    """A trigger refuses it in all other changes; every operation is done with it."""
    watched = operation != "restored"  # which replaces the rows of each table, behind the gate
    if watched:
        postgres_server.execute(WATCH, database(visited))
        with pytest.raises(psycopg.errors.RaiseException, match="changed beside others: revocations"):
            postgres_server.execute("UPDATE revocations SET at = 1, actor = 'a', note = 'n'", database(visited))
    client = visited.registry.clients.add("proxy", may=["introspect"]).client
    CHANGES[operation](visited)
    with visited.other() as other:
        other.issue(username="bob", application="Outlook", ip="10.1.2.3")
        if watched:
            other.clients.remove(client.name, note="gone")


def database(visited: Visited) -> str:
    """The database of the registry."""
    return str(visited.place).removeprefix("postgresql:///").partition("?")[0]


def test_a_look_up_is_one_short_statement(visited: Visited, found: list[str]):
    """The revocation, the version and the place are read again only after a change that was alone, once for all sessions."""
    token, other_token, _ = (issued.access_token for issued in visited.issued)
    for one in (token, other_token):
        visited.registry.verify(one)  # which is a use that is written
    found.clear()
    for _ in range(3):
        visited.registry.verify(token)
    assert found == [look_up._CHANGING] * 3
    with visited.other() as other:
        other.issue(username="bob", application="Outlook")
        visited.registry.verify(token)
        assert found == [look_up._CHANGING] * 4
        other.users.disable("nobody-here", note="left")
    found.clear()
    for one in (token, other_token, token):
        visited.registry.verify(one)
    assert found == [look_up._CHANGING, look_up._SESSION, *[look_up._CHANGING] * 2]


def test_a_session_whose_columns_are_not_kept_is_read_without_its_revocation(
    visited: Visited, found: list[str], monkeypatch: pytest.MonkeyPatch
):
    """Only so many are kept; of others all columns are read, in one statement too."""
    for issued in visited.issued:
        visited.registry.verify(issued.access_token)
    monkeypatch.setattr(fixed_columns, "MOST_KEPT", 1)
    monkeypatch.setattr(visited.registry._installation.store, "_look_ups", look_up.LookUps())
    found.clear()
    for _ in range(2):
        for issued in visited.issued:
            assert visited.registry.verify(issued.access_token).id == issued.session.id
    assert found == [look_up._UNREVOKED] * 6


def test_clients_and_profiles_are_read_again_when_a_change_was_alone(visited: Visited, found: list[str]):
    """An unchanged one stays the same value; a new secret, a removal and new profiles count at once."""
    store = visited.registry._installation.store
    with visited.other() as other:
        added = other.clients.add("proxy", may=["introspect"]).client
        client, in_force = store.client(added.client_id), store.profiles()
        found.clear()
        assert store.client(added.client_id) is client
        assert store.profiles() is in_force
        assert found == [look_up._READ_TURN.sql] * 2
        other.users.disable("nobody-here", note="left")
        assert store.client(added.client_id) is client
        assert store.profiles() is in_force
        other.clients.rotate("proxy", note="yearly")
        rotated = store.client(added.client_id)
        assert client
        assert rotated
        assert (rotated.secret_hash != client.secret_hash, rotated.old_secret_hash) == (True, client.secret_hash)
        other.clients.remove("proxy", note="gone")
        assert store.client(added.client_id) is None
        assert store.client(added.client_id) is None
        other.profiles.apply(profiles.read(NETWORKS.encode(), "profiles.yaml"), note="stricter")
        assert store.profiles() != in_force
        with pytest.raises(ConditionNotMet):
            visited.registry.verify(visited.issued[0].access_token, ip="192.0.2.1")


def test_what_is_known_is_of_one_connection(visited: Visited, postgres_server: Server):
    """After a failover that lost changes, another change can have the same number."""
    store, number = visited.registry._installation.store, visited.issued[0].session.number
    with store._connections.hot() as connection:  # type: ignore[attr-defined]
        process = connection.info.backend_pid
    assert known(visited.registry)
    postgres_server.execute(f"SELECT pg_terminate_backend({process}, 5000)")
    assert known(visited.registry) is None
    assert store.by_number(number)
    assert known(visited.registry)


def test_nothing_is_known_behind_a_pooler(visited: Visited, found: list[str]):
    """It can go on with another server while its own connection stays the same: each look-up is a whole one."""
    token = visited.issued[0].access_token
    visited.registry.verify(token)
    with Registry.open(visited.home, registry=f"{visited.place}&pooler=transaction", clock=visited.clock) as pooled:
        found.clear()
        for _ in range(2):
            assert pooled.verify(token).id == visited.issued[0].session.id
        assert found == [look_up._SESSION] * 2
        assert known(pooled) is None


def test_a_server_that_does_not_answer_a_look_up(visited: Visited, postgres_server: Server):
    """The wait ends after the patience of the connection, which is closed then: the answer could come later."""
    store, number = visited.registry._installation.store, visited.issued[0].session.number
    assert store.by_number(number)  # from now on it is prepared
    with store._connections.hot() as connection:  # type: ignore[attr-defined]
        connection.patience = 0.3
        process = connection.info.backend_pid
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(RegistryUnavailable, match="the server is there, and does not answer"):
            store.by_number(number)
        assert connection.closed
        assert store.by_number(number)
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_look_up_that_a_signal_broke_off(visited: Visited):
    """Its answer is not taken for the one of the next look-up."""
    store = visited.registry._installation.store
    first, second = (issued.session.number for issued in visited.issued[:2])
    assert store.by_number(first)  # from now on it is prepared
    with store._connections.hot() as connection:  # type: ignore[attr-defined]
        process = connection.info.backend_pid
    os.kill(process, signal.SIGSTOP)
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            store.by_number(first)
    finally:
        signal.signal(signal.SIGALRM, former)
        os.kill(process, signal.SIGCONT)
    row = store.by_number(second)
    assert row
    assert row[0].number == second


def test_a_damaged_registry_is_named(visited: Visited, postgres_server: Server):
    """Without its own row nothing is judged."""
    postgres_server.execute("DELETE FROM registry", database(visited))
    with pytest.raises(IntegrityFailure, match="damaged"):
        visited.registry.verify(visited.issued[0].access_token)
