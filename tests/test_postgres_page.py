"""The page about PostgreSQL, followed on a real server: from nothing to two hosts in ten commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console_blocks import ROOT, blocks
from tests.postgres_server import Server, new_server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
PAGE = ROOT / "docs" / "postgres.md"


@pytest.fixture
def server():
    """A server of its own, since the page makes roles."""
    with new_server() as server:
        yield server


def test_the_ten_commands_make_two_hosts(server: Server, tmp_path: Path):
    """Each succeeds; afterwards the first host refuses the token, and finds the note of the second one."""
    lines = [line for block in blocks(PAGE) for line in block.lines]
    assert len(lines) == 10
    first, second = tmp_path / "first", tmp_path / "second"
    texts = {
        "postgresql://registry_owner@db.example.com/registry": server.url("registry", "registry_owner"),
        "postgresql://registry_app@db.example.com/registry": server.url("registry", "registry_app"),
        "scp -p first.example.com:/var/lib/authctl": f"cp -p {first}",
        "/var/lib/authctl": str(second),
    }
    for old, new in texts.items():
        lines = [line.replace(old, f"'{new}'" if "://" in new else new) for line in lines]
    checks = [
        "authctl tokens verify < token && exit 1 || test $? = 5",
        "authctl sessions list --status revoked -o json | grep -q 'lost device'",
        "authctl audit verify",
        f"AUTHCTL_HOME={second} authctl audit verify",
        f"AUTHCTL_HOME={second} authctl doctor",
    ]
    script = "\n".join(["set -ex", 'authctl() { "$PYTHON" -P -m authctl "$@"; }', *lines, *checks])
    environment = {
        "PATH": f"{server.programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "tester",
        "PGHOST": str(server.folder),
        "PGUSER": "postgres",
        "AUTHCTL_HOME": str(first),
    }
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(
        [shell, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
