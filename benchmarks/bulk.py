"""Bulk paths beside the bare reference: lists as NDJSON, cleanup, and applied profiles; time, memory, and who waits.

    python benchmarks/bulk.py [SESSIONS]          # 100,000 unless said otherwise

Memory is the largest resident size of a process of its own, at that size and at a tenth of it.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from measuring import compare, compared, fact, peak, seconds
from population import PROFILES, Population, copied, kept

from authctl import Registry, SessionFilter, profiles, records
from authctl.instants import DAY
from authctl.model import ProfileSet
from authctl.session_texts import session_text
from authctl.store.sqlite.library import sqlite3


def streaming(population: Population) -> None:
    """A list as NDJSON, as the command makes it; the reference selects and dumps the same fields."""
    path = population.home / "registry.db"
    with (
        population.open() as registry,
        tempfile.TemporaryFile("w") as sink,
        closing(sqlite3.connect(path)) as connection,
    ):
        fields = list(records.session(next(registry.sessions())))
        there = [row[1] for row in connection.execute("PRAGMA table_info(sessions)")]
        chosen = ", ".join(field for field in fields if field in there)
        sql = f"SELECT {chosen} FROM sessions INDEXED BY sessions_by_use WHERE kind = 'application' ORDER BY last_used_at DESC"

        def ours() -> None:
            sink.seek(0)
            for one in registry.lists.listed(SessionFilter(kind="application")):
                sink.write(session_text(one) + "\n")

        def bare() -> None:
            sink.seek(0)
            names = chosen.split(", ")
            for row in connection.execute(sql):
                sink.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")

        table = f"Bulk, {population.sessions:,} sessions"
        compare(
            table,
            "stream a list as NDJSON",
            ours,
            bare,
            limit="speed >= 0.5",
            against="sqlite3 and json.dumps",
            rounds=3,
        )


def memory(what: str, operation: Callable[[int], None], sizes: tuple[int, int]) -> None:
    """Peak memory at two sizes, one beside the other."""
    large, small = (peak(operation, size) for size in sizes)
    cells = {f"at {size:,}": f"{mib:.0f} MiB" for size, mib in zip(sizes, (large, small), strict=True)}
    fact("Peak memory", {"what": what, **cells, "ratio": f"{large / small:.2f}"})


def one_list(sessions: int) -> None:
    """Stream a list of everything to nowhere."""
    with kept(sessions).open() as registry:
        for _ in registry.sessions():
            pass


def one_cleanup(sessions: int) -> None:
    """Clean up half of a population."""
    with copied(kept(sessions)) as copy, copy.open() as registry:
        halved(copy)
        registry.cleanup.run()


def one_apply(sessions: int) -> None:
    """Apply a shorter timeout to a population."""
    with copied(kept(sessions)) as copy, copy.open() as registry:
        registry.profiles.apply(shorter(), note="tighter")


def waits(home: Path, during: Callable[[], object]) -> list[float]:
    """How long another writer waits for each change that it makes meanwhile."""
    took: list[float] = []
    is_over = threading.Event()

    def write() -> None:
        with Registry.open(home, registry=home / "registry.db") as registry:
            while not is_over.is_set():
                took.append(seconds(lambda: registry.issue(username="waiting", application="A")))
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    during()
    is_over.set()
    writer.join()
    return took


def cleaning(population: Population) -> None:
    """Half of all sessions removed, in batches; one DELETE that holds the lock is the reference."""
    ours: list[float] = []
    bare: list[float] = []
    longest = 0.0
    for _ in range(2):
        with copied(population) as copy:
            half = halved(copy)
            bare.append(seconds(lambda home=copy.home, half=half: deleted(home, half)))
        with copied(population) as copy, copy.open() as registry:
            halved(copy)
            took = waits(copy.home, lambda registry=registry: ours.append(seconds(registry.cleanup.run)))
            longest = max(longest, *took)
    table = f"Bulk, {population.sessions:,} sessions"
    compared(table, "clean up half", ours, bare, limit="<= 4", against="one DELETE, which holds the lock throughout")
    compared(table, "longest wait of a writer during cleanup", [longest], [0.25], limit="<= 1", against="250 ms")


def halved(population: Population) -> int:
    """Let half of the sessions end far in the past, earlier ones earlier, give or take five days; the number up to which.

    The log is emptied, so that nobody who is measured pays for this.
    """
    half = population.sessions // 2
    with closing(sqlite3.connect(population.home / "registry.db")) as connection:
        at = "?1 + number * ?2 / ?3 + number * 2654435761 % ?4"
        sql = f"UPDATE sessions SET created_at = {at}, last_used_at = {at}, slid_at = {at}, expires_at = {at} + 1 WHERE number <= ?3"
        connection.execute(sql, (population.now - 400 * DAY, 150 * DAY, half, 10 * DAY))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    os.sync()
    return half


def deleted(home: Path, half: int) -> None:
    """The reference."""
    with closing(sqlite3.connect(home / "registry.db")) as connection, connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("DELETE FROM sessions WHERE number <= ? AND revocation_id = 1", (half,))


def shorter() -> ProfileSet:
    """The profiles with timeouts that are a day shorter."""
    return profiles.read(PROFILES.replace(b"30d", b"29d").replace(b"40d", b"39d"), "profiles.yaml")


def applying(population: Population) -> None:
    """A shorter timeout for every living session, and how long others wait meanwhile."""
    with copied(population) as copy, copy.open() as registry:
        ours: list[float] = []
        took = waits(
            copy.home, lambda: ours.append(seconds(lambda: registry.profiles.apply(shorter(), note="tighter")))
        )
        with copied(population) as other:
            bare = seconds(lambda: updated(other.home))
    table = f"Bulk, {population.sessions:,} sessions"
    compared(
        table, "apply profiles that move every deadline", ours, [bare], against="one UPDATE of every living session"
    )
    compared(
        table,
        "longest wait of a writer while profiles are applied",
        [max(took)],
        [0.25],
        limit="<= 1",
        against="250 ms",
    )


def updated(home: Path) -> None:
    """The reference."""
    with closing(sqlite3.connect(home / "registry.db")) as connection, connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "UPDATE sessions SET expires_at = expires_at - 1, idle_expires_at = idle_expires_at - 1 WHERE revocation_id = 1 AND expires_at > unixepoch() * 1000000"
        )


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    chosen = kept(size)
    streaming(chosen)
    cleaning(chosen)
    applying(chosen)
    for what, operation in (
        ("streaming a list", one_list),
        ("cleaning up half", one_cleanup),
        ("applying profiles", one_apply),
    ):
        memory(what, operation, (size, size // 10))
