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
    lines = [line for block in blocks(PAGE)[:3] for line in block.lines]
    assert len(lines) == 10
    first, second = tmp_path / "first", tmp_path / "second"
    texts = {
        "scp -p first.example.com:/var/lib/authctl": f"cp -p {first}",
        "/var/lib/authctl": str(second),
    }
    checks = [
        "authctl tokens verify < token && exit 1 || test $? = 5",
        "authctl sessions list --status revoked -o json | grep -q 'lost device'",
        "authctl audit verify",
        f"AUTHCTL_HOME={second} authctl audit verify",
        f"AUTHCTL_HOME={second} authctl doctor",
    ]
    _run(server, first, [*lines, *checks], texts)


def test_the_commands_of_a_move(server: Server, tmp_path: Path):
    """A registry in a file gets a second host: as the page has it, with the role of the hosts afterwards."""
    (block,) = (block for block in blocks(PAGE) if any("registry move" in line for line in block.lines))
    lines = [f"{line} --yes" if "registry move" in line else line for line in block.lines]
    assert len(lines) == 4
    home = tmp_path / "home"
    owner = "postgresql://registry_owner@db.example.com/registry"
    before = [
        f"authctl --registry {owner} init --print-sql > registry.sql",
        "psql --set ON_ERROR_STOP=1 --dbname postgres --file registry.sql",
        "authctl init",
        "authctl tokens issue --user alice --application Outlook --quiet > token",
    ]
    checks = [
        "authctl tokens verify < token",
        'authctl revoke --user alice --note "lost device"',
        "authctl audit verify",
        "authctl audit list --action registry.move -o json | grep -q 'a second host'",
        "unset AUTHCTL_REGISTRY",
        "authctl tokens verify < token && exit 1 || test $? = 6",
    ]
    _run(server, home, [*before, *lines, *checks], {})


def _run(server: Server, home: Path, lines: list[str], texts: dict[str, str]) -> None:
    """Run lines of the page in a shell, with the addresses of the server in the place of those of the page."""
    addresses = {
        f"postgresql://registry_{role}@db.example.com/registry": server.url("registry", f"registry_{role}")
        for role in ("owner", "app")
    }
    for old, new in (addresses | texts).items():
        lines = [line.replace(old, f"'{new}'" if "://" in new else new) for line in lines]
    script = "\n".join(["set -ex", 'authctl() { "$PYTHON" -P -m authctl "$@"; }', *lines])
    environment = {
        "PATH": f"{server.programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "HOME": str(home.parent),
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "tester",
        "PGHOST": str(server.folder),
        "PGUSER": "postgres",
        "AUTHCTL_HOME": str(home),
    }
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(
        [shell, "-c", script],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
