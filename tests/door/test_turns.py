"""Requests that arrive together: the door judges them in one snapshot, which begins after the last of them arrived."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry
from tests import places
from tests.door.conftest import Client, RunningDoor

TOGETHER = 24


class Crowd:
    """Connections on which requests are sent at the same time."""

    def __init__(self, door: RunningDoor, stack: ExitStack) -> None:
        address = ("127.0.0.1", door.port)
        self.connections = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(TOGETHER)]

    def send(self, *requests: bytes) -> list[bytes]:
        """Send these requests in turn, one on each connection, and return the answers to all of them."""
        for number, connection in enumerate(self.connections):
            connection.sendall(requests[number % len(requests)])
        return [_answer(connection) for connection in self.connections]


def _answer(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return received.partition(b" ")[2][:3] + body


def introspection(client: Client, token: str) -> bytes:
    """The bytes of one introspection."""
    body = f"token={token}".encode()
    head = (
        f"POST /introspect HTTP/1.1\r\nHost: x\r\nAuthorization: {client.basic}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def forward(client: Client, token: str) -> bytes:
    """The bytes of one question of a proxy."""
    return f"GET /verify-as/{client.id}/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


@pytest.fixture
def crowd(door: RunningDoor) -> Any:
    """Connections to the door."""
    with ExitStack() as stack:
        yield Crowd(door, stack)


def test_a_revocation_counts_for_every_request_that_is_sent_after_it(crowd: Crowd, registry: Registry, add: Any):
    """However many verdicts about the session were reached just before, by both routes."""
    client, proxy = add("introspect"), add("verify")
    for _ in range(5):
        issued = registry.issue(username="alice", application="Shop")
        requests = introspection(client, issued.access_token), forward(proxy, issued.access_token)
        answers = crowd.send(*requests)
        assert all(b'"active":true' in answer for answer in answers[::2])
        assert answers[1::2] == [b"200"] * (TOGETHER // 2)
        registry.tokens.revoke(issued.access_token, note="lost")
        answers = crowd.send(*requests)
        assert answers[::2] == [b'200{"active": false}'] * (TOGETHER // 2)
        assert answers[1::2] == [b"401"] * (TOGETHER // 2)


def test_a_removed_client_is_refused_in_every_request_after_its_removal(crowd: Crowd, registry: Registry, add: Any):
    """A client is looked up once a turn, and never for longer."""
    token = registry.issue(username="alice", application="Shop").access_token
    other = add("introspect")
    for _ in range(3):
        client, proxy = add("introspect"), add("verify")
        requests = introspection(client, token), forward(proxy, token), introspection(other, token)
        answers = crowd.send(*requests)
        assert {answer[:3] for answer in answers} == {b"200"}
        registry.clients.remove(client.id, note="over")
        registry.clients.remove(proxy.id, note="over")
        answers = crowd.send(*requests)
        assert {answer[:3] for answer in answers[::3]} == {b"401"}
        assert {answer[:3] for answer in answers[1::3]} == {b"403"}
        assert all(b'"active":true' in answer for answer in answers[2::3])


def test_one_request_of_a_turn_that_cannot_be_answered_holds_no_other_up(crowd: Crowd, registry: Registry, add: Any):
    """Wrong secrets, broken forms and unknown tokens beside good requests; each connection gets its own answer."""
    client = add("introspect")
    good = introspection(client, registry.issue(username="bob", application="Shop").access_token)
    wrong = introspection(Client(client.id, "wrong"), "x")
    twice = introspection(client, "a&token=b")
    for answers in (crowd.send(good, wrong, twice, introspection(client, "é%")) for _ in range(2)):
        assert all(b'"username":"bob"' in answer for answer in answers[::4])
        assert {answer[:3] for answer in answers[1::4]} <= {b"401", b"429"}
        assert {answer[:3] for answer in answers[2::4]} == {b"400"}
        assert answers[3::4] == [b'200{"active": false}'] * (TOGETHER // 4)


def test_the_uses_of_a_turn_are_written_and_the_later_verdicts_read_them(
    crowd: Crowd, registry: Registry, home: Path, add: Any
):
    """Each session of the turn is due to be used; the verdicts are right all the same, and the uses arrive."""
    client = add("introspect")
    issued = [registry.issue(username=f"user{n}", application="Shop") for n in range(6)]
    places.change_in(home, "UPDATE sessions SET use_due_at = created_at")
    answers = crowd.send(*(introspection(client, one.access_token) for one in issued))
    assert all(b'"active":true' in answer for answer in answers)
    until = time.monotonic() + 5
    while any(registry.session(one.session.id).last_used_at == one.session.last_used_at for one in issued):
        assert time.monotonic() < until, "the uses were not written"
        time.sleep(0.05)


def test_a_request_may_come_in_any_pieces(door: RunningDoor, registry: Registry, add: Any):
    """Byte by byte, the head apart from the body, and with the next request behind it."""
    client = add("introspect")
    whole = introspection(client, registry.issue(username="bob", application="Shop").access_token)
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            connection.sendall(bytes([byte]))
        assert b'"username":"bob"' in _answer(connection)
        head, _, body = whole.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        time.sleep(0.1)
        connection.sendall(body)
        assert b'"username":"bob"' in _answer(connection)


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"


@pytest.mark.parametrize("in_pieces", [False, True])
def test_an_offer_of_another_protocol_is_ignored(door: RunningDoor, registry: Registry, add: Any, in_pieces: bool):
    """As Java's client sends one with each request over plain HTTP, its body included; many in one packet are many requests."""
    client, proxy = add("introspect"), add("verify")
    token = registry.issue(username="bob", application="Shop").access_token
    line, _, rest = introspection(client, token).partition(b"\r\n")
    offering = line + b"\r\n" + OFFER + rest
    plain = forward(proxy, token)
    line, _, rest = plain.partition(b"\r\n")
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            if in_pieces:
                for byte in offering:
                    connection.sendall(bytes([byte]))
            else:
                connection.sendall(offering)
            assert b'"username":"bob"' in _answer(connection)
        connection.sendall(line + b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" + rest)
        assert _answer(connection) == b"200"
        start, _, body = offering.partition(b"\r\n\r\n")
        unannounced = b"\r\n".join(one for one in start.split(b"\r\n") if not one.startswith(b"Content-Length"))
        connection.sendall(
            unannounced + b"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        )
        assert b'"username":"bob"' in _answer(connection)
        connection.sendall((offering + plain) * 30)
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 60:
            answers += connection.recv(65_536)
        assert answers.count(b'"username":"bob"') == answers.count(b"x-auth-user: bob") == 30
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as connection:
        many = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" * 2000
        connection.sendall(many + b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answers = b""
        while got := connection.recv(65_536):
            answers += got
        assert answers.count(b"HTTP/1.1 200") == 2001


def test_the_name_of_the_client_is_needed(door: RunningDoor, registry: Registry):
    """A path that ends before it is refused, and is no failure of the door."""
    token = registry.issue(username="bob", application="Shop").access_token
    for path in ("/verify-as", "/verify-as/", "/verify-as//x", "/verify-as%2Fx", "/verify%2Das/nobody"):
        assert door.send("GET", path, headers={"Authorization": f"Bearer {token}"}).status == 403, path


@pytest.mark.slow
def test_an_idle_connection_is_closed_after_thirty_seconds(door: RunningDoor, registry: Registry, add: Any):
    """And not before: proxies keep theirs."""
    request = introspection(add("introspect"), registry.issue(username="bob", application="Shop").access_token)
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as connection:
        connection.sendall(request)
        assert b'"username":"bob"' in _answer(connection)
        begun = time.monotonic()
        assert connection.recv(10) == b""
        assert 29 < time.monotonic() - begun < 45  # a loaded machine sweeps late
