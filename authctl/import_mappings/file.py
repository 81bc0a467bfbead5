"""The mapping file: its fields, each checked by itself, and contradictions between them, with line and column."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from authctl.import_files import Layout, known_encoding
from authctl.import_mappings.conditions import Condition, read_condition
from authctl.import_mappings.times import check_format, time_zone
from authctl.import_paths import Kind, Path
from authctl.names import quoted, source_name
from authctl.validation import Strict, invalid, parse_field
from authctl.yaml_files import Path as Place

_WORDS = {"tab": "\t", "comma": ",", "semicolon": ";", "space": " "}
_WHITESPACE = "whitespace"
_WRITE_PATHS = "write a path into the row, or a list of them"


def _path(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        raise invalid(_WRITE_PATHS)
    path = parse_field(Path, value)
    if any(step.kind is Kind.EVERY for step in path.steps):
        raise invalid(f"'*' is for `rows`: {quoted(value)}; a name '*' is written '\"*\"'")
    return path


def _path_or_none(value: Any) -> Any:
    return None if value is None else _path(value)


def _paths(value: Any) -> list[Any]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise invalid(_WRITE_PATHS)
    return [_path(path) for path in listed]


def _sources(value: Any) -> Any:
    """Each source as a mapping: texts that follow each other are the paths of one."""
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(
        isinstance(source, dict) or (isinstance(source, str) and source.strip()) for source in listed
    ):
        raise invalid(_WRITE_PATHS)
    return [source if isinstance(source, dict) else {"path": source} for source in listed]


def _format(value: Any) -> Any:
    if isinstance(value, str):
        parse_field(check_format, value, with_hint=True)
    return value


def _encoding(value: Any) -> Any:
    return parse_field(known_encoding, value, with_hint=True) if isinstance(value, str) else value


def _timezone(value: Any) -> Any:
    if isinstance(value, str):
        parse_field(time_zone, value, with_hint=True)
    return value


def _source(value: Any) -> Any:
    return parse_field(source_name, value) if isinstance(value, str) else value


def _rows(value: Any) -> Any:
    if not isinstance(value, str) or not value.strip():
        raise invalid("write the path of the rows, such as devices.*")
    path = parse_field(Path, value)
    if path.needs_position or any(step.kind is Kind.JOIN for step in path.steps):
        raise invalid(f"the path of the rows has names, positions, picks and '*' only: {quoted(value)}")
    return path


def _delimiter(value: Any) -> Any:
    word = _WORDS.get(value, value) if isinstance(value, str) else None
    if not isinstance(word, str) or (word != _WHITESPACE and (len(word) != 1 or word in '"\r\n\0' or word.isalnum())):
        raise invalid("write one character, or tab, space, comma, semicolon or whitespace")
    return word


def _columns(value: Any) -> Any:
    if isinstance(value, list) and len({str(column) for column in value}) < len(value):
        raise invalid("write a list of texts, each once")
    return value


def _condition(value: Any) -> Condition:
    condition = read_condition(value)
    if condition is None:
        raise invalid("write a value, a list of values, {not: …} with either, or {present: true} or {present: false}")
    return condition


def _key_part(value: Any) -> Any:
    return value if isinstance(value, str) and value in FIELDS else _path(value)


PathText = Annotated[Any, BeforeValidator(_path)]
PathTexts = Annotated[list[Any], BeforeValidator(_paths)]
Separator = Annotated[str, Field(min_length=1)]
TimeFormat = Annotated[str, BeforeValidator(_format)]
Where = dict[PathText, Annotated[Any, BeforeValidator(_condition)]]
KeyPart = Annotated[Any, BeforeValidator(_key_part)]


class TextPart(Strict):
    """The part of a text that a field takes: the text before one separator and after another."""

    before: Separator | None = None
    after: Separator | None = None


class Source(TextPart):
    """The source of a field: a path, a part of the text at a path, or a constant."""

    path: PathTexts | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Source":
        if (self.path is None) == (self.value is None):
            raise invalid("write either a path or a value")
        if self.value is not None and (self.before or self.after):
            raise invalid("`before` and `after` need a path")
        return self


class TimeSource(TextPart):
    """The source of a time: a path, with its format."""

    path: PathTexts
    format: TimeFormat | None = None


def _times_or_listing(value: Any) -> Any:
    """The sources of `at` or `last_used_at`; `{taken: true}` stands alone or last."""
    listed = value if isinstance(value, list) else [value]
    if any(isinstance(source, dict) and "taken" in source for source in listed[:-1]):
        raise invalid("{taken: true} stands alone, or last in a list")
    last = listed[-1] if listed else None
    if not isinstance(last, dict) or "taken" not in last:
        return {"sources": _sources(value)}
    if last != {"taken": True} or last["taken"] is not True:
        raise invalid("write {taken: true}")
    return {"sources": _sources(listed[:-1]) if listed[:-1] else [], "is_taken": True}


class EndSource(TextPart):
    """The source of the end of a session: a time at a path, or the time of the row if conditions are met."""

    path: PathTexts | None = None
    format: TimeFormat | None = None
    where: Where = Field(default_factory=dict)

    @model_validator(mode="after")
    def _some(self) -> "EndSource":
        if self.path is None and not self.where:
            raise invalid("write a path, or conditions as in `where`")
        if self.path is None and (self.format or self.before or self.after):
            raise invalid("`format`, `before` and `after` need a path")
        return self


class At(Strict):
    """The sources of a time of use, and whether the time of the listing replaces a missing one."""

    sources: list[TimeSource]
    is_taken: bool = False


Sources = Annotated[list[Source], BeforeValidator(_sources)]
Times = Annotated[list[TimeSource], BeforeValidator(_sources)]
Ends = Annotated[list[EndSource], BeforeValidator(_sources)]


class Fields(Strict):
    """The fields of a session, and the sources of each."""

    username: Sources
    application: Sources | None = None
    application_version: Sources | None = None
    platform: Sources | None = None
    device: Sources | None = None
    ip: Sources | None = None
    user_agent: Sources | None = None
    referrer: Sources | None = None
    source_id: Sources | None = None
    at: Annotated[At, BeforeValidator(_times_or_listing)] = At(sources=[])
    created_at: Times | None = None
    last_used_at: Annotated[At, BeforeValidator(_times_or_listing)] = At(sources=[])
    expires_at: Times | None = None
    ended_at: Ends | None = None
    ended_reason: Sources | None = None

    @property
    def uses_listing_time(self) -> bool:
        """Whether a row may count as of the time of its listing."""
        return self.at.is_taken or self.last_used_at.is_taken

    @property
    def has_time(self) -> bool:
        """Whether a row can have a time that the session existed at."""
        return bool(self.at.sources or self.created_at or self.last_used_at.sources or self.uses_listing_time)

    def times(self) -> dict[str, Sequence[TimeSource]]:
        """The sources of the times without the end."""
        optional = {"created_at": self.created_at, "expires_at": self.expires_at}
        uses = {"at": self.at.sources, "last_used_at": self.last_used_at.sources}
        return {**uses, **{name: sources or [] for name, sources in optional.items()}}


TIMES = ("at", "created_at", "last_used_at", "expires_at", "ended_at")
TEXTS = tuple(name for name in Fields.model_fields if name not in (*TIMES, "ended_reason"))
FIELDS = frozenset((*TEXTS, "at", "expires_at"))
"""The names that `key` takes for fields; any other name is a path into the row."""
REASONS = ("idle", "absolute", "lifetime", "continuity_ended", "signed_out", "user_disabled", "password_changed",
           "key_compromised", "restored", "not_listed")  # fmt: skip
"""The reasons of an end: the values of `ended_reason`."""


class MappingFile(Strict):
    """The whole mapping file."""

    encoding: Annotated[str | None, BeforeValidator(_encoding)] = None
    rows: Annotated[Any, BeforeValidator(_rows)] = None
    columns: Annotated[list[str], Field(min_length=1), BeforeValidator(_columns)] | None = None
    delimiter: Annotated[str | None, BeforeValidator(_delimiter)] = None
    timezone: Annotated[str | None, BeforeValidator(_timezone)] = None
    source: Annotated[str | None, BeforeValidator(_source)] = None
    taken_at: Times | None = None
    where: Where = Field(default_factory=dict)
    blank: list[str] = Field(default_factory=list)
    fields: Fields
    key: Annotated[list[KeyPart], Field(min_length=1)]
    event_id: Annotated[Any, BeforeValidator(_path_or_none)] = None

    @property
    def layout(self) -> Layout:
        """The layout of the rows of a file."""
        needs_document = any(path.needs_document for _, path in paths_of(self))
        columns = tuple(self.columns) if self.columns else None
        return Layout(self.rows, needs_document, columns, self.delimiter)


def paths_of(file: MappingFile) -> Iterator[tuple[Place, Path]]:
    """Every path of a mapping file that is read from a row, with its place in the file."""
    for name in (*TEXTS, "ended_reason"):
        for number, source in enumerate(getattr(file.fields, name) or ()):
            yield from ((("fields", name, number, "path", at), path) for at, path in enumerate(source.path or ()))
    times: dict[Place, Sequence[TimeSource | EndSource]] = {
        **{("fields", name): sources for name, sources in file.fields.times().items()},
        ("fields", "ended_at"): file.fields.ended_at or [],
        ("taken_at",): file.taken_at or [],
    }
    for place, sources in times.items():
        for number, time in enumerate(sources):
            yield from (((*place, number, "path", at), path) for at, path in enumerate(time.path or ()))
            if isinstance(time, EndSource):
                yield from (((*place, number, "where", path.text), path) for path in time.where)
    for path in file.where:
        yield ("where", path.text), path
    for number, part in enumerate(file.key):
        if isinstance(part, Path):
            yield ("key", number), part
    if file.event_id is not None:
        yield ("event_id",), file.event_id
