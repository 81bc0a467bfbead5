"""Commands killed, and failed, at the file system calls that they make: never half, never acknowledged and lost.

A few of the calls in CI; every one by `make crash`. The harness itself has to find seeded bugs.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from authctl import Registry, SessionFilter
from authctl.files import create_private
from authctl.instants import DAY, SECOND
from authctl.key_ring import load
from authctl.profiles import read
from authctl.registry.backups import restore
from authctl.settings import find_home
from tests.crash import PROFILES, TWO_TRANSACTIONS, Bench, Call, Operation, Ran, Snapshot, constants, faults
from tests.storm import MAP, rows

STEP = int(os.environ.get("AUTHCTL_CRASH_STEP", "71"))
ERROR_STEP = 1 if STEP == 1 else 3 * STEP
ERRORS = ("EIO", "ENOSPC", "EROFS")


def _traces() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not _traces(), reason="needs strace, and the right to trace")
pytestmark = [pytest.mark.slow, needs_strace]

OLD = [f"old-{number}" for number in range(6)]
LONG_AGO = int(datetime(2020, 5, 4, tzinfo=UTC).timestamp()) * SECOND


def with_old_sessions(bench: Bench) -> None:
    """Import six sessions that may be cleaned up."""
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        registry.imports.run(rows(OLD, LONG_AGO), MAP)


def with_sessions_of_a_source(bench: Bench) -> None:
    """Import four sessions of a source that never expire by themselves."""
    text = PROFILES.replace("idle_timeout: 3d", "idle_timeout: never")
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        registry.profiles.apply(read(text.encode(), "p.yaml"), note="no deadline")
        registry.imports.run(rows(OLD[:4], LONG_AGO), MAP, source="hub")


def with_two_imports(bench: Bench) -> None:
    """Import six sessions, and then other rows of three of them with three more."""
    now = int(datetime.now(UTC).timestamp()) * SECOND
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        registry.imports.run(rows(OLD, now - 3600 * SECOND), MAP)
        users = [*OLD[:4], *(f"new-{number}" for number in range(4))]
        registry.imports.run(rows(users, now - 60 * SECOND), MAP)


def with_many_sessions(bench: Bench) -> None:
    """Import as many sessions as one batch of a changeover does not have."""
    now = int(datetime.now(UTC).timestamp()) * SECOND
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        registry.imports.run(rows([f"user-{number}" for number in range(300)], now - 3600 * SECOND), MAP)


def former_or_new(bench: Bench, _before: Snapshot, _now: Snapshot) -> list[str]:
    """What is wrong with the deadlines of the default profile: all are new or all former, unless a changeover is unfinished."""
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        in_force = registry.profiles.in_force()
        lives = {one.idle_expires_at - one.slid_at for one in registry.sessions() if one.revoked_at is None}
    timeouts = {in_force.ruling(name, 1).idle_timeout for name in ("default", "pair")} | {3 * DAY}
    if in_force.changeover is None and not lives <= {
        in_force.get("default").idle_timeout,
        in_force.get("pair").idle_timeout,
    }:
        return [f"former deadlines without a changeover: {lives}"]
    return [] if lives <= timeouts | {in_force.get("default").idle_timeout} else [f"strange deadlines: {lives}"]


def with_an_old_registry(bench: Bench) -> None:
    """Put a backup in the place of the registry, as nobody should."""
    shutil.copy(bench.place / "backup.db", bench.home / "registry.db")


def with_a_clock_that_was_ahead(bench: Bench) -> None:
    """Issue a token a year ahead."""
    later = datetime.now(UTC) + timedelta(days=365)
    with Registry.open(bench.home, registry=bench.home / "registry.db", clock=lambda: later) as registry:
        registry.issue(username="frank", application="A")


def with_a_plan(bench: Bench) -> None:
    """Make a plan to revoke the sessions of Outlook."""
    with Registry.open(bench.home, registry=bench.home / "registry.db") as registry:
        plan = registry.plans.make(SessionFilter(application="Outlook")).plan
    create_private(bench.place / "outlook.plan", plan.to_text().encode())


def archived(bench: Bench, before: Snapshot, now: Snapshot) -> list[str]:
    """What was removed and is in no archive."""
    written = b"".join(gzip.decompress(file.read_bytes()) for file in bench.place.glob("*.gz"))
    removed = Counter(before["sessions"]) - Counter(now["sessions"])
    return [f"removed, not archived: {name}" for name, *_ in removed if f'"username": "{name}"' not in written.decode()]


def usable(bench: Bench, before: Snapshot, _now: Snapshot) -> list[str]:
    """What is wrong with a backup that has its name: restored elsewhere, it has every session."""
    file = bench.place / "copy.db"
    if not file.exists():
        return []
    elsewhere = bench.folder / "elsewhere"
    shutil.rmtree(elsewhere, ignore_errors=True)
    elsewhere.mkdir(mode=0o700)
    place = find_home(elsewhere, elsewhere / "registry.db", bench.home / "keys.json")
    try:
        restore(place, file, note="to see whether it can be used")
        with Registry.open(elsewhere, registry=place.registry, keys=place.keys) as registry:
            there = sorted(session.username for session in registry.sessions())
    except Exception as error:  # noqa: BLE001  # whatever it is, the backup is of no use
        return [f"the backup cannot be used: {error}"]
    return [] if there == [name for name, *_ in before["sessions"]] else ["the backup is not whole"]


OPERATIONS = {
    "revoke a user": Operation(("revoke", "--user", "alice", "--note", "lost device"), "revoked 1 session", again=(0,)),
    "revoke everything": Operation(("revoke", "--all", "--yes", "--note", "breach"), "revoked 3 sessions"),
    "apply a plan": Operation(
        ("revoke", "--apply", "{place}/outlook.plan", "--yes", "--note", "retired"),
        "revoked 2 sessions",
        again=(0, 4),
        prepare=with_a_plan,
    ),
    "issue": Operation(("tokens", "issue", "--user", "erin", "--application", "A"), "registered session"),
    "end": Operation(("users", "disable", "bob", "--note", "left the company"), "disabled bob"),
    "apply": Operation(
        ("profiles", "apply", "{folder}/new.yaml", "--note", "tighter", "--yes"),
        "applied",
        files={"new.yaml": PROFILES.replace("idle_timeout: 3d", "idle_timeout: 2d")},
        halfway=("events",),
        completes=True,
        prepare=with_many_sessions,
        left=former_or_new,
    ),
    "continuity": Operation(
        ("continuity", "start", "--note", "provider down"), "continuity started for default", again=(0, 4)
    ),
    "refresh": Operation(("tokens", "refresh"), "refreshed session", stdin="{refresh}", again=(0, 5)),
    "sign out": Operation(("sessions", "end", "-"), "ended 1 session", stdin="{bob}"),
    "acknowledge a wipe": Operation(("tokens", "wipe-done"), "wipe acknowledged", stdin="{carol}"),
    "retire a key": Operation(
        ("keys", "retire", "{key}", "--compromised", "--yes", "--note", "copied"), "retired key", halfway=("keys",)
    ),
    "rotate a key": Operation(("keys", "rotate", "--note", "once more"), "now signs new tokens", halfway=("keys",)),
    "init": Operation(("--home", "{place}/new", "init"), "created", again=(0, 4), home="new"),
    "import": Operation(
        ("sessions", "import", "{folder}/rows.jsonl", "--map", "{folder}/map.yaml"),
        "done: 6 sessions registered",
        files={
            "rows.jsonl": rows(OLD, LONG_AGO).getvalue().decode(),
            "map.yaml": "fields: {username: user, application: app, at: time}\nkey: [username, application]\n",
        },
        prelude=constants("authctl.registry.imports.register", _KEYS_PER_BATCH=2),
        batch=2,
        completes=True,
    ),
    "import a complete listing": Operation(
        (
            *("sessions", "import", "{folder}/rows.jsonl", "--map", "{folder}/map.yaml", "--source", "hub"),
            *("--complete", "--taken-at", "2020-05-05", "--yes"),
        ),
        "done: 2 sessions registered",
        files={
            "rows.jsonl": rows(["old-0", "old-1", "new-0", "new-1"], LONG_AGO).getvalue().decode(),
            "map.yaml": "fields: {username: user, application: app, at: time}\nkey: [username, application]\n",
        },
        prepare=with_sessions_of_a_source,
        prelude=constants("authctl.registry.imports.register", _KEYS_PER_BATCH=2, _ENDS_PER_BATCH=2),
        batch=2,
        completes=True,
    ),
    "undo an import": Operation(
        ("imports", "undo", "2", "--note", "wrong mapping", "--yes", "-q", "-o", "ndjson"),
        '"removed": 4, "restored": 4',
        again=(0, 4),
        prepare=with_two_imports,
        prelude=constants("authctl.registry.imports.undo", _FIRST_BATCH=2, _LARGEST_BATCH=2),
        batch=2,
        completes=True,
    ),
    "cleanup": Operation(
        ("cleanup", "--batch-size", "2"), "removed 6 sessions", prepare=with_old_sessions, batch=2, completes=True
    ),
    "cleanup with an archive": Operation(
        ("cleanup", "--batch-size", "2", "--archive", "{place}/first.gz"),
        "removed 6 sessions",
        again=(0, 4),
        halfway=("beside",),
        prepare=with_old_sessions,
        batch=2,
        retry=("cleanup", "--archive", "{place}/second.gz"),
        completes=True,
        left=archived,
    ),
    "backup": Operation(
        ("backup", "{place}/copy.db"), "copied the registry to", again=(0, 4), completes=True, left=usable
    ),
    "restore": Operation(
        ("restore", "{place}/backup.db", "--note", "disk failed", "--yes"),
        "restored",
        halfway=("trusted",),
        completes=True,
    ),
    "accept an old registry": Operation(
        ("audit", "accept", "--note", "no newer one"),
        "accepted: ",
        again=(0, 4),
        halfway=("trusted",),
        prepare=with_an_old_registry,
        completes=True,
    ),
    "accept the clock": Operation(
        ("doctor", "--accept-clock", "--note", "it was ahead"),
        "the present clock is accepted",
        again=(0, 4, 9),
        codes=(0, 9),
        prepare=with_a_clock_that_was_ahead,
        completes=True,
    ),
}
FILES = {
    "init": ("new/registry.db", "new/.registry.db.", "new/keys.json", "new/profiles.yaml", "new/audit.head"),
    "import": ("home/registry.db-wal", "home/audit.head"),
    "undo an import": ("home/registry.db-wal", "home/audit.head"),
    "cleanup": ("home/registry.db-wal", "home/audit.head"),
    "cleanup with an archive": ("home/registry.db-wal", "home/audit.head", "first.gz"),
    "backup": ("home/registry.db", ".copy.db.", "copy.db"),
    "restore": (
        "home/registry.db-wal",
        "home/.registry.db.",
        "home/registry.db.replaced-",
        "home/audit.head",
        "backup.db",
    ),
}
"""What is among the files that a command has to do with; names that begin with a dot are of what is not ready yet."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A home with something of everything."""
    return Bench(tmp_path_factory.mktemp("crash"))


