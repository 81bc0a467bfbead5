"""Moves of a registry between a file and a server that this program starts, beside a bare COPY of the same sessions.

    python benchmarks/moves.py [SESSIONS] [WAY ...]      # 100,000 sessions; file-server and server-file unless said otherwise

A move is a command of its own: its CPU time, its largest memory, and the CPU time of the server meanwhile. The reference reads the rows of the
sessions alone and copies them into a table without an index, by the same driver. Ends with 77 where no server can be had.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

from measuring import fact, shown
from population import Population, copied, kept
from postgres_population import Bench, bench, database_of, server_cpu

from authctl import Registry
from authctl.store.postgres.library import psycopg
from authctl.store.sqlite.library import sqlite3

WAYS = ("file-server", "server-file")
TABLE = "moves"


class Cost(NamedTuple):
    """The cost of something that was done by a process and the server."""

    client: float
    server: float
    wall: float
    memory: float | None = None
    """The largest memory of the process, in MB."""


def command(bench: Bench, home: Path, place: str, *arguments: str) -> Cost:
    """Run an authctl command to its end; its cost."""
    environment = {**os.environ, "AUTHCTL_HOME": str(home), "AUTHCTL_REGISTRY": place}
    before, began = server_cpu(bench.server), time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "authctl", *arguments], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"authctl {' '.join(arguments)} ended with {status}")
    return Cost(used.ru_utime + used.ru_stime, server_cpu(bench.server) - before, wall, used.ru_maxrss / 1024)


def bare_copy(bench: Bench, file: Path, url: str) -> Cost:
    """Copy the rows of the sessions in a file into a table of texts without an index."""

    def rows(source: Any) -> Iterator[tuple[Any, ...]]:
        yield from source.execute("SELECT * FROM sessions")

    before, began, own = server_cpu(bench.server), time.perf_counter(), time.process_time()
    with closing(sqlite3.connect(file)) as source, psycopg.connect(url) as target:
        names = [name for (name,) in source.execute("SELECT name FROM pragma_table_info('sessions')")]
        kinds = dict(source.execute("SELECT name, type FROM pragma_table_info('sessions')"))
        types = {"INTEGER": "bigint", "BLOB": "bytea"}
        columns = ", ".join(f'"{name}" {types.get(kinds[name], "text")}' for name in names)
        target.execute(f"CREATE TABLE bare ({columns})")
        with target.cursor().copy("COPY bare FROM STDIN") as copy:
            for row in rows(source):
                copy.write_row(row)
    wall = time.perf_counter() - began
    return Cost(time.process_time() - own, server_cpu(bench.server) - before, wall)


def report(way: str, sessions: int, cost: Cost, reference: Cost) -> None:
    """Say what a move took, beside the bare COPY."""
    ratio = (cost.client + cost.server) / (reference.client + reference.server)
    fact(
        TABLE,
        {
            "move": way.replace("-", " to "),
            "sessions": f"{sessions:,}",
            "CPU time of the command": shown(cost.client),
            "CPU time of the server": shown(cost.server),
            "by the clock": shown(cost.wall),
            "memory of the command": f"{cost.memory or 0:.0f} MB",
            "both CPU times beside the bare COPY": f"{ratio:.1f}",
        },
    )


def measure(bench: Bench, population: Population, ways: tuple[str, ...]) -> None:
    """Each way, one after the other: the registry of one is moved on by the next."""
    place = str(population.home / "registry.db")
    with ExitStack() as databases:
        reference = bare_copy(bench, Path(place), databases.enter_context(bench.server.fresh_database()))
        for number, way in enumerate(ways):
            to = way.partition("-")[2]
            target = (
                databases.enter_context(bench.server.fresh_database())
                if to == "server"
                else str(population.home.parent / f"moved{number}.db")
            )
            report(way, population.sessions, command(bench, population.home, place, *_move(target)), reference)
            place = target
            if to == "server":
                bench.server.execute("VACUUM ANALYZE", database_of(target))
        with Registry.open(population.home, registry=place) as registry:
            print(f"{registry.count():,} sessions, audit log verified to event {registry.audit.verify().seq}")


def _move(target: str) -> tuple[str, ...]:
    return ("registry", "move", "--to", target, "--yes", "--quiet")


def main() -> None:
    """Measure."""
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with bench() as running, copied(kept(sessions)) as population:
        measure(running, population, tuple(sys.argv[2:]) or WAYS)


if __name__ == "__main__":
    main()
