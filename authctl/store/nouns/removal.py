"""The removal of sessions from all tables."""

from collections.abc import Sequence

from authctl.store.nouns.reader import Writer


def remove_sessions(writer: Writer, numbers: Sequence[int]) -> None:
    """Remove sessions, with all that is stored of them as imported ones."""
    writer.remove_from_search(numbers)
    listed = {"numbers": writer.dialect.list_of(numbers)}
    for table in ("imported", "imported_rows", "announced_sessions", "deliveries"):
        if writer.one_number(f"SELECT EXISTS (SELECT 1 FROM {table})"):  # to look for each number takes longer
            writer.write(f"DELETE FROM {table} WHERE {writer.tables.each_number}", listed)
    writer.write(f"DELETE FROM sessions WHERE {writer.tables.each_number}", listed)
