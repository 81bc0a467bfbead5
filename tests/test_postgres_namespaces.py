"""Three hosts in network namespaces, one server behind TLS and passwords: processes that are killed at random, and a line that is cut.

Only where AUTHCTL_TEST_NAMESPACES is set: `make postgres-hosts`. Whatever was acknowledged is in force on every host, with its note, in
one audit chain.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.profiles import read
from authctl.registry.init import create
from authctl.settings import find_home
from tests.namespaces import Host, Network, new_network, why_no_namespaces
from tests.postgres_server import Server, new_server, why_not
from tests.storm import MAP, VARIANTS, rows
from tests.test_postgres_stalls import wait_until_stopped
from tests.test_postgres_tls import NAME, certificate
from tests.test_processes import LONG_AGO, OLD, PATIENCE, PLAY, written_down

_REASON = (
    why_not()
    or (None if os.environ.get("AUTHCTL_TEST_NAMESPACES") else "set AUTHCTL_TEST_NAMESPACES=1")
    or why_no_namespaces()
)
pytestmark = pytest.mark.skipif(_REASON is not None, reason=_REASON or "")

ROOT = Path(__file__).parents[1]
SECONDS = float(os.environ.get("AUTHCTL_STORM_SECONDS", "20"))
PER_HOST = 3
SECRET = "correct horse"
VERIFY_ALL = """
import json, sys
from authctl import Registry, TokenInvalid
with Registry.open() as registry:
    for line in open(sys.argv[1]):
        session, _, token = json.loads(line)
        try:
            registry.verify(token)
            print(json.dumps([session, "good"]))
        except TokenInvalid as refused:
            print(json.dumps([session, type(refused).__name__]))
"""
STOPPING = (
    "from tests.stalling import stand_still_at_commit; stand_still_at_commit()\n"
    "import sys; from authctl.__main__ import main; sys.exit(main())"
)


@dataclass
class Machine:
    """A host with its home and the address by which it finds the registry."""

    host: Host
    home: Path
    url: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `python WORD...` on this host."""
        environment = {**os.environ, "AUTHCTL_HOME": str(self.home), "AUTHCTL_REGISTRY": self.url, "LOGNAME": "tester"}
        environment["PGPASSFILE"] = str(self.home / "pgpass")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = self.host.inside(sys.executable, *words)
        self.started.append(subprocess.Popen(command, env=environment, cwd=ROOT, text=True, **pipes))
        return self.started[-1]

    def run(self, *words: str, given: str = "") -> tuple[int, str, str]:
        """Run an authctl command on this host: its exit code and what it printed."""
        process = self.start("-P", "-m", "authctl", *words)
        out, err = process.communicate(given, timeout=PATIENCE)
        return process.returncode, out, err


@dataclass
class Hosts:
    """The hosts, their server, and the registry as somebody on the machine of the server sees it."""

    machines: list[Machine]
    server: Server
    url: str

    @property
    def common(self) -> Path:
        """The home in which the processes of all hosts write down what they did."""
        return self.machines[0].home


def secure(server: Server, network: Network, folder: Path) -> Path:
    """Let the server listen on the lines to the hosts, with TLS and passwords; the certificate of its authority."""
    certificate(folder, "server")
    owner = server.data.stat()
    for suffix in ("pem", "key"):
        file = server.data / f"server.{suffix}"
        file.write_bytes((folder / f"server.{suffix}").read_bytes())
        os.chown(file, owner.st_uid, owner.st_gid)
        file.chmod(0o600)
    (server.data / "pg_hba.conf").write_text("local all all trust\nhostssl all registry_app all scram-sha-256\n")
    server.before = network.at_server()
    server.restart(ssl="on", listen_addresses="*", ssl_cert_file="server.pem", ssl_key_file="server.key")
    return folder / "server.pem"


