"""Webhooks and pushed Security Event Tokens, over real HTTP and TLS on the loopback address."""

import base64
import hashlib
import hmac
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from authctl import IntegrityFailure, Registry, SessionFilter
from tests.conftest import Authctl, Clock
from tests.test_receivers import write_receivers

SECRET = "a shared secret of some length"


class Server:
    """A receiver over HTTP that keeps each post, and answers as it is told to."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[Any], tuple[int, dict[str, str], bytes]] = lambda _body: (202, {}, b"")
        self.drip = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
                status, headers, content = server.answer(body)
                self.send_response(status)
                for name, text in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, text)
                self.end_headers()
                for sign in content if server.drip else ():
                    self.wfile.write(bytes([sign]))
                    time.sleep(0.3)
                if not server.drip:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass

        self._http = Quiet(("127.0.0.1", 0), Handler)
        if context:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._http.server_port}/events?tenant=1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server without TLS."""
    made = Server()
    yield made
    made.close()


def private(path: Path, text: str) -> Path:
    """A file of mode 0600."""
    path.touch(0o600)
    path.write_text(text)
    return path


def webhook(home: Path, url: str, more: str = "", ca_file: Path | None = None) -> None:
    """A receivers file with one webhook."""
    secret = private(home.parent / "secret", SECRET + "\n")
    pinned = f", ca_file: {ca_file}" if ca_file else ""
    entry = f"{{webhook: {{url: '{url}', secret_file: {secret}{pinned}}}, events: [session-revoked]{more}}}"
    write_receivers(home, f"version: 1\nreceivers:\n  hook: {entry}\n")


def key_set(authctl: Authctl) -> Any:
    """The public key of pushed tokens, which the extra `push` makes."""
    pytest.importorskip("joserfc", reason="the extra push is not installed")
    return json.loads(authctl("receivers", "key").out)


def push(home: Path, url: str, more: str = "") -> None:
    """A receivers file with one push."""
    pytest.importorskip("joserfc", reason="the extra push is not installed")
    token = private(home.parent / "token", "bearer-token\n")
    told = "issuer: 'https://authctl.example', audience: [siem], events: [session-revoked, session-ended, password-changed]"
    entry = f"{{push: {{url: '{url}', token_file: {token}}}, {told}{more}}}"
    write_receivers(home, f"version: 1\nreceivers:\n  siem: {entry}\n")


def revoke(registry: Registry, *users: str) -> list[str]:
    """Revoke a new session of each user; their ids."""
    ids = [registry.issue(username=user, application="Outlook").session.id for user in users]
    registry.revoke(SessionFilter(ids=tuple(ids)), note="lost device")
    return ids


def test_a_webhook_is_signed_over_time_and_body(registry: Registry, home: Path, server: Server):
    """Anybody with the secret can check it, as the field does: HMAC-SHA-256 over `t.body`."""
    webhook(home, server.url)
    (alice,) = revoke(registry, "alice")
    assert registry.deliveries.deliver().receivers[0].delivered == 1
    ((path, headers, body),) = server.posts
    stamp, signed = (part.partition("=")[2] for part in headers["authctl-signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert (signed, path, headers["content-type"]) == (expected, "/events?tenant=1", "application/json")
    assert abs(int(stamp) - time.time()) < 60
    message = json.loads(body)
    assert (message["event"], message["session"]["id"], message["note"]) == ("session-revoked", alice, None)


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, "delivered"), (204, "delivered"), (410, "gone"), (400, "refused"), (422, "refused"), (401, "pending"),
     (404, "pending"), (302, "pending"), (500, "pending"), (503, "pending"), (429, "pending")],
)  # fmt: skip
def test_the_status_of_an_answer_decides(registry: Registry, home: Path, server: Server, status: int, state: str):
    """A redirect is never followed, and what may be mended is told again."""
    webhook(home, server.url)
    server.answer = lambda _body: (status, {"Location": server.url} if status == 302 else {}, b"")
    revoke(registry, "alice")
    registry.deliveries.deliver()
    assert [one.state for one in registry.deliveries.list()] == [state]
    assert len(server.posts) == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
    registry: Registry, home: Path, server: Server, clock: Clock
):
    """429 with `Retry-After` in seconds, an hour at the most; what was told before counts."""
    webhook(home, server.url)
    server.answer = lambda _body: (202, {}, b"") if len(server.posts) < 2 else (429, {"Retry-After": "600"}, b"")
    revoke(registry, "alice", "bob", "carol")
    outcome = registry.deliveries.deliver().receivers[0]
    assert (outcome.delivered, outcome.retried, outcome.reason) == (1, 2, "HTTP 429")
    server.answer = lambda _body: (202, {}, b"")
    clock.forward(seconds=590)
    assert registry.deliveries.deliver().receivers[0].delivered == 0
    clock.forward(seconds=11)
    assert registry.deliveries.deliver().receivers[0].delivered == 2
    assert len(server.posts) == 4


