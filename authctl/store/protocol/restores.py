"""Restores: a copy of a backup that takes the place of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from authctl.store.protocol.store import Store, View

Done = TypeVar("Done")

MakeReady = Callable[["View | None", "Path | None", bool], Done]
"""A function that makes a draft ready.

It gets the registry that is replaced, the file where that one is kept, and whether this is the last time.
"""


class Draft(Protocol):
    """A copy of a backup, before it takes the place of a registry."""

    @property
    def store(self) -> Store:
        """The copy; nobody else has it."""

    def preview(self, make_ready: MakeReady[Done]) -> Done:
        """Make the copy ready, as `replace_registry` does, but put it nowhere."""

    def replace_registry(self, kept_name: str, make_ready: MakeReady[Done]) -> Done:
        """Put the copy in the place of the registry: all of it, or nothing.

        It is made ready twice: once beforehand, so that little is left to do, and once when nobody can change the registry any
        more, so that no change is lost. `make_ready` gets the registry that is replaced, the private file beside it where that
        one is kept (the name begins with `kept_name`), and whether this is the last time; or None and None, once, if there is
        no registry. The copy never gives a number that the other has given, and its recorded time is not earlier;
        `carry_over` reads the other. Raises Refused if the backup is of another registry, or if files of a registry that is
        gone lie there; DiskFull and RegistryUnavailable. Then nothing has changed, and no file is left.
        """
