"""The database behind a protocol; nothing outside this package knows which one it is."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.model import ProfileSet
    from authctl.store.base import Draft, Store


def open_store(path: Path) -> "Store":
    """The store at a path. Raises RegistryUnavailable or IntegrityFailure when no registry is there."""
    from authctl.store.format import check_file
    from authctl.store.sqlite import SqliteStore

    check_file(path)
    return SqliteStore(path)


@contextmanager
def draft_of(backup: Path, path: Path) -> Iterator["Draft"]:
    """A copy of a backup, to be put into the place of the registry at the path; it is removed when the block is left.

    Raises RegistryUnavailable or IntegrityFailure where the backup cannot be used.
    """
    from authctl.store.copying import SqliteDraft, said_of_backup, take
    from authctl.store.format import draft_beside
    from authctl.store.sqlite import SqliteStore

    with draft_beside(path) as draft, said_of_backup(backup, draft, path):
        take(backup, draft)
        with closing(SqliteStore(draft)) as store:
            yield SqliteDraft(store, backup, path)


@contextmanager
def create_store(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator["Store"]:
    """A new store that appears at the path, whole, when the block has succeeded. Raises Refused when one is there."""
    from authctl.store.sqlite import creating

    with creating(path, registry_id, profiles) as store:
        yield store
