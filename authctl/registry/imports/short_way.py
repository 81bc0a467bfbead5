"""The short way from rows to a new session: nothing is known of their key, and no operation binds them.

Most keys of a first import are of that kind. `Partition` gives the same session, in many times the time (decisions 154 and 199).

See docs/glossary.md#short-way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from authctl import names
from authctl.registry.imports.past_revocations import PastRevocations, Span
from authctl.registry.imports.session_rows import BEFORE_ALL, MATCHED, Rules
from authctl.store.protocol.imports import PlainSession

if TYPE_CHECKING:
    from authctl.model import Profile, User
    from authctl.registry.imports.operations import Operation
    from authctl.store.protocol.imports import StagedKey, StagedRow


class ShortWay:
    """Makes new sessions of rows, as long as none of the rules needs more than the rows."""

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
        self._is_closed = bool(rules.listings_of(rules.source))
        """Whether no key can take it: a complete listing may end any session."""
        of_everything = past.of_everything.at if past.of_everything else BEFORE_ALL
        self._bound_until = max([of_everything, *(end.at for end in ends)])
        """The latest operation that binds rows of any key."""
        self._profiles: dict[tuple[str, str], Profile] = {}

    def session_of(self, staged: StagedKey) -> PlainSession | None:
        """The session of a new key; None where its rows need the long way."""
        rows = staged.rows
        row, is_one = rows[-1], len(rows) == 1
        if (
            self._is_closed
            or row.at > self._rules.now
            or not (self._is_plain(row) if is_one else self._are_plain(rows))
        ):
            return None
        first = rows[0].at if row.created_at is None else row.created_at
        if first <= self._bound_until:
            return None
        if self._changes_criteria(rows):
            return None
        details, detail_times = (row.details, row.at) if is_one else _merged(rows)
        listed_at = row.listed_at if is_one else _latest_listing(rows)
        return self._plain(staged, details, detail_times, Span(first, row.at), row, listed_at)

    def _is_plain(self, row: StagedRow) -> bool:
        """Whether the only row of a key needs no partition, and is not stored for a later one."""
        return row.ended_at is None and (row.is_created_exact or not self._keeps_rows)

    def _are_plain(self, rows: Sequence[StagedRow]) -> bool:
        """Whether the rows of a key have nothing but times of use."""
        return not self._keeps_rows and all(row.created_at is None and row.ended_at is None for row in rows)

    def _changes_criteria(self, rows: Sequence[StagedRow]) -> bool:
        """Whether rows differ in a detail by which a revocation selects: it then depends on the rows up to it, not on the latest."""
        if self._past.is_empty:
            return False
        last, names_of_criteria = (
            rows[-1].details,
            {*self._past.names, "application"},
        )  # of which the profile may follow
        return any(row.details.get(name) != last.get(name) for row in rows[:-1] for name in names_of_criteria)

    def _plain(
        self,
        staged: StagedKey,
        details: dict[str, Any],
        detail_times: dict[str, int] | int,
        span: Span,
        row: StagedRow,
        listed_at: int | None,
    ) -> PlainSession | None:
        """The session, unless its user, its profile or a revocation asks for more."""
        username_key = names.fold(details["username"])
        profile = self._profile(details)
        if profile.requested is not None or username_key in self._users or self._may_be_revoked(details, span):
            return None
        return PlainSession(
            staged.key,
            staged.key_without_user,
            staged.digest,
            details,
            detail_times,
            username_key,
            profile.name,
            profile.deadlines(*span),
            span.earliest,
            span.latest,
            row.is_created_exact,
            listed_at,
            self._rules.source,
            self._rules.named is not None,
        )

    def _profile(self, details: Mapping[str, Any]) -> Profile:
        """The profile of a new session: the same for the same user and application."""
        if self._rules.named is not None:
            return self._rules.profiles.named(self._rules.named)
        who = (details["username"], details.get("application", ""))
        if who not in self._profiles:
            self._profiles[who] = self._rules.profiles.assigned(*who)
        return self._profiles[who]

    def _may_be_revoked(self, details: Mapping[str, Any], span: Span) -> bool:
        """Whether a revocation by criteria could meet the session."""
        if self._past.is_empty:
            return False
        texts = [
            (name, MATCHED[name](text))
            for name in self._past.names
            if (text := self._rules.source if name == "source" else details.get(name))
        ]
        return self._past.may_bind(texts, span)


def _merged(rows: Sequence[StagedRow]) -> tuple[dict[str, Any], dict[str, int]]:
    """Each detail as the latest row has it that has one, and the instant of that row; of two at the same instant the greater text.

    The rows come in the order of time. `SessionFromRows.add` has the same rule for rows in any order.
    """
    details: dict[str, Any] = {}
    detail_times: dict[str, int] = {}
    for row in rows:
        at = row.at
        for name, value in row.details.items():
            if name not in detail_times or at > detail_times[name] or str(value) > str(details[name]):
                details[name], detail_times[name] = value, at
    return details, detail_times


def _latest_listing(rows: Iterable[StagedRow]) -> int | None:
    return max((row.listed_at for row in rows if row.listed_at is not None), default=None)
