"""Connections to PostgreSQL against a real server: the gate, commits whose answer is lost, restarts, forks and time-outs."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress

import pytest

from authctl.errors import (
    AuthctlError,
    DiskFull,
    IntegrityFailure,
    OutcomeUnknown,
    RegistryLocked,
    RegistryUnavailable,
)
from authctl.store.postgres.versions import SCHEMA_VERSION
from tests.postgres_server import Server, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres import commits
    from authctl.store.postgres import connections as module
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import connect
    from authctl.store.postgres.connections import PostgresConnections
    from authctl.store.postgres.library import psycopg
    from authctl.store.postgres.only_runner import only_runner

SCHEMA = f"""
CREATE TABLE registry (id text NOT NULL, moved_to text, moving_to text, arriving_from text, turn bigint);
CREATE TABLE schema_version (version integer NOT NULL);
INSERT INTO schema_version VALUES ({SCHEMA_VERSION});
INSERT INTO registry VALUES ('r1');
CREATE TABLE audit_events (seq bigint PRIMARY KEY, hash text NOT NULL);
CREATE SEQUENCE changes;
CREATE TABLE kept (value int UNIQUE DEFERRABLE INITIALLY DEFERRED)
"""


def opened(url: str, **options: float) -> PostgresConnections:
    """The connections of one host."""
    return PostgresConnections(read_address(url), **options)


@pytest.fixture
def url(postgres_url: str) -> str:
    """A database with what the connections themselves ask for."""
    with connect(read_address(postgres_url)) as connection:
        connection.execute(SCHEMA)
    return postgres_url


@pytest.fixture
def both(url: str) -> Iterator[tuple[PostgresConnections, PostgresConnections]]:
    """Two hosts on one registry."""
    one, other = opened(url, lock_timeout=0.3), opened(url, lock_timeout=0.3)
    yield one, other
    one.close()
    other.close()


def values(connections: PostgresConnections) -> list[int]:
    """What was kept."""
    with connections.reader() as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


def write(connections: PostgresConnections, value: int, event: int | None = None, **options: float | bool) -> None:
    """One change, perhaps with an audit event."""
    with connections.writer(**options) as connection:
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))
        if event is not None:
            connection.execute("INSERT INTO audit_events VALUES (%s, %s)", (event, f"hash{event}"))
            connection.last_event = (event, f"hash{event}")


def test_changes_are_kept_and_errors_undo_them(both):
    """A change is kept whole, or not at all."""
    one, other = both
    write(one, 1)
    with pytest.raises(ZeroDivisionError), one.writer() as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
        raise ZeroDivisionError
    write(one, 3, event=1)
    write(one, 4, synced=False)
    assert values(other) == [1, 3, 4]


@pytest.mark.parametrize(
    ("mine", "theirs", "meet"), [(True, True, True), (True, False, False), (False, True, False), (False, False, False)]
)
def test_only_shared_changes_run_beside_each_other(both, mine, theirs, meet):
    """The gate, between two hosts."""
    one, other = both
    with one.writer(shared=mine):
        for timeout in (0, None):
            if meet:
                write(other, 1 if timeout is None else 2, shared=theirs, timeout=timeout)
                continue
            with pytest.raises(RegistryLocked, match="locked"):
                write(other, 1, shared=theirs, timeout=timeout)
    assert values(one) == ([1, 2] if meet else [])
    write(other, 5)


def test_a_statement_after_the_gate_sees_what_was_committed_before_it_was_free(both):
    """Its snapshot is younger than the lock."""
    one, other = both
    seen = []

    def wait() -> None:
        with other.writer(timeout=5) as connection:
            seen.extend(connection.execute("SELECT value FROM kept").fetchall())

    with one.writer() as connection:
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        connection.execute("INSERT INTO kept VALUES (7)")
    thread.join()
    assert seen == [(7,)]


def test_a_view_is_one_snapshot_and_changes_nothing(both):
    """A view shows one moment."""
    one, other = both
    with one.reader() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        write(other, 1)
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO kept VALUES (2)")
    assert values(one) == [1]


def test_a_deferred_constraint_refuses_the_commit(both):
    """An error of COMMIT itself leaves nothing."""
    one, _ = both
    write(one, 1)
    for event in (None, 1):
        with pytest.raises(psycopg.errors.UniqueViolation):
            write(one, 1, event=event)
    write(one, 2)
    assert values(one) == [1, 2]


def test_a_caught_error_is_a_defect_and_not_a_commit(both):
    """The server would answer COMMIT with ROLLBACK, and no error."""
    one, _ = both
    with pytest.raises(RuntimeError, match="was caught"), one.writer() as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        with suppress(psycopg.Error):
            connection.execute("SELECT 1 / 0")
    assert values(one) == []


def test_a_change_inside_a_change_is_a_defect(both):
    """Neither ends the transaction around it."""
    one, _ = both
    with pytest.raises(RuntimeError, match="inside a change"), one.writer(), one.writer():
        pass
    with pytest.raises(RuntimeError, match="inside a view"), one.reader(), one.reader():
        pass


def test_a_lost_connection_before_the_commit_changes_nothing(both, postgres_server):
    """Nothing was done, and this is known."""
    one, other = both
    with pytest.raises(RegistryUnavailable) as raised, one.writer() as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        kill(postgres_server, connection)
        connection.execute("INSERT INTO kept VALUES (2)")
    assert raised.type is RegistryUnavailable
    write(one, 3)
    assert values(other) == [3]


def kill(server: Server, connection: module.Connection) -> None:
    """End the server's process of a connection."""
    pid = connection.info.backend_pid
    server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")


