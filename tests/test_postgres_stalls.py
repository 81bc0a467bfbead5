"""A host, or a process of the server, that stands still: others go on, and nobody waits for ever. Real processes, stopped by SIGSTOP."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.errors import RegistryUnavailable
from authctl.model import Status
from authctl.registry.tokens.issue import Issued
from tests.postgres_server import Server, why_not
from tests.two_hosts import Deed, stopped_at_statements, two_hosts

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import connect
    from authctl.store.postgres.connections import PostgresConnections

ROOT = Path(__file__).parents[1]
PATIENCE = 60


@pytest.fixture
def hosts(tmp_path: Path, postgres_url: str) -> Iterator[tuple[Registry, Registry]]:
    """Two hosts on one registry, by a clock that moves on by itself."""
    both = two_hosts(tmp_path, postgres_url, profiles.DEFAULT_FILE, None)
    yield both
    for registry in both:
        registry.close()


def is_stopped(process: int) -> bool:
    """Whether a process stands still."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wait_until_stopped(process: int) -> None:
    """Wait for it."""
    until = time.monotonic() + PATIENCE
    while not is_stopped(process):
        assert time.monotonic() < until
        time.sleep(0.02)


def revoke_beside_a_stalled(
    operation: str, registry: Registry, alice: Issued, home: Path, url: str
) -> tuple[float, str]:
    """Revoke everything while another host stands still in an operation: how long it took, and what the other one said afterwards."""
    command = [sys.executable, "-m", "tests.stalling", str(home), url, operation]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as stalled:
        try:
            wait_until_stopped(stalled.pid)
            began = time.monotonic()
            assert registry.verify(alice.access_token).id == alice.session.id  # nobody waits to look up
            outcome = registry.revoke(SessionFilter(everything=True), note="breach")
            waited = time.monotonic() - began
        finally:
            os.kill(stalled.pid, signal.SIGCONT)
        said, _ = stalled.communicate(timeout=PATIENCE)
    assert outcome.revoked == 1
    return waited, said


def test_a_host_that_stands_still_in_a_sign_in_keeps_nobody_waiting(hosts, tmp_path: Path, postgres_url: str):
    """It holds nothing before its only message that writes. Then it finds that a revocation came between, and signs in after it."""
    registry, _ = hosts
    alice = registry.issue(username="alice", application="Mail")
    waited, said = revoke_beside_a_stalled("issue", registry, alice, tmp_path / "second", postgres_url)
    assert waited < 4  # the time-out of the server ends a change that stands still after 5
    assert said.startswith("0 ")
    assert {one.username: one.status_at(registry.now()) for one in registry.sessions()} == {
        "alice": Status.REVOKED,
        "bob": Status.ACTIVE,
    }
    registry.audit.verify()


@pytest.mark.parametrize(("operation", "seconds"), [("shared", 5), pytest.param("revoke", 10, marks=pytest.mark.slow)])
def test_a_host_that_stands_still_in_a_change_is_ended_by_the_server(
    hosts, tmp_path: Path, postgres_url: str, operation: str, seconds: int
):
    """A revocation of everything waits for it no longer than the server's time-out; the host learns that nothing was done."""
    registry, _ = hosts
    alice = registry.issue(username="alice", application="Mail")
    waited, said = revoke_beside_a_stalled(operation, registry, alice, tmp_path / "second", postgres_url)
    assert waited > seconds - 2  # it did wait, so that this test meets the case
    assert said.startswith("6 ")
    assert [session.username for session in registry.sessions()] == ["alice"]
    registry.audit.verify()


def test_a_sign_in_does_not_hang_at_a_process_of_the_server_that_stands_still(
    hosts, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
):
    """Neither in the middle of the change, nor in a use that a verification writes by the way."""
    from authctl.store.postgres import connections as module

    monkeypatch.setattr(module, "LOOK_UP_SECONDS", 0.5)
    registry, _ = hosts
    token = registry.issue(username="alice", application="Mail").access_token
    connections = registry._installation.store._connections
    connections._lock_timeout = 0.5
    process = connections._writer.connection().info.backend_pid
    try:
        os.kill(process, signal.SIGSTOP)
        assert registry.issue(username="bob", application="Mail")  # not begun: by a new connection
        os.kill(process, signal.SIGCONT)
        process = connections._writer.connection().info.backend_pid
        with pytest.raises(RegistryUnavailable), registry._installation.change("tester", shared=True) as unit:
            os.kill(process, signal.SIGSTOP)
            unit.record("session.issue", detail={})
        assert registry.verify(token)
        assert registry.issue(username="bob", application="Mail")
    finally:
        os.kill(process, signal.SIGCONT)
    registry.audit.verify()


def test_nobody_hangs_at_a_table_that_somebody_keeps_locked(
    hosts, postgres_url: str, tmp_path: Path, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
):
    """Neither a host that opens the registry, nor a list of one that has it open: a lock of a table is no turn in a queue."""
    from authctl.store.postgres import connections, shared_connection

    for module in (connections, shared_connection):
        monkeypatch.setattr(module, "LOOK_UP_SECONDS", 0.5)
    registry, _ = hosts
    registry.issue(username="alice", application="Mail")
    assert len(list(registry.sessions())) == 1
    with closing(connect(read_address(postgres_url))) as other:
        other.execute("BEGIN; LOCK TABLE registry IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            list(registry.sessions())
        with closing(PostgresConnections(read_address(postgres_url))) as opened:
            for kind in (opened.hot, opened.reader, opened.writer):
                with pytest.raises(RegistryUnavailable, match="does not answer"), kind():
                    pass
        other.execute("ROLLBACK")
    assert len(list(registry.sessions())) == 1


def test_a_use_stands_in_no_queue(hosts, postgres_server: Server):
    """It tries for the gate again and again: an administrator's change that comes later does not wait for it."""
    registry, other = hosts

    def write_uses() -> None:
        with other._installation.store.change(timeout=PATIENCE, shared=True, synced=False):
            pass

    with stopped_at_statements():
        use = Deed(write_uses, before="^SELECT pg_try_advisory_xact_lock_shared")
        with registry._installation.store.change():
            use.start()  # up to its second try
            assert not postgres_server.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        use.go_on()
    assert use.error is None
