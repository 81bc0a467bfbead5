"""A real cluster for tests: etcd and two PostgreSQL servers that Patroni leads, one of them a synchronous standby; all on loopback.

Debian's packages are taken, as tests/install_cluster.sh installs them. Every process is ended by its id.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.postgres_server import _as_user, _unprivileged, programs, why_not

ETCD, PATRONI = Path("/usr/bin/etcd"), Path("/usr/bin/patroni")
TTL = 20
"""How long a leader that is silent keeps its lease, in seconds: the least that Patroni takes."""
LOOP_WAIT = 2
"""How often a member looks at the lease, in seconds."""

_MEMBER = """\
scope: authctl
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{host: "127.0.0.1:{etcd}"}}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: 5
    synchronous_mode: true
    postgresql: {{use_pg_rewind: false}}
  initdb: [encoding: UTF8, locale: C.UTF-8, lc-collate: C, auth: trust]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  authentication:
    superuser: {{username: postgres, password: unused}}
    replication: {{username: replicator, password: unused}}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  parameters: {{unix_socket_directories: "{folder}", max_connections: 100, shared_buffers: 32MB}}
"""


def why_no_cluster() -> str | None:
    """Why no cluster can be had; None where one can."""
    if (reason := why_not()) is not None:
        return reason
    return None if ETCD.exists() and PATRONI.exists() else "needs etcd and Patroni: tests/install_cluster.sh"


@dataclass
class Member:
    """A server of the cluster, with the Patroni that leads it."""

    name: str
    folder: Path
    port: int
    rest: int
    process: subprocess.Popen[bytes]

    def role(self) -> str:
        """The role that Patroni gives it; blank while it does not answer."""
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=2) as answer,
        ):
            return str(json.load(answer).get("role", ""))
        return ""

    def kill(self) -> None:
        """End it at once, as a machine that loses its power: Patroni first, so that nobody starts the server again."""
        self.process.kill()
        self.process.wait()
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it in order; Patroni stops its server."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def log(self) -> str:
        """The end of what Patroni and the server said."""
        return (self.folder / "log").read_text()[-3_000:]


@dataclass
class Cluster:
    """The members, and the addresses of the databases."""

    members: list[Member] = field(default_factory=list)

    def leader(self) -> Member | None:
        """The member that takes changes; None while there is none."""
        return next((member for member in self.members if member.role() in ("master", "primary")), None)

    def url(self, *members: Member, user: str = "registrar", database: str = "registry") -> str:
        """The address of a database with those members, or with all of them."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in members or self.members)
        return f"postgresql://{user}@{hosts}/{database}"

    def execute(self, member: Member, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser; its rows."""
        import psycopg

        with psycopg.connect(self.url(member, user="postgres", database=database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Wait for a condition; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.1)
    return value


@contextmanager
def new_cluster() -> Iterator[Cluster]:
    """A cluster with an empty database `registry`, whose second server is a synchronous standby."""
    with tempfile.TemporaryDirectory(prefix="authctl-cl-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _give(folder)
        etcd, peer = free_port(), free_port()
        client, between = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
        urls = ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", between]
        own = ["--initial-advertise-peer-urls", between, "--initial-cluster", f"default={between}"]
        keeper = _start([str(ETCD), "--data-dir", str(folder / "etcd"), *urls, *own], folder)
        cluster = Cluster()
        try:
            for number in ("one", "two"):
                cluster.members.append(_new_member(number, folder, etcd))
                until(cluster.leader, f"a leader: {cluster.members[0].log()}")
            _make_database(cluster)
            yield cluster
        finally:
            for member in reversed(cluster.members):
                member.stop()
            keeper.terminate()
            keeper.wait(timeout=30)


def _make_database(cluster: Cluster) -> None:
    """Make the role and the database of the registry, when the standby is one that commits wait for."""
    leader = cluster.leader()
    assert leader is not None
    synced = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
    until(lambda: cluster.execute(leader, synced), f"a synchronous standby: {cluster.members[-1].log()}")
    cluster.execute(leader, "CREATE ROLE registrar LOGIN")
    kind = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
    cluster.execute(leader, f"CREATE DATABASE registry OWNER registrar {kind}")
    cluster.execute(leader, "REVOKE CONNECT ON DATABASE registry FROM PUBLIC")


def _new_member(name: str, parent: Path, etcd: int) -> Member:
    folder = parent / name
    folder.mkdir(mode=0o700)
    port, rest = free_port(), free_port()
    settings = folder / "patroni.yml"
    given = {"name": name, "folder": folder, "port": port, "rest": rest, "etcd": etcd, "programs": programs()}
    settings.write_text(_MEMBER.format(**given, ttl=TTL, loop_wait=LOOP_WAIT))
    _give(folder)
    _give(settings)
    return Member(name, folder, port, rest, _start([str(PATRONI), str(settings)], folder))


def _give(path: Path) -> None:
    """Let the unprivileged user have it, where the tests run as root."""
    if user := _unprivileged() if os.geteuid() == 0 else None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a process in a folder, as the user of the server."""
    assert shutil.which(command[0])
    # Patroni is a program of the system's own Python: no variable of the one that runs the tests concerns it
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*_as_user(), *command], stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
        )
