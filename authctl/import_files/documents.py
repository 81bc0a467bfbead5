"""JSON documents: the rows of a list, of wrappers, of lists within lists and of objects keyed by id.

One document may come after another. A row is decoded by itself, so the size of a list does not matter. The whole document
is decoded only if the mapping reads values outside of the row.
"""

from collections.abc import Generator, Iterator
from typing import Any

from authctl.errors import InvalidInput
from authctl.import_files.json_text import JsonText
from authctl.import_files.values import LONGEST_DOCUMENT, Layout, NoRows
from authctl.import_paths import DocumentRow, Kind, Path, Step, Stop, Stops, as_position, is_picked
from authctl.names import quoted

_NAMES_SHOWN = 8

Rows = Generator[tuple[int, Any], None, bool]
"""Rows with their lines; it returns whether the place of the rows was there."""


def documents(text: JsonText, layout: Layout) -> Iterator[tuple[int, Any]]:
    """The rows of every document in a text. Raises InvalidInput where the text is not JSON, or has no such rows."""
    while character := text.next_character():
        if layout.rows is not None:
            yield from _placed(text, layout.rows, needs_document=layout.needs_document)
        elif character == "[":
            for _ in text.elements():
                yield _next_row(text)
        else:
            yield _next_row(text)


def _next_row(text: JsonText) -> tuple[int, Any]:
    text.next_character()
    return text.line, text.value()


def _placed(text: JsonText, rows: Path, *, needs_document: bool) -> Iterator[tuple[int, Any]]:
    line = text.line
    document = text.value(LONGEST_DOCUMENT, stays=True) if needs_document else None
    names: list[str] = []
    walk = _Walk(text, rows.steps, document, names)
    # decision 140: an error message of the other system must not be taken for an empty list
    if not (yield from walk.rows(0, ())):
        there = ", ".join(map(quoted, names[:_NAMES_SHOWN])) + (", …" if len(names) > _NAMES_SHOWN else "")
        has = f"it has {there}" if names else "it is no object"
        raise InvalidInput(f"{text.name}: the document in line {line} has no rows at {quoted(rows.text)}; {has}")
    if needs_document and not walk.has_rows:
        yield line, NoRows(DocumentRow({}, _stops_of(rows.steps), document))


def _stops_of(steps: tuple[Step, ...]) -> Stops:
    """The way to the first row, if there were one."""
    is_list = not steps or steps[-1].kind is not Kind.EVERY
    stops = (
        Stop(step.name, is_element=False) if step.kind is Kind.NAME else Stop(0, is_element=True) for step in steps
    )
    return (*stops, *([Stop(0, is_element=True)] if is_list else ()))


class _Walk:
    """The way through one document to its rows."""

    def __init__(self, text: JsonText, steps: tuple[Step, ...], document: Any, names: list[str]) -> None:
        self._text = text
        self._steps = steps
        self._document = document
        self._names = names
        self.has_rows = False

    def rows(self, done: int, stops: Stops) -> Rows:
        """The rows that the steps after the first `done` lead to."""
        character = self._text.next_character()
        if done == len(self._steps):
            if character != "[" or (self._steps and self._steps[-1].kind is Kind.EVERY):
                yield self._row(stops)
            else:  # a list at the end of the path is a list of rows
                for position in self._text.elements():
                    yield self._row((*stops, Stop(position, is_element=True)))
            return True
        if character == "{":
            return (yield from self._members(done, stops))
        if character == "[":
            return (yield from self._elements(done, stops))
        # A null stands for no rows, as an empty list does; any other value in the way is a wrong path.
        return self._text.value() is None

    def _row(self, stops: Stops) -> tuple[int, DocumentRow]:
        self.has_rows = True
        line, value = _next_row(self._text)
        return line, DocumentRow(value, stops, self._document)

    def _members(self, done: int, stops: Stops) -> Rows:
        step, is_there = self._steps[done], self._steps[done].kind is Kind.EVERY
        for name in self._text.members():
            if not stops and len(self._names) <= _NAMES_SHOWN:
                self._names.append(name)
            if step.kind is Kind.EVERY:
                yield from self.rows(done + 1, (*stops, Stop(name, is_element=True)))
            # A name may contain dots: for the path `a.b.c`, the member "a.b.c" is the whole rest, and "a" only its first step.
            elif step.kind is Kind.NAME and name in (step.rest, step.name):
                if is_there:
                    message = f"{self._text.name}: line {self._text.line}: more than one value for {quoted(step.rest)}"
                    raise InvalidInput(message, "a name with dots is written in quotes: '\"a.b\"'")
                then = done + 1 if name == step.name else len(self._steps)
                is_there = yield from self.rows(then, (*stops, Stop(name, is_element=False)))
                is_there = is_there or self._is_after_every(done)
            else:
                self._text.skip()
        return is_there

    def _is_picked(self, step: Step) -> bool:
        return step.kind is Kind.PICK and is_picked(self._text.value(stays=True), step)

    def _is_after_every(self, done: int) -> bool:
        """Whether a step before this one takes every element: a value that is missing in one may be in another."""
        return any(step.kind is Kind.EVERY for step in self._steps[:done])

    def _elements(self, done: int, stops: Stops) -> Rows:
        step, is_there = self._steps[done], self._steps[done].kind is Kind.EVERY
        wanted = as_position(step.name) if step.kind is Kind.NAME else None
        for position in self._text.elements():
            here = (*stops, Stop(position, is_element=True))
            if step.kind is Kind.EVERY:
                yield from self.rows(done + 1, here)
            # Only the first element that is picked counts: a key that stands twice would give the rows of another.
            elif position == wanted or (not is_there and self._is_picked(step)):
                is_there = yield from self.rows(done + 1, here)
            else:
                self._text.skip()
        return is_there
