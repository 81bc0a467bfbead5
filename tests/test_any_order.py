"""Any order, any split and any repetition of rows, files and pages gives the same registry, ids apart.

Each mapping by itself, with what real listings have: rows that give the beginning of their session only sometimes, ends,
complete listings, ids that are given again, and imports from before the mapping named its source.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import count, permutations, product
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import Registry
from authctl.instants import HOUR
from authctl.registry.imports.complete import Complete
from tests.conftest import Clock, Install
from tests.test_sources import at, in_short, listed, load, row

EXAMPLES = int(os.environ.get("AUTHCTL_ORDERS", "0")) or settings().max_examples
FIELDS = "fields: {username: user, application: {value: Hub}, device: device, source_id: id, %s}\nkey: [id]\n"
MAPPINGS = {
    "always": "created_at: created, last_used_at: used, ended_at: ended",
    "sometimes": "created_at: created, last_used_at: used",
    "sometimes-ended": "created_at: created, last_used_at: used, ended_at: ended",
    "sometimes-undated": "created_at: created, last_used_at: [used, {taken: true}], ended_at: ended",
    "log": "at: used, ended_at: ended",
    "events": "at: used",
    "spans": "at: at, last_used_at: used, ended_at: ended",
    "ages": "created_at: {path: age, format: age_s}, last_used_at: used",
    "undated": "at: [used, {taken: true}]",
}
"""The times of each mapping."""


class File(NamedTuple):
    """A file, and how it is imported."""

    rows: list[dict[str, Any]]
    source: str | None
    taken_at: int | None
    complete: Complete | None = None


@st.composite
def rows(draw: st.DrawFn, name: str, taken: int) -> dict[str, Any]:
    """A row of a mapping."""
    began, used = draw(st.integers(1, 8)), draw(st.integers(0, 4))
    times: dict[str, Any] = {"used": began + used}
    if name.startswith(("always", "spans")) or (name.startswith("sometimes") and draw(st.booleans())):
        times["at" if name == "spans" else "created"] = began
    if draw(st.integers(0, 3)) == 0:
        times["ended"] = began + used + draw(st.integers(-1, 1)) if "created" in times else began + used
    if name.endswith("undated") and draw(st.booleans()):
        del times["used"]
    made = row(draw(st.sampled_from(["alice", "alice", "bob"])), draw(st.sampled_from("78")), **times)
    if name == "ages":
        made["age"] = (taken - began) * HOUR // 10**6
    return {**made, "device": draw(st.sampled_from("ab"))}


@st.composite
def files(draw: st.DrawFn, name: str) -> File:
    """A listing or a part of one; a log has no time of its own."""
    taken = draw(st.integers(6, 20))
    listed = [draw(rows(name, taken)) for _ in range(draw(st.integers(1, 3)))]
    if name in ("log", "events"):
        return File(listed, draw(st.sampled_from(["hub", None])), None)
    if draw(st.integers(0, 2)):
        return File(listed, draw(st.sampled_from(["hub", "hub", None])), at(taken))
    users = draw(st.sampled_from([(), (), ("alice",)]))
    return File(listed, "hub", at(taken), Complete(users, allow_partial=True, max_affected=99))


@pytest.fixture
def registries(install: Install, clock: Clock) -> Callable[[], Registry]:
    """Makes another empty registry at each call."""
    clock.forward(days=2)
    numbers = count()
    return lambda: install(folder=f"home-{next(numbers)}")


def bring(registry: Registry, name: str, files: Iterable[File]) -> None:
    """Import files."""
    for file in files:
        options = {"source": file.source, "taken_at": file.taken_at, "complete": file.complete}
        load(registry, *file.rows, text=FIELDS % MAPPINGS[name], **options)


@st.composite
def otherwise(draw: st.DrawFn, given_files: list[File]) -> list[File]:
    """The same files in another order, parted, and some of their rows again; a complete listing stays whole."""
    made: list[File] = []
    for file in draw(st.permutations(given_files)):
        shuffled = draw(st.permutations(file.rows))
        cut = draw(st.integers(0, len(shuffled)))
        parts = [file._replace(rows=part, complete=None) for part in (shuffled[:cut], shuffled[cut:]) if part]
        made += parts if file.complete is None else [*parts[: draw(st.integers(0, 2))], file._replace(rows=shuffled)]
    again = draw(st.lists(st.sampled_from(given_files), max_size=2))
    made += [file._replace(complete=None) for file in again]
    return draw(st.permutations(made))


def sessions_of(registry: Registry) -> list[str]:
    """The sessions, in a form that two registries share."""
    return sorted(str((*in_short(session), session.status.value)) for session in listed(registry))


def listing(*rows: dict[str, Any], taken: float, is_complete: bool = False, source: str | None = "hub") -> File:
    """A listing that was taken at an hour."""
    return File(list(rows), source, at(taken), Complete(allow_partial=True, max_affected=99) if is_complete else None)


SMALLEST = {
    "a later beginning takes the use after it": [
        listing(row(created=5, used=6), taken=20),
        listing(row(used=10), taken=20),
        listing(row(created=8, used=8), taken=20),
    ],
    "a beginning between two uses": [
        listing(row(used=10), row(used=20), taken=21),
        listing(row(created=15, used=15), taken=21),
    ],
    "details that came with different uses": [
        listing({**row(created=5, used=6), "device": "a"}, taken=21),
        listing(row(created=5, used=8), taken=21),
        listing(row(used=10), taken=21),
        listing(row(created=9, used=9), taken=21),
    ],
    "two beginnings of uses that were one session": [
        listing(row(used=10), row(used=20), taken=21),
        listing(row(created=5, used=5), taken=21),
        listing(row(created=15, used=15), taken=21),
    ],
    "a use after the end, and a beginning before the end": [
        listing(row(created=5, used=6, ended=12), taken=21),
        listing(row(used=20), taken=21),
        listing(row(created=8, used=8), taken=21),
    ],
    "ends without a beginning, after the next beginning": [
        listing(row(used=3, ended=7), row(used=3.5, ended=8), taken=21),
        listing(row(used=5), row(used=7.5), row(used=9), taken=21),
        listing(row(created=4, used=4), taken=21),
    ],
    "an adopted session without a row": [
        listing(row(created=1, used=2), row(created=5, used=6), taken=9, source=None),
        listing(row(created=5, used=7), taken=9),
        listing(row(number="8", created=5, used=9), taken=10, is_complete=True),
    ],
    "an adopted session that had ended": [
        listing(row(created=2, used=4, ended=3), taken=16, source=None),
        listing(row(created=6, used=6), taken=6, is_complete=True),
    ],
    "an end in the source after a listing without the session": [
        listing(row(created=4, used=8, ended=10), taken=7),
        listing(row(created=1, used=5), taken=9, is_complete=True),
    ],
    "a listing whose row goes over to another session": [
        listing(row(used=8, ended=8), row(created=6, used=8), taken=18, is_complete=True),
        listing(row(used=8, ended=8), taken=18),
        listing(row(created=3, used=7), taken=16),
    ],
    "an end that goes over to another session": [
        listing(row(used=5, ended=5), row(created=4, used=5), taken=16),
        listing(row(created=5, used=6), taken=18, is_complete=True),
    ],
}
"""The smallest histories that gave another registry in another order, before rows without a beginning were stored."""


@pytest.mark.parametrize("name", SMALLEST)
def test_each_order_of_the_smallest_histories(registries: Callable[[], Registry], name: str):
    """All orders, each import once or twice."""
    found = []
    for order, times in product(permutations(SMALLEST[name]), (1, 2)):
        with closing(registries()) as registry:
            bring(registry, "sometimes-ended", [file for file in order for _ in range(times)])
            found.append(sessions_of(registry))
    assert all(sessions == found[0] for sessions in found)
    assert len(found[0]) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPPINGS)
def test_any_order_gives_the_same_registry(registries: Callable[[], Registry], name: str):
    """Two registries, the same files, each in its own way."""

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        given_files = data.draw(st.lists(files(name), min_size=1, max_size=4))
        other_files = data.draw(otherwise(given_files))
        with closing(registries()) as first, closing(registries()) as second:
            bring(first, name, given_files)
            bring(second, name, other_files)
            assert sessions_of(second) == sessions_of(first)

    check()
