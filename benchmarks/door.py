"""What a request to the door costs beside one to the same uvicorn that answers a constant; by wrk, one core for each side.

    python benchmarks/door.py [REQUESTS]        # for the growth of memory; 100,000 unless said otherwise

Client authentication and metrics are on, the access log is off. `.venv-peers` has the peers, each behind one worker of gunicorn.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from measuring import compared, fact

from authctl import Registry

ROUNDS = 7
SECONDS = 2
CONNECTIONS = 16
TRIES = 3
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}
"""The units in which wrk gives a time, in seconds."""

TOKENS = 500
MANY_TOKENS = 10_000
"""More than the door keeps anything of."""
PEERS = Path(".venv-peers/bin/python")
TABLE = "The door"


class Load(NamedTuple):
    """What one round came to, in seconds a request."""

    cpu: float
    time: float
    p99: float


class Side(NamedTuple):
    """A server, and what is asked of it."""

    process: int
    url: str
    script: Path

    def load(self) -> Load:
        """One round; once more if none of its requests was answered, as on a machine where others hold the processors."""
        for _ in range(TRIES):
            load = self._round()
            if load is not None:
                return load
        raise SystemExit(f"{self.url} answered nothing in {TRIES} rounds of {SECONDS} seconds")

    def _round(self) -> Load | None:
        """One round; None if no request was answered. A status other than 2xx is an error: a refusal costs less."""
        before = cpu_of(self.process)
        command = [
            *on_core(1),
            "wrk",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{SECONDS}s",
            "--latency",
            "-s",
            self.script,
            self.url,
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in said:
            raise SystemExit(f"{self.url} refused requests:\n{said}")
        requests, seconds, unit = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", said).groups()
        if requests == "0":
            return None
        taken = float(seconds) * UNITS[unit]
        amount, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", said).groups()
        count = int(requests)
        return Load((cpu_of(self.process) - before) / count, taken / count, float(amount) * UNITS[unit])


def cpu_of(process: int) -> float:
    """The CPU time of a process and its children, in seconds."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    fields = [Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split() for one in (process, *children)]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def on_core(number: int) -> list[str]:
    """The words that keep a command on one core, where there are two."""
    return ["taskset", "-c", str(number)] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else []


