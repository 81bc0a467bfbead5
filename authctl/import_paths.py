"""Paths into the rows of an export: text to steps, and the value that stands at a path.

Pure: nothing here reads a file or depends on a field. A path is written in a mapping file; a row is foreign, and nothing of a
row is ever read as a path.
"""

import json
import re
from collections.abc import Callable, Container, Iterator
from enum import Enum
from typing import Any, NamedTuple

from authctl.errors import InvalidInput
from authctl.names import quoted

_PICK = re.compile(r"\[([^=\]]+)=([^\]]*)\]")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_JOIN = re.compile(r'\{((?:[^{}"]|"(?:[^"]|"")*")+)\}')
_POSITION = re.compile(r"\d{1,9}", re.ASCII)


class Kind(Enum):
    """The kinds of steps."""

    NAME = "name"
    PICK = "[Name=Value]"
    JOIN = "{path}"
    EVERY = "*"
    KEY = "$key"
    OUT = "^"


_SIGNS = {kind.value: kind for kind in (Kind.EVERY, Kind.KEY, Kind.OUT)}


class Step(NamedTuple):
    """One step of a path."""

    kind: Kind
    name: str
    """The name; of a pick, the name that is compared."""
    rest: str
    """The path from this step on, as it is written: a name of a row may have the same text."""
    value: str = ""
    """The value that a pick asks for."""
    inner: "Path | None" = None
    """The path whose value is the step: `{path}`."""


class Stop(NamedTuple):
    """One stop on the way from a document to a row."""

    key: str | int
    is_element: bool
    """Whether the row stands in a list or in an object that has rows as its values, and not under a name of its own."""


Stops = tuple[Stop, ...]


class DocumentRow(NamedTuple):
    """A row within a document, with the way to it."""

    value: Any
    stops: Stops
    document: Any = None
    """The whole document, where the mapping needs it."""


Find = Callable[[dict[str, Any], DocumentRow | None], Any]
"""Finds the value at a path of a row, which may stand within a document; None where there is none."""


class Path:
    """A path: `devices.0.name`, `"a.b".[Name=Value]`, `^.sessions.{session_id}.username`, `^.$key`."""

    __slots__ = ("is_key", "is_plain", "outs", "steps", "text")

    def __init__(self, text: str) -> None:
        steps = tuple(_steps(text))
        self.text = text
        self.outs = next((count for count, step in enumerate(steps) if step.kind is not Kind.OUT), len(steps))
        """How many times it steps out of the list or object around it."""
        self.is_key = len(steps) == self.outs + 1 and steps[-1].kind is Kind.KEY
        """Whether it is the name under which a row or an object around it stands."""
        self.steps = steps[self.outs :] if not self.is_key else ()
        for step in self.steps:
            if step.kind is Kind.OUT:
                raise InvalidInput(f"'^' stands only at the beginning of a path: {quoted(text)}")
            if step.kind is Kind.KEY:
                raise InvalidInput(f"'$key' stands alone, or after '^': {quoted(text)}")
        self.is_plain = not self.outs and not self.is_key and steps == (Step(Kind.NAME, text, text),)
        """Whether it is one name of a row and no more."""

    @property
    def needs_document(self) -> bool:
        """Whether it leaves the row, so that the document around the row must be at hand."""
        inner = any(step.inner is not None and step.inner.needs_document for step in self.steps)
        return inner or bool(self.outs and not self.is_key)

    @property
    def most_outs(self) -> int:
        """How many times it, or a path within it, steps out; at least once where it asks for a name."""
        return max([self.outs, *(step.inner.most_outs for step in self.steps if step.inner is not None)])

    @property
    def needs_position(self) -> bool:
        """Whether it needs the place of the row, which only rows within a document have."""
        return bool(self.most_outs or self.is_key or any(s.inner is not None and s.inner.is_key for s in self.steps))

    def at(self, row: Any, document_row: DocumentRow | None = None, blank: Container[str] = ()) -> Any:
        """The value at this path of a row; None where there is none. A field of the row whose name is the whole path comes first."""
        if isinstance(row, dict):
            # A CSV column may be named `user.name`: the whole text comes before its steps.
            if self.text in row:
                return row[self.text]
            if self.is_plain:
                return None
        if not self.outs and not self.is_key:
            return self._from(row, row, document_row, blank)
        stops = document_row.stops if document_row is not None else None
        for _ in range(self.outs):
            stops = out_of(stops) if stops else None
        if document_row is None or stops is None:
            return None
        if self.is_key:
            return stops[-1].key if stops and isinstance(stops[-1].key, str) else None
        around = document_row.document
        for stop in stops:
            around = around[stop.key]
        return self._from(around, row, document_row, blank)

    def finder(self, blank: Container[str]) -> Find:
        """The same as `at` for rows that are objects, worked out once for all of them."""
        name = self.text
        if self.is_plain:
            return lambda row, _document_row: row.get(name)
        if self.outs or self.is_key or any(step.kind is not Kind.NAME for step in self.steps):
            return lambda row, document_row: self.at(row, document_row, blank)
        if self.steps[0].rest != name:  # dots before the first name
            return lambda row, document_row: self.at(row, document_row, blank)
        return self._finder_by_names(blank)

    def _finder_by_names(self, blank: Container[str]) -> Find:
        """The finder of a path that has names only; a JSON text within a cell is left to `at`."""
        steps = [(step.rest, step.name, as_position(step.name)) for step in self.steps]

        def find(row: dict[str, Any], document_row: DocumentRow | None) -> Any:
            value: Any = row
            for rest, name, position in steps:
                if type(value) is dict:  # 0.4 µs a path, where steps through `_next` and `_named` took 1.3
                    if rest in value:
                        return value[rest]
                    value = value.get(name)
                elif type(value) is list and position is not None:
                    value = value[position] if position < len(value) else None
                else:
                    return self.at(row, document_row, blank)
                if value is None:
                    return None
            return value

        return find

    def _from(self, value: Any, row: Any, document_row: DocumentRow | None, blank: Container[str]) -> Any:
        for step in self.steps:
            if isinstance(value, str):
                value = _entered(value)
            if isinstance(value, dict) and step.rest in value:
                return value[step.rest]
            if step.inner is None:
                value = _next(value, step)
            else:
                name = _literal(step.inner.at(row, document_row, blank), blank)
                value = None if name is None else _named(value, name)
            if value is None:
                return None
        return value


