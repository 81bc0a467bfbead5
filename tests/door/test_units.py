"""The shipped units of systemd: the door as they start it, behind a socket that systemd opens, and a drop-in for a network."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authctl import shipped_examples
from tests import places


def setting(unit: str, name: str) -> str:
    """The value of a setting in a shipped unit."""
    found = re.findall(rf"^{name}=(.*)$", shipped_examples.read(unit).text, re.MULTILINE)
    assert len(found) == 1, found
    return found[0]


def ask(path: Path, request: str) -> bytes:
    """Send a request to a Unix socket, and read the answer until the connection ends."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"GET {request} HTTP/1.0\r\nHost: door\r\n".encode() + b"\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
        return answer


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not installed")
def test_the_command_of_the_unit_listens_at_the_socket_of_systemd(home: Path, tmp_path: Path):
    """`ExecStart` as it is written; it answers what came in before it ran."""
    words = setting("authctl-serve.service", "ExecStart").split()
    assert words[0] == "/usr/local/bin/authctl"
    assert setting("authctl-serve.socket", "ListenStream").startswith("/run/authctl/")
    path = tmp_path / "door.sock"
    command = ["systemd-socket-activate", "-l", str(path), "-E", f"AUTHCTL_HOME={home}"]
    command += ["-E", f"AUTHCTL_REGISTRY={places.place_in(home)}"] if places.ON_POSTGRES else []
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, sys.executable, "-m", "authctl", *words[1:]], stdout=log, stderr=log)
        try:
            until = time.monotonic() + 20
            while not path.exists():
                assert time.monotonic() < until
                time.sleep(0.02)
            assert b" 200 OK" in ask(path, "/health/live").partition(b"\r\n")[0]
            assert b'"status":"ok"' in ask(path, "/health/ready")
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


def test_the_socket_is_for_its_group():
    """Nobody else may connect: the unit believes the addresses that its peers name."""
    assert setting("authctl-serve.socket", "SocketMode") == "0660"
    assert setting("authctl-serve.service", "ExecStart").endswith(" --proxy unix")


def test_both_units_are_hardened_alike():
    """What the cleanup may not do, the door may not do either."""

    def hardening(unit: str) -> list[str]:
        text = shipped_examples.read(unit).text
        return re.findall(
            r"^(?:Protect|Private|Restrict|NoNew|Capab|Ambient|Lock|Memory|SystemCall).*$", text, re.MULTILINE
        )

    assert len(hardening("authctl-cleanup.service")) > 15
    assert hardening("authctl-serve.service") == hardening("authctl-cleanup.service")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["authctl-serve.service", "authctl-cleanup.service"])
def test_the_drop_in_opens_the_network_and_nothing_else(tmp_path: Path, unit: str):
    """As systemd reads unit and drop-in: the network of the host and Internet sockets, and local sockets as before."""

    def openings() -> set[str]:
        command = ["systemd-analyze", "security", "--offline=yes", "--json=short", str(tmp_path / unit)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return {rule["name"] for rule in json.loads(ran.stdout) if rule["exposure"]}

    (tmp_path / unit).write_text(shipped_examples.read(unit).text.replace("/usr/local/bin/authctl", "/bin/true"))
    before = openings()
    drop_in = shipped_examples.read("authctl-network.conf").text
    (tmp_path / f"{unit}.d").mkdir()
    (tmp_path / f"{unit}.d" / "network.conf").write_text(drop_in)
    assert openings() - before == {"PrivateNetwork=", "RestrictAddressFamilies=~AF_(INET|INET6)"}
    assert before - openings() == set()
    assert "RestrictAddressFamilies=~AF_UNIX" in before
    assert re.findall(r"^Environment=AUTHCTL_REGISTRY=postgresql://", drop_in, re.MULTILINE)
