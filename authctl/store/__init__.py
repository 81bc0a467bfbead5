"""The database behind a protocol; nothing outside this package knows which one it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authctl.model import ProfileSet
from authctl.store.base import Store


def open_store(path: Path) -> Store:
    """The store at a path. Raises RegistryUnavailable or IntegrityFailure when no registry is there."""
    from authctl.store.format import check_file
    from authctl.store.sqlite import SqliteStore

    check_file(path)
    return SqliteStore(path)


@contextmanager
def create_store(path: Path, registry_id: str, profiles: ProfileSet) -> Iterator[Store]:
    """A new store that appears at the path, whole, when the block has succeeded. Raises Refused when one is there."""
    from authctl.store.sqlite import creating

    with creating(path, registry_id, profiles) as store:
        yield store
