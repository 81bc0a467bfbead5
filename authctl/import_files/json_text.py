"""JSON text that is read piece by piece: values, members and elements, in constant memory.

The values are decoded by the standard library, so a row means the same in a list as on a line of its own. (ijson 3.6.0
gives no line numbers, and turns a lone surrogate into `?`.)
"""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from authctl.errors import InvalidInput
from authctl.import_files.values import LONGEST_LINE

_BLANKS = re.compile(r"[ \t\r\n]*")
_PIECE = 64 * 1024
_OPEN = "Unterminated string"
_LONGEST_WORD = 64
"""Characters from the place of a fault to the end of the text read so far, within which more text may mend it."""
_LONGEST_NUMBER_END = 3
"""Characters after a number that can still belong to it once its beginning is complete: `e+5`."""


class JsonText:
    """The text of a JSON file, at the place where it is read."""

    def __init__(self, pieces: Iterator[str], name: str, line: int = 1) -> None:
        self.name = name
        self._pieces = pieces
        self._text = ""
        self._offset = 0
        self._line, self._counted = line, 0
        self._is_whole = False
        # decision 138: the standard decoder, over pieces of the text; ijson changes lone surrogates and gives no lines
        self._decoder = json.JSONDecoder()

    @property
    def line(self) -> int:
        """The number of the line at the present place."""
        # Only the text since the last question is counted: each line break is looked at once, however many rows there are.
        self._line += self._text.count("\n", self._counted, self._offset)
        self._counted = self._offset
        return self._line

    def next_character(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            self._offset = _BLANKS.match(self._text, self._offset).end()  # type: ignore[union-attr]
            if self._offset < len(self._text):
                return self._text[self._offset]
            if not self._read_on():
                return ""

    def value(self, longest: int = LONGEST_LINE, *, stays: bool = False) -> Any:
        """The next value, decoded; with `stays` the place stays before it. Raises InvalidInput for one beyond `longest`."""
        self.next_character()
        while True:
            fault, value, end = self._decoded()
            # A value is taken once it cannot grow: `12` at the end of a piece may be the beginning of `12345`.
            if fault is None and end - self._offset <= longest and (self._is_whole or not self._may_go_on(value, end)):
                self._offset = self._offset if stays else end
                return value
            # A fault near the end of the piece may vanish with the next one, as `tru` does; a fault well before it stays.
            if fault is not None and (self._is_whole or self._is_sure(fault)):
                raise self.fault(fault.msg, fault.pos)
            if len(self._text) - self._offset > longest:
                raise InvalidInput(f"{self.name}: line {self.line}: a value is longer than {longest:,} characters")
            self._read_on()

    def _decoded(self) -> tuple[json.JSONDecodeError | None, Any, int]:
        """The value at the present place and where it ends, or the reason why the text read so far has none."""
        try:
            return None, *self._decoder.raw_decode(self._text, self._offset)
        except RecursionError:
            raise InvalidInput(f"{self.name}: nested too deeply") from None
        except json.JSONDecodeError as error:
            return error, None, 0
        except ValueError as error:  # a number of more digits than Python reads
            raise InvalidInput(f"{self.name}: neither JSON lines nor JSON: line {self.line}: {error}") from None

    def _is_sure(self, fault: json.JSONDecodeError) -> bool:
        """Whether a fault is one of the file, and not of the place where the piece ends."""
        return not fault.msg.startswith(_OPEN) and len(self._text) - fault.pos > _LONGEST_WORD

    def _may_go_on(self, value: Any, end: int) -> bool:
        """Whether the value may be the beginning of a longer one: a number at the end of the text read so far."""
        return isinstance(value, int | float) and len(self._text) - end <= _LONGEST_NUMBER_END

    def members(self) -> Iterator[str]:
        """The names of the next object; each value must be read or skipped before the next name is asked for."""
        yield from self._parts("}", self._member_name)

    def elements(self) -> Iterator[int]:
        """The positions of the next list; each element must be read or skipped before the next is asked for."""
        count = itertools.count()
        yield from self._parts("]", lambda: next(count))

    def _parts(self, closing: str, name: Callable[[], Any]) -> Iterator[Any]:
        self.next_character()
        self._offset += 1
        if self.next_character() == closing:
            self._offset += 1
            return
        while True:
            yield name()
            character = self.next_character()
            if character not in (",", closing) or not character:
                raise self.fault(f"Expecting ',' or '{closing}'")
            self._offset += 1
            if character == closing:
                return

    def _member_name(self) -> str:
        if self.next_character() != '"':
            raise self.fault("Expecting property name enclosed in double quotes")
        name = str(self.value())
        if self.next_character() != ":":
            raise self.fault("Expecting ':' delimiter")
        self._offset += 1
        return name

    def skip(self) -> None:
        """Pass over the next value, of any size."""
        character = self.next_character()
        # An object that is skipped is walked through and not decoded: it may be larger than the memory.
        if character not in ("{", "["):
            self.value()
            return
        try:
            for _ in self.members() if character == "{" else self.elements():
                self.skip()
        except RecursionError:
            raise InvalidInput(f"{self.name}: nested too deeply") from None

    def fault(self, problem: str, place: int | None = None) -> InvalidInput:
        """An error at the present place of the text, or at another one ahead of it."""
        character = self.next_character() if place is None else ""
        at = self._offset if place is None else place
        if (not character and not self._text[at:].strip()) or problem.startswith(_OPEN):
            problem = "the file is incomplete"
        line = self.line + self._text.count("\n", self._counted, at)
        return InvalidInput(f"{self.name}: neither JSON lines nor JSON: line {line}: {problem}")

    def _read_on(self) -> bool:
        """Read more of the text, at least as much as waits already; False where there is no more."""
        if self._is_whole:
            return False
        _ = self.line  # the lines before the place are counted before they are dropped
        waiting, size = [self._text[self._offset :]], 0
        wanted = max(_PIECE, len(waiting[0]))
        for piece in self._pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= wanted:
                break
        else:
            self._is_whole = True
        self._text, self._offset, self._counted = "".join(waiting), 0, 0
        return size > 0
