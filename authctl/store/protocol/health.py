"""Health of a store: the report of the doctor about the database program, and of the place where the registry lies."""

from typing import NamedTuple


class Health(NamedTuple):
    """A finding about the store."""

    ok: bool
    found: str
    hint: str | None = None
    """The next step; None if there is nothing to do."""
