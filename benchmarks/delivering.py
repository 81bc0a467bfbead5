"""What receivers cost a revocation, and how many deliveries a second are made.

python benchmarks/delivering.py [SESSIONS ...]    # 20,000 and 200,000 unless said otherwise: revoke-all is compared between the two

A revocation with three receivers beside one without, in turn; revoke-all with three receivers at two sizes; deliveries to a
webhook and to a program that do nothing, beside bare posts to the same server over one connection.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

from measuring import Operation, compared, fact, noted_changes
from population import Population, copied, kept

from authctl import Registry, SessionFilter

EACH = 20
ROUNDS = 9
TOLD = 2_000
PROGRAM = """#!{python}
import json, sys
for line in sys.stdin:
    print(json.dumps({{"jti": json.loads(line)["jti"], "verdict": "done"}}))
"""


def write_receivers(home: Path, **entries: str) -> None:
    """A receivers file, its owner's alone."""
    (home / "receivers.yaml").touch(0o600)
    told = "".join(f"  {name}: {{{entry}, events: [session-revoked]}}\n" for name, entry in entries.items())
    (home / "receivers.yaml").write_text(f"version: 1\nreceivers:\n{told}")


def processor_time(operation: Operation) -> float:
    """The processor time of an operation: each ends with a wait for the disk, which says nothing of either side."""
    began = time.process_time()
    operation()
    return time.process_time() - began


def of_few(registry: Registry) -> Iterator[str]:
    """Ids of active sessions, to be revoked one by one."""
    return (session.id for session in registry.sessions(SessionFilter(status="active")))


def revoking(population: Population) -> None:
    """One session, with three receivers and without."""
    with copied(population) as with_three, copied(population) as without:
        write_receivers(with_three.home, **dict.fromkeys(("a", "b", "c"), "command: [/bin/true]"))
        time.sleep(2.1)  # a file that was written just now is read by each decision
        with with_three.open() as ours, without.open() as reference:
            chosen = [iter(list(islice(of_few(one), EACH * (ROUNDS + 1)))) for one in (ours, reference)]

            def revoke(registry: Registry, ids: Iterator[str]) -> None:
                for session_id in islice(ids, EACH):
                    registry.revoke(SessionFilter(ids=(session_id,)), note="lost device", actor="benchmark")

            sides = [lambda: revoke(ours, chosen[0]), lambda: revoke(reference, chosen[1])]
            rounds = [[processor_time(side) / EACH for side in sides] for _ in range(ROUNDS + 1)][1:]
            compared(
                f"Receivers, {population.sessions:,} sessions, processor time",
                "revoke one session with three receivers",
                [one for one, _ in rounds],
                [one for _, one in rounds],
                limit="<= 1.3",
                against="without a receiver",
            )


def commit_of_revoke_all(population: Population, *, receivers: bool) -> list[float]:
    """The processor time that the transaction of a revocation of everything takes, after each of which some users sign in."""
    took: list[float] = []
    with copied(population) as copy:
        if receivers:
            write_receivers(copy.home, **dict.fromkeys(("a", "b", "c"), "command: [/bin/true]"))
        with copy.open() as registry:
            for number in range(ROUNDS + 1):
                registry.issue(username=f"late{number}", application="A", actor="benchmark")
                with noted_changes(registry, took, time.process_time):
                    registry.revoke(SessionFilter(everything=True), note="breach drill", actor="benchmark")
    return took[1:]


def revoking_everything(smaller: Population, larger: Population) -> None:
    """The transaction of revoke-all: flat in size, and with three receivers below twice the one without."""
    table = "Receivers, revoke everything: the transaction, processor time"
    at_larger = commit_of_revoke_all(larger, receivers=True)
    compared(
        table,
        f"{larger.sessions:,} sessions, three receivers",
        at_larger,
        commit_of_revoke_all(smaller, receivers=True),
        limit="flat",
        against=f"{smaller.sessions:,} sessions, three receivers",
    )
    compared(
        table,
        f"{larger.sessions:,} sessions, three receivers",
        at_larger,
        commit_of_revoke_all(larger, receivers=False),
        limit="<= 2",
        against="without a receiver",
    )


class _Nothing(BaseHTTPRequestHandler):
    """A receiver that does nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


def bare_posts(port: int, count: int) -> float:
    """Seconds for so many posts over one connection, with nothing around them."""
    body = json.dumps({"jti": "a" * 49, "session": {"username": "alice", "application": "Outlook"} | {"x": "y" * 300}})
    with closing(HTTPConnection("127.0.0.1", port)) as connection:
        began = time.perf_counter()
        for _ in range(count):
            connection.request("POST", "/", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
        return time.perf_counter() - began


def delivered(population: Population, entry: str) -> float:
    """Seconds for the delivery of a revocation of some sessions."""
    with copied(population) as copy:
        write_receivers(copy.home, told=entry)
        with copy.open() as registry:
            ids = tuple(islice(of_few(registry), TOLD))
            registry.revoke(SessionFilter(ids=ids), note="lost device", actor="benchmark")
            began = time.perf_counter()
            assert registry.deliveries.deliver().receivers[0].delivered == TOLD
            return time.perf_counter() - began


def delivering(population: Population) -> None:
    """Deliveries a second."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret, program = population.home / "secret", population.home / "program"
    for file, text, mode in ((secret, "a secret of some length", 0o600), (program, PROGRAM, 0o700)):
        file.touch(0o600)
        file.write_text(text.format(python=sys.executable))
        file.chmod(mode)
    webhook = f"webhook: {{url: 'http://127.0.0.1:{server.server_port}/', secret_file: {secret}}}"
    for name, entry in (("webhook", webhook), ("command", f"command: [{program}]")):
        rounds = [(delivered(population, entry), bare_posts(server.server_port, TOLD)) for _ in range(3)]
        ours, reference = min(a for a, _ in rounds), min(b for _, b in rounds)
        cells = {
            "receiver that does nothing": name,
            "deliveries a second": f"{TOLD / ours:,.0f}",
            "bare HTTP posts a second": f"{TOLD / reference:,.0f}",
        }
        fact("Deliveries", cells)
    server.shutdown()


if __name__ == "__main__":
    sizes = list(map(int, sys.argv[1:])) or [20_000, 200_000]
    populations = [kept(size) for size in sizes]
    revoking(populations[0])
    revoking_everything(populations[0], populations[-1])
    delivering(populations[0])
