"""The one strict YAML loader: text to plain data, with the line and column of every part.

It takes mappings, lists, text, whole numbers, true, false and null, and nothing else of YAML 1.1: no
tags, anchors, aliases, merge keys, duplicate keys or second documents, and no plain text
that YAML 1.1 would silently turn into something else (`yes`, `1:30`, `010`, `.nan`, a date).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from authctl.errors import InvalidFile
from authctl.names import quoted

Path = tuple[str | int, ...]
Position = tuple[int, int]

_LARGEST = 131_072
_DEEPEST = 12
MOST_FAULTS = 50
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}", re.ASCII)
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class Document:
    """Plain data, and where each part of it stands; faults are collected and raised together."""

    name: str
    data: Any = None
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    faults: list[tuple[Position, str]] = field(default_factory=list)

    def fault(self, position: Position, problem: str) -> None:
        """Note a fault at a line and column, both from 1."""
        self.faults.append((position, problem))

    def key_position(self, path: Path) -> Position:
        """Where a key stands, or the nearest thing around it."""
        return self.keys.get(path) or self.value_position(path)

    def value_position(self, path: Path) -> Position:
        """Where a value begins, or the nearest thing around it."""
        # Of a missing field the object around it is the place to look at.
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, (1, 1))

    def written(self, path: Path) -> Path:
        """The path without the parts that the file does not have: one value may stand for a list of one, or for a field of its own."""
        there: Path = ()
        for part in path:
            if (*there, part) in self.values:
                there = (*there, part)
        return there

    def raise_faults(self) -> None:
        """Raise InvalidFile when there are faults: each once, in the order of the file."""
        if not self.faults:
            return
        lines = self.in_words(self.faults)
        if len(lines) > MOST_FAULTS:
            lines[MOST_FAULTS:] = [f"{self.name}: and more faults"]
        raise InvalidFile(tuple(lines))

    def in_words(self, faults: Iterable[tuple[Position, str]]) -> list[str]:
        """The faults, as `file:line:column: fault`: each once, in the order of the file."""
        return [f"{self.name}:{line}:{column}: {problem}" for (line, column), problem in sorted(set(faults))]


def load(raw: bytes, name: str) -> Document:
    """Read a YAML file's bytes; `name` is its name in faults. Raises InvalidFile."""
    # decision 14: parser events contain tags, anchors and duplicates, which constructed objects have lost
    document = Document(name)
    text = _decode(raw, document)
    document.raise_faults()
    builder = _Builder(document, yaml.parse(text, Loader=yaml.CSafeLoader))
    try:
        document.data = builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.fault((mark.line + 1, mark.column + 1) if mark else (1, 1), error.problem or "not YAML")
    except yaml.YAMLError as error:
        document.fault(_unprintable(text), f"not YAML: {str(error).splitlines()[0]}")
    except UnicodeDecodeError:
        document.fault(builder.position, "a tag that is not UTF-8")
    document.raise_faults()
    return document


def _decode(raw: bytes, document: Document) -> str:
    if len(raw) > _LARGEST:
        document.fault((1, 1), f"larger than {_LARGEST:,} bytes")
        return ""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8", "replace")
        document.fault(_position(before), f"not UTF-8: byte 0x{error.object[error.start]:02x}")
        return ""


def _position(before: str) -> Position:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _unprintable(text: str) -> Position:
    match = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return _position(text[: match.start()]) if match else (1, 1)


class _Builder:
    """Turns the parser's events into data; stops going deeper at the first sign of a bomb."""

    def __init__(self, document: Document, events: Iterator[Any]) -> None:
        self.into = document
        self.events = events
        self.position = (1, 1)

    def next(self) -> Any:
        event = next(self.events)
        self.position = _at(event)
        return event

    def document(self) -> Any:
        self.next()  # the stream's start
        if isinstance(self.next(), yaml.StreamEndEvent):
            return None
        data = self.node(self.next(), ())
        self.next()  # the document's end
        extra = self.next()
        if not isinstance(extra, yaml.StreamEndEvent):
            self.fault(extra, "a second document")
        return data

    def fault(self, event: Any, problem: str) -> None:
        self.into.fault(_at(event), problem)
        # A file of another kind has a fault in each line: nobody reads the thousandth.
        if len(self.into.faults) > MOST_FAULTS:
            self.into.raise_faults()

    def node(self, event: Any, path: Path) -> Any:
        self.into.values[path] = _at(event)
        if isinstance(event, yaml.AliasEvent):
            self.fault(event, f"an alias, *{event.anchor}: write the value out")
            return None
        self.check_plain(event)
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        # Stopped here and not at the end: a file of brackets would need a level of Python's stack for each of them.
        if len(path) >= _DEEPEST:
            self.fault(event, f"nested deeper than {_DEEPEST} levels")
            self.into.raise_faults()
        return self.mapping(path) if isinstance(event, yaml.MappingStartEvent) else self.sequence(path)

    def check_plain(self, event: Any) -> None:
        if event.anchor is not None:
            self.fault(event, f"an anchor, &{event.anchor}: write values out where they are needed")
        if event.tag is not None:
            self.fault(event, f"a tag, {quoted(event.tag)}: only plain data is read")

    def mapping(self, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            key = self.key(event, path)
            if key in data:
                self.fault(event, f"{quoted(key)} is there twice")
            here = (*path, key)
            self.into.keys[here] = _at(event)
            data[key] = self.node(self.next(), here)
        return data

    def key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self.fault(event, "a key must be plain text")
            if not isinstance(event, yaml.AliasEvent):
                self.node(event, (*path, "?"))
            return "?"
        self.check_plain(event)
        key = str(event.value)
        # YAML 1.1 merges here; a reader that does not would see a key named `<<`.
        if key == "<<" and not event.style:
            self.fault(event, "a merge key: write the values out")
        elif not event.style and not isinstance(self.scalar(event), str):
            self.fault(event, f"a key must be text: put {quoted(key)} in quotes")
        return key

    def sequence(self, path: Path) -> list[Any]:
        data: list[Any] = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            data.append(self.node(event, (*path, len(data))))
        return data

    def scalar(self, event: Any) -> Any:
        text = event.value
        if event.style:
            return text
        # A quoted text is always a text; only plain ones are interpreted.
        if text in _WORDS:
            return _WORDS[text]
        if _WHOLE_NUMBER.fullmatch(text):
            return int(text)
        # `yes`, `010` and `2026-11-01` have one meaning in YAML 1.1 and another in YAML 1.2.
        if _yaml_1_1_tag(text) != "tag:yaml.org,2002:str":
            self.fault(event, f"{quoted(text)} means different things to different readers: put it in quotes")
        return text


def _yaml_1_1_tag(text: str) -> str:
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag)
    return "tag:yaml.org,2002:str"


def _at(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1
