"""A real door: `authctl serve` as a process of its own on loopback, and requests to it by the standard library."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from authctl import Registry
from tests import places, succeeded_commands
from tests.installations import make_installation

pytest.importorskip("uvicorn", reason="authctl[serve] is not installed")

PROFILES = """\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3d}
  pairs: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d, absolute_timeout: 90d, refresh: {grace: 30s, on_reuse: revoke}}
  endless: {idle_timeout: never}
  wiping: {on_revoke: wipe}
  bound: {tokens: requested, default_lifetime: 60m, max_lifetime: 1d, bind: address}
  scoped: {tokens: pair, access_lifetime: 1h, idle_timeout: 14d, refresh: {grace: 30s}, scope: orders.read orders:write}
  inside: {conditions: {networks: [10.0.0.0/8]}}
"""


@dataclass
class Answer:
    """An answer of the door."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Client:
    """A client of the door, with its secret."""

    id: str
    secret: str

    @property
    def basic(self) -> str:
        """Its `Authorization`."""
        return "Basic " + b64encode(f"{self.id}:{self.secret}".encode()).decode()


@dataclass
class RunningDoor:
    """The process, and what it has written."""

    process: subprocess.Popen[str]
    address: str
    home: Path
    out: Path
    err: Path
    secrets: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.address.rpartition(":")[2])

    def send(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def post(self, path: str, client: Client | None, headers: dict[str, str] | None = None, /, **form: str) -> Answer:
        """Send a form as a client."""
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        if client is not None:
            sent["Authorization"] = client.basic
        return self.send("POST", path, urlencode(form), sent | (headers or {}))

    def ask(self, token: str, client: Client, **form: str) -> Any:
        """Introspect a token; the answer must be 200."""
        answer = self.post("/introspect", client, token=token, **form)
        assert answer.status == 200, answer
        return answer.json

    def log(self) -> str:
        """Everything that the process has written."""
        return self.out.read_text() + self.err.read_text()


def start_door(
    home: Path, folder: Path, *options: str, bind: str = "127.0.0.1:0", environment: dict[str, str] | None = None
) -> RunningDoor:
    """Start a door, and wait until it says that it listens."""
    out, err = folder / "door.out", folder / "door.err"
    command = [
        sys.executable,
        "-m",
        "authctl",
        "--home",
        str(home),
        *places.named(home),
        "serve",
        "--bind",
        bind,
        *options,
    ]
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=stdout, stderr=stderr, text=True, env={**os.environ, **(environment or {})}
        )
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"listening at (\S+)", err.read_text()):
            succeeded_commands.remember(("serve",))
            return RunningDoor(process, found[1], home, out, err)
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"the door did not start: {err.read_text()}")


def stop_door(door: RunningDoor) -> int:
    """End a door as systemd does, and return its exit code."""
    if door.process.poll() is None:
        door.process.send_signal(signal.SIGTERM)
    return door.process.wait(timeout=40)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that the tests of one module share."""
    return make_home(tmp_path_factory.mktemp("door"))


def make_home(folder: Path) -> Path:
    """An installation with the profiles above."""
    made = folder / "home"
    make_installation(made, PROFILES)
    return made


@pytest.fixture(scope="module")
def registry(home: Path) -> Iterator[Registry]:
    """The registry behind the door, as an administrator has it open."""
    with Registry.open(home, registry=places.place_in(home)) as opened:
        yield opened


@pytest.fixture(scope="module")
def door(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    """A door that runs while the tests of one module do."""
    running = start_door(home, tmp_path_factory.mktemp("run"), *OPTIONS)
    yield running
    assert stop_door(running) == 0
    assert "Traceback" not in running.log()


OPTIONS = ("--proxy", "127.0.0.0/8", "--cookie", "session", "--access-log", "json")

_names = iter(range(10**6))


@pytest.fixture
def add(registry: Registry) -> Any:
    """Add a client with those rights."""

    def make(*may: str, **options: Any) -> Client:
        if "revoke" in may:
            options.setdefault("revoke_note", "signed out in the shop")
        made = registry.clients.add(f"client {next(_names)}", may=may, **options)
        return Client(made.client.client_id, made.secret)

    return make


def percent(text: str) -> str:
    """Every sign of a text percent-encoded, as the strictest client writes it."""
    return "".join(f"%{byte:02X}" for byte in text.encode()) or quote(text)
