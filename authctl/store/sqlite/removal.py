"""The removal of sessions from all tables."""

import json
from collections.abc import Sequence

from authctl.store.sqlite.dialect import EACH_NUMBER
from authctl.store.sqlite.reader import Writer


def remove_sessions(writer: Writer, numbers: Sequence[int]) -> None:
    """Remove sessions, with all that is stored of them as imported ones."""
    from authctl.store.sqlite import search_index

    # Before the rows go: the index is given their texts to remove them.
    search_index.remove_sessions(writer.connection, numbers)
    for table in ("imported", "imported_rows", "announced_sessions", "deliveries", "sessions"):
        writer.write(f"DELETE FROM {table} WHERE {EACH_NUMBER}", {"numbers": json.dumps(list(numbers))})
