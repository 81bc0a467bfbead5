"""The rows of the files of an import, read, interpreted by the mapping, counted, and staged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from authctl.errors import InvalidInput
from authctl.import_files import NoRows, Rejected, read
from authctl.import_mappings import Listing, Mapping, Remark, Row, Skipped
from authctl.instants import EARLIEST
from authctl.store.protocol.imports import StagedRow

if TYPE_CHECKING:
    from authctl.store.protocol import Staging

MOST_NAMED = 1_000
_MOST_REMARKED = 20
_FIRST_ROWS = 100
"""The number of rows that are searched for rows one level down, as long as none was used."""
_FILE_SHIFT = 40
"""The place of a staged row is one integer: its lowest 40 bits are the number of the line, those above the number of the file."""
_SKIPPED = "skipped by where"
_QUOTED = re.compile(r"'[^']*'")


@dataclass(slots=True)
class RowCounts:
    """The counts of the rows of a file, by their use."""

    read: int = 0
    used: int = 0
    duplicates: int = 0
    skipped: int = 0
    rejected: int = 0

    def as_tuple(self) -> tuple[int, ...]:
        """All counts, in this order."""
        return (self.read, self.used, self.duplicates, self.skipped, self.rejected)


class NamedRow(NamedTuple):
    """A row of a file that is reported, and why."""

    file: str
    line: int
    row: int | None
    """Its number in the file, from 1; None where it is not known."""
    reason: str = ""

    @property
    def place(self) -> str:
        """Its place in words: the line, and the number of the row if that is another."""
        return f"line {self.line}" if self.row in (None, self.line) else f"line {self.line}, row {self.row}"


class RemarkOutcome(NamedTuple):
    """A remark on the times of some rows."""

    remark: str
    total: int
    rows: tuple[NamedRow, ...]
    """The first of them, up to 20."""


class Reading:
    """The rows of files on their way to the staging, counted."""

    def __init__(self, mapping: Mapping, staging: Staging, latest: int, listing: Listing) -> None:
        self._mapping = mapping
        self._staging = staging
        self._latest = latest
        self._listing = listing
        self.files: list[str] = []
        self._first_place = 0
        """The place before the first line of the present file."""
        self.counts = RowCounts()
        self.listed_at: int | None = None
        """When the first of the listings was taken."""
        self.last_at = EARLIEST
        """The latest time of a row."""
        self.rejections: list[NamedRow] = []
        self._remarks: Counter[Remark] = Counter()
        self._remarked: dict[Remark, list[NamedRow]] = {}
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._below: str | None = None

    def read(self, file: BinaryIO, name: str, encoding: str | None) -> None:
        """Stage the rows of a file."""
        self._first_place = len(self.files) << _FILE_SHIFT
        self.files.append(name)
        export = read(file, name, encoding or self._mapping.encoding, self._mapping.layout)
        if export.columns is not None:
            self._mapping.check_columns(export.columns)
        for number, (line, raw) in enumerate(export.rows, 1):
            if type(raw) is NoRows:
                self._note_listing(raw.position)
            else:
                self.add(line, number, raw)

    def add(self, line: int, number: int, raw: Any) -> None:
        """Stage a row that is used, and count any."""
        self.counts.read += 1
        result = raw if type(raw) is Rejected else self._mapping.interpret(raw, self._listing)
        if isinstance(result, Row):
            if result.at <= self._latest:
                self._add_used(line, number, result)
                return
            result = Rejected("its time is more than a day ahead")
        self._note_listing(raw)
        if not self.is_used and self.counts.read <= _FIRST_ROWS:
            self._below = self._below or self._mapping.rows_below(raw)
        row = NamedRow(self.files[-1], line, number)
        if isinstance(result, Skipped):
            self.counts.skipped += 1
            if _SKIPPED not in self._examples and not self.is_used:
                self._examples[_SKIPPED] = f"{self._place(row)}: {self._mapping.reason_to_skip(raw)}"
            return
        self.counts.rejected += 1
        if len(self.rejections) < MOST_NAMED:
            self.rejections.append(row._replace(reason=result.reason))
        if not self.is_used:
            self._count_reason(self._place(row), result.reason)

    def _add_used(self, line: int, number: int, row: Row) -> None:
        # Only a row that would be used counts: a rejected row with the same event id must not hide a good one.
        if row.event_id is not None and self._staging.seen(row.event_id):
            self.counts.duplicates += 1
            return
        self.counts.used += 1
        self.last_at = max(self.last_at, row.at)
        if row.remarks:
            self._add_remarks(line, number, row.remarks)
        created, end = (row.created_at, row.is_created_exact), (row.ended_at, row.ended_reason)
        staged = StagedRow(row.at, row.details, line + self._first_place, *created, *end, row.listed_at)
        self._staging.add(staged, row.key, row.key_without_user)
        self._note_time(row.listed_at)

    def _add_remarks(self, line: int, number: int, remarks: Iterable[Remark]) -> None:
        for remark in set(remarks):
            self._remarks[remark] += 1
            rows = self._remarked.setdefault(remark, [])
            if len(rows) < _MOST_REMARKED:
                rows.append(NamedRow(self.files[-1], line, number))

    def _note_listing(self, raw: Any) -> None:
        """Note the time of a listing of which no row is used."""
        # decision 189: a listing of which `where` leaves out all rows was taken all the same
        if self._mapping.has_listing_time and not isinstance(raw, Rejected):
            self._note_time(self._mapping.listing_time(raw, self._listing))

    def _note_time(self, listed_at: int | None) -> None:
        if listed_at is not None:
            self.listed_at = listed_at if self.listed_at is None else min(self.listed_at, listed_at)

    def staged_row(self, file_and_line: int, text: str) -> NamedRow:
        """The report of the row that was staged with a place."""
        file, line = divmod(file_and_line, 1 << _FILE_SHIFT)
        return NamedRow(self.files[file], line, None, text)

    def blank_parts(self) -> list[str]:
        """The parts of the key that were blank in every row."""
        return self._mapping.blank_parts()

    def remarks(self) -> tuple[RemarkOutcome, ...]:
        """The remarks on the times of the used rows."""
        return tuple(
            RemarkOutcome(remark.value, self._remarks[remark], tuple(self._remarked[remark]))
            for remark in Remark
            if self._remarks[remark]
        )

    def _place(self, row: NamedRow) -> str:
        return row.place if len(self.files) == 1 else f"{row.file}: {row.place}"

    def check(self, *, strict: bool) -> None:
        """Raise InvalidInput where the rows are elsewhere in the document; with `strict` also where a row was rejected."""
        self.check_level()
        if strict:
            self.check_none_rejected()

    def check_level(self) -> None:
        """Raise InvalidInput where no row was used, and the rows are one level down in the document."""
        if self._below is not None and not self.is_used:
            message = f"{self.files[0]}: the rows are one level down in the document"
            raise InvalidInput(message, f"add this line to the mapping: rows: {self._below}")

    def _count_reason(self, place: str, reason: str) -> None:
        # Reasons quote the row: without the quoted texts, equal faults of different rows are counted as one reason.
        kind = _QUOTED.sub("...", reason)
        if kind in self._reasons or len(self._reasons) < MOST_NAMED:
            self._reasons[kind] += 1
            self._examples.setdefault(kind, f"{place}: {reason}")

    @property
    def is_used(self) -> bool:
        """Whether any row was used; a duplicate counts, since its row was used before."""
        return bool(self.counts.used or self.counts.duplicates)

    def check_none_rejected(self) -> None:
        """Raise InvalidInput where a row was rejected."""
        if self.rejections:
            first, count = self.rejections[0], self.counts.rejected
            more = f" (and {count - 1:,} more)" if count > 1 else ""
            message = f"{first.file}: {first.place}: {first.reason}{more}"
            raise InvalidInput(message, "nothing was registered; to register the other rows, leave out --strict")

    def unused_because(self) -> str | None:
        """The most frequent reason why no row was used, with an example."""
        if self.is_used:
            return None
        if not self.counts.read:
            return "the file has no rows"
        reasons = Counter({_SKIPPED: self.counts.skipped}) + self._reasons
        kind, number = reasons.most_common(1)[0]
        done = _SKIPPED if kind == _SKIPPED else "rejected"
        return f"{number:,} of {self.counts.read:,} rows {done}, such as {self._examples[kind]}"
