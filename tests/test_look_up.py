"""The look-up of verify keeps the columns of a session that never change: what it returns is the whole row, whatever was done."""

import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from authctl import IntegrityFailure, TokenInvalid
from authctl.store.sql import fixed_columns
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import Clock, Install
from tests.visited_sessions import OPERATIONS, PROFILES, Visited, whole


@pytest.fixture
def visited(install: Install, home: Path, clock: Clock) -> Iterator[Visited]:
    """A registry whose sessions were all verified."""
    visited = Visited(install(PROFILES), home, places.place_in(home), clock)
    yield visited
    visited.close()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_session_that_was_looked_up_before_comes_back_as_its_row_is_now(visited: Visited, operation: str):
    """Another process does the operation; the second look-up returns what the whole row contains."""
    OPERATIONS[operation](visited)
    store = visited.registry._installation.store
    for issued in visited.issued:
        number = issued.session.number
        row = store.by_number(number, visited.registry.now())
        assert (row and row[0]) == whole(visited.registry, number)


@pytest.mark.in_a_file
@pytest.mark.parametrize("column", [name for name in fixed_columns.CHANGING if name != "revocation_id"])
def test_no_column_that_changes_is_kept(visited: Visited, column: str):
    """Each of them is written by hand, as an operation writes it, and is read again."""
    number = visited.issued[1].session.number
    with closing(sqlite3.connect(visited.home / "registry.db")) as other:
        value = other.execute(f"SELECT {column} FROM sessions WHERE number = ?", (number,)).fetchone()[0]
        other.execute("PRAGMA ignore_check_constraints = 1")
        new: Any = f"{value}x" if isinstance(value, str) else 1 - value if value in (0, 1) else (value or 0) + 1
        other.execute(f"UPDATE sessions SET {column} = ? WHERE number = ?", (new, number))
        other.commit()
    row = visited.registry._installation.store.by_number(number, visited.registry.now())
    assert row
    assert getattr(row[0], column) == new


@pytest.mark.in_a_file
@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "restored"])
def test_the_kept_columns_of_issued_sessions_never_change(visited: Visited, operation: str):
    """A trigger refuses to change them; every operation is done with it (a restore replaces the file, and the trigger)."""
    columns = [name for name in fixed_columns.FIXED if name != "number"]
    same = f"({', '.join(f'OLD.{name}' for name in columns)}) IS NOT ({', '.join(f'NEW.{name}' for name in columns)})"
    with closing(sqlite3.connect(visited.home / "registry.db")) as other:
        other.execute(
            f"CREATE TRIGGER kept BEFORE UPDATE ON sessions WHEN OLD.secret_hash IS NOT NULL AND {same}"
            " BEGIN SELECT RAISE(ABORT, 'a kept column changes'); END"
        )
        with pytest.raises(sqlite3.IntegrityError, match="a kept column changes"):
            other.execute("UPDATE sessions SET device = 'another'")
    OPERATIONS[operation](visited)


@pytest.mark.in_a_file
def test_a_number_that_belongs_to_another_session_is_read_as_a_whole(install: Install, home: Path, clock: Clock):
    """A registry in which the number was given to somebody else is put in the place of the open one's rows."""
    registry = install()
    token = registry.issue(username="alice", application="Outlook").access_token
    number = registry.verify(token).number
    with closing(sqlite3.connect(home / "registry.db")) as other:
        other.execute(
            "UPDATE sessions SET secret_hash = zeroblob(32), username = 'mallory' WHERE number = ?", (number,)
        )
        other.commit()
    row = registry._installation.store.by_number(number, registry.now())
    assert row
    assert row[0].username == "mallory"
    with pytest.raises(TokenInvalid):
        registry.verify(token)


def test_a_session_is_whole_without_its_registry(visited: Visited):
    """It can be pickled, compared and read after the registry was closed, and the row was removed."""
    first, second = (visited.registry.verify(visited.issued[0].access_token) for _ in range(2))
    OPERATIONS["cleaned up"](visited)
    visited.registry.close()
    assert first == second
    assert pickle.loads(pickle.dumps(first)) == first
    assert (first.device, first.ip, first.application) == ("PC", "10.1.2.3", "Outlook")


@pytest.mark.in_a_file
def test_only_so_many_sessions_are_kept(install: Install, monkeypatch: pytest.MonkeyPatch):
    """The oldest goes first; whatever is not kept is read as a whole."""
    monkeypatch.setattr(fixed_columns, "MOST_KEPT", 2)
    registry = install()
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(5)]
    for _ in range(2):
        assert [registry.verify(token).username for token in tokens] == [f"user{n}" for n in range(5)]
    kept = registry._installation.store._look_up._fixed._kept  # type: ignore[attr-defined]
    assert len(kept) == 2


@pytest.mark.in_a_file
@pytest.mark.parametrize("column", ["expires_at", "use_due_at"])
def test_a_deadline_that_is_no_number_is_damage_also_for_a_session_that_was_looked_up_before(
    visited: Visited, column: str
):
    """A text would compare as later than every number, and the session never expire."""
    with closing(sqlite3.connect(visited.home / "registry.db")) as other:
        # the table takes numbers only, until somebody edits the schema
        other.execute("PRAGMA writable_schema = 1")
        other.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')') WHERE name = 'sessions'")
        other.execute("PRAGMA writable_schema = RESET")
        other.execute("PRAGMA ignore_check_constraints = 1")
        other.execute(f"UPDATE sessions SET {column} = 'never'")
        other.commit()
    with pytest.raises(IntegrityFailure):
        visited.registry.verify(visited.issued[0].access_token)
