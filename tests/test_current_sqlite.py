"""The SQLite library of a process: one module chooses it, everything uses it, and two processes may have different ones.

`make current-sqlite` runs this, and much else, where pysqlite3 is installed.
"""

import ast
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter
from authctl.instants import DAY
from authctl.store.sqlite import health
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl
from tests.test_store_contract import NOW, new

ROOT = Path(__file__).parents[1]
IS_INSTALLED = importlib.util.find_spec("pysqlite3") is not None
needs_both = pytest.mark.skipif(not IS_INSTALLED, reason="needs pysqlite3: make current-sqlite")
OF_PYTHON = "import sys; sys.modules['pysqlite3'] = None\n"
"""The beginning of a program in which pysqlite3 cannot be imported."""

FOREIGN = {"benchmarks/authlib_peer.py", "benchmarks/peer_sides.py"}
"""Programs that run in an environment of their own."""

SNOWMAN = "\N{SNOWMAN}"
FTS_TABLES = {"sessions_found", *(f"sessions_found_{part}" for part in ("data", "idx", "config"))}
LOADED = "print(*sorted(one for one in sys.modules if one in ('_sqlite3', 'pysqlite3._sqlite3')), file=sys.stderr)"

WRITER = """
from authctl import Registry, SessionFilter
from authctl.store.sqlite.library import sqlite3
print(sqlite3.__name__, flush=True)
with Registry.open(sys.argv[1]) as registry:
    for number in range(60):
        token = registry.issue(username=f"other{number}", application="Outlook", device=f"OTHER-{number}").access_token
        registry.verify(token)
        if number % 3 == 0:
            registry.revoke(SessionFilter(username=f"other{number}"), note="by the other", actor="other")
        list(registry.sessions(SessionFilter(search="own-")))
"""


def imported(path: Path) -> set[str]:
    """The libraries that a file imports, programs in its texts included."""
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_nothing_else_imports_an_sqlite_library():
    """Neither the tests nor the benchmarks: they open files that authctl has open in the same process."""
    paths = [path for folder in ("authctl", "tests", "benchmarks", "docs") for path in (ROOT / folder).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix() for path in paths if imported(path) & {"sqlite3", "pysqlite3"}}
    assert found - FOREIGN == {"authctl/store/sqlite/library.py"}


def test_sqlite_utils_takes_the_same_library():
    """sqlite-utils chooses by itself; both have to agree."""
    from sqlite_utils.utils import sqlite3 as chosen

    assert chosen.Connection is sqlite3.Connection


@pytest.mark.parametrize("prelude", ["import sys\n", OF_PYTHON], ids=["installed", "of Python"])
@pytest.mark.parametrize(
    "arguments", [("sessions", "list"), ("doctor",), ("sessions", "import", "rows.jsonl", "--map", "map.yaml")]
)
def test_a_command_loads_one_library(
    installed: Authctl, home: Path, tmp_path: Path, prelude: str, arguments: tuple[str, ...]
):
    """A process with two could open one file with both."""
    (tmp_path / "rows.jsonl").write_text('{"u": "alice", "t": "2026-03-01T10:00:00Z"}\n')
    (tmp_path / "map.yaml").write_text("fields: {username: u, at: t}\nkey: [username]\n")
    program = f"{prelude}import atexit\natexit.register(lambda: {LOADED})\nfrom authctl.cli.app import run\nrun(sys.argv[1:])\n"
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=os.environ | {"AUTHCTL_HOME": str(home), "AUTHCTL_ACTOR": "tester"},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = "pysqlite3._sqlite3" if IS_INSTALLED and prelude != OF_PYTHON else "_sqlite3"
    assert ran.stderr.splitlines()[-1] == expected, ran.stderr


def test_a_pysqlite3_that_is_too_old_is_left_alone(tmp_path: Path):
    """Without the codes of errors, a busy registry could not be told from a damaged one."""
    (tmp_path / "pysqlite3").mkdir()
    (tmp_path / "pysqlite3" / "__init__.py").touch()
    (tmp_path / "pysqlite3" / "dbapi2.py").write_text("from sqlite3 import connect, Error, OperationalError\n")
    program = "from authctl.store.sqlite.library import sqlite3; print(sqlite3.__name__)"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "sqlite3\n"


def test_doctor_names_the_library_and_the_remedy(registry: Registry):
    """The extra is the next command where the library has the defect; elsewhere nothing is to be done."""
    found = health.engine()
    assert sqlite3.sqlite_version in found.found
    assert ("pysqlite3" in found.found) == (sqlite3.__name__ == "pysqlite3.dbapi2")
    assert (found.hint == "in the environment of authctl: pip install 'authctl[sqlite]'") == (not found.ok)
    assert found.ok or sqlite3.__name__ == "sqlite3"


