"""Every console block of every page is run as it is written, or has a comment with the reason why it is not."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import places
from tests.conftest import PlaceOf
from tests.console_blocks import PAGES, ROOT, blocks
from tests.ports import free_port


@dataclass(frozen=True)
class Reading:
    """What a page takes for granted: an installation with these sessions in it, and these texts instead of its examples."""

    before: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Lines that are run before a block, by its place among the blocks of the page that are run here."""
    after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines that are run after a line."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts of the page, and what stands in their place: ids, cursors, paths."""
    exits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The exit codes of a line, where they are not 0."""
    shows: tuple[str, ...] = ()
    """What its commands print, besides much else."""


ASKS = (4,)
"""A command that asks is refused where there is no terminal."""
HEALTH = (0, 9)
"""`doctor` finds problems on some hosts: an old SQLite, a clock."""
WIPE = '{"active": false, "action": "wipe"}'

IMPORT = 'printf \'{"api_tokens": [{"user": "alice", "id": "a1", "note": "", "created": "2026-03-01T10:00:00Z"}]}\' > alice.json'
START = """DOORS=
start() {
    rm -f door.err
    timeout 120 authctl serve "$@" > /dev/null 2> door.err &
    DOORS="$DOORS $!"
    trap 'kill $DOORS' EXIT
    while ! grep -q listening door.err; do kill -0 $! && sleep 0.05 || { cat door.err; return 1; }; done
}
wait_for_doors() {
    trap - EXIT
    kill $DOORS
    for door in $DOORS; do wait $door || test $? = 124 -o $? = 143; done
}"""
"""`authctl serve` in the background: a reader has another terminal for it."""
PROGRAM = f"""cat > receiver << END
#!{sys.executable}
import json, sys
for line in sys.stdin:
    print(json.dumps({{"jti": json.loads(line)["jti"], "verdict": "done"}}), flush=True)
