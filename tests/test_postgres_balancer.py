"""Pgpool-II between a host and its servers, which sends reads to a standby that is behind: nothing is answered by that standby."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authctl import Registry, RegistryUnavailable, SessionFilter, TokenRevoked, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store import open_store
from tests.postgres_server import Server, new_balancer, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg

    from authctl.store.postgres import look_up
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import Connection, connect
    from authctl.store.postgres.connections import BEGIN_TO_READ
    from authctl.store.postgres.errors import translated_errors


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    """A server and its standby."""
    with new_server() as server, server.new_standby() as standby:
        yield server, standby


@pytest.fixture
def place(servers: tuple[Server, Server], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A home, and the address of its registry behind the balancer; the standby stays behind from here on."""
    server, standby = servers
    raw = profiles.DEFAULT_FILE.encode()
    with server.fresh_database() as direct:
        create(find_home(tmp_path / "home", direct), profiles.read(raw, "profiles.yaml"), raw)
        with Registry.open(tmp_path / "home", registry=direct) as registry:
            registry.issue(username="first", application="Mail")
        [[position]] = server.execute("SELECT pg_current_wal_flush_lsn()")
        while standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != [(True,)]:
            pass
        standby.execute("SELECT pg_wal_replay_pause()")
        database = read_address(direct).parameters["dbname"]
        try:
            with new_balancer(server, standby) as folder:
                yield tmp_path / "home", f"postgresql:///{database}?host={folder}&port=9999&user=registrar"
        finally:
            standby.execute("SELECT pg_wal_replay_resume()")


def test_the_balancer_sends_plain_reads_to_the_standby(place):
    """Without the comment before each statement; otherwise the other tests here would prove nothing."""
    _, url = place
    with closing(connect(read_address(url))) as connection:
        plain = psycopg.Connection.execute(connection, "SELECT current_setting('in_hot_standby')").fetchone()
        ours = connection.execute("SELECT current_setting('in_hot_standby')").fetchone()
    assert (plain, ours) == (("on",), ("off",))


def test_sessions_and_revocations_are_seen_at_once(place):
    """By look-ups, lists and the reads of a change."""
    home, url = place
    with Registry.open(home, registry=url) as registry:
        issued = [registry.issue(username="alice", application="Mail") for _ in range(3)]
        assert registry.verify(issued[0].access_token).username == "alice"
        assert registry.count(SessionFilter(username="alice")) == 3
        assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 3
        for one in issued:
            with pytest.raises(TokenRevoked):
                registry.verify(one.access_token)
        assert registry.audit.verify().seq > 4


def test_a_removed_client_is_unknown_at_once(place):
    """And an added one is known."""
    home, url = place
    with Registry.open(home, registry=url) as registry, closing(open_store(url)) as store:
        added = registry.clients.add("proxy", may=["introspect"]).client
        assert store.client(added.client_id) is not None
        registry.clients.remove("proxy", note="gone")
        assert store.client(added.client_id) is None


def test_a_look_up_that_a_standby_answered_is_refused(place, servers: tuple[Server, Server]):
    """A known session, an unknown one, and a client: on a connection that a balancer put through to the standby."""
    home, url = place
    with Registry.open(home, registry=url) as registry:
        [session] = registry.sessions(SessionFilter(username="first"))
    database = read_address(url).parameters["dbname"]
    with Connection.connect(servers[1].url(database, "registrar"), autocommit=True) as connection:
        for number in (session.number, session.number + 1):
            with pytest.raises(RegistryUnavailable, match="standby"):
                look_up.LookUps().session(connection, number, None)
        with pytest.raises(RegistryUnavailable, match="standby"):
            look_up.LookUps().client(connection, "unknown")


def test_a_standby_is_refused_where_everything_was_known_before(place, servers: tuple[Server, Server]):
    """By the short look-ups, too: the standby has the same turn, and is behind."""
    home, url = place
    look_ups = look_up.LookUps()
    with Registry.open(home, registry=url) as registry, closing(connect(read_address(url))) as primary:
        [session] = registry.sessions(SessionFilter(username="first"))
        for _ in range(2):
            assert look_ups.session(primary, session.number, None)
            look_ups.profiles(primary)
    database = read_address(url).parameters["dbname"]
    with Connection.connect(servers[1].url(database, "registrar"), autocommit=True) as connection:
        connection.prepare_threshold = 0
        connection.known = primary.known
        assert connection.known
        with pytest.raises(RegistryUnavailable, match="standby"):
            look_ups.session(connection, session.number, None)
        with pytest.raises(RegistryUnavailable, match="standby"):
            look_ups.profiles(connection)


def test_a_view_on_a_standby_is_refused(servers: tuple[Server, Server]):
    """No standby begins a view, for a balancer that knows no comment."""
    with (
        Connection.connect(servers[1].url(), autocommit=True) as connection,
        pytest.raises(RegistryUnavailable, match="standby"),
        translated_errors("db"),
    ):
        connection.execute(BEGIN_TO_READ, prepare=False)
        connection.execute("SELECT 1")


def test_views_need_no_comment_to_be_answered_by_the_right_server(place, monkeypatch: pytest.MonkeyPatch):
    """Pgpool-II sends a transaction at their level to no standby."""
    home, url = place
    with Registry.open(home, registry=url) as registry:
        registry.issue(username="alice", application="Mail")
        monkeypatch.setattr(Connection, "execute", psycopg.Connection.execute)
        assert registry.count() == 2
