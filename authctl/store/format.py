"""What marks a file as a registry, and how it must be kept."""

from pathlib import Path

from authctl.errors import IntegrityFailure
from authctl.files import check_private

APPLICATION_ID = 0x61637431
SCHEMA_VERSION = 1


def check_file(path: Path) -> None:
    """Refuse what is missing, empty, or what others than its owner can touch.

    It only looks at the file and never opens it: closing a second descriptor of a file drops the locks that SQLite holds
    on it in this process (sqlite.org/howtocorrupt.html, 2.2), and another process may then remove the write-ahead log
    that this one is still writing to. Raises RegistryUnavailable or IntegrityFailure.
    """
    if check_private(path, "registry").st_size == 0:
        raise IntegrityFailure(f"the registry is empty: {path}")


def has_log(path: Path) -> bool:
    """Whether a write-ahead log with anything in it lies beside the registry."""
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