def test_a_server_that_answers_slowly_is_cut_off(registry: Registry, home: Path, server: Server):
    """A byte now and then does not keep the connection for longer than the time limit."""
    webhook(home, server.url, more=", timeout: 1s")
    server.drip = True
    server.answer = lambda _body: (400, {}, b"x" * 100)
    revoke(registry, "alice")
    began = time.monotonic()
    outcome = registry.deliveries.deliver().receivers[0]
    assert (outcome.reason, outcome.pending) == ("no answer within 1 s", 1)
    assert time.monotonic() - began < 10


def test_a_server_that_is_down_or_answers_garbage_is_told_again(
    registry: Registry, home: Path, server: Server, clock: Clock
):
    """A refused connection, and an answer that is too long."""
    webhook(home, server.url)
    revoke(registry, "alice")
    server.answer = lambda _body: (500, {}, b"\xff\x1b[31m" * 100_000)
    registry.deliveries.deliver()
    (waiting,) = registry.deliveries.list()
    assert waiting.state == "pending"
    assert "\x1b" not in (waiting.reason or "")
    server.close()
    clock.forward(hours=1)
    assert "refused" in (registry.deliveries.deliver().receivers[0].reason or "")


def certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hook.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.mark.parametrize(("address", "pinned", "state"), [
    ("127.0.0.1", True, "delivered"), ("127.0.0.1", False, "pending"), ("127.0.0.2", True, "pending"),
])  # fmt: skip
def test_a_certificate_must_be_valid(
    registry: Registry, home: Path, tmp_path: Path, address: str, pinned: bool, state: str
):
    """By the file of certificates that is named, or else by those of the system; and it must be that of the host."""
    cert, key = certificate(tmp_path, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = Server(context)
    try:
        webhook(home, server.url, ca_file=cert if pinned else None)
        revoke(registry, "alice")
        outcome = registry.deliveries.deliver().receivers[0]
    finally:
        server.close()
    assert [one.state for one in registry.deliveries.list()] == [state]
    assert (outcome.reason or "its certificate is not valid").startswith("its certificate is not valid")
    assert len(server.posts) == (state == "delivered")


def decoded(part: str) -> bytes:
    """A part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def checked_token(token: bytes, jwks: dict) -> tuple[dict, dict]:
    """Header and claims of a token, its signature checked with `cryptography` alone. Raises InvalidSignature."""
    head, payload, signature = token.decode().split(".")
    header = json.loads(decoded(head))
    (key,) = [one for one in jwks["keys"] if one["kid"] == header["kid"]]
    numbers = rsa.RSAPublicNumbers(*(int.from_bytes(decoded(key[name]), "big") for name in ("e", "n")))
    assert numbers.n.bit_length() >= 2048
    numbers.public_key().verify(decoded(signature), f"{head}.{payload}".encode(), padding.PKCS1v15(), hashes.SHA256())
    return header, json.loads(decoded(payload))


def test_a_pushed_token_is_what_the_specifications_ask_for(
    registry: Registry, home: Path, server: Server, authctl: Authctl
):
    """RFC 8417 and CAEP 1.0: no `sub`, no `exp`, a complex subject, a reason that is never empty; RFC 8935 for the post."""
    jwks = key_set(authctl)
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(jwks["keys"][0])
    assert json.loads(authctl("receivers", "key").out) == jwks
    push(home, server.url)
    (alice,) = revoke(registry, "alice")
    registry.users.password_changed("alice", note="reset at the desk", actor="carol")
    assert registry.deliveries.deliver().receivers[0].delivered == 2
    revocation, change = (checked_token(body, jwks) for _, _, body in server.posts)
    headers = server.posts[0][1]
    assert (headers["content-type"], headers["accept"], headers["authorization"]) == (
        "application/secevent+jwt",
        "application/json",
        "Bearer bearer-token",
    )
    header, claims = revocation
    assert (header["alg"], header["typ"]) == ("RS256", "secevent+jwt")
    assert set(claims) == {"iss", "aud", "iat", "jti", "txn", "sub_id", "events"}
    assert (claims["iss"], claims["aud"]) == ("https://authctl.example", ["siem"])
    assert claims["sub_id"] == {
        "format": "complex",
        "user": {"format": "iss_sub", "iss": "https://authctl.example", "sub": "alice"},
        "session": {"format": "opaque", "id": alice},
    }
    event = claims["events"]["https://schemas.openid.net/secevent/caep/event-type/session-revoked"]
    at = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp())
    assert (event["event_timestamp"], event["initiating_entity"]) == (at, "admin")
    assert event["reason_admin"] == {"en": "The session was revoked by an administrator."}
    assert "lost device" not in str(claims)
    assert json.loads(registry.audit.event(int(claims["txn"])).detail)["sessions"] == [alice]
    event = change[1]["events"]["https://schemas.openid.net/secevent/caep/event-type/credential-change"]
    assert (event["credential_type"], event["change_type"]) == ("password", "update")
    assert change[1]["jti"] != claims["jti"]


def test_a_note_is_the_reason_where_notes_are_told(registry: Registry, home: Path, server: Server, authctl: Authctl):
    """And a verification event concerns the stream alone."""
    jwks = key_set(authctl)
    push(home, server.url, more=", notes: true")
    revoke(registry, "alice")
    registry.deliveries.deliver()
    (event,) = checked_token(server.posts[0][2], jwks)[1]["events"].values()
    assert event["reason_admin"] == {"en": "lost device"}
    assert authctl("receivers", "test", "siem").code == 0
    claims = checked_token(server.posts[1][2], jwks)[1]
    assert list(claims["events"]) == ["https://schemas.openid.net/secevent/ssf/event-type/verification"]
    assert claims["sub_id"]["format"] == "opaque"


@pytest.mark.parametrize(
    ("code", "state"), [("invalid_request", "refused"), ("invalid_key", "pending"), ("invalid_audience", "pending"),
                        ("access_denied", "pending"), ("unheard_of", "pending")]
)  # fmt: skip
def test_the_error_code_of_a_push_decides(
    registry: Registry, home: Path, server: Server, authctl: Authctl, code: str, state: str
):
    """What concerns the token alone is a refusal; keys and settings can be mended."""
    authctl("receivers", "key")
    push(home, server.url)
    body = json.dumps({"err": code, "description": "not \x1b[31mgood"}).encode()
    server.answer = lambda _body: (400, {"Content-Type": "application/json"}, body)
    revoke(registry, "alice")
    registry.deliveries.deliver()
    (one,) = registry.deliveries.list()
    assert one.state == state
    assert (one.reason or "").startswith(f"HTTP 400: {code}: not ")
    assert "\x1b" not in (one.reason or "")


def test_a_push_without_a_key_or_with_a_damaged_one_waits(
    registry: Registry, home: Path, server: Server, authctl: Authctl, clock: Clock
):
    """Nothing is told unsigned; and nobody but the owner may read the key."""
    push(home, server.url)
    revoke(registry, "alice")
    assert "there is no push key" in (registry.deliveries.deliver().receivers[0].reason or "")
    private(home / "push-key.json", "{}")
    clock.forward(hours=1)
    assert "there is no key in" in (registry.deliveries.deliver().receivers[0].reason or "")
    with pytest.raises(IntegrityFailure):
        registry.receivers.key()
    (home / "push-key.json").chmod(0o644)
    assert authctl("receivers", "key").code == 6
    assert server.posts == []


def test_a_push_that_changed_on_its_way_is_recognised(registry: Registry, home: Path, server: Server, authctl: Authctl):
    """The check of these tests fails for another payload and for another key."""
    from cryptography.exceptions import InvalidSignature

    jwks = key_set(authctl)
    push(home, server.url)
    revoke(registry, "alice")
    registry.deliveries.deliver()
    head, payload, signature = server.posts[0][2].decode().split(".")
    other = base64.urlsafe_b64encode(decoded(payload).replace(b"alice", b"bob")).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        checked_token(f"{head}.{other}.{signature}".encode(), jwks)


def test_two_deliverers_at_once_tell_everything_once(registry: Registry, home: Path, server: Server, clock: Clock):
    """Each of them takes what nobody else has; a kill of one leaves what it took to the other, after its lease."""
    webhook(home, server.url)

    def answer(_body: bytes) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.002)
        return 202, {}, b""

    server.answer = answer
    revoke(registry, *(f"user{number}" for number in range(250)))
    with Registry.open(home, clock=clock) as other:
        threads = [threading.Thread(target=one.deliveries.deliver) for one in (registry, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ids = [json.loads(body)["jti"] for _, _, body in server.posts]
    assert len(ids) == len(set(ids)) == 250


def test_what_a_killed_deliverer_took_is_told_after_its_lease(
    registry: Registry, home: Path, server: Server, clock: Clock
):
    """Under the same id, and not before."""
    webhook(home, server.url)
    revoke(registry, "alice")
    with registry._installation.change("test") as unit:
        unit.tx.expand("hook", 10, unit.clock)
        (leased,) = unit.tx.lease("hook", 10, unit.clock, unit.clock + 120_000_000)
    assert registry.deliveries.deliver().receivers[0].delivered == 0
    clock.forward(seconds=119)
    assert registry.deliveries.deliver().receivers[0].delivered == 0
    clock.forward(seconds=2)
    assert registry.deliveries.deliver().receivers[0].delivered == 1
    assert [json.loads(body)["jti"] for _, _, body in server.posts] == [leased.jti]
