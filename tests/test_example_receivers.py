"""The receivers that come with authctl, each as a program against a made-up system over HTTP."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from authctl import Registry, shipped_receivers
from authctl.receivers.command import Command
from authctl.receivers.messages import Message
from tests.conftest import Authctl

Answers = dict[str, tuple[int, object]]


class System:
    """A system that has an answer for some requests, and 404 for all others."""

    def __init__(self) -> None:
        self.answers: Answers = {}
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        system = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                request = f"{self.command} {self.path}"
                system.asked.append(request)
                system.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                status, body = system.answers.get(request, (404, {}))
                content = json.dumps(body).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def system() -> Iterator[System]:
    """A system that knows nothing yet."""
    made = System()
    yield made
    made.close()


Tell = Callable[..., tuple[str, str | None]]

ADDRESSES = {
    "synapse": "SYNAPSE_URL",
    "jupyterhub": "JUPYTERHUB_API_URL",
    "keycloak": "KEYCLOAK_URL",
    "http": "RECEIVER_URL",
}
SECRETS = {
    "synapse": "SYNAPSE_TOKEN_FILE",
    "jupyterhub": "JUPYTERHUB_TOKEN_FILE",
    "keycloak": "KEYCLOAK_SECRET_FILE",
    "http": "RECEIVER_TOKEN_FILE",
}


def program_of(name: str, folder: Path) -> Path:
    """An example in a file, to be run with the Python of the tests."""
    folder.mkdir(mode=0o700, exist_ok=True)
    program = folder / name
    text = shipped_receivers.read(name)
    assert text.startswith("#!/usr/bin/env python3\n")
    program.write_text(f"#!{sys.executable}\n" + text.partition("\n")[2])
    program.chmod(0o700)
    return program


@pytest.fixture
def tell(system: System, tmp_path: Path) -> Tell:
    """Tell an example one message; the state and the reason of its verdict."""

    def told(name: str, event: str, *arguments: str, **changes: object) -> tuple[str, str | None]:
        (tmp_path / "secret").write_text("made up\n")
        fields = {
            "jti": "j1",
            "event": event,
            "username": "alice",
            "source": name,
            "source_id": "a/7",
            "session": {"id": "s", "created_at": "2026-03-02T09:00:00.250000Z"}
            if event.startswith("session")
            else None,
        } | changes
        environment = {
            ADDRESSES[name]: system.url,
            SECRETS[name]: str(tmp_path / "secret"),
            "KEYCLOAK_REALM": "staff",
            "KEYCLOAK_CLIENT_ID": "authctl",
        }
        command = Command((str(program_of(name, tmp_path / "programs")), *arguments), environment, 20)
        (verdict,) = command.send([Message("j1", fields, 0, 0)])
        return verdict.state.value, verdict.reason

    return told


@pytest.mark.parametrize("name", ["synapse", "jupyterhub", "keycloak"])
def test_a_wrong_address_is_not_taken_for_gone(tell: Tell, name: str):
    """Everything is missing there: it is told again."""
    assert tell(name, "session-revoked")[0] == "pending"
    assert tell(name, "verification")[0] == "pending"


@pytest.mark.parametrize("name", ["synapse", "jupyterhub", "keycloak"])
def test_a_session_of_another_source_is_gone(tell: Tell, system: System, name: str):
    """Nothing is asked for it."""
    assert tell(name, "session-revoked", source="okta")[0] == "gone"
    assert tell(name, "session-revoked", source_id=None)[0] == "gone"
    assert system.asked == []


def test_synapse(tell: Tell, system: System):
    """A device is deleted, and a leaver is deactivated only behind the switch."""
    users, device = "/_synapse/admin/v2/users", "/_synapse/admin/v2/users/alice/devices/a%2F7"
    system.answers = {f"GET {device}": (200, {}), f"DELETE {device}": (200, {})}
    assert tell("synapse", "session-revoked") == ("delivered", None)
    assert system.asked == [f"GET {device}", f"DELETE {device}"]
    system.answers = {"GET /_synapse/admin/v1/server_version": (200, {}), f"GET {users}?limit=1": (200, {})}
    assert tell("synapse", "session-revoked")[0] == "gone"
    system.answers = {
        f"GET {users}/alice/devices": (200, {"devices": [{"device_id": "PC"}]}),
        f"POST {users}/alice/delete_devices": (200, {}),
        "POST /_synapse/admin/v1/deactivate/alice": (200, {}),
        f"GET {users}/alice": (200, {"deactivated": True}),
    }
    assert tell("synapse", "user-disabled") == ("delivered", None)
    assert json.loads(system.bodies[-1]) == {"devices": ["PC"]}
    assert "POST /_synapse/admin/v1/deactivate/alice" not in system.asked
    assert tell("synapse", "user-disabled", "--deactivate") == ("delivered", None)
    assert system.asked[-1] == "POST /_synapse/admin/v1/deactivate/alice"
    assert tell("synapse", "user-enabled")[0] == "refused"


def test_jupyterhub(tell: Tell, system: System):
    """A token is deleted if it is the one that was made then; another one of its id stays."""
    token = "/users/alice/tokens/a%2F7"
    system.answers = {
        f"GET {token}": (200, {"created": "2026-03-02T09:00:00.250000Z"}),
        f"DELETE {token}": (204, None),
        "GET /users/alice": (200, {"servers": {"": {}, "big": {}}}),
        "DELETE /users/alice/server": (204, None),
        "DELETE /users/alice/servers/big": (202, None),
        "GET /users/alice/tokens": (200, {"api_tokens": [{"id": "a7"}]}),
        "DELETE /users/alice/tokens/a7": (204, None),
    }
    assert tell("jupyterhub", "session-revoked") == ("delivered", None)
    assert tell("jupyterhub", "session-revoked", "--stop-servers") == ("delivered", None)
    assert system.asked[-2:] == ["DELETE /users/alice/server", "DELETE /users/alice/servers/big"]
    assert tell("jupyterhub", "user-disabled") == ("delivered", None)
    system.asked.clear()
    system.answers[f"GET {token}"] = (200, {"created": "2026-03-03T09:00:00Z"})
    assert tell("jupyterhub", "session-revoked")[0] == "gone"
    assert system.asked == [f"GET {token}"]
    system.answers[f"GET {token}"] = (302, {})
    assert tell("jupyterhub", "session-revoked") == ("pending", "HTTP 302")
    assert system.asked[-1] == f"GET {token}"


def test_keycloak(tell: Tell, system: System):
    """A session of that id and beginning is deleted; users are disabled, enabled and signed out."""
    realm = "/admin/realms/staff"
    system.answers = {
        "POST /realms/staff/protocol/openid-connect/token": (200, {"access_token": "made up"}),
        f"GET {realm}/users?exact=true&username=alice": (200, [{"id": "u1"}]),
        f"GET {realm}/users/u1/sessions": (200, [{"id": "a/7", "start": 1772442000250}]),
        f"DELETE {realm}/sessions/a%2F7": (204, None),
        f"PUT {realm}/users/u1": (204, None),
        f"POST {realm}/users/u1/logout": (204, None),
    }
    assert tell("keycloak", "session-ended") == ("delivered", None)
    assert tell("keycloak", "user-disabled") == ("delivered", None)
    assert (json.loads(system.bodies[-2]), system.asked[-1]) == ({"enabled": False}, f"POST {realm}/users/u1/logout")
    assert tell("keycloak", "user-enabled") == ("delivered", None)
    assert json.loads(system.bodies[-1]) == {"enabled": True}
    system.answers[f"GET {realm}/users/u1/sessions"] = (200, [{"id": "a/7", "start": 1}])
    assert tell("keycloak", "session-ended")[0] == "gone"
    system.answers[f"GET {realm}/users?exact=true&username=alice"] = (200, [])
    assert tell("keycloak", "user-disabled") == ("gone", "no such user")


@pytest.mark.parametrize(
    ("status", "state"), [(200, "delivered"), (410, "gone"), (422, "refused"), (404, "pending"), (500, "pending")]
)
def test_http(tell: Tell, system: System, status: int, state: str):
    """The status decides."""
    system.answers = {"POST /": (status, {})}
    assert tell("http", "session-revoked")[0] == state
    assert json.loads(system.bodies[0])["jti"] == "j1"


def test_the_examples_are_printed(registry: Registry, authctl: Authctl):
    """By name, and their names without one."""
    assert authctl("receivers", "example").out.split() == ["http", "jupyterhub", "keycloak", "synapse"]
    assert authctl("receivers", "example", "synapse").out == shipped_receivers.read("synapse")
