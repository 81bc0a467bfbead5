"""Checks plain data against a pydantic model, and words the faults in our own terms."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from authctl import names
from authctl.errors import AuthctlError
from authctl.instants import parse_length, parse_lifetime, parse_timeout
from authctl.yaml_files import MOST_FAULTS, Document, Path

Model = TypeVar("Model", bound=BaseModel)
Parsed = TypeVar("Parsed")

_ENTRY = 2
"""The depth of an entry of a mapping; deeper places are fields of an entry."""

_WORDING = {
    "string_type": "must be text: put it in quotes",
    "dict_type": "must be a mapping, `name: value` on lines of its own",
    "model_type": "must be a mapping, `name: value` on lines of its own",
    "list_type": "must be a list",
    "bool_type": "must be true or false",
    "too_short": "must not be empty",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le:,} or less",
}


def invalid(message: str) -> PydanticCustomError:
    """A validator's own complaint, worded for the reader of the file."""
    return PydanticCustomError("authctl", "{message}", {"message": message})


def parse_field(parse: Callable[[str], Parsed], value: str, *, with_hint: bool = False) -> Parsed:
    """The value that a parser makes of a field's text; the parser's error is the fault of the field."""
    try:
        return parse(value)
    except AuthctlError as error:
        hint = f"; {error.hint}" if with_hint and error.hint else ""
        raise invalid(f"{error.message}{hint}") from None


def _text(value: str) -> str:
    return parse_field(lambda text: names.field(text, "this text"), value)


def length(parse: Callable[[str], Any]) -> BeforeValidator:
    """A length of time, read from text by `parse`."""

    def parsed(value: Any) -> Any:
        if not isinstance(value, str):
            raise invalid("write a length of time with a unit, such as 3d")
        return parse_field(parse, value)

    return BeforeValidator(parsed)


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise invalid("a name must be text: put it in quotes")
    parse_field(names.profile_name, value)
    return value


def _version(value: Any) -> int:
    # `true` is 1 for Python, and no version.
    if type(value) is not int or value != 1:
        raise invalid("must be 1")
    return value


def _absolute(value: str) -> str:
    """A path that does not depend on the folder in which authctl is run."""
    if not value.startswith("/"):
        raise invalid("must be an absolute path")
    return value


def _program(value: list[str]) -> list[str]:
    """A program with its arguments."""
    if not value[0].startswith("/"):
        raise invalid("the program must be an absolute path")
    return value


class Strict(BaseModel):
    """Fields of a file: no others, and no type for another."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


Text = Annotated[str, AfterValidator(_text)]
AbsolutePath = Annotated[Text, AfterValidator(_absolute)]
Program = Annotated[list[Text], Field(min_length=1), AfterValidator(_program)]
Name = Annotated[str, BeforeValidator(_name)]
Version = Annotated[int, BeforeValidator(_version)]
Timeout = Annotated[int, length(parse_timeout)]
Lifetime = Annotated[int, length(parse_lifetime)]
Length = Annotated[int, length(parse_length)]


def note_same_names(names_read: Iterable[str], kind: str, document: Document) -> None:
    """Note a fault for every name of a mapping that is another spelling of one above it."""
    first: dict[str, str] = {}
    for name in names_read:
        other = first.setdefault(names.fold(name), name)
        # Without case and width two names are one: one of the two profiles would be unreachable.
        if other != name:
            problem = f"{kind} {names.quoted(other)} and {names.quoted(name)} have the same name"
            document.fault(document.key_position((kind, name)), problem)


def validated(model: type[Model], document: Document) -> Model:
    """The document as a value of the model, its faults noted in the document.

    Fields that are wrong by themselves are left out of the value, so that the caller can check contradictions
    between the others before it raises all faults. Raises InvalidFile where too little is left for that.
    """
    value, data = _valid_part(model, document)
    # decision 349: most fields refuse null by themselves, as another type; one that has none by default does not
    for path in _without_value(data):
        written = names.quoted(str(path[-1]))
        document.fault(document.value_position(path), f"{written} has no value: write one, or leave it out")
    return value


def _without_value(data: Any, path: Path = ()) -> Iterator[Path]:
    """The fields that are written without a value. Each would mean its default without a word, as a forgotten timeout no limit."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in parts:
        if value is None:
            yield (*path, key)
        yield from _without_value(value, (*path, key))


def _valid_part(model: type[Model], document: Document) -> tuple[Model, Any]:
    """The value, and the data that it was made of."""
    # decision 15: pydantic checks the shapes, the messages are our own
    data = document.data
    gone: set[Path] = set()
    while True:
        try:
            return model.model_validate(data), data
        except ValidationError as error:
            details = error.errors(include_url=False)[: MOST_FAULTS + 1]
        # Pydantic reports a removed field again as missing: each fault is noted once.
        details = [detail for detail in details if detail["loc"] not in gone]
        for detail in details:
            _fault(document, detail, model)
        if not details or not all(_can_go(detail, document) for detail in details):
            document.raise_faults()
        # Once more without the wrong fields: so that rules between the others are checked in the same run.
        gone.update(detail["loc"] for detail in details)
        data = _without(data, [detail["loc"] for detail in details])


def _can_go(detail: ErrorDetails, document: Document) -> bool:
    alone = detail["type"] == "extra_forbidden" or len(detail["loc"]) > _ENTRY
    return (
        alone
        and detail["loc"] in document.values
        and detail["type"] != "missing"
        and "[key]" not in detail["loc"]
        and not any(isinstance(part, int) for part in detail["loc"])
    )


def _without(data: Any, paths: Sequence[Path]) -> Any:
    """The data without those parts, and without fields that have nothing left: they were not written empty."""
    pruned = deepcopy(data)
    for path in paths:
        places = [pruned]
        for part in path[:-1]:
            places.append(places[-1][part])
        places[-1].pop(path[-1], None)
        for depth in range(len(path) - 1, _ENTRY, -1):
            if not places[depth]:
                places[depth - 1].pop(path[depth - 1], None)
    return pruned


def _fault(document: Document, detail: ErrorDetails, model: type[BaseModel]) -> None:
    is_key = "[key]" in detail["loc"]
    path: Path = tuple(part for part in detail["loc"] if part != "[key]")
    named = [part for part in path if isinstance(part, str)]
    last = names.quoted(named[-1]) if named else "the file"
    path = document.written(path[:-1]) + path[-1:] if detail["type"] == "missing" else document.written(path)
    if detail["type"] == "extra_forbidden":
        document.fault(document.key_position(path), f"unknown field {last}{_suggestion(named[-1], model)}")
    elif detail["type"] == "missing":
        document.fault(document.value_position(path[:-1]), f"{last} is missing")
    else:
        position = document.key_position(path) if is_key else document.value_position(path)
        own = _WORDING.get(detail["type"])
        wording = detail["msg"] if own is None else own.format(**detail.get("ctx", {}))
        document.fault(position, f"{last} {wording}" if wording.startswith("must") else f"{last}: {wording}")


def _suggestion(typed: str, model: type[BaseModel]) -> str:
    close = get_close_matches(typed, _field_names(model), 1)
    return f"; did you mean '{close[0]}'?" if close else ""


@cache
def _field_names(model: type[BaseModel]) -> set[str]:
    schema: dict[str, Any] = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {name for part in parts for name in part.get("properties", {})}
