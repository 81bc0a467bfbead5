"""Many real processes on one registry, and processes that are killed: what was acknowledged stands, and nothing else."""

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from authctl import AuditEvent, Registry, Session, SessionFilter, names
from authctl.instants import SECOND, format_instant
from authctl.profiles import read
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.sqlite import store as store_module
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, PlaceOf, Start
from tests.crash import TWO_TRANSACTIONS
from tests.places import ON_POSTGRES, place_in
from tests.storm import MAP, VARIANTS, imported_users, microseconds, rows

pytestmark = pytest.mark.slow

STORM_SECONDS = float(os.environ.get("AUTHCTL_STORM_SECONDS", "4"))
PROCESSES = int(os.environ.get("AUTHCTL_STORM_PROCESSES", "8"))
KILLS = 10
LEAST_KILLED = 4
LONGEST_START = 0.15
PATIENCE = 60
MIB = 2**20
RETENTION = 2 * SECOND
RECKONED = SECOND
"""The limit for the error of an instant that is reckoned, in microseconds."""
OLD = [f"old-{number}" for number in range(1_000)]
LONG_AGO = int(datetime(2020, 5, 4, tzinfo=UTC).timestamp()) * SECOND

ACKNOWLEDGED = re.compile("^authctl: (revoked|removed|applied|done:|registered) ", re.MULTILINE)

PLAY = f"import runpy; runpy.run_path({str(Path(__file__).with_name('storm.py'))!r}, run_name='__main__')"

Together = Callable[..., list[Any]]


@pytest.fixture
def together(start: Start) -> Together:
    """Let several processes play parts of `storm.py` from the same instant on; what each of them came to."""

    def play(parts: list[tuple[str, ...]], timeout: float = PATIENCE, seed: str = "") -> list[Any]:
        processes = [start("-c", f"{seed}\n{PLAY}", *map(str, part)) for part in parts]
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.communicate()
        at = time.monotonic() + 0.1
        for process in processes:
            process.stdin.write(f"{at}\n")
            process.stdin.flush()
        said = [process.communicate(timeout=timeout) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), said
        return [json.loads(out) for out, _ in said]

    return play


@pytest.fixture
def found(home: Path, place_of: PlaceOf) -> Path:
    """A registry that nobody opened yet, which keeps what ended for two seconds."""
    raw = VARIANTS[0].encode()
    create(find_home(home, place_of(home)), read(raw, "profiles.yaml"), raw, actor="founder")
    (home / "issued").touch()
    return home


def check_whole(home: Path) -> list[AuditEvent]:
    """The registry's audit events, oldest first, once SQLite and the audit chain found nothing wrong."""
    if not ON_POSTGRES:
        check_file(home / "registry.db")
    with Registry.open(home, registry=place_in(home)) as registry:
        events = list(registry.audit.events())[::-1]
        assert registry.audit.verify().seq == len(events)
    return events


def check_file(path: Path) -> None:
    """Let SQLite look for damage, and for sessions that name a revocation which is not there."""
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        unknown = "SELECT count(*) FROM sessions WHERE revocation_id NOT IN (SELECT id FROM revocations)"
        assert database.execute(unknown).fetchone() == (0,)


# The storm


@dataclass
class Life:
    """What became of an issued session, by the audit log."""

    user: str
    issued_at: int
    ended_at: int | None = None
    revocation: AuditEvent | None = None
    over_at: int | None = None
    """Since when it is over; cleanup may remove it when the retention has passed."""

    def may_be_gone(self, now: int) -> bool:
        """Whether cleanup may have removed it by then."""
        return self.over_at is not None and self.over_at + RETENTION < now


def check_order(events: list[AuditEvent]) -> None:
    """Events are in the order of their instants. On a server, what reads before its turn has its instant before it (decisions 310 and 373)."""
    latest = floor = 0
    for event in events:
        is_sign_in = ON_POSTGRES and event.action == "session.issue"
        is_early = is_sign_in or (ON_POSTGRES and event.action == "session.revoke" and is_of_everything(event))
        assert event.at >= (floor if is_early else latest), event
        latest = max(latest, event.at)
        floor = floor if is_sign_in else event.at


def is_of_everything(event: AuditEvent) -> bool:
    """Whether a revocation is one of everything."""
    return bool(json.loads(event.detail)["selector"].get("everything"))


