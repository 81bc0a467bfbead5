"""The rows of a key by the session that they belong to, where the source gives the beginnings of sessions.

A row with the exact beginning of its session belongs to the session that began then. A row without one belongs to the session that
began last before it, in any order of imports: such rows are stored, and find their session anew when a beginning is imported later.

See docs/glossary.md#late-row.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl.registry.imports.known_sessions import final_end
from authctl.registry.imports.operations import Operation
from authctl.registry.imports.session_rows import detail
from authctl.store.protocol.imports import SourceFacts, StagedRow

if TYPE_CHECKING:
    from authctl.store.protocol.imports import ImportedDetail

End = tuple[int, str | None]
"""The instant of an end in the source, and its reason."""


class Group(NamedTuple):
    """The rows from one beginning of a key to the next; those of before the first have no beginning."""

    created_at: int | None
    until: int | None
    """The next beginning; None for the last group."""
    rows: list[StagedRow]
    cuts: Sequence[int] = ()
    """The instants at which sessions of earlier groups ended in their source, late: rows without a beginning do not go on after them."""

    @property
    def last_of_first(self) -> int | None:
        """The last instant at which a row without a beginning can be of its first session; None without an end."""
        ends = [row.ended_at for row in self.rows if row.ended_at is not None]
        until = [] if self.until is None else [self.until - 1]
        return min([*ends, *self.cuts, *until], default=None)

    def has(self, instant: int) -> bool:
        """Whether an instant is in it."""
        return (self.created_at is None or self.created_at <= instant) and (self.until is None or instant < self.until)


def groups_of(rows: Sequence[StagedRow], own: Sequence[ImportedDetail], is_over: Callable[[int], bool]) -> list[Group]:
    """The rows of a key with the stored rows of its known sessions, in groups; the one without a beginning comes first.

    A session that a decision ended has no group, unless rows give its beginning: other rows are no part of it.
    """
    # decision 165, decision 277
    stored = [row for known in own if final_end(known) is None for row in known.rows]
    dated, loose = by_exact_beginning([*rows, *stored])
    known_beginnings = {known.facts.created_at for known in own} if loose else set()
    beginnings = sorted(at for at in {*dated, *known_beginnings} if at is not None and not (loose and is_over(at)))
    left: list[StagedRow] = []
    for row in loose:
        earlier = bisect_right(beginnings, place_of(row))
        (dated.setdefault(beginnings[earlier - 1], []) if earlier else left).append(row)
    groups = [Group(None, beginnings[0] if beginnings else None, left)] if left else []
    for created_at, of_session in sorted(dated.items()):
        later = bisect_right(beginnings, created_at)
        groups.append(Group(created_at, beginnings[later] if later < len(beginnings) else None, of_session))
    return [_with_cuts(group, loose) for group in groups] if len(groups) > 1 and loose else groups


def _with_cuts(group: Group, loose: Iterable[StagedRow]) -> Group:
    ends = {row.ended_at for row in loose if row.ended_at is not None and not group.has(place_of(row))}
    return group._replace(cuts=sorted(at for at in ends if group.has(at)))


def ends_in_source(
    group: Group, known: Iterable[ImportedDetail], end: End | None, counts_as: Callable[[int], int]
) -> Iterator[Operation]:
    """The ends of the sessions of a group in their source: as its rows and known sessions have them, and the end of its first one."""
    ends = {(row.ended_at, row.ended_reason) for row in group.rows if not row.is_created_exact}
    # the stored rows of a session have its end
    ends |= {(session.facts.ended_at, session.facts.ended_reason) for session in known if not session.rows}
    for at, reason in sorted(ends, key=lambda one: (one[0] or 0, one[1] or "")):
        if at is not None:
            yield Operation(counts_as(at), reason=reason, of_source=True)
    if end is not None:
        yield Operation(counts_as(end[0]), reason=end[1], of_source=True, created_at=group.created_at)
    for at in group.cuts:
        yield Operation(counts_as(at), of_source=True, is_cut=True)


def place_of(row: StagedRow) -> int:
    """The instant by which a row without an exact beginning finds its session."""
    return row.at if row.created_at is None else row.created_at


def by_exact_beginning(rows: Iterable[StagedRow]) -> tuple[dict[int, list[StagedRow]], list[StagedRow]]:
    """The rows that have the exact beginning of their session, by that, and the others."""
    by_creation: dict[int, list[StagedRow]] = {}
    without_beginning = []
    for row in rows:
        if row.created_at is not None and row.is_created_exact:
            by_creation.setdefault(row.created_at, []).append(row)
        else:
            without_beginning.append(row)
    return by_creation, without_beginning


def is_mixed(rows: Iterable[StagedRow], known: ImportedDetail | None) -> bool:
    """Whether the session that began at an instant has rows without it, by these rows or by those that are stored."""
    return bool(known and known.rows) or any(not row.is_created_exact for row in rows)


def as_rows(known: ImportedDetail, created_at: int) -> tuple[StagedRow, ...]:
    """Rows that make a known session, of which none are stored."""
    session, facts = known.session, known.facts
    details = {name: detail(session, name) for name in known.detail_times}
    return _condensed(details, known.detail_times, session.last_used_at, facts._replace(created_at=created_at))


def condensed(rows: Sequence[StagedRow]) -> tuple[StagedRow, ...]:
    """The fewest rows that make the same session as rows with the same exact beginning."""
    details: dict[str, Any] = {}
    detail_times: dict[str, int] = {}
    for row in rows:
        for name, value in row.details.items():
            if name not in detail_times or (row.at, str(value)) > (detail_times[name], str(details[name])):
                details[name], detail_times[name] = value, row.at
    listed_at = max((row.listed_at for row in rows if row.listed_at is not None), default=None)
    facts = SourceFacts(rows[0].created_at, listed_at, *(first_end(rows) or (None, None)))
    return _condensed(details, detail_times, max(row.at for row in rows), facts)


def _condensed(
    details: Mapping[str, Any], detail_times: Mapping[str, int], last_used_at: int, facts: SourceFacts
) -> tuple[StagedRow, ...]:
    """A row for each instant of a detail, and one for the latest use, with the facts.

    Each row has all details that later ones have, the user among them; the instant of a detail is that of the last one.
    """
    return tuple(
        StagedRow(
            at,
            {name: value for name, value in details.items() if detail_times[name] >= at},
            created_at=facts.created_at,
            is_created_exact=True,
            ended_at=facts.ended_at if at == last_used_at else None,
            ended_reason=facts.ended_reason if at == last_used_at else None,
            listed_at=facts.listed_at if at == last_used_at else None,
        )
        for at in sorted({*detail_times.values(), last_used_at})
    )


def first_end(rows: Iterable[StagedRow]) -> End | None:
    """The first end in the source that rows give."""
    ends = [(row.ended_at, row.ended_reason) for row in rows if row.ended_at is not None]
    return min(ends, key=lambda end: (end[0], end[1] or ""), default=None)
