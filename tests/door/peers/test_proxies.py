"""Real proxies with the snippets of docs/serving/, from a sign-in to a revocation, and while the door is down."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from authctl import Registry
from authctl.instants import SECOND
from tests.door.conftest import RunningDoor, start_door, stop_door
from tests.door.peers.application import Application, application
from tests.door.peers.proxies import PROXIES, SNIPPETS, Proxy, Site, running
from tests.ports import free_port

HERE = Path(__file__).parent
PAGE = (SNIPPETS.parent / "serving.md").read_text()
FORWARD_AUTH = [name for name, proxy in PROXIES.items() if not proxy.is_cached]
"""The others send no address and have cookies of their own."""
FORGED = ("X-Auth-User", "X-Auth-Session", "X-Auth-Application", "X-Auth-Device", "X-Auth-Profile")
CLIENT_ADDRESS = "127.0.0.2"
"""Another address of loopback than that of the proxies."""


@dataclass
class Reached:
    """What a client got, and what reached the application."""

    status: int
    headers: dict[str, str]
    request: dict[str, Any] | None

    def values(self, name: str) -> list[str]:
        """The values of a header at the application, under any spelling."""
        assert self.request is not None
        return [value for sent, value in self.request["headers"] if sent == name]


@dataclass
class Setup:
    """A door, a proxy that asks it, and an application behind."""

    proxy: Proxy
    site: Site
    home: Path
    door: RunningDoor
    application: Application

    def send(self, token: str | None = None, method: str = "GET", body: str | None = None, **headers: str) -> Reached:
        """Send a request to the proxy, from an address that is not the proxy's."""
        before = len(self.application.requests)
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        sent |= headers
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.site.listen, timeout=30, source_address=(CLIENT_ADDRESS, 0)
        )
        try:
            connection.request(method, "/orders?page=2", body, sent)
            answer = connection.getresponse()
            answer.read()
            got = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        requests = self.application.requests[before:]
        assert len(requests) <= 1
        return Reached(answer.status, got, requests[0] if requests else None)

    def authctl(self, *arguments: str) -> str:
        """Run a command as an administrator does."""
        command = [sys.executable, "-m", "authctl", "--home", str(self.home), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=PROXIES)
def setup(request: pytest.FixtureRequest, home: Path, registry: Registry, tmp_path: Path) -> Iterator[Setup]:
    """Each proxy before its application, with a door of its own."""
    with set_up(PROXIES[request.param], home, registry, tmp_path) as setup:
        yield setup


@contextmanager
def set_up(proxy: Proxy, home: Path, registry: Registry, folder: Path, unix: Path | None = None) -> Iterator[Setup]:
    """A proxy before its application, with a door of its own; its client is the `shop` of the snippets."""
    proxy.skip_unless_installed()
    for client in registry.clients.list():
        registry.clients.remove(client.name, note="from the test before")
    rights = ["introspect"] if proxy.is_cached else ["verify"]
    made = registry.clients.add("shop", may=rights, cache_for=5 * SECOND)
    tls_port, certificate = 0, None
    if "openidc" in proxy.snippets[0]:
        tls_port, certificate = free_port(), _certificate(folder)
    port = tls_port or free_port()
    with application() as behind:
        client = (made.client.client_id, made.secret)
        site = Site(folder, free_port(), port, behind.port, *client, tls_port, certificate, unix)
        setup = Setup(proxy, site, home, _door(home, site), behind)
        try:
            with running(proxy, site):
                yield setup
        finally:
            stop_door(setup.door)


def _door(home: Path, site: Site) -> RunningDoor:
    options = ["--proxy", "127.0.0.1/32", "--proxy", "unix", "--cookie", "session"]
    if site.certificate is not None:
        options += ["--tls-cert", str(site.certificate), "--tls-key", str(site.folder / "door.key")]
    bind = f"unix:{site.unix}" if site.unix else f"127.0.0.1:{site.door}"
    return start_door(home, site.folder, *options, bind=bind)


def _certificate(folder: Path) -> Path:
    """A certificate for localhost that signs itself."""
    certificate = folder / "door.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", folder / "door.key", "-out", certificate], check=True, capture_output=True)
    certificate.chmod(0o644)
    return certificate


def test_a_proxy_lets_in_whom_the_door_lets_in(setup: Setup, registry: Registry):
    """Sign-in, request with the right user, forged headers removed, revocation, refusal within the lag, the door down and up."""
    issued = registry.issue(username="Алиса 100%", application="Shop", device="AL-PC")
    token, session = issued.access_token, issued.session.id

    nobody = setup.send()
    assert (nobody.status, nobody.request) == (401, None)
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    assert setup.send("nothing").request is None

    reached = setup.send(token)
    assert reached.status == 200, reached
    assert [unquote(value) for value in reached.values("x-auth-user")] == ["Алиса 100%"]
    assert reached.values("x-auth-session") == [session]
    assert reached.values("x-auth-application") == ["Shop"]
    assert reached.values("authorization") == []
    assert token not in json.dumps(reached.request)

    forged = dict.fromkeys(FORGED, "admin")
    spelled = {f"X{first}Auth{last}{name[7:]}": "admin" for name in FORGED for first, last in ("__", "_-", "-_")}
    for headers in (forged, spelled, {name.lower(): "admin" for name in (*forged, *spelled)}):
        reached = setup.send(token, **headers)
        if reached.request is not None:  # a proxy may refuse such a request
            assert [unquote(value) for value in reached.values("x-auth-user")] == ["Алиса 100%"], (headers, reached)
            assert "admin" not in json.dumps(reached.request)
    assert setup.send(**forged).request is None

    for named in ("close, X-Auth-User, X-Auth-Session", "x-auth-user,X-AUTH-SESSION, close"):
        reached = setup.send(token, Connection=named)  # names of headers for the next hop alone
        assert (len(reached.values("x-auth-user")), reached.values("x-auth-session")) == (1, [session])
        assert "x-auth" not in str(reached.values("connection")).lower()

    posted = setup.send(token, method="POST", body="amount=5")
    assert posted.request is not None
    assert (posted.request["method"], posted.request["path"], posted.request["body"]) == (
        "POST",
        "/orders?page=2",
        "amount=5",
    )

    setup.authctl("revoke", session, "--note", "lost laptop", "--yes")
    revoked_at = time.monotonic()
    while (after := setup.send(token)).request is not None:
        assert time.monotonic() - revoked_at < setup.proxy.lag + 1, "a revoked token is let in for too long"
        time.sleep(0.1)
    assert after.status == 401

    token = registry.issue(username="alice", application="Shop").access_token
    other = registry.issue(username="alice", application="Shop").access_token
    assert setup.send(token).status == 200
    stop_door(setup.door)
    down = setup.send(other)
    assert (down.status, down.request) == (setup.proxy.when_down, None)
    setup.door = _door(setup.home, setup.site)
    assert _soon(setup, other)