class History:
    """The lives of all sessions as the audit log tells them, and each operation's place in it."""

    def __init__(self, events: list[AuditEvent], operations: Iterable[dict]) -> None:
        check_order(events)
        self.lives: dict[str, Life] = {}
        self.by_user: dict[str, list[str]] = {}
        self.everything: list[AuditEvent] = []
        self.place: dict[tuple[str, str | None], AuditEvent] = {}
        self.revoked = {str(d["revocation"]): d["acked"] for d in operations if d.get("revocation")}
        self.ended = {d["id"]: d["acked"] for d in operations if d.get("ended")}
        for event in events:
            tell = {"session.issue": self.issue, "session.end": self.end, "session.revoke": self.revoke}.get(
                event.action
            )
            if tell:
                assert (event.action, event.subject) not in self.place, f"twice in the audit log: {event}"
                self.place[event.action, event.subject] = event
                tell(event, json.loads(event.detail))

    def issue(self, event: AuditEvent, detail: dict) -> None:
        """A session begins."""
        user = detail["username_key"]
        limit = {"brief": SECOND, "busy": 20 * SECOND}.get(user.split("-")[0])
        self.lives[event.subject] = Life(user, event.at, over_at=limit and event.at + limit)
        self.by_user.setdefault(user, []).append(event.subject)

    def end(self, event: AuditEvent, _detail: dict) -> None:
        """A session that lived is signed out."""
        life = self.lives[event.subject]
        assert life.revocation is None
        assert life.ended_at is None
        life.ended_at = life.over_at = event.at

    def revoke(self, event: AuditEvent, detail: dict) -> None:
        """Exactly the sessions that are meant and not revoked yet are revoked."""
        meant = detail["selector"]
        if meant.get("everything"):
            self.revoke_everything(event, meant.get("except_ids", ()))
            return
        assert detail["revoked"] == len(detail["sessions"])
        assert detail["sessions"] or "ids" not in meant  # by criteria a revocation of nothing new is recorded, too
        candidates = meant.get("ids") or self.by_user[names.fold(meant["username"])]
        assert set(detail["sessions"]) <= set(candidates)
        for session_id in candidates:
            life = self.lives[session_id]
            if session_id in detail["sessions"]:
                assert life.revocation is None, f"revoked twice: {session_id}, {event}"
                life.revocation, life.over_at = event, event.at
            else:
                assert life.revocation or life.may_be_gone(event.at), f"left out: {session_id}, {life}, {event}"

    def revoke_everything(self, event: AuditEvent, spared: list[str]) -> None:
        """All that are not revoked yet are, the spared ones apart; those that may be gone by then stay so."""
        self.everything.append(event)
        for session_id, life in self.lives.items():
            if life.revocation is None and session_id not in spared:
                life.over_at = life.over_at if life.may_be_gone(event.at) else event.at
                life.revocation = event

    def was_over(self, session_id: str, began: int) -> bool:
        """Whether the session's revocation or end had been acknowledged by then."""
        revocation = self.lives[session_id].revocation
        revoked = revocation and self.revoked.get(revocation.subject, began) < began
        return bool(revoked) or self.ended.get(session_id, began) < began

    def check_operation(self, operation: dict) -> None:
        """What a process was told or saw is what the audit log says, and in the order of real time."""
        judge = getattr(self, f"check_{operation['kind']}", None)
        if "error" in operation or (judge and not judge(operation)):
            pytest.fail(f"{operation}\n{self.lives.get(operation.get('id', ''))}")

    def check_issue(self, operation: dict) -> bool:
        """Its event lies within the time that it took. A server's clock is reckoned between two sign-ins, and never ahead (decision 374)."""
        began = operation["began"] - (RECKONED if ON_POSTGRES else 0)
        return began <= self.place["session.issue", operation["id"]].at <= operation["acked"]

    def check_verify(self, operation: dict) -> bool:
        """Good only if no end was acknowledged before it began; refused only for a reason that existed by its end."""
        life = self.lives[operation["id"]]
        revoked_at = life.revocation and life.revocation.at
        return {
            "good": not self.was_over(operation["id"], operation["began"])
            and not (life.user.startswith("brief") and life.issued_at + SECOND <= operation["began"]),
            "TokenRevoked": bool(revoked_at and revoked_at <= operation["acked"]),
            "TokenEnded": bool(life.ended_at and life.ended_at <= operation["acked"]),
            "TokenExpired": life.user.startswith(("brief", "busy")) and life.issued_at + SECOND <= operation["acked"],
            "TokenUnknown": life.may_be_gone(operation["acked"]),
        }[operation["answer"]]

    def check_revoke_ids(self, operation: dict) -> bool:
        """It revoked what its event says; what it found revoked has an earlier revocation, and what it missed is gone."""
        gone = all(self.lives[one].may_be_gone(operation["acked"]) for one in operation["unknown"])
        before = all(self.was_revoked(one, operation) for one in operation["over"])
        if operation["revocation"] is None:
            return gone and before and operation["newly"] == [] and operation["counts"][1] == 0
        event = self.place["session.revoke", str(operation["revocation"])]
        told = json.loads(event.detail)["sessions"] == operation["newly"] and operation["counts"][1] == len(
            operation["newly"]
        )
        return gone and before and told and self.is_event_of(event, operation)

    check_revoke_user = check_revoke_ids

    def check_revoke_all(self, operation: dict) -> bool:
        """It has its event, or the session to spare was gone, or nothing was left to revoke."""
        if operation["revocation"] is None:
            return "gone" not in operation or self.lives[operation["gone"]].may_be_gone(operation["acked"])
        return self.is_event_of(self.place["session.revoke", str(operation["revocation"])], operation)

    def is_event_of(self, event: AuditEvent, operation: dict) -> bool:
        """Whether note, actor and instant are the operation's own."""
        told = (event.note, event.actor, event.at) == (operation["note"], operation["by"], operation["at"])
        return told and operation["began"] <= event.at <= operation["acked"]

    def was_revoked(self, session_id: str, operation: dict) -> bool:
        """Whether a session had been revoked before an operation's own revocation."""
        revocation = self.lives[session_id].revocation
        return bool(revocation and revocation.note != operation["note"] and revocation.at <= operation["at"])

    def check_end(self, operation: dict) -> bool:
        """It ended the session, or that was over or gone."""
        life = self.lives[operation["id"]]
        if operation["ended"]:
            event = self.place["session.end", operation["id"]]
            return event.actor == operation["by"] and operation["began"] <= event.at <= operation["acked"]
        over = life.over_at is not None or life.revocation is not None
        return over if operation["over"] else operation["gone"] and life.may_be_gone(operation["acked"])

    def check_import_rows(self, operation: dict) -> bool:
        """New rows are registered, and the same ones once more change nothing."""
        return operation["counts"] == ([0, 0, 20] if operation["again"] else [20, 0, 0])

    def check_list_some(self, operation: dict) -> bool:
        """Each session that was seen is as the audit log has it."""
        return all(self.was_so(operation, *seen) for seen in operation["seen"])

    def check_show(self, operation: dict) -> bool:
        """The session that was seen is as the audit log has it, or lawfully gone."""
        return (
            self.lives[operation["gone"]].may_be_gone(operation["acked"])
            if "gone" in operation
            else self.check_list_some(operation)
        )

    def was_so(self, operation: dict, session_id: str, user: str, status: str, note: str | None) -> bool:
        """Whether a session can have been seen like that."""
        if session_id not in self.lives:
            notes = {event.note for event in self.everything}
            return user.startswith(("import-", "old-")) and ((note in notes) if status == "revoked" else note is None)
        life = self.lives[session_id]
        if status == "revoked":
            return bool(life.revocation and life.revocation.note == note and life.revocation.at <= operation["acked"])
        over = self.was_over(session_id, operation["began"])
        return note is None and not (over and (status == "active" or life.ended_at is None))

    def check_imported(self, operation: dict, now: int, present: dict[str, Session]) -> None:
        """Imported sessions are there unless a revocation of everything came after their row."""
        revoked = [event for event in self.everything if event.at >= operation["row"]]
        for user in operation["users"]:
            session = present.get(user)
            if session is None:
                assert revoked, f"lost: {user}"
                assert revoked[0].at + RETENTION < now, f"removed too early: {user}"
            elif revoked:
                assert session.note in {event.note for event in revoked}, session
            else:
                assert session.status == "active", session

    def check_present(self, now: int, present: dict[str, Session]) -> None:
        """Every issued session is there as the audit log has it, or lawfully gone."""
        for session_id, life in self.lives.items():
            session = present.get(session_id)
            if session is None:
                assert life.may_be_gone(now), f"lost: {session_id}, {life}"
                continue
            assert session.ended_at == life.ended_at, (session, life)
            if life.revocation is None:
                assert session.revoked_at is None, (session, life)
                alive = life.over_at is None or (life.user.startswith("busy") and life.ended_at is None)
                assert not alive or life.user.startswith("busy") or session.status == "active", (session, life)
            else:
                told = (session.note, session.revoked_by, session.revoked_at, str(session.revocation_id))
                own = life.revocation
                assert told == (own.note, own.actor, own.at, own.subject), (session, life)


