"""What programs that pip can install take for the same job, in turn with authctl, on the same machine and in one run.

    make peers                               # once: .venv-peers, which holds them
    python benchmarks/peers.py [SESSIONS]    # 20,000 unless said otherwise; 1,000,000 in full

The peers run with .venv-peers, by `peer_sides.py` and `peer_settings.py`, which says how Django is set up.

- verify: one token among so many sessions, in a process that is up and connected. `Registry.verify` against
  django-rest-knox's `TokenAuthentication.authenticate_credentials`, django-oauth-toolkit's
  `OAuth2Validator.validate_bearer_token`, a load from Django's session store, and PyJWT's `decode` (HS256), which looks nothing up.
- start: a whole process that prints ten sessions into a pipe: `authctl sessions list --limit 10` against `sqlite-utils rows --limit 10`
  and Django's `shell -c` with one query; a Typer application that does nothing stands beside them.
- cleanup: a whole process that removes half of the sessions: `authctl cleanup` (batches, search index, audit) against Django's
  `clearsessions` and django-oauth-toolkit's `cleartokens`, whose sessions are an access and a refresh token each.
- stream: every session as JSON lines into a file, the same fields: `authctl sessions list -o ndjson` against `sqlite-utils rows --nl`.
- import: that file into an empty registry, through a mapping, with its indexes and its search, against `sqlite-utils insert --nl` into
  one table with a primary key.

A step that takes over ten minutes is left out, and a row that does gets fewer rounds than three.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import typer
from measuring import compared, seconds
from population import Population, populate

from authctl import TokenInvalid
from authctl.instants import DAY
from authctl.store.sqlite.library import sqlite3

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin"
OURS = Path(sys.executable).parent / "authctl"
TABLE = "Peers"
LIMIT = 600
TOKENS = 300
MAPPING = """\
fields:
  username: username
  application: application
  application_version: application_version
  platform: platform
  device: device
  ip: ip
  at: last_used_at
key: [id]
"""
MINIMAL = """\
import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main() -> None:
    typer.echo("nothing")


app()
"""
LIST_TEN = (
    "from django.contrib.sessions.models import Session\n"
    "for session in Session.objects.order_by('-expire_date')[:10]: print(session.session_key, session.expire_date)"
)

Timed = Callable[[], float]


def run(argv: Sequence[str | Path], environment: dict[str, str], into: Path | None = None) -> float:
    """How long a process takes; what it prints goes into a file or a pipe."""
    with (into or Path(os.devnull)).open("wb") as file:
        began = time.perf_counter()
        done = subprocess.run(
            argv,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=file if into else subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
            timeout=LIMIT,
        )
        took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{argv}: {done.stderr.decode(errors='replace')}")
    return took


def in_turn(ours: Timed, peer: Timed, rounds: int) -> tuple[list[float], list[float]]:
    """Both in turn: a round to warm up, then as many as asked for, or as fit into ten minutes."""
    began = time.monotonic()
    pairs = [(ours(), peer())]
    while len(pairs) <= rounds and time.monotonic() - began < LIMIT:
        pairs.append((ours(), peer()))
    counted = pairs[1:] or pairs
    return [a for a, _ in counted], [b for _, b in counted]


def rows_in(database: Path, table: str) -> int:
    """How many rows a table has."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


