"""Kills and faults at every file system call that a command makes in its home, by strace; and what must hold afterwards.

`Bench.run` runs one command in a fresh copy of a home, undisturbed, or with a signal or an error injected at its n-th call.
"""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from authctl import Registry
from authctl.keys import load

CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename,link,linkat,fallocate,mkdir,fchmod"
NAMES = (
    "",
    "registry.db",
    "registry.db-wal",
    "registry.db-shm",
    "registry.db-reserve",
    "keys.json",
    "profiles.yaml",
    "audit.head",
)
ROOT = Path(__file__).parents[1]
PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d, continuity: true, on_revoke: wipe}
  pair: {tokens: pair}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str
    trace: str

    @property
    def calls(self) -> int:
        """How many file system calls in its home it made."""
        return sum(1 for line in self.trace.splitlines() if re.match(r"^(?:\d+ +)?\w+\(", line))


@dataclass(frozen=True)
class Deed:
    """A command that changes something, what it says when it is done, and what may be seen halfway."""

    arguments: tuple[str, ...]
    said: str
    stdin: str = ""
    again: tuple[int, ...] = (0,)
    """The exit codes of doing it once more, after it was done or not."""
    halfway: tuple[str, ...] = ()
    """What may have changed without the rest: a part of the snapshot by name, or the beginning of many transactions."""
    files: dict[str, str] = field(default_factory=dict)


class Bench:
    """A home with something of everything, and room to run commands in copies of it."""

    def __init__(self, folder: Path, seed: str = "") -> None:
        self.folder = folder
        self.home = folder / "home"
        self.template = folder / "template"
        self.seed = seed
        (folder / "p.yaml").write_text(PROFILES)
        self.plainly("init", "-q", "--profiles", str(folder / "p.yaml"))
        self.tokens = {}
        for name in ("alice", "bob", "carol"):
            who = ("tokens", "issue", "-q", "--user", name, "--application", "Outlook", "-o", "json")
            self.tokens[name] = json.loads(self.plainly(*who).out)["access_token"]
        pair = self.plainly(
            "tokens", "issue", "--user", "dora", "--application", "A", "--profile", "pair", "-o", "json"
        )
        self.tokens["refresh"] = json.loads(pair.out)["refresh_token"]
        self.plainly("revoke", "--user", "carol", "--note", "lost phone")
        self.plainly("keys", "rotate", "--note", "every year")
        self.home.rename(self.template)

    def plainly(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command as it is."""
        command = [sys.executable, "-P", "-m", "authctl", *arguments]
        ran = subprocess.run(command, input=stdin, env=self.environment, capture_output=True, text=True, check=False)
        return Ran(ran.returncode, ran.stdout, ran.stderr, "")

    @property
    def environment(self) -> dict[str, str]:
        """What every command runs in."""
        here = {"AUTHCTL_HOME": str(self.home), "LOGNAME": "tester", "PYTHONPATH": str(ROOT)}
        return {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **here}

    def fresh(self) -> None:
        """The home as it was before the deed."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.template, self.home)

    def run(self, deed: Deed, inject: str | None = None) -> Ran:
        """Do it in a fresh copy of the home, under strace."""
        self.fresh()
        for name, text in deed.files.items():
            (self.folder / name).write_text(text)
        paths = [part for name in NAMES for part in ("-P", str(self.home / name) if name else str(self.home))]
        trace = self.folder / "trace"
        strace = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={CALLS}", *paths]
        if inject is not None:
            strace += ["-e", f"inject={CALLS}:{inject}"]
        main = [sys.executable, "-P", "-c", f"{self.seed}\nfrom authctl.cli.app import main\nmain()", *deed.arguments]
        ran = subprocess.run(
            [*strace, *main],
            input=deed.stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr, trace.read_text() if trace.exists() else "")

    def snapshot(self) -> dict[str, Any]:
        """What the home says: by noun, with nothing that differs from run to run."""
        with Registry.open(self.home, registry=self.home / "registry.db") as registry:
            head = registry.verify_audit()
            events = [(e.action, e.note) for e in registry.events()]
            sessions = sorted(
                (s.username, s.status.value, s.note or "", s.ended_by or "", s.generation, s.wipe or "")
                for s in registry.sessions()
            )
            return {
                "sessions": sessions,
                "events": sorted(events, key=str),
                "keys": [key.state.value for key in load(self.home / "keys.json").keys],
                "profiles": registry.profiles().to_document(),
                "disabled": [u.user.username for u in registry.users() if u.user.disabled_at is not None],
                "continuity": len(registry.continuity()),
                "whole": head.seq == len(events),
            }


def faults(bench: Bench, deed: Deed, before: dict[str, Any], after: dict[str, Any], ran: Ran) -> list[str]:
    """What is wrong after a disturbed run: an acknowledgement without the deed, half of it, or damage that needs repair."""
    found = []
    if "unexpected failure" in ran.err or "Traceback" in ran.err:
        found.append(f"unexpected: {ran.err[-300:]}")
    try:
        now = bench.snapshot()
    except Exception as error:  # noqa: BLE001  # whatever it is, the home needs repair
        return [*found, f"damaged: {error}"]
    acknowledged = deed.said in ran.out + ran.err
    if acknowledged and now != after:
        found.append("acknowledged and not done")
    rest = {name: part for name, part in now.items() if name not in deed.halfway}
    if not any(
        rest == {name: part for name, part in whole.items() if name not in deed.halfway} for whole in (before, after)
    ):
        found.append(
            f"half: {[name for name in rest if rest[name] not in (before[name], after[name])] or 'parts of both'}"
        )
    again = bench.plainly(*deed.arguments, stdin=deed.stdin)
    if again.code not in deed.again:
        found.append(f"once more: {again.code} {again.err[-200:]}")
    return found