ACTIONS = {
    "issue": ("session.issue",),
    "end": ("session.end",),
    "revoke_ids": ("session.revoke",),
    "revoke_user": ("session.revoke",),
    "revoke_all": ("session.revoke",),
    "import_rows": ("session.import",) * 2,
    "apply": ("profile.apply", "profile.done"),
    "clean_up": ("cleanup.run", "cleanup.done"),
}
"""The events that an operation leaves where it changes something."""


def owed_events(operations: Iterable[dict]) -> Counter:
    """The events that acknowledged operations must have left, by action and actor."""
    owed: Counter = Counter({("registry.init", "founder"): 1, ("session.import", "founder"): 2})
    for operation in operations:
        if operation.get("ended", True) and operation.get("revocation", True) is not None:
            owed.update((action, operation["by"]) for action in ACTIONS.get(operation["kind"], ()))
    return owed


def waits(operations: Sequence[dict]) -> str:
    """How often each operation was done, and the slowest of each kind, in milliseconds."""
    kinds = sorted({operation["kind"] for operation in operations})
    took = {kind: [(d["acked"] - d["began"]) / 1000 for d in operations if d["kind"] == kind] for kind in kinds}
    return "; ".join(f"{kind} {len(times):,}, slowest {max(times):,.0f} ms" for kind, times in took.items())