@pytest.mark.parametrize("setup", FORWARD_AUTH, indirect=True)
def test_conditions_are_judged_by_the_address_of_the_client(setup: Setup, registry: Registry):
    """The address that the proxy sees; one that the client writes into a header counts nothing."""
    token = registry.issue(username="alice", application="Shop", profile="inside", ip="10.1.1.1").access_token
    for headers in ({}, {"X-Forwarded-For": "10.1.1.1"}, {"X-Real-IP": "10.1.1.1", "Forwarded": "for=10.1.1.1"}):
        reached = setup.send(token, **headers)
        assert (reached.status, reached.request) == (403, None), (headers, reached)
    bound = registry.issue(username="alice", application="Shop", profile="bound", ip=CLIENT_ADDRESS).access_token
    assert setup.send(bound).status == 200
    assert setup.send(bound, **{"X-Forwarded-For": "10.1.1.1"}).status == 200


@pytest.mark.parametrize("setup", FORWARD_AUTH, indirect=True)
def test_a_cookie_reaches_the_door(setup: Setup, registry: Registry):
    """Where the door was told of a cookie."""
    token = registry.issue(username="alice", application="Shop").access_token
    assert setup.send(Cookie=f"session={token}").values("x-auth-user") == ["alice"]
    assert setup.send(Cookie=f"other={token}").request is None


def test_a_silent_door_lets_nobody_in(setup: Setup, registry: Registry):
    """A door that accepts and never answers: the proxy gives up in its time, and lets in again when the door is back."""
    token = registry.issue(username="alice", application="Shop").access_token
    assert setup.send(token).status == 200
    other = registry.issue(username="alice", application="Shop").access_token
    setup.door.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        reached = setup.send(other)
        taken = time.monotonic() - begun
    finally:
        setup.door.process.send_signal(signal.SIGCONT)
    assert reached.request is None
    assert reached.status == setup.proxy.when_down if setup.proxy.is_cached else reached.status >= 500
    assert taken < setup.proxy.silence + 5, f"it took {taken:.1f} s"  # the rest is for a machine with other work
    assert _soon(setup, other)


@pytest.mark.parametrize("name", FORWARD_AUTH)
def test_a_proxy_reaches_the_door_by_its_unix_socket(name: str, home: Path, registry: Registry, tmp_path: Path):
    """With the text that docs/serving.md has; the address of the client reaches the door."""
    assert f"`{PROXIES[name].unix[1].removeprefix('timeout = 2000, ').removesuffix(' }')}`" in PAGE
    with set_up(PROXIES[name], home, registry, tmp_path, tmp_path / "s") as setup:
        bound = registry.issue(username="alice", application="Shop", profile="bound", ip=CLIENT_ADDRESS).access_token
        assert setup.send(bound).values("x-auth-user") == ["alice"]
        other = registry.issue(username="alice", application="Shop", profile="bound", ip="10.1.1.1").access_token
        assert setup.send(other, **{"X-Forwarded-For": "10.1.1.1"}).request is None
        stop_door(setup.door)
        down = setup.send(bound)
        assert (down.status, down.request) == (setup.proxy.when_down, None)


def test_the_table_of_peers_is_what_is_run():
    """Versions of what is pinned, and the status while the door is down."""
    rows = [
        line.strip("| ").split(" | ") for line in PAGE.partition("\n## Peers\n")[2].splitlines() if line[:2] == "| "
    ]
    versions = {name.lower(): version for name, version, *_ in rows}
    pins = dict(re.findall(r"^(.+)==(.+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE))
    pins |= json.loads((HERE / "package.json").read_text())["dependencies"]
    del pins["schemathesis"]  # it is no client
    for name, version in pins.items():
        assert versions[name.lower().removesuffix("-server")] == version
    down = {name.lower(): int(status) for name, _, _, status, *_ in rows if status.strip().isdigit()}
    assert down == {name: proxy.when_down for name, proxy in PROXIES.items()}


def _soon(setup: Setup, token: str) -> bool:
    """Whether a token is let in within some seconds: a proxy may try again only after a while."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if setup.send(token).status == 200:
            return True
        time.sleep(0.2)
    return False


def test_every_snippet_is_run_here():
    """Each file of docs/serving/ is a snippet of one of the proxies above."""
    assert {name for proxy in PROXIES.values() for name in proxy.snippets} == {path.name for path in SNIPPETS.iterdir()}
