"""The reserve: a file beside the registry whose room is free for a revocation when the disk is full (decision 84).

See docs/glossary.md#reserve.
"""

import os
from pathlib import Path

RESERVE_BYTES = 2 * 2**20
"""The size of the reserve: enough for a revocation of everybody, or of a hundred sessions."""


class Reserve:
    """The reserve of a registry, beside the file itself: a path with links has to be resolved before."""

    def __init__(self, registry: Path) -> None:
        self._path = f"{registry}-reserve"  # a text: a `Path` takes longer to look at, and each change looks

    def keep(self) -> None:
        """Fill the reserve with as much room as there is, up to its size. Never fails.

        A smaller reserve grows when there is room for all that it lacks.
        """
        try:
            kept = self._kept()
            if kept < RESERVE_BYTES:
                self._grow(kept)
        except OSError:
            return

    def release(self) -> bool:
        """Delete the reserve. False if there was none."""
        try:
            os.unlink(self._path)  # noqa: PTH108
        except OSError:
            return False
        return True

    def _kept(self) -> int:
        """How much is kept; 0 if the file is not there."""
        try:
            return os.stat(self._path).st_size  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def _grow(self, kept: int) -> None:
        disk = os.statvfs(os.path.dirname(self._path))  # noqa: PTH120
        room = disk.f_bavail * disk.f_frsize
        # A part of a reserve is useful. Growing it by less than it lacks would take the last room from others.
        if kept and room < RESERVE_BYTES - kept:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            # Allocated and not written: a file with holes would keep no room at all.
            os.posix_fallocate(descriptor, 0, max(1, min(RESERVE_BYTES, kept + room)))
        except OSError:
            # The file system may refuse to allocate. An empty file would look like a reserve and be none.
            if not kept:
                self.release()
        finally:
            os.close(descriptor)
