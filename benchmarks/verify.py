"""What `Registry.verify` costs beside the least that any verification does, and what it costs while others write.

    python benchmarks/verify.py [SESSIONS]        # 100,000 unless said otherwise

The reference is itsdangerous' `Signer.unsign` with SHA-256 and one SELECT by the session's number: of its whole row, which `verify`
returns, and of the four columns that the poorest answer needs.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import quantiles

from itsdangerous import Signer
from measuring import compare, compared, fact, seconds
from population import Population, copied, kept

from authctl import Registry, TokenInvalid
from authctl.store.sqlite.library import sqlite3

TOKENS = 1_000
ROUNDS = 9
STORM_SECONDS = 2.0


def active_numbers(population: Population, registry: Registry, wanted: int) -> list[int]:
    """The numbers of some sessions whose tokens are good; their uses are written by that."""
    found = []
    step = max(1, population.sessions // (wanted * 3))
    for number in range(1, population.sessions, step):
        try:
            registry.verify(population.token(number))
        except TokenInvalid:
            continue
        found.append(number)
        if len(found) == wanted:
            break
    return found


def bare(home: Path, numbers: list[int], columns: str) -> Callable[[], object]:
    """The reference over those sessions."""
    connection = sqlite3.connect(home / "registry.db", isolation_level=None)
    signer = Signer(b"k" * 32, salt="benchmark", key_derivation="hmac", digest_method=sha256)
    signed = [signer.sign(str(number).encode()) for number in numbers]
    sql = f"SELECT {columns} FROM sessions WHERE number = ?"

    def all_of_them() -> None:
        for one in signed:
            connection.execute(sql, (int(signer.unsign(one)),)).fetchone()

    return all_of_them


def throughput(population: Population) -> None:
    """One process, and last use written as it falls due."""
    with population.open() as registry:
        numbers = active_numbers(population, registry, TOKENS)
        tokens = [population.token(number) for number in numbers]

        def ours() -> None:
            for token in tokens:
                session = registry.verify(token)
                _ = session.username, session.application

        table = f"Verify, {population.sessions:,} sessions"
        whole, least = (
            bare(population.home, numbers, "*"),
            bare(population.home, numbers, "id, username, expires_at, revocation_id"),
        )
        each = len(tokens)
        compare(
            table,
            "verify",
            ours,
            whole,
            limit="speed >= 0.75",
            against="unsign, SELECT of the row",
            rounds=ROUNDS,
            each=each,
        )
        compare(
            table,
            "verify",
            ours,
            least,
            limit="speed >= 0.68",
            against="unsign, SELECT of four columns",
            rounds=ROUNDS,
            each=each,
        )


def with_uses(population: Population) -> None:
    """A minute of each session's life: sixty verifications, of which one writes the use."""
    with later_each_time(population, 200) as (registry, tokens, late):

        def sixty(seconds_later: int) -> None:
            late[0] += seconds_later
            for _ in range(60):
                for token in tokens:
                    registry.verify(token)

        compare(
            f"Verify, {population.sessions:,} sessions",
            "verify, one use in sixty written",
            lambda: sixty(61),
            lambda: sixty(0),
            limit="<= 1.1",
            against="verify without a use that is due",
            rounds=5,
            each=60 * len(tokens),
        )


@contextmanager
def later_each_time(population: Population, count: int) -> Iterator[tuple[Registry, list[str], list[int]]]:
    """An open copy with that many good tokens, and how many seconds its clock is ahead, to be changed."""
    late = [0]
    with copied(population) as copy:
        registry = Registry.open(copy.home, registry=copy.home / "registry.db", clock=lambda: time.time() + late[0])
        with registry:
            yield registry, [copy.token(number) for number in active_numbers(copy, registry, count)], late


