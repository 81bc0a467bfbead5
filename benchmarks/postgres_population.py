"""Registries in PostgreSQL to measure on: the population of `population.py`, brought in by COPY, on a server of its own.

A flush of the server's log takes a millisecond and covers all commits that wait for it (`commit_delay`), as on a disk that is kept
busy by nobody else; the data is in memory. On a disk of a shared machine, a flush takes 0.1 to 10 ms, and no two runs agree.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from population import PROFILES, REVOKED, Population, session

sys.path.insert(0, str(Path(__file__).parents[1]))

from authctl import Registry, profiles
from authctl.instants import DAY
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.postgres.tables import INDEXES
from authctl.store.sql import rows
from tests import postgres_server

SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "commit_delay": "1000",
    "commit_siblings": "0",
    "checkpoint_timeout": "30min",
}
"""The settings of the server."""

_NOTES = ("lost device", "left the company", "phone replaced", "suspicious sign-in from abroad", "contract ended")
_PER_REVOCATION = 3
_OF_SESSIONS = [sql for sql in INDEXES if " ON sessions " in sql]


@dataclass(frozen=True)
class OnServer(Population):
    """A home whose registry is in PostgreSQL."""

    url: str
    """The address of the database, as the role of its owner."""

    def open(self) -> Registry:
        """The registry, by the server's clock."""
        return Registry.open(self.home, registry=self.url)


@dataclass(frozen=True)
class Bench:
    """A running server, and the registries on it."""

    server: postgres_server.Server
    folder: Path
    _names: Iterator[int]
    _databases: ExitStack

    def population(self, sessions: int) -> OnServer:
        """A new registry with so many sessions, analysed as the server does it by itself after a while."""
        url = self._databases.enter_context(self.server.fresh_database())
        made = OnServer(self.folder / f"home{next(self._names)}", sessions, time.time_ns() // 1000, url)
        create(find_home(made.home, url), profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="benchmark")
        _fill(made)
        self.settle(made)
        return made

    def settle(self, population: OnServer) -> None:
        """Let the server do now what its vacuum does within minutes."""
        self.server.execute("VACUUM ANALYZE", database_of(population.url))


def database_of(url: str) -> str:
    """The name of the database of an address."""
    return url.removeprefix("postgresql:///").partition("?")[0]


@contextmanager
def bench() -> Iterator[Bench]:
    """A server of its own; ends the program with 77 where none can be had."""
    if (reason := postgres_server.why_not()) is not None:
        print(f"skipped: {reason}")
        raise SystemExit(77)
    with (
        postgres_server.new_server(**SETTINGS) as server,
        TemporaryDirectory(prefix="authctl-bench-") as folder,
        ExitStack() as databases,
    ):
        yield Bench(server, Path(folder), count(), databases)


def server_version(server: postgres_server.Server) -> str:
    """The version of the server."""
    return str(server.execute("SELECT split_part(current_setting('server_version'), ' ', 1)")[0][0])


def _fill(made: OnServer) -> None:
    """Bring the sessions in, their indexes made once all are there."""
    chance = random.Random(made.sessions)
    with made.open() as registry, registry._installation.store.change() as tx:
        in_force, key_id = tx.profiles(), registry._reader.mint().ring.signing.id
        one = partial(session, sessions=made.sessions, now=made.now, ruled=in_force, key_id=key_id)
        revocations = [tx.one_number("SELECT id FROM revocations WHERE at IS NULL")]
        for _ in range(max(1, int(made.sessions * REVOKED / _PER_REVOCATION))):
            at = made.now - chance.randrange(DAY, 150 * DAY)
            revocations.append(tx.add_revocation(at, "benchmark", chance.choice(_NOTES), "{}"))
        first = tx.next_numbers(made.sessions)
        assert first == 1

        def filled() -> Iterator[tuple[Any, ...]]:
            for number in range(1, made.sessions + 1):
                row = rows.columns(one(number, chance))
                revoked = chance.random() < REVOKED
                yield (number, *row.values(), chance.choice(revocations[1:]) if revoked else revocations[0])

        for sql in _OF_SESSIONS:
            tx.write(f"DROP INDEX {sql.split()[2]}")
        columns = ("number", *rows.columns(one(1, random.Random(0))), "revocation_id")
        tx.insert_rows("sessions", ", ".join(columns), filled())
        for sql in _OF_SESSIONS:
            tx.write(sql)


def cores() -> int:
    """How many cores the machine has."""
    return os.cpu_count() or 1
