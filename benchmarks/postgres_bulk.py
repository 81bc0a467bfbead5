"""Imports into a registry in PostgreSQL beside the same file into a registry in a file, and a cleanup of half beside bare DELETEs.

    python benchmarks/postgres.py [SESSIONS] imports cleanup

Both sides are measured in turn, by the clock and by the CPU time of client and server.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from imports import MAPPINGS, empty, export
from measuring import compared, fact, noted_changes, shown
from population import PROFILES
from postgres_population import Bench, OnServer, database_of, server_cpu
from postgres_writers import percentile, waits_beside

from authctl import Registry, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import DAY
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.postgres.library import psycopg

CPU = "CPU time of client and server"
MOST_LOG_ROWS = 20_000
"""The most rows of a log that are measured: it has a fifth as many sessions, whose rows take most of the time."""
ROUNDS = 2
BATCHES = (2_000, 20_000)
"""How many sessions a bare DELETE removes."""
WAITING = 4
"""How many other processes sign users in beside a cleanup."""


class Cost(NamedTuple):
    """The time of something that this process and the server did."""

    wall: float
    client: float
    server: float

    def cells(self) -> dict[str, str]:
        """The cells of a table."""
        named = {"by the clock": self.wall, "CPU of the client": self.client, "of the server": self.server}
        return {name: shown(value) for name, value in named.items()}


def cost(made: Bench, operation: Callable[[], object]) -> Cost:
    """The cost of an operation."""
    before, own, began = server_cpu(made.server), _own_cpu(), time.perf_counter()
    operation()
    wall = time.perf_counter() - began
    return Cost(wall, _own_cpu() - own, server_cpu(made.server) - before)


def _own_cpu() -> float:
    """The CPU time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def importing(made: Bench, rows: int) -> None:
    """A listing and a log, each into an empty registry in PostgreSQL and into one in a file."""
    _importing(made, "listing", rows)
    _importing(made, "log", min(rows, MOST_LOG_ROWS))


def _importing(made: Bench, name: str, rows: int) -> None:
    path, mapping = export(name, rows), read_mapping(MAPPINGS[name], "map.yaml")
    ours, in_file = [], []

    def imported(registry: Registry) -> Cost:
        with path.open("rb") as file:
            return cost(made, lambda: registry.imports.run(file, mapping, actor="benchmark"))

    for _ in range(ROUNDS if rows <= 100_000 else 1):
        with made.server.fresh_database() as url:
            home = made.folder / database_of(url)
            create(find_home(home, url), profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="benchmark")
            with Registry.open(home, registry=url) as registry:
                ours.append(imported(registry))
            shutil.rmtree(home)
        with empty() as registry:
            in_file.append(imported(registry))
        for place, took in (("PostgreSQL", ours[-1]), ("a file", in_file[-1])):
            fact(f"PostgreSQL: imports of a {name}, {rows:,} rows", {"into": place, **took.cells()})
    table, against = (
        f"PostgreSQL: import of a {name} beside one into a file, {rows:,} rows",
        "into a registry in a file",
    )
    _compared(table, f"import of a {name}", ours, in_file, limit="<= 1", against=against)


def _compared(table: str, name: str, ours: list[Cost], reference: list[Cost], *, limit: str, against: str) -> None:
    """Compare by the clock and by CPU time."""
    walls, used = ([[part(one) for one in side] for side in (ours, reference)] for part in (_wall, _cpu))
    compared(table, f"{name}, by the clock", *walls, limit=limit, against=against)
    compared(table, f"{name}, {CPU}", *used, against=against)


def _wall(one: Cost) -> float:
    return one.wall


def _cpu(one: Cost) -> float:
    return one.client + one.server


