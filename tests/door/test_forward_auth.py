"""/verify-as/CLIENT and /verify: whatever a proxy sends, and what it needs in the answer."""

import http.client
import socket
from urllib.parse import quote, unquote

import pytest

IDENTITY = {"x-auth-user", "x-auth-session", "x-auth-application", "x-auth-device", "x-auth-profile"}


@pytest.fixture
def proxy(registry, add):
    """The name of a client that may be named in the path, for all applications."""
    return registry.clients.get(add("verify").id).name


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("rest", ["", "/", "/any/path?q=1&token=x", "/%2e%2e/introspect"])
def test_any_method_and_any_path_below(door, registry, proxy, method, rest):
    """200 with an empty body and every identity header, whatever the original request was."""
    issued = registry.issue(username="alice", application="Shop", device="AL-PC")
    headers = {"Authorization": f"Bearer {issued.access_token}"}
    answer = door.send(method, f"/verify-as/{quote(proxy)}{rest}", headers=headers)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert set(answer.headers) >= IDENTITY
    assert answer.headers["x-auth-user"] == "alice"
    assert answer.headers["x-auth-session"] == issued.session.id


def test_blank_identity_headers_are_sent_empty(door, registry, proxy):
    """A proxy keeps what the client sent under a name that the door leaves out."""
    issued = registry.issue(username="alice", application="Shop")
    answer = door.send("GET", f"/verify-as/{quote(proxy)}", headers={"Authorization": f"Bearer {issued.access_token}"})
    assert answer.headers["x-auth-device"] == ""


def test_identity_is_ascii_and_short(door, registry, proxy):
    """Percent-encoded, and all of it below 2 KiB, even with the longest names."""
    username = "Ж" * 300 + "100%"
    issued = registry.issue(username=username, application="日本" * 300, device="d" * 1000)
    answer = door.send("GET", f"/verify-as/{quote(proxy)}", headers={"Authorization": f"Bearer {issued.access_token}"})
    assert answer.status == 200
    values = [answer.headers[name] for name in IDENTITY]
    assert all(value.isascii() and value.isprintable() for value in values)
    assert sum(map(len, values)) < 2000
    assert username.startswith(unquote(answer.headers["x-auth-user"]))


def test_a_body_is_never_waited_for(door, registry, proxy):
    """Nginx announces the length of a body that it does not send. The connection ends after the answer."""
    token = registry.issue(username="alice", application="Shop").access_token
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
        lines = [
            f"POST /verify-as/{quote(proxy)} HTTP/1.0",
            "Host: x",
            f"Authorization: Bearer {token}",
            "Content-Length: 17",
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


def test_refusals(door, registry, add, proxy):
    """401 with the challenge of RFC 6750, 403 for another application and for conditions; no other status."""
    shop = registry.clients.get(add("verify", applications=["Shop"]).id).name
    teams = registry.issue(username="alice", application="Teams").access_token
    inside = registry.issue(username="alice", application="Shop", profile="inside", ip="10.1.1.1").access_token

    def ask(path, token=None, **headers):
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        answer = door.send(
            "GET", path, headers=bearer | {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return answer.status, answer.headers.get("www-authenticate")

    path = f"/verify-as/{quote(proxy)}"
    assert ask(path) == (401, "Bearer")
    assert ask(path, "nothing") == (401, 'Bearer error="invalid_token"')
    assert ask(f"/verify-as/{quote(shop)}", teams) == (403, None)
    assert ask(path, inside) == (403, None)
    assert ask(path, inside, X_Forwarded_For="192.0.2.1") == (403, None)
    assert ask(path, inside, X_Forwarded_For="nonsense") == (403, None)
    assert ask(path, inside, X_Forwarded_For="10.2.3.4, 127.0.0.1") == (200, None)
    assert ask("/verify-as/nobody", teams) == (403, None)
    assert ask("/verify-as/", teams) == (403, None)
    assert ask("/verify-as/a%C2%ADb", teams) == (403, None)  # an invisible sign, which no name has
    assert ask("/verify-as/%00%0A%FF", teams) == (403, None)
    assert ask(f"/verify-as/{'a' * 3000}", teams) == (403, None)
    assert ask(f"/verify-as/{quote(registry.clients.get(add('introspect').id).name)}", teams) == (403, None)
    assert ask("/verify/x", teams) == (403, None)


def test_a_cookie_is_read_where_one_was_named(door, registry, proxy):
    """The name that the door was told of, once; `Authorization` comes first."""
    token = registry.issue(username="alice", application="Shop").access_token

    def ask(**headers):
        return door.send("GET", f"/verify-as/{quote(proxy)}", headers=headers).status

    assert ask(Cookie=f"a=b; session={token}; c=d") == 200
    assert ask(Cookie=f"other={token}") == 401
    assert ask(Cookie=f"session={token}; session={token}x") == 401
    assert ask(Cookie=f"session={token}", Authorization="Bearer nothing") == 401
    assert ask(Cookie=f"session={token}", Authorization="Basic x") == 401


def test_what_the_client_sent_is_not_believed_of_another_peer(home, registry, add, tmp_path):
    """Without `--proxy`, no forwarded address counts; with `--verify-any`, /verify is open."""
    from tests.door.conftest import start_door, stop_door

    inside = registry.issue(username="alice", application="Shop", profile="inside", ip="10.1.1.1").access_token
    plain = registry.issue(username="alice", application="Shop").access_token
    door = start_door(home, tmp_path, "--verify-any")
    try:

        def ask(token, **headers):
            return door.send("GET", "/verify/any", headers={"Authorization": f"Bearer {token}"} | headers).status

        assert ask(inside, **{"X-Forwarded-For": "10.2.3.4"}) == 403
        assert ask(plain) == 200
        assert door.send("GET", "/verify", headers={"Cookie": f"session={plain}"}).status == 401
    finally:
        assert stop_door(door) == 0


def test_connections_are_kept(door, registry, proxy):
    """Two requests on one connection."""
    token = registry.issue(username="alice", application="Shop").access_token
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=5)
    for _ in range(2):
        connection.request("GET", f"/verify-as/{quote(proxy)}", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        assert not answer.will_close
    connection.close()