class Bench:
    """One run: a folder with everybody's databases, and who is in it."""

    def __init__(self, folder: Path, sessions: int) -> None:
        self.folder = folder
        self.sessions = sessions
        self.rounds = 3
        said = subprocess.run(
            [PEERS / "python", HERE / "peer_sides.py", "versions"], stdout=subprocess.PIPE, check=True
        ).stdout
        self.versions: dict[str, str] = json.loads(said)
        self.home = folder / "authctl"
        self.listing = folder / "listing.ndjson"
        self.table = folder / "sqlite-utils.db"
        self.population: Population | None = None

    def peer(self, name: str, database: Path | None = None) -> dict[str, str]:
        """The environment of a Django peer."""
        return {
            "AUTHCTL_PEER": name,
            "AUTHCTL_PEER_DATABASE": str(database or self.folder / f"{name}.db"),
            "DJANGO_SETTINGS_MODULE": "peer_settings",
            "PYTHONPATH": str(HERE),
        }

    def authctl(self, *arguments: str | Path, home: Path | None = None, into: Path | None = None) -> float:
        """A run of the real command."""
        home = home or self.home
        environment = {
            "AUTHCTL_HOME": str(home),
            "AUTHCTL_REGISTRY": str(home / "registry.db"),
            "AUTHCTL_ACTOR": "benchmark",
        }
        return run([OURS, *arguments], environment, into)

    def sqlite_utils(self, *arguments: str | Path, into: Path | None = None) -> float:
        """A run of sqlite-utils."""
        return run([PEERS / "sqlite-utils", *arguments], {}, into)

    def django(self, name: str, *arguments: str, database: Path | None = None) -> float:
        """A run of Django's management command, which is what manage.py does, too."""
        return run([PEERS / "python", "-m", "django", *arguments], self.peer(name, database))

    def fill(self) -> list[str]:
        """Make the databases, and say which peers' could not be made in time."""
        self.home.mkdir()
        self.population = populate(self.home, self.sessions)
        self.authctl("sessions", "list", "--kind", "all", "-o", "ndjson", into=self.listing)
        self.sqlite_utils("create-database", self.table, "--enable-wal")
        self.sqlite_utils("insert", self.table, "sessions", self.listing, "--nl", "--pk", "id", "--silent")
        late = []
        for name in ("django", "knox", "oauth"):
            try:
                run([PEERS / "python", HERE / "peer_sides.py", "fill", name, str(self.sessions)], self.peer(name))
            except subprocess.TimeoutExpired:
                late.append(name)
        return late

    def row(
        self, name: str, package: str, ours: Timed, peer: Timed, rounds: int, each: int = 1, more: str = ""
    ) -> None:
        """One line of the table."""
        try:
            one, other = in_turn(ours, peer, rounds)
        except subprocess.TimeoutExpired:
            print(f"\n{name} at {self.sessions:,}: left out, it takes longer than {LIMIT // 60} minutes\n")
            return
        against = (
            f"{package} {self.versions.get(package) or typer.__version__}; {more or f'{self.sessions:,} sessions'}"
        )
        compared(TABLE, name, [a / each for a in one], [b / each for b in other], against=against)


@contextmanager
def verifier(bench: Bench, peer: str) -> Iterator[Timed]:
    """A peer's process that does a round whenever it is asked to."""
    argv: list[str | Path] = [
        PEERS / "python",
        HERE / "peer_sides.py",
        "verify",
        peer,
        str(bench.sessions),
        str(TOKENS),
    ]
    environment = os.environ | bench.peer(peer)
    with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        answers, asked = child.stdout, child.stdin
        if answers.readline() != "ready\n":
            raise SystemExit(f"{peer} cannot verify")

        def round_() -> float:
            asked.write("\n")
            asked.flush()
            return float(answers.readline())

        yield round_
        asked.close()


