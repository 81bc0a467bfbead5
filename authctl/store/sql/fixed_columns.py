"""The columns of a session that never change while it has a secret: a look-up keeps them, and reads the others each time (decision 158)."""

from operator import itemgetter
from typing import Any, NamedTuple

from authctl.model import Session

MOST_KEPT = 8_192
"""The most sessions whose fixed columns are kept: some 8 MB."""

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

CHANGING = [
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
_READ = (*CHANGING, "over", "read_at")
_SAME = {
    # While no deadline has passed, the real ends are the stored ones. Events are read after a deadline only.
    "ends_at": "expires_at",
    "access_ends_at": "access_expires_at",
    # All of these are absent while `over` is.
    **dict.fromkeys((*_OVER, "ended_by", "revoked_by", "note"), "over"),
}
_IN_ORDER = itemgetter(*((*FIXED, *_READ).index(_SAME.get(name, name)) for name in Session._fields))
_OVER_AT, _USE_DUE_AT, _EXPIRES_AT = (_READ.index(name) for name in ("over", "use_due_at", "expires_at"))
_SECRET_HASH = len(_READ)
_FIXED_COLUMNS = itemgetter(*(Session._fields.index(name) for name in FIXED))
_NEW = tuple.__new__


class Fixed(NamedTuple):
    """The fixed columns of a session. The secret proves that a number still belongs to the same session, also after a restore."""

    secret_hash: bytes
    columns: tuple[object, ...]


def changing_columns(over: str, now: str) -> str:
    """The columns that are read each time, with the SQL for the instant of reading, and for one that only a session has that is over."""
    return f"{', '.join(f's.{name}' for name in CHANGING)}, {over}, {now}, s.secret_hash"


def put_together(fixed: Fixed, row: tuple[Any, ...]) -> Session | None:
    """The session of a row of `changing_columns`; columns after them are ignored. None if it has to be read as a whole."""
    # A session that is revoked, ended or ordered to wipe is read as a whole: its refusal needs the other columns.
    # The types are checked as by `rows.session`.
    if (
        row[_SECRET_HASH] == fixed.secret_hash
        and row[_OVER_AT] is None
        and type(row[_EXPIRES_AT]) is type(row[_USE_DUE_AT]) is int
    ):
        session: Session = _NEW(Session, _IN_ORDER(fixed.columns + row))
        return session
    return None


class FixedColumns:
    """The fixed columns of sessions that were looked up. One thread at a time may use them."""

    def __init__(self) -> None:
        self._kept: dict[int, Fixed] = {}
        self.of = self._kept.get
        """The columns of the session with a number, or None."""

    def keep(self, session: Session, secret_hash: bytes | None) -> None:
        """Keep those of a session that was read as a whole."""
        if secret_hash is None:
            return
        # The oldest entry goes: a dictionary keeps the order in which its entries were added.
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[session.number] = Fixed(secret_hash, _FIXED_COLUMNS(session))
