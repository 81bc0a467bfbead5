"""Installations for tests, made in the process of the test: a command in a process of its own takes a third of a second."""

from pathlib import Path

from authctl import profiles
from authctl.instants import Clock
from authctl.registry.init import create
from authctl.registry_locations import Location
from authctl.settings import find_home
from tests import places


def make_installation(
    home: Path, profiles_text: str, registry: Location | None = None, clock: Clock | None = None
) -> None:
    """Make an installation, as `authctl init` does, with those profiles; its registry is in the place of that home, if none is named."""
    raw = profiles_text.encode()
    create(
        find_home(home, registry or places.place_in(home)),
        profiles.read(raw, "profiles.yaml"),
        raw,
        actor="founder",
        clock=clock,
    )
