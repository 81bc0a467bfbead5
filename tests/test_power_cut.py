"""A power cut after the acknowledgement: the recorded calls of a command are replayed, and what was not synced by then is lost.

Of every file what was written up to its last sync is there; of what came after, each write is there, torn at a sector or missing, by chance.
A new name is there for sure once its directory was synced, whatever was synced of the file itself.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.crash import Bench, Operation
from tests.test_crash import needs_strace

TRIALS = int(os.environ.get("AUTHCTL_POWER_CUTS", "60"))
pytestmark = [pytest.mark.slow, needs_strace]
SECTOR = 512
_APPEND = re.compile(r'(?<!p)write\(\d+<([^>]+)>, "((?:\\x[0-9a-f]{2})*)"')
_WRITE = re.compile(r'pwrite64\(\d+<([^>]+)>, "((?:\\x[0-9a-f]{2})*)", \d+, (\d+)\)')
_CUT = re.compile(r"ftruncate\(\d+<([^>]+)>, (\d+)\)")
_SYNC = re.compile(r"f(?:data)?sync\(\d+<([^>]+)>\)")
_UNLINK = re.compile(r'unlink\("((?:\\x[0-9a-f]{2})*)"\)')
_RENAME = re.compile(r'rename\("((?:\\x[0-9a-f]{2})*)", "((?:\\x[0-9a-f]{2})*)"\)')
_SAID = re.compile(r'write\(2<[^>]*>, "((?:\\x[0-9a-f]{2})*)"')

LOOSELY = (
    "import authctl.store.sqlite.connections as s\n"
    "was = s.set_up\n"
    "def loosely(connection, *given, **named):\n"
    "    was(connection, *given, **named)\n"
    "    connection.execute('PRAGMA synchronous = NORMAL')\n"
    "s.set_up = loosely\n"
)


UNSYNCED = (
    "import authctl.files as f\n"
    "was = f.{name}\n"
    "def loosely(*given):\n"
    "    sync, f.os.fsync = f.os.fsync, lambda descriptor: None\n"
    "    try:\n"
    "        was(*given)\n"
    "    finally:\n"
    "        f.os.fsync = sync\n"
    "f.{name} = loosely\n"
)
"""A bug, to be run before a command: what that function of `files` writes is not synced."""


class Call(NamedTuple):
    """One recorded call on a file of the home."""

    kind: str
    file: str
    data: bytes = b""
    offset: int | None = 0
    """None for what is added at the end."""
    name: str = ""
    """The new name of a file that is renamed."""

    @property
    def synced(self) -> str:
        """What has to be synced after the call, for it to last: the file, or the directory of its new name."""
        return str(Path(self.name).parent) if self.kind == "rename" else self.file


def unescaped(text: str) -> bytes:
    """What strace wrote in hexadecimal."""
    return bytes.fromhex(text.replace("\\x", ""))


def recorded(bench: Bench, arguments: tuple[str, ...], said: bytes) -> tuple[list[Call], int]:
    """The calls of a command in its home, in order, and at which of them it had said that it was done."""
    bench.reset()
    trace = bench.folder / "calls"
    main = [sys.executable, "-P", "-c", f"{bench.seed}\nfrom authctl.__main__ import main\nmain()", *arguments]
    calls = "trace=pwrite64,ftruncate,fsync,fdatasync,unlink,rename,write"
    command = ["strace", "-f", "-qq", "-y", "-xx", "-s", "200000", "-o", str(trace), "-e", calls, *main]
    subprocess.run(command, env=bench.environment, capture_output=True, check=True)
    found: list[Call] = []
    acknowledged = -1
    for line in trace.read_text().splitlines():
        if match := _SAID.search(line):
            acknowledged = len(found) if said in unescaped(match[1]) and acknowledged < 0 else acknowledged
        elif match := _WRITE.search(line):
            found.append(Call("write", unescaped(match[1]).decode(), unescaped(match[2]), int(match[3])))
        elif match := _APPEND.search(line):
            found.append(Call("write", unescaped(match[1]).decode(), unescaped(match[2]), None))
        elif match := _CUT.search(line):
            found.append(Call("cut", unescaped(match[1]).decode(), offset=int(match[2])))
        elif match := _SYNC.search(line):
            found.append(Call("sync", unescaped(match[1]).decode()))
        elif match := _UNLINK.search(line):
            found.append(Call("unlink", unescaped(match[1]).decode()))
        elif match := _RENAME.search(line):
            found.append(Call("rename", unescaped(match[1]).decode(), name=unescaped(match[2]).decode()))
    home = bench.home
    before = sum(Path(call.file).is_relative_to(home) for call in found[: max(0, acknowledged)])
    assert acknowledged >= 0
    assert {call.kind for call in found} >= {"write", "cut", "sync", "unlink"}
    return [call for call in found if Path(call.file).is_relative_to(home)], before


def after_the_cut(bench: Bench, calls: list[Call], chance: random.Random) -> None:
    """The home as the disk has it: what was synced, and of the rest what chance leaves."""
    bench.reset()
    synced = {call.file: n for n, call in enumerate(calls) if call.kind == "sync"}
    for n, call in enumerate(calls):
        path = Path(call.file)
        is_sure = n < synced.get(call.synced, -1)
        if call.file.endswith("-shm") or call.kind == "sync" or not (is_sure or chance.random() < 0.5):
            continue
        if call.kind == "unlink":
            path.unlink(missing_ok=True)
            continue
        content = bytearray(path.read_bytes() if path.exists() else b"")
        offset = len(content) if call.offset is None else call.offset
        if call.kind == "cut":
            content = content[:offset].ljust(offset, b"\0")
        elif call.kind == "write":
            torn = -offset % SECTOR or SECTOR
            data = call.data if is_sure or chance.random() < 0.75 else call.data[:torn]
            content = content.ljust(offset, b"\0")
            content[offset : offset + len(data)] = data
        path.touch(0o600)
        path.write_bytes(content)
        if call.kind == "rename":  # what was not written of the file is missing under its new name, too
            path.rename(call.name)
    Path(f"{bench.home}/registry.db-shm").unlink(missing_ok=True)


REVOKE = ("revoke", "--user", "alice", "--note", "lost device")


ROTATE = ("keys", "rotate", "--note", "every year")
ROTATED = b"now signs new tokens"


def lost(bench: Bench, arguments: tuple[str, ...] = REVOKE, word: bytes = b"revoked 1 session") -> int:
    """How often, of many power cuts after the word, the operation was not there as it had been acknowledged."""
    calls, said = recorded(bench, arguments, word)
    owed = bench.snapshot()
    chance = random.Random(20_260_302)
    missed = 0
    for _ in range(TRIALS):
        after_the_cut(bench, calls[: chance.randint(said, len(calls))], chance)
        try:
            missed += bench.snapshot() != owed
        except Exception:  # noqa: BLE001  # whatever it is, the operation cannot be found
            missed += 1
    return missed


def test_a2_what_was_acknowledged_survives_a_power_cut(tmp_path: Path):
    """Whatever of the unsynced writes reached the disk: the revocation, its note and its event are there."""
    assert lost(Bench(tmp_path)) == 0


def test_a2_the_replay_finds_a_commit_that_is_not_synced(tmp_path: Path):
    """With `synchronous=NORMAL` an acknowledged revocation is lost now and then."""
    bench = Bench(tmp_path)
    bench.seed = LOOSELY
    assert lost(bench) > 0
    shutil.rmtree(bench.home)


class KeysApart(Bench):
    """The same with the key ring in a folder of its own: SQLite syncs the one of its log, and with it the names of others."""

    def reset(self, operation: Operation | None = None) -> None:
        """The place as it was before the operation."""
        super().reset(operation)
        ring, here = self.home / "ring" / "keys.json", self.home / "keys.json"
        ring.parent.mkdir(0o700)
        here.rename(ring)
        here.symlink_to(ring)


@pytest.mark.parametrize("forgets", ["", "sync_directory", "_fill"])
def test_the_directory_is_synced_after_the_key_ring_is_replaced(tmp_path: Path, forgets: str):
    """A rotation that was acknowledged has its new key; the replay finds a name, and a content, that is not synced."""
    bench = KeysApart(tmp_path)
    bench.seed = UNSYNCED.format(name=forgets) if forgets else ""
    calls, said = recorded(bench, ROTATE, ROTATED)
    assert [Path(call.name).name for call in calls[:said] if call.kind == "rename"] == ["keys.json"]
    assert bool(lost(bench, ROTATE, ROTATED)) is bool(forgets)
