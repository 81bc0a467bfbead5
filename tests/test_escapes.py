"""No session escapes a revocation of everything, or the disabling of its user, and none is born revoked: many processes at once.

On SQLite, and on PostgreSQL where a server can be had (`make postgres-storm` for minutes). On PostgreSQL four wrong schemes are
seen to fail, as they did when the right one was looked for.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.registry_locations import Location
from authctl.settings import find_home
from tests.escapes import judge
from tests.postgres_server import why_not

SECONDS = float(os.environ.get("AUTHCTL_ESCAPE_SECONDS", "4"))
CAST = {"Issuer": 6, "Revoker": 2, "Disabler": 1, "Cleaner": 1}
BROKEN = ("escaped", "born_revoked", "late_note", "dangling", "disable_escaped")
ROOT = Path(__file__).parents[1]


def play(home: Path, location: Location, seconds: float, scheme: str = "right") -> dict[str, int]:
    """Let all of them loose for so long, each host in a home of its own; how often each promise was broken."""
    hosts = [home, *(_other_host(home, number) for number in range(2))]
    cast = [role for role, count in CAST.items() for _ in range(count)]
    processes = []
    for number, role in enumerate(cast):
        host = hosts[number % 3] if isinstance(location, str) else home
        command = [
            sys.executable,
            "-m",
            "tests.escapes",
            role,
            str(host),
            str(location),
            str(seconds),
            str(number),
            scheme,
        ]
        processes.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    try:
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        done: list[dict[str, Any]] = []
        for process in processes:
            out, _ = process.communicate(timeout=seconds + 120)
            # Under a wrong scheme the server may end a change, as by a deadlock with the lock of the chain.
            assert process.returncode == 0 or scheme != "right"
            done += map(json.loads, out.splitlines())
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
    with Registry.open(home, registry=location) as registry:
        verdict = judge(done, registry.sessions())
        if scheme == "right":
            registry.audit.verify()
    print({**verdict, "scheme": scheme}, [one["error"] for one in done if "error" in one][:3])  # noqa: T201
    return verdict


def _other_host(home: Path, number: int) -> Path:
    """The home of another host of the same registry: it has the keys, and an audit head of its own."""
    other = home.parent / f"{home.name}-{number}"
    if not other.exists():
        other.mkdir(mode=0o700)
        shutil.copy2(home / "keys.json", other / "keys.json")
    return other


LEAST = {"issues": 20, "revocations": 2, "disables": 2}
_ATTEMPTS = 10


def check(home: Path, location: Location, scheme: str = "right") -> None:
    """Nothing is broken, and enough was done; on a busy machine that takes longer."""
    total: Counter[str] = Counter()
    for _ in range(_ATTEMPTS):
        verdict = play(home, location, SECONDS, scheme)
        total.update(verdict)
        assert {name: verdict[name] for name in BROKEN} == dict.fromkeys(BROKEN, 0)
        assert verdict["errors"] == 0
        if all(total[name] >= least for name, least in LEAST.items()):
            break
    assert all(total[name] >= least for name, least in LEAST.items()), total
    assert total["dead_on_arrival"] <= 2 + total["issues"] // 100  # the moment between the commit and the clock


def make(home: Path, location: Location) -> None:
    """An installation by the real clock."""
    raw = profiles.DEFAULT_FILE.encode()
    create(find_home(home, location), profiles.read(raw, "profiles.yaml"), raw, actor="founder")


def test_nothing_escapes_in_a_file(tmp_path: Path):
    """SQLite has one writer at a time."""
    make(tmp_path / "home", tmp_path / "home" / "registry.db")
    check(tmp_path / "home", tmp_path / "home" / "registry.db")


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
class TestOnPostgres:
    """Three hosts on one server."""

    @pytest.mark.parametrize("scheme", ["right", "gate first"])
    def test_nothing_escapes(self, tmp_path: Path, postgres_url: str, scheme: str):
        """The gate, taken in a statement of its own, by everybody; sign-ins read before their turn, or all of them behind the gate."""
        make(tmp_path / "home", postgres_url)
        check(tmp_path / "home", postgres_url, scheme)

    @pytest.mark.parametrize(
        ("scheme", "broken"),
        [
            ("no gate", {"disable_escaped"}),
            ("gate after what is read", {"disable_escaped"}),
            ("open id kept between transactions", {"born_revoked"}),
            ("turn not checked", {"disable_escaped", "born_revoked"}),
        ],
    )
    def test_a_wrong_scheme_is_noticed(self, tmp_path: Path, postgres_url: str, scheme: str, broken: set[str]):
        """As it was when the right scheme was looked for."""
        make(tmp_path / "home", postgres_url)
        verdicts = (play(tmp_path / "home", postgres_url, SECONDS, scheme) for _ in range(_ATTEMPTS))
        assert any(verdict[name] for verdict in verdicts for name in broken)
