"""Finals in SQLite: the last instant of an imported session that was removed, by its key, source and creation."""

_WITH_LATER = " ON CONFLICT (key, source_key, created_at) DO UPDATE SET at = max(at, excluded.at)"


def insertion_of_finals(rows: str, also: str = "") -> str:
    """The statement that inserts finals from VALUES or a query. Of two finals of a session, the later instant is kept; `also` sets more."""
    return f"INSERT INTO imported_finals (key, source_key, created_at, at, without_user) {rows}{_WITH_LATER}{also}"
