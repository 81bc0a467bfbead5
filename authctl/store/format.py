"""What marks a file as a registry, and how it must be kept."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

from authctl.errors import DiskFull, IntegrityFailure, RegistryUnavailable, reason
from authctl.files import check_private

APPLICATION_ID = 0x61637431
SCHEMA_VERSION = 7

_STALE = 86_400


def check_file(path: Path) -> None:
    """Refuse what is missing, empty, or what others than its owner can touch.

    It only looks at the file and never opens it: closing a second descriptor of a file drops the locks that SQLite holds
    on it in this process (sqlite.org/howtocorrupt.html, 2.2), and another process may then remove the write-ahead log
    that this one is still writing to. Raises RegistryUnavailable or IntegrityFailure.
    """
    finish_creation(path)
    if check_private(path, "registry").st_size == 0:
        raise IntegrityFailure(f"the registry is empty: {path}")


def _draft_name(path: Path) -> tuple[str, str]:
    """Between which beginning and end the name of a registry stands that is still being made."""
    return f".{path.name}.", ".new"


@contextmanager
def draft_beside(path: Path) -> Iterator[Path]:
    """An empty private file beside a path, under a name of its own, that is removed afterwards."""
    import tempfile

    beginning, end = _draft_name(path)
    with suppress(OSError):
        for leftover in path.parent.glob(f"{beginning}*{end}*"):  # of a process that was killed long ago
            if time() - leftover.stat().st_mtime > _STALE:
                leftover.unlink()
    try:
        descriptor, name = tempfile.mkstemp(prefix=beginning, suffix=end, dir=path.parent)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None
    draft = Path(name)
    try:
        yield draft
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm"), Path(f"{draft}-journal")):
            with suppress(OSError):
                leftover.unlink()


def finish_creation(path: Path) -> None:
    """Take away the name that a registry or backup was made under, which a kill at the last moment leaves beside its own."""
    try:
        if path.stat().st_nlink == 1:
            return
    except OSError:
        return  # what is wrong is said by whoever looks closer
    beginning, end = _draft_name(path)
    with suppress(OSError):
        for draft in path.parent.iterdir():
            if draft.name.startswith(beginning) and draft.name.endswith(end) and draft.samefile(path):
                draft.unlink(missing_ok=True)


def check_complete(draft: Path, path: Path) -> None:
    """Raise DiskFull where the log of a draft could not be put into it when it was closed: the file alone is no registry."""
    if has_log(draft):
        raise DiskFull(f"cannot write {path}: the disk is full")


def has_log(path: Path) -> bool:
    """Whether a write-ahead log with anything in it lies beside the registry."""
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
