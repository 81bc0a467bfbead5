"""Imports beside an earlier build, beside sqlite-utils, and beside bare inserts; the memory of a list; the same file again.

    python benchmarks/imports.py [ROWS]          # 100,000 unless said otherwise

    AUTHCTL_BENCH_SINCE=PYTHON    a Python that an earlier build is installed for; without it nothing is compared with that

Beside an earlier build, a thousand revocations by criteria are in force, and this build imports with a source and its journal.
"The same file, one line more" has a blank line at its end, which makes it another file: all rows are read again.

A *log* has five rows a session and an id for each event; a *listing* has one row a session, with every column of the table of
sessions. sqlite-utils inserts the listing into a table that has the columns and indexes of that table. Times of processes are CPU
times, of the user and of the system: other programs on the machine change them least.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from measuring import compared, fact, peak, seconds
from population import FOLDER, PROFILES, kept

from authctl import Registry, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import format_instant
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sqlite import search_index
from authctl.store.sqlite.library import sqlite3

MAPPINGS = {
    "log": b"""\
where: {eventType: [user.session.start]}
fields:
  username: actor.alternateId
  application: [target.0.displayName, client.app]
  device: client.device
  platform: client.userAgent.os
  ip: client.ipAddress
  at: published
key: [session]
event_id: uuid
""",
    "listing": b"""\
fields:
  username: username
  application: application
  application_version: application_version
  platform: platform
  device: device
  ip: ip
  at: at
key: [id]
""",
}
WRAPPED = ".wrapped.json"
"""How the names of lists in a wrapper end."""
SINCE = os.environ.get("AUTHCTL_BENCH_SINCE")
SQLITE_UTILS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "sqlite-utils"
ROWS_PER_SESSION = 5
DAYS = 50
MILLION = 1_000_000
FEW = 100_000
"""Below so many rows each side is measured once, so that all benchmarks together take minutes."""
REVOCATIONS = """\
import sys
from pathlib import Path
from authctl import Registry, SessionFilter
home = Path(sys.argv[1])
with Registry.open(home, registry=home / "registry.db") as registry:
    for number in range(1_000):
        user = SessionFilter(username=f"other{number}@example.org", application="Outlook")
        device = SessionFilter(device=f"LOST-{number}")
        registry.revoke(user if number % 4 else device, note=f"criteria {number}", actor="benchmark")
