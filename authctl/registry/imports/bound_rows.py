"""Operations since an import that apply to sessions as they were before it: revocations by criteria, changes of users.

A revocation by criteria did not meet a session that the import had ended or changed. If it would have met the session as it was
before, the undo does not restore that session.

See docs/glossary.md#revocation-by-criteria and docs/glossary.md#operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from authctl.model.continuity import held_until
from authctl.registry.imports.known_sessions import NOT_LISTED
from authctl.registry.imports.past_revocations import PastRevocations, Span, past_revocations

if TYPE_CHECKING:
    from authctl.model import ContinuityEvent, User
    from authctl.store.protocol import View
    from authctl.store.protocol.import_undo import Before
    from authctl.store.protocol.revocations import PastRevocation

_TEXTS = {
    "username": "username_key",
    "application": "application_key",
    "device": "device_key",
    "platform": "platform_key",
    "ip": "ip",
    "source": "source_key",
    "source_id": "source_id_key",
}
"""The texts that criteria are compared with, and their columns."""


class OperationsSince:
    """The operations since an import, read again only if one was added."""

    def __init__(self) -> None:
        self._past: PastRevocations | None = None

    def bind(self, view: View, sessions: Sequence[Before], now: int) -> set[int]:
        """The numbers of the sessions that would be active again although an operation since the import applies to them."""
        # decision 153: such an operation did not meet the session, because the import had ended or changed it
        active_before = [before for before in sessions if _lives(before)]
        if not active_before:
            return set()
        self._past = past_revocations(view, self._past)
        users = view.users_among({before.session["username"] for before in active_before})
        events = view.continuity_events()
        return {
            before.number
            for before in active_before
            if _ended_since(users.get(before.session["username_key"]), before, now) or self._is_revoked(before, events)
        }

    def _is_revoked(self, before: Before, events: Sequence[ContinuityEvent]) -> bool:
        """Whether a revocation by criteria since then meets the session."""
        assert self._past is not None
        session = _PastSession(before.session, events)
        span = Span(session.created_at, session.last_used_at)
        return any(
            before.session["id"] not in criteria.except_ids and criteria.is_met_by(session)
            for criteria in self._past.possible(session.texts.items(), before.at, span)
        )


def _lives(before: Before) -> bool:
    """Whether no decision had ended a session."""
    # An end by a listing is an inference: the undo takes it back together with the listing.
    return before.is_unrevoked and before.session["ended_reason"] in (None, NOT_LISTED)


def _ended_since(user: User | None, before: Before, now: int) -> bool:
    """Whether the user of a session is disabled, or was disabled or got a new password since it was changed."""
    if user is None:
        return False
    spared = before.session["id"] in user.password_except
    ends = (user.ended_at, None if spared else user.password_changed_at)
    return user.as_of(now).disabled_at is not None or any(end is not None and end >= before.at for end in ends)


class _PastSession:
    """A session as it was; a `LateSession` of `past_revocations`."""

    def __init__(self, row: dict[str, Any], events: Sequence[ContinuityEvent]) -> None:
        self._events = events
        self.kind: str = row["kind"]
        self.created_at: int = row["created_at"]
        self.last_used_at: int = row["last_used_at"]
        self.expires_at: int = row["expires_at"]
        self.texts = {name: row[column] for name, column in _TEXTS.items() if row[column]}
        self._profile: str = row["profile"]

    def profile_at(self, _revocation: PastRevocation) -> str:
        """See `LateSession`."""
        return self._profile

    def lived_at(self, at: int) -> bool:
        """See `LateSession`."""
        return held_until(self.expires_at, self._profile, self._events) > at
