"""A registry in a real cluster: the leader dies under load, nothing acknowledged is lost, and a standby is refused.

Only where AUTHCTL_TEST_CLUSTER is set: `make postgres-cluster`. It takes a minute, most of which is the lease of the dead leader.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.errors import AuthctlError, OutcomeUnknown
from authctl.registry.init import create
from authctl.settings import find_home
from tests.cluster import LOOP_WAIT, TTL, Cluster, new_cluster, until, why_no_cluster

_REASON = why_no_cluster() or (None if os.environ.get("AUTHCTL_TEST_CLUSTER") else "set AUTHCTL_TEST_CLUSTER=1")
pytestmark = pytest.mark.skipif(_REASON is not None, reason=_REASON or "")

PROFILES = b"version: 1\ndefault_profile: mail\nprofiles: {mail: {idle_timeout: 30d}}\n"
WRITERS = 8
BEFORE, AFTER = 4.0, 4.0
"""How many seconds the writers work before the leader dies, and after another one has taken its place."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of two."""
    with new_cluster() as made:
        yield made


class Writer(threading.Thread):
    """A host that registers sessions, revokes each third one, and notes what was acknowledged."""

    def __init__(self, home: Path, url: str, is_over: threading.Event) -> None:
        super().__init__()
        self.home, self.url, self.is_over = home, url, is_over
        self.issued: list[str] = []
        self.revoked: list[str] = []
        self.acknowledged_at: list[float] = []
        self.unknown = 0
        self.refused = 0

    def run(self) -> None:
        """Work until the test is over, on one open registry."""
        with Registry.open(self.home, registry=self.url) as registry:
            while not self.is_over.is_set():
                try:
                    self.write(registry)
                except OutcomeUnknown:
                    self.unknown += 1
                except AuthctlError:
                    self.refused += 1
                    time.sleep(0.1)

    def write(self, registry: Registry) -> None:
        """One registration, and perhaps its revocation."""
        session = registry.issue(username=f"user{len(self.issued)}", application="Outlook", actor=self.name).session
        self.issued.append(session.id)
        self.acknowledged_at.append(time.monotonic())
        if len(self.issued) % 3 == 0:
            registry.revoke(SessionFilter(ids=(session.id,)), note="lost device", actor=self.name)
            self.revoked.append(session.id)
            self.acknowledged_at.append(time.monotonic())


def run(home: Path, url: str, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """A command against the registry at an address."""
    command = [sys.executable, "-P", "-m", "authctl", "--home", str(home), "--registry", url, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)


def test_the_leader_dies_under_load(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Writes stand still until the standby leads; then every acknowledged session and revocation is there, and commands go on."""
    home, both = tmp_path / "home", cluster.url()
    create(find_home(home, both), profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="test")
    leader = cluster.leader()
    assert leader is not None
    (standby,) = (member for member in cluster.members if member is not leader)
    token = run(home, both, "tokens", "issue", "--user", "alice", "--application", "Outlook", "--quiet").stdout
    assert run(home, both, "tokens", "verify", given=token).returncode == 0
    refused = run(home, cluster.url(standby), "tokens", "verify", given=token)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "standby" in refused.stderr

    is_over = threading.Event()
    writers = [Writer(home, both, is_over) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    time.sleep(BEFORE)
    died_at = time.monotonic()
    leader.kill()
    until(lambda: cluster.leader() is standby, f"another leader: {standby.log()}")
    time.sleep(AFTER)
    is_over.set()
    for writer in writers:
        writer.join(120)

    instants = sorted(at for writer in writers for at in writer.acknowledged_at)
    before = [at for at in instants if at < died_at]
    after = [at for at in instants if at > died_at + 1]
    assert before
    assert after, "nobody wrote again"
    issued = {one for writer in writers for one in writer.issued}
    revoked = {one for writer in writers for one in writer.revoked}
    with Registry.open(home, registry=both) as registry:
        found = {
            session.id: session.status.value for session in registry.sessions(SessionFilter(application="Outlook"))
        }
        assert registry.audit.verify().seq > len(issued)
    lost = issued - found.keys()
    assert lost == set()
    assert {one for one in revoked if found[one] != "revoked"} == set()
    assert run(home, both, "tokens", "verify", given=token).returncode == 0
    assert run(home, both, "revoke", "--user", "alice", "--note", "lost device").returncode == 0
    assert run(home, both, "tokens", "verify", given=token).returncode == 5
    still = max(second - first for first, second in pairwise(instants))
    with capsys.disabled():
        sys.stdout.write(
            f"\nleader killed under {WRITERS} writers (ttl {TTL} s, loop_wait {LOOP_WAIT} s): {len(issued):,} sessions and"
            f" {len(revoked):,} revocations acknowledged, lost {len(lost)}; writes stood still for {still:.1f} s;"
            f" {sum(w.refused for w in writers)} calls refused, {sum(w.unknown for w in writers)} of unknown outcome\n"
        )
