"""Loading of a whole registry of another kind, such as a portable file: every table by COPY, in the transaction of the caller.

The rows are read and sent one after the other, so that memory stays the same for any number of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from authctl.errors import IntegrityFailure
from authctl.store.postgres.change import text_of_event
from authctl.store.postgres.library import psycopg
from authctl.store.postgres.roles import AUDIT_LOG, protect_audit_log
from authctl.store.postgres.schema import finish_tables, make_tables

if TYPE_CHECKING:
    from authctl.store.postgres.connection import Connection

_FILLED_BY_HAND = ("schema_version", "registry", "clock")
_TEXT_OF_EVENT = "text_key"
_FIRST = ("revocations",)
"""Tables that others refer to: they are filled first, and emptied last."""
_INDEX_MEMORY = {"maintenance_work_mem": "256MB", "gin_pending_list_limit": "64MB"}
"""The memory for making indexes and filling the index of texts, beside the memory that the server gives; more changed little."""
_NO_LIMITS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")

_COLUMNS = (
    "SELECT c.relname, a.attname, a.attidentity <> '' FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('registry')) AND c.relkind = 'r'"
    " AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY c.oid, a.attnum"
)


class Facts(NamedTuple):
    """The facts of a registry that are no rows of a table with the same columns everywhere."""

    registry_id: str
    profiles: str
    """The document of the profiles in force, as JSON text."""
    restored_at: int | None
    moves: int
    seen_at: int
    """The recorded time, in microseconds since 1970."""
    leapt_at: int | None


class Source(Protocol):
    """A registry of another kind, in one snapshot, with the tables and columns that every kind has."""

    def facts(self) -> Facts:
        """The facts of the registry that are in no table."""

    def columns(self, table: str) -> Sequence[str]:
        """The columns of a table; none if there is no such table."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Sequence[Any]]:
        """The rows of a table in the order of its key, with those columns."""

    def last_number(self, table: str) -> int:
        """The last number that the table has ever given to a row; 0 if it has given none."""


def load_new(connection: "Connection", source: Source) -> None:
    """Make the tables of a registry in an empty database, and fill them with exactly the rows of the source.

    It is done in the open transaction of the connection. Raises IntegrityFailure if the source holds what no registry holds.
    """
    lift_limits(connection)
    make_tables(connection)
    _fill(connection, source)
    finish_tables(connection)
    connection.execute("ANALYZE", prepare=False)


def load_over(connection: "Connection", source: Source) -> None:
    """Put the rows of the source in the place of all rows of the registry, in an open transaction that holds the gate alone.

    Others read the former rows until the commit, and no read waits: nothing is locked against readers. No number that was given is
    given again: the sequences only rise. The role must be the owner of the tables. Raises IntegrityFailure as `load_new`.
    """
    lift_limits(connection)
    with _writable_log(connection):
        tables = _tables(connection)
        # Last what others refer to: else the server looks for rows that refer to each one.
        for table in sorted(tables, key=lambda name: name in _FIRST):
            connection.execute(f'DELETE FROM "{table}"', prepare=False)
        for table in ("registry", "clock"):
            connection.execute(f"DELETE FROM {table}", prepare=False)
        _fill(connection, source)
    connection.execute("ANALYZE", prepare=False)


def lift_limits(connection: "Connection") -> None:
    """Give an open transaction the time and the memory that loading needs. A host that is gone is noticed by its connection."""
    names = ", ".join(f"'{name}'" for name in _NO_LIMITS)
    connection.execute(
        f"SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ({names});"
        " SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3",
        prepare=False,
    )
    for name, value in _INDEX_MEMORY.items():
        connection.execute(f"SET LOCAL {name} = '{value}'", prepare=False)


@contextmanager
def _writable_log(connection: "Connection") -> Iterator[None]:
    """Let the owner replace the audit log during the block: nobody else can, and nobody sees it before the commit."""
    connection.execute(
        f"ALTER TABLE {AUDIT_LOG} DISABLE TRIGGER USER; GRANT DELETE ON {AUDIT_LOG} TO CURRENT_USER", prepare=False
    )
    yield
    connection.execute(f"ALTER TABLE {AUDIT_LOG} ENABLE TRIGGER USER", prepare=False)
    protect_audit_log(connection)


def _tables(connection: "Connection") -> dict[str, tuple[list[str], str | None]]:
    """The tables with rows of their own, those first that others refer to: their columns, and the one that numbers the rows."""
    found: dict[str, tuple[list[str], str | None]] = {}
    for table, column, numbers in connection.execute(_COLUMNS, prepare=False).fetchall():
        if table not in _FILLED_BY_HAND:
            columns, numbered = found.get(table, ([], None))
            found[table] = ([*columns, column], column if numbers else numbered)
    return dict(sorted(found.items(), key=lambda item: item[0] not in _FIRST))


def _fill(connection: "Connection", source: Source) -> None:
    """Fill the empty tables."""
    facts = source.facts()
    connection.execute(
        'INSERT INTO registry ("only", id, profiles, restored_at, moves) VALUES (1, %s, %s, %s, %s)', facts[:4]
    )
    connection.execute("INSERT INTO clock VALUES (0, %s, %s)", (facts.seen_at, facts.leapt_at))
    for table, (columns, numbered) in _tables(connection).items():
        _copy(connection, source, table, columns)
        if numbered:
            _raise_sequence(connection, table, numbered, source.last_number(table))


def _copy(connection: "Connection", source: Source, table: str, columns: Sequence[str]) -> None:
    """Copy all rows of a table."""
    there = source.columns(table)
    lacking = [name for name in columns if name not in there and name != _TEXT_OF_EVENT]
    if lacking or (unknown := [name for name in there if name not in columns]):
        raise IntegrityFailure(f"the registry to load has other columns in {table}: {(lacking or unknown)[0]}")
    rows = source.rows(table, there)
    if table == AUDIT_LOG:
        rows = _with_text(rows, there)
        there = (*there, _TEXT_OF_EVENT)
    listed = ", ".join(f'"{name}"' for name in there)
    try:
        with connection.cursor().copy(f'COPY "{table}" ({listed}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)
    except (psycopg.DataError, psycopg.IntegrityError, UnicodeEncodeError) as error:
        first, *_ = str(error).splitlines() or [""]
        raise IntegrityFailure(f"the registry to load holds what no registry holds, in {table}: {first}") from error


def _with_text(rows: Iterator[Sequence[Any]], columns: Sequence[str]) -> Iterator[Sequence[Any]]:
    """The rows of the audit log, each with its folded text, which the database cannot make."""
    for row in rows:
        given = dict(zip(columns, row, strict=True))
        yield (
            *row,
            text_of_event(given["note"], given["subject"], given["actor"], given["action"], given["detail"]),
        )


def _raise_sequence(connection: "Connection", table: str, column: str, last: int) -> None:
    """Let the next number of a table be above the last one that the source gave, and above all that were given here."""
    (sequence,) = _row(connection, "SELECT pg_get_serial_sequence(%s, %s)", (f'"{table}"', column))
    # The sequence of the registry itself: no rollback takes it back, which only leaves numbers out.
    _row(
        connection,
        f"SELECT setval(%s::regclass, greatest(last_value, %s), is_called OR %s > 0) FROM {sequence}",
        (sequence, max(last, 1), last),
    )


def _row(connection: "Connection", sql: str, given: Sequence[Any]) -> tuple[Any, ...]:
    """The only row of a statement."""
    row = connection.execute(sql, given, prepare=False).fetchone()
    assert row is not None
    return row
