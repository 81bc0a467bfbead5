"""The look-up of `verify`: a session by its number, which reads again only the columns that can change."""

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from authctl.instants import check_now, utc_now
from authctl.model import Session
from authctl.store.nouns.reader import continuity_events
from authctl.store.sql import rows
from authctl.store.sql.tables import WITH_REVOCATION

if TYPE_CHECKING:
    from authctl.store.sqlite.library import sqlite3

MOST_KEPT = 8_192
"""The most sessions whose fixed columns are kept: some 8 MB."""

_NOW_OR_RECORDED = "max(?1, (SELECT seen_at FROM clock))"
"""The present instant: the first parameter, or the recorded time, if the clock is behind it (decision 80)."""

_WHOLE = f"SELECT {rows.session_columns(now=_NOW_OR_RECORDED)}, s.secret_hash FROM sessions AS s {WITH_REVOCATION} WHERE s.number = ?2"

FIXED = [
    "number",
    "id",
    "username",
    "application",
    "application_version",
    "platform",
    "device",
    "ip",
    "user_agent",
    "kind",
    "profile",
    "signed_in_with",
    "referrer",
    "created_at",
    "fixed_expires_at",
    "tokens",
    "sealed",
    "bound_to",
    "source",
    "source_id",
    "used_after_end_at",
]
"""The columns that never change while a session has a secret. Only imports change them, and an imported session has none."""

_CHANGING = [
    "last_used_at",
    "slid_at",
    "use_due_at",
    "idle_expires_at",
    "absolute_expires_at",
    "expires_at",
    "generation",
    "refreshed_at",
    "access_expires_at",
    "key_id",
    "has_conditions",
    "wipe_on_revoke",
    "revocation_id",
]
_OVER = ("revoked_at", "ended_at", "wipe_delivered_at", "wipe_acknowledged_at")
_READ = (*_CHANGING, "over", "read_at")
_SQL = (
    f"SELECT {', '.join(f's.{name}' for name in _CHANGING)},"
    f" coalesce(r.at, s.ended_at, s.wipe_delivered_at, s.wipe_acknowledged_at), {_NOW_OR_RECORDED}, s.secret_hash"
    f" FROM sessions AS s {WITH_REVOCATION} WHERE s.number = ?2"
)
_SAME = {
    # While no deadline has passed, the real ends are the stored ones. Events are read after a deadline only.
    "ends_at": "expires_at",
    "access_ends_at": "access_expires_at",
    # All of these are absent while `over` is.
    **dict.fromkeys((*_OVER, "ended_by", "revoked_by", "note"), "over"),
}
_IN_ORDER = itemgetter(*((*FIXED, *_READ).index(_SAME.get(name, name)) for name in Session._fields))
_OVER_AT, _USE_DUE_AT, _EXPIRES_AT, _ACCESS_EXPIRES_AT, _READ_AT = (
    _READ.index(name) for name in ("over", "use_due_at", "expires_at", "access_expires_at", "read_at")
)
_FIXED_COLUMNS = itemgetter(*(Session._fields.index(name) for name in FIXED))
_NEW = tuple.__new__


class _Kept(NamedTuple):
    """The fixed columns of a session. The secret proves that a number still belongs to the same session, also after a restore."""

    secret_hash: bytes
    columns: tuple[object, ...]


class LookUp:
    """Sessions by number, on one connection. One thread at a time may use it."""

    def __init__(self, connection: "sqlite3.Connection") -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._kept: dict[int, _Kept] = {}

    def session(self, number: int, now: int | None) -> tuple[Session, bytes | None] | None:
        """The session with that number, and the hash of its secret. Without `now`, this machine's clock is that of the store."""
        # decision 158: only the columns that can change are read again; a whole row takes 5 µs more
        # decision 133: without an instant the clock of the store counts, so that several hosts can use one clock
        at = check_now(utc_now()) if now is None else now
        kept = self._kept.get(number)
        if kept is not None:
            row = self._cursor.execute(_SQL, (at, number)).fetchone()
            # The types are checked as by `rows.session`; whatever is unusual is read again as a whole.
            if (
                row
                and row[-1] == kept.secret_hash
                # A session that is revoked, ended or ordered to wipe is read as a whole: its refusal needs the other
                # columns.
                and row[_OVER_AT] is None
                and type(row[_EXPIRES_AT]) is type(row[_USE_DUE_AT]) is int
            ):
                session = _NEW(Session, _IN_ORDER(kept.columns + row))
                ends_at = row[_EXPIRES_AT] if row[_ACCESS_EXPIRES_AT] is None else row[_ACCESS_EXPIRES_AT]
                # A session within its deadlines needs no event to be active: nearly every verification stops here.
                is_within = row[_READ_AT] < ends_at and row[_READ_AT] < row[_EXPIRES_AT]
                return session if is_within else self._held(session), row[-1]
        return self._read(number, at)

    def _read(self, number: int, at: int) -> tuple[Session, bytes | None] | None:
        """The session by its whole row; its fixed columns are kept."""
        row = self._cursor.execute(_WHOLE, (at, number)).fetchone()
        if row is None:
            return None
        session, secret_hash = rows.session(row), row[-1]
        if secret_hash is not None:
            # The oldest entry goes: a dictionary keeps the order in which its entries were added.
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = _Kept(secret_hash, _FIXED_COLUMNS(session))
        return self._held(session), secret_hash

    def _held(self, session: Session) -> Session:
        """The same with its real ends."""
        if session.read_at < session.token_expires_at:
            return session
        return session.held_by(continuity_events(self._connection))
