"""The file of a registry: its identification, the files beside it, and the draft that a new one is made in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from urllib.parse import quote

from authctl.errors import DiskFull, IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_private, sync_directory

APPLICATION_ID = 0x61637431
SCHEMA_VERSION = 14

_ABANDONED_AFTER_SECONDS = 86_400
"""The age from which on a draft is one of a process that was killed."""


def registry_files(path: Path) -> tuple[Path, ...]:
    """The file of a registry, and the files that SQLite keeps beside it."""
    return (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", "-journal")))


def file_uri(path: Path, options: str) -> str:
    """The address of a file for SQLite, with options after the `?`."""
    return f"file:{quote(os.fsencode(path))}?{options}"


def check_vacant(path: Path) -> None:
    """Raise Refused if a file lies there, or the log of one that is gone: SQLite would apply it to the new file (decision 89)."""
    for file in registry_files(path):
        if os.path.lexists(file):
            raise Refused(f"file already exists: {file}", f"move {file} away")


def check_file(path: Path) -> None:
    """Refuse a file that is missing, empty, or open to others than its owner.

    The file is never opened here (decision 23): closing a second descriptor of it would drop the locks that SQLite holds on
    it in this process (sqlite.org/howtocorrupt.html, 2.2), and another process could then remove the write-ahead log that
    this one is still writing to. Raises RegistryUnavailable or IntegrityFailure.
    """
    finish_creation(path)
    if check_private(path, "registry").st_size == 0:
        raise IntegrityFailure(f"the registry is empty: {path}")


def _draft_name(path: Path) -> tuple[str, str]:
    """The beginning and the end of the name of a registry that is still being made."""
    return f".{path.name}.", ".new"


@contextmanager
def draft_beside(path: Path) -> Iterator[Path]:
    """An empty private file beside a path, with a name of its own. It is removed when the block ends."""
    import tempfile

    beginning, end = _draft_name(path)
    with suppress(OSError):
        for leftover in path.parent.glob(f"{beginning}*{end}*"):  # of a process that was killed long ago
            if time() - leftover.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
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
        for leftover in registry_files(draft):
            with suppress(OSError):
                leftover.unlink()


def finish_creation(path: Path) -> None:
    """Remove the name of the draft of a finished registry or backup: a process killed at the last moment leaves both names."""
    try:
        if path.stat().st_nlink == 1:
            return
    except OSError:
        return  # the caller reports the reason
    beginning, end = _draft_name(path)
    with suppress(OSError):
        for draft in path.parent.iterdir():
            # The same file under two names: only the draft's goes.
            if draft.name.startswith(beginning) and draft.name.endswith(end) and draft.samefile(path):
                draft.unlink(missing_ok=True)


def link_draft(draft: Path, path: Path) -> None:
    """Let a finished draft appear at its path, whole. Raises FileExistsError if a file is there, which a rename would replace.

    Raises DiskFull if the draft still has a log after it was closed: the file alone is not the whole registry.
    """
    # SQLite leaves the log if it could not copy it back: the disk was full when the draft was closed.
    if has_log(draft):
        raise DiskFull(f"cannot write {path}: the disk is full")
    # A link fails if a file is there. A rename would replace a registry that appeared in this moment.
    os.link(draft, path)
    sync_directory(path.parent)


def has_log(path: Path) -> bool:
    """Whether a write-ahead log lies beside the registry, and is not empty."""
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False


def how_to_move_away(path: Path) -> str:
    """The hint how to move a registry away, with the files beside it."""
    return f"move {path} away, together with {path.name}-wal and {path.name}-shm"