def while_locked(population: Population) -> None:
    """Another connection holds the write lock throughout, and every use is due; then the uses that waited are written."""
    table = f"Verify while the registry is locked, {population.sessions:,} sessions"
    with later_each_time(population, TOKENS) as (registry, tokens, late):

        def once(seconds_later: int) -> None:
            late[0] += seconds_later
            for token in tokens:
                registry.verify(token)

        async def in_event_loop() -> None:
            once(61)

        other = sqlite3.connect(registry._installation.home.registry, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for name, operation in (("one thread", lambda: once(61)), ("event loop", lambda: asyncio.run(in_event_loop()))):
            free = "the same without a use that is due"
            compare(
                table,
                name,
                operation,
                lambda: once(0),
                limit="speed >= 0.5",
                against=free,
                rounds=ROUNDS,
                each=len(tokens),
            )
        waiting = registry._installation.waiting_uses
        assert waiting is not None
        count = len(waiting)
        other.execute("ROLLBACK")
        took = seconds(lambda: waiting.write_within(60))
        fact(
            table,
            {
                "uses that waited": f"{count:,}",
                "written after": f"{took:.2f} s",
                "each": f"{took / count * 1e6:.0f} µs",
            },
        )


def oldest_of_three_keys(population: Population) -> None:
    """Tokens name their key: none is tried in vain."""
    with copied(population) as copy, copy.open() as registry:
        old = [registry.issue(username="old", application="A").access_token for _ in range(100)]
        registry.keys.rotate(note="every year")
        registry.keys.rotate(note="every year")
        new = [registry.issue(username="new", application="A").access_token for _ in range(100)]

        def verified(tokens: list[str]) -> Callable[[], object]:
            return lambda: [registry.verify(token) for token in tokens]

        compare(
            f"Verify, {population.sessions:,} sessions",
            "oldest of three keys",
            verified(old),
            verified(new),
            limit="<= 1.1",
            against="the newest",
            rounds=ROUNDS,
            each=100,
        )


CHILD = """
import asyncio
import json, sys, time
sys.path.insert(0, {here!r})
from pathlib import Path
from population import Population
population = Population(Path({home!r}), {sessions}, 0)
with population.open() as registry:
    tokens = [population.token(number) for number in {numbers}]
    [registry.verify(token) for token in tokens]
    print("ready", flush=True)
    while line := sys.stdin.readline():
        until, done = time.monotonic() + float(line), 0
        while time.monotonic() < until:
            for token in tokens:
                registry.verify(token)
            done += len(tokens)
        print(done, flush=True)
"""


def two_processes(population: Population) -> None:
    """How many more two processes do than one, in turn."""
    with population.open() as registry:
        numbers = active_numbers(population, registry, 200)
    code = CHILD.format(
        here=str(Path(__file__).parent), home=str(population.home), sessions=population.sessions, numbers=numbers
    )
    children = [
        subprocess.Popen([sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    def done(some: list[subprocess.Popen[str]], length: float) -> int:
        for child in some:
            assert child.stdin
            child.stdin.write(f"{length}\n")
            child.stdin.flush()
        return sum(int(child.stdout.readline()) for child in some if child.stdout)

    for child in children:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    pairs = [(done(children, 1.0), done(children[:1], 1.0)) for _ in range(7)]
    compared(
        f"Verify, {population.sessions:,} sessions",
        "two processes: time for as many",
        [1 / both for both, _ in pairs],
        [1 / one for _, one in pairs],
        limit="<= 0.556",
        against="one process (1.8 times as many)",
    )
    for child in children:
        child.communicate()


OTHERS = {
    "nothing": "pass",
    "revocations": "registry.revoke(SessionFilter(username=f'nobody{n}'), note='lost device'); registry.issue(username=f'nobody{n}', application='A')",
    "an import": "registry.imports.run(io.BytesIO(rows(n)), MAP)",
    "a cleanup": "registry.cleanup.run(older_than=None)",
}
OTHER = """
import io, json, sys
from authctl import Registry, SessionFilter
from authctl.import_mappings import read_mapping
MAP = read_mapping(b"fields: {{username: u, at: t}}\\nkey: [username]\\n", "map")
def rows(n):
    return "".join(json.dumps({{"u": f"import-{{n}}-{{i}}", "t": "2020-01-01"}}) + "\\n" for i in range(5000)).encode()
with Registry.open({home!r}, registry={home!r} + "/registry.db") as registry:
    print("ready", flush=True)
    n = 0
    while True:
        n += 1
        {operation}
"""


def latencies(population: Population) -> None:
    """How long single verifications take while another process writes without a pause, in percentiles."""
    table = f"Verify while another process writes without a pause, {population.sessions:,} sessions"
    for name, operation in OTHERS.items():
        with copied(population) as copy, copy.open() as registry:
            tokens = [copy.token(number) for number in active_numbers(copy, registry, 1_000)]
            code = OTHER.format(
                home=str(copy.home), operation=operation if name != "nothing" else "import time; time.sleep(60)"
            )
            other = subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True)
            assert other.stdout
            other.stdout.readline()
            took = []
            until = time.monotonic() + STORM_SECONDS
            while time.monotonic() < until:
                took += [seconds(partial(registry.verify, token)) for token in tokens]
            other.kill()
            other.communicate()
        cuts = quantiles(took, n=1_000, method="inclusive")
        points = {"median": cuts[499], "p99": cuts[989], "p999": cuts[998], "longest": max(took)}
        figures = {point: f"{value * 1e6:,.0f} µs" for point, value in points.items()}
        rate = f"{len(took) / STORM_SECONDS:,.0f}"
        fact(table, {"meanwhile": name, "verified": f"{len(took):,}", "a second": rate, **figures})


if __name__ == "__main__":
    chosen = kept(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    throughput(chosen)
    with_uses(chosen)
    while_locked(chosen)
    oldest_of_three_keys(chosen)
    two_processes(chosen)
    latencies(chosen)
