"""Commands killed, and failed, at the file system calls that they make: never half, never acknowledged and lost.

A few of the calls in CI; every one by `make crash`. The harness itself has to find seeded bugs.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from authctl.keys import load
from tests.crash import PROFILES, Bench, Deed, faults

STEP = int(os.environ.get("AUTHCTL_CRASH_STEP", "29"))
ERRORS = ("EIO", "ENOSPC", "EROFS")


def _traces() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _traces(), reason="needs strace, and the right to trace")

DEEDS = {
    "revoke a user": Deed(("revoke", "--user", "alice", "--note", "lost device"), "revoked 1 session", again=(0,)),
    "revoke everything": Deed(("revoke", "--all", "--yes", "--note", "breach"), "revoked 3 sessions"),
    "issue": Deed(("tokens", "issue", "--user", "erin", "--application", "A"), "registered session"),
    "end": Deed(("users", "disable", "bob", "--note", "left the company"), "disabled bob"),
    "apply": Deed(
        ("profiles", "apply", "{folder}/new.yaml", "--note", "tighter", "--yes"),
        "applied",
        files={"new.yaml": PROFILES.replace("idle_timeout: 3d", "idle_timeout: 2d")},
    ),
    "continuity": Deed(("continuity", "start", "--note", "provider down"), "holding default", again=(0, 4)),
    "refresh": Deed(("tokens", "refresh"), "refreshed session", stdin="{refresh}", again=(0, 5)),
    "sign out": Deed(("sessions", "end", "-"), "ended 1 session", stdin="{bob}"),
    "acknowledge a wipe": Deed(("tokens", "wipe-done"), "wipe acknowledged", stdin="{carol}"),
    "retire a key": Deed(
        ("keys", "retire", "{key}", "--compromised", "--yes", "--note", "copied"), "retired key", halfway=("keys",)
    ),
    "rotate a key": Deed(("keys", "rotate", "--note", "once more"), "signs from now on", halfway=("keys",)),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A home with something of everything."""
    return Bench(tmp_path_factory.mktemp("crash"))


def placed(bench: Bench, name: str) -> Deed:
    """A deed whose files are where they are."""
    deed = DEEDS[name]
    known = {"folder": bench.folder, "key": load(bench.template / "keys.json").keys[0].id, **bench.tokens}
    arguments, stdin = list(deed.arguments), deed.stdin
    for word, value in known.items():
        arguments = [part.replace(f"{{{word}}}", str(value)) for part in arguments]
        stdin = stdin.replace(f"{{{word}}}", str(value))
    return Deed(tuple(arguments), deed.said, stdin, deed.again, deed.halfway, deed.files)


@pytest.mark.parametrize("name", DEEDS)
def test_a_kill_at_any_call_leaves_all_or_nothing(bench: Bench, name: str):
    """What was acknowledged is done, with its note and event; else it is as if nothing had been asked; and the next try works."""
    deed = placed(bench, name)
    bench.fresh()
    before = bench.snapshot()
    undisturbed = bench.run(deed)
    assert (undisturbed.code, deed.said in undisturbed.out + undisturbed.err) == (0, True), undisturbed.err
    after = bench.snapshot()
    assert before != after
    assert undisturbed.calls > 20
    found = {}
    for call in range(1 + len(name) % STEP, undisturbed.calls + 1, STEP):
        ran = bench.run(deed, f"signal=SIGKILL:when={call}")
        if wrong := faults(bench, deed, before, after, ran):
            found[call] = wrong
    assert found == {}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["revoke a user", "issue", "rotate a key"])
def test_an_error_at_any_call_is_said_and_leaves_all_or_nothing(bench: Bench, name: str, error: str):
    """Our own words and exit codes, no traceback; what was acknowledged is done."""
    deed = placed(bench, name)
    bench.fresh()
    before = bench.snapshot()
    undisturbed = bench.run(deed)
    after = bench.snapshot()
    found = {}
    for call in range(2, undisturbed.calls + 1, STEP):
        ran = bench.run(deed, f"error={error}:when={call}")
        wrong = faults(bench, deed, before, after, ran)
        if ran.code not in (0, 6, 7, 8):
            wrong.append(f"exit {ran.code}: {ran.err[-200:]}")
        if wrong:
            found[call] = wrong
    assert found == {}


def test_nothing_is_acknowledged_before_it_is_on_the_disk(bench: Bench):
    """The log is synced after the last page of the commit, and before the word on standard error."""
    assert is_synced_before_it_is_said(bench)


def is_synced_before_it_is_said(bench: Bench) -> bool:
    """Whether the write-ahead log was synced between the commit's last write and its acknowledgement."""
    deed = placed(bench, "revoke a user")
    bench.fresh()
    trace = bench.folder / "order"
    main = [sys.executable, "-P", "-c", f"{bench.seed}\nfrom authctl.cli.app import main\nmain()", *deed.arguments]
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
        "was = r._assign\n"
        "def early(*given):\n"
        "    done = was(*given)\n"
        "    sys.stderr.write('authctl: revoked 1 session\\n'); sys.stderr.flush()\n"
        "    return done\n"
        "r._assign = early\n"
    ),
    "two transactions": (
        "import authctl.registry.core as c\n"
        "was = c.Unit.record\n"
        "def apart(unit, *given, **named):\n"
        "    unit.tx.connection.execute('COMMIT'); unit.tx.connection.execute('BEGIN IMMEDIATE')\n"
        "    was(unit, *given, **named)\n"
        "c.Unit.record = apart\n"
    ),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_harness_finds_seeded_bugs(tmp_path: Path, seed: str):
    """A kill at every call of one revocation shows each of them."""
    bench = Bench(tmp_path)
    deed = placed(bench, "revoke a user")
    bench.fresh()
    before = bench.snapshot()
    undisturbed = bench.run(deed)
    after = bench.snapshot()
    bench.seed = SEEDS[seed]
    found = []
    for call in range(undisturbed.calls + 6, 0, -5):
        ran = bench.run(deed, f"signal=SIGKILL:when={call}")
        found += faults(bench, deed, before, after, ran)
        if found:
            break
    assert found


def test_the_harness_finds_a_commit_that_is_not_synced(tmp_path: Path):
    """`synchronous=NORMAL` loses acknowledged commits in a power cut: the order of the calls shows it."""
    bench = Bench(tmp_path)
    bench.seed = (
        "import authctl.store.sqlite as s\n"
        "was = s._set_up\n"
        "def loosely(connection, *given, **named):\n"
        "    was(connection, *given, **named)\n"
        "    connection.execute('PRAGMA synchronous = NORMAL')\n"
        "s._set_up = loosely\n"
    )
    assert not is_synced_before_it_is_said(bench)
