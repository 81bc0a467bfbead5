"""Stores of each kind for tests; without a server, those in PostgreSQL are skipped. To add a store, add a way to make one."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count as numbers
from pathlib import Path

import pytest

from authctl import profiles
from authctl.store import create_store, open_store
from authctl.store.protocol import Store

DEFAULTS = profiles.read(profiles.DEFAULT_FILE.encode(), "profiles.yaml")

MakeStore = Callable[[], AbstractContextManager[Store]]
fresh_folders = numbers()


@pytest.fixture(params=["sqlite", "postgresql"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes empty stores, each in a file or in a database of its own."""
    on_server = request.param == "postgresql"
    server, prepared = (
        map(request.getfixturevalue, ("postgres_server", "prepared_database")) if on_server else (None, "")
    )

    @contextmanager
    def in_file() -> Iterator[Path]:
        folder = tmp_path / str(next(fresh_folders))
        folder.mkdir()
        yield folder / "registry.db"

    @contextmanager
    def made() -> Iterator[Store]:
        with server.fresh_database(copy_of=prepared) if server else in_file() as place:
            with create_store(place, "0" * 16, DEFAULTS):
                pass
            with closing(open_store(place)) as store:
                yield store

    return made


@pytest.fixture
def store(make_store: MakeStore) -> Iterator[Store]:
    """An empty store of each kind."""
    with make_store() as made:
        yield made
