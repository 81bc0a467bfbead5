"""Kills and faults at every file system call that a command makes on its files, by strace; and what must hold afterwards.

`Bench.run` runs one command in a fresh copy of a place, undisturbed, or with a signal or an error injected at one of its calls.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from authctl import Registry
from authctl.cli.exit_codes import exit_code_of
from authctl.errors import OutcomeUnknown
from authctl.key_ring import load
from authctl.registry import audit as audit_log
from authctl.registry.installation import Installation
from authctl.settings import find_home
from authctl.store import open_store

_COMPILED = TemporaryDirectory(prefix="authctl-compiled-")
"""The compiled modules of the commands: those that make the template write them, the disturbed ones do not. The numbers of the calls
would change if other processes could write them meanwhile."""

CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename,link,linkat,fallocate,mkdir,fchmod"
ROOT = Path(__file__).parents[1]
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d, continuity: true, on_revoke: wipe}
  pair: {tokens: pair}
"""


Snapshot = dict[str, Any]

TWO_TRANSACTIONS = (
    "import authctl.registry.unit_of_work as c\n"
    "was = c.UnitOfWork.record\n"
    "def apart(unit, *given, **named):\n"
    "    unit.tx.connection.execute('COMMIT'); unit.tx.connection.execute('BEGIN IMMEDIATE')\n"
    "    was(unit, *given, **named)\n"
    "c.UnitOfWork.record = apart\n"
)
"""A seeded bug, to be run before a command: the audit event is written in a transaction of its own."""


class Call(NamedTuple):
    """One file system call of a command: the n-th of its kind, as strace counts them."""

    kind: str
    number: int


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str
    calls: tuple[Call, ...] = ()
    """Those that had to do with its files."""
    trace: str = ""


def nothing(_bench: "Bench", _before: Snapshot, _now: Snapshot) -> list[str]:
    """Find nothing wrong."""
    return []


@dataclass(frozen=True)
class Operation:
    """A command that changes something, what it says when it is done, and what may be seen halfway."""

    arguments: tuple[str, ...]
    said: str
    stdin: str = ""
    again: tuple[int, ...] = (0,)
    """The exit codes of doing it once more, after it was done or not."""
    halfway: tuple[str, ...] = ()
    """What may have changed without the rest: a part of the snapshot by name."""
    files: dict[str, str] = field(default_factory=dict)
    codes: tuple[int, ...] = (0,)
    """The exit codes of doing it undisturbed."""
    home: str = "home"
    prepare: Callable[["Bench"], None] | None = None
    """What is done to the fresh place first."""
    prelude: str = ""
    """Python that runs before the command."""
    batch: int = 0
    """How many sessions each transaction changes, where there are many: those between its first event and its last."""
    retry: tuple[str, ...] = ()
    """What is said to complete it, if not the same once more."""
    completes: bool = False
    """Whether, however far it came, it comes to the same when it was done once more."""
    left: Callable[["Bench", Snapshot, Snapshot], list[str]] = nothing
    """What is wrong with what it leaves beside the home, given the snapshot before it and the present one."""