@pytest.mark.parametrize("event", [None, 1])
def test_a_connection_lost_as_the_commit_was_sent(both, postgres_server, event):
    """Killed just before: the server never saw COMMIT."""
    one, other = both
    with pytest.raises(AuthctlError) as raised, one.writer() as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        connection.last_event = event and (event, "hash")
        kill(postgres_server, connection)
    assert raised.type is RegistryUnavailable
    assert values(other) == []


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("event", [None, 1])
def test_an_answer_to_a_commit_that_is_lost(both, postgres_server, monkeypatch, event, is_done):
    """The answer of the server never comes: it is found out whether it had committed, by the event or by the number of the transaction."""
    one, other = both
    real = module.Connection.execute

    def execute(self, query, *arguments, **options):
        if not (isinstance(query, str) and query.startswith("COMMIT") and self in writing):
            return real(self, query, *arguments, **options)
        if is_done:
            real(self, query, *arguments, **options)
        else:
            kill(postgres_server, self)
        raise psycopg.OperationalError("the answer was lost")

    writing: list[module.Connection] = []
    monkeypatch.setattr(module.Connection, "execute", execute)
    refused = nullcontext() if is_done else pytest.raises(RegistryUnavailable, match="nothing has changed")
    with refused, one.writer() as connection:
        writing.append(connection)
        connection.execute("INSERT INTO kept VALUES (1)")
        if event is not None:
            connection.execute("INSERT INTO audit_events VALUES (1, 'hash')")
            connection.last_event = (1, "hash")
    assert values(other) == ([1] if is_done else [])
    write(one, 2)


def test_an_answer_to_the_commit_of_a_use_that_is_lost(both, monkeypatch):
    """A use needs no flush, and asks for no number before its commit: nobody can tell whether it is written."""
    one, _ = both
    real = module.Connection.execute

    def execute(self, query, *arguments, **options):
        result = real(self, query, *arguments, **options)
        if isinstance(query, str) and query.startswith("COMMIT") and self in writing:
            raise psycopg.OperationalError("the answer was lost")
        return result

    writing: list[module.Connection] = []
    monkeypatch.setattr(module.Connection, "execute", execute)
    with pytest.raises(OutcomeUnknown), one.writer(shared=True, synced=False) as connection:
        writing.append(connection)
        connection.execute("INSERT INTO kept VALUES (1)")


def test_a_change_that_stands_still_is_ended_by_the_server(both, monkeypatch):
    """Others write before it wakes up."""
    one, other = both
    monkeypatch.setattr(module, "STALL_SECONDS", {True: 1, False: 1})
    with pytest.raises(RegistryUnavailable, match="stood still"), one.writer(shared=True) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        write_soon = threading.Thread(target=write, args=(other, 2), kwargs={"timeout": 10})
        write_soon.start()
        write_soon.join(timeout=8)
        assert not write_soon.is_alive()
        connection.execute("SELECT 1")
    assert values(one) == [2]


