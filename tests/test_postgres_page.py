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
    # Each host has an environment of its own: what one exports is not known to the other.
    hosts = [lines[:6], lines[6:]]
    copied = hosts[1][2].replace("scp -p first.example.com:/var/lib/authctl", f"cp -p {first}")
    there = [line.replace("/var/lib/authctl", str(second)) for line in (*hosts[1][:2], copied, hosts[1][3])]
    here = [line.replace("/var/lib/authctl", str(first)) for line in hosts[0]]
    as_app = "PGUSER=registry_app psql --dbname registry --no-align --tuples-only --command"
    rights = "string_agg(DISTINCT privilege_type, ' ' ORDER BY privilege_type)"
    checks = [
        "authctl tokens verify < token && exit 1 || test $? = 5",
        "authctl sessions list --status revoked -o json | grep -q 'lost device'",
        "authctl audit verify",
        "authctl doctor",
        # the role of the hosts has what it needs, and no more
        *(
            f'{as_app} "SELECT {rights} FROM information_schema.table_privileges'
            f" WHERE grantee = 'registry_app' AND table_name = '{table}'\" | grep -qx '{has}'"
            for table, has in (
                ("sessions", "DELETE INSERT SELECT UPDATE"),
                ("audit_events", "INSERT SELECT"),
                ("registry", "SELECT UPDATE"),
                ("schema_version", "SELECT"),
            )
        ),
        f"{as_app} \"SELECT has_database_privilege('registry', 'TEMPORARY, CREATE')\" | grep -qx f",
    ]
    _run(server, tmp_path, here)
    _run(server, tmp_path, [*there, "authctl audit verify", "authctl doctor"])
    _run(server, tmp_path, [here[2], *checks])


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
    _run(server, tmp_path, [*before, *lines, *checks], home)


def _run(server: Server, folder: Path, lines: list[str], home: Path | None = None) -> None:
    """Run lines of the page in a shell, in a folder, with the addresses of the server in the place of those of the page.

    Without a home, the lines name it themselves.
    """
    for role in ("owner", "app"):
        address = f"'{server.url('registry', f'registry_{role}')}'"
        lines = [line.replace(f"postgresql://registry_{role}@db.example.com/registry", address) for line in lines]
    script = "\n".join(["set -ex", 'authctl() { "$PYTHON" -P -m authctl "$@"; }', *lines])
    environment = {
        "PATH": f"{server.programs}:{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "LOGNAME": "tester",
        "PGHOST": str(server.folder),
        "PGUSER": "postgres",
        **({"AUTHCTL_HOME": str(home)} if home else {}),
    }
    shell = shutil.which("bash")
    assert shell
    done = subprocess.run(
        [shell, "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
