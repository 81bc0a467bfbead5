"""The tables and sequences of a registry in PostgreSQL, by name."""

import re

from authctl.store.postgres.outbox_tables import OUTBOX_TABLES
from authctl.store.postgres.tables import TABLES

_MADE = re.compile(r"CREATE (TABLE|SEQUENCE) (\w+)")


def made_names() -> list[tuple[str, str]]:
    """The kind and the name of each table and sequence of a registry, in the order in which they are made."""
    return [found.groups() for statement in (*TABLES, *OUTBOX_TABLES) if (found := _MADE.search(statement))]  # type: ignore[misc]
