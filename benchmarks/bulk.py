"""Bulk paths beside the bare reference: lists as NDJSON, imports, cleanup, and applied profiles; time, memory, and who waits.

    python benchmarks/bulk.py [SESSIONS]          # 100,000 unless said otherwise

Memory is the largest resident size of a process of its own, at that size and at a tenth of it.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

from measuring import compare, compared, fact, seconds, shown
from population import FOLDER, PROFILES, Population, copied, kept

from authctl import Registry, SessionFilter, profiles, records
from authctl.import_mappings import read_mapping
from authctl.instants import DAY
from authctl.model import ProfileSet
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sqlite import search_index

MAP = b"""\
where: {eventType: [user.session.start]}
fields:
  username: actor.alternateId
  application: [target.0.displayName, client.app]
  device: client.device
  platform: client.userAgent.os
  ip: client.ipAddress
  at: published
key: [username, application, device]
event_id: uuid
"""


def streaming(population: Population) -> None:
    """A list as NDJSON, by the library; the reference selects and dumps the same fields."""
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
            for one in registry.sessions(SessionFilter(kind="application")):
                sink.write(json.dumps(records.session(one)) + "\n")

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
            owed="speed >= 0.5",
            against="sqlite3 and json.dumps",
            rounds=3,
        )


def peak(deed: Callable[[int], None], size: int) -> int:
    """The largest resident size of a process of its own that does something at that size, in KiB, as Linux tells it."""
    high = "next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bulk; bulk.{deed.__name__}({size}); print({high})"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[-1])


def memory(what: str, deed: Callable[[int], None], sizes: tuple[int, int]) -> None:
    """Peak memory at two sizes, one beside the other."""
    large, small = (float(peak(deed, size)) for size in sizes)
    cells = {f"at {size:,}": f"{kib / 1024:.0f} MiB" for size, kib in zip(sizes, (large, small), strict=True)}
    fact("Peak memory", {"what": what, **cells, "ratio": f"{large / small:.2f}"})


def one_list(sessions: int) -> None:
    """Stream a list of everything to nowhere."""
    with kept(sessions).open() as registry:
        for _ in registry.sessions():
            pass


def one_import(rows: int) -> None:
    """Import so many rows."""
    with empty() as registry, export(rows).open("rb") as file:
        registry.imports.run(file, read_mapping(MAP, "map.yaml"), actor="benchmark")


def one_cleanup(sessions: int) -> None:
    """Clean up half of a population."""
    with copied(kept(sessions)) as copy, copy.open() as registry:
        halved(copy)
        registry.cleanup.run()


def one_apply(sessions: int) -> None:
    """Apply a shorter timeout to a population."""
    with copied(kept(sessions)) as copy, copy.open() as registry:
        registry.profiles.apply(shorter(), note="tighter")


def export(rows: int) -> Path:
    """A file of rows as an identity provider writes them, made once."""
    path = FOLDER / f"export-{rows}.jsonl"
    if not path.exists():
        chance = random.Random(rows)
        FOLDER.mkdir(exist_ok=True)
        with path.open("w") as file:
            for _ in range(rows):
                day, hour, minute, second = (
                    chance.randint(1, 24),
                    chance.randrange(24),
                    chance.randrange(60),
                    chance.randrange(60),
                )
                row = {
                    "eventType": "user.session.start",
                    "uuid": f"{chance.getrandbits(128):032x}",
                    "published": f"2026-10-{day:02}T{hour:02}:{minute:02}:{second:02}.123Z",
                    "actor": {"alternateId": f"user{chance.randrange(rows // 5)}.name@example.org"},
                    "target": [{"displayName": chance.choice(["Outlook", "Teams", "ArcGIS Pro"])}],
                    "client": {
                        "device": f"DEV-{chance.randrange(65536):04X}",
                        "ipAddress": f"10.{chance.randrange(256)}.7.9",
                        "userAgent": {"os": "Windows 11"},
                    },
                }
                file.write(json.dumps(row) + "\n")
    return path


@contextmanager
def empty() -> Iterator[Registry]:
    """A registry with no sessions."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Path(folder) / "home"
        create(find_home(home, home / "registry.db"), profiles.read(PROFILES, "p"), PROFILES, actor="benchmark")
        with Registry.open(home, registry=home / "registry.db") as registry:
            yield registry


def importing(rows: int) -> None:
    """An export through a mapping; the references insert finished rows into the same tables, indexes kept or built after, or leave the search index out."""
    path, mapping = export(rows), read_mapping(MAP, "map.yaml")
    times: dict[str, list[float]] = {"ours": [], "kept": [], "after": [], "unsearchable": []}

    def imported(registry: Registry) -> None:
        with path.open("rb") as file:
            registry.imports.run(file, mapping, actor="benchmark")

    for _ in range(1 if rows >= 1_000_000 else 3):
        with empty() as registry, patch.object(search_index, "catch_up", return_value=0):
            times["unsearchable"].append(seconds(lambda registry=registry: imported(registry)))
        with empty() as registry:
            times["ours"].append(seconds(lambda registry=registry: imported(registry)))
            connection = sqlite3.connect(registry._installation.home.registry)
            columns = [row[1] for row in connection.execute("PRAGMA table_info(sessions)")]
            finished = connection.execute(f"SELECT {', '.join(columns)} FROM sessions").fetchall()
            connection.close()
        for name in ("kept", "after"):
            with empty() as registry:
                path_of = registry._installation.home.registry
                deed = partial(inserted, path_of, columns, finished, after=name == "after")
                times[name].append(seconds(deed))
    table = f"Bulk, {rows:,} sessions"
    references = {
        "kept": ("<= 2", "executemany of finished rows, indexes kept"),
        "after": ("<= 2", "executemany of finished rows, indexes built after"),
        "unsearchable": ("<= 1.8", "the same without writing the search index"),
    }
    for name, (owed, against) in references.items():
        compared(table, "import", times["ours"], times[name], owed=owed, against=against)


def inserted(path: Path, columns: list[str], finished: list[tuple[object, ...]], *, after: bool) -> None:
    """The reference."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    found = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL"
    indexes = connection.execute(found).fetchall() if after else []
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    sql = f"INSERT INTO sessions ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    connection.executemany(sql, finished)
    for _, sql in indexes:
        connection.execute(sql)
    connection.execute("COMMIT")
    connection.close()


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
    compared(table, "clean up half", ours, bare, owed="<= 4", against="one DELETE, which holds the lock throughout")
    compared(table, "longest wait of a writer during cleanup", [longest], [0.25], owed="<= 1", against="250 ms")


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
    """A shorter timeout for every living session: one transaction, and how long others wait for it."""
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
    fact(
        "Waits",
        {
            "what": "longest of a writer while profiles are applied",
            "sessions": f"{population.sessions:,}",
            "time": shown(max(took)),
        },
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
    importing(min(size, 1_000_000))
    cleaning(chosen)
    applying(chosen)
    for what, deed in (
        ("streaming a list", one_list),
        ("importing", one_import),
        ("cleaning up half", one_cleanup),
        ("applying profiles", one_apply),
    ):
        memory(what, deed, (size, size // 10))
