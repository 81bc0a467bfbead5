"""The same file again: its rows are not read where nothing can have changed, and the answer is as if they were."""

import io
import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from authctl import Registry, SessionFilter
from authctl.registry.imports import same_file
from authctl.registry.imports.reading import Reading
from tests.conftest import Clock
from tests.test_sources import (
    LISTING,
    UNSOURCED,
    at,
    complete,
    later,
    load,
    mapping,
    registries,
    row,
)

__all__ = ["later", "registries"]  # fixtures

ROWS = [row(created=1, used=2), row("bob", "8", created=3, used=4)]


class RowsAreRead(Exception):
    """Rows are read."""


def reads(registry: Registry, *rows: dict[str, Any], **options: Any) -> bool:
    """Whether an import reads its rows."""

    def refuse(*_: Any) -> None:
        raise RowsAreRead

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reading, "read", refuse)
        try:
            load(registry, *rows, **options)
        except RowsAreRead:
            return True
    return False


@pytest.mark.parametrize("text", [LISTING, UNSOURCED.replace("at: at", "at: used")])
@pytest.mark.parametrize("dry_run", [False, True])
def test_the_answer_is_that_of_reading(
    registries: Callable[[], Registry], later: Clock, monkeypatch: pytest.MonkeyPatch, text: str, dry_run: bool
):
    """So are its events and the record of the import; and the third time is like the second."""
    with closing(registries()) as known, closing(registries()) as read:
        for registry in (known, read):
            load(registry, *ROWS, text=text)
        for _ in range(2):
            assert not reads(known, *ROWS, text=text, dry_run=True)
            outcomes = [load(known, *ROWS, text=text, dry_run=dry_run)]
            with monkeypatch.context() as patch:
                patch.setattr(same_file, "is_same", lambda *_: False)
                outcomes.append(load(read, *ROWS, text=text, dry_run=dry_run))
            assert outcomes[0] == outcomes[1]
            assert outcomes[0].unchanged == 2
        events = [
            [(one.subject, json.loads(one.detail)) for one in registry.audit.events() if one.action == "session.import"]
            for registry in (known, read)
        ]
        assert events[0] == events[1]
        past = [[(one.obstacle, one.detail) for one in registry.imports.list()] for registry in (known, read)]
        assert past[0] == past[1]


@pytest.mark.parametrize("operation", ["revoke", "disable", "another import", "undo", "cleanup", "a complete listing"])
def test_an_operation_since_then_makes_it_read(registry: Registry, later: Clock, operation: str):
    """Whatever may have met an imported session, or be met by its rows."""
    load(registry, *ROWS)
    assert not reads(registry, *ROWS)
    if operation == "revoke":
        registry.revoke(SessionFilter(username="alice"), note="lost device")
    elif operation == "disable":
        registry.users.disable("carol", note="left the company")
    elif operation == "another import":
        load(registry, row("carol", "9", created=1, used=2), source="grid")
    elif operation == "undo":
        registry.imports.undo(1, note="wrong mapping")
    elif operation == "cleanup":
        registry.cleanup.run()
    else:
        complete(registry, *ROWS, taken=5)
    assert reads(registry, *ROWS)


def test_another_file_or_setting_makes_it_read(registry: Registry, later: Clock):
    """One more byte, other fields, another encoding, another source, a time of the listing, or a second file."""
    load(registry, *ROWS)
    assert reads(registry, *ROWS, row("carol", "9", created=1, used=2))
    assert reads(registry, ROWS[0], ROWS[1] | {"device": "b"})
    assert reads(registry, *ROWS, text=LISTING.replace("device: device", "device: host"))
    assert reads(registry, *ROWS, encoding="cp1252")
    assert reads(registry, *ROWS, source="grid")
    assert reads(registry, *ROWS, taken_at=at(10))
    more = same_file_export(ROWS[:1])
    assert reads(registry, *ROWS, more=[more])
    assert not reads(registry, *ROWS)


def same_file_export(rows: list[dict[str, Any]]) -> Any:
    """A second file."""
    from authctl.registry.imports.file import ExportFile

    return ExportFile("second", io.BytesIO("\n".join(map(json.dumps, rows)).encode()))


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([*ROWS, {"user": "", "id": "9"}], LISTING),  # a row is rejected
        ([row(created=1, used=50)], LISTING),  # a row is ahead of the clock
        ([row(created=1, used=4, ended=3)], LISTING),  # used after its end
        ([row(created=1, used=2) | {"id": ""}, row(created=1, used=2)], LISTING.replace("[id]", "[id, x]")),
        (ROWS, LISTING.replace("source: hub", "source: hub\ntimezone: Europe/Berlin")),
        (ROWS, LISTING.replace("source: hub", "source: hub\ntaken_at: created")),
    ],
)
def test_what_is_not_recorded(registry: Registry, later: Clock, rows: list[dict[str, Any]], text: str):
    """A file with something to tell again, or with rows that count otherwise later."""
    load(registry, *rows, text=text)
    assert reads(registry, *rows, text=text)


def test_a_file_that_cannot_be_read_twice(registry: Registry, later: Clock):
    """Standard input is read, and its rows with it."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    raw = "\n".join(map(json.dumps, ROWS)).encode()
    for expected in (2, 0):
        assert registry.imports.run(Pipe(raw), mapping(LISTING)).registered == expected


def test_an_import_that_changes_nothing_does_not_keep_the_one_before_from_an_undo(registry: Registry, later: Clock):
    """Whether its rows were read or not."""
    load(registry, *ROWS)
    load(registry, *ROWS)
    load(registry, ROWS[0])
    assert [one.obstacle for one in registry.imports.list()] == [None, None, None]
    assert registry.imports.undo(1, note="wrong mapping").removed == 2
