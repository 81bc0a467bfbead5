"""Real OAuth clients and resource servers: introspection, a refresh whose answer is lost, and revocation."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from authctl import Registry
from authctl.instants import SECOND
from tests.door.conftest import Client, RunningDoor, start_door, stop_door
from tests.door.peers.proxies import PEERS
from tests.ports import free_port

HERE = Path(__file__).parent
IN_PYTHON = ("Authlib", "requests-oauthlib", "httpx-oauth")
IN_NODE = ("oauth4webapi", "openid-client", "simple-oauth2")
INTROSPECTS = ("Authlib", "oauth4webapi", "openid-client")
UNTYPED = ("httpx-oauth", "simple-oauth2")
"""They do not pass on the code of an error."""
DISCOVERS = ("oauth4webapi", "openid-client")


class Peer:
    """A client that runs as a program of its own."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        command = command_of(name, client)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, do: str, door: str, token: str = "", other: str = "") -> Any:
        """Have it do something; an error of the client is an exception here."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": do, "door": door, "token": token, "other": other}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise ConnectionError(answer)
        return answer["answer"]

    def end(self) -> None:
        """Close its input, with which it ends."""
        self.process.communicate(timeout=20)


def command_of(name: str, client: Client) -> list[str]:
    """The command that runs a client; skips the test where it is not installed."""
    if name in IN_PYTHON:
        return [str(python()), str(HERE / "clients.py"), name, client.id, client.secret]
    node, folder = shutil.which("node"), PEERS / "node"
    if node is None or not (folder / "node_modules" / name).exists():
        pytest.skip(f"{name} is not installed: see tests/door/peers/install.sh")
    return [node, str(HERE / "clients.mjs"), name, client.id, client.secret, str(folder)]


def python() -> Path:
    """The Python of the peers; skips the test where it is not installed."""
    found = PEERS / "bin" / "python"
    if not (PEERS / "requirements.txt").exists():
        pytest.skip("the peers of Python are not installed: see tests/door/peers/install.sh")
    return found


@pytest.fixture(scope="module")
def door(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """A door that knows its own address, as clients that discover it need."""
    port = free_port()
    running = start_door(
        home, tmp_path_factory.mktemp("run"), "--issuer", f"http://127.0.0.1:{port}", bind=f"127.0.0.1:{port}"
    )
    yield running
    assert stop_door(running) == 0
    assert "Traceback" not in running.log()


@contextmanager
def losing_answers(door: RunningDoor) -> Iterator[tuple[str, list[bytes]]]:
    """An address where each request reaches the door, and no answer comes back; with the answers that were lost."""
    lost: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def lose() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", door.port)) as behind:
                behind.settimeout(10)
                request = b""
                while not _is_whole(request):
                    request += client.recv(65_536)
                behind.sendall(request)
                answer = b""
                while not _is_whole(answer):
                    answer += behind.recv(65_536)
                lost.append(answer)

    with closing(listener):
        Thread(target=lose, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lost
        listener.shutdown(socket.SHUT_RDWR)


def _is_whole(message: bytes) -> bool:
    head, end, body = message.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(lengths[0])


@pytest.fixture(params=(*IN_PYTHON, *IN_NODE))
def peer(request: pytest.FixtureRequest, add: Any) -> Iterator[Peer]:
    """Each client, with a secret of its own."""
    running = Peer(request.param, add("introspect", "refresh", "revoke"))
    yield running
    running.end()


def test_a_client_asks_refreshes_and_revokes(peer: Peer, door: RunningDoor, registry: Registry, add: Any):
    """From the sign-in to its revocation; the answer to the first refresh is lost on the way."""
    asking = add("introspect")
    issued = registry.issue(username="alice", application="Shop", profile="pairs")
    assert issued.refresh_token is not None
    if peer.name in INTROSPECTS:
        answer = peer("introspect", door.address, issued.access_token)
        assert (answer["active"], answer["username"], answer["client_id"]) == (True, "alice", "Shop")
        assert peer("introspect", door.address, "nothing") == {"active": False}

    with losing_answers(door) as (address, lost), pytest.raises(ConnectionError):
        peer("refresh", address, issued.refresh_token)
    pair = peer("refresh", door.address, issued.refresh_token)
    same = json.loads(lost[0].partition(b"\r\n\r\n")[2])
    assert (pair["access_token"], pair["refresh_token"]) == (same["access_token"], same["refresh_token"])
    assert pair["expires_in"] == pytest.approx(3600, abs=10)
    assert door.ask(pair["access_token"], asking)["active"] is True
    following = peer("refresh", door.address, pair["refresh_token"])
    assert following["refresh_token"] != pair["refresh_token"]

    assert peer("revoke", door.address, following["access_token"]) == 200
    assert door.ask(following["access_token"], asking) == {"active": False}
    assert registry.session(issued.session.id).note == "signed out in the shop"
    if peer.name in INTROSPECTS:
        assert peer("introspect", door.address, following["access_token"]) == {"active": False}
    assert peer("revoke", door.address, "nothing") == 200
    with pytest.raises(ConnectionError) as refusal:
        peer("refresh", door.address, following["refresh_token"])
    if peer.name not in UNTYPED:
        assert "invalid_grant" in str(refusal.value)


@pytest.mark.parametrize("peer", INTROSPECTS, indirect=True)
def test_what_an_administrator_revokes_is_inactive_at_once(peer: Peer, door: RunningDoor, registry: Registry):
    """`authctl revoke`, then the next question."""
    issued = registry.issue(username="alice", application="Shop")
    assert peer("introspect", door.address, issued.access_token)["active"] is True
    revoke(door, issued.session.id)
    assert peer("introspect", door.address, issued.access_token) == {"active": False}


def revoke(door: RunningDoor, session: str) -> None:
    """Revoke a session as an administrator does."""
    command = ["--home", str(door.home), "revoke", session, "--note", "lost laptop", "--yes"]
    subprocess.run([sys.executable, "-m", "authctl", *command], check=True, capture_output=True)


@pytest.mark.parametrize("name", DISCOVERS)
def test_a_client_discovers_the_door(name: str, door: RunningDoor, add: Any):
    """By RFC 8414: the issuer is the address that it was given."""
    peer = Peer(name, add("introspect"))
    found = peer("discover", door.address)
    peer.end()
    assert found["introspection_endpoint"] == f"{door.address}/introspect"


def test_simple_oauth2_revokes_both_tokens(door: RunningDoor, registry: Registry, add: Any):
    """Its `revokeAll` goes on to the refresh token only after an answer in JSON."""
    peer = Peer("simple-oauth2", add("revoke"))
    issued = registry.issue(username="alice", application="Shop", profile="pairs")
    assert peer("revokeAll", door.address, issued.access_token, issued.refresh_token) == 200
    peer.end()
    assert registry.session(issued.session.id).note == "signed out in the shop"


def test_django_lets_in_until_exp(door: RunningDoor, registry: Registry, tmp_path: Path):
    """django-oauth-toolkit as a resource server keeps the answer until `exp`, which the client's cache time bounds."""
    cache_seconds = 2
    made = registry.clients.add("django", may=["introspect"], cache_for=cache_seconds * SECOND)
    port = free_port()
    arguments = [str(port), door.address, made.client.client_id, made.secret, str(tmp_path)]
    log = (tmp_path / "django.log").open("w")
    process = subprocess.Popen([str(python()), str(HERE / "django_site.py"), *arguments], stdout=log, stderr=log)

    def ask(token: str, path: str = "/orders") -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    try:
        _await(port, process)
        issued = registry.issue(username="alice", application="Shop")
        assert ask(issued.access_token) == (200, b'{"user": "alice"}')
        assert ask("nothing")[0] == 403
        assert ask(issued.access_token, "/orders/read")[0] == 403, "its profile names no scope"
        scoped = registry.issue(username="bob", application="Shop", profile="scoped").access_token
        assert ask(scoped, "/orders/read") == (200, b'{"user": "bob"}')
        assert ask(scoped, "/orders/cancel")[0] == 403
        revoke(door, issued.session.id)
        revoked_at = time.monotonic()
        assert ask(issued.access_token)[0] == 200, "it has kept the answer"
        while ask(issued.access_token)[0] == 200:
            assert time.monotonic() - revoked_at < cache_seconds + 1
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def test_authlib_lets_in_by_the_scope_of_the_profile(door: RunningDoor, registry: Registry, add: Any):
    """Authlib's validator refuses a token without the scope that it needs."""
    peer = Peer("Authlib", add("introspect"))
    scoped = registry.issue(username="alice", application="Shop", profile="scoped")
    assert peer("let_in", door.address, scoped.access_token, "orders.read") == "alice"
    assert peer("let_in", door.address, scoped.access_token, "orders.cancel") == "insufficient_scope"
    plain = registry.issue(username="alice", application="Shop")
    assert peer("let_in", door.address, plain.access_token, "orders.read") == "insufficient_scope"
    peer.end()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("Django did not start")
