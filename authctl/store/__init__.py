"""The database behind a protocol; nothing outside this package knows which one it is."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from authctl.errors import Refused

if TYPE_CHECKING:
    from authctl.model import ProfileSet
    from authctl.store.base import Store


def open_store(path: Path) -> "Store":
    """The store at a path. Raises RegistryUnavailable or IntegrityFailure when no registry is there."""
    from authctl.store.format import check_file
    from authctl.store.sqlite import SqliteStore

    check_file(path)
    return SqliteStore(path)


@contextmanager
def restored_store(backup: Path, path: Path) -> Iterator["Store"]:
    """A copy of a backup as a store to make ready, which is put in the place of the one at the path when the block has succeeded.

    No number that either has given comes back, nor an instant before what either has seen. Raises Refused where the backup is of
    another registry, or a log lies where none is; RegistryUnavailable or IntegrityFailure where the backup, or what is at the
    path, cannot be used. Nothing has changed then.
    """
    from authctl.store.copying import check_vacant, go_on_behind, put, said_of_backup, take
    from authctl.store.format import draft_beside
    from authctl.store.sqlite import SqliteStore

    with draft_beside(path) as draft, said_of_backup(backup, draft, path):
        take(backup, draft)
        with closing(SqliteStore(draft)) as store:
            if path.exists():
                with closing(SqliteStore(path)) as present, present.view() as view, store.change() as tx:
                    if view.registry_id() != tx.registry_id():
                        what = f"{backup} is a backup of another registry"
                        raise Refused(what, "to use it all the same, move the present one away")
                    go_on_behind(tx, view)
            else:
                check_vacant(path)
            yield store
        put(draft, path)


@contextmanager
def create_store(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator["Store"]:
    """A new store that appears at the path, whole, when the block has succeeded. Raises Refused when one is there."""
    from authctl.store.sqlite import creating

    with creating(path, registry_id, profiles) as store:
        yield store
