"""The sockets of the door: a host and port, a Unix socket, or a socket that systemd opened."""

import os
import socket
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from authctl.errors import InvalidInput, Refused, reason
from authctl.names import LARGEST_PORT, is_number, quoted

_SYSTEMD_FIRST = 3
_SOCKET_MODE = 0o660
_BACKLOG = 2_048
_LARGEST_DESCRIPTOR = 2**31 - 1


def systemd_socket() -> int | None:
    """The first socket that systemd opened for this process (sd_listen_fds); None where it opened none."""
    # decision 258. The variables are inherited: those of another process must not be read as ours.
    is_ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    return _SYSTEMD_FIRST if is_ours and os.environ.get("LISTEN_FDS", "0") != "0" else None


def listen(bind: str, *, group: str | None = None) -> socket.socket:
    """A socket that listens at `HOST:PORT`, `unix:PATH` or `fd:NUMBER`.

    Raises InvalidInput for another text, Refused where it cannot listen there.
    """
    kind, _, place = bind.partition(":")
    try:
        if kind == "unix" and place:
            return _unix(Path(place), group)
        if kind == "fd" and is_number(place, _LARGEST_DESCRIPTOR):
            return _adopted(int(place))
        return _internet(bind)
    except OSError as error:
        raise Refused(f"cannot listen at {quoted(bind)}: {reason(error)}") from None


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine can reach a socket: a Unix socket, or one of the loopback addresses."""
    if listener.family == socket.AF_UNIX:
        return True
    return ip_address(listener.getsockname()[0]).is_loopback


def address_of(listener: socket.socket, *, tls: bool) -> str:
    """The address of a socket, as a URL or as `unix:PATH`."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _internet(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    if not host or not is_number(port, LARGEST_PORT):
        raise InvalidInput(f"not an address to listen at: {quoted(bind)}", "--bind 127.0.0.1:8400, or unix:PATH")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    return _listening(listener)


def _adopted(descriptor: int) -> socket.socket:
    listener = socket.socket(fileno=descriptor)
    return _listening(listener)


def _unix(path: Path, group: str | None) -> socket.socket:
    """A Unix socket with mode 0660. A stale one is removed; one that answers belongs to a door that runs."""
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise Refused(f"file already exists, and is no socket: {path}")
    if path.exists():
        if _answers(path):
            raise Refused(f"another process listens at {path}")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777)  # so that nobody can connect before it has its group
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    if group is not None:
        _give_to(path, group)
    path.chmod(_SOCKET_MODE)
    return _listening(listener)


def _give_to(path: Path, group: str) -> None:
    import grp

    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        path.unlink()
        raise InvalidInput(f"no such group: {quoted(group)}") from None


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _listening(listener: socket.socket) -> socket.socket:
    listener.setblocking(False)  # its only parameter
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener
