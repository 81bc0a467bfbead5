"""The rows of a key, parted by operations into sessions.

In the order of time each operation parts the rows: those up to it make a session by itself, which is over then, and those after it make
a new one (decision 115). A row that has the beginning of its session belongs to the session that began then, whatever its own time.

See docs/glossary.md#late-row and docs/glossary.md#partition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from authctl.registry.imports.operations import Operation, revocation_of
from authctl.registry.imports.session_rows import BEFORE_ALL, Rules, SessionFromRows
from authctl.registry.users import password_ends
from authctl.store.protocol.imports import Imported

if TYPE_CHECKING:
    from authctl.model import User
    from authctl.store.protocol.imports import ImportedDetail, StagedKey, StagedRow


class Event(NamedTuple):
    """A row at an instant of its session: its beginning, or its latest use."""

    counts_as: int
    """The instant that is compared with operations."""
    row: StagedRow
    began_at: int | None = None
    """The instant of the beginning, as it is compared with operations, where the row has that."""


def events_of(rows: Iterable[StagedRow], counts_as: Callable[[int], int]) -> list[Event]:
    """The events of some rows, in the order of time.

    A row with the beginning of its session is two events. Of several rows with the same beginning the earliest gives the
    details that the session had then.
    """
    events: list[Event] = []
    first: dict[int, StagedRow] = {}
    for row in rows:
        began_at = None if row.created_at is None else counts_as(row.created_at)
        events.append(Event(counts_as(row.at), row, began_at))
        if row.created_at is not None:
            first[row.created_at] = min(first.get(row.created_at, row), row, key=_age)
    for created_at, row in first.items():
        began_at = counts_as(created_at)
        events.append(Event(began_at, row._replace(at=created_at, ended_at=None, ended_reason=None), began_at))
    return sorted(events, key=lambda event: (event.counts_as, event.row.at))


def _age(row: StagedRow) -> tuple[int, str]:
    return row.at, str(sorted(row.details.items()))


def distinct(rows: Iterable[StagedRow]) -> tuple[StagedRow, ...]:
    """The rows without their places in files, each once, in the order of time."""
    latest: dict[str, StagedRow] = {}
    for row in rows:
        content = repr(row._replace(details=sorted(row.details.items()), line=0, listed_at=None))  # type: ignore[arg-type]
        other = latest.get(content)
        if other is None or (other.listed_at or BEFORE_ALL) < (row.listed_at or BEFORE_ALL):
            latest[content] = row._replace(line=0)
    return tuple(sorted(latest.values(), key=_age))


class Planned(NamedTuple):
    """A session that rows make: new, or a known one with what the rows add."""

    imported: Imported
    known: ImportedDetail | None


class Partition:
    """The rows of one key, parted by operations into sessions."""

    def __init__(
        self,
        rules: Rules,
        staged: StagedKey,
        events: Sequence[Event],
        unended: Sequence[ImportedDetail],
        user: User | None,
        operations_since: Callable[[int], Iterator[Operation]],
        *,
        is_one: bool = False,
        keeps_rows: bool = False,
    ) -> None:
        self.rules = rules
        self.staged = staged
        self.events = list(events)
        self.unended = unended
        self.user = user
        self.operations_since = operations_since
        self.is_one = is_one
        """Whether the rows are of one session, the only known one: its source gave the instant of its beginning."""
        self.keeps_rows = keeps_rows
        """Whether a later import may bring an end that parts the rows, so that they are stored."""
        self._since = BEFORE_ALL
        self._next = 0
        self._part = SessionFromRows(rules)
        self.planned: list[Planned] = []
        self.ends: list[Operation] = []
        """The ends that its parts have, for older rows of other users under the same key."""

    def plan(self) -> list[Planned]:
        """A session for each part of the rows."""
        created = (known_session.session.created_at for known_session in self.unended)
        first = self.events[0].counts_as
        for operation in self.operations_since(min(first, *created) if self.unended else first):
            if self._next == len(self.events) and not self._part.rows:
                return self.planned
            known = self._known_until(operation.at)
            if known and known.session.last_used_at > operation.at and not self._parts_known(operation, known):
                continue  # the one exception: it is known to be used after the operation, and is not parted
            self._take_rows(operation.at, known)
            if not self._part.rows:
                if (
                    operation.criteria is None
                    and (known or not operation.of_password)
                    and self._binds(operation, known)
                ):
                    self._begin_part(operation.at)
            elif self._binds(operation, known):
                self._close(operation)
        self._take_rows(None, self._known_until(None))
        if self._part.rows:
            self._close(None)
        return self.planned

    def _parts_known(self, operation: Operation, known: ImportedDetail) -> bool:
        """Whether an end in the source parts a known session that was used after it: its rows are here, or it is one for certain."""
        return operation.of_source and (self.is_one or bool(known.rows))

    def _known_until(self, at: int | None) -> ImportedDetail | None:
        """The active session of the key that was created since the last parting, up to an instant where one is given."""
        if self.is_one:
            return self.unended[0] if self.unended and self._since == BEFORE_ALL else None
        created = [candidate for candidate in self.unended if self._since < candidate.session.created_at]
        return next(
            (candidate for candidate in reversed(created) if at is None or candidate.session.created_at <= at), None
        )

    def _take_rows(self, until: int | None, known: ImportedDetail | None) -> None:
        """Add the rows up to an instant to the present part, and the session that is known of it."""
        self._part.join(known)
        while self._next < len(self.events) and (until is None or self.events[self._next].counts_as <= until):
            self._part.add(self.events[self._next].row)
            self._next += 1

    def _begin_part(self, since: int) -> None:
        self._since = since
        self._part = SessionFromRows(self.rules)

    def _binds(self, operation: Operation, known: ImportedDetail | None) -> bool:
        """Whether an operation ends or revokes the present part."""
        if operation.of_password:
            if known and self.user and known.session.id in self.user.password_except:
                return False  # decision 209
            return password_ends(self._part.profile, None)
        if operation.criteria is None:
            return True
        is_excepted = known is not None and known.session.id in operation.criteria.except_ids
        return not is_excepted and operation.criteria.is_met_by(self._part)

    def _close(self, operation: Operation | None) -> None:
        """Plan the session of the present part, which an operation closes, or nothing does."""
        part, now = self._part, self.rules.now
        revoking = None
        if operation:
            self._end(operation)
            operations = (
                later for later in self.operations_since(operation.at) if later == operation or not later.of_other
            )
            revoking = next(filter(self._revokes, operations), None)
            self._take_uses_after(operation)
        disabled_at = self.user.as_of(now).disabled_at if self.user else None
        if disabled_at is not None and revoking is None and part.lived_at(now):
            part.end_here = (max(disabled_at, min(part.last_used_at, now)), "user_disabled")  # decision 143
        self._note_end(revoking)
        self._add(revoking and revocation_of(revoking))
        if operation:
            self._begin_part(operation.at)

    def _end(self, operation: Operation) -> None:
        """End the present part where an operation is an end."""
        part = self._part
        if operation.of_source:
            part.end_in_source = (operation.at, operation.reason or "")
        elif operation.reason and part.lived_at(operation.at):
            part.end_here = (operation.at, operation.reason)

    def _take_uses_after(self, operation: Operation) -> None:
        """Take the rows that show the present part in use after its end: it began before, so that they make no new session."""
        events = self.events[self._next :]
        after = [event.row for event in events if event.began_at is not None and event.began_at <= operation.at]
        if not after:
            return
        self.events[self._next :] = [
            event for event in events if event.began_at is None or event.began_at > operation.at
        ]
        if operation.of_source:  # decision 142: the source gives both, the use and the end
            for row in after:
                self._part.add(row)
        else:
            self._part.used_after_end_at = max(row.at for row in after)

    def _add(self, revocation_id: int | None) -> None:
        part, staged = self._part, self.staged
        named = part.known.profile_named if part.known else self.rules.named is not None
        rows = distinct(part.rows) if self.keeps_rows else ()
        identity = (staged.key_without_user, named, part.facts)
        imported = Imported(staged.key, part.session(), part.detail_times, revocation_id, *identity, rows)
        self.planned.append(Planned(imported, part.known))

    def _revokes(self, operation: Operation) -> bool:
        """Whether an operation revokes the present part, which is closed by then."""
        return revocation_of(operation) is not None and self._binds(operation, self._part.known)

    def _note_end(self, revoking: Operation | None) -> None:
        """Note the end of the present part, and the revocation by criteria that it comes under."""
        created_at, ended = self._part.exact_created_at, self._part.ended
        if revoking is not None:
            revocation_id = revocation_of(revoking)
            self.ends.append(Operation(revoking.at, revocation_id=revocation_id, of_other=True, created_at=created_at))
        elif (
            ended is not None and ended == self._part.end_here
        ):  # decision 163: an end in the source is of its own user
            self.ends.append(Operation(ended[0], reason=ended[1], of_other=True, created_at=created_at))
