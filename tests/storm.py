"""One process of those that tests/test_processes.py lets loose on one registry: `storm.py PART HOME [ARGUMENT...]`.

It says `ready`, waits for the instant to begin at on standard input, plays its part, and prints what it came to as JSON.
What a storm does is in `HOME/operations-NUMBER`: a line when an operation begins and one when it is acknowledged, so that a kill loses none.
Instants are microseconds since 1970, as the registry's own.
"""

import fcntl
import io
import json
import random
import select
import sys
import time
import traceback
from collections import deque
from itertools import islice
from pathlib import Path

from authctl import NotFound, Registry, SessionFilter, TokenInvalid
from authctl.cli.app import run
from authctl.import_mappings import read_mapping
from authctl.instants import format_instant
from authctl.profiles import read

MAP = read_mapping(b"fields: {username: user, application: app, at: time}\nkey: [username, application]\n", "map.yaml")
PROFILES = """\
version: 1
retention: 2s
default_profile: usual
assignments:
  - {{user: "busy-*", profile: busy}}
  - {{user: "brief-*", profile: brief}}
profiles:
  usual: {{idle_timeout: {usual}}}
  busy: {{idle_timeout: {busy}}}
  brief: {{absolute_timeout: 1s}}
"""
VARIANTS = [PROFILES.format(usual="3d", busy="20s"), PROFILES.format(usual="2d", busy="30s")]
WEIGHTS = {
    "issue": 300,
    "verify": 350,
    "revoke_ids": 50,
    "revoke_user": 40,
    "revoke_all": 6,
    "end": 50,
    "import_rows": 15,
    "apply": 10,
    "clean_up": 20,
    "list_some": 40,
    "show": 60,
    "audit": 5,
}
"""How often each operation is done, in proportion."""

GROUPS = {"user": 10, "kept": 6, "busy": 4, "brief": 2}
"""Whose sessions there are, in proportion; those of `kept` end only when everything is revoked."""

_KNOWN = 400
_LISTED = 150


def microseconds() -> int:
    """The time."""
    return time.time_ns() // 1000


def rows(users: list[str], at: int) -> io.BytesIO:
    """An export with a session for each user."""
    lines = [json.dumps({"user": user, "app": "Outlook", "time": format_instant(at)}) for user in users]
    return io.BytesIO("\n".join(lines).encode())


def imported_users(by: str, operation: int) -> list[str]:
    """Whose sessions an operation of a process imports."""
    return [f"import-{by.rsplit(maxsplit=1)[-1]}-{operation}-{number}" for number in range(20)]


