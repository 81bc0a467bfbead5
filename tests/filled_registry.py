"""A registry in a file with rows in every table, and what it holds."""

from contextlib import closing
from pathlib import Path
from typing import Any

from authctl import Registry, SessionFilter
from authctl.store.sqlite.library import sqlite3

FILLED = """
INSERT INTO continuity VALUES (3, 'Отдел', 1, 2, 'admin', 'storm', NULL, NULL);
INSERT INTO cached_logins VALUES ('mail', 'alice', 'Alice', 'Mail', 'ldap', 1, 2, 'k1', zeroblob(16), randomblob(32));
INSERT INTO changeover VALUES (1, '{}', '[]', 0, 1, 2, 3, 4, 5, 6);
INSERT INTO clients VALUES ('c1', 'api', 'API', '[]', '[]', 1, 2, 1, NULL, NULL, 3, 'admin', randomblob(32), 4, NULL, NULL);
INSERT INTO imported VALUES (4, randomblob(9), '{}', NULL, 1, 0, 5, NULL, NULL, randomblob(32), 1);
INSERT INTO imported_finals VALUES (x'00FF5C74', 'hub', -1, 9, 1);
INSERT INTO imported_ahead VALUES (x'5C4E0A', 9);
INSERT INTO imported_rows VALUES (4, 5, '{"a": "\t"}', NULL, 1, 'x', NULL), (4, 5, '{"a": "\t"}', NULL, 1, 'x', NULL);
INSERT INTO complete_listings VALUES ('hub', '', 5, 1);
INSERT INTO imports VALUES (41, 1, 'admin', 'Hub', 'hub', '{}', 2, 'none', 3, 4, 'b', 'wrong file', '{}');
INSERT INTO import_batches VALUES (7, 41, 1, 2, 3, 4, 5, 6, NULL, NULL);
INSERT INTO import_changes VALUES (41, 4, NULL, '{}');
INSERT INTO import_finals VALUES (41, x'00', -1, 2, 0, NULL);
INSERT INTO subscriptions VALUES (1, x'01', '[]');
INSERT INTO announcements VALUES (12, 'j', 'Портал', 'портал', 'session.revoked', 1, 'a', 'n', 5, NULL, NULL, NULL, 2, '{}', 3, 1, 'pending', 4, 5);
INSERT INTO announced_sessions VALUES (2, 4);
INSERT INTO deliveries VALUES (12, 4, 'портал', NULL, 'dead', 3, 1, 2, 9, 'x');
INSERT INTO receiver_pauses VALUES ('портал', 1, 2, 'x');
UPDATE registry SET restored_at = 5, moves = 6;
UPDATE clock SET leapt_at = 7;
"""
"""Rows of the tables that the operations below do not write, with what COPY and JSON must not change."""


def fill(home: Path) -> None:
    """Put something into every table of an installation whose registry is a file."""
    with Registry.open(home) as registry:
        for name in ("alice", "bob", "жук", "Ａｄａ"):
            registry.issue(username=name, application="Outlook", device=f"{name}-ПК", ip="2001:DB8::1")
        registry.revoke(SessionFilter(username="alice"), note="потерян 'телефон'\t\\N %", actor="admin")
        registry.users.disable("bob", note="left", actor="admin")
        registry.users.password_changed("жук", note="ticket 5", actor="admin")
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        connection.executescript(FILLED)


def dump(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of a registry in a file, and the last numbers that were given."""
    with closing(sqlite3.connect(file)) as connection:
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%found%' AND name NOT LIKE '%migrations%'"
        names = [name for (name,) in connection.execute(sql)]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}
