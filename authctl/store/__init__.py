"""The database behind a protocol; no other package depends on the kind of database.

protocol/   the contract of a store, by noun; the only part that other packages import
sql/        SQL that every database shares
nouns/      the views and changes by noun, over any database
sqlite/     the store in one SQLite file
postgres/   the store in a PostgreSQL database
moving.py   the copy of a registry at another place, of either kind; `authctl registry move` imports it by itself
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from authctl.registry_locations import Location, read_location

if TYPE_CHECKING:
    from authctl.model import ProfileSet
    from authctl.store.postgres.connection import Connection
    from authctl.store.protocol import Draft, Store
    from authctl.store.protocol.health import Health


def open_store(location: Path | str, lock_timeout: float | None = None) -> "Store":
    """The store at a path, or at a URL. `lock_timeout` replaces the 30 seconds that a change waits for its turn.

    Raises InvalidInput for a URL of another kind; RegistryUnavailable or IntegrityFailure if no registry is there.
    """
    place = read_location(location)
    if isinstance(place, str):
        from authctl.store.postgres.addresses import read_address
        from authctl.store.postgres.store import PostgresStore

        return PostgresStore(read_address(place), lock_timeout, _write_file)
    from authctl.store.sqlite.registry_file import check_file
    from authctl.store.sqlite.store import SqliteStore

    check_file(place)
    return SqliteStore(place, lock_timeout=lock_timeout)


def _write_file(source: "Connection", path: Path) -> None:
    """Write a registry on a server to a portable file."""
    from authctl.store.portable import write_file  # loads SQLite, which a registry on a server does not need else

    write_file(source, path)


@contextmanager
def draft_of(backup: Path, location: Location, folder: Path) -> Iterator["Draft"]:
    """A copy of a backup that may take the place of the registry at the location. It is removed when the block ends.

    The folder is for the files of a restore where the registry is on a server; else they lie beside it. Raises RegistryUnavailable
    or IntegrityFailure if the backup cannot be used.
    """
    if isinstance(location, str):
        from authctl.store.portable_restores import server_draft
        from authctl.store.postgres.addresses import read_address

        with server_draft(backup, read_address(location), folder) as draft:
            yield draft
        return
    from authctl.store.sqlite.restores import file_draft

    with file_draft(backup, location) as draft:
        yield draft


@contextmanager
def create_store(location: Location, registry_id: str, profiles: "ProfileSet") -> Iterator["Store"]:
    """A new store. It appears at the location, whole, when the block has succeeded. Raises Refused if one is there."""
    if isinstance(location, str):
        from authctl.store.postgres import creation
        from authctl.store.postgres.addresses import read_address

        with creation.creating(read_address(location), registry_id, profiles) as server_store:
            yield server_store
        return
    from authctl.store.sqlite.creation import creating

    with creating(location, registry_id, profiles) as store:
        yield store


@contextmanager
def load_store(address: str, file: Path) -> Iterator["Store"]:
    """A new store on a server with all that the registry in a file has, exactly as it is there (decision 311).

    The block sees it in the one transaction that makes it, and may check or change it. It appears at the address, whole, when the
    block has succeeded. The file must not change meanwhile. Raises Refused if a registry is there, or the server cannot hold one;
    IntegrityFailure if the file holds what no registry holds.
    """
    from authctl.store.portable import source_in
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.creation import loading

    with source_in(file) as source, loading(read_address(address), source) as store:
        yield store


def setup_statements(address: str) -> str:
    """The SQL statements with which a database administrator makes the place of a registry on a server."""
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.roles import statements

    return statements(read_address(address))


def store_files(location: Location) -> tuple[Path, ...]:
    """The files of a registry: the registry itself, and those that its database keeps beside it; none of one on a server."""
    if isinstance(location, str):
        return ()
    from authctl.store.sqlite.registry_file import registry_files

    return registry_files(location)


def how_to_move_away(location: Location) -> str:
    """The hint how to move a registry away, with all that belongs to it."""
    if isinstance(location, str):
        return "rename its database, and create another one in its place"
    from authctl.store.sqlite.registry_file import how_to_move_away

    return how_to_move_away(location)


def name_of_replaced(location: Location, at: str) -> str:
    """The name under which a registry that is replaced at that instant is kept."""
    return f"{'registry' if isinstance(location, str) else location.name}.replaced-{at}"


def is_there(location: Location) -> bool:
    """Whether a registry is at that location, whole or not. Raises OSError or RegistryUnavailable if nobody can know."""
    if isinstance(location, str):
        from authctl.store.postgres import creation
        from authctl.store.postgres.addresses import read_address

        return creation.is_there(read_address(location))
    return location.exists()


def location_health(location: Location) -> "Iterator[tuple[str, Health]]":
    """Whether the place of a registry is fit for its database: each check by its name. Raises RegistryUnavailable."""
    if isinstance(location, str):
        from authctl.store.postgres.addresses import read_address
        from authctl.store.postgres.diagnosis import diagnosis

        yield from diagnosis(read_address(location))
        return
    from authctl.store.sqlite.health import file_system

    yield "file_system", file_system(location)
