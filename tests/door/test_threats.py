"""The door under attack: rows of D of docs/threats.md, each against a real door."""

import socket
import ssl
import time
from contextlib import suppress
from hashlib import sha256

import pytest

from authctl.instants import DAY, SECOND
from authctl.model import EventFilter
from tests.door.conftest import Client, percent, start_door, stop_door
from tests.door.test_server import _certificate, run_serve


def bearer(token, **headers):
    """The headers of a request with a token."""
    return {"Authorization": f"Bearer {token}"} | {name.replace("_", "-"): value for name, value in headers.items()}


def test_d12_a_stolen_secret_ends_with_its_rotation_and_can_do_no_more_than_its_rights(door, registry, add):
    """Rotated at once, or removed: the next request is refused, also on a connection that is open. Its operations bear its name."""
    client, issued = add("revoke"), registry.issue(username="alice", application="Outlook")
    assert door.post("/introspect", client, token=issued.access_token).status == 403
    assert door.post("/token", client, grant_type="refresh_token", refresh_token="x").status == 403
    assert door.post("/wipe", client, token=issued.access_token).status == 403
    assert door.send("GET", f"/verify-as/{client.id}/", headers=bearer(issued.access_token)).status == 403
    assert door.post("/revoke", client, token=issued.access_token).status == 200
    event = next(registry.audit.events(EventFilter(session_id=issued.session.id)))
    assert event.actor == f"client {registry.clients.get(client.id).name}"
    registry.clients.rotate(client.id, note="the secret was stolen", at_once=True)
    assert door.post("/revoke", client, token=issued.access_token).status == 401
    removed = add("introspect")
    assert door.post("/introspect", removed, token="x").status == 200
    registry.clients.remove(removed.id, note="the secret was stolen")
    assert door.post("/introspect", removed, token="x").status == 401


def test_d6_a_client_bound_to_applications_learns_and_does_nothing_about_others(door, registry, add):
    """The answer for another application's token is that for nonsense, byte for byte, on each route, and nothing changes."""
    client = add("introspect", "revoke", "refresh", "wipe", applications=["Outlook"])
    other = registry.issue(username="bob", application="Teams", profile="pairs")
    wiping = registry.issue(username="bob", application="Teams", profile="wiping")
    registry.tokens.revoke(wiping.access_token, note="lost device")
    before = registry.session(other.session.id)
    for path, form in (
        ("/introspect", {"token": other.access_token}),
        ("/revoke", {"token": other.access_token}),
        ("/revoke", {"token": other.refresh_token}),
        ("/wipe", {"token": wiping.access_token}),
        ("/wipe", {"token": wiping.access_token, "done": "true"}),
        ("/token", {"grant_type": "refresh_token", "refresh_token": other.refresh_token}),
    ):
        real = door.post(path, client, **form)
        nonsense = door.post(path, client, **{name: "x" if "token" in name else form[name] for name in form})
        assert (real.status, real.json.get("error")) == (nonsense.status, nonsense.json.get("error")), path
        assert "Teams" not in str(real)
        assert "bob" not in str(real)
    assert registry.session(other.session.id)._replace(read_at=0) == before._replace(read_at=0)
    assert registry.session(wiping.session.id).wipe == "pending"


def test_d2_a_forged_x_forwarded_for_moves_no_session_into_a_network(home, registry, add, tmp_path):
    """Without a configured proxy nothing is believed; with one, only what the proxy itself added."""
    client = add("verify")
    inside = registry.issue(username="alice", application="Outlook", profile="inside", ip="10.0.0.1").access_token
    path = f"/verify-as/{client.id}/"
    forged = [{"X_Forwarded_For": "10.0.0.1"}, {"X_Real_IP": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}]
    running = start_door(home, tmp_path)
    try:
        assert {running.send("GET", path, headers=bearer(inside, **one)).status for one in forged} == {403}
    finally:
        stop_door(running)
    running = start_door(home, tmp_path, "--proxy", "127.0.0.0/8")
    try:
        for chain, expected in (
            ("10.0.0.1", 200),
            ("10.0.0.1, 203.0.113.9", 403),
            ("10.0.0.1, 203.0.113.9, 127.0.0.2", 403),
            ("nonsense", 403),
            ("", 403),
        ):
            answer = running.send("GET", path, headers=bearer(inside, X_Forwarded_For=chain))
            assert answer.status == expected, chain
    finally:
        stop_door(running)


def test_d1_forged_identity_headers_are_replaced_each_by_one_of_ours(door, registry, add):
    """Whoever is let in has all five, blank ones empty, once, and whatever the client sent under their names is not among them."""
    client, token = add("verify"), registry.issue(username="alice", application="Outlook").access_token
    names = ["user", "session", "application", "device", "profile"]
    forged = {f"X-Auth-{name}": "administrator" for name in names}
    answer = door.send("GET", f"/verify-as/{client.id}/admin", headers=bearer(token) | forged)
    assert answer.status == 200
    assert [answer.headers[f"x-auth-{name}"] for name in names][0::3] == ["alice", ""]
    assert "administrator" not in str(answer.headers)
    assert not any(name.startswith("x-auth") for name in door.send("GET", f"/verify-as/{client.id}/").headers)