@dataclass(frozen=True)
class Storm:
    """What the processes of a storm wrote down."""

    home: Path
    operations: tuple[dict, ...]
    """Those that were acknowledged."""
    unanswered: tuple[dict, ...]
    """Those that were begun, and killed before they were acknowledged: each happened wholly or not at all."""

    def check(self) -> list[Session]:
        """Whatever a process was told is true, in force, in order and audited once; the sessions that there are."""
        errors = Counter(operation["error"] for operation in self.operations if "error" in operation)
        assert not errors, errors
        events = check_whole(self.home)
        history = History(events, self.operations)
        for operation in self.operations:
            history.check_operation(operation)
        self.check_events(Counter((event.action, event.actor) for event in events))
        with Registry.open(self.home, registry=place_in(self.home)) as registry:
            sessions = list(registry.sessions())
        now = microseconds()
        history.check_present(now, {session.id: session for session in sessions})
        by_user = {session.username: session for session in sessions}
        cut_off = [
            {"users": imported_users(operation["by"], operation["number"]), "row": operation["began"]}
            for operation in self.unanswered
            if operation["kind"] == "import_rows"
        ]
        for operation in [*self.imports(), *(one for one in cut_off if by_user.keys() & set(one["users"]))]:
            history.check_imported(operation, now, by_user)
        return sessions

    def check_events(self, found: Counter) -> None:
        """Every acknowledged operation has its events, and there are no others but of operations that were not answered."""
        owed = owed_events(self.operations)
        possible = Counter(
            (action, operation["by"]) for operation in self.unanswered for action in ACTIONS.get(operation["kind"], ())
        )
        assert owed <= found, owed - found
        assert found - owed <= possible, found - owed - possible
        for operation in self.unanswered:
            begun, done = ((found - owed)[action, operation["by"]] for action in ("cleanup.run", "cleanup.done"))
            assert done <= begun, operation

    def imports(self) -> list[dict]:
        """The acknowledged imports of new rows."""
        return [
            operation for operation in self.operations if operation["kind"] == "import_rows" and not operation["again"]
        ]


def written_down(home: Path) -> Storm:
    """What is in the files of all processes of a storm; the last line of one that was killed may be torn."""
    operations: list[dict] = []
    unanswered = []
    files = list(home.glob("operations-*"))
    assert files
    for file in files:
        *lines, _torn = file.read_bytes().split(b"\n")
        told = [json.loads(line) for line in lines]
        operations += [operation for operation in told if "acked" in operation and operation["kind"] != "nothing"]
        unanswered += [operation for operation in told[-1:] if "acked" not in operation]
    return Storm(home, tuple(operations), tuple(unanswered))


@pytest.fixture
def stocked(found: Path) -> Path:
    """The same with a thousand old sessions."""
    with Registry.open(found, registry=place_in(found)) as registry:
        registry.imports.run(rows(OLD, LONG_AGO), MAP, actor="founder")
    return found


def test_many_processes_at_once(stocked: Path, together: Together):
    """What eight processes and more are told while they do everything at once is true, in force, in order and audited once."""
    parts = [("storm", stocked, number, STORM_SECONDS) for number in range(PROCESSES)]
    together(parts, STORM_SECONDS + PATIENCE)
    storm = written_down(stocked)
    sys.stdout.write(f"\n{len(storm.operations):,} operations in {STORM_SECONDS:g} s: {waits(storm.operations)}\n")
    assert storm.unanswered == ()
    sessions = storm.check()
    removed = sum(operation["removed"] for operation in storm.operations if operation["kind"] == "clean_up")
    issued = sum(operation["kind"] == "issue" for operation in storm.operations)
    assert removed == len(OLD) + issued + 20 * len(storm.imports()) - len(sessions)