def placed(bench: Bench, name: str) -> Operation:
    """An operation whose files are where they are."""
    operation = OPERATIONS[name]
    key = load(bench.template / "home" / "keys.json").keys[0].id
    known = {"folder": str(bench.folder), "place": str(bench.place), "key": key, **bench.tokens}

    def filled(text: str) -> str:
        for word, value in known.items():
            text = text.replace(f"{{{word}}}", value)
        return text

    arguments, retry = (tuple(map(filled, words)) for words in (operation.arguments, operation.retry))
    return replace(operation, arguments=arguments, retry=retry, stdin=filled(operation.stdin))


class Undisturbed(NamedTuple):
    """An operation, and what there was before and after it."""

    operation: Operation
    before: Snapshot
    ran: Ran
    after: Snapshot


def undisturbed(bench: Bench, name: str) -> Undisturbed:
    """Do an operation undisturbed."""
    operation = placed(bench, name)
    bench.reset(operation)
    before = bench.snapshot(operation.home)
    ran = bench.run(operation)
    assert operation.said in ran.out + ran.err, ran.err
    assert ran.code in operation.codes, ran.err
    after = bench.snapshot(operation.home)
    assert before != after
    assert operation.left(bench, before, after) == []
    return Undisturbed(operation, before, ran, after)


