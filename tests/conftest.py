"""What tests share: an installation in a temporary folder, a clock to turn, and the real command line.

Everything goes through the real store and the real `main`. Only the tables of a new registry are copied (`tables_made_once`).
"""

import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unicodedata import category

import pytest
from hypothesis import settings
from typer.main import get_command

from authctl import Registry, profiles
from authctl.cli.app import app, run
from authctl.registry.tokens import reader
from authctl.registry_locations import Location
from authctl.store.sqlite.library import sqlite3
from tests import places, succeeded_commands
from tests.installations import make_installation
from tests.left_out import why_left_out
from tests.new_places import installed_at, new_place  # noqa: F401  # fixtures, for every test
from tests.postgres_homes import home_on_server  # noqa: F401  # a fixture, for every test
from tests.postgres_server import postgres_server, postgres_url  # noqa: F401  # fixtures, for every test
from tests.prepared_databases import prepared_database, prepared_url  # noqa: F401  # likewise
from tests.stores import make_store, store  # noqa: F401  # likewise
from tests.two_hosts import hosts  # noqa: F401  # likewise

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EXPORTS = Path(os.environ.get("AUTHCTL_TEST_EXPORTS") or Path(__file__).parents[2] / "shared" / "data")
"""Real exports that do not come with the project; tests of them skip where they are absent."""

# on a server most examples make a database of their own, which takes a second
settings.register_profile("ci", max_examples=10 if places.ON_POSTGRES else 60, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("AUTHCTL_TEST_PROFILE", "ci"))

HOSTILE = [
    "\x1b[5;41mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\rb",
    "a\bb",
    "a\nb",
    "a\tb",
    "a\x7fb",
    "\u202ereversed",
    "\u2066isolated\u2069",
    "zero\u200bwidth",
    "\ufeffbom",
    "a\u2028b",
    "tag\U000e0041",
    "filler\u3164",
    "[bold]markup[/bold]",
    ":smile:",
    "{a} %s %(b)s",
]