def let_loose_and_kill(home: Path, start: Start, seconds: float) -> int:
    """Processes that are killed at random moments, each followed by another; how many were killed."""
    chance = random.Random(PROCESSES)
    began = time.monotonic()
    numbers = count()

    def another() -> tuple[subprocess.Popen, Path]:
        number = next(numbers)
        left = str(max(1.0, began + seconds - time.monotonic()))
        process = start("-c", PLAY, "storm", str(home), str(number), left)
        process.stdin.write("0\n")
        process.stdin.flush()
        return process, home / f"operations-{number}"

    running = [another() for _ in range(PROCESSES)]
    killed = 0
    while time.monotonic() < began + seconds or (killed < LEAST_KILLED and time.monotonic() < began + PATIENCE):
        time.sleep(chance.uniform(0, 0.15))
        at_work = [place for place, (_, written) in enumerate(running) if written.exists() and written.stat().st_size]
        if at_work:
            place = chance.choice(at_work)
            process, _ = running[place]
            process.kill()
            process.communicate(timeout=PATIENCE)
            killed += process.returncode == -signal.SIGKILL
            running[place] = another()
    said = [process.communicate(timeout=PATIENCE) for process, _ in running]
    assert [process.returncode for process, _ in running] == [0] * len(running), said
    return killed


def test_many_processes_killed_at_random(stocked: Path, start: Start):
    """Whatever was acknowledged is in force, with its events; what was not happened wholly or not at all; no survivor fails."""
    killed = let_loose_and_kill(stocked, start, STORM_SECONDS)
    storm = written_down(stocked)
    cut_off = Counter(operation["kind"] for operation in storm.unanswered)
    sys.stdout.write(
        f"\n{len(storm.operations):,} operations, {killed} processes killed, in the middle of {dict(cut_off)}\n"
    )
    assert killed >= LEAST_KILLED
    storm.check()


SEEDS = {
    "deferred begin": (
        "import authctl.store.sqlite.store as s\n"
        "def deferred(store, timeout):\n"
        "    store._writer.connection().execute('BEGIN')\n"
        "s.SqliteStore._begin = deferred\n"
    ),
    "two transactions": TWO_TRANSACTIONS,
}


@pytest.mark.in_a_file  # tests/test_escapes.py has the wrong schemes of a server
@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_finds_seeded_bugs(stocked: Path, together: Together, seed: str):
    """Two seconds of eight processes show each of them."""
    together([("storm", stocked, number, 2) for number in range(PROCESSES)], seed=SEEDS[seed])
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        written_down(stocked).check()


# Several at the same moment


def test_two_cleanups_at_once(found: Path, together: Together):
    """Together they remove exactly what may go, and each says how much of it was its own."""
    with Registry.open(found, registry=place_in(found)) as registry:
        registry.imports.run(rows([f"old-{number}" for number in range(3_000)], LONG_AGO), MAP)
        registry.imports.run(rows([f"kept-{number}" for number in range(500)], microseconds()), MAP)
    removed = together([("clean_up", found, 10)] * 2)
    assert sum(removed) == 3_000
    with Registry.open(found, registry=place_in(found)) as registry:
        assert {s.username for s in registry.sessions()} == {f"kept-{number}" for number in range(500)}
    done = [json.loads(event.detail)["removed"] for event in check_whole(found) if event.action == "cleanup.done"]
    assert sorted(sum(counts.values()) for counts in done) == sorted(removed)


def test_first_use_by_six_processes_at_once(found: Path, together: Together):
    """A registry that nobody used yet serves six processes that open it at the same moment."""
    used = together([("first_use", found)] * 6)
    with Registry.open(found, registry=place_in(found)) as registry:
        assert {session.id for session in registry.sessions()} == set(used)
    assert len(check_whole(found)) == 7


@pytest.mark.in_a_file
def test_two_inits_of_one_home_at_once(tmp_path: Path, together: Together):
    """Exactly one of two `authctl init` makes the installation, the other is refused, and what was made works."""
    rounds = 20
    codes = together([("init", tmp_path, rounds)] * 2)
    assert [sorted(pair) for pair in zip(*codes, strict=True)] == [[0, 4]] * rounds
    for number in range(rounds):
        made = tmp_path / str(number)
        assert {path.name for path in made.iterdir()} == {
            "registry.db",
            "registry.db-reserve",
            "keys.json",
            "profiles.yaml",
            "audit.head",
        }
        with Registry.open(made, registry=made / "registry.db") as registry:
            registry.verify(registry.issue(username="alice", application="Outlook").access_token)
        assert len(check_whole(made)) == 2


# A list left open