END"""
"""A receiver that does everything: the one of the page needs its system."""
READINGS = {
    "README.md": Reading(
        before={
            0: (
                "authctl init",
                "authctl tokens issue --user alice --application Outlook --device AL-PHONE > token",
                "authctl tokens issue --user alice --application Outlook --device AL-PC",
            ),
            1: ('rm -r "$AUTHCTL_HOME"',),
        },
        after={
            "authctl init": (
                "authctl tokens issue --user alice --application Outlook --device AL-PHONE > token",
                "authctl tokens issue --user alice --application Outlook --device AL-PC",
                "authctl tokens issue --user carol --application Teams",
                "authctl sessions list --device AL-PHONE -o id > phone-id",
                "authctl sessions list --limit 1 2>&1 | sed -n 's/.*--after //p' > cursor",
                IMPORT,
            )
        },
        texts={"p1.3kQx…": "$(cat cursor)", "htpsgxk2": "$(cut -c1-8 phone-id)"},
        exits={
            "authctl tokens verify < token": (5,),  # its session was revoked
            'authctl revoke --application Teams --note "retired"': ASKS,
            'authctl revoke --all --note "breach, ticket 4711"': ASKS,
            'authctl imports undo 1 --note "wrong mapping"': ASKS,
            # Every session was used today.
            'authctl revoke --unused-for 60d --note "unused for two months" --yes': (3,),
            "authctl tokens wipe-done < token": (5,),  # the default profile orders no wipe
        },
        shows=("lost device", "Exit codes"),
    ),
    "systems.md": Reading(shows=(WIPE,)),
    "operating.md": Reading(
        before={
            0: (
                "authctl init --profiles profiles.example.yaml",
                "authctl tokens issue --user alice --application 'Mimecast Mobile' --device AL-PHONE > phone-token",
                "authctl tokens issue --user bob --application 'Mimecast Mobile'",
                "authctl tokens issue --user carol --application 'Mimecast Mobile'",
                "authctl tokens issue --user dora --application POP3",
                "authctl tokens issue --user erin --application 'Old Client'",
                "sed 's/    on_revoke: wipe.*/    conditions: {blocked_applications: [POP3]}/' profiles.example.yaml > new-profiles.yaml",
                "mkdir backup",
            )
        },
        texts={
            "/backup/": "backup/",
            "registry-2026-03-02.db": "registry-$(date +%F).db",
            "1f2e3d4c": "$(authctl keys list -o id | tail -n 1)",
        },
        exits={
            "authctl tokens verify -o json < phone-token": (5,),
            'authctl revoke --all --note "breach, everybody signs in again" --max-affected 5000': ASKS,
            'authctl revoke --apply old-client.plan --note "retired, change 812"': ASKS,
            'authctl restore /backup/registry-2026-03-02.db --note "disk failed, ticket 4712"': ASKS,
            'authctl keys retire 1f2e3d4c --note "every year"': ASKS,  # active sessions depend on it
            "authctl doctor": HEALTH,
        },
        shows=(WIPE, '"unmet_conditions": 1'),
    ),
    "serving.md": Reading(
        before={0: (START, f"echo {free_port()} > port", f"echo {free_port()} > tls-port")},
        after={"curl -sS http://127.0.0.1:8400/metrics": ("wait_for_doors",)},
        texts={
            "authctl serve --bind": "start --bind",
            ":8400": ":$(cat port)",
            ":8443": ":$(cat tls-port)",
        },
        shows=(
            '"active":true',
            '"session_expires_at":',
            "HTTP/1.1 200 OK",
            "x-auth-user: alice",
            '{"active": false}',
            '{"action":"wipe"}',
            '{"action":"none","wipe":"acknowledged"}',
            "client shop",
            '"status":"ok"',
            'authctl_door_requests_total{route="/introspect",status="200"} 2.0',
        ),
    ),
    "delivering.md": Reading(
        before={
            0: (
                "authctl init",
                "authctl tokens issue --user @alice:example.org --application Element",
                "authctl tokens issue --user @alice:example.org --application Element",
            )
        },
        after={"authctl receivers example synapse > /usr/local/lib/authctl/synapse-receiver": (PROGRAM,)},
        texts={
            "/usr/local/lib/authctl/synapse-receiver": "receiver",
            'editor "$AUTHCTL_HOME/receivers.yaml"': (
                'echo "{version: 1, receivers: {synapse: {command: [$PWD/receiver], events: [session-revoked]}}}"'
                ' > "$AUTHCTL_HOME/receivers.yaml"'
            ),
        },
    ),
    "importing.md": Reading(
        before={
            0: ("authctl init", IMPORT, "authctl sessions import alice.json --map jupyterhub"),
        },
        texts={" 12": " 1"},
        exits={'authctl imports undo 12 --note "wrong mapping"': ASKS},
    ),
}
"""By the name of the page."""

NOT_RUN = {
    (
        "postgres.md",
        "authctl --registry postgresql://registry_owner@db.example.com/registry init --print-sql > registry.sql",
    ),
    (
        "postgres.md",
        "export AUTHCTL_HOME=/var/lib/authctl AUTHCTL_REGISTRY=postgresql://registry_app@db.example.com/registry",
    ),
    (
        "postgres.md",
        "authctl --registry postgresql://registry_owner@db.example.com/registry restore /backup/registry.db --dry-run",
    ),
    (
        "postgres.md",
        "authctl registry move --to postgresql://registry_owner@db.example.com/registry --dry-run",
    ),
    ("operating.md", "authctl registry move --to /srv/authctl/registry.db"),
    ("operating.md", "sudo systemctl daemon-reload"),
    ("serving.md", "sudo systemctl daemon-reload"),
    ("operating.md", 'authctl revoke --application "Old Client"'),
    ("operating.md", "pip install 'authctl[sqlite]'"),
}
"""The blocks that have a comment with a reason, by their first line."""


def here(page: Path) -> list[tuple[str, ...]]:
    """The blocks of a page that are run in this file."""
    return [block.lines for block in blocks(page) if block.reason is None and not block.as_root]


def script_of(page: Path, reading: Reading) -> list[str]:
    """The lines of a page as a script, each with the exit codes that it may have."""
    lines: list[str] = []
    for place, block in enumerate(here(page)):
        lines += reading.before.get(place, ())
        for typed in block:
            command = typed
            for example, text in reading.texts.items():
                command = command.replace(example, text)
            codes = "|".join(map(str, reading.exits.get(typed, (0,))))
            lines.append(f"code=0; {command} || code=$?; case $code in {codes}) ;; *) exit 99;; esac")
            lines += reading.after.get(typed, ())
    return lines


def skip_without_the_door() -> None:
    """Skip a test where `authctl serve` is not installed, or a program that the page uses."""
    pytest.importorskip("uvicorn", reason="authctl[serve] is not installed")
    for program in ("curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if here(page)], ids=lambda page: page.name)
def test_a_page_is_run_as_it_is_written(page: Path, home: Path, tmp_path: Path, place_of: PlaceOf):
    """Each block in its order, on one installation; a page that is new here needs a `Reading`, or none if it starts from nothing."""
    if page.name == "serving.md":
        skip_without_the_door()
    program = tmp_path / "bin" / "authctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m authctl "$@"\n')
    program.chmod(0o700)
    (tmp_path / "profiles.example.yaml").write_bytes((ROOT / "profiles.example.yaml").read_bytes())
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "AUTHCTL_HOME": str(home),
        "LOGNAME": "tester",
        "PYTHONPATH": str(ROOT),
        **({"AUTHCTL_REGISTRY": str(place_of(home))} if places.ON_POSTGRES else {}),
    }
    reading = READINGS.get(page.name, Reading())
    script = "\n".join(["set -ex", *script_of(page, reading)])
    if places.ON_POSTGRES:  # a database does not go with the home
        another = f"export AUTHCTL_REGISTRY='{place_of(tmp_path / 'another')}'"
        script = script.replace('rm -r "$AUTHCTL_HOME"', f'rm -r "$AUTHCTL_HOME"; {another}')
    ran = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert [text for text in reading.shows if text not in ran.stdout] == []


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_is_of_lines_that_are_there(name: str):
    """No exit code, example or preparation is left of a line that the page has no more."""
    page, reading = next(page for page in PAGES if page.name == name), READINGS[name]
    lines = [line for block in here(page) for line in block]
    assert {*reading.exits, *reading.after} <= set(lines)
    assert [example for example in reading.texts if not any(example in line for line in lines)] == []
    assert max(reading.before, default=0) < len(here(page))


def test_every_block_is_run_or_has_a_reason():
    """The blocks that are not run are these, each with its reason; all others are run here, or as root by `test_service_user.py`."""
    every = {page.name: blocks(page) for page in PAGES}
    assert {(name, block.lines[0]) for name, found in every.items() for block in found if block.reason} == NOT_RUN
    assert set(READINGS) <= {page.name for page in PAGES if here(page)}
    counted = {
        "run here": sum(len(lines) for page in PAGES for lines in here(page)),
        "run as root": sum(
            len(block.lines) for found in every.values() for block in found if block.as_root and not block.reason
        ),
        "not run": sum(len(block.lines) for found in every.values() for block in found if block.reason),
    }
    assert sum(counted.values()) == sum(page.read_text().count("\n$ ") for page in PAGES), (
        "a command outside of a console block"
    )
    assert counted["run here"] > 90
    assert counted["run as root"] >= 7
    # the page on PostgreSQL is followed by a test of its own, where there is a server
    on_a_server = sum(len(block.lines) for block in every["postgres.md"] if block.reason)
    assert counted["not run"] - on_a_server <= 10
