"""Sessions, one or a few at a time: read, register, use, refresh, end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.lifetimes import Deadlines
    from authctl.model import ActiveSession, NewSession, Session, SessionFilter


class SessionsView(Protocol):
    """Reading sessions."""

    def session(self, session_id: str, now: int) -> Session | None:
        """The session with that complete id. In a change, others leave it unchanged from now on."""

    def by_number(self, number: int, now: int) -> tuple[Session, bytes | None] | None:
        """The session with that number, and the hash of its secret. In a change, others leave it unchanged from now on."""

    def sessions_by_number(self, numbers: Sequence[int], now: int, *, brief: bool = False) -> list[Session]:
        """The sessions with those numbers, in the same order; `brief` as in `page`. A number without a session is left out."""

    def active_sessions(self, numbers: Sequence[int], now: int) -> list[ActiveSession]:
        """Those of the sessions with these numbers that are active at `now`, by number. In a change, others leave them unchanged."""

    def ids_beginning(self, prefix: str, limit: int) -> list[str]:
        """Up to `limit` ids that begin with the prefix, sorted."""

    def recent_names(self, field: Literal["application", "device", "platform"]) -> list[str]:
        """The applications, devices or platforms of the 300 sessions of each kind that were used last, each as it is spelled there."""

    def sources_beginning(self, key: str, limit: int) -> list[str]:
        """Up to `limit` sources of sessions whose folded key begins so, by folded key, in one of their spellings."""

    def numbers(self, selection: SessionFilter, now: int) -> Sequence[int]:
        """The numbers of all selected sessions, ascending: the sessions that `count` counts and `assign` revokes."""

    def count_ended(self) -> int:
        """How many sessions have a hard end, revoked or not."""


class SessionsChange(Protocol):
    """Writing sessions."""

    def add_session(self, session: NewSession, revocation_id: int | None = None) -> Session:
        """Register a session. It is not revoked, unless a closed revocation is named. Its number is never given again."""

    def keep_session(self, number: int) -> None:
        """Wait until no other change writes the session with that number, and keep it unchanged by others until the commit."""

    def record_uses(self, uses: Sequence[tuple[int, int, Deadlines]]) -> None:
        """Write uses: the number of the session, the instant, and the deadlines after it; of several uses of a session the last one.

        Call it before `record_time`, which would hide that a use is late.
        """

    def rotate(self, number: int, at: int, deadlines: Deadlines, access_expires_at: int, key_id: str) -> None:
        """Begin the next generation of a session's tokens.

        It is a use, with the end of the new access token and the key that signs the tokens.
        """

    def end_sessions(self, numbers: Sequence[int], at: int, reason: str) -> None:
        """Write a hard end of those sessions: at that instant, for that reason."""

    def end_all(self, at: int, reason: str) -> int:
        """Write a hard end of every session that is active at that instant. Returns how many."""

    def end_after_clock_change(self, at: int, recorded: int) -> int:
        """Write a hard end of every session that the clock was wrong about. Returns how many.

        These are the sessions that were over at the later instant `recorded` and would be active at `at`, and those that began
        or were used after `at`. The reason is the deadline that comes first.
        """