def check_unhindered(home: Path) -> None:
    """Writing is quick, and no reader keeps the write-ahead log from being emptied."""
    with Registry.open(home, registry=place_in(home)) as registry:
        began = time.monotonic()
        token = registry.issue(username="alice", application="Outlook").access_token
        registry.verify(token)
        assert registry.revoke(SessionFilter(username="user-1"), note="lost device").revoked == 1
        assert registry.revoke(SessionFilter(everything=True), note="breach drill").revoked == 2_500
        registry.cleanup.run()
        assert time.monotonic() - began < 20  # and not the 30 of a lock that stays
    if ON_POSTGRES:
        return
    with closing(sqlite3.connect(home / "registry.db", timeout=0)) as database:
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.fixture
def populated(installed: Authctl, home: Path) -> Path:
    """A registry with 2,500 sessions."""
    with Registry.open(home, registry=place_in(home)) as registry:
        registry.imports.run(rows([f"user-{number}" for number in range(2_500)], microseconds()), MAP)
    return home


def playing(start: Start, part: str, home: Path, says: str) -> subprocess.Popen[str]:
    """A process in the middle of a part of `storm.py`, which says what it is doing and goes on until it is told to stop."""
    process = start(str(Path(__file__).with_name("storm.py")), part, str(home))
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("0\n")
    process.stdin.flush()
    assert process.stdout.readline() == f"{says}\n"
    return process


def test_a_list_that_is_not_read_to_its_end_blocks_nobody(populated: Path, start: Start):
    """A process that stopped in the middle of a list holds up no writer, and goes on with its list afterwards."""
    reader = playing(start, "leave_open", populated, "reading")
    check_unhindered(populated)
    out, err = reader.communicate("\n", timeout=PATIENCE)
    assert (reader.returncode, err) == (0, "")
    assert int(out) >= 2_500


@pytest.mark.in_a_file
def test_lists_without_a_pause_do_not_let_the_log_grow(populated: Path, start: Start, monkeypatch: pytest.MonkeyPatch):
    """Processes that list one time after the other would never let SQLite start its write-ahead log anew."""
    monkeypatch.setattr(store_module, "LOG_LIMIT_BYTES", MIB)
    readers = [playing(start, "list_on", populated, "reading") for _ in range(2)]
    sizes = [0]
    with Registry.open(populated, registry=place_in(populated)) as registry:
        while sum(max(0, after - before) for before, after in pairwise(sizes)) < 40 * MIB:
            registry.issue(username="alice", application="Outlook")
            sizes.append((populated / "registry.db-wal").stat().st_size)
    for reader in readers:
        out, err = reader.communicate("stop\n", timeout=PATIENCE)
        assert (reader.returncode, err) == (0, "")
        assert int(out) > 2_500
    assert max(sizes) < 10 * MIB