def make_database(server: Server) -> str:
    """The database by the statements for an administrator; its address for the owner."""
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.roles import statements

    url = server.url("registry", "registry_owner")
    script = server.folder / "statements.sql"
    script.write_text(statements(read_address(url)))
    script.chmod(0o644)
    server.run("psql", "--set", "ON_ERROR_STOP=1", "--dbname", "postgres", "--file", str(script), "--quiet")
    server.execute(f"ALTER ROLE registry_app PASSWORD '{SECRET}'")
    return url


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Three hosts of one registry, which work with the role of the application."""
    with new_network(3) as network, new_server() as server:
        authority = secure(server, network, tmp_path)
        owner = make_database(server)
        machines = []
        for host in network.hosts:
            home = tmp_path / host.line
            url = f"postgresql://registry_app@{NAME}/registry?hostaddr={host.server}&sslrootcert={authority}"
            machines.append(Machine(host, home, url))
        first = machines[0].home
        raw = VARIANTS[0].encode()
        create(find_home(first, owner), read(raw, "profiles.yaml"), raw, actor="founder")
        for machine in machines:
            machine.home.mkdir(mode=0o700, exist_ok=True)
            (machine.home / "pgpass").write_text(f"*:*:*:*:{SECRET}\n")
            (machine.home / "pgpass").chmod(0o600)
            if machine.home != first:
                shutil.copy(first / "keys.json", machine.home / "keys.json")
                (machine.home / "issued").symlink_to(first / "issued")
        (first / "issued").touch()
        with Registry.open(first, registry=owner) as registry:
            registry.imports.run(rows(OLD, LONG_AGO), MAP, actor="founder")
        try:
            yield Hosts(machines, server, server.url("registry", "registry_app"))
        finally:
            for process in (process for machine in machines for process in machine.started):
                if process.poll() is None:
                    process.kill()
                    process.wait(timeout=PATIENCE)


def storm(hosts: Hosts, seconds: float) -> int:
    """Processes of every host that are killed at random moments, each followed by another; how many were killed."""
    chance = random.Random(3)
    numbers = iter(range(100_000))
    began = time.monotonic()

    def another(machine: Machine) -> tuple[Machine, subprocess.Popen[str], Path]:
        number = next(numbers)
        written = hosts.common / f"operations-{number}"
        if machine.home != hosts.common:
            (machine.home / written.name).symlink_to(written)
        left = str(max(1.0, began + seconds - time.monotonic()))
        process = machine.start("-c", PLAY, "storm", str(machine.home), str(number), left)
        assert process.stdin
        process.stdin.write("0\n")
        process.stdin.flush()
        return machine, process, written

    running = [another(machine) for machine in hosts.machines for _ in range(PER_HOST)]
    killed = 0
    while time.monotonic() < began + seconds:
        time.sleep(chance.uniform(0, 1.5))
        at_work = [place for place, (*_, written) in enumerate(running) if written.exists() and written.stat().st_size]
        if at_work:
            place = chance.choice(at_work)
            machine, process, _ = running[place]
            process.kill()
            process.communicate(timeout=PATIENCE)
            killed += process.returncode == -signal.SIGKILL
            running[place] = another(machine)
    said = [process.communicate(timeout=PATIENCE) for _, process, _ in running]
    assert [process.returncode for _, process, _ in running] == [0] * len(running), said
    return killed


def revoked_on(machine: Machine) -> set[tuple[str, str]]:
    """The revoked sessions as a host lists them, each with its note."""
    code, out, err = machine.run("sessions", "list", "--status", "revoked", "-o", "ndjson", "--limit", "1000000")
    assert code == 0, err
    return {(one["id"], one["note"]) for one in map(json.loads, out.splitlines())}


def test_processes_of_three_hosts_are_killed_at_random(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Every acknowledged operation has happened, in one chain; every revocation is in force on every host, with its note."""
    killed = storm(hosts, SECONDS)
    monkeypatch.setenv("AUTHCTL_REGISTRY", hosts.url)
    monkeypatch.setattr("tests.test_processes.ON_POSTGRES", True)
    told = written_down(hosts.common)
    sessions = told.check()
    revoked = {(one.id, one.note) for one in sessions if one.status == "revoked"}
    status = {one.id: one.status.value for one in sessions}
    noted = {one["note"] for one in told.operations if one.get("revocation")}
    assert revoked
    assert noted
    judged: list[dict[str, str]] = []
    for machine in hosts.machines:
        code, _out, err = machine.run("audit", "verify")
        assert code == 0, err
        assert revoked_on(machine) == revoked
        process = machine.start("-c", VERIFY_ALL, str(hosts.common / "issued"))
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        judged.append(dict(map(json.loads, out.splitlines())))
        for session, answer in judged[-1].items():
            if status.get(session) == "revoked":
                assert answer == "TokenRevoked", (session, answer)
    assert judged[0].keys() == judged[1].keys() == judged[2].keys()
    assert all(any(machine.home.glob("operations-*")) for machine in hosts.machines)
    with capsys.disabled():
        sys.stdout.write(
            f"\nthree hosts for {SECONDS:g} s: {len(told.operations):,} operations acknowledged, {killed} processes killed,"
            f" {len(noted):,} revocations, {len(revoked):,} revoked sessions the same on every host\n"
        )


def test_a_host_whose_line_is_cut_in_the_middle_of_a_change(hosts: Hosts):
    """The server ends its change after some seconds, and others go on; the host learns that it cannot know, or that nothing was done."""
    first, second, third = hosts.machines
    issue = ("tokens", "issue", "--application", "Outlook", "--quiet", "--user")
    code, token, err = first.run(*issue, "alice")
    assert code == 0, err
    process = second.start("-c", STOPPING, *issue, "bob")
    wait_until_stopped(process.pid)
    second.host.cut()
    os.kill(process.pid, signal.SIGCONT)
    code, _out, err = third.run("revoke", "--all", "--note", "breach", "--yes")
    assert code == 0, err
    for machine in (first, third):
        assert machine.run("tokens", "verify", "-", given=token)[0] == 5
    _out, err = process.communicate(timeout=120)
    assert process.returncode in (6, 8), err
    second.host.mend()
    with Registry.open(first.home, registry=hosts.url) as registry:
        assert registry.count(SessionFilter(username="bob")) == 0
    assert second.run("tokens", "verify", "-", given=token)[0] == 5
    assert [machine.run("audit", "verify")[0] for machine in hosts.machines] == [0, 0, 0]


def test_a_host_without_the_password_or_the_authority_is_refused(hosts: Hosts):
    """The server asks for the password over TLS, and the host for the name of the server."""
    first = hosts.machines[0]
    assert first.run("sessions", "list")[0] == 0
    (first.home / "pgpass").write_text("*:*:*:*:battery staple\n")
    code, _out, err = first.run("sessions", "list")
    assert (code, "password authentication failed" in err) == (6, True), err
    for wrong in (first.url.replace(NAME, "elsewhere.example.com"), first.url.split("&sslrootcert")[0]):
        code, _out, err = first.run("--registry", wrong, "sessions", "list")
        assert code == 6, err
