"""Users.

See docs/glossary.md#folded-key.
"""

import json
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows

if TYPE_CHECKING:
    from authctl.model import User
    from authctl.store.sql.dialect import Dialect


@cache
def _keys_beyond_ascii(dialect: "Dialect") -> str:
    first = f"SELECT min(username_key) FROM {dialect.table('sessions', index='sessions_by_user')}"
    # One look-up finds the first user, the next one the first after it, and so on.
    return (
        f"WITH RECURSIVE found (key) AS ({first} UNION ALL SELECT ({first} WHERE username_key > found.key) FROM found"
        f" WHERE found.key IS NOT NULL) SELECT key FROM found WHERE {dialect.is_beyond_ascii('key')}"
    )


_GIVEN = ", ".join(f"excluded.{column}" for column in rows.USER.split(", "))
_IS_OVER = "disabled_until IS NOT NULL AND enabled_at IS NULL AND disabled_until <= ?"


class UsersReader(Reader):
    """`UsersView` over any database."""

    def user(self, username: str) -> "User | None":
        row = self.one_row(f"SELECT {rows.USER} FROM users WHERE username_key = ?", (fold(username),))
        return rows.user(row) if row else None

    def users_among(self, usernames: Collection[str]) -> "dict[str, User]":
        if not self.one_number("SELECT EXISTS (SELECT 1 FROM users)"):
            return {}
        sql = f"SELECT username_key, {rows.USER} FROM users WHERE {self.dialect.is_listed('username_key', 'keys')}"
        keys = self.dialect.list_of(map(fold, usernames))
        return {key: rows.user(row) for key, *row in self.all_rows(sql, {"keys": keys})}

    def users(self) -> "list[User]":
        return [rows.user(row) for row in self.all_rows(f"SELECT {rows.USER} FROM users ORDER BY username_key")]

    def user_keys_beyond_ascii(self) -> list[str]:
        return [row[0] for row in self.all_rows(_keys_beyond_ascii(self.dialect))]

    def user_keys_by_use(self) -> list[str]:
        sql = (  # from the index alone
            f"SELECT username_key FROM {self.dialect.table('sessions', index='sessions_by_user')} GROUP BY username_key"
            " ORDER BY max(last_used_at) DESC, username_key"
        )
        return [row[0] for row in self.all_rows(sql)]

    def users_beginning(self, key: str, limit: int) -> list[str]:
        from authctl.store.nouns import beginnings

        return beginnings.users(self, key, limit)

    def nearest_users(self, username: str, limit: int) -> list[str]:
        from authctl.store.nouns import nearest_names

        return nearest_names.nearest(self, fold(username), limit)


class UsersWriter(Writer):
    """`UsersChange` over any database."""

    def save_user(self, user: "User") -> None:
        sql = (
            f"INSERT INTO users (username_key, {rows.USER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT (username_key) DO UPDATE SET ({rows.USER}) = ({_GIVEN})"
        )
        excepted = json.dumps(user.password_except) if user.password_except else None
        self.write(sql, (fold(user.username), *user._replace(password_except=excepted)))  # type: ignore[arg-type]

    def end_disablings(self, now: int, limit: int) -> "list[User]":
        over = (
            f"SELECT username_key FROM {self.dialect.table('users', index='users_by_disabled_until')} WHERE {_IS_OVER}"
        )
        if self.one_row(f"{over} LIMIT 1", (now,)) is None:
            return []
        sql = (
            "UPDATE users SET enabled_at = disabled_until, enabled_by = 'until'"
            # The condition once more for the row itself: another change beside this one may have recorded that end meanwhile.
            f" WHERE username_key IN ({over} ORDER BY disabled_until LIMIT ?) AND {_IS_OVER} RETURNING {rows.USER}"
        )
        return [rows.user(row) for row in self.all_rows(sql, (now, limit, now))]