@pytest.mark.in_a_file
def test_a_reader_that_stays_lets_the_log_grow_until_it_leaves(populated: Path, monkeypatch: pytest.MonkeyPatch):
    """Every commit goes through beside it, and soon after it has left the log is small again."""
    monkeypatch.setattr(store_module, "LOG_LIMIT_BYTES", MIB)
    log = populated / "registry.db-wal"
    issued = []
    with (
        Registry.open(populated, registry=place_in(populated)) as registry,
        closing(sqlite3.connect(populated / "registry.db")) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchone()
        while log.stat().st_size < 3 * MIB:
            issued.append(registry.issue(username="alice", application="Outlook").session.id)
        reader.execute("ROLLBACK")
        while log.stat().st_size > MIB:
            assert log.stat().st_size < 5 * MIB
            issued.append(registry.issue(username="alice", application="Outlook").session.id)
        assert {session.id for session in registry.sessions(SessionFilter(username="alice"))} == set(issued)


@pytest.mark.in_a_file
def test_a_log_that_another_process_empties_is_left_to_it(
    populated: Path, start: Start, monkeypatch: pytest.MonkeyPatch
):
    """Whoever finds one at it neither waits nor asks again and again, and empties the log itself once that one has gone."""
    monkeypatch.setattr(store_module, "LOG_LIMIT_BYTES", MIB)
    log = populated / "registry.db-wal"
    asked: list[str] = []
    with Registry.open(populated, registry=place_in(populated)) as registry:
        registry.issue(username="alice", application="Outlook")
        emptier = playing(start, "empty_log", populated, "emptying")
        registry._installation.store._writer.connection().set_trace_callback(asked.append)
        while log.stat().st_size < 3 * MIB:
            registry.issue(username="alice", application="Outlook")
        assert (
            2 <= sum("wal_checkpoint" in sql for sql in asked) <= 3
        )  # once for each MiB; the last row may reach the third
        _, err = emptier.communicate("\n", timeout=PATIENCE)
        assert (emptier.returncode, err) == (0, "")
        while log.stat().st_size > MIB:
            assert log.stat().st_size < 5 * MIB
            registry.issue(username="alice", application="Outlook")


@pytest.mark.in_a_file
def test_a_log_that_is_gone_does_not_undo_what_was_committed(populated: Path):
    """What went through is not called a failure because the log cannot be looked at afterwards."""
    with Registry.open(populated, registry=place_in(populated)) as registry:
        registry.issue(username="alice", application="Outlook")
        (populated / "registry.db-wal").unlink()
        registry.issue(username="alice", application="Outlook")
        assert sum(1 for _ in registry.sessions(SessionFilter(username="alice"))) == 2


def test_a_list_in_a_pipe_that_nobody_empties_blocks_nobody(populated: Path, start: Start):
    """`authctl sessions list | less`, left open, holds up no writer."""
    reader = start("-m", "authctl", "sessions", "list", "-o", "ndjson", stdin=subprocess.DEVNULL)
    assert json.loads(reader.stdout.readline())["username"].startswith("user-")
    time.sleep(0.2)
    assert reader.poll() is None
    check_unhindered(populated)
    assert reader.poll() is None
    rest = reader.stdout.readlines()  # communicate would lose what readline has read ahead
    assert (reader.wait(PATIENCE), reader.stderr.read()) == (0, "")
    assert len(rest) >= 2_499


# Killed


@dataclass(frozen=True)
class Round:
    """One run of a command that is killed, or was in time; `events` are those since it began."""

    registry: Registry
    folder: Path
    number: int
    events: tuple[AuditEvent, ...] = ()
    out: str = ""

    @property
    def note(self) -> str:
        """A text of this round's own."""
        return f"kill-{self.number}"

    def has_event(self, action: str) -> bool:
        """Whether the event is there."""
        return any(event.action == action for event in self.events)

    def sessions(self, prefix: str) -> list[Session]:
        """The sessions of this round's users whose names begin like that."""
        return [one for one in self.registry.sessions() if one.username.startswith(f"{prefix}-{self.number}-")]

    def add(self, prefix: str, count: int, at: int) -> None:
        """Import sessions for so many users of this round, last used at an instant."""
        users = [f"{prefix}-{self.number}-{one}" for one in range(count)]
        self.registry.imports.run(rows(users, at), MAP)


def revoke_user(this: Round) -> list[str]:
    """Revoke two hundred sessions of a user, and not another's."""
    at = format_instant(microseconds())
    written = [json.dumps({"user": f"user-{this.number}-0", "app": f"app {one}", "time": at}) for one in range(200)]
    this.registry.imports.run(io.BytesIO("\n".join(written).encode()), MAP)
    this.add("other", 1, microseconds())
    return ["revoke", "--user", f"user-{this.number}-0", "--note", this.note]


def revoked_user(this: Round) -> bool:
    """All of the user's sessions are revoked and there is the event, or neither."""
    assert [session.revoked_at for session in this.sessions("other")] == [None]
    return revoked(this, 200)


def revoke_all(this: Round) -> list[str]:
    """Revoke everything: three hundred new sessions and those of former rounds."""
    this.add("user", 300, microseconds())
    return ["revoke", "--all", "--yes", "--note", this.note]


def revoked_all(this: Round) -> bool:
    """All sessions are revoked and there is the event, or neither."""
    done = revoked(this, 300)
    left = this.registry.count(SessionFilter(status=("active", "expired")))
    assert left == (0 if done else 300)
    return done


def revoked(this: Round, count: int) -> bool:
    """Whether this round's sessions are revoked with its note and its event; they are alike."""
    sessions = this.sessions("user")
    assert len(sessions) == count
    (note,) = {session.note for session in sessions}
    assert note in (None, this.note)
    recorded = [event.note for event in this.events if event.action == "session.revoke"]
    assert set(recorded) == (
        {note} if note else set()
    )  # said again after a kill, it is recorded again with nothing new
    return note is not None


def clean_up(this: Round) -> list[str]:
    """Remove six hundred sessions in batches, and not twenty others."""
    this.add("old", 600, LONG_AGO)
    this.add("kept", 20, microseconds())
    return ["cleanup", "--batch-size", "50"]


def cleaned_up(this: Round) -> bool:
    """Whole batches are gone, none before the first event, all before the last; what is to be kept is there."""
    old = len(this.sessions("old"))
    assert len(this.sessions("kept")) == 20
    assert old % 50 == 0
    assert old == 600 or this.has_event("cleanup.run")
    assert old == 0 or not this.has_event("cleanup.done")
    return this.has_event("cleanup.done")


def import_sessions(this: Round) -> list[str]:
    """Import twelve hundred sessions, which takes three batches."""
    (this.folder / "map.yaml").write_text("fields: {username: user, application: app, at: time}\nkey: [username]\n")
    users = [f"user-{this.number}-{one}" for one in range(1_200)]
    (this.folder / this.note).write_bytes(rows(users, microseconds()).getvalue())
    return ["sessions", "import", str(this.folder / this.note), "--map", str(this.folder / "map.yaml")]


def imported(this: Round) -> bool:
    """Whole batches are registered, none before the first event, all before the last, and nothing twice."""
    users = [session.username for session in this.sessions("user")]
    stages = {json.loads(event.detail)["stage"] for event in this.events if event.action == "session.import"}
    assert len(set(users)) == len(users)
    assert len(users) in ((0, 500, 1_000, 1_200) if stages else (0,))
    assert "done" not in stages or len(users) == 1_200
    return "done" in stages


def apply_profiles(this: Round) -> list[str]:
    """Shorten the deadlines of three hundred sessions and end a hundred; every other round, lengthen them."""
    hours = 72 if this.number % 2 else 3
    this.add("user", 300, microseconds() - 2 * 3_600 * SECOND)
    this.add("idle", 100, microseconds() - 5 * 3_600 * SECOND)
    text = f"version: 1\nprofiles: {{default: {{idle_timeout: {hours}h, description: {this.note}}}}}\n"
    (this.folder / this.note).write_text(text)
    return ["profiles", "apply", str(this.folder / this.note), "--yes", "--note", this.note]


def applied(this: Round) -> bool:
    """Profiles are in force with their first event; every deadline is new with the last one, and old without the first."""
    profile = this.registry.profiles.in_force().profiles["default"]
    begun, done = this.has_event("profile.apply"), this.has_event("profile.done")
    assert (profile.description == this.note) == begun
    assert (this.registry.profiles.unfinished() is not None) == (begun and not done)
    sessions = this.sessions("user")
    assert len(sessions) == 300
    timeouts = {one.idle_expires_at - one.last_used_at for one in sessions}
    assert timeouts <= {3 * 3_600 * SECOND, 72 * 3_600 * SECOND}
    assert (begun and not done) or timeouts == {profile.idle_timeout}
    statuses = {one.status.value for one in this.sessions("idle")}
    assert (begun and not done) or statuses == {"active" if this.number % 2 == 0 and not done else "expired"}
    return done


def issue(this: Round) -> list[str]:
    """Issue a token."""
    return ["tokens", "issue", "--user", f"user-{this.number}-0", "--application", "Outlook"]


def issued(this: Round) -> bool:
    """There is the session and its event, or neither; a token that was printed is good."""
    ids = {session.id for session in this.sessions("user")}
    assert ids == {event.subject for event in this.events if event.action == "session.issue"}
    if this.out:
        assert this.registry.verify(this.out.strip()).id in ids
    return bool(ids)


def run_and_kill(start: Start, log: Path, command: list[str], delay: float, *, once_opened: bool) -> tuple:
    """Start a command, kill it after a delay, which counts from when it opened the registry if asked.

    How long it lived from there on, and what it said.
    """
    process = start("-m", "authctl", *command, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE
    while once_opened and not log.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0002)
    began = time.monotonic()
    try:
        said = process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
        said = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, -signal.SIGKILL), said
    return time.monotonic() - began, *said


