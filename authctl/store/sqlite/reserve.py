"""The reserve: a file beside the registry whose room is free for a revocation when the disk is full (decision 84).

See docs/glossary.md#reserve.
"""

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 2 * 2**20
"""The size of the reserve: enough for a revocation of everybody, or of a hundred sessions."""


def reserve_file(registry: Path) -> Path:
    """The reserve of a registry, beside the file itself: a path with links has to be resolved before."""
    return Path(f"{registry}-reserve")


def keep_reserve(path: Path, size: int = RESERVE_BYTES) -> None:
    """Fill the reserve with as much room as there is, up to that size. Never fails.

    A smaller reserve grows when there is room for all that it lacks.
    """
    with suppress(OSError):
        kept = _size(path)
        if kept >= size:
            return
        disk = os.statvfs(path.parent)
        room = disk.f_bavail * disk.f_frsize
        # A part of a reserve is useful. Growing it by less than it lacks would take the last room from others.
        if kept and room < size - kept:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            # Allocated and not written: a file with holes would keep no room at all.
            os.posix_fallocate(descriptor, 0, max(1, min(size, kept + room)))
        except OSError:
            # The file system may refuse to allocate. An empty file would look like a reserve and be none.
            if not kept:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _size(path: Path) -> int:
    """The size of a file; 0 if it is not there."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  # less than Path.stat, and each change asks
    except FileNotFoundError:
        return 0


def release_reserve(path: Path) -> bool:
    """Delete the reserve. False if there was none."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
