"""The short way from a row to a new session: nothing is known of its key, it is the only row, and no operation binds it.

Most rows of a first import are of that kind. `Partition` gives the same session, in three times the time (decision 154).

See docs/glossary.md#short-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from authctl import names
from authctl.model import NewSession
from authctl.registry.imports.past_revocations import PastRevocations, Span
from authctl.registry.imports.session_rows import BEFORE_ALL, MATCHED, Rules
from authctl.store.protocol.imports import Imported, SourceFacts

if TYPE_CHECKING:
    from authctl.model import Profile, User
    from authctl.registry.imports.operations import Operation
    from authctl.store.protocol.imports import StagedKey, StagedRow


class ShortWay:
    """Makes sessions of single rows, as long as none of the rules needs more than the row."""

    def __init__(
        self,
        rules: Rules,
        past: PastRevocations,
        ends: Iterable[Operation],
        users: Mapping[str, User],
        *,
        keeps_rows: bool,
    ) -> None:
        self._rules = rules
        self._past = past
        self._users = users
        self._keeps_rows = keeps_rows
        of_everything = past.of_everything.at if past.of_everything else BEFORE_ALL
        self._bound_until = max([of_everything, *(end.at for end in ends)])
        """The latest operation that binds rows of any key."""
        self._profiles: dict[tuple[str, str], Profile] = {}

    def session_of(self, staged: StagedKey) -> Imported | None:
        """The session of a key with one row; None where the row needs the long way."""
        row = staged.rows[0]
        began_at = row.at if row.created_at is None else row.created_at
        profile = self._profile(row)
        is_plain = len(staged.rows) == 1 and row.ended_at is None and profile.requested is None
        is_plain = is_plain and (row.is_created_exact or not self._keeps_rows)
        if (
            not is_plain
            or self._rules.listings_of(self._rules.source)
            or not self._bound_until < began_at
            or row.at > self._rules.now
        ):
            return None
        if names.fold(row.details["username"]) in self._users or self._may_be_revoked(row, began_at):
            return None
        details = dict(row.details)
        fixed = details.pop("expires_at", None)
        deadlines = profile.deadlines(began_at, row.at)
        session = NewSession(
            id=names.new_id(),
            profile=profile.name,
            created_at=began_at,
            last_used_at=row.at,
            deadlines=deadlines if fixed is None else deadlines._replace(expires_at=fixed),
            fixed_expires_at=fixed,
            source=self._rules.source,
            **details,
        )
        facts = SourceFacts(row.created_at if row.is_created_exact else None, row.listed_at)
        said_at = dict.fromkeys(row.details, row.at)
        named = self._rules.named is not None
        identity = (staged.key_without_user, named, facts)
        return Imported(staged.key, session, said_at, None, *identity, (), staged.digest)

    def _profile(self, row: StagedRow) -> Profile:
        """The profile of a new session: the same for the same user and application."""
        if self._rules.named is not None:
            return self._rules.profiles.named(self._rules.named)
        who = (row.details["username"], row.details.get("application", ""))
        if who not in self._profiles:
            self._profiles[who] = self._rules.profiles.assigned(*who)
        return self._profiles[who]

    def _may_be_revoked(self, row: StagedRow, began_at: int) -> bool:
        """Whether a revocation by criteria could meet the row."""
        if self._past.is_empty:
            return False
        details = {**row.details, "source": self._rules.source}
        texts = [(name, comparable(details[name])) for name, comparable in MATCHED.items() if details.get(name)]
        return next(self._past.possible(texts, began_at, Span(began_at, row.at)), None) is not None