def listens(port: int) -> bool:
    """Whether a process listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(port: int, *command: object, **environment: str) -> Iterator[int]:
    """The id of a process that listens at a port."""
    process = subprocess.Popen([*on_core(0), *map(str, command)], env=os.environ | environment)
    try:
        until = time.monotonic() + 30
        while not listens(port):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"it does not listen: {command}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def script(place: Path, tokens: list[str], headers: str, *, method: str = "POST") -> Path:
    """The script of wrk that sends each token in turn."""
    request = (
        'wrk.format("POST", nil, nil, "token=" .. tokens[n])'
        if method == "POST"
        else 'wrk.format("GET", nil, {["Authorization"] = "Bearer " .. tokens[n]})'
    )
    listed = ",".join(f'"{token}"' for token in tokens)
    place.write_text(
        f"{headers}\ntokens = {{{listed}}}\nn = 0\nfunction request() n = n % #tokens + 1; return {request} end\n"
    )
    return place


def basic(client_id: str, secret: str) -> str:
    """The headers of a form from a client, in Lua."""
    encoded = b64encode(f"{client_id}:{secret}".encode()).decode()
    form = 'wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"'
    return f'{form}\nwrk.headers["Authorization"] = "Basic {encoded}"'


def in_turn(*sides: Side) -> list[list[Load]]:
    """The rounds of each side; all of them take turns, after one round to warm up."""
    rounds = [[side.load() for side in sides] for _ in range(ROUNDS + 1)][1:]
    return [list(side) for side in zip(*rounds, strict=True)]


def beside_the_constant(introspection: Side, forward: Side, many: Side, constant: Side) -> None:
    """CPU time, rate and the slowest hundredth of both routes; and of introspection with more tokens than the door keeps anything of."""
    introspections, forwards, of_many, constants = in_turn(introspection, forward, many, constant)
    limits = (("cpu", "<= 1.9 x"), ("time", "speed >= 0.5"), ("p99", "<= 3 x"))
    sides = (
        ("introspection", introspections),
        ("forward-auth", forwards),
        (f"{MANY_TOKENS:,} tokens in turn", of_many),
    )
    for name, ours in sides:
        for what, owed in limits:
            compared(
                TABLE,
                f"{name}: {'CPU time' if what == 'cpu' else what}",
                [getattr(one, what) for one in ours],
                [getattr(one, what) for one in constants],
                owed="" if ours is of_many else owed,
                against="the same uvicorn, a constant",
            )


@contextmanager
def held_lock(home: Path) -> Iterator[None]:
    """The write lock, held by another process."""
    program = "import sys; from authctl.store.sqlite.library import sqlite3; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    program += "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(home / "registry.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        yield
        holder.stdin.close()


def with_the_lock_held(side: Side, home: Path, make_due: Callable[[], None]) -> None:
    """The rate while another process writes, and each use is due, beside the rate with the lock free."""
    free, held = [], []
    for _ in range(ROUNDS):
        make_due()
        free.append(side.load().time)
        make_due()
        with held_lock(home):
            held.append(side.load().time)
    compared(TABLE, "introspection, the write lock held", held, free, owed="speed >= 0.5", against="the lock free")


def memory(side: Side, requests: int) -> None:
    """How the process grows over many requests."""

    def size() -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{side.process}/status").read_text())[1]) / 1024

    before, done = size(), 0
    while done < requests:
        done += max(1, round(SECONDS / side.load().time))
    fact("Memory of the door", {"requests": f"{done:,}", "before": f"{before:.1f} MiB", "after": f"{size():.1f} MiB"})


def peers(ours: Side, folder: Path, stack: ExitStack) -> None:
    """Introspection by others, each over SQLite, behind one worker of gunicorn."""
    if not PEERS.exists():
        print(f"\nno peers: {PEERS} is not there (make peers)", file=sys.stderr)
        return
    for port, (name, module) in enumerate(
        {"Authlib in Flask": "authlib_peer", "django-oauth-toolkit": "oauth_peer"}.items(), 8783
    ):
        place = {"AUTHCTL_PEER_DATABASE": str(folder / f"{module}.db"), "PYTHONPATH": str(Path(__file__).parent)}
        made = subprocess.run(
            [PEERS, "-c", f"import {module}; {module}.fill({TOKENS})"],
            env=os.environ | place,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            print(f"\n{name} is not measured: {made.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        command = [PEERS, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", f"{module}:application()"]
        process = stack.enter_context(server(port, *command, **place))
        tokens = [f"token{n}" for n in range(TOKENS)]
        theirs = Side(
            process,
            f"http://127.0.0.1:{port}/introspect",
            script(folder / f"{module}.lua", tokens, basic("client", "secret")),
        )
        mine, others = in_turn(ours, theirs)
        for what in ("cpu", "time"):
            compared(
                TABLE,
                f"introspection: {'CPU time' if what == 'cpu' else what}",
                [getattr(one, what) for one in mine],
                [getattr(one, what) for one in others],
                owed=">= 5 x faster",
                against=f"{name}, gunicorn",
            )


async def constant(scope, receive, send):  # noqa: ANN001, ANN201, ARG001  # an ASGI application
    """Answer what an introspection answers, and look at nothing."""
    if scope["type"] == "http":
        body = b"x" * 183
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), (b"content-length", b"183")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def main(requests: int) -> None:
    """All measurements on one installation."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, home = Path(name), Path(name) / "home"
        authctl = [sys.executable, "-m", "authctl", "--home", home]
        subprocess.run([*authctl, "init", "-q"], check=True)
        with Registry.open(home) as registry:
            client, proxy = (
                registry.clients.add("server", may=["introspect"]),
                registry.clients.add("proxy", may=["verify"]),
            )
            many = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(MANY_TOKENS)]
            tokens = many[:TOKENS]
        door = stack.enter_context(
            server(8781, *authctl, "serve", "-q", "--bind", "127.0.0.1:8781", "--access-log", "off")
        )
        options = ["--port", 8782, "--no-access-log", "--log-level", "error", "--no-server-header", "--lifespan", "off"]
        command = [sys.executable, "-m", "uvicorn", *options, "--app-dir", Path(__file__).parent, "door:constant"]
        other = stack.enter_context(server(8782, *command))
        form = script(folder / "form.lua", tokens, basic(client.client.client_id, client.secret))
        bearer = script(folder / "bearer.lua", tokens, "", method="GET")
        ours = Side(door, "http://127.0.0.1:8781/introspect", form)
        beside_the_constant(
            ours,
            Side(door, f"http://127.0.0.1:8781/verify-as/{proxy.client.client_id}/", bearer),
            Side(
                door,
                "http://127.0.0.1:8781/introspect",
                script(folder / "many.lua", many, basic(client.client.client_id, client.secret)),
            ),
            Side(other, "http://127.0.0.1:8782/introspect", form),
        )

        def make_due() -> None:
            from authctl.store.sqlite.library import sqlite3

            with sqlite3.connect(home / "registry.db") as connection:
                connection.execute("UPDATE sessions SET use_due_at = created_at")
            connection.close()

        with_the_lock_held(ours, home, make_due)
        memory(ours, requests)
        peers(ours, folder, stack)


if __name__ == "__main__":
    if shutil.which("wrk") is None:
        print("the door is not measured: wrk is not installed (apt-get install wrk)", file=sys.stderr)
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 100_000)
