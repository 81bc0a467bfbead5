"""The head of the audit chain, kept outside the registry: `audit.head` in the home, a line for each registry.

A person who cuts off the end of the log, or puts an old registry back, cannot do the same to a file elsewhere unnoticed. It may lag behind
the chain, by a crash or a full disk, and never leads: it is written after the commit. Lines have one width and are written in
place under a lock, each within a sector of the disk, so that a crash leaves the old one or the new one.

See docs/glossary.md#audit-head.
"""

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from authctl.files import check_private, lock, resolved

_LINE = rb"([0-9a-f]{16}) ([0-9]{19}) ([0-9a-f]{64}) *\n"  # as a text: `re` compiles it at its first use
_WIDTH = 128
"""A line never crosses a sector of 512 bytes, which disks write whole."""

_USUAL_SIZE = 4_096
"""How much of the file is read at once; it has a line for each registry of the home."""


class Head(NamedTuple):
    """The last event that was known of a chain."""

    seq: int
    hash: str


def read(path: Path, registry_id: str) -> Head | None:
    """The head that the file has for a registry; None if it has none, or is not there.

    Raises OSError where it cannot be read, RegistryUnavailable where others can touch it.
    """
    if not path.exists():
        return None
    check_private(path, "audit head")
    with _opened(path, os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
        line = _find(descriptor, registry_id)
    return line[1] if line else None


def advance(
    path: Path,
    registry_id: str,
    before: Head,
    head: Head,
    has: Callable[[Sequence[Head]], bool],
    since: int | None = None,
) -> bool:
    """Write a newer head; False, and nothing is written, where the chain does not have the one in the file, or that one any more.

    `before` is the event that the transaction of `head` went on from: if the file has that one, nobody came between,
    and the chain has both. Otherwise `has` returns whether the chain has those events at the time of the call. It is not asked about
    a later head that was written since the transaction was under way: `since` is an instant of then, in nanoseconds
    (`time.time_ns`). Raises OSError.
    """
    seen = before
    while True:
        with _opened(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
            line = _find(descriptor, registry_id)
            if line is None or line[1] == seen or (seen is not before and line[1].seq >= head.seq):
                # Another process committed later and wrote first: its event comes after ours in the chain, so it is the better head.
                if line is None or line[1].seq < head.seq:
                    _write(descriptor, registry_id, head, line[0] if line else None)
                return True
            # decision 380: the process that wrote it has compared it with the chain while we were under way
            if line[1].seq > head.seq and since is not None and _was_written_since(descriptor, since):
                return True
            seen = line[1]
        # decision 331: without the lock, which the processes of the host share; the database may be on another machine.
        # Both are asked for: without the known one the log was cut off, without ours it was replaced since the commit.
        if not has((seen, head)):
            return False


def replace(path: Path, registry_id: str, head: Head) -> None:
    """Write a head in any case: the chain was accepted. Raises OSError."""
    with _opened(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as descriptor:
        line = _find(descriptor, registry_id)
        _write(descriptor, registry_id, head, line[0] if line else None)
        # Synced, unlike an advance: if it were lost, the acceptance would have to be repeated, and sign everybody out again.
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path, flags: int, kind: int) -> Iterator[int]:
    descriptor = _open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        lock(descriptor, kind)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    # A link: the file may be on a safer disk. O_NOFOLLOW refuses a link that is put in the place of the file after this line.
    return os.open(resolved(path), flags, 0o600)


@cache
def _line_pattern() -> re.Pattern[bytes]:
    return re.compile(_LINE)


def _find(descriptor: int, registry_id: str) -> tuple[int, Head] | None:
    """The place and the content of the registry's line; lines that cannot be read count as absent."""
    content, name = _content(descriptor), registry_id.encode()
    position = content.find(name)
    while position >= 0:
        # A line that does not begin at a multiple of the width was written by something else.
        match = None if position % _WIDTH else _line_pattern().match(content, position)
        if match is not None and match[1] == name:
            return position, Head(int(match[2]), match[3].decode())
        position = content.find(name, position + 1)
    return None


def _content(descriptor: int) -> bytes:
    content = os.pread(descriptor, _USUAL_SIZE, 0)
    # Most homes have one registry: a short answer is the whole file, and its size need not be asked for.
    return content if len(content) < _USUAL_SIZE else os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _was_written_since(descriptor: int, since: int) -> bool:
    """Whether the only line of a file was written after an instant; of several lines nobody knows which one was."""
    status = os.fstat(descriptor)
    # An instant in the future: the clock was set back, and the line may be an old one.
    return status.st_size == _WIDTH and since <= status.st_mtime_ns <= time.time_ns()


def _write(descriptor: int, registry_id: str, head: Head, position: int | None) -> None:
    # decision 77: one width, in place, so that a crash leaves the old line or the new one
    # 19 digits hold the largest number of an event: the width never changes.
    line = f"{registry_id} {head.seq:019d} {head.hash}".ljust(_WIDTH - 1).encode() + b"\n"
    if position is None:
        size = os.fstat(descriptor).st_size
        if size == 0:
            os.fchmod(descriptor, 0o600)  # also with another umask
        # Rounded up to a whole line: a line that a crash cut short is left behind, and this one stands at its own sector.
        position = -(-size // _WIDTH) * _WIDTH
    os.pwrite(descriptor, line, position)
