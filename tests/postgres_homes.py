"""Installations whose registry is in a database on the server of `tests/postgres_server.py`."""

from pathlib import Path

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.settings import Home, find_home


@pytest.fixture
def home_on_server(tmp_path: Path, prepared_url: str) -> Home:
    """A new installation with the default profiles; its folder is `tmp_path / "home"`, its registry `prepared_url`."""
    home = find_home(tmp_path / "home", prepared_url)
    raw = profiles.DEFAULT_FILE.encode()
    create(home, profiles.read(raw, "profiles.yaml"), raw, actor="founder")
    return home


def opened(home: Home) -> Registry:
    """The registry of an installation, open; its warnings are left out."""
    return Registry.open(home.folder, registry=home.registry, warn=lambda _: None)