def good_tokens(population: Population) -> list[str]:
    """Access tokens of sessions from all over the registry that are active."""
    tokens: list[str] = []
    with population.open() as registry:
        step = max(1, population.sessions // (2 * TOKENS))
        for number in range(1, population.sessions + 1, step):
            token = population.token(number)
            try:
                registry.verify(token)
            except TokenInvalid:
                continue
            tokens.append(token)
    return tokens[:TOKENS]


def verify(bench: Bench, late: Sequence[str]) -> None:
    """One token among so many."""
    assert bench.population
    tokens = good_tokens(bench.population)
    each = min(len(tokens), TOKENS)
    peers = {"knox": "django-rest-knox", "oauth": "django-oauth-toolkit", "django": "django", "jwt": "pyjwt"}
    with bench.population.open() as registry:

        def ours() -> float:
            return seconds(lambda: [registry.verify(token) for token in tokens])

        for peer, package in peers.items():
            if peer in late:
                continue
            name = {"django": "Django's session store", "jwt": "PyJWT, no look-up"}.get(peer, package)
            with verifier(bench, peer) as theirs:
                bench.row(f"verify: {name}", package, ours, theirs, 9, each)


def start(bench: Bench, late: Sequence[str]) -> None:
    """A whole process."""
    minimal = bench.folder / "minimal.py"
    minimal.write_text(MINIMAL)
    ours = partial(bench.authctl, "sessions", "list", "--limit", "10")
    bench.row(
        "start: a minimal Typer application",
        "typer",
        ours,
        lambda: run([sys.executable, minimal], {}),
        9,
        more="no job",
    )
    rows = partial(bench.sqlite_utils, "rows", bench.table, "sessions", "--limit", "10")
    bench.row("start: sqlite-utils rows", "sqlite-utils", ours, rows, 9)
    if "django" not in late:
        shell = partial(bench.django, "django", "shell", "--no-imports", "-c", LIST_TEN)
        bench.row("start: Django, one query", "django", ours, shell, 9)


def stream(bench: Bench) -> None:
    """Every session as JSON lines."""
    into = bench.folder / "streamed.ndjson"
    ours = partial(bench.authctl, "sessions", "list", "--kind", "all", "-o", "ndjson", into=into)
    peer = partial(bench.sqlite_utils, "rows", bench.table, "sessions", "--nl", into=into)
    bench.row("stream: sqlite-utils rows --nl", "sqlite-utils", ours, peer, bench.rounds)
    with into.open("rb") as file:
        assert sum(1 for _ in file) == bench.sessions


def imports(bench: Bench) -> None:
    """Every session of a file."""
    mapping, home, table = bench.folder / "map.yaml", bench.folder / "imported", bench.folder / "imported.db"
    mapping.write_text(MAPPING)

    def ours() -> float:
        shutil.rmtree(home, ignore_errors=True)
        bench.authctl("init", home=home)
        took = bench.authctl("sessions", "import", bench.listing, "--map", mapping, home=home)
        assert rows_in(home / "registry.db", "sessions") == bench.sessions
        return took

    def peer() -> float:
        for file in bench.folder.glob("imported.db*"):
            file.unlink()
        bench.sqlite_utils("create-database", table, "--enable-wal")
        took = bench.sqlite_utils("insert", table, "sessions", bench.listing, "--nl", "--pk", "id", "--silent")
        assert rows_in(table, "sessions") == bench.sessions
        return took

    bench.row("import: sqlite-utils insert --nl", "sqlite-utils", ours, peer, bench.rounds)


def age(registry: Path) -> None:
    """Let every second session have ended over a year ago."""
    moved = ("created_at", "last_used_at", "slid_at", "use_due_at", "idle_expires_at", "expires_at")
    earlier = ", ".join(f"{name} = {name} - {400 * DAY}" for name in moved)
    sql = f"UPDATE sessions SET {earlier}, revocation_id = (SELECT id FROM revocations WHERE at IS NULL) WHERE number % 2 = 0"
    with closing(sqlite3.connect(registry)) as connection, connection:
        connection.execute(sql)


def cleanup(bench: Bench, late: Sequence[str]) -> None:
    """Half of all sessions."""
    age(bench.home / "registry.db")
    left = bench.sessions - bench.sessions // 2
    copy = bench.folder / "copy"

    def ours() -> float:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(bench.home, copy)
        took = bench.authctl("cleanup", home=copy)
        assert rows_in(copy / "registry.db", "sessions") == left
        return took

    def peer(name: str, command: str, table: str) -> float:
        database = bench.folder / "copy.db"
        for file in bench.folder.glob("copy.db*"):
            file.unlink()
        for file in bench.folder.glob(f"{name}.db*"):
            shutil.copy(file, bench.folder / file.name.replace(name, "copy", 1))
        took = bench.django(name, command, database=database)
        assert rows_in(database, table) == left
        return took

    for name, package, command, table in (
        ("django", "django", "clearsessions", "django_session"),
        ("oauth", "django-oauth-toolkit", "cleartokens", "oauth2_provider_accesstoken"),
    ):
        if name not in late:
            title = f"cleanup of half: {'Django' if name == 'django' else package} {command}"
            bench.row(title, package, ours, partial(peer, name, command, table), bench.rounds)


def main(sessions: int) -> None:
    """Every row of the table."""
    if not (PEERS / "sqlite-utils").exists():
        raise SystemExit("the peers are not there: make peers")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), sessions)
        print("Peers: " + ", ".join(f"{name} {version}" for name, version in bench.versions.items()))
        late = bench.fill()
        for name in late:
            print(f"{name} at {sessions:,}: left out, making its database takes longer than {LIMIT // 60} minutes")
        verify(bench, late)
        start(bench, late)
        stream(bench)
        imports(bench)
        cleanup(bench, late)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