class Process:
    """Does one random operation after the other and writes each down; learns of the others' tokens from a common file."""

    def __init__(self, registry: Registry, number: int, home: Path) -> None:
        self.registry = registry
        self.name = f"process {number}"
        self.random = random.Random(number)
        self.operations = 0
        self.written = (home / f"operations-{number}").open("ab", buffering=0)
        self.known: deque[tuple[str, str, str]] = deque(maxlen=_KNOWN)
        self.urgent: deque[tuple[str, str, str]] = deque(maxlen=8)
        self.published = (home / "issued").open("ab", buffering=0)
        self.heard = (home / "issued").open("rb")
        self.half_heard = b""
        self.imported: tuple[list[str], int] | None = None

    def rage(self, seconds: float) -> int:
        """Do operations for so long; how many."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.listen()
            (kind,) = self.random.choices([*WEIGHTS], [*WEIGHTS.values()])
            operation = {"kind": kind, "by": self.name, "number": self.operations, "began": microseconds()}
            self.write_down(operation)
            try:
                said = getattr(self, kind)()
            except Exception as error:  # noqa: BLE001
                last = traceback.extract_tb(error.__traceback__)[-1]
                said = {"error": f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"}
            acked = microseconds()
            self.write_down({**operation, "acked": acked, **(said or {"kind": "nothing"})})
            self.operations += 1
        return self.operations

    def write_down(self, operation: dict) -> None:
        """Write a line that is kept whatever happens to this process."""
        self.written.write(f"{json.dumps(operation)}\n".encode())

    def listen(self) -> None:
        """Learn of tokens that were issued since; a line may be read before it is whole."""
        *lines, self.half_heard = (self.half_heard + self.heard.read()).split(b"\n")
        self.known += [tuple(json.loads(line)) for line in lines]

    def issue(self) -> dict:
        """Register a session, and tell the others."""
        (group,) = self.random.choices([*GROUPS], [*GROUPS.values()])
        user = f"{group}-{self.random.randrange(4)}"
        issued = self.registry.issue(username=user, application="Outlook", actor=self.name)
        line = json.dumps([issued.session.id, user, issued.access_token])
        self.published.write(f"{line}\n".encode())
        return {"id": issued.session.id, "user": user}

    def verify(self) -> dict | None:
        """Check a token: one that this process just saw revoked or ended, or any."""
        if not self.known:
            return None
        session_id, _, token = self.urgent.popleft() if self.urgent else self.random.choice(self.known)
        try:
            found = self.registry.verify(token)
        except TokenInvalid as refused:
            return {"id": session_id, "answer": type(refused).__name__}
        return {"id": found.id, "answer": "good"}

    def revoke_ids(self) -> dict | None:
        """Revoke one to four sessions."""
        spared = {session_id for session_id, user, _ in self.known if user.startswith("kept")}
        ids = {session_id for session_id, _, _ in self.known} - spared
        some = self.random.sample(sorted(ids), min(len(ids), self.random.randint(1, 4)))
        return self.revoked(SessionFilter(ids=tuple(some))) if some else None

    def revoke_user(self) -> dict:
        """Revoke a user's sessions."""
        return self.revoked(
            SessionFilter(username=f"{self.random.choice(['user', 'busy'])}-{self.random.randrange(4)}")
        )

    def revoke_all(self) -> dict:
        """Revoke everything, now and then sparing a session."""
        kept = [session_id for session_id, user, _ in self.known if user.startswith("kept")]
        spared = (self.random.choice(kept),) if kept and self.random.random() < 0.4 else ()
        try:
            return self.revoked(SessionFilter(everything=True, except_ids=spared))
        except NotFound:
            return {"gone": spared[0], "revocation": None}

    def revoked(self, selection: SessionFilter) -> dict:
        """Revoke with a note of its own."""
        note = f"{self.name}, operation {self.operations}"
        outcome = self.registry.revoke(selection, note=note, actor=self.name)
        newly = [one.id for one in outcome.sessions if one.status_before != "revoked"]
        over = [one.id for one in outcome.sessions if one.status_before == "revoked"]
        self.urgent += [one for one in self.known if one[0] in newly]
        return {
            "revocation": outcome.revocation_id,
            "note": note,
            "at": outcome.at,
            "counts": [outcome.selected, outcome.revoked, outcome.already_revoked],
            "newly": newly,
            "over": over,
            "unknown": list(outcome.not_found),
            "everything": selection.everything,
        }

    def end(self) -> dict | None:
        """Sign out a session, by its id or its token."""
        mine = [one for one in self.known if not one[1].startswith("kept")]
        if not mine:
            return None
        chosen = self.random.choice(mine)
        outcome = self.registry.end([self.random.choice([chosen[0], chosen[2]])], actor=self.name)
        self.urgent += [chosen] if outcome.ended else []
        return {"id": chosen[0], "ended": outcome.ended, "over": outcome.already_ended, "gone": bool(outcome.not_found)}

    def import_rows(self) -> dict:
        """Register twenty imported sessions, or the same ones once more."""
        again = self.imported is not None and self.random.random() < 0.4
        if not again:
            self.imported = (imported_users(self.name, self.operations), microseconds())
        assert self.imported
        outcome = self.registry.imports.run(rows(*self.imported), MAP, actor=self.name)
        return {
            "again": again,
            "users": self.imported[0],
            "row": self.imported[1],
            "counts": [outcome.registered, outcome.updated, outcome.unchanged],
        }

    def apply(self) -> dict:
        """Put one of two sets of profiles in force."""
        wanted = read(self.random.choice(VARIANTS).encode(), "profiles.yaml")
        note = f"{self.name}, operation {self.operations}"
        self.registry.profiles.apply(wanted, note=note, actor=self.name)
        return {"note": note}

    def clean_up(self) -> dict:
        """Remove what may go."""
        batch = self.random.choice([None, 10, 100])
        return {"removed": self.registry.cleanup.run(batch_size=batch, actor=self.name).removed}

    def list_some(self) -> dict:
        """Read the beginning of a list."""
        selection = SessionFilter(status=self.random.choice([(), ("active",), ("expired",), ("revoked",)]))
        listed = islice(self.registry.sessions(selection), _LISTED)
        return {"seen": [[one.id, one.username, one.status.value, one.note] for one in listed]}

    def show(self) -> dict | None:
        """Read a session."""
        if not self.known:
            return None
        session_id = self.random.choice(self.known)[0]
        try:
            found = self.registry.session(session_id)
        except NotFound:
            return {"gone": session_id}
        return {"seen": [[found.id, found.username, found.status.value, found.note]]}

    def audit(self) -> dict:
        """Walk the audit chain."""
        return {"seq": self.registry.audit.verify().seq}