def cleaning(made: Bench, population: OnServer) -> None:
    """Half of all sessions removed, by one DELETE, by bare DELETEs in batches, and by a cleanup; and how long sign-ins beside it wait."""
    _let_end(made, population)
    ours: list[Cost] = []
    bare: dict[int, list[Cost]] = {size: [] for size in (population.sessions, *BATCHES)}
    steps: list[float] = []
    for _ in range(ROUNDS if population.sessions <= 300_000 else 1):
        for size, costs in bare.items():
            with copied(made, population) as copy:
                costs.append(cost(made, lambda copy=copy, size=size: delete_in_batches(copy, size)))
        with copied(made, population) as copy, copy.open() as registry, noted_changes(registry, steps):
            ours.append(cost(made, registry.cleanup.run))
    table = f"PostgreSQL: cleanup of half, {population.sessions:,} sessions"
    for size, costs in bare.items():
        is_one = size == population.sessions
        against, limit = ("one DELETE", "<= 4") if is_one else (f"bare DELETEs of {size:,}", "")
        _compared(table, "clean up half", ours, costs, limit=limit, against=against)
    compared(table, f"the longest of {len(steps)} changes", [max(steps)], [0.25], limit="<= 1", against="250 ms")
    with copied(made, population) as copy, copy.open() as registry:
        beside: list[Cost] = []
        waits = waits_beside(copy, WAITING, lambda: beside.append(cost(made, registry.cleanup.run)))
        alone = waits_beside(copy, WAITING, lambda: time.sleep(beside[0].wall))
    compared(table, "longest wait of a sign-in", [max(waits)], [0.25], limit="<= 1", against="250 ms")
    for name, took in (("beside a cleanup", waits), ("without one", alone)):
        fact(
            f"PostgreSQL: sign-ins of {WAITING} processes, {population.sessions:,} sessions", {"": name, **_waits(took)}
        )


def _waits(took: list[float]) -> dict[str, str]:
    """The middle and the end of some waits."""
    named = {"p50": percentile(took, 50), "p95": percentile(took, 95), "max": max(took)}
    return {"sign-ins": f"{len(took):,}", **{name: f"{value * 1000:.1f} ms" for name, value in named.items()}}


def _let_end(made: Bench, population: OnServer) -> None:
    """Let half of the sessions end far in the past, earlier ones earlier, give or take five days; no revocation has a session then."""
    half = population.sessions // 2
    at = f"{population.now - 400 * DAY} + number * {150 * DAY // half} + number * 2654435761 % {10 * DAY}"
    sql = (
        f"UPDATE sessions SET created_at = {at}, last_used_at = {at}, slid_at = {at}, expires_at = {at} + 1 WHERE number <= {half};"
        " UPDATE sessions SET revocation_id = (SELECT id FROM revocations WHERE at IS NULL)"
    )
    made.server.execute(sql, database_of(population.url))
    made.settle(population)


def delete_in_batches(population: OnServer, size: int) -> None:
    """Remove half by bare DELETEs of so many sessions, each found in the index of deadlines after the last deadline of the one before."""
    half, cutoff = population.sessions // 2, population.now - 200 * DAY
    sql = (
        "DELETE FROM sessions WHERE number IN (SELECT number FROM sessions WHERE kind = %s AND profile_key = %s AND expires_at >= %s"
        f" AND revocation_id = (SELECT id FROM revocations WHERE at IS NULL) AND expires_at < {cutoff}"
        f" ORDER BY expires_at, number LIMIT {size}) RETURNING expires_at"
    )
    with psycopg.connect(population.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        removed = 0
        if size > half:
            removed = connection.execute(f"DELETE FROM sessions WHERE number <= {half}").rowcount
        for kind, profile in _parts(connection) if not removed else ():
            deadlines: list[tuple[int]] = [(0,)]
            while deadlines:
                given = (kind, profile, max(deadlines)[0])
                deadlines = connection.execute(sql, given).fetchall()
                removed += len(deadlines)
        assert removed == half


def _parts(connection: Any) -> list[tuple[str, str]]:
    """The kinds and profiles of sessions."""
    found: list[tuple[str, str]] = connection.execute("SELECT DISTINCT kind, profile_key FROM sessions").fetchall()
    return found


@contextmanager
def copied(made: Bench, population: OnServer) -> Iterator[OnServer]:
    """A copy of a registry, to change."""
    name = f"{database_of(population.url)}_copy"
    made.server.execute(f"CREATE DATABASE {name} TEMPLATE {database_of(population.url)} OWNER registrar")
    home = population.home.with_name("copy")
    shutil.copytree(population.home, home)
    try:
        yield replace(population, home=home, url=made.server.url(name, "registrar"))
    finally:
        shutil.rmtree(home)
        made.server.execute(f"DROP DATABASE {name} WITH (FORCE)")