"""
"""The program that makes a thousand revocations by criteria, in either build."""
NO_BLOB = "secret_hash"
"""The column that JSON cannot carry."""


def rounds_of(rows: int) -> int:
    """How often each side is measured."""
    return 3 if FEW <= rows < MILLION else 1


def log_rows(rows: int) -> Iterator[dict[str, Any]]:
    """Rows as an identity provider writes them."""
    chance, begins = random.Random(rows), datetime(2026, 9, 1, tzinfo=UTC)
    for _ in range(rows):
        session = random.Random(chance.randrange(max(1, rows // ROWS_PER_SESSION)))
        at = begins + timedelta(milliseconds=chance.randrange(DAYS * 86_400_000))
        yield {
            "eventType": "user.session.start",
            "uuid": f"{chance.getrandbits(128):032x}",
            "published": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "session": f"{session.getrandbits(64):016x}",
            "actor": {"alternateId": f"user{session.randrange(max(1, rows // 20))}.name@example.org", "type": "User"},
            "target": [{"displayName": session.choice(["Outlook", "Teams", "ArcGIS Pro"]), "type": "AppInstance"}],
            "client": {
                "device": f"DEV-{session.randrange(65536):04X}",
                "ipAddress": f"10.{chance.randrange(256)}.7.{chance.randrange(255)}",
                "userAgent": {"os": session.choice(["Windows 11", "iOS 19.1", "macOS 15"])},
            },
            "outcome": {"result": "SUCCESS"},
        }


def listing_rows(sessions: int) -> Iterator[dict[str, Any]]:
    """The sessions of a population, with every column but one, and the time of the last use as a text."""
    with closing(sqlite3.connect(kept(sessions).home / "registry.db")) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute("SELECT * FROM sessions"):
            columns = {name: row[name] for name in row.keys() if name != NO_BLOB}  # noqa: SIM118  # a Row has no names else
            yield {**columns, "at": format_instant(row["last_used_at"])}


def export(name: str, rows: int, *, as_list: bool = False) -> Path:
    """A log or a listing as JSON lines, or as a list on one line, made once."""
    path = FOLDER / f"{name}-{rows}.{'json' if as_list else 'jsonl'}"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        made = path.with_suffix(".new")
        with made.open("w") as file:
            for number, row in enumerate(log_rows(rows) if name == "log" else listing_rows(rows)):
                file.write(("[,"[number > 0] if as_list else "") + json.dumps(row) + ("" if as_list else "\n"))
            file.write("]" if as_list else "")
        made.rename(path)
    return path


def used(arguments: Sequence[str | Path], environment: dict[str, str] | None = None) -> float:
    """The seconds of the user and of the system that a process used."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            arguments, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{arguments}: {errors.read().decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def imports(python: str, paths: Sequence[Path], mapping: bytes, *, revocations: bool = False) -> list[float]:
    """Import files into an empty registry one by one, by the commands of the build of a Python; what each import used."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Path(folder)
        environment = {"AUTHCTL_HOME": str(home / "home"), "AUTHCTL_ACTOR": "benchmark"}
        (home / "profiles.yaml").write_bytes(PROFILES)
        (home / "map.yaml").write_bytes(mapping)
        authctl = [python, "-P", "-m", "authctl"]
        used([*authctl, "init", "--profiles", home / "profiles.yaml"], environment)
        if revocations:
            used([python, "-P", "-c", REVOCATIONS, home / "home"], environment)
        return [used([*authctl, "sessions", "import", path, "--map", home / "map.yaml"], environment) for path in paths]


def since(name: str, rows: int, rounds: int) -> None:
    """The first import, that of the same file, and that of the same file with a line more, in turn with an earlier build."""
    path = export(name, rows)
    longer = path.with_suffix(".more.jsonl")
    shutil.copyfile(path, longer)
    with longer.open("a") as file:
        file.write("\n")
    mappings = {sys.executable: b"source: benchmark\n" + MAPPINGS[name], SINCE or "": MAPPINGS[name]}
    ours: list[list[float]] = []
    before: list[list[float]] = []
    for _ in range(rounds):
        for python, into in ((sys.executable, ours), (SINCE or "", before)):
            into.append(imports(python, [path, path, longer], mappings[python], revocations=True))
    longer.unlink()
    limit = {
        f"import of a {name}": "speed >= 2.5",
        f"import of the same {name} again": "speed >= 4",
        f"import of the same {name} again, one line more": "speed >= 4",
    }
    for number, (what, least) in enumerate(limit.items()):
        mine, theirs = ([each[number] for each in side] for side in (ours, before))
        compared(f"Imports, {rows:,} rows", what, mine, theirs, limit=least, against="the earlier build, CPU time")


def beside_sqlite_utils(rows: int, rounds: int) -> None:
    """The listing by both."""
    path = export("listing", rows)
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(rounds):
        ours.append(imports(sys.executable, [path], MAPPINGS["listing"])[0])
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            table = Path(folder) / "table.db"
            make_table(table)
            peer.append(used([SQLITE_UTILS, "insert", table, "sessions", path, "--nl", "--silent"]))
    against = "sqlite-utils insert --nl, the same columns and indexes, CPU time"
    compared(f"Imports, {rows:,} rows", "import of a listing", ours, peer, limit="<= 1.5", against=against)


def make_table(path: Path) -> None:
    """The table of sessions with its indexes, in a file of its own."""
    with empty() as registry, closing(sqlite3.connect(registry._installation.home.registry)) as connection:
        sql = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'sessions' AND sql IS NOT NULL ORDER BY type = 'index'"
        made = [row[0] for row in connection.execute(sql)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in (*made, "ALTER TABLE sessions ADD COLUMN at TEXT"):
            connection.execute(statement)


def memory(rows: int, size_of_list: int) -> None:
    """The memory that a list of so many bytes on one line takes beside the same rows as lines, and ten times as many rows beside so many."""
    of_list = rows * size_of_list // export("log", rows).stat().st_size
    listed = export("log", of_list, as_list=True)
    size = f"{size_of_list // 10**6} MB"
    compare_memory(f"a list of {size} beside lines", listed, export("log", of_list), dry_run=True)
    with wrapped(listed) as document:
        compare_memory(f"a list of {size} in a wrapper beside lines", document, export("log", of_list), dry_run=True)
    compare_memory("ten times the rows", export("log", rows), export("log", rows // 10))


@contextmanager
def wrapped(listed: Path) -> Iterator[Path]:
    """A document that has a list under a name, after another name, on one line."""
    document = listed.with_suffix(WRAPPED)
    with listed.open("rb") as source, document.open("wb") as file:
        file.write(b'{"total": 1, "rows": ')
        shutil.copyfileobj(source, file)
        file.write(b"}")
    try:
        yield document
    finally:
        document.unlink()


def compare_memory(what: str, path: Path, reference: Path, *, dry_run: bool = False) -> None:
    """The memory that the import of one file takes beside that of another."""
    ours, theirs = (peak(one_import, str(one), dry_run) for one in (path, reference))
    cells = {"what": what, "authctl": f"{ours:.0f} MiB", "reference": f"{theirs:.0f} MiB"}
    fact("Memory of an import", {**cells, "ratio": f"{ours / theirs:.2f}", "limit": "<= 2"})


def one_import(path: str, dry_run: bool) -> None:
    """Import a log."""
    mapping = b"rows: rows.*\n" * path.endswith(WRAPPED) + MAPPINGS["log"]
    with empty() as registry, Path(path).open("rb") as file:
        registry.imports.run(file, read_mapping(mapping, "map.yaml"), dry_run=dry_run, actor="benchmark")


@contextmanager
def empty() -> Iterator[Registry]:
    """A registry with no sessions."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        home = Path(folder) / "home"
        create(find_home(home, home / "registry.db"), profiles.read(PROFILES, "p"), PROFILES, actor="benchmark")
        with Registry.open(home, registry=home / "registry.db") as registry:
            yield registry