@pytest.fixture(scope="module")
def known(bench: Bench) -> Callable[[str], Undisturbed]:
    """Every operation done undisturbed, once."""
    return cache(lambda name: undisturbed(bench, name))


def disturbed(bench: Bench, known: Undisturbed, calls: tuple[Call, ...], fault: str) -> dict[Call, list[str]]:
    """What is wrong after a fault at each of those calls."""
    found = {}
    for call in calls:
        ran = bench.run(known.operation, call, fault)
        wrong = faults(bench, known.operation, known.before, known.after, ran)
        if fault.startswith("error") and ran.code not in (*known.operation.codes, 6, 7, 8):
            wrong.append(f"exit {ran.code}: {ran.err[-200:]}")
        if wrong:
            found[call] = wrong
    return found


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_at_any_call_leaves_all_or_nothing(bench: Bench, known: Callable[[str], Undisturbed], name: str):
    """What was acknowledged is done, with its note and event; else it is as if nothing had been asked; and the next try works."""
    calls = known(name).ran.calls
    assert len(calls) > 20
    sys.stdout.write(f"\n{name}: {len(calls)} calls\n")
    assert disturbed(bench, known(name), calls[len(name) % STEP :: STEP], "signal=SIGKILL") == {}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "name",
    [
        "revoke a user",
        "issue",
        "rotate a key",
        "import",
        "undo an import",
        "cleanup",
        "cleanup with an archive",
        "backup",
        "restore",
    ],
)
def test_an_error_at_any_call_is_said_and_leaves_all_or_nothing(
    bench: Bench, known: Callable[[str], Undisturbed], name: str, error: str
):
    """Our own words and exit codes, no traceback; what was acknowledged is done."""
    some = known(name).ran.calls[ERRORS.index(error) * STEP % ERROR_STEP :: ERROR_STEP]
    assert disturbed(bench, known(name), some, f"error={error}") == {}


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_rows_that_cannot_be_kept_for_an_import_change_nothing(bench: Bench, error: str):
    """A temporary file that cannot be written is said, before any session is registered."""
    users = [f"{number}-{'long ' * 40}" for number in range(9_000)]
    operation = placed(bench, "import")
    operation = replace(operation, files={**operation.files, "rows.jsonl": rows(users, LONG_AGO).getvalue().decode()})
    trace = bench.run(replace(operation, arguments=(*operation.arguments, "--dry-run"))).trace
    spilled = bench.calls(trace, "authctl-import-")
    bench.reset()
    before = bench.snapshot()
    opened = [call for call in spilled if call.kind == "openat"]
    for call in (*opened, spilled[len(spilled) // 2]):
        ran = bench.run(operation, call, f"error={error}")
        assert (ran.code, "cannot be kept in a temporary file" in ran.err) == (6, True), ran.err
        assert bench.snapshot()["sessions"] == before["sessions"]


@pytest.mark.parametrize("name", FILES)
def test_the_faults_reach_every_file(bench: Bench, known: Callable[[str], Undisturbed], name: str):
    """The calls that are disturbed are on every file that the command writes or reads, drafts included."""
    ran = known(name).ran
    touched = "\n".join(line for line in ran.trace.splitlines() if f"{bench.place}/" in line)
    assert [file for file in FILES[name] if f"{bench.place}/{file}" not in touched] == []
    assert {call.kind for call in ran.calls} >= {"openat", "pwrite64", "unlink"}


def test_a_restored_registry_lets_nobody_in(known: Callable[[str], Undisturbed]):
    """What was living in the backup is over, what was revoked since included."""
    statuses = [status for _, status, *_ in known("restore").after["sessions"]]
    assert statuses
    assert "active" not in statuses


def test_nothing_is_acknowledged_before_it_is_on_the_disk(bench: Bench):
    """The log is synced after the last page of the commit, and before the word on standard error."""
    assert is_synced_before_it_is_said(bench)


def is_synced_before_it_is_said(bench: Bench) -> bool:
    """Whether the write-ahead log was synced between the commit's last write and its acknowledgement."""
    operation = placed(bench, "revoke a user")
    bench.reset()
    trace = bench.folder / "order"
    main = [
        sys.executable,
        "-P",
        "-c",
        f"{bench.seed}\nfrom authctl.__main__ import main\nmain()",
        *operation.arguments,
    ]
    command = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", "trace=pwrite64,fdatasync,fsync,write", *main]
    subprocess.run(command, env=bench.environment, capture_output=True, check=True)
    order = []
    for line in trace.read_text(errors="replace").splitlines():
        if re.search(r"pwrite64\(\d+<[^>]*registry.db-wal>", line):
            order.append("page")
        elif re.search(r"f(data)?sync\(\d+<[^>]*registry.db-wal>", line):
            order.append("sync")
        elif "revoked 1 session" in line:
            order.append("said")
    said = order.index("said")
    return "page" in order[:said] and "sync" in order[:said][len(order[:said]) - order[:said][::-1].index("page") :]


SEEDS = {
    "acknowledged before the commit": (
        "import sys, authctl.registry.revocations as r\n"
        "was = r._assign_revocation\n"
        "def early(*given):\n"
        "    done = was(*given)\n"
        "    sys.stderr.write('authctl: revoked 1 session\\n'); sys.stderr.flush()\n"
        "    return done\n"
        "r._assign_revocation = early\n"
    ),
    "two transactions": TWO_TRANSACTIONS,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_harness_finds_seeded_bugs(tmp_path: Path, seed: str):
    """A kill at every call of one revocation shows each of them."""
    bench = Bench(tmp_path)
    known = undisturbed(bench, "revoke a user")
    bench.seed = SEEDS[seed]
    calls = bench.run(known.operation).calls
    assert any(disturbed(bench, known, (call,), "signal=SIGKILL") for call in calls[::-3])


def test_the_harness_finds_a_commit_that_is_not_synced(tmp_path: Path):
    """`synchronous=NORMAL` loses acknowledged commits in a power cut: the order of the calls shows it."""
    bench = Bench(tmp_path)
    bench.seed = (
        "import authctl.store.sqlite.connections as s\n"
        "was = s.set_up\n"
        "def loosely(connection, *given, **named):\n"
        "    was(connection, *given, **named)\n"
        "    connection.execute('PRAGMA synchronous = NORMAL')\n"
        "s.set_up = loosely\n"
    )
    assert not is_synced_before_it_is_said(bench)
