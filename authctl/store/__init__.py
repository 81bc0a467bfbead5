"""The database behind a protocol; no other package depends on the kind of database.

protocol/   the contract of a store, by noun; the only part that other packages import
sql/        SQL that every database shares
sqlite/     the store in one SQLite file
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.model import ProfileSet
    from authctl.store.protocol import Draft, Store
    from authctl.store.protocol.health import Health


def open_store(location: Path | str, lock_timeout: float | None = None) -> "Store":
    """The store at a path, or at a URL. `lock_timeout` replaces the 30 seconds that a change waits for its turn.

    Raises InvalidInput for a URL of another kind; RegistryUnavailable or IntegrityFailure if no registry is there.
    """
    from authctl.store.sqlite.registry_file import check_file
    from authctl.store.sqlite.store import SqliteStore

    if isinstance(location, str) and "://" in location:
        from authctl.store.sqlite.locations import file_of_url

        location = file_of_url(location)  # the only kind of URL so far
    path = Path(location)
    check_file(path)
    return SqliteStore(path, lock_timeout=lock_timeout)


@contextmanager
def draft_of(backup: Path, path: Path) -> Iterator["Draft"]:
    """A copy of a backup that may take the place of the registry at the path. It is removed when the block ends.

    Raises RegistryUnavailable or IntegrityFailure if the backup cannot be used.
    """
    from authctl.store.sqlite.backups import errors_about_backup, read_backup
    from authctl.store.sqlite.registry_file import draft_beside
    from authctl.store.sqlite.restores import SqliteDraft
    from authctl.store.sqlite.store import SqliteStore

    with draft_beside(path) as draft, errors_about_backup(backup, draft, path):
        read_backup(backup, draft)
        with closing(SqliteStore(draft, is_draft=True)) as store:
            yield SqliteDraft(store, backup, path)


@contextmanager
def create_store(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator["Store"]:
    """A new store. It appears at the path, whole, when the block has succeeded. Raises Refused if a file is there."""
    from authctl.store.sqlite.creation import creating

    with creating(path, registry_id, profiles) as store:
        yield store


def store_files(path: Path) -> tuple[Path, ...]:
    """The files of a registry at a path: the registry itself, and those that its database keeps beside it."""
    from authctl.store.sqlite.registry_file import registry_files

    return registry_files(path)


def how_to_move_away(path: Path) -> str:
    """The hint how to move the registry at a path away, with the files that its database keeps beside it."""
    from authctl.store.sqlite.registry_file import how_to_move_away

    return how_to_move_away(path)


def location_health(path: Path) -> "Health":
    """Whether the place of a registry is fit for its database."""
    from authctl.store.sqlite.health import file_system

    return file_system(path)