@pytest.mark.parametrize(
    ("prepare", "was_done"),
    [
        (revoke_user, revoked_user),
        (revoke_all, revoked_all),
        (clean_up, cleaned_up),
        (import_sessions, imported),
        (apply_profiles, applied),
        (issue, issued),
    ],
)
def test_killed_at_any_moment(
    prepare: Callable[[Round], list[str]],
    was_done: Callable[[Round], bool],
    installed: Authctl,
    start: Start,
    home: Path,
    tmp_path: Path,
):
    """Killed anywhere, each transaction happened with its event or not at all; what was said to be done is in force,
    and the same command succeeds afterwards.
    """
    chance = random.Random(prepare.__name__)
    took = 0.0
    outcomes: Counter = Counter()
    for number in range(1 + KILLS):
        with Registry.open(home, registry=place_in(home)) as registry:
            command = prepare(Round(registry, tmp_path, number))
        before = len(check_whole(home))
        once_opened = number % 5 != 4
        delay = chance.uniform(0, took if once_opened else LONGEST_START) if number else PATIENCE
        lived, out, err = run_and_kill(start, home / "registry.db-wal", command, delay, once_opened=once_opened)
        took = took or lived
        events = check_whole(home)[before:]
        with Registry.open(home, registry=place_in(home)) as registry:
            done = was_done(Round(registry, tmp_path, number, tuple(events), out))
        acknowledged = bool(out or ACKNOWLEDGED.search(err))
        assert done or not acknowledged, (out, err)
        outcomes["acknowledged" if acknowledged else "done" if done else "begun" if events else "not done"] += 1
        ran = installed(*command)
        assert ran.code == 0, ran
        events = check_whole(home)[before:]
        with Registry.open(home, registry=place_in(home)) as registry:
            assert was_done(Round(registry, tmp_path, number, tuple(events))), ran
    sys.stdout.write(f"\n{prepare.__name__}: {dict(outcomes)}\n")
