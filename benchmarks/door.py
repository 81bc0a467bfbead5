"""What a request to the door costs beside one to the same uvicorn that answers a constant; by wrk, one core for each side.

    python benchmarks/door.py [REQUESTS]        # for the growth of memory; 100,000 unless said otherwise

Client authentication and metrics are on, the access log is off. `.venv-peers` has the peers, each behind one worker of gunicorn.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from measuring import compared, fact

from authctl import Registry

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.ports import free_port

MANY = 100_000
"""From so many requests on for the growth of memory, each side is measured more often and for longer."""
CONNECTIONS = 16
BEGIN_SECONDS = 60
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
    """A server, and what is asked of it; `rounds` loads of `seconds` each."""

    process: int
    url: str
    script: Path
    rounds: int
    seconds: int

    def load(self) -> Load:
        """One round. A status other than 2xx is an error: a refusal costs less."""
        for seconds in (self.seconds, 10 * self.seconds):
            before = cpu_of(self.process)
            requests, taken, p99 = self._asked(seconds)
            if requests:
                return Load((cpu_of(self.process) - before) / requests, taken / requests, p99)
        raise SystemExit(f"{self.url} answered nothing in {seconds} seconds")

    def _asked(self, seconds: int) -> tuple[int, float, float]:
        """How many requests were answered, in how many seconds, and the time of the slowest hundredth."""
        wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", self.script, self.url]
        said = subprocess.run([*on_core(1), *wrk], capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in said:
            raise SystemExit(f"{self.url} refused requests:\n{said}")
        requests, taken, of_taken = re.search(r"(\d+) requests in ([\d.]+)(ms|s|m)", said).groups()
        amount, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", said).groups()
        return int(requests), float(taken) * UNITS[of_taken], float(amount) * UNITS[unit]


def cpu_of(process: int) -> float:
    """The CPU time of a process and its children in seconds, to the nanosecond: a tick is longer than a short load takes."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    # the number of a process's clock of CPU time, as clock_getcpuclockid(3) makes it on Linux
    return sum(time.clock_gettime((~one << 3) | 2) for one in (process, *map(int, children)))


def on_core(number: int) -> list[str]:
    """The words that keep a command on one core, where there are two."""
    return ["taskset", "-c", str(number)] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else []


def answers(port: int) -> bool:
    """Whether a process answers at a port, with whatever status: a master listens before its worker has started."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=BEGIN_SECONDS)) as probe:
        try:
            probe.request("GET", "/")
            return probe.getresponse().status > 0
        except OSError:
            return False


@contextmanager
def server(port: int, *command: object, **environment: str) -> Iterator[int]:
    """The id of a process that answers at a port."""
    process = subprocess.Popen([*on_core(0), *map(str, command)], env=os.environ | environment)
    try:
        until = time.monotonic() + BEGIN_SECONDS
        while not answers(port):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"it does not answer: {command}")
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
    rounds = [[side.load() for side in sides] for _ in range(sides[0].rounds + 1)][1:]
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
        for what, limit in limits:
            compared(
                TABLE,
                f"{name}: {'CPU time' if what == 'cpu' else what}",
                [getattr(one, what) for one in ours],
                [getattr(one, what) for one in constants],
                limit="" if ours is of_many else limit,
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
    for _ in range(side.rounds):
        make_due()
        free.append(side.load().time)
        make_due()
        with held_lock(home):
            held.append(side.load().time)
    compared(TABLE, "introspection, the write lock held", held, free, limit="speed >= 0.5", against="the lock free")


def memory(side: Side, requests: int) -> None:
    """How the process grows over many requests."""

    def size() -> float:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{side.process}/status").read_text())[1]) / 1024

    before, done = size(), 0
    while done < requests:
        done += round(side.seconds / side.load().time)
    fact("Memory of the door", {"requests": f"{done:,}", "before": f"{before:.1f} MiB", "after": f"{size():.1f} MiB"})


def peers(ours: Side, folder: Path, stack: ExitStack) -> None:
    """Introspection by others, each over SQLite, behind one worker of gunicorn."""
    if not PEERS.exists():
        print(f"\nno peers: {PEERS} is not there (make peers)", file=sys.stderr)
        return
    for name, module in {"Authlib in Flask": "authlib_peer", "django-oauth-toolkit": "oauth_peer"}.items():
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
        port = free_port()
        command = [
            PEERS,
            "-m",
            "gunicorn",
            "-b",
            f"127.0.0.1:{port}",
            "--log-level",
            "warning",
            "--no-control-socket",
            f"{module}:application()",
        ]
        process = stack.enter_context(server(port, *command, **place))
        tokens = [f"token{n}" for n in range(TOKENS)]
        theirs = Side(
            process,
            f"http://127.0.0.1:{port}/introspect",
            script(folder / f"{module}.lua", tokens, basic("client", "secret")),
            ours.rounds,
            ours.seconds,
        )
        mine, others = in_turn(ours, theirs)
        for what in ("cpu", "time"):
            compared(
                TABLE,
                f"introspection: {'CPU time' if what == 'cpu' else what}",
                [getattr(one, what) for one in mine],
                [getattr(one, what) for one in others],
                limit=">= 5 x faster",
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
        ours_at, other_at = free_port(), free_port()
        serve = [*authctl, "serve", "-q", "--bind", f"127.0.0.1:{ours_at}", "--access-log", "off"]
        door = stack.enter_context(server(ours_at, *serve))
        quiet = ["--no-access-log", "--log-level", "error", "--no-server-header", "--lifespan", "off"]
        options = ["--port", other_at, *quiet]
        command = [sys.executable, "-m", "uvicorn", *options, "--app-dir", Path(__file__).parent, "door:constant"]
        other = stack.enter_context(server(other_at, *command))
        form = script(folder / "form.lua", tokens, basic(client.client.client_id, client.secret))
        bearer = script(folder / "bearer.lua", tokens, "", method="GET")
        often = (7, 2) if requests >= MANY else (3, 1)
        ours = Side(door, f"http://127.0.0.1:{ours_at}/introspect", form, *often)
        beside_the_constant(
            ours,
            Side(door, f"http://127.0.0.1:{ours_at}/verify-as/{proxy.client.client_id}/", bearer, *often),
            Side(
                door,
                f"http://127.0.0.1:{ours_at}/introspect",
                script(folder / "many.lua", many, basic(client.client.client_id, client.secret)),
                *often,
            ),
            Side(other, f"http://127.0.0.1:{other_at}/introspect", form, *often),
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
