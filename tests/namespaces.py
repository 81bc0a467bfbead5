"""A network of its own: a server and hosts, each in a network namespace, joined by pairs of virtual interfaces.

Needs root and the program `ip`. Nothing of the machine's own network is changed: every interface is in one of the new namespaces, which
are removed at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_NET = "10.77"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def why_no_namespaces() -> str | None:
    """Why no network namespaces can be made; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need the program ip: Debian's package iproute2"
    name = f"authctl-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two")
        finally:
            _ip("netns", "del", name)
    except subprocess.SubprocessError as error:
        return f"network namespaces may not be made here: {error}"
    return None


@dataclass(frozen=True)
class Host:
    """A namespace that reaches the server, and nothing else."""

    name: str
    server: str
    """The address of the server on the line to this host."""
    line: str
    """The interface of this host."""

    def inside(self, *words: str) -> list[str]:
        """A command as it runs on this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Cut the line: nothing arrives any more, and nobody is told."""
        _ip("-n", self.name, "link", "set", self.line, "down")

    def mend(self) -> None:
        """Mend the line."""
        _ip("-n", self.name, "link", "set", self.line, "up")


@dataclass(frozen=True)
class Network:
    """A namespace for the server, and those of the hosts."""

    server: str
    hosts: tuple[Host, ...]

    def at_server(self) -> tuple[str, ...]:
        """The words before a command that runs beside the server."""
        return ("ip", "netns", "exec", self.server)


@contextmanager
def new_network(count: int) -> Iterator[Network]:
    """A network with so many hosts."""
    begin = f"authctl-{os.getpid()}"
    server = f"{begin}-server"
    made: list[str] = []
    try:
        hosts = []
        _add(server, made)
        for number in range(1, count + 1):
            host = Host(f"{begin}-host{number}", f"{_NET}.{number}.1", f"host{number}")
            _add(host.name, made)
            there = f"server{number}"
            _ip("-n", server, "link", "add", there, "type", "veth", "peer", "name", host.line, "netns", host.name)
            for name, line, last in ((server, there, 1), (host.name, host.line, 2)):
                _ip("-n", name, "addr", "add", f"{_NET}.{number}.{last}/24", "dev", line)
                _ip("-n", name, "link", "set", line, "up")
            hosts.append(host)
        yield Network(server, tuple(hosts))
    finally:
        for name in made:
            _ip("netns", "del", name)


def _add(name: str, made: list[str]) -> None:
    _ip("netns", "add", name)
    made.append(name)
    _ip("-n", name, "link", "set", "lo", "up")
