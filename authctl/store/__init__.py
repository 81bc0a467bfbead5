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
    from authctl.store.copying import check_vacant, give_no_less, numbers_given, put, take
    from authctl.store.format import draft_beside
    from authctl.store.sqlite import SqliteStore

    with draft_beside(path) as draft:
        take(backup, draft)
        given: dict[str, int] = {}
        seen_at, present_id = 0, None
        if path.exists():
            with closing(SqliteStore(path)) as present, present.view() as view:
                given = numbers_given(view)
                seen_at, present_id = view.seen_at(), view.registry_id()
        else:
            check_vacant(path)
        with closing(SqliteStore(draft)) as store:
            with store.change() as tx:
                if present_id not in (None, tx.registry_id()):
                    what = f"{backup} is a backup of another registry"
                    raise Refused(what, "to use it all the same, move the present one away")
                tx.saw(seen_at)
                give_no_less(tx, given)
            yield store
        put(draft, path)


@contextmanager
def create_store(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator["Store"]:
    """A new store that appears at the path, whole, when the block has succeeded. Raises Refused when one is there."""
    from authctl.store.sqlite import creating

    with creating(path, registry_id, profiles) as store:
        yield store
