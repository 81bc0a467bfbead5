"""Creation of a registry: it appears at its path whole, or not at all."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from authctl.errors import Refused
from authctl.files import resolved
from authctl.store.sqlite.connections import translated_errors
from authctl.store.sqlite.library import sqlite3
from authctl.store.sqlite.registry_file import APPLICATION_ID, draft_beside, link_draft
from authctl.store.sqlite.reserve import Reserve
from authctl.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from authctl.model import ProfileSet


@contextmanager
def creating(path: Path, registry_id: str, profiles: "ProfileSet") -> Iterator[SqliteStore]:
    """A new registry, private from its first byte. It appears at `path` when the block has succeeded.

    Raises Refused if a file is there already; that file does not change.
    """
    with draft_beside(path) as draft:
        with translated_errors(path):
            make_tables(draft, registry_id, json.dumps(profiles.to_document(), ensure_ascii=False))
        with closing(SqliteStore(draft, is_draft=True)) as store:
            yield store
        try:
            link_draft(draft, path)
        except FileExistsError:
            raise Refused(f"a registry already exists: {path}") from None
    Reserve(resolved(path)).keep()


def make_tables(draft: Path, registry_id: str, profiles: str) -> None:
    """Make the tables of a registry in an empty file; the profiles in force are given as their document."""
    from authctl.store.sqlite.migrations import migrate

    connection = sqlite3.connect(draft, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection)
    connection.execute("INSERT INTO registry (only, id, profiles) VALUES (1, ?, ?)", (registry_id, profiles))
    connection.close()