def test_a_cancelled_statement_and_its_time_out(both, postgres_server):
    """Statements that an administrator limits."""
    one, _ = both
    with pytest.raises(RegistryUnavailable, match="cancelled"), one.writer() as connection:
        connection.execute("SET LOCAL statement_timeout = 50")
        connection.execute("SELECT pg_sleep(5)")
    write(one, 1)


def test_reading_and_writing_go_on_after_a_restart():
    """A registry that is open survives a restart of the server."""
    with new_server() as server, server.fresh_database() as url:
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        one = opened(url)
        write(one, 1, event=1)
        assert looked_up(one) == 1
        server.restart()
        assert looked_up(one) == 1
        assert values(one) == [1]
        write(one, 2, event=2)
        server.stop()
        for act in (looked_up, values, lambda one: write(one, 3)):
            with pytest.raises(RegistryUnavailable) as raised:
                act(one)
            assert raised.type is RegistryUnavailable
        server.start()
        assert values(one) == [1, 2]
        one.close()


def looked_up(connections: PostgresConnections) -> int:
    """One look-up."""
    with connections.hot() as connection:
        row = connection.execute("SELECT count(*) FROM registry").fetchone()
        assert row
        return row[0]


def test_nothing_acknowledged_is_lost_in_a_crash():
    """An asynchronous commit with a flush is as durable as a synchronous one."""
    with new_server(wal_writer_delay="10s") as server, server.fresh_database() as url:
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        one = opened(url)
        acknowledged = []
        for value in range(200):
            write(one, value, event=value)
            acknowledged.append(value)
        server.restart(how=signal.SIGQUIT)
        assert values(one) == acknowledged
        one.close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_can_lose_changes_is_refused(setting):
    """Whatever the command line, the settings are read back."""
    with new_server(**{setting: "off"}) as server, server.fresh_database() as url:
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        with pytest.raises(RegistryUnavailable, match=f"{setting} = off") as raised:
            values(opened(url))
        assert raised.value.hint == "authctl doctor"


def test_a_read_only_server_is_refused(url, postgres_server):
    """Also for look-ups: it may be a standby that lags."""
    name = read_address(url).parameters["dbname"]
    one = opened(url)
    assert looked_up(one) == 1
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(RegistryUnavailable, match="standby, or read-only"):
        looked_up(opened(url))
    one.close()


def test_an_empty_database_holds_no_registry(postgres_url):
    """The next command is `init`."""
    with pytest.raises(RegistryUnavailable, match="there is no registry at postgresql:") as raised:
        looked_up(opened(postgres_url))
    assert raised.value.hint == "authctl init"


def test_a_child_process_is_refused_and_harms_no_parent(both):
    """A connection belongs to the process that opened it."""
    one, other = both
    write(one, 1)
    child = os.fork()
    if not child:
        code = 1
        for use in (one.hot, one.reader, one.writer):
            try:
                with use():
                    os._exit(2)
            except RegistryUnavailable:
                code = 0
        one.close()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    write(one, 2)
    assert looked_up(one) == 1
    assert values(other) == [1, 2]


def test_a_closed_registry_is_refused(both):
    """To close twice is no error."""
    one, _ = both
    write(one, 1)
    one.close()
    one.close()
    for use in (one.hot, one.reader, one.writer):
        with pytest.raises(RegistryUnavailable, match="was closed"), use():
            pass


