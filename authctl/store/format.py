"""What marks a file as a registry, checked before SQLite is let near it."""

import os
from pathlib import Path

from authctl.errors import IntegrityFailure
from authctl.files import open_private

APPLICATION_ID = 0x61637431
SCHEMA_VERSION = 1

_MAGIC = b"SQLite format 3\0"
_HEADER = 100


def check_file(path: Path) -> None:
    """Refuse what is missing, loosely protected, foreign, empty or cut short.

    Raises RegistryUnavailable or IntegrityFailure.
    """
    with open_private(path, "registry") as file:
        header = file.read(_HEADER)
        size = os.fstat(file.fileno()).st_size
    if len(header) < _HEADER:
        raise IntegrityFailure(f"the registry is empty or cut short: {path}")
    if header[:16] != _MAGIC or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise IntegrityFailure(f"not an authctl registry: {path}")
    page_size = int.from_bytes(header[16:18], "big")
    owed = int.from_bytes(header[28:32], "big") * (65536 if page_size == 1 else page_size)
    if size < owed and not has_log(path) and path.stat().st_size < owed:
        raise IntegrityFailure(f"the registry is cut short: {path} has {size:,} of {owed:,} bytes")


def has_log(path: Path) -> bool:
    """Whether a write-ahead log with anything in it lies beside the registry."""
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False
