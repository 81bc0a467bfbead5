"""The facts that the registry has about the keys of a batch: sessions, ends of removed sessions, and users.

See docs/glossary.md#late-row and docs/glossary.md#source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from authctl.names import fold

if TYPE_CHECKING:
    from authctl.store.protocol import View
    from authctl.store.protocol.imports import Final, ImportedDetail, StagedKey


class KnownKeys:
    """The known sessions of some keys, of a source or of none; without a source, of any."""

    def __init__(
        self, view: View, batch: Sequence[StagedKey], source: str | None, now: int, *, has_sessions: bool
    ) -> None:
        without_user = [staged.key_without_user for staged in batch if staged.key_without_user is not None]
        keys = [*(staged.key for staged in batch), *without_user]  # decision 116: 0.1.0 stored the key without the user
        self._finals = view.imported_finals(keys, source)
        self.ahead = view.imported_ahead([staged.key for staged in batch])
        self.finals_without_user = view.imported_finals(without_user, source, without_user=True)
        self._sessions: dict[bytes, list[ImportedDetail]] = {}
        for known in view.imported(keys, without_user, now) if has_sessions else ():
            # decision 148: the source is compared beside the key, so that a session without a source can be adopted
            if source is None or known.session.source is None or fold(known.session.source) == fold(source):
                for key in {known.key, known.key_without_user} - {None}:
                    self._sessions.setdefault(key, []).append(known)  # type: ignore[arg-type]  # None was taken out
        named = {source} | {known.session.source for sessions in self._sessions.values() for known in sessions}
        self.sources = {fold(name) for name in named if name is not None}
        """The folded names of the sources of the import and of its known sessions."""
        self.users = view.users_among({row.details["username"] for staged in batch for row in staged.rows})

        self.is_empty = not (self._sessions or self._finals or self.finals_without_user)
        """Whether nothing is known of any of the keys."""

    def has(self, staged: StagedKey, shared_keys: set[bytes]) -> bool:
        """Whether anything is known of a key, or another user has it."""
        if self.is_empty:
            return bool(shared_keys) and staged.key_without_user in shared_keys
        keys = [key for key in (staged.key, staged.key_without_user) if key is not None]
        return staged.key_without_user in shared_keys or any(
            key in self._sessions or key in self._finals or key in self.finals_without_user for key in keys
        )

    def sessions_of(self, staged: StagedKey) -> tuple[list[ImportedDetail], list[ImportedDetail]]:
        """The known sessions of a key, and those of other users under the same key without the user."""
        # decision 116: sessions with the key without the user count too: 0.1.0 stored that key, and a user may be renamed
        own = [known for known in self._sessions.get(staged.key, []) if known.key == staged.key]
        if staged.key_without_user is None:
            return own, []
        user = fold(staged.rows[0].details["username"])
        same = self._sessions.get(staged.key_without_user, [])
        others = [known for known in same if fold(known.session.username) != user]
        # A session of 0.1.0 has the key without the user as its key, and must not come twice.
        taken = {known.session.number for known in (*own, *others)}
        of_0_1_0 = [
            known for known in same if known.key == staged.key_without_user and known.session.number not in taken
        ]
        return sorted([*own, *of_0_1_0], key=lambda known: known.session.number), others

    def finals_of(self, staged: StagedKey) -> list[Final]:
        """The ends of removed sessions of a key."""
        finals = [*self._finals.get(staged.key, ())]
        if staged.key_without_user is not None:  # as 0.1.0 kept it
            finals += self._finals.get(staged.key_without_user, ())
        return finals

    def is_removed(self, staged: StagedKey, created_at: int) -> bool:
        """Whether the session of a key that began at an instant had ended, and was removed."""
        return any(
            # Without a known beginning, every session of the key that began up to the end may be the one that was removed.
            final.created_at == created_at or (final.created_at is None and created_at <= final.at)
            for final in self.finals_of(staged)
        )
