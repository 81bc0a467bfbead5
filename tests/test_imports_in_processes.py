"""Imports in real processes: two at once, one beside a revocation, and imports and undos that are killed and run again."""

import json
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry, Session
from authctl.instants import HOUR, format_instant
from tests import places
from tests.conftest import Authctl, OnTerminal, Start
from tests.crash import constants
from tests.storm import microseconds

pytestmark = pytest.mark.slow

MAP = """
source: hub
fields: {username: user, application: {value: Hub}, created_at: created, last_used_at: used}
key: [username]
"""
SMALL_BATCHES = (
    constants("authctl.registry.imports.register", _KEYS_PER_BATCH=10, _ENDS_PER_BATCH=10)
    + constants("authctl.registry.imports.undo", _FIRST_BATCH=10, _LARGEST_BATCH=10, _LOCK_SECONDS=60)
    + "import authctl.registry.imports.register as r, authctl.registry.imports.undo as u\n"
)
KILLED = (
    "import os, signal\n"
    "left = [%d]\n"
    "was = %s\n"
    "def kill(*given, **named):\n"
    "    done = was(*given, **named)\n"
    "    left[0] -= 1\n"
    "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
    "    return done\n"
    "%s = kill\n"
)
STORE = "postgres.change import PostgresChange" if places.ON_POSTGRES else "sqlite.change import SqliteChange"
WRITER = (
    f"from authctl.store.{STORE} as w\n"
    "from authctl.store.nouns.imports import ImportsWriter as imports\n"
    "from authctl.store.nouns.import_journal import ImportJournalWriter as journal\n"
    "from authctl.store.nouns.import_undo import ImportUndoWriter as undo\n"
)
"""The classes of a change: a noun that few changes write is found in its own class."""

RUN = "from authctl.__main__ import main\nmain()"
END_OF_INPUT = "\x04"
PATIENCE = 60
NOTE = "lost device"


