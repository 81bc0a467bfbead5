"""Revocations of the users of a list: one transaction, one note, and a result for each row."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound
from authctl.model import SessionFilter, Status
from authctl.registry.exact_revocations import (
    MatchingSessions,
    check_limit,
    find,
    outcome_of,
    revoke_numbers,
    with_sessions,
)
from authctl.registry.installation import URGENT_LOCK_TIMEOUTS
from authctl.registry.revocations import check_target
from authctl.registry.sessions import with_whole_ids
from authctl.registry.unit_of_work import actor_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authctl.registry.bounds import Bound
    from authctl.registry.installation import Installation
    from authctl.registry.revocations import RevokeOutcome
    from authctl.store.protocol import View
    from authctl.user_lists import ListedName


_SHORTER_THAN_TOKENS = 100


class RowResult(StrEnum):
    """The result of one row."""

    REVOKED = "revoked"
    ALREADY_REVOKED = "already_revoked"
    KEPT = "kept"
    """All sessions are among the newest, which `keep` leaves."""
    REPEATED = "repeated"
    """An earlier row names the same user, and has the counts."""
    NOT_FOUND = "not_found"
    INVALID = "invalid"


class RowOutcome(NamedTuple):
    """The outcome of one row of a list."""

    row: int
    username: str
    """The text of the cell; of one that cannot be a name without tokens."""
    result: RowResult
    revoked: int = 0
    """The sessions of this user that were newly revoked."""
    already_revoked: int = 0
    reason: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the row names no user of whom a session was selected."""
        return self.result in (RowResult.NOT_FOUND, RowResult.INVALID)


class ListedOutcome(NamedTuple):
    """The outcome of a list: of the revocation, and row by row."""

    outcome: RevokeOutcome
    rows: tuple[RowOutcome, ...]

    @property
    def failed(self) -> int:
        """How many rows name no user of whom a session was selected."""
        return sum(row.failed for row in self.rows)


class UsersOfList(NamedTuple):
    """The users of a list: their names in the order of the list, each once, and the rows that cannot be used."""

    usernames: tuple[str, ...]
    invalid: Mapping[int, str]
    """The reasons by row."""


class _Counts(NamedTuple):
    """The sessions of each user, by folded key."""

    revoked: Mapping[str, int]
    already_revoked: Mapping[str, int]
    selected: Mapping[str, int]


def users_of(rows: Sequence[ListedName]) -> UsersOfList:
    """The users that some rows name, and the reason of each row that names none."""
    once: dict[str, str] = {}
    invalid: dict[int, str] = {}
    for row in rows:
        try:
            once.setdefault(names.fold(_username(row)), row.text)
        except InvalidInput as error:
            invalid[row.row] = error.message
    return UsersOfList(tuple(once.values()), invalid)


def _username(row: ListedName) -> str:
    """The name in a cell. Raises InvalidInput for a text that `--user` would not accept."""
    from authctl.tokens import has_token_shape

    if row.problem is not None:
        raise InvalidInput(row.problem)
    if row.text == "-":
        raise InvalidInput("'-' is no user name")
    if len(row.text) > _SHORTER_THAN_TOKENS and has_token_shape(row.text):
        raise InvalidInput("a token is not a user name")
    return names.username(row.text)