def beside_bare_inserts(rows: int) -> None:
    """A listing through a mapping; the references insert finished rows into the same tables, indexes kept or built after, or leave the search index out."""
    path, mapping = export("listing", rows), read_mapping(MAPPINGS["listing"], "map.yaml")
    times: dict[str, list[float]] = {"ours": [], "kept": [], "after": [], "unsearchable": []}

    def imported(registry: Registry) -> None:
        with path.open("rb") as file:
            registry.imports.run(file, mapping, actor="benchmark")

    for _ in range(rounds_of(rows)):
        with empty() as registry, patch.object(search_index, "extend", return_value=0):
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
                operation: Callable[[], None] = partial(inserted, path_of, columns, finished, after=name == "after")
                times[name].append(seconds(operation))
    references = {
        "kept": ("<= 2", "executemany of finished rows, indexes kept"),
        "after": ("<= 2", "executemany of finished rows, indexes built after"),
        "unsearchable": ("<= 1.8", "the same without writing the search index"),
    }
    for name, (limit, against) in references.items():
        compared(f"Imports, {rows:,} rows", "import", times["ours"], times[name], limit=limit, against=against)


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


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    taken = rounds_of(size)
    beside_bare_inserts(size)
    if SINCE:
        for kind in MAPPINGS:
            since(kind, size, taken)
    if SQLITE_UTILS.exists():
        beside_sqlite_utils(size, taken)
    memory(size, 300 * min(size, MILLION))
