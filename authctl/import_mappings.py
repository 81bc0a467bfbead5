"""What the rows of another system's export mean: a mapping file says where each field is.

Pure: bytes in, values out. What becomes of the details is the registry's business.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from authctl import names
from authctl.errors import AuthctlError, InvalidInput
from authctl.import_files import Rejected, known_encoding
from authctl.instants import instant_of, parse_instant
from authctl.validation import invalid, validated
from authctl.yaml_files import load

_INSTANTS = ("at", "expires_at")
_PICK = re.compile(r"\.?\[([^=\]]+)=([^\]]*)\]")
_POSITION = re.compile(r"\d{1,9}", re.ASCII)
_DIRECTIVE = re.compile(r"%.", re.DOTALL)
_UNIX = {"unix": 1, "unix_ms": 1_000}
_SAMPLE = datetime(2001, 2, 3, 16, 5, 6, tzinfo=UTC)
"""An afternoon: a format with a twelve-hour clock and nothing that tells the halves of a day apart reads it wrong."""
_LATEST = 253_402_300_799
_COLUMNS_NAMED = 8


class Row(NamedTuple):
    """One used row: what it says about the session of its key."""

    key: bytes
    """The same for all rows of one session, the user among what it stands for; a digest, which can outlive that."""
    at: int
    details: dict[str, str | int]
    event_id: str | None = None
    key_without_user: bytes | None = None
    """The digest of the key as the mapping gives it, where that does not name the user."""


class Skipped(NamedTuple):
    """A row that the mapping does not ask for."""


class _Unusable(Exception):
    """Why a row is rejected."""


def _paths(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        raise invalid("write a path into the row, or a list of them")
    for path in listed:
        if set(_PICK.sub("", path)) & {"[", "]"}:
            raise invalid(f"a pick is written [Name=Value]: {names.quoted(path)}")
    return listed


def _format(value: Any) -> Any:
    if not isinstance(value, str) or value in _UNIX:
        return value
    directives = set(_DIRECTIVE.findall(value))
    if ("%I" in directives) != ("%p" in directives):
        raise invalid(f"write %I and %p together, or %H alone: {names.quoted(value)}")
    try:
        parsed = datetime.strptime(_SAMPLE.strftime(value), value)  # noqa: DTZ007
    except (ValueError, re.error):
        parsed = None
    if parsed is None or parsed.date() != _SAMPLE.date() or parsed.hour not in (0, _SAMPLE.hour) or "%Z" in directives:
        raise invalid(
            f"write unix, unix_ms, or a strptime format with a whole date, and zones as %z: {names.quoted(value)}"
        )
    return value


def _encoding(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return known_encoding(value)
    except AuthctlError as error:
        raise invalid(f"{error.message}; {error.hint}") from None


def _instant_source(value: Any) -> Any:
    return value if isinstance(value, dict) else {"path": value}


def _wanted(value: Any) -> Any:
    if value == {"present": True}:
        return None
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str | int) for one in listed):
        raise invalid("write a value, a list of values, or {present: true}")
    return [_as_text(one) for one in listed]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Paths = Annotated[list[str], BeforeValidator(_paths)]


class _Instant(_Strict):
    path: Paths
    format: Annotated[str | None, BeforeValidator(_format)] = None


InstantSource = Annotated[_Instant, BeforeValidator(_instant_source)]


class _Fields(_Strict):
    username: Paths
    application: Paths | None = None
    application_version: Paths | None = None
    platform: Paths | None = None
    device: Paths | None = None
    ip: Paths | None = None
    user_agent: Paths | None = None
    referrer: Paths | None = None
    at: InstantSource
    expires_at: InstantSource | None = None


_FIELDS = frozenset(_Fields.model_fields)


class _File(_Strict):
    encoding: Annotated[str | None, BeforeValidator(_encoding)] = None
    where: dict[str, Annotated[list[str] | None, BeforeValidator(_wanted)]] = {}
    blank: list[str] = []
    fields: _Fields
    key: Annotated[list[str], Field(min_length=1)]
    event_id: str | None = None


class Mapping:
    """Where the fields of an export are."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self.encoding = file.encoding
        """How the export is encoded where no byte order mark says it; None for UTF-8."""
        self._blank = {"", *file.blank}
        texts = {name: getattr(file.fields, name) for name in _Fields.model_fields if name not in _INSTANTS}
        self._said: set[str] = set()
        self._texts: dict[str, list[str]] = {name: paths for name, paths in texts.items() if paths}

    def interpret(self, row: Any) -> Row | Skipped | Rejected:
        """What a row means."""
        if not isinstance(row, dict):
            return Rejected("not an object with named fields")
        try:
            if not self._is_wanted(row):
                return Skipped()
            return self._used(row)
        except _Unusable as reason:
            return Rejected(str(reason))
        except AuthctlError as error:
            return Rejected(error.message)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise InvalidInput when a CSV file has no column for what every row needs, or two of one that is read."""
        for name, paths in (("username", self._file.fields.username), ("at", self._file.fields.at.path)):
            if not any(_column(path, columns) for path in paths):
                there = ", ".join(map(names.quoted, columns[:_COLUMNS_NAMED]))
                more = ", …" if len(columns) > _COLUMNS_NAMED else ""
                wanted = " or ".join(map(names.quoted, paths))
                raise InvalidInput(f"no column {wanted} for {name}; the header has {there}{more}")
        for path in self._paths_read():
            column = _column(path, columns)
            if column is not None and columns.count(column) > 1:
                raise InvalidInput(f"the header has column {names.quoted(column)} twice")

    def _paths_read(self) -> list[str]:
        instants = [source.path for source in (self._file.fields.at, self._file.fields.expires_at) if source]
        event_id = [self._file.event_id] if self._file.event_id else []
        fields = [path for paths in (*self._texts.values(), *instants) for path in paths]
        key = [part for part in self._file.key if part not in _FIELDS]
        return [*fields, *event_id, *self._file.where, *key]

    def blank_parts(self) -> list[str]:
        """The parts of the key that said nothing in any row so far: a misspelled one, perhaps."""
        return [part for part in self._file.key if part not in self._said]

    def reason_to_skip(self, row: Any) -> str:
        """The condition of `where` that a skipped row does not meet, with what stands there, in words."""
        for path, wanted in self._file.where.items():
            if not _meets(value := _at_path(row, path), wanted):
                shown = "absent" if value is None else names.quoted(_as_text(value))
                return f"where {names.quoted(path)} is {shown}"
        return "where"

    def _is_wanted(self, row: dict[str, Any]) -> bool:
        return all(_meets(_at_path(row, path), wanted) for path, wanted in self._file.where.items())

    def _used(self, row: dict[str, Any]) -> Row:
        details: dict[str, str | int] = {}
        for name, paths in self._texts.items():
            if (text := self._first(row, paths)) is not None:
                details[name] = names.field(text, name.replace("_", " "))
        if "username" not in details:
            raise _Unusable("the username is blank")
        details["username"] = names.username(str(details["username"]))
        at = self._instant(row, "at", self._file.fields.at)
        if at is None:
            raise _Unusable("the time is blank")
        expires = self._file.fields.expires_at
        if expires and (until := self._instant(row, "expires_at", expires)) is not None:
            details["expires_at"] = until
        event_id = self._first(row, [self._file.event_id]) if self._file.event_id else None
        names.field(event_id or "", "event id")
        parts = self._key(row, details)
        if "username" in self._file.key:
            return Row(_digest(parts), at, details, event_id)
        user = names.fold(str(details["username"]))
        return Row(_digest([user, *parts]), at, details, event_id, _digest(parts))

    def _key(self, row: dict[str, Any], details: dict[str, str | int]) -> list[str | None]:
        parts: list[str | None] = []
        for part in self._file.key:
            if part in _FIELDS:
                said = details.get(part)
                parts.append(None if said is None else names.fold(str(said)))
            else:
                parts.append(self._first(row, [part]))
        if len(self._said) < len(self._file.key):
            self._said.update(part for part, said in zip(self._file.key, parts, strict=True) if said)
        if not any(parts):
            raise _Unusable("every part of its key is blank")  # decision 13
        return parts

    def _first(self, row: Any, paths: Iterable[str]) -> str | None:
        for path in paths:
            found = _at_path(row, path)
            if isinstance(found, dict | list):
                raise _Unusable(f"{names.quoted(path)} is not a plain value")
            text = None if found is None else _as_text(found)
            if text is not None and text.strip() and text not in self._blank:
                return text
        return None

    def _instant(self, row: dict[str, Any], name: str, source: _Instant) -> int | None:
        text = self._first(row, source.path)
        if text is None:
            return None
        try:
            return _parsed(text.strip(), source.format)
        except (ValueError, OverflowError, InvalidInput):
            raise _Unusable(f"{name} is not a time of the expected form: {names.quoted(text)}") from None


def _digest(parts: Sequence[str | None]) -> bytes:
    return sha256(json.dumps(parts).encode()).digest()


def _column(path: str, columns: Sequence[str]) -> str | None:
    """The column that a path begins in: the one of its whole name, or the one whose cells it enters."""
    return next((name for name in (path, re.split(r"[.\[]", path, maxsplit=1)[0]) if name in columns), None)


def _parsed(text: str, form: str | None) -> int:
    if form is None:
        return parse_instant(text)
    if form in _UNIX:
        seconds = float(text) / _UNIX[form]
        if not 0 <= seconds <= _LATEST:
            raise ValueError(text)
        return instant_of(seconds)
    return parse_instant(datetime.strptime(text, form).isoformat())  # noqa: DTZ007  # no zone means UTC


def _meets(value: Any, wanted: Sequence[str] | None) -> bool:
    """Whether a value meets a condition of `where`: it is there, and one of the texts where any are named."""
    return value is not None and (wanted is None or _as_text(value) in wanted)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _at_path(row: Any, path: str) -> Any:
    """What stands at a dotted path: names, list positions and [Name=Value] picks; texts of JSON are entered."""
    found = row
    for step, rest in _steps(path):
        if isinstance(found, str):
            found = _entered(found)
        if isinstance(found, dict) and rest in found:
            return found[rest]
        found = _step(found, step)
        if found is None:
            return None
    return found


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    """Each step of a path, with all that is left of the path there: a name may have dots."""
    parted = _PICK.sub(lambda pick: f".[{pick[1]}={pick[2]}]".replace(".", "\0").replace("\0", ".", 1), path)
    steps = parted.lstrip(".").split(".")
    rests = [".".join(steps[index:]) for index in range(len(steps))]
    return tuple((step.replace("\0", "."), rest.replace("\0", ".")) for step, rest in zip(steps, rests, strict=True))


def _step(found: Any, step: str) -> Any:
    if isinstance(found, dict):
        return found.get(step)
    if not isinstance(found, list):
        return None
    if pick := _PICK.fullmatch(step):
        return next((one for one in found if isinstance(one, dict) and _as_text(one.get(pick[1])) == pick[2]), None)
    position = int(step) if _POSITION.fullmatch(step) else len(found)
    return found[position] if position < len(found) else None


def _entered(text: str) -> Any:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_mapping(raw: bytes, name: str) -> Mapping:
    """Read the bytes of a mapping file; `name` is how its faults call it. Raises InvalidFile."""
    document = load(raw, name)
    file = validated(_File, document)
    document.raise_faults()
    return Mapping(file)
