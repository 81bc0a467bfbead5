"""A registry with imported sessions that the build before sources made: the same files again, under any of its new mappings.

`data/imports-6.db.gz` is that registry: imported from a listing whose key was `id`, then revoked by id, user and device, one session
signed out, one user disabled, one revoked session removed by cleanup, and two ids that two users had, one after the other: that build kept the second user.
`data/imports-6.json` has its rows, its key ring and the time when it was left.
"""

import gzip
import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from authctl import Registry
from authctl.import_mappings import Mapping, read_mapping
from authctl.registry.imports.complete import Complete
from tests.conftest import Clock

DATA = Path(__file__).parent / "data"
LEFT = json.loads((DATA / "imports-6.json").read_text())
NOW = datetime.fromisoformat(LEFT["now"]) + timedelta(days=2)
LIVING = {"alice": 1, "henry": 1, "jack": 1}
WITH_BOTH_USERS = {**LIVING, "alice": 2, "ivy": 1}
"""With the first users of the two ids."""
TWICE = {**WITH_BOTH_USERS, "henry": 2, "jack": 2}
"""Their second users have a session that began with the use of the first, and then one with `created_at`."""
OVER = {"bob", "carol", "dora", "erin", "gina"}
"""Users whose sessions ended, and are there; that of finn was removed."""


def _mapping(more: str = "", times: str = "at: used") -> Mapping:
    text = f"{more}\nfields: {{username: user, application: app, device: device, {times}}}\nkey: [id]\n"
    return read_mapping(text.encode(), "map.yaml")


CREATED = "created_at: created, last_used_at: used"
MAPPINGS = {
    "as before": _mapping(),
    "source": _mapping("source: hub"),
    "source and created_at": _mapping("source: hub", CREATED),
    "created_at": _mapping("", CREATED),
    "source_id": _mapping("source: hub", "at: used, source_id: id"),
    "all": _mapping("source: hub", f"{CREATED}, source_id: id"),
}
NEWER = {f"{name}, a newer listing": MAPPINGS[name] for name in ("source and created_at", "created_at", "all")}
STEPS = st.lists(st.sampled_from([*MAPPINGS, *NEWER, "all, complete"]), min_size=1, max_size=5)
NUMBERS = count()


@contextmanager
def opened(folder: Path) -> Iterator[Registry]:
    """A copy of the registry, opened two days after it was left."""
    home = folder / f"home-{next(NUMBERS)}"
    home.mkdir(0o700)
    for name, content in (
        ("registry.db", gzip.decompress((DATA / "imports-6.db.gz").read_bytes())),
        ("keys.json", json.dumps(LEFT["keys"]).encode()),
        ("audit.head", LEFT["audit_head"].encode()),
    ):
        (home / name).touch(0o600)
        (home / name).write_bytes(content)
    with Registry.open(home, clock=Clock(NOW)) as registry:
        yield registry


def take(registry: Registry, step: str) -> Any:
    """Import the rows by one of the mappings; in a newer listing each session was used since."""
    rows = LEFT["rows"]
    if step in NEWER or step == "all, complete":
        rows = [{**row, "used": (NOW - timedelta(hours=1)).isoformat()} for row in rows]
    mapping = MAPPINGS["all"] if step == "all, complete" else {**MAPPINGS, **NEWER}[step]
    options = {"taken_at": registry.now(), "complete": Complete(max_affected=2)} if step == "all, complete" else {}
    raw = "\n".join(map(json.dumps, rows)).encode()
    return registry.imports.run(io.BytesIO(raw), mapping, **options)  # type: ignore[arg-type]


def active(registry: Registry) -> Counter[str]:
    """The users of the active sessions, each on the own device."""
    sessions = [one for one in registry.sessions() if one.status.value == "active"]
    assert all(one.device == f"{one.username}-pc" for one in sessions)
    return Counter(one.username for one in sessions)


def test_it_is_as_it_was_left(tmp_path: Path):
    """Living, revoked and ended sessions, and the audit log."""
    with opened(tmp_path) as registry:
        assert active(registry) == LIVING
        assert {one.username for one in registry.sessions() if one.status.value != "active"} == OVER
        registry.audit.verify()


@settings(suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
@example(steps=["as before", "source", "source and created_at", "source_id", "all, a newer listing", "as before"])
@example(steps=["all, a newer listing", "as before", "source"])
@example(steps=["created_at, a newer listing", "source and created_at, a newer listing", "all, complete"])
def test_nothing_that_ended_lives_and_nobody_gets_the_session_of_another(tmp_path: Path, steps: list[str]):
    """With the key as before, with a source, with created_at, with source_id, in any order, again and again."""
    with opened(tmp_path) as registry:
        known = {one.id: one.username for one in registry.sessions()}
        for step in steps:
            outcome = take(registry, step)
            assert outcome.rows.rejected == 0
            assert active(registry) in (WITH_BOTH_USERS, TWICE)
        assert known.items() <= {one.id: one.username for one in registry.sessions()}.items()
        if any("source" in step or "all" in step for step in steps):
            assert {one.source for one in registry.sessions()} == {"hub"}


@pytest.mark.parametrize("step", NEWER)
def test_a_newer_listing_shows_what_was_used_after_its_end(tmp_path: Path, step: str):
    """Each session that ended and that its source still lists, once."""
    with opened(tmp_path) as registry:
        for name in ("as before", step, step):
            outcome = take(registry, name)
        assert outcome.used_after_end == len(OVER)
        assert {one.username for one in registry.sessions() if one.used_after_end_at} == OVER
