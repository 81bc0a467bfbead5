"""Empty places for registries, and installations whose registry is at one: in a file, or on a server."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from authctl.registry.moving import move
from authctl.registry_locations import Location
from authctl.settings import find_home
from tests.postgres_server import Server

if TYPE_CHECKING:
    from tests.conftest import Install

MakePlace = Callable[[str], Location]


@pytest.fixture
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Makes empty places of a kind: "file" or "server"; without a server, its tests are skipped."""
    numbers, databases = count(1), []

    def make(kind: str) -> Location:
        if kind == "file":
            return tmp_path / f"place-{next(numbers)}.db"
        server: Server = request.getfixturevalue("postgres_server")
        database = server.fresh_database()
        databases.append(database)
        return database.__enter__()

    yield make
    for database in databases:
        database.__exit__(None, None, None)


WAYS = [("file", "file"), ("file", "server"), ("server", "file"), ("server", "server")]


@pytest.fixture
def installed_at(install: "Install", home: Path, new_place: MakePlace) -> MakePlace:
    """Makes the installation of `home` with its registry at a place of a kind; returns the place."""

    def make(kind: str) -> Location:
        install().close()
        if kind == "file":
            return home / "registry.db"
        place = new_place(kind)
        move(find_home(home), place)
        for file in home.glob("registry.db*"):
            file.unlink()
        return place

    return make
