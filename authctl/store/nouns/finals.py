"""Finals: the last instant of an imported session that was removed, by its key, source and creation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.store.sql.dialect import Dialect


def insertion_of_finals(dialect: Dialect, rows: str, also: str = "") -> str:
    """The statement that inserts finals from VALUES or a query. Of two finals of a session, the later instant is kept; `also` sets more."""
    later = dialect.greatest("imported_finals.at", "excluded.at")
    return (
        f"INSERT INTO imported_finals (key, source_key, created_at, at, without_user) {rows}"
        f" ON CONFLICT (key, source_key, created_at) DO UPDATE SET at = {later}{also}"
    )
