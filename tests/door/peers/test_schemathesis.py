"""Requests that Schemathesis makes up from the OpenAPI file: each answer is one that the file has, and nothing is written of a token."""

import subprocess
from pathlib import Path

import pytest

from authctl import Registry
from tests.door.conftest import RunningDoor, start_door, stop_door
from tests.door.peers.proxies import PEERS, ROOT

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
RIGHTS = ("introspect", "revoke", "refresh", "wipe", "verify")


def test_every_answer_is_in_the_openapi_file(home: Path, registry: Registry, tmp_path: Path):
    """As a client with every right, and as a user with a token; no 5xx, no other status, no other form."""
    program = PEERS / "bin" / "schemathesis"
    if not program.exists():
        pytest.skip("Schemathesis is not installed: see tests/door/peers/install.sh")
    made = registry.clients.add("all rights", may=RIGHTS, revoke_note="signed out in the shop")
    token = registry.issue(username="alice", application="Shop").access_token
    door = start_door(home, tmp_path, "--verify-any", "--cookie", "session")
    try:
        authorization = f"{made.client.client_id}:{made.secret}"
        as_client = run(program, door, "--auth", authorization, checks=("unsupported_method",))
        # Forward-auth takes any method.
        as_user = run(program, door, "--header", f"Authorization: Bearer {token}", "--include-path-regex", "^/verify")
    finally:
        assert stop_door(door) == 0
    assert as_client.returncode == 0, as_client.stdout[-4000:]
    assert as_user.returncode == 0, as_user.stdout[-4000:]
    log = door.log()
    assert log.count("\n") > 200
    assert [text for text in ("Traceback", token, made.secret) if text in log] == []


def run(
    program: Path, door: RunningDoor, *options: str, checks: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis once, always with the same requests."""
    command = [str(program), "run", str(ROOT / "authctl/door/openapi.yaml"), "--url", door.address, *options]
    command += [
        "--checks",
        ",".join((*CHECKS, *checks)),
        "--max-examples",
        "40",
        "--seed",
        "1",
        "--workers",
        "2",
        "--no-color",
    ]
    return subprocess.run(command, cwd=door.out.parent, capture_output=True, text=True, check=False, timeout=120)
