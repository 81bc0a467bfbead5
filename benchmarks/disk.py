"""What a registry takes on the disk: bytes a session with and without the search index, what cleanup gives back, and the log under load.

python benchmarks/disk.py [SESSIONS]        # 100,000 unless said otherwise
"""

import sys
import threading
import time
from pathlib import Path

from bulk import halved
from measuring import fact
from population import Population, copied, kept

from authctl.store.sqlite.library import sqlite3

MIB = 2**20
SECONDS = 5.0
TABLE = "Growth on disk"


def noted(what: str, size: str) -> None:
    """Print and keep a row."""
    fact(TABLE, {"what": what, "size": size})


def pages(home: Path) -> tuple[int, int]:
    """The size of the database, and how much of it is free, in bytes."""
    connection = sqlite3.connect(home / "registry.db")
    size, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    connection.close()
    return size * page, free * page


def sizes(population: Population) -> None:
    """Bytes a session."""
    with copied(population) as copy:
        with_search, free = pages(copy.home)
        connection = sqlite3.connect(copy.home / "registry.db", isolation_level=None)
        for table in ("sessions_found", "notes_found"):
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
        connection.close()
        size, now_free = pages(copy.home)
        without = size - now_free + free
        each, bare = with_search / population.sessions, without / population.sessions
        size_of_each = f"{each:.0f} bytes each; {bare:.0f} without the search index ({each / bare:.2f} x)"
        noted(f"{population.sessions:,} sessions", size_of_each)


def given_back(population: Population) -> None:
    """What a cleanup of half leaves of the file."""
    with copied(population) as copy, copy.open() as registry:
        halved(copy)
        before = pages(copy.home)[0]
        removed = registry.cleanup.run().removed
        size, free = pages(copy.home)
        left = f"{size / MIB:.0f} MiB after, of which {free / MIB:.0f} MiB is room for new sessions"
        noted(f"cleanup of {removed:,}", f"{before / MIB:.0f} MiB before; {left}")


def log(population: Population) -> None:
    """The largest write-ahead log while one thread issues and another lists."""
    with copied(population) as copy, copy.open() as registry:
        until = time.monotonic() + SECONDS
        largest = issued = 0

        def read() -> None:
            while time.monotonic() < until:
                for _ in registry.sessions():
                    if time.monotonic() > until:
                        break

        reader = threading.Thread(target=read)
        reader.start()
        while time.monotonic() < until:
            registry.issue(username=f"new{issued}", application="A")
            issued += 1
            largest = max(largest, (copy.home / "registry.db-wal").stat().st_size)
        reader.join()
        during = f"while {issued:,} sessions were issued and lists were read"
        noted("write-ahead log", f"{largest / MIB:.1f} MiB at the most, {during}")


if __name__ == "__main__":
    chosen = kept(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    sizes(chosen)
    given_back(chosen)
    log(chosen)
