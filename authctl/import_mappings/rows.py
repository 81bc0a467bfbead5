"""The meaning of a row: the fields of a session, its key and its times.

See docs/glossary.md#listing.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from authctl import names
from authctl.errors import AuthctlError, InvalidInput
from authctl.import_files import Rejected
from authctl.import_mappings.columns import check_columns, rows_below
from authctl.import_mappings.file import REASONS, TEXTS, MappingFile, TimeSource
from authctl.import_mappings.times import AGE, Remark, time_zone
from authctl.import_mappings.values import (
    Moment,
    Unusable,
    conditions_of,
    end_of,
    moments_of,
    text_reader,
    value_at,
    values_of,
)
from authctl.import_paths import DocumentRow, Path, as_text
from authctl.instants import DAY


class Row(NamedTuple):
    """One used row: its facts about the session of its key."""

    key: bytes
    """The digest of key and user, the same for all rows of one session. It can be kept longer than the session."""
    at: int
    """The latest instant at which the session existed, according to the row."""
    details: dict[str, str | int]
    event_id: str | None = None
    key_without_user: bytes | None = None
    """The digest of the key without the user, if the mapping does not name the user in the key."""
    remarks: tuple[Remark, ...] = ()
    """The remarks on its times."""
    created_at: int | None = None
    """The instant at which the session began, if the row has it."""
    ended_at: int | None = None
    """The instant at which the session ended, if the row has it."""
    ended_reason: str | None = None
    """The reason of its end; None without an end."""
    is_created_exact: bool = False
    """Whether `created_at` is the same in every listing: it is not computed from an age."""
    listed_at: int | None = None
    """When the listing was taken that has the row, where it is known to be a listing."""


class Skipped(NamedTuple):
    """A row that the mapping does not ask for."""


class Listing(NamedTuple):
    """When a listing was taken."""

    taken_at: int | None = None
    """The time that the person gave; it takes precedence over that of the file."""
    now: int | None = None
    """The present, for a file without its own time."""


class Mapping:
    """The reading of an export's rows, as a mapping file describes it."""

    def __init__(self, file: MappingFile, digest: str = "") -> None:
        self._file = file
        self.digest = digest
        """The digest of its text."""
        self.encoding = file.encoding
        """The encoding of an export without a byte order mark; None for UTF-8."""
        self.layout = file.layout
        """The layout of the rows of a file."""
        self.timezone = file.timezone
        """The time zone of times that have none; None for UTC."""
        self.source = file.source
        """The system that the sessions live in, where the mapping names it."""
        self._blank = {"", *file.blank}
        self._meets = conditions_of(file.where.items(), self._blank)
        self._parts_with_values: set[str] = set()
        sources = {name: values_of(getattr(file.fields, name) or ()) for name in TEXTS}
        self._texts = [
            (name, name.replace("_", " "), text_reader(values, self._blank))
            for name, values in sources.items()
            if values
        ]
        self._key_parts = [
            part if isinstance(part, str) else text_reader([value_at(part)], self._blank) for part in file.key
        ]
        self._names_user = "username" in file.key
        self._event_id = text_reader([value_at(file.event_id)] if file.event_id else [], self._blank)
        zone = time_zone(file.timezone) if file.timezone else None
        times: dict[str, Sequence[TimeSource]] = {
            **file.fields.times(),
            "taken_at": file.taken_at or [],
        }
        self._times = {
            name: [moment for source in time_sources for moment in moments_of(source, zone, self._blank)]
            for name, time_sources in times.items()
        }
        uses = {"at": file.fields.at, "last_used_at": file.fields.last_used_at}
        self._uses = [(name, use.is_taken) for name, use in uses.items() if use.sources or use.is_taken]
        name, is_taken = self._uses[0] if len(self._uses) == 1 else ("", True)
        self._only_use = None if is_taken or self._times["created_at"] else (name, self._times[name])
        """The field that alone gives a time of use, and its times; None where the row may have another time."""
        self._needs_listing = file.fields.uses_listing_time or any(
            source.format == AGE for listed in (*times.values(), file.fields.ended_at or ()) for source in listed
        )
        """Whether a row counts by the time when the listing was taken."""
        self.has_listing_time = bool(file.taken_at)
        """Whether the file itself has the time when the listing was taken."""
        self._is_created_exact = not any(moment.is_age for moment in self._times["created_at"])
        self.parts_rows = bool(file.fields.ended_at or (self._times["created_at"] and self._is_created_exact))
        """Whether rows can show that a session ended, or when exactly it began: rows of before may then belong to another session."""
        self._ends = [end_of(source, zone, self._blank) for source in file.fields.ended_at or ()]
        self._ended_reason = text_reader(values_of(file.fields.ended_reason or ()), self._blank)

    def interpret(self, row: Any, listing: Listing = Listing()) -> Row | Skipped | Rejected:  # noqa: B008  # a constant
        """The meaning of a row."""
        value, document_row = (row, None) if type(row) is dict else _value_and_position(row)
        if not isinstance(value, dict):
            return Rejected("not an object with named fields")
        try:
            if not self._meets(value, document_row):
                return Skipped()
            return self._used(value, document_row, listing)
        except Unusable as reason:
            return Rejected(str(reason))
        except AuthctlError as error:
            return Rejected(error.message)

    @property
    def uses_listing(self) -> bool:
        """Whether a row depends on the time when the listing was taken."""
        return self._needs_listing or self.has_listing_time

    def note_all_parts(self) -> None:
        """Note that each part of the key had a value in rows that are not read again."""
        self._parts_with_values.update(map(_part_text, self._file.key))

    def listing_time(self, row: Any, listing: Listing) -> int | None:
        """The instant at which the listing was taken that has a row, or a document without rows; None where it has none."""
        value, document_row = _value_and_position(row)
        try:
            return self._listing_time(value if isinstance(value, dict) else {}, document_row, listing, [])
        except (Unusable, LookupError, TypeError):  # without rows, there is no way to some places
            return None

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise InvalidInput if a text lacks a column that every row needs, or has two of one that is read."""
        check_columns(self._file, columns)

    def blank_parts(self) -> list[str]:
        """The parts of the key that were blank in every row so far: a misspelled one, perhaps."""
        return [text for text in map(_part_text, self._file.key) if text not in self._parts_with_values]

    def reason_to_skip(self, row: Any) -> str:
        """The condition of `where` that a skipped row does not meet, with the value of the row, in words."""
        value, document_row = _value_and_position(row)
        for path, condition in self._file.where.items():
            if not condition.is_met(content := path.at(value, document_row, self._blank), self._blank):
                shown = "absent" if content is None else names.quoted(as_text(content))
                return f"where {names.quoted(path.text)} is {shown}"
        return "where"

    def rows_below(self, row: Any) -> str | None:
        """The path of rows one level down in an object that was read as a row; None if there are none. See `columns.rows_below`."""
        if self.layout.rows is not None or not isinstance(row, dict):
            return None
        return rows_below(row, [path for source in self._file.fields.username for path in source.path or ()])

    def _used(self, row: dict[str, Any], document_row: DocumentRow | None, listing: Listing) -> Row:
        details = self._details(row, document_row)
        if "username" not in details:
            raise Unusable("the username is blank")
        details["username"] = names.username(str(details["username"]))
        remarks: list[Remark] = []
        # Without any of the three, a file is a log: its rows are true at their own time, and not at that of a listing.
        is_listing = self.uses_listing or listing.taken_at is not None
        taken_at = self._listing_time(row, document_row, listing, remarks) if is_listing else None
        at, created_at, is_exact = (
            self._seen(row, document_row, taken_at, remarks)
            if self._only_use is None
            else (self._first_instant(row, document_row, *self._only_use, taken_at, remarks), None, False)
        )
        ended_at, reason = self._end(row, document_row, at, taken_at, remarks) if self._ends else (None, None)
        if created_at is None and self._times["created_at"]:
            remarks.append(Remark.UNDATED)  # decision 165: here the order of imports matters, so it is reported
        at = ended_at if at is None else at
        if at is None:
            raise Unusable("the time is blank")
        if created_at is not None or ended_at is not None:
            _check_order(created_at, ended_at, listing.now)
        if created_at is not None:
            # A clock of another host may put the first use before the sign-in.
            at = max(at, created_at)
        elif ended_at is not None:
            at = min(at, ended_at)  # some sources record an end after it happened
        if self._times["expires_at"]:
            until = self._instant(row, document_row, "expires_at", taken_at, remarks)
            details |= {} if until is None else {"expires_at": until}
        event_id = self._event_id(row, document_row)
        if event_id is not None:
            names.field(event_id, "event id")
        # The user is part of every key (decision 116). The digest without it finds a session whose user was renamed.
        parts = self._key(row, document_row, details)
        key, without_user = _digests(parts, None if self._names_user else names.fold(str(details["username"])))
        end = (ended_at, reason, is_exact, taken_at)
        return Row(key, at, details, event_id, without_user, tuple(remarks), created_at, *end)

    def _details(self, row: dict[str, Any], document_row: DocumentRow | None) -> dict[str, str | int]:
        """The texts of a row, by the names of their fields."""
        details: dict[str, str | int] = {}
        for name, words, read in self._texts:
            if (text := read(row, document_row)) is not None:
                # a short text of ASCII needs no look at each character, and no call
                is_usual = len(text) <= names.FIELD_LENGTH and text.isascii() and "\0" not in text
                details[name] = text if is_usual else names.field(text, words)
        return details

    def _seen(
        self, row: dict[str, Any], document_row: DocumentRow | None, taken_at: int | None, remarks: list[Remark]
    ) -> tuple[int | None, int | None, bool]:
        """The latest time at which the session was there, the time when it began, and whether that is exact.

        A row that shows its session at two times is of one session, which began at the earlier one or before.
        """
        uses = [
            at
            for name, is_taken in self._uses
            if (at := self._use(row, document_row, name, is_taken, taken_at, remarks))
        ]
        at = max(uses, default=None)
        created_at = (
            self._instant(row, document_row, "created_at", taken_at, remarks) if self._times["created_at"] else None
        )
        # Two times of use are at least a span: the earlier one is a bound for the beginning, and is marked as inexact.
        if created_at is None and len(uses) > 1 and min(uses) < max(uses):
            return at, min(uses), False
        return created_at if at is None else at, created_at, created_at is not None and self._is_created_exact

    def _use(
        self,
        row: dict[str, Any],
        document_row: DocumentRow | None,
        name: str,
        is_taken: bool,
        taken_at: int | None,
        remarks: list[Remark],
    ) -> int | None:
        """A time of use, or that of the listing where it serves."""
        at = self._instant(row, document_row, name, taken_at, remarks)
        return _known(taken_at) if at is None and is_taken else at

    def _end(
        self,
        row: dict[str, Any],
        document_row: DocumentRow | None,
        at: int | None,
        taken_at: int | None,
        remarks: list[Remark],
    ) -> tuple[int | None, str | None]:
        """The instant and the reason of the end, if the row has an end."""
        for end in self._ends:
            if not end.meets(row, document_row):
                continue
            ended_at = at
            if end.moments:
                text = end.text(row, document_row)
                if text is None or text == "false":
                    continue
                if text != "true":  # `true` has no instant: then the time of the row is the end
                    ended_at = self._first_instant(row, document_row, "ended_at", end.moments, taken_at, remarks)
                    if ended_at is None:
                        continue
            reason = self._ended_reason(row, document_row) or "signed_out"
            if reason not in REASONS:
                raise Unusable(f"ended_reason is no reason of a session: {names.quoted(reason)}")
            return ended_at, reason
        return None, None

    def _key(
        self, row: dict[str, Any], document_row: DocumentRow | None, details: dict[str, str | int]
    ) -> list[str | None]:
        parts: list[str | None] = []
        for part in self._key_parts:
            if isinstance(part, str):
                text = details.get(part)
                parts.append(None if text is None else names.fold(str(text)))
            else:
                parts.append(part(row, document_row))
        # Only until every part had a value once: later rows need no check.
        if len(self._parts_with_values) < len(self._file.key):
            texts = map(_part_text, self._file.key)
            self._parts_with_values.update(part for part, text in zip(texts, parts, strict=True) if text)
        if not any(parts):
            raise Unusable("every part of its key is blank")  # decision 13: it would merge all users
        return parts

    def _instant(
        self,
        row: dict[str, Any],
        document_row: DocumentRow | None,
        name: str,
        taken_at: int | None,
        remarks: list[Remark],
    ) -> int | None:
        """The first time of a field that is not blank."""
        return self._first_instant(row, document_row, name, self._times[name], taken_at, remarks)

    def _first_instant(
        self,
        row: dict[str, Any],
        document_row: DocumentRow | None,
        name: str,
        moments: Iterable[Moment],
        taken_at: int | None,
        remarks: list[Remark],
    ) -> int | None:
        for moment in moments:
            text = moment.text(row, document_row)
            if text is None:
                continue
            # Without the time of the listing an age is an error, and is not counted from now.
            if moment.is_age:
                _known(taken_at)
            try:
                at, remark = moment.read(text.strip(), taken_at)
            except (ValueError, OverflowError, InvalidInput):
                raise Unusable(f"{name} is not a time of the expected form: {names.quoted(text)}") from None
            if remark is not None:
                remarks.append(remark)
            if at is not None:
                return at
        return None

    def _listing_time(
        self, row: dict[str, Any], document_row: DocumentRow | None, listing: Listing, remarks: list[Remark]
    ) -> int | None:
        """The instant at which the listing of a row was taken: given by the person, by the file, or else now."""
        at = listing.taken_at
        if at is None and self._times["taken_at"]:
            at = self._instant(row, document_row, "taken_at", None, remarks)
        elif at is None:
            at = listing.now
        return at


def _value_and_position(row: Any) -> tuple[Any, DocumentRow | None]:
    """The value of a row, and the row with its way through the document, where it has one."""
    return (row.value, row) if isinstance(row, DocumentRow) else (row, None)


def _check_order(created_at: int | None, ended_at: int | None, now: int | None) -> None:
    """Raise Unusable for times that cannot be true."""
    if created_at is not None and now is not None and created_at > now + DAY:
        raise Unusable("created_at is more than a day ahead")
    # No tolerance here: an end in the future would end a session that is still in use.
    if ended_at is not None and now is not None and ended_at > now:
        raise Unusable("ended_at is ahead of the clock")
    if created_at is not None and ended_at is not None and ended_at < created_at:
        raise Unusable("ended_at is before created_at")


def _known(taken_at: int | None) -> int:
    """The time of the listing, where a row counts by it."""
    if taken_at is None:
        raise Unusable("the time of the listing is blank")
    return taken_at


def _part_text(part: str | Path) -> str:
    return part if isinstance(part, str) else part.text


def _digests(parts: Sequence[str | None], user: str | None) -> tuple[bytes, bytes | None]:
    """The digests of the parts as JSON with and without the user, put together here: `json.dumps` takes 1 µs more."""
    texts = ", ".join(["null" if part is None else encode_basestring_ascii(part) for part in parts])
    without_user = sha256(f"[{texts}]".encode()).digest()
    if user is None:
        return without_user, None
    return sha256(f"[{encode_basestring_ascii(user)}, {texts}]".encode()).digest(), without_user