def storm(home: str, number: str, seconds: str) -> int:
    """Open the registry and do operations for so long."""
    with Registry.open(home) as registry:
        return Process(registry, int(number), Path(home)).rage(float(seconds))


def first_use(home: str) -> str:
    """Use a registry for the first time."""
    with Registry.open(home) as registry:
        issued = registry.issue(username="alice", application="Outlook")
        return registry.verify(issued.access_token).id


def init(home: str, rounds: str) -> list[int]:
    """Run `authctl init` in one folder after the other, a tenth of a second apart; the exit codes."""
    began = time.monotonic()
    codes = []
    for number in range(int(rounds)):
        while time.monotonic() < began + number / 10:
            pass
        codes.append(run(["--home", f"{home}/{number}", "init", "-q"]))
    return codes


def clean_up(home: str, batch_size: str) -> int:
    """Clean up; how many it removed."""
    with Registry.open(home) as registry:
        return registry.cleanup.run(batch_size=int(batch_size)).removed


def say(what: str) -> None:
    """Tell whoever started this process how far it is."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def leave_open(home: str) -> int:
    """Begin to read a list, and finish it when told; how many it had."""
    with Registry.open(home) as registry:
        listed = registry.sessions()
        next(listed)
        say("reading")
        sys.stdin.readline()
        return 1 + sum(1 for _ in listed)


def list_on(home: str) -> int:
    """Read one list after the other, and say so once the first was read, until told to stop; how many sessions they had."""
    with Registry.open(home) as registry:
        listed = sum(1 for _ in registry.sessions())
        say("reading")
        while not select.select([sys.stdin], [], [], 0)[0]:
            listed += sum(1 for _ in registry.sessions())
    return listed


def empty_log(home: str) -> int:
    """Hold what SQLite holds while it empties a write-ahead log (sqlite.org/walformat.html, WAL_CKPT_LOCK), until told to let go."""
    with (Path(home) / "registry.db-shm").open("r+b") as index:
        fcntl.lockf(index, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 121)
        say("emptying")
        sys.stdin.readline()
    return 0


PARTS = {part.__name__: part for part in (storm, first_use, init, clean_up, leave_open, list_on, empty_log)}


def main(part: str, *arguments: str) -> None:
    """Wait for the start, play the part, print the result."""
    say("ready")
    start = float(sys.stdin.readline())
    while time.monotonic() < start:
        pass
    sys.stdout.write(json.dumps(PARTS[part](*arguments)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
