"""Ports for servers that cannot choose one themselves."""

import itertools
import os
import random
import socket

# Below the ports that a system gives to outgoing connections and to servers that ask for any port: Linux begins at
# 32768, the others at 49152 (net.ipv4.ip_local_port_range). A port from there could be taken by a client of the same
# test between this look and the start of the server.
_PORTS = range(20_000, 32_000)

_next = itertools.cycle(random.Random(os.getpid()).sample(_PORTS, len(_PORTS)))


def free_port() -> int:
    """A port at which nobody listens, on any address; a process of tests gets none twice."""
    for port in itertools.islice(_next, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {_PORTS} is free")