class Bench:
    """A home with something of everything and a backup beside it, and room to run commands in copies of them."""

    def __init__(self, folder: Path, seed: str = "") -> None:
        self.folder = folder
        self.place = folder / "place"
        self.home = self.place / "home"
        self.template = folder / "template"
        self.seed = seed
        (folder / "p.yaml").write_text(PROFILES)
        self.place.mkdir()
        self.plainly("init", "-q", "--profiles", str(folder / "p.yaml"))
        self.tokens = {}
        for name in ("alice", "bob", "carol"):
            who = ("tokens", "issue", "-q", "--user", name, "--application", "Outlook", "-o", "json")
            self.tokens[name] = json.loads(self.plainly(*who).out)["access_token"]
        pair = self.plainly(
            "tokens", "issue", "--user", "dora", "--application", "A", "--profile", "pair", "-o", "json"
        )
        self.tokens["refresh"] = json.loads(pair.out)["refresh_token"]
        self.plainly("backup", "-q", str(self.place / "backup.db"))
        self.plainly("revoke", "--user", "carol", "--note", "lost phone")
        self.plainly("keys", "rotate", "--note", "every year")
        self.place.rename(self.template)

    def plainly(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command as it is."""
        command = [sys.executable, "-P", "-m", "authctl", *arguments]
        ran = subprocess.run(command, input=stdin, env=self.environment, capture_output=True, text=True, check=False)
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    @property
    def environment(self) -> dict[str, str]:
        """What every command runs in."""
        here = {"AUTHCTL_HOME": str(self.home), "LOGNAME": "tester", "PYTHONPATH": str(ROOT)}
        compiled = {"PYTHONPYCACHEPREFIX": _COMPILED.name}
        if self.template.exists():
            compiled["PYTHONDONTWRITEBYTECODE"] = "1"
        return {"PATH": "/usr/bin:/bin", "SQLITE_TMPDIR": str(self.place), **compiled, **here}

    def reset(self, operation: Operation | None = None) -> None:
        """The place as it was before the operation."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.template, self.place)
        if operation and operation.prepare:
            operation.prepare(self)
        for name, text in (operation.files if operation else {}).items():
            (self.folder / name).write_text(text)

    def run(self, operation: Operation, call: Call | None = None, fault: str = "signal=SIGKILL") -> Ran:
        """Do it in a fresh copy of the place, under strace."""
        self.reset(operation)
        trace = self.folder / "trace"
        strace = ["strace", "-f", "-y", "-qq", "-o", str(trace), "-e", f"trace={CALLS}"]
        if call is None or not fault.startswith("signal"):
            strace.append("--seccomp-bpf")  # quicker, but delivers no signals
        if call is not None:
            strace += ["-e", f"inject={call.kind}:{fault}:when={call.number}"]
        seeded = f"{self.seed}\n{operation.prelude}\nfrom authctl.__main__ import main\nmain()"
        ran = subprocess.run(
            [*strace, sys.executable, "-P", "-c", seeded, *operation.arguments],
            input=operation.stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        lines = trace.read_text(errors="replace") if trace.exists() else ""
        return Ran(ran.returncode, ran.stdout, ran.stderr, self.calls(lines), lines)

    def calls(self, trace: str, name: str = "") -> tuple[Call, ...]:
        """The calls on files of the place, or on those with such a name."""
        counted: Counter[str] = Counter()
        ours = re.compile(re.escape(str(self.place)) + (f"/{name}" if name else '[/">]'))
        found = []
        for line in trace.splitlines():
            if match := re.match(r"^(?:\d+ +)?(\w+)\(", line):
                counted[match[1]] += 1
                if ours.search(line):
                    found.append(Call(match[1], counted[match[1]]))
        return tuple(found)

    def snapshot(self, home: str = "home") -> Snapshot:
        """What a home says, by noun, with nothing that differs from run to run; nothing where it has no registry."""
        folder = self.place / home
        place = find_home(folder, folder / "registry.db", folder / "keys.json")
        if not place.registry.exists():
            return {}
        installation = Installation(place, open_store(place.registry), None, lambda _text: None)
        with Registry(installation) as registry:
            head = audit_log.verify_chain(installation)
            events = [(e.action, e.note, json.loads(e.detail).get("stage")) for e in registry.audit.events()][::-1]
            sessions = sorted(
                (s.username, s.status.value, s.note or "", s.ended_by or "", s.generation, s.wipe or "")
                for s in registry.sessions()
            )
            return {
                "sessions": sessions,
                "events": events,
                "keys": [key.state.value for key in load(place.keys).keys],
                "profiles": registry.profiles.in_force().to_document(),
                "disabled": [u.user.username for u in registry.users.list() if u.user.disabled_at is not None],
                "continuity": len(registry.continuity.status()),
                "whole": head.seq == len(events),
                "trusted": installation.head.is_reached(),
                "beside": sorted(path.name for path in self.place.iterdir() if path.suffix in (".db", ".gz")),
            }


def constants(module: str, **values: int) -> str:
    """Code that sets constants of a module, for a new process. It fails if the module has no such constant."""
    return f"import {module} as module\n" + "".join(
        f"module.{name}; module.{name} = {value}\n" for name, value in values.items()
    )


def faults(bench: Bench, operation: Operation, before: Snapshot, after: Snapshot, ran: Ran) -> list[str]:
    """What is wrong after a disturbed run: an acknowledgement without the operation, half of it, or damage that needs repair."""
    found = []
    if "unexpected failure" in ran.err or "Traceback" in ran.err:
        found.append(f"unexpected: {ran.err[-300:]}")
    open_to_others = [str(path) for path in bench.place.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    found += [f"open to others: {open_to_others}"] if open_to_others else []
    try:
        now = bench.snapshot(operation.home)
    except Exception as error:  # noqa: BLE001  # whatever it is, the home needs repair
        return [*found, f"damaged: {error}"]
    acknowledged = operation.said in ran.out + ran.err
    if acknowledged and now != after:
        found.append("acknowledged and not done")
    rest, *wholes = (_without(snapshot, operation.halfway) for snapshot in (now, before, after))
    if rest not in wholes and not (operation.batch and _is_part_of(rest, *wholes, operation.batch)):
        mixed = [name for name in rest if rest[name] not in (before.get(name), after.get(name))]
        found.append(f"half: {mixed or 'parts of both'}")
    if ran.code == exit_code_of(OutcomeUnknown) and rest != wholes[1]:
        found.append(f"said to be done, and is not: {ran.err[-200:]}")
    found += operation.left(bench, before, now)
    again = bench.plainly(*operation.arguments, stdin=operation.stdin)
    if again.code not in operation.again:
        found.append(f"once more: {again.code} {again.err[-200:]}")
    if operation.retry and (retried := bench.plainly(*operation.retry, stdin=operation.stdin)).code != 0:
        found.append(f"to complete it: {retried.code} {retried.err[-200:]}")
    if operation.completes:
        found += _incomplete(bench, operation, before, after)
    return found


def _incomplete(bench: Bench, operation: Operation, before: Snapshot, after: Snapshot) -> list[str]:
    """What is wrong once it was done again."""
    try:
        now = bench.snapshot(operation.home)
    except Exception as error:  # noqa: BLE001
        return [f"damaged by doing it once more: {error}"]
    counts = ("events", "beside")
    same = _without(now, counts) == _without(after, counts)
    return [*operation.left(bench, before, now), *([] if same else ["once more does not complete it"])]


def _without(snapshot: Snapshot, parts: tuple[str, ...]) -> Snapshot:
    return {name: part for name, part in snapshot.items() if name not in parts}


def _is_part_of(now: Snapshot, before: Snapshot, after: Snapshot, batch: int) -> bool:
    """Whether an operation has begun, with its event, and whole batches of it are done."""
    changes, done = (_changed(one["sessions"], before["sessions"]) for one in (after, now))
    begun = now["events"] == after["events"][: len(before["events"]) + 1]
    rest = ("events", "sessions")
    return begun and done <= changes and done.total() % batch == 0 and _without(now, rest) == _without(before, rest)


def _changed(some: list[Any], others: list[Any]) -> Counter[Any]:
    here, there = Counter(some), Counter(others)
    return (here - there) + (there - here)