class ListedUsers:
    """Users of a list: revoke their sessions."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def revoke(
        self,
        rows: Sequence[ListedName],
        selection: SessionFilter | None = None,
        *,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        max_affected: int | None = None,
        bound: Bound | None = None,
        keep: int | None = None,
    ) -> ListedOutcome:
        """Revoke the sessions of the users of a list, as `Registry.revoke` does with their names, with an outcome for each row.

        `authctl.user_lists.read_column` reads the rows from a CSV file. The other criteria of `selection` hold, too. A row that names no
        user, or one without a selected session, is in the outcome, and the rest is done. Raises as `Registry.revoke`; NotFound where there
        is no row; InvalidInput where `selection` has ids or users.
        """
        if not (dry_run and note is None):
            note = names.note(note)
        users = users_of(rows)
        if rows and not users.usernames:  # decision 286
            check_listed(selection or SessionFilter())
            now, who = self._installation.clock.now(), actor_name(actor)
            nothing = outcome_of(MatchingSessions((), 0, 0), now, who, note)._replace(dry_run=dry_run)
            return ListedOutcome(nothing, _row_outcomes(rows, users, _Counts({}, {}, {})))
        selection = selection_of(users, selection or SessionFilter())
        if dry_run:
            with self._installation.snapshot() as (view, now):
                matching, counts, outcome = _matching(view, selection, keep, now, actor_name(actor), note, max_affected)
                outcome = with_sessions(view, matching.numbers, outcome._replace(dry_run=True))
                return ListedOutcome(outcome, _row_outcomes(rows, users, counts))

        def revoke_users() -> ListedOutcome:
            with self._installation.change(actor, lock_timeouts=URGENT_LOCK_TIMEOUTS) as unit:
                matching, counts, outcome = _matching(
                    unit.tx, selection, keep, unit.now, unit.actor, note, max_affected
                )
                if bound is not None:
                    bound.check(matching.numbers, "would be revoked")
                selector = {**selection.criteria(), **({} if keep is None else {"keep": keep})}
                # decision 207: like `--user`, unless only the exact sessions are meant
                by_criteria = keep is None and selection.is_by_criteria
                outcome = revoke_numbers(unit, matching.numbers, selector, outcome, by_criteria=by_criteria)
                return ListedOutcome(outcome, _row_outcomes(rows, users, counts))

        return self._installation.with_kept_space(revoke_users)


def selection_of(users: UsersOfList, selection: SessionFilter) -> SessionFilter:
    """The filter with the users of a list. Raises InvalidInput where it names targets already, NotFound for a list without a user."""
    check_listed(selection)
    if not users.usernames:
        reason = next(iter(users.invalid.values()), "it has no rows")
        raise NotFound(f"the list names no user: {reason}")
    return selection.narrowed(username=users.usernames)


def check_listed(selection: SessionFilter) -> None:
    """Raise InvalidInput where a filter for the users of a list names targets already."""
    check_target(selection.narrowed(username="-"))
    if selection.ids or selection.username is not None or selection.everything:
        raise InvalidInput("the users of a list cannot be combined with ids, other users or --all")


def _matching(
    view: View,
    selection: SessionFilter,
    keep: int | None,
    now: int,
    actor: str,
    note: str | None,
    max_affected: int | None,
) -> tuple[MatchingSessions, _Counts, RevokeOutcome]:
    whole, _ = with_whole_ids(view, selection)
    matching = find(view, whole, keep, now)
    check_limit(matching.numbers, max_affected)
    selected = view.counts_by_user(view.numbers(whole, now))
    already = {} if not matching.already_revoked else view.counts_by_user(view.numbers(_revoked(whole), now))
    counts = _Counts(view.counts_by_user(matching.numbers), already, selected)
    return matching, counts, outcome_of(matching, now, actor, note)


def _revoked(selection: SessionFilter) -> SessionFilter:
    return selection.narrowed(status=Status.REVOKED)


def _row_outcomes(rows: Sequence[ListedName], users: UsersOfList, counts: _Counts) -> tuple[RowOutcome, ...]:
    seen: Counter[str] = Counter()
    outcomes = []
    for row in rows:
        key = names.fold(row.text)
        if reason := users.invalid.get(row.row):
            outcomes.append(RowOutcome(row.row, names.without_tokens(row.text), RowResult.INVALID, reason=reason))
        elif seen[key]:
            outcomes.append(RowOutcome(row.row, row.text, RowResult.REPEATED, reason=f"the user of row {seen[key]}"))
        else:
            seen[key] = row.row
            outcomes.append(_row_outcome(row, key, counts))
    return tuple(outcomes)


def _row_outcome(row: ListedName, key: str, counts: _Counts) -> RowOutcome:
    revoked, already = counts.revoked.get(key, 0), counts.already_revoked.get(key, 0)
    if not counts.selected.get(key):
        return RowOutcome(row.row, row.text, RowResult.NOT_FOUND, reason="no session of this user is selected")
    if revoked:
        return RowOutcome(row.row, row.text, RowResult.REVOKED, revoked, already)
    result = RowResult.ALREADY_REVOKED if already == counts.selected[key] else RowResult.KEPT
    return RowOutcome(row.row, row.text, result, revoked, already)
