"""Where a store is: a path, or a URL."""

import shutil
from pathlib import Path

import pytest

from authctl import InvalidInput, Registry, RegistryUnavailable
from authctl.store import open_store
from authctl.store.sqlite.locations import file_of_url


@pytest.mark.parametrize("location", [Path, str, "sqlite://{}".format, "sqlite:///{}".format, "SQLite://{}".format])
def test_a_store_is_opened_by_path_or_url(registry: Registry, home: Path, location):
    """A path as it is, as text, or in a URL with three slashes or four; the scheme in any case."""
    store = open_store(location(home / "registry.db"))
    with store.view() as view:
        assert view.registry_id() == registry.audit.event(1).subject
    store.close()


def test_a_url_may_quote_its_path(registry: Registry, home: Path, tmp_path: Path):
    """As every URL does: a space, a question mark and a percent sign are part of the name."""
    registry.close()
    folder = tmp_path / "a b?c%20d"
    folder.mkdir(mode=0o700)
    shutil.copy(home / "registry.db", folder / "registry.db")
    assert file_of_url(f"sqlite://{tmp_path}/a%20b%3Fc%2520d/registry.db") == folder / "registry.db"
    open_store(f"sqlite://{tmp_path}/a%20b%3Fc%2520d/registry.db").close()


@pytest.mark.parametrize("url", ["postgresql://host/db", "mysql://host/db", "://db", "http://host/registry.db"])
def test_another_database_is_not_known(url: str):
    """The error quotes what was given, and its hint names what is known."""
    with pytest.raises(InvalidInput, match="no such kind of registry") as refused:
        open_store(url)
    assert refused.value.hint == "a path to a file, or sqlite:///PATH"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite://host/registry.db", "sqlite:///a?mode=memory", "sqlite:///a#b"]
)
def test_a_url_names_a_file_and_nothing_else(url: str):
    """No host, no options and no part."""
    with pytest.raises(InvalidInput, match="not the URL of a file"):
        open_store(url)


def test_a_file_that_is_missing_is_unavailable(tmp_path: Path):
    """By a URL as by a path."""
    with pytest.raises(RegistryUnavailable, match="no registry"):
        open_store(f"sqlite://{tmp_path}/registry.db")