def test_d8_a_token_in_the_address_is_not_read_and_stands_in_no_log(door, registry, add):
    """Query and path are never looked at for a token, and never written down."""
    client, token = add("introspect", "verify"), registry.issue(username="alice", application="Outlook").access_token
    form = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": client.basic}
    assert door.send("POST", f"/introspect?token={token}", "", form).status == 400
    for path in (f"/verify-as/{client.id}/?access_token={token}", f"/verify-as/{client.id}/{token}", f"/{token}"):
        assert door.send("GET", path).status in (401, 404)
    assert door.send("POST", f"/introspect/{token}?client_secret={client.secret}", "a=b", form).status == 404
    log, metrics = door.log(), door.send("GET", "/metrics").body.decode()
    for secret in (token, client.secret, percent(token)):
        assert secret not in log
        assert secret not in metrics


def test_d5_wrong_secrets_by_the_thousand_are_429_and_hold_nobody_up(door, registry, add):
    """The limit is by id. The right secret of that id, and every other client, goes on meanwhile. Unknown ids look the same."""
    client, other = add("introspect"), add("introspect")
    wrong = Client(client.id, "w" * 43)
    answers = [door.post("/introspect", wrong, token="x") for _ in range(1000)]
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) < 200
    assert {answer.json["error"] for answer in answers} == {"invalid_client"}
    assert door.post("/introspect", client, token="x").status == 200
    assert door.post("/introspect", other, token="x").status == 200
    nobody = [door.post("/introspect", Client("nobody1234567890", "w" * 43), token="x").status for _ in range(60)]
    assert set(nobody) == {401, 429}


@pytest.mark.slow
def test_d7_slow_clients_are_cut_off_and_hold_nobody_up(home, registry, add, tmp_path):
    """Five hundred send a byte a second, head or body: each is closed after its time, and others are answered at once."""
    client, token = add("introspect"), registry.issue(username="alice", application="Outlook").access_token
    running, slow = start_door(home, tmp_path), []
    try:
        head = b"POST /introspect HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        for number in range(500):
            slow.append(socket.create_connection(("127.0.0.1", running.port), timeout=20))
            slow[-1].sendall(head + (b"Content-Length: 400\r\n\r\n" if number % 2 else b""))
        begun = time.monotonic()
        while time.monotonic() - begun < 14:
            asked = time.monotonic()
            assert running.ask(token, client)["active"]
            assert time.monotonic() - asked < 5  # a slow client has ten
            for connection in slow:
                with suppress(OSError):
                    connection.send(b"x")
            time.sleep(1)
        assert all(_is_closed(connection) for connection in slow)
    finally:
        for connection in slow:
            connection.close()
        assert stop_door(running) == 0


def _is_closed(connection):
    connection.settimeout(2)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_d13_the_certificate_of_another_client_proves_nothing(home, registry, tmp_path):
    """It is signed by the same authority, and it is not the one of the client that it claims to be."""
    authority, server = _certificate(tmp_path, "authority"), _certificate(tmp_path, "server")
    ours, theirs = _certificate(tmp_path, "ours"), _certificate(tmp_path, "theirs")
    both = tmp_path / "both.pem"
    both.write_bytes(ours[0].read_bytes() + theirs[0].read_bytes() + authority[0].read_bytes())
    der = ssl.PEM_cert_to_DER_cert(ours[0].read_text())
    client = registry.clients.add("by certificate", may=["introspect"], certificate=sha256(der).hexdigest())
    options = ("--tls-cert", str(server[0]), "--tls-key", str(server[1]), "--tls-client-ca", str(both))
    running = start_door(home, tmp_path, *options)
    try:
        found = [_ask_with(running.port, one, client.client.client_id) for one in (ours, theirs, None)]
        assert found == [200, 401, 401]
    finally:
        assert stop_door(running) == 0


def _ask_with(port, certificate, client_id):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    body = f"client_id={client_id}&token=x".encode()
    head = b"POST /introspect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return int(connection.recv(4096).split()[1])


def test_d4_no_client_can_keep_an_answer_longer_than_its_cache_time_and_none_longer_than_the_deadline(
    door, registry, add
):
    """A day is the longest cache time that a client may have, and `revoke` says what it costs."""
    with pytest.raises(Exception, match="cache time"):
        add("introspect", cache_for=DAY + SECOND)
    client = add("introspect", cache_for=DAY)
    issued = registry.issue(
        username="alice", application="Outlook", profile="bound", ip="10.0.0.1", lifetime=60 * SECOND
    )
    with_facts = add("introspect", cache_for=DAY, facts=True)
    content = door.ask(issued.access_token, with_facts, ip="10.0.0.1")
    assert content["exp"] <= issued.expires_at // SECOND
    endless = registry.issue(username="alice", application="Outlook", profile="endless")
    content = door.ask(endless.access_token, client)
    assert content["exp"] <= registry.now() // SECOND + 86_400 + 1
    # what is asked for beside the token changes nothing
    assert door.ask(endless.access_token, add("introspect"), exp="9999999999", cache_for="86400")["exp"] <= (
        registry.now() // SECOND + 61
    )


def test_d10_the_door_does_not_listen_beyond_this_machine_without_tls(home):
    """Tokens and secrets would go over the network as they are: it needs an option that says so."""
    for bind in ("0.0.0.0:0", "[::]:0"):
        refused = run_serve(home, "--bind", bind)
        assert refused.returncode == 4, refused.stderr
        assert "TLS" in refused.stderr or "tls" in refused.stderr