def unseen(text: str) -> list[str]:
    """What a terminal should never get from us: controls but newline and tab, format characters, other line ends."""
    return [c for c in text if c not in "\n\t" and category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs")]


def every_command() -> dict[tuple[str, ...], list[Any]]:
    """Every command that does something, by its path, with the options and arguments it takes."""
    root = get_command(app)
    return dict(_leaves(root, root.make_context("authctl", ["--help"], resilient_parsing=True), ()))


def _leaves(command: Any, context: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    if not hasattr(command, "list_commands"):
        yield path, command.params
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        yield from _leaves(child, type(context)(child, info_name=name, parent=context), (*path, name))


ENDLESS = {("serve",)}
"""The commands that run until a signal ends them: a test that runs every command leaves them out."""


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time it stands at."""
        return self.now

    def forward(self, **lengths: float) -> None:
        """Let time pass: `days=3`, `hours=1`, and so on."""
        self.now += timedelta(**lengths)


@pytest.fixture
def clock() -> Clock:
    """The time that the registry under test goes by."""
    return Clock()


PlaceOf = Callable[[Path], Location]


@pytest.fixture(scope="session", autouse=True)
def server_of_registries(request: pytest.FixtureRequest) -> Iterator[None]:
    """The server of the registries, where AUTHCTL_TEST_STORE=postgres asks for one."""
    if not places.ON_POSTGRES:
        yield
        return
    with places.on_server(*map(request.getfixturevalue, ("postgres_server", "prepared_database"))):
        yield


@pytest.fixture
def place_of() -> Iterator[PlaceOf]:
    """The registry of a home, the same each time."""
    made: dict[Path, Location] = {}

    def place(home: Path) -> Location:
        if home not in made:
            made[home] = places.place_in(home)
        return made[home]

    yield place
    for location in made.values():
        places.remove(location)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out on PostgreSQL, visibly, the tests of `tests/left_out.py`, and those that look into the file of a registry."""
    for item in items if places.ON_POSTGRES else ():
        reason = why_left_out(item.path)
        if reason is None and item.get_closest_marker("in_a_file"):
            reason = "looks into the file of a registry"
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Fail a run that was asked for every command, and in which one never succeeded."""
    if succeeded_commands.IS_ASKED and (missing := succeeded_commands.missing(every_command())):
        terminalreporter.write_line(f"commands that never succeeded: {', '.join(missing)}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The exit code of such a run."""
    if succeeded_commands.IS_ASKED and session.exitstatus == 0 and succeeded_commands.missing(every_command()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


Install = Callable[..., Registry]


@pytest.fixture
def install(tmp_path: Path, clock: Clock, place_of: PlaceOf) -> Iterator[Install]:
    """Make an installation with the given profiles text, and open it."""
    opened: list[Registry] = []

    def make(text: str = profiles.DEFAULT_FILE, folder: str = "home") -> Registry:
        home = tmp_path / folder
        place = place_of(home)
        if places.ON_POSTGRES:  # for whatever opens the home alone, also in other processes
            environment.setenv("AUTHCTL_REGISTRY", str(place))
        make_installation(home, text, place, clock)
        registry = Registry.open(home, registry=place, clock=clock)
        opened.append(registry)
        return registry

    with pytest.MonkeyPatch.context() as environment:  # of its own: a test may undo what it patched
        yield make
    for registry in opened:
        registry.close()


@pytest.fixture(scope="session", autouse=True)
def tables_made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tables of a new registry are made by the migrations once in this process, and copied for every other test.

    That takes a twentieth of a second each time, which is minutes in all. Commands in processes of their own make theirs.
    """
    from authctl.store.sqlite import creation

    made = tmp_path_factory.mktemp("tables") / "registry.db"
    creation.make_tables(made, "aaaaaaaaaaaaaaaa", "{}")
    tables = made.read_bytes()

    def copy_tables(draft: Path, registry_id: str, document: str) -> None:
        draft.write_bytes(tables)
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("UPDATE registry SET id = ?, profiles = ?", (registry_id, document))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(creation, "make_tables", copy_tables)
        yield


@pytest.fixture
def registry(install: Install) -> Registry:
    """A registry with the default profiles and a clock that stands still."""
    return install()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where `registry` and `authctl` keep their installation."""
    return tmp_path / "home"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


Authctl = Callable[..., Ran]


@pytest.fixture
def authctl(home: Path, monkeypatch: pytest.MonkeyPatch, place_of: PlaceOf) -> Authctl:
    """Run the real command line in this process, on `home`, with pipes for standard streams."""
    for variable in ("AUTHCTL_OUTPUT", "AUTHCTL_REGISTRY", "AUTHCTL_ACTOR", "SUDO_USER", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AUTHCTL_HOME", str(home))
    monkeypatch.setenv("LOGNAME", "tester")
    if places.ON_POSTGRES:
        monkeypatch.setenv("AUTHCTL_REGISTRY", str(place_of(home)))

    def command(*arguments: str, stdin: str | bytes = "") -> Ran:
        raw = stdin if isinstance(stdin, bytes) else stdin.encode()
        streams = {
            "stdin": io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8", errors="surrogateescape"),
            "stdout": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace"),
            "stderr": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace"),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            code = run(arguments)
        succeeded_commands.remember(arguments, code)
        said = []
        for name in ("stdout", "stderr"):
            streams[name].flush()
            said.append(streams[name].buffer.getvalue().decode())  # type: ignore[attr-defined]
        return Ran(code, *said)

    return command


PROGRAM = [sys.executable, "-P", "-m", "authctl"]


@dataclass(frozen=True)
class Screen:
    """What a person saw, and how it ended."""

    code: int
    text: str


OnTerminal = Callable[..., Screen]


@pytest.fixture
def on_terminal(home: Path, place_of: PlaceOf) -> OnTerminal:
    """Run the command on a pseudo-terminal and type the answers, each when something was asked."""

    def run(
        *arguments: str, answers: tuple[str, ...] = (), columns: int = 80, lines: int = 0, **variables: str
    ) -> Screen:
        controller, terminal = pty.openpty()
        if lines:  # else the height is unknown
            termios.tcsetwinsize(terminal, (lines, columns))
        environment = {
            "PATH": os.environ["PATH"],
            "AUTHCTL_HOME": str(home),
            "TERM": "xterm-256color",
            "COLUMNS": str(columns),
            "LANG": "C.UTF-8",
            **({"AUTHCTL_REGISTRY": str(place_of(home))} if places.ON_POSTGRES else {}),
            **variables,
        }
        process = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,  # else a password would be asked for on the terminal of whoever runs the tests
        )
        os.close(terminal)
        seen = b""
        waiting = list(answers)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not select.select([controller], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
            if waiting and seen.rstrip(b"\r\n").endswith((b": ", b"] ", b":", b"]")) and not seen.endswith(b"\n"):
                os.write(controller, waiting.pop(0).encode() + b"\n")
        os.close(controller)
        code = process.wait(10)
        succeeded_commands.remember(arguments, code)
        return Screen(code, seen.decode().replace("\r\n", "\n"))

    return run


@pytest.fixture
def installed(authctl: Authctl) -> Authctl:
    """The command line on an installation that `authctl init` made."""
    assert authctl("init", "-q").code == 0
    return authctl


@pytest.fixture
def ring_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key ring's file is looked at with each token; else a hundredth of a second may pass."""
    monkeypatch.setattr(reader, "UNCHECKED_SECONDS", 0)


Start = Callable[..., subprocess.Popen]


@pytest.fixture
def start(home: Path, monkeypatch: pytest.MonkeyPatch, place_of: PlaceOf) -> Iterator[Start]:
    """Start `python ARGUMENT...` with pipes and `AUTHCTL_HOME`; whatever still runs is ended with the test."""
    for variable in ("AUTHCTL_OUTPUT", "AUTHCTL_REGISTRY", "AUTHCTL_ACTOR", "SUDO_USER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AUTHCTL_HOME", str(home))
    monkeypatch.setenv("LOGNAME", "tester")
    if places.ON_POSTGRES:
        monkeypatch.setenv("AUTHCTL_REGISTRY", str(place_of(home)))
    started: list[subprocess.Popen] = []

    def one(*arguments: str, **options: Any) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([sys.executable, "-P", *arguments], text=True, **pipes)
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()
