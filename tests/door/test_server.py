"""The process: where it listens, TLS, signals, workers, limits, and a registry that cannot be read."""

import http.client
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import yaml

from authctl import Registry
from authctl.door.application import PREFIXES, ROUTES
from tests import places
from tests.door.conftest import Client, make_home, start_door, stop_door


def run_serve(home, *options):
    """Run `authctl serve` until it ends by itself."""
    command = [sys.executable, "-m", "authctl", "--home", str(home), *places.named(home), "serve", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture
def place(tmp_path):
    """An installation of the test's own, with a client and a token."""
    home = make_home(tmp_path)
    with Registry.open(home, registry=places.place_in(home)) as registry:
        made = registry.clients.add("shop", may=["introspect", "revoke"], revoke_note="signed out in the shop")
        token = registry.issue(username="alice", application="Shop").access_token
        yield home, registry, Client(made.client.client_id, made.secret), token


def test_only_this_machine_without_tls(place):
    """Refused before it listens for anybody, unless it is told so in so many words."""
    done = run_serve(place[0], "--bind", "0.0.0.0:0")
    assert done.returncode == 4
    assert "other machines could reach it, and it has no TLS" in done.stderr


@pytest.mark.parametrize("bind", ["", "nowhere", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "fd:x", "unix:"])
def test_addresses_that_are_none(place, bind):
    """Exit 2, with an example."""
    assert run_serve(place[0], "--bind", bind).returncode == 2


def test_a_port_that_is_taken(place):
    """Exit 4, with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_serve(place[0], "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 4
    assert "address already in use" in done.stderr


def test_no_registry_is_6(tmp_path):
    """As for every command, with one worker or several."""
    assert run_serve(tmp_path / "nowhere", "--bind", "127.0.0.1:0").returncode == 6
    assert run_serve(tmp_path / "nowhere", "--bind", "127.0.0.1:0", "--workers", "2").returncode == 6


def _unix(path, request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


def test_a_unix_socket_is_for_its_group_and_a_stale_one_goes(place, tmp_path):
    """Mode 0660, whatever the umask; one that answers is another door's."""
    path = tmp_path / "door.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    door = start_door(place[0], tmp_path, "--group", "root", bind=f"unix:{path}")
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert _unix(path, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(
            b"HTTP/1.1 200"
        )
        done = run_serve(place[0], "--bind", f"unix:{path}")
        assert (done.returncode, "another process listens" in done.stderr) == (4, True)
    finally:
        assert stop_door(door) == 0
    (tmp_path / "file").touch()
    assert run_serve(place[0], "--bind", f"unix:{tmp_path / 'file'}").returncode == 4
    assert (tmp_path / "file").exists()


def test_a_socket_of_systemd(place, tmp_path):
    """Passed as descriptor 3, with LISTEN_FDS and LISTEN_PID."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
            "os.execv(sys.executable, [sys.executable, '-m', 'authctl', '--home', *sys.argv[2:], 'serve'])"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(listener.fileno()), str(place[0]), *places.named(place[0])],
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
    try:
        assert f"listening at http://127.0.0.1:{port}" in process.stderr.readline()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stderr.close()


def _certificate(folder, name):
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _tls(port, authority, certificate=None):
    context = ssl.create_default_context(cafile=str(authority))
    if certificate:
        context.load_cert_chain(*certificate)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)


def test_tls_with_certificates_of_clients_and_a_new_one_on_sighup(place, tmp_path):
    """A client with a certificate needs no secret; SIGHUP takes a renewed certificate without a gap."""
    home, registry, _, token = place
    server, client = _certificate(tmp_path, "server"), _certificate(tmp_path, "client")
    der = ssl.PEM_cert_to_DER_cert(client[0].read_text())
    import hashlib

    fingerprint = hashlib.sha256(der).hexdigest()
    added = registry.clients.add(
        "tls", may=["introspect"], certificate=":".join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()
    )
    options = ["--tls-cert", str(server[0]), "--tls-key", str(server[1]), "--tls-client-ca", str(client[0])]
    door = start_door(home, tmp_path, *options)
    try:
        assert door.address.startswith("https://")
        form = f"token={token}&client_id={added.client.client_id}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}

        def ask(authority, certificate):
            with closing(_tls(door.port, authority, certificate)) as connection:
                connection.request("POST", "/introspect", form, headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())

        assert ask(server[0], client)[1]["active"] is True
        assert ask(server[0], None) == (401, {"error": "invalid_client"})
        renewed = _certificate(tmp_path, "renewed")
        for old, new in zip(server, renewed, strict=True):
            new.replace(old)
        door.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                assert ask(server[0], client)[1]["active"] is True
                break
            except ssl.SSLError:
                time.sleep(0.05)
        else:
            pytest.fail("the renewed certificate was not taken")
        server[0].write_text("no certificate")
        door.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert door.process.poll() is None
    finally:
        assert stop_door(door) == 0
    assert run_serve(home, *options, "--bind", "127.0.0.1:0").returncode == 2


def test_sigterm_lets_requests_end(place, tmp_path):
    """A revocation that waits for its turn to write is done and answered, though the process was told to end."""
    home, registry, client, token = place
    door = start_door(home, tmp_path)
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    with registry._installation.store.change():
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": client.basic}
        connection.request("POST", "/revoke", f"token={token}", headers)
        time.sleep(0.3)
        door.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert door.process.poll() is None
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")
    assert door.process.wait(20) == 0
    assert registry.session(next(registry.sessions()).id).status == "revoked"


def test_workers_share_counts_and_one_that_is_killed_is_replaced(place, tmp_path):
    """Requests go on; /metrics has the counts of all workers."""
    home, _, client, token = place
    door = start_door(home, tmp_path, "--workers", "2")
    try:
        for _ in range(20):
            assert door.ask(token, client)["active"]
        counted = door.send("GET", "/metrics").body.decode()
        assert 'authctl_door_requests_total{route="/introspect",status="200"} 20.0' in counted
        children = Path(f"/proc/{door.process.pid}/task/{door.process.pid}/children").read_text().split()
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        os.kill(int(workers[0]), signal.SIGKILL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                assert door.ask(token, client)["active"]
            except OSError:
                continue  # a connection that the killed worker had accepted
            children = Path(f"/proc/{door.process.pid}/task/{door.process.pid}/children").read_text().split()
            if workers[0] not in children and len(children) >= len(workers) + 1:
                break
        else:
            pytest.fail("the killed worker was not replaced")
    finally:
        assert stop_door(door) == 0


def test_a_locked_registry_is_503_for_changes_alone(place, tmp_path):
    """Verdicts go on while somebody else writes; a revocation that gets no turn is 503, never 200."""
    home, registry, client, token = place
    door = start_door(home, tmp_path)
    try:
        with registry._installation.store.change():
            assert door.ask(token, client)["active"]
            begun = time.monotonic()
            answer = door.post("/revoke", client, token=token)
            assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
            assert answer.headers["retry-after"] == "1"
            assert time.monotonic() - begun < 15  # and not the 30 of a command
        assert door.ask(token, client)["active"]
        assert door.post("/revoke", client, token=token).status == 200
        assert door.ask(token, client) == {"active": False}
    finally:
        assert stop_door(door) == 0


def test_keys_that_cannot_be_read_are_503_and_never_401(place, tmp_path):
    """The key ring goes away and comes back: no verdict without it, and no user loses a login by that."""
    home, registry, client, token = place
    proxy = registry.clients.add("proxy", may=["verify"])
    door = start_door(home, tmp_path)
    try:
        assert door.ask(token, client)["active"]
        (home / "keys.json").rename(home / "away")
        time.sleep(0.1)
        begun = time.monotonic()
        assert door.post("/introspect", client, token=token).status == 503
        path = f"/verify-as/{proxy.client.client_id}"
        assert door.send("GET", path, headers={"Authorization": f"Bearer {token}"}).status == 503
        assert time.monotonic() - begun < 15
        ready = door.send("GET", "/health")
        assert (ready.status, ready.json["checks"]["keys"]) == (503, "registry_unavailable")
        assert door.send("GET", "/health/live").status == 200
        (home / "away").rename(home / "keys.json")
        assert door.ask(token, client)["active"]
        assert door.send("GET", "/health").json["status"] == "ok"
    finally:
        assert stop_door(door) == 0


def _raw(port, *pieces, seconds=3.0):
    """What comes back for raw bytes, until the connection ends or that time is over."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        answer = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while got := connection.recv(4096):
                answer += got
        except OSError:
            pass
        return answer


@pytest.mark.slow
def test_half_requests_are_given_up_and_hold_nobody_up(place, tmp_path):
    """Two hundred clients stop in the middle of head or body: others are answered at once, and these are cut off."""
    home, _, client, token = place
    door = start_door(home, tmp_path)
    halves = []
    try:
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", door.port), timeout=20)
            half = b"POST /introspect HTTP/1.1\r\nHost: x\r\n"
            connection.sendall(
                half
                if number % 2
                else half + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\ntoken="
            )
            halves.append(connection)
        begun = time.monotonic()
        assert door.ask(token, client)["active"]
        assert time.monotonic() - begun < 5
        for connection in halves:
            with suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        assert time.monotonic() - begun < 16
    finally:
        for connection in halves:
            connection.close()
        assert stop_door(door) == 0


def test_heads_and_bytes_that_are_no_request(place, tmp_path):
    """A head beyond 8 KiB is 431, other bytes 400: the process lives on, and writes no traceback."""
    home, _, client, token = place
    door = start_door(home, tmp_path)
    try:
        large = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000
        assert _raw(door.port, large).startswith(b"HTTP/1.1 431")
        assert _raw(door.port, large[:5000], large[5000:], b"\r\n\r\n").startswith(b"HTTP/1.1 431")
        for bytes_ in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"nonsense\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\0" * 100,
        ):
            assert not _raw(door.port, bytes_, seconds=0.5).startswith(b"HTTP/1.1 200")
        assert door.ask(token, client)["active"]
        for path in ("/", "/nothing", "//introspect", "/introspect/x", "/verifyx", "*"):
            assert door.send("POST", path, "a=b").status == 404, path
        assert "Traceback" not in door.log()
    finally:
        assert stop_door(door) == 0


def test_the_log_has_a_line_a_request_and_no_secret(place, tmp_path):
    """JSON and text; never a token, a secret or the path that was sent."""
    home, _, client, token = place
    for form in ("json", "text"):
        door = start_door(home, tmp_path, "--access-log", form)
        door.ask(token, client)
        door.send("GET", f"/verify-as/shop/{token}?token={token}", headers={"Authorization": f"Bearer {token}"})
        assert stop_door(door) == 0
        lines = door.out.read_text().splitlines()
        assert len(lines) == 2
        assert token not in door.log()
        assert client.secret not in door.log()
        if form == "json":
            first, second = map(json.loads, lines)
            assert (first["client"], first["method"], first["route"], first["status"]) == (
                "shop",
                "POST",
                "/introspect",
                200,
            )
            assert (second["route"], second["status"]) == ("/verify-as", 403)


def test_the_openapi_file_has_the_routes_and_methods():
    """Every route of the application, with its method, and no other."""
    import authctl.door

    document = yaml.safe_load((Path(authctl.door.__file__).parent / "openapi.yaml").read_text())
    described = {path: set(methods) for path, methods in document["paths"].items()}
    routes = {path: {method.lower()} for path, (method, _) in ROUTES.items()}
    prefixes = {"/verify-as/{client}": {"get"}, "/verify": {"get"}}
    assert {f"/{name}" for name in PREFIXES} == {path.partition("/{")[0] for path in prefixes}
    assert described == routes | prefixes


def test_the_answers_of_clients_have_the_form_of_the_openapi_file(door, registry, add):
    """Each answer of 200 and of 400, with every member: none that the file does not have, none missing that it requires."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs", reason="jsonschema_rs is not installed: it comes with .[dev]")
    import authctl.door

    document = yaml.safe_load((Path(authctl.door.__file__).parent / "openapi.yaml").read_text())
    client = add("introspect", "refresh", "revoke", "wipe")
    scoped, plain = (registry.issue(username="alice", application="Shop", profile=name) for name in ("scoped", "pairs"))
    endless = registry.issue(username="alice", application="Shop", profile="endless")
    seen = set()
    for route, form in (
        *(("/introspect", {"token": token}) for token in (scoped.access_token, endless.access_token, "nothing")),
        *(
            ("/token", {"grant_type": "refresh_token", "refresh_token": token})
            for token in (scoped.refresh_token, plain.refresh_token, "nothing")
        ),
        ("/introspect", {}),
        ("/wipe", {"token": plain.refresh_token}),
        ("/wipe", {"token": "nothing"}),
        ("/revoke", {"token": plain.refresh_token}),
    ):
        answer = door.post(route, client, **form)
        response = document["paths"][route]["post"]["responses"][str(answer.status)]
        if "$ref" in response:
            response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = response["content"]["application/json"]["schema"] | {"components": document["components"]}
        jsonschema_rs.validate(schema, answer.json)
        seen |= {(route, name) for name in answer.json}
    described = {("/introspect", name) for name in document["components"]["schemas"]["Active"]["properties"]}
    pair = document["paths"]["/token"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert seen >= described | {("/token", name) for name in pair["properties"]}