@needs_both
def test_two_processes_with_different_libraries_share_a_registry(installed: Authctl, home: Path):
    """Both write, search, revoke and clean up at once; afterwards everything is there once, and the file is whole."""
    registry = Registry.open(home)  # by the clock of the machine, as the other one
    command = [sys.executable, "-c", OF_PYTHON + WRITER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "sqlite3\n"
        for number in range(60):
            registry.verify(
                registry.issue(username=f"own{number}", application="Teams", device=f"OWN-{number}").access_token
            )
            if number % 2:
                registry.revoke(SessionFilter(username=f"own{number}"), note="by this one", actor="tester")
            if number % 20 == 0:
                registry.cleanup.run()
        _, errors = other.communicate(timeout=120)
    assert (other.returncode, errors) == (0, "")
    registry.audit.verify()
    registry.close()
    for prelude in ("import sys\n", OF_PYTHON):
        assert counted(prelude, home) == "120 50 60 60 ok\n"


def counted(prelude: str, home: Path) -> str:
    """The numbers of sessions, of revoked ones, and of those that two searches find, and SQLite's check, by one of the libraries."""
    program = f"""{prelude}
from authctl import Registry, SessionFilter
from authctl.store.sqlite.library import sqlite3
with Registry.open(sys.argv[1]) as registry:
    filters = {{}}, {{"status": "revoked"}}, {{"search": "own-"}}, {{"search": "other-"}}
    print(*(registry.count(SessionFilter(**one)) for one in filters), end=" ")
print(sqlite3.connect(sys.argv[1] + "/registry.db").execute("PRAGMA integrity_check").fetchone()[0])
"""
    return subprocess.run([sys.executable, "-c", program, str(home)], capture_output=True, text=True, check=True).stdout


def test_texts_of_removed_sessions_are_not_in_the_file(installed: Authctl, home: Path, aged: Callable[[], None]):
    """What clean-up removed cannot be read in the file any more, whichever library wrote it; the audit log keeps the users."""
    installed("sessions", "list")
    with Registry.open(home) as registry:
        for number in range(400):
            registry.issue(username=f"vanishing{number}", application="A", device=f"GONE-{number}" * 10)
        registry.issue(username="staying", application="A")
    assert remains(home) >= {b"GONE-", b"staying"}
    aged()
    assert "removed 400" in (ran := installed("cleanup")).err, ran.err
    assert remains(home) == {b"staying"}


def test_trigrams_of_many_removed_sessions_are_not_in_the_file(registry: Registry, home: Path):
    """Where many go, the search index is made anew: the old one is overwritten, and every search in between is complete."""
    old = NOW - 2 * 366 * DAY
    with registry._installation.store.change() as tx:
        for number in range(4_410):
            gone = {"used_at": old, "device": SNOWMAN * 9}
            tx.add_session(new(f"user{number}", **(gone if number % 21 else {"device": "AL-PC"})))
        while tx.extend_search_index():
            pass
    assert SNOWMAN.encode() in content(home)
    counts = []

    def search(*_: int) -> None:
        counts.append(registry.count(SessionFilter(search="al-pc")))

    assert registry.cleanup.run(accept_clock_jump=True, progress=search).removed == 4_200
    search()
    assert set(counts) == {210}
    registry.close()
    assert SNOWMAN.encode() not in content(home)
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
        assert {name for name in names if name.startswith("sessions_found")} == FTS_TABLES
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT sessions FROM search_index").fetchone() == (4_390,)  # the last one that stays


@pytest.fixture
def aged(home: Path) -> Callable[[], None]:
    """A function that lets the sessions of some users end two years ago."""

    def age() -> None:
        two_years = 2 * 366 * 86_400_000_000
        columns = ("created_at", "last_used_at", "slid_at", "expires_at", "idle_expires_at", "absolute_expires_at")
        with closing(sqlite3.connect(home / "registry.db")) as connection, connection:
            changes = ", ".join(f"{column} = {column} - {two_years}" for column in columns)
            connection.execute(f"UPDATE sessions SET {changes} WHERE username LIKE 'vanishing%'")

    return age


def remains(home: Path) -> set[bytes]:
    """Which of the texts are in the files of the registry."""
    return {text for text in (b"GONE-", b"staying") if text in content(home)}


def content(home: Path) -> bytes:
    """What is in the files of the registry, its log included."""
    return b"".join(path.read_bytes() for path in home.glob("registry.db*"))
