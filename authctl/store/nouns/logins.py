"""Cached logins (decision 59)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authctl.instants import NEVER
from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql import rows

if TYPE_CHECKING:
    from authctl.model import CachedLogin, Texts


class LoginsReader(Reader):
    """`LoginsView` over any database."""

    def cached_login(self, profile: str, username: str) -> "CachedLogin | None":
        sql = f"SELECT {rows.LOGIN} FROM cached_logins WHERE profile_key = ? AND username_key = ?"
        row = self.one_row(sql, (fold(profile), fold(username)))
        return rows.login(row) if row else None

    def cached_logins(self, username: "Texts" = None) -> "list[CachedLogin]":
        from authctl.store.sql.filters import Criteria

        criteria = Criteria(self.dialect)
        criteria.add_texts("username_key", "username", username)
        order = "last_used_at DESC, username_key, profile_key"
        sql = f"SELECT {rows.LOGIN} FROM cached_logins WHERE {criteria.where} ORDER BY {order}"
        return [rows.login(row) for row in self.all_rows(sql, criteria.parameters)]


class LoginsWriter(Writer):
    """`LoginsChange` over any database."""

    def save_login(self, login: "CachedLogin", capacity: int) -> None:
        keys = {"profile": fold(login.profile), "username": fold(login.username)}
        sql = (
            f"INSERT INTO cached_logins (profile_key, username_key, {rows.LOGIN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            f" ON CONFLICT (profile_key, username_key) DO UPDATE SET ({rows.LOGIN}) = ({rows.LOGIN_GIVEN})"
        )
        self.write(sql, (*keys.values(), *login))
        # The login that was just saved comes first, so that it stays; the limit limits nothing, and only makes room for OFFSET.
        sql = (
            "DELETE FROM cached_logins WHERE profile_key = :profile AND username_key IN (SELECT username_key"
            " FROM cached_logins WHERE profile_key = :profile"
            " ORDER BY username_key = :username DESC, last_used_at DESC, username_key LIMIT :all OFFSET :capacity)"
        )
        self.write(sql, {**keys, "capacity": capacity, "all": self.dialect.no_limit})

    def use_login(self, login: "CachedLogin", at: int) -> None:
        # The later one: with a clock that was set back, a use must not make the login the oldest.
        latest = self.dialect.greatest("last_used_at", "?")
        sql = f"UPDATE cached_logins SET last_used_at = {latest} WHERE profile_key = ? AND username_key = ?"
        self.write(sql, (at, fold(login.profile), fold(login.username)))

    def forget_logins(self, username: str | None = None) -> int:
        sql = "DELETE FROM cached_logins WHERE username_key = coalesce(:username, username_key)"
        return self.write(sql, {"username": None if username is None else fold(username)})

    def forget_old_logins(self, kept_since: Mapping[str, int]) -> None:
        # decision 70: without an instant of its profile, every login is older than NEVER
        sql = "DELETE FROM cached_logins WHERE profile_key = ? AND authenticated_at < ?"
        kept = {fold(profile): since for profile, since in kept_since.items()}
        self.connection.executemany(sql, kept.items())
        unknown = f"NOT {self.dialect.is_listed('profile_key', 'kept')}"
        sql = f"DELETE FROM cached_logins WHERE {unknown} AND authenticated_at < :never"
        self.write(sql, {"kept": self.dialect.list_of(kept), "never": NEVER})