class Exports:
    """A folder of exports, with times in hours before now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._now = microseconds() - HOUR
        (folder / "map.yaml").write_text(MAP)

    def at(self, hours_ago: float) -> str:
        """The instant so many hours ago."""
        return format_instant(self._now - round(hours_ago * HOUR))

    def command(self, name: str, users: Iterable[int], used: float, *options: str) -> list[str]:
        """The command that imports a session of each of these users."""
        path = self._folder / name
        times = {"created": self.at(40), "used": self.at(used)}
        path.write_text("".join(json.dumps({"user": f"user{number}", **times}) + "\n" for number in users))
        return ["sessions", "import", str(path), "--map", str(self._folder / "map.yaml"), *options]

    def complete(self, name: str, users: Iterable[int], used: float, taken: float) -> list[str]:
        """The command that imports a complete listing."""
        options = ("--complete", "--yes", "--max-affected", "99", "--taken-at", self.at(taken))
        return self.command(name, users, used, *options)


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    """A folder of exports."""
    return Exports(tmp_path)


@pytest.fixture
def at_once(start: Start) -> Callable[..., None]:
    """Runs commands at the same time, in small batches."""

    def run(*commands: list[str]) -> None:
        processes = [start("-c", SMALL_BATCHES + RUN, *command) for command in commands]
        for process in processes:
            out, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, (out, err)

    return run


def sessions(home: Path) -> list[Session]:
    """All sessions by user."""
    with Registry.open(home, registry=places.place_in(home)) as registry:
        assert registry.audit.verify().seq
        return sorted(registry.sessions(), key=lambda one: (int(one.username[4:]), one.created_at))


def in_short(home: Path) -> list[tuple[Any, ...]]:
    """All sessions, without what differs between two runs."""
    return [
        (one.username, one.source, one.status.value, one.created_at, one.last_used_at, one.ended_at, one.ended_by, one.note)
        for one in sessions(home)
    ]  # fmt: skip


def test_two_imports_at_once(installed: Authctl, home: Path, exports: Exports, at_once: Callable[..., None]):
    """Each user has one session, with the latest use of both files."""
    at_once(exports.command("a", range(200), 30), exports.command("b", range(100, 300), 20))
    found = sessions(home)
    assert [one.username for one in found] == [f"user{number}" for number in range(300)]
    assert [format_instant(one.last_used_at) for one in found] == [exports.at(30)] * 100 + [exports.at(20)] * 200


def test_two_complete_listings_at_once(installed: Authctl, home: Path, exports: Exports, at_once: Callable[..., None]):
    """Sessions of the later one are active, and sessions that it lacks have ended."""
    assert installed(*exports.command("all", range(100), 30)).code == 0
    earlier = exports.complete("earlier", [*range(70), *range(100, 130)], 30, 20)
    later = exports.complete("later", range(30, 100), 30, 10)
    at_once(earlier, later)
    for command in (earlier, later):  # what one registers after the other showed its preview ends in the next run only
        assert installed(*command).code == 0
    ends = [(one.ended_by, one.ended_at and format_instant(one.ended_at)) for one in sessions(home)]
    ended = ("not_listed", exports.at(10))
    assert ends == [ended] * 30 + [(None, None)] * 70 + [ended] * 30


def test_an_import_beside_a_revocation(installed: Authctl, home: Path, exports: Exports, at_once: Callable[..., None]):
    """Sessions used before the revocation are revoked by it, with its note, whichever came first."""
    assert installed(*exports.command("first", [0], 30)).code == 0
    command = exports.command("all", range(400), 20)
    at_once(command, ["revoke", "--application", "Hub", "--note", NOTE, "--yes"])
    for _ in range(2):
        found = sessions(home)
        assert [one.username for one in found] == [f"user{number}" for number in range(400)]
        assert {(one.status.value, one.note) for one in found} == {("revoked", NOTE)}
        assert installed(*command).code == 0


IMPORT, COMPLETE, UNDO = "import", "complete", "undo"
POINTS = [
    (IMPORT, "r._write", 2),
    (IMPORT, "r.sleep", 2),
    (COMPLETE, "r._write", 3),
    (COMPLETE, "r.sleep", 6),
    (COMPLETE, "r.sleep", 7),
    (COMPLETE, "w.end_sessions", 2),
    (COMPLETE, "imports.add_complete_listings", 1),
    (COMPLETE, "journal.finish_import", 1),
    (UNDO, "u.sleep", 1),
    (UNDO, "undo.remove_registered", 2),
    (UNDO, "undo.restore_before", 1),
    (UNDO, "undo.restore_listings", 1),
    (UNDO, "undo.record_undo", 4),
]
"""Commands, and the calls after which they are killed: between two batches, and within a transaction."""


@pytest.mark.parametrize(("operation", "call", "number"), POINTS)
def test_a_killed_command_is_completed_by_the_same_command(
    installed: Authctl,
    home: Path,
    tmp_path: Path,
    exports: Exports,
    start: Start,
    operation: str,
    call: str,
    number: int,
):
    """The registry is then as if it had not been killed: no note is lost, and nothing revoked is active."""
    assert installed(*exports.command("all", range(50), 30)).code == 0
    assert installed("revoke", "--user", "user5", "--user", "user45", "--note", NOTE, "--yes").code == 0
    commands = {
        IMPORT: exports.command("next", [*range(30), *range(50, 80)], 20),
        COMPLETE: exports.complete("next", [*range(30), *range(50, 80)], 20, 10),
        UNDO: ["imports", "undo", "2", "--note", "wrong mapping", "--yes"],
    }
    if operation == UNDO:
        assert installed(*commands[COMPLETE]).code == 0
    before, whole = in_short(home), commands[operation]
    other = tmp_path / "other"
    places.copy_home(home, other)
    assert installed("--home", str(other), *places.named(other), *whole).code == 0
    after = in_short(other)
    assert before != after

    process = start("-c", SMALL_BATCHES + WRITER + KILLED % (number, call, call) + RUN, *whole)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL, (out, err)
    assert [one[2:8:5] for one in in_short(home) if one[0] in ("user5", "user45")] == [("revoked", NOTE)] * 2
    assert installed(*whole).code == 0
    assert in_short(home) == after


@pytest.mark.parametrize(("operation", "call", "number"), [point for point in POINTS if point[0] == COMPLETE])
def test_a_killed_import_is_undone(
    installed: Authctl, home: Path, exports: Exports, start: Start, operation: str, call: str, number: int
):
    """Its ends, too."""
    assert installed(*exports.command("all", range(50), 30)).code == 0
    before = in_short(home)
    complete = exports.complete("next", [*range(30), *range(50, 80)], 20, 10)
    process = start("-c", SMALL_BATCHES + WRITER + KILLED % (number, call, call) + RUN, *complete)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert installed("imports", "undo", "2", "--note", "killed", "--yes").code == 0
    assert in_short(home) == before


def test_the_ends_of_the_run_after_a_killed_one_are_undone(
    installed: Authctl, home: Path, exports: Exports, start: Start
):
    """The listing that the killed run recorded belongs to the run that completed it."""
    assert installed(*exports.command("all", range(50), 30)).code == 0
    complete = exports.complete("next", range(30), 30, 10)
    process = start("-c", SMALL_BATCHES + KILLED % (4, "r.sleep", "r.sleep") + RUN, *complete)
    process.communicate(timeout=PATIENCE)
    for command in ([], complete, ["imports", "undo", "3", "--note", "wrong listing", "--yes"]):
        assert not command or installed(*command).code == 0
        ended = sum(one.ended_by == "not_listed" for one in sessions(home))
        assert ended == (20 if command is complete else 10)


@pytest.mark.parametrize(
    ("answer", "is_done"), [("y", True), ("n", False), ("", False), ("yes, all of them", False), (END_OF_INPUT, False)]
)
def test_a_complete_listing_and_an_undo_ask_on_a_terminal(
    installed: Authctl, home: Path, exports: Exports, on_terminal: OnTerminal, answer: str, is_done: bool
):
    """They show whom they mean, and change something only after a yes; else the exit code is 4."""
    assert installed(*exports.command("all", range(8), 30)).code == 0
    known = in_short(home)
    complete = exports.complete("next", [*range(6), 9], 30, 10)
    complete.remove("--yes")
    screen = on_terminal(*complete, answers=(answer,))
    asked = "the listing does not have them. End them? [y/N]"
    assert (screen.code, asked in screen.text, "user7" in screen.text) == (0 if is_done else 4, True, True)
    ended = [one[0] for one in in_short(home) if one[6] == "not_listed"]
    assert (ended, len(in_short(home))) == ((["user6", "user7"], 9) if is_done else ([], 8))

    assert is_done or installed(*complete, "--yes").code == 0
    before = in_short(home)
    screen = on_terminal("imports", "undo", "2", "--note", "wrong listing", answers=(answer,))
    undone = "this would remove 1 and restore 2, together 3 sessions"
    asked = "undo import 2? [y/N]"
    assert (screen.code, undone in screen.text, asked in screen.text) == (0 if is_done else 4, True, True)
    assert in_short(home) == (known if is_done else before)
