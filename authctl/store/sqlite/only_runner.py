"""The lock of the one process that does a long work: a file beside the registry, which that process removes.

See docs/glossary.md#changeover.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def lock_file(registry: Path) -> Path:
    """The file of the lock, beside the registry."""
    return Path(f"{registry}-changeover")


@contextmanager
def only_runner(path: Path) -> Iterator[bool]:
    """Hold the lock during the block; False if another process or thread holds it.

    Two can hold it if one opens the file just before the other removes it. Without room for a file, or without locks on this
    file system, everybody holds it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield True
        return
    holds = False
    try:
        holds = _take(descriptor)
        yield holds
    finally:
        if holds:
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
