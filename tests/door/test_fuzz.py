"""Requests that nobody would write: by the OpenAPI file, and as raw bytes. No 500, no traceback, and no secret anywhere.

`make fuzz-door` runs more of them: AUTHCTL_DOOR_EXAMPLES is how many each test makes.
"""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import authctl.door
from tests import places
from tests.door.conftest import RunningDoor

EXAMPLES = int(os.environ.get("AUTHCTL_DOOR_EXAMPLES", "100"))
SPECIFICATION = Path(authctl.door.__file__).with_name("openapi.yaml")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
ALLOWED = {200, 400, 401, 403, 404, 405, 413, 429, 431}
FORM = b"application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def canaries(registry):
    """A client with every right, and the secrets that may be found nowhere."""
    made = registry.clients.add("fuzz", may=["introspect", "revoke", "refresh", "wipe"], facts=True, revoke_note="fuzz")
    proxy = registry.clients.add("fuzzing proxy", may=["verify"])
    pair = registry.issue(username="alice", application="Outlook", profile="pairs")
    return {
        "id": made.client.client_id,
        "proxy": proxy.client.client_id,
        "secret": made.secret,
        "other secret": proxy.secret,
        "access": registry.issue(username="alice", application="Outlook").access_token,
        "pair": pair.access_token,
        "refresh": pair.refresh_token,
    }


def _basic(canaries):
    from tests.door.conftest import Client

    return Client(canaries["id"], canaries["secret"]).basic


@pytest.fixture(autouse=True)
def _nothing_leaks(door, home, canaries):
    """After each test: the process lives, and no log, metric or file of the home has a token or a secret."""
    yield
    assert door.process.poll() is None
    assert "Traceback" not in door.log()
    assert "unexpected failure" not in door.log()
    found = {"log": door.log().encode(), "metrics": door.send("GET", "/metrics").body}
    found |= {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    assert {"audit.head", "keys.json", *([] if places.ON_POSTGRES else ["registry.db"])} <= found.keys()
    secrets = [canaries[name] for name in ("secret", "other secret", "access", "pair", "refresh")]
    for secret in [*secrets, _basic(canaries).split()[1]]:
        for place, content in found.items():
            assert secret.encode() not in content, place
            assert quote(secret).encode() not in content, place


@pytest.mark.parametrize("kind", ["client", "proxy", "nobody"])
def test_requests_by_the_openapi_file_are_answered_as_it_describes(door, canaries, tmp_path, kind):
    """Schemathesis makes valid and invalid ones of each route; statuses, headers and bodies are those of the file."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: it comes with .[dev]")
    header = {"client": _basic(canaries), "proxy": f"Bearer {canaries['access']}", "nobody": "Bearer x"}[kind]
    command = [Path(sys.executable).with_name("schemathesis"), "run", SPECIFICATION, "--url", door.address.rstrip("/")]
    command += [
        "--header",
        f"Authorization: {header}",
        "--checks",
        CHECKS,
        "--max-examples",
        str(max(10, EXAMPLES // 5)),
    ]
    command += ["--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--no-color", "--seed", "1"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=3600)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


def _ask(door: RunningDoor, sent: bytes) -> bytes:
    """What the door answers to raw bytes, after which the client sends no more."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=15) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while got := connection.recv(65_536):
                answer += got
        except ConnectionError:
            pass
        return answer


def _check(answer: bytes) -> None:
    statuses = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:200]
    assert set(statuses) <= ALLOWED, answer[:400]


few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass"))
paths = st.sampled_from(
    [
        b"/introspect",
        b"/revoke",
        b"/token",
        b"/wipe",
        b"/verify",
        b"/verify-as/",
        b"/health",
        b"/metrics",
        b"/",
        b"*",
        b"//",
    ]
)


@few
@given(st.binary(max_size=2_000))
def test_bytes_that_are_no_request(door, sent):
    """Whatever they are."""
    _check(_ask(door, sent))


@few
@given(
    method=st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI"]),
    path=st.tuples(paths, st.binary(max_size=60).map(lambda raw: quote(raw).encode())),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                [
                    b"Authorization",
                    b"Cookie",
                    b"Content-Length",
                    b"Transfer-Encoding",
                    b"Content-Type",
                    b"X-Forwarded-For",
                    b"X-Forwarded-Platform",
                    b"X-Forwarded-Application-Version",
                    b"Referer",
                    b"Expect",
                    b"Upgrade",
                    b"Connection",
                ]
            ),
            st.one_of(
                st.binary(max_size=60).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
                st.sampled_from(
                    [b"Basic ", b"Basic OjpA", b"Bearer", b"chunked", b"7", b"99999999999", b"-1", FORM, b"h2c"]
                ),
            ),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=300),
)
def test_heads_that_nobody_would_write(door, method, path, headers, body):
    """Names that the door reads, with values of any bytes."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    _check(_ask(door, method + b" " + b"".join(path) + b" HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n" + body))


FIELDS = ["token", "refresh_token", "grant_type", "client_id", "client_secret", "done", "ip", "platform", "referrer"]
FIELDS += ["application_version", "token_type_hint", "x"]


@few
@given(
    path=st.sampled_from(["/introspect", "/revoke", "/token", "/wipe"]),
    form=st.lists(
        st.tuples(
            st.sampled_from(FIELDS),
            st.sampled_from(["access", "pair", "secret", "id", "proxy"]) | texts | st.just("refresh_token"),
        ),
        max_size=6,
    ),
    authenticates=st.booleans(),
)
def test_forms_that_nobody_would_write(door, canaries, path, form, authenticates):
    """Good tokens and secrets in wrong fields, fields given twice, and any text."""
    body = urlencode([(name, canaries.get(value, value) if isinstance(value, str) else value) for name, value in form])
    headers = {"Content-Type": FORM.decode()} | ({"Authorization": _basic(canaries)} if authenticates else {})
    answer = door.send("POST", path, body, headers)
    assert answer.status in ALLOWED
    assert not answer.headers.get("www-authenticate") or answer.status == 401
    if answer.status != 200:
        assert b"active" not in answer.body


@few
@given(
    value=texts | st.sampled_from([b"10.0.0.1", b"::1", b"127.0.0.1", b"1.0", b"iOS"]),
    name=st.sampled_from(["X-Forwarded-For", "X-Forwarded-Platform", "X-Forwarded-Application-Version", "Referer"]),
    profile=st.sampled_from(["inside", "bound"]),
)
def test_facts_of_any_text_are_no_failure(door, registry, canaries, value, name, profile):
    """A condition or a binding is met, or it is not: 200 or 403, never 401 or 503."""
    token = _token(registry, profile)
    is_header = all(byte > 0x1F and byte != 0x7F for byte in value)  # other bytes are no request
    raw = value.decode("latin-1") if is_header else quote(value)
    path = f"/verify-as/{canaries['proxy']}/"
    answer = door.send("GET", path, headers={"Authorization": f"Bearer {token}", name: raw})
    assert answer.status in (200, 403)


_issued: dict[str, str] = {}


def _token(registry, profile):
    if profile not in _issued:
        _issued[profile] = registry.issue(
            username="facts", application="Outlook", profile=profile, ip="10.0.0.1"
        ).access_token
    return _issued[profile]
