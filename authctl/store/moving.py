"""The copy of a registry at another place, and its comparison with the registry that it was made of.

See docs/glossary.md#move.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.errors import AuthctlError, IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.files import check_folder, resolved
from authctl.registry_locations import Location
from authctl.store.protocol.moves import Compared, Marks
from authctl.store.sqlite import moves as file_moves
from authctl.store.sqlite.backups import check, put_in_place
from authctl.store.sqlite.connections import translated_errors
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import check_vacant, draft_beside, finish_creation
from authctl.store.sqlite.reserve import Reserve
from authctl.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from authctl.store.protocol import Change, Store, View
    from authctl.store.sql.executor import Executor

_SMALL = 2_000
"""The most rows of a table that are all compared; of a larger one as many random rows."""

_OF_ONE_STORE = ("registry", "clock", "search_index", "_sqlite_migrations")
"""Tables that differ by the kind of store; their contents are compared separately."""

_TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    " AND name NOT LIKE '%\\_found%' ESCAPE '\\' ORDER BY name"
)


class _Columns(NamedTuple):
    """The columns of a table in every store, and those by which a row is found."""

    all: tuple[str, ...]
    key: tuple[str, ...]


_FACTS = "SELECT id, profiles, restored_at, moves FROM registry"


# The content of a place


def marks_at(location: Location) -> Marks | None:
    """The marks of the registry at a place; None if nothing is there. Raises Refused if something else is there."""
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address

        return moves.marks_at(read_address(location))
    if location.exists():
        finish_creation(location)
        with suppress(sqlite3.Error):
            if marks := file_moves.read_marks(resolved(location)):
                return marks
    check_vacant(location)
    return None


def check_fit(location: Location) -> None:
    """Raise an error if no registry can be made at an empty place: Refused or RegistryUnavailable."""
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address
        from authctl.store.postgres.proofs import check_server

        address = read_address(location)
        moves.check_rights(address)
        check_server(address)
        return
    try:
        check_folder(location.parent)
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {location}: {reason(error)}") from None
    with draft_beside(location):
        pass


# The copy


@contextmanager
def arriving(view: "View", location: Location, came_from: str, folder: Path) -> Iterator["Store"]:
    """A copy of the registry that a view shows, at another place. The block can check and change it.

    When the block has succeeded, the copy is there, whole and closed until `open_arrived`; a former one that was never opened
    is replaced. `folder` is private, and holds a file meanwhile if both places are on servers. Raises Refused if
    something else is there; RegistryUnavailable, DiskFull or IntegrityFailure.
    """
    making = _arriving_on_server if isinstance(location, str) else _arriving_in_file
    with making(view, location, folder) as store:  # type: ignore[arg-type]
        yield store
        with store.change() as tx:
            tx.set_arriving_from(came_from)


@contextmanager
def _arriving_in_file(view: "View", path: Path, _folder: Path) -> Iterator["Store"]:
    path = resolved(path)
    with draft_beside(path) as draft, _errors_about(draft, path), translated_errors(path):
        _write(view, draft, path)
        with closing(SqliteStore(draft, is_draft=True)) as store:
            yield store
        marks = marks_at(path)
        if marks is not None:
            check_may_replace(path, marks, view.registry_id())
            file_moves.discard(path, marks.registry_id)
        put_in_place(draft, path)
    Reserve(path).keep()


@contextmanager
def _arriving_on_server(view: "View", address: str, folder: Path) -> Iterator["Store"]:
    from authctl.store.portable import source_in
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.creation import loading

    with (
        _file_of(view, folder) as file,
        source_in(file) as source,
        loading(read_address(address), source, replaces=view.registry_id()) as store,
    ):
        yield store


@contextmanager
def _file_of(view: "View", folder: Path) -> Iterator[Path]:
    """The file of the registry that a view shows, or a private file in a folder with the same content."""
    connection = _connection(view)
    if isinstance(connection, sqlite3.Connection):
        yield Path(connection.execute("PRAGMA database_list").fetchone()[2])
        return
    file = folder / "move.db"
    with draft_beside(file) as draft, _errors_about(draft, file):
        _write(view, draft, file)
        yield draft


def _write(view: "View", draft: Path, path: Path) -> None:
    """Write the registry that a view shows to an empty file; errors name the path."""
    connection = _connection(view)
    if isinstance(connection, sqlite3.Connection):
        with closing(sqlite3.connect(draft, isolation_level=None)) as target:
            connection.backup(target)
            check(target, path)
        return
    from authctl.store.portable import fill_draft
    from authctl.store.postgres.connection import let_take_time

    let_take_time(connection.connection)
    fill_draft(connection.connection, draft)


def check_may_replace(location: Location, marks: Marks, registry_id: str) -> None:
    """Raise Refused unless the new place holds a copy of that registry that never opened."""
    if marks.registry_id != registry_id or marks.arriving_from is None:
        raise Refused(f"a registry already exists: {location}", "name an empty place")


@contextmanager
def _errors_about(draft: Path, path: Path) -> Iterator[None]:
    """Let errors name the place, and not the draft of it."""
    try:
        yield
    except AuthctlError as error:
        if str(draft) not in error.message:
            raise
        raise type(error)(error.message.replace(str(draft), str(path)), error.hint) from None


# The end of a move


def open_arrived(location: Location, last_hash: str) -> None:
    """Open the registry that has arrived at a place, if its last event has that hash.

    Raises Refused if it is another one; RegistryUnavailable.
    """
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address

        is_open = moves.open_arrived(read_address(location), last_hash)
    else:
        with translated_errors(location):
            is_open = location.exists() and file_moves.open_arrived(resolved(location), last_hash)
    if not is_open:
        raise Refused(f"the move to {location} was given up meanwhile, or begun again", "authctl doctor")


def finish_move(location: Location) -> None:
    """Record in the closed registry at a place that its new place is open. Raises RegistryUnavailable."""
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address

        moves.finish(read_address(location))
        return
    with translated_errors(location):
        file_moves.finish(resolved(location))


def discard_arrived(location: Location, registry_id: str) -> bool:
    """Remove the copy of that registry at a place, if there is one that never opened; whether there was one. Raises RegistryUnavailable."""
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address

        return moves.drop_arrived(read_address(location), registry_id)
    if marks_at(location) is None:
        return False
    with translated_errors(location):
        was_there = file_moves.discard(resolved(location), registry_id)
    if was_there:
        Reserve(resolved(location)).release()
    return was_there


@contextmanager
def reopening(location: Location) -> "Iterator[Change | None]":
    """The transaction in which a registry that an unfinished move has closed opens again; None if none has. Raises RegistryUnavailable."""
    if isinstance(location, str):
        from authctl.store.postgres import moves
        from authctl.store.postgres.addresses import read_address

        with moves.reopening(read_address(location)) as change:
            yield change
        return
    from authctl.store.sqlite.reopening import reopening as reopening_file

    with translated_errors(location), reopening_file(resolved(location)) as in_file:
        yield in_file


# The comparison


def count_rows(view: "View") -> dict[str, int]:
    """The number of rows of each table of a registry, of those tables that every store has."""
    connection = _connection(view)
    return {table: _number(connection, f'SELECT count(*) FROM "{table}"') for table in _columns()}


def compare(view: "View", copy: "View", now: int) -> Compared:
    """Compare a registry with its copy: counts, rows column by column, and sessions as they are judged at an instant.

    Raises IntegrityFailure naming the table that differs.
    """
    source, target = _connection(view), _connection(copy)
    if source.execute(_FACTS).fetchone() != target.execute(_FACTS).fetchone():
        raise _different("registry")
    compared = 0
    counts = count_rows(view)
    for table, columns in _columns().items():
        if _number(target, f'SELECT count(*) FROM "{table}"') != counts[table]:
            raise _different(table)
        compared += _compare_rows(source, target, table, columns, counts[table])
    if view.recorded_time() != copy.recorded_time():
        raise _different("clock")
    numbers = f"SELECT number FROM sessions ORDER BY {_in_sample(counts['sessions'])}"
    for (number,) in source.execute(numbers).fetchall():
        if view.by_number(number, now) != copy.by_number(number, now):
            raise _different("sessions")
    return Compared(counts, compared)


def _compare_rows(source: "Executor", target: "Executor", table: str, columns: "_Columns", count: int) -> int:
    """Compare rows of a table, found by their keys. Returns how many."""
    listed = ", ".join(f'"{name}"' for name in columns.all)
    compared = 0
    if count <= _SMALL:
        sql = f'SELECT {listed} FROM "{table}"'
        rows = _sorted(source.execute(sql).fetchall())
        if rows != _sorted(target.execute(sql).fetchall()):
            raise _different(table)
        return len(rows)
    key = ", ".join(f'"{name}"' for name in columns.key)
    where = " AND ".join(f'"{name}" = ?' for name in columns.key)
    for found in source.execute(f'SELECT {key} FROM "{table}" ORDER BY {_in_sample(count)}').fetchall():
        sql = f'SELECT {listed} FROM "{table}" WHERE {where}'
        rows = _sorted(source.execute(sql, tuple(found)).fetchall())
        if rows != _sorted(target.execute(sql, tuple(found)).fetchall()):
            raise _different(table)
        compared += len(rows)
    return compared


@cache
def _columns() -> dict[str, _Columns]:
    """The tables that every store has, with their columns, from the schema of a registry in a file."""
    from authctl.store.sqlite.migrations import migrate

    found = {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection)
        for (table,) in connection.execute(_TABLES).fetchall():
            info = connection.execute("SELECT name, pk FROM pragma_table_info(?)", (table,)).fetchall()
            key = tuple(name for name, place in info if place)
            found[table] = _Columns(tuple(name for name, _ in info), key or (info[0][0],))
    return {table: columns for table, columns in found.items() if table not in _OF_ONE_STORE}


def _connection(view: "View") -> Any:
    """The open transaction of a view."""
    return view.connection  # type: ignore[attr-defined]


def _number(connection: "Executor", sql: str) -> int:
    return int(connection.execute(sql).fetchone()[0])


def _in_sample(count: int) -> str:
    return f"random() LIMIT {_SMALL}" if count > _SMALL else f"1 LIMIT {_SMALL}"


def _sorted(rows: list[Any]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, rows), key=repr)


def _different(table: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"the copy of the registry differs in the table {table}: nothing was moved", "authctl doctor"
    )