def test_threads_take_turns(both):
    """Threads of two hosts."""
    threads = [
        threading.Thread(target=write, args=(host, n), kwargs={"timeout": 20})
        for n in range(20)
        for host in both[n % 2 : n % 2 + 1]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(both[0]) == list(range(20))


def test_one_runner_of_all_hosts(url):
    """The changeover runs once."""
    address = read_address(url)
    with only_runner(address, "r1") as mine:
        assert mine
        with only_runner(address, "r1") as theirs, only_runner(address, "r2") as another:
            assert (theirs, another) == (False, True)
    with only_runner(address, "r1") as mine:
        assert mine


def test_another_registry_in_the_same_place_has_another_gate(both, url):
    """A restore put another registry in its place."""
    one, other = both
    write(one, 1)
    with connect(read_address(url)) as connection:
        connection.execute("UPDATE registry SET id = 'r2'")
    with one.writer(), pytest.raises(RegistryLocked):
        write(other, 2)
    write(other, 3)


def test_errors_by_their_state(both):
    """Each kind of error, from the server."""
    one, _ = both
    kinds = {
        "53100": DiskFull,
        "53300": RegistryUnavailable,
        "40P01": RegistryLocked,
        "XX001": IntegrityFailure,
        "P0001": IntegrityFailure,
        "25006": RegistryUnavailable,
    }
    for state, kind in kinds.items():
        with pytest.raises(AuthctlError) as raised, one.writer() as connection:
            connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'made up' USING ERRCODE = '{state}'; END $$")
        assert raised.type is kind
    with pytest.raises(IntegrityFailure, match="damaged"), one.writer() as connection:
        connection.execute("SELECT nothing FROM registry")
    write(one, 1)


def test_a_commit_that_no_standby_confirms(monkeypatch):
    """It is in force on this server, and a failover could lose it: neither done nor not done. No time-out of the server ends it."""
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 1)
    monkeypatch.setattr(commits, "_SETTLE_SECONDS", 1)
    with new_server() as server, server.fresh_database() as url:
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        one = opened(url)
        write(one, 1, event=1)
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'")
        server.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
        began = time.monotonic()
        for event in (2, None):
            with pytest.raises(OutcomeUnknown):
                write(one, 2 if event else 3, event=event)
        assert time.monotonic() - began < 10
        assert values(one) == [1, 2, 3]  # a reader waits for nothing
        one.close()


def test_a_commit_that_an_administrator_cancels():
    """The server answers with a warning and no error: the change is there, on this server alone."""
    with new_server() as server, server.fresh_database() as url:
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        one = opened(url)
        write(one, 1, event=1)
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'")
        server.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
        waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        cancel = f"SELECT pg_cancel_backend(pid) {waits}"

        def cancel_soon() -> None:
            for _ in range(200):
                if server.execute(cancel):
                    return
                time.sleep(0.05)

        for event in (2, None):
            thread = threading.Thread(target=cancel_soon)
            thread.start()
            with pytest.raises(
                OutcomeUnknown, match="but the server warned: canceling wait for synchronous replication"
            ):
                write(one, 2 if event else 3, event=event)
            thread.join()
        assert values(one) == [1, 2, 3]
        one.close()


def test_a_standby_is_refused_and_its_promotion_found():
    """An address with both names the one that takes changes, also after they changed places; a standby alone is refused."""
    with new_server() as server, server.fresh_database() as url, server.new_standby() as standby:
        name = read_address(url).parameters["dbname"]
        with connect(read_address(url)) as connection:
            connection.execute(SCHEMA)
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        server.execute("SELECT pg_reload_conf(), pg_sleep(0.2)")
        both = opened(f"postgresql:///{name}?host={standby.folder},{server.folder}&port=5432,5432&user=registrar")
        for value in range(20):
            write(both, value, event=value)
        for use in (looked_up, values, lambda one: write(one, 99)):
            alone = opened(standby.url(name, "registrar"))
            with pytest.raises(RegistryUnavailable, match="a standby, or read-only"):
                use(alone)
        server.stop(signal.SIGQUIT)
        standby.execute("SELECT pg_promote()")
        assert looked_up(both) == 1
        assert values(both) == list(range(20))  # nothing acknowledged is lost
        write(both, 100, event=100)
        both.close()
        server.start()


def test_a_server_that_is_silent_makes_no_look_up_wait_for_ever(both, monkeypatch):
    """A process of it that stands still; the next look-up has a new connection."""
    one, _ = both
    assert looked_up(one) == 1
    monkeypatch.setattr(one.hot().shared, "_patience", 0.5)
    with one.hot() as connection:
        connection.patience = 0.5
        process = connection.info.backend_pid
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(RegistryUnavailable):
            looked_up(one)
        assert looked_up(one) == 1
    finally:
        os.kill(process, signal.SIGCONT)