def out_of(stops: Stops) -> Stops | None:
    """The way to the object that has the list or object in which the last stop stands; None where nothing has it."""
    if not stops:
        return None
    size = len(stops) - 1
    # Under a name of its own, the object around it is one stop up; within a list, the list itself is passed as well.
    if not stops[-1].is_element:
        return stops[:size]
    while size and isinstance(stops[size - 1].key, int):  # a list within a list: neither is an object
        size -= 1
    return stops[: size - 1] if size else None


def levels_out(steps: tuple[Step, ...]) -> int:
    """How many times a path may step out of the rows that stand at these steps."""
    stops: Stops | None = tuple(Stop(step.name, step.kind is not Kind.NAME) for step in steps)
    count = -1
    while stops is not None:
        stops, count = out_of(stops), count + 1
    return count


def as_text(value: object) -> str:
    """A plain value as its text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def as_position(name: str) -> int | None:
    """The position in a list that a step names, or None."""
    return int(name) if _POSITION.fullmatch(name) else None


def is_picked(element: Any, step: Step) -> bool:
    """Whether an element of a list is the element of a pick."""
    return isinstance(element, dict) and as_text(element.get(step.name)) == step.value


def _next(value: Any, step: Step) -> Any:
    if step.kind is Kind.PICK:
        return (
            next((element for element in value if is_picked(element, step)), None) if isinstance(value, list) else None
        )
    return _named(value, step.name)


def _named(value: Any, name: str) -> Any:
    """The value of a name in an object, or of a position in a list; the name is taken as it is."""
    if isinstance(value, dict):
        return value.get(name)
    position = as_position(name) if isinstance(value, list) else None
    return value[position] if position is not None and position < len(value) else None


def _literal(value: Any, blank: Container[str]) -> str | None:
    """The value of `{path}` as one step; None where it is blank or not a plain value."""
    text = None if value is None or isinstance(value, dict | list) else as_text(value)
    # As a blank step, a missing id would lead to the field with the empty name.
    return None if text is None or not text.strip() or text in blank else text


def _entered(text: str) -> Any:
    # A cell of a CSV file may hold JSON. A text that is only a number or a word is left as it is.
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _steps(text: str) -> Iterator[Step]:
    """The steps of a path, parted by dots; a pick needs no dot before it. Raises InvalidInput."""
    offset = len(text) - len(text.lstrip("."))
    while True:
        step, end = _step(text, offset)
        yield step
        if end == len(text):
            return
        is_dot = text[end] == "."
        offset = end + is_dot
        if not is_dot and text[end] != "[":
            raise InvalidInput(f"after {quoted(text[:end])} comes a dot or the end: {quoted(text)}")


def _step(text: str, offset: int) -> tuple[Step, int]:
    """The step that begins at an offset of a path, and where it ends."""
    rest = text[offset:]
    if rest.startswith("["):
        pick = _matched(_PICK, text, offset, "a pick is written [Name=Value]")
        return Step(Kind.PICK, pick[1], rest, pick[2]), pick.end()
    if rest.startswith('"'):
        name = _matched(_QUOTED, text, offset, 'a quoted step is written "NAME", a quote within it twice')
        return Step(Kind.NAME, name[1].replace('""', '"'), rest), name.end()
    if rest.startswith("{"):
        join = _matched(_JOIN, text, offset, "a step in braces is written {PATH}, with no braces within it")
        return Step(Kind.JOIN, "", rest, inner=Path(join[1])), join.end()
    end = offset
    # A bracket belongs to the name unless it begins a pick: `tags[0]` is a name that some systems write.
    while end < len(text) and text[end] != "." and not (text[end] == "[" and _PICK.match(text, end)):
        end += 1
    return Step(_SIGNS.get(text[offset:end], Kind.NAME), text[offset:end], rest), end


def _matched(pattern: re.Pattern[str], text: str, offset: int, rule: str) -> re.Match[str]:
    match = pattern.match(text, offset)
    if match is None:
        raise InvalidInput(f"{rule}: {quoted(text)}")
    return match
