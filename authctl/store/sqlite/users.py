"""Users in SQLite.

See docs/glossary.md#folded-key.
"""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.sql import rows
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from authctl.model import User

_FIRST_KEY = "SELECT min(username_key) FROM sessions INDEXED BY sessions_by_user"
# One look-up finds the first user, the next one the first after it, and so on; GLOB has every character beyond ASCII.
_KEYS_BEYOND_ASCII = (
    f"WITH RECURSIVE found (key) AS ({_FIRST_KEY} UNION ALL SELECT ({_FIRST_KEY} WHERE username_key > key) FROM found"
    " WHERE key IS NOT NULL) SELECT key FROM found WHERE key GLOB '*[^ -~]*'"
)

_KEYS_BY_USE = (  # from the index alone
    "SELECT username_key FROM sessions INDEXED BY sessions_by_user GROUP BY username_key"
    " ORDER BY max(last_used_at) DESC, username_key"
)

_GIVEN = ", ".join(f"excluded.{column}" for column in rows.USER.split(", "))
_OVER = (
    "SELECT username_key FROM users INDEXED BY users_by_disabled_until"
    " WHERE disabled_until IS NOT NULL AND enabled_at IS NULL AND disabled_until <= ?"
)


class UsersReader(Reader):
    """`UsersView` over SQLite."""

    def user(self, username: str) -> "User | None":
        row = self.one_row(f"SELECT {rows.USER} FROM users WHERE username_key = ?", (fold(username),))
        return rows.user(row) if row else None

    def users_among(self, usernames: Collection[str]) -> "dict[str, User]":
        if not self.one_number("SELECT EXISTS (SELECT 1 FROM users)"):
            return {}
        sql = f"SELECT username_key, {rows.USER} FROM users WHERE username_key IN (SELECT value FROM json_each(?))"
        return {key: rows.user(row) for key, *row in self.all_rows(sql, (json.dumps(list(map(fold, usernames))),))}

    def users(self) -> "list[User]":
        return [rows.user(row) for row in self.all_rows(f"SELECT {rows.USER} FROM users ORDER BY username_key")]

    def user_keys_beyond_ascii(self) -> list[str]:
        return [row[0] for row in self.all_rows(_KEYS_BEYOND_ASCII)]

    def user_keys_by_use(self) -> list[str]:
        return [row[0] for row in self.all_rows(_KEYS_BY_USE)]

    def users_beginning(self, key: str, limit: int) -> list[str]:
        from authctl.store.sqlite import beginnings

        return beginnings.users(self.connection, key, limit)

    def nearest_users(self, username: str, limit: int) -> list[str]:
        from authctl.store.sqlite import nearest_names

        return nearest_names.nearest(self.connection, fold(username), limit)


class UsersWriter(Writer):
    """`UsersChange` over SQLite."""

    def save_user(self, user: "User") -> None:
        sql = (
            f"INSERT INTO users (username_key, {rows.USER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT (username_key) DO UPDATE SET ({rows.USER}) = ({_GIVEN})"
        )
        excepted = json.dumps(user.password_except) if user.password_except else None
        self.write(sql, (fold(user.username), *user._replace(password_except=excepted)))  # type: ignore[arg-type]

    def end_disablings(self, now: int, limit: int) -> "list[User]":
        if self.one_row(f"{_OVER} LIMIT 1", (now,)) is None:
            return []
        sql = (
            "UPDATE users SET enabled_at = disabled_until, enabled_by = 'until'"
            f" WHERE username_key IN ({_OVER} ORDER BY disabled_until LIMIT ?) RETURNING {rows.USER}"
        )
        return [rows.user(row) for row in self.all_rows(sql, (now, limit))]
