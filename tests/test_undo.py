"""Imports that are taken back: as if they had never been, except for what met their sessions since."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import NotFound, Refused, Registry, Session, SessionFilter, profiles
from authctl.instants import format_instant
from authctl.registry.backups import restore
from authctl.registry.imports import register
from authctl.registry.imports.undo import UndoOutcome
from authctl.settings import find_home
from tests import places
from tests.conftest import HOSTILE, Authctl, Clock, Install, unseen
from tests.test_sources import (
    EVENTS,
    LISTING,
    UNSOURCED,
    at,
    complete,
    in_short,
    later,
    listed,
    listings,
    load,
    logs,
    registries,
    row,
)

__all__ = ["later", "registries"]  # fixtures

WHY = "wrong mapping"
SWAPPED = LISTING.replace("device: device", "device: user")
TABLES = ("sessions", "imported", "imported_rows", "imported_finals", "complete_listings")


def undo(registry: Registry, import_id: int | None = None, **options: Any) -> UndoOutcome:
    """Take an import back, by default the latest one."""
    import_id = import_id or registry.imports.list()[0].recorded.id
    return registry.imports.undo(import_id, note=WHY, **options)


def in_tables(home: Path) -> dict[str, list[Any]]:
    """All that imports store, row by row, without the numbers of moves."""
    found = {table: places.rows_in(home, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}
    for one in found["sessions"]:
        del one["moved_in"]
    return found


def journal(home: Path) -> dict[str, int]:
    """How many rows the journals have."""
    return {
        table: len(places.rows_in(home, f"SELECT 1 FROM {table}"))
        for table in ("import_batches", "import_changes", "import_finals")
    }


def kept(outcome: UndoOutcome) -> dict[str, int]:
    """How many sessions were left, by reason."""
    return {one.reason: one.total for one in outcome.kept}


# what is undone


def test_what_the_import_registered_goes_and_what_it_changed_is_as_before(registry: Registry, home: Path, later: Clock):
    """With all columns, and out of the search index."""
    load(registry, row(created=1, used=2, device="AL-PC"), row("bob", "8", created=1, used=2))
    before = in_tables(home)
    load(registry, row(created=1, used=4, device="BO-PC"), row("carol", "9", created=1, used=2, device="CA-PC"))
    outcome = undo(registry)
    assert (outcome.removed, outcome.restored, outcome.taken_back, outcome.kept) == (1, 1, 0, ())
    assert in_tables(home) == before
    found = {text: registry.count(SessionFilter(search=text)) for text in ("al-pc", "bo-pc", "ca-pc", "carol")}
    assert found == {"al-pc": 1, "bo-pc": 0, "ca-pc": 0, "carol": 0}


def test_the_right_mapping_registers_everything_afterwards(registry: Registry, home: Path, later: Clock):
    """A wrong one had made ended sessions of other rows: no final instant of theirs is left."""
    rows = [row(str(user), str(user), created=2 + user % 5, used=9) for user in range(30)]
    wrong = LISTING.replace("ended_at: ended", "ended_at: created").replace("[id]", "[user]")
    load(registry, *rows, text=wrong)
    assert registry.count(SessionFilter(status="active")) == 0
    assert load(registry, *rows, text=LISTING.replace("[id]", "[user]")).registered == 0
    assert (undo(registry).removed, undo(registry, 1).removed) == (0, 30)
    assert in_tables(home) == {table: [] for table in TABLES}
    assert load(registry, *rows).registered == 30
    assert registry.count(SessionFilter(status="active")) == 30


def test_the_ends_of_a_complete_listing_are_taken_back_and_no_others(registry: Registry, later: Clock):
    """What was ended by a person stays, and so does what an earlier listing lacked."""
    load(registry, *(row(number=number, created=1, used=2) for number in "56789"))
    complete(registry, *(row(number=number, created=1, used=2) for number in "6789"), taken=20)
    registry.end(["".join(one.id for one in listed(registry) if one.source_id == "6")])
    complete(registry, row(number="9", created=1, used=2), taken=30)
    outcome = undo(registry)
    assert (outcome.restored, outcome.taken_back) == (2, 2)
    assert {one.source_id: (one.ended_by, one.ended_at) for one in listed(registry)} == {
        "5": ("not_listed", at(20)),
        "6": ("signed_out", at(48)),
        "7": (None, None),
        "8": (None, None),
        "9": (None, None),
    }
    with registry._installation.store.view() as view:
        assert [one.taken_at for one in view.complete_listings("hub")] == [at(20)]


def test_an_earlier_end_that_a_listing_moved_is_moved_back(registry: Registry, later: Clock):
    """A listing that was taken before, and imported afterwards, had moved the end."""
    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    complete(registry, row(number="9", created=1, used=2), taken=30)
    complete(registry, row(number="9", created=1, used=2), taken=20)
    assert listed(registry)[0].ended_at == at(20)
    assert undo(registry).restored == 1
    assert listed(registry)[0].ended_at == at(30)


def test_a_session_that_another_listing_lacks_ends_at_its_time(
    registry: Registry, later: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Here a listing that was imported while the undo was interrupted."""
    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    complete(registry, row(number="9", created=1, used=2), taken=30)
    interrupt(monkeypatch, "_restore", after=0)
    with pytest.raises(KeyboardInterrupt):
        undo(registry)
    monkeypatch.undo()
    complete(registry, row(number="9", created=1, used=2), taken=40)
    outcome = undo(registry, 2)
    assert (outcome.restored, outcome.taken_back) == (1, 1)
    assert [(one.source_id, one.ended_at) for one in listed(registry)] == [("7", at(40)), ("9", None)]


def test_adoption_is_undone_with_the_finals(registry: Registry, home: Path, clock: Clock):
    """A source that was named wrongly must not let a removed session come back under the right one."""
    clock.forward(days=1)
    load(registry, row(at=2), row("bob", "8", at=3), text=UNSOURCED)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    clock.forward(days=400)
    registry.cleanup.run(accept_clock_jump=True)
    load(registry, row("carol", "9", at=401 * 24 - 1), text=UNSOURCED)
    before = in_tables(home)
    assert before["imported_finals"]
    wrong = load(registry, row(created=2, used=3), row("carol", "9", created=2, used=401 * 24 - 1), source="wrong")
    assert wrong.adopted == 1
    undo(registry)
    assert in_tables(home) == before
    again = load(registry, row(created=2, used=3), source="right")
    assert (again.registered, again.unchanged) == (0, 1)


def test_the_time_of_the_latest_listing_is_undone(registry: Registry, home: Path, later: Clock):
    """Else a right listing with an earlier time would end nothing."""
    load(registry, row(created=1, used=2), taken_at=at(10))
    before = in_tables(home)
    assert load(registry, row(created=1, used=2), taken_at=at(40)).unchanged == 1
    assert in_tables(home) != before
    undo(registry)
    assert in_tables(home) == before


def test_rows_of_a_log_are_undone(registry: Registry, home: Path, later: Clock):
    """Of a session that is parted by them, and of one that stays as it is."""
    load(registry, row(at=1), row(at=5), text=EVENTS)
    before = in_tables(home)
    load(registry, row(at=3), text=EVENTS)
    load(registry, row(at=2, ended=2), text=EVENTS)
    assert len(listed(registry)) == 2
    undo(registry)
    with pytest.raises(Refused, match="cannot be undone any more: it changed sessions, and a later import began"):
        undo(registry, 2)
    assert [in_short(one)[4:7] for one in listed(registry)] == [(at(1) - at(0), at(5) - at(0), None)]
    assert len(in_tables(home)["imported_rows"]) == 3 > len(before["imported_rows"])


def test_a_profile_that_was_applied_since_holds(install: Install, clock: Clock):
    """For sessions that the import had ended, too."""
    text = "version: 1\ndefault_profile: d\nprofiles: {d: {idle_timeout: %s}}\n"
    registry = install(text % "30d")
    clock.forward(days=2)
    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    complete(registry, row(number="9", created=1, used=2), taken=30)
    registry.profiles.apply(profiles.read((text % "10d").encode(), "p.yaml"), note="shorter")
    assert undo(registry).taken_back == 1
    assert [one.expires_at for one in listed(registry)] == [at(2 + 240)] * 2


# what stays


def operation_revoke(registry: Registry, session: Session) -> str:
    """It is revoked."""
    registry.revoke(SessionFilter(ids=(session.id,)), note="lost device")
    return "revoked"


def operation_revoke_all(registry: Registry, _session: Session) -> str:
    """Everything is revoked."""
    registry.revoke(SessionFilter(everything=True), note="breach of all")
    return "revoked"


def operation_end(registry: Registry, session: Session) -> str:
    """The user signs out."""
    registry.end([session.id])
    return "ended"


def operation_disable(registry: Registry, session: Session) -> str:
    """The user is disabled."""
    registry.users.disable(session.username, note="left the company")
    return "ended"


def operation_import(registry: Registry, session: Session) -> str:
    """An import without a source changes it."""
    load(registry, row(session.username, session.source_id or "", at=20, device="NEW"), text=UNSOURCED)
    return "changed"


OPERATIONS = [operation_revoke, operation_revoke_all, operation_end, operation_disable, operation_import]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("number", ["7", "9"])
def test_what_an_operation_met_since_stays(
    registry: Registry, later: Clock, operation: Callable[[Registry, Session], str], number: str
):
    """Of sessions that the import registered, and of those that it changed; each counted with its reason and id."""
    load(registry, row(created=1, used=2))
    load(registry, row(created=1, used=4), row(number="9", created=1, used=2))
    last = registry.imports.list()[0].recorded.id
    (session,) = [one for one in listed(registry) if one.source_id == number]
    later.forward(minutes=1)
    reason = operation(registry, session)
    after = in_short(registry.session(session.id))
    outcome = undo(registry, last)
    (left,) = outcome.kept
    assert (left.reason, session.id in left.sessions) == (reason, True)
    assert in_short(registry.session(session.id)) == after
    assert left.total == (2 if operation in (operation_revoke_all, operation_disable) else 1)


def test_what_cleanup_removed_is_counted(registry: Registry, later: Clock):
    """Nothing comes back that its retention had ended."""
    text = LISTING.replace("ended_at: ended", "ended_at: ended")
    later.forward(days=400)
    load(registry, row(created=1, used=2, ended=3), row(number="9", created=9_500, used=9_600), text=text)
    assert registry.cleanup.run().removed == 1
    outcome = undo(registry)
    assert (outcome.removed, kept(outcome)) == (1, {"removed": 1})


def test_a_row_that_was_ahead_of_the_clock_is_known_after_the_undo(registry: Registry, home: Path, later: Clock):
    """It was written before the revocation by a clock that is ahead: the same row is no sign-in when our clock gets there."""
    load(registry, row(at=40), text=EVENTS)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    assert load(registry, row(at=48.5), text=EVENTS).unchanged == 1
    undo(registry)
    later.forward(hours=2)
    assert load(registry, row(at=48.5), text=EVENTS).unchanged == 1
    assert [one.status.value for one in listed(registry)] == ["revoked"]
    assert load(registry, row(at=49), text=EVENTS).registered == 1
    assert len(places.rows_in(home, "SELECT 1 FROM imported_ahead")) == 1


def test_no_session_lives_again_that_an_operation_since_meant(registry: Registry, later: Clock):
    """It was not listed when its user was disabled, or was revoked; and the device of another was a wrong one."""
    load(
        registry,
        row("alice", "5", created=1, used=2),
        row("bob", "6", created=1, used=2),
        row("carol", "7", created=1, used=2, device="AL-PC"),
        row("dan", "8", created=1, used=2, device="DA-PC"),
    )
    complete(registry, row("carol", "7", created=1, used=2, device="WRONG"), taken=30, text=LISTING)
    later.forward(minutes=1)
    registry.users.disable("alice", note="left the company")
    registry.revoke(SessionFilter(username="bob", status="expired"), note="lost device")
    outcome = undo(registry)
    assert kept(outcome) == {"bound": 1, "revoked": 1}
    assert {one.username: one.status.value for one in listed(registry)} == {
        "alice": "expired",
        "bob": "revoked",
        "carol": "active",
        "dan": "active",
    }


def test_what_an_operation_before_had_ended_at_once_is_removed(registry: Registry, home: Path, later: Clock):
    """Rows of the time before a revocation, or before their user was disabled: no operation met their sessions since."""
    registry.users.disable("bob", note="left the company")
    load(registry, row("carol", "5", created=1, used=2))
    registry.revoke(SessionFilter(username="carol"), note="lost device")
    before = in_tables(home)
    load(registry, row("bob", "8", created=1, used=2), row("carol", "9", created=1, used=2))
    assert sorted(one.status.value for one in listed(registry)) == ["expired", "revoked", "revoked"]
    outcome = undo(registry)
    assert (outcome.removed, outcome.kept) == (2, ())
    assert in_tables(home) == before


@pytest.mark.parametrize("is_spared", [False, True])
def test_a_revocation_by_criteria_that_the_wrong_import_hid_from_applies(
    registry: Registry, later: Clock, is_spared: bool
):
    """The import had given the session another device when its own one was revoked; not if the session was excepted."""
    load(
        registry,
        row("carol", "7", created=1, used=2, device="AL-PC"),
        row("al", "8", created=1, used=2, device="AL-PC"),
    )
    load(registry, row("carol", "7", created=1, used=3, device="WRONG"))
    later.forward(minutes=1)
    carol = listed(registry)[0].id
    spared = (carol,) if is_spared else ()
    registry.revoke(SessionFilter(device="al-pc", except_ids=spared), note="lost device")
    outcome = undo(registry)
    assert (outcome.restored, kept(outcome)) == ((1, {}) if is_spared else (0, {"bound": 1}))
    assert [one.device for one in listed(registry)] == ["AL-PC" if is_spared else "WRONG", "AL-PC"]


def test_a_session_that_a_later_import_has_too_is_not_removed(registry: Registry, later: Clock):
    """One without a source, which changed nothing."""
    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    without = LISTING.replace("source: hub\n", "")
    assert load(registry, row(created=1, used=2), text=without).unchanged == 1
    outcome = undo(registry, 1)
    assert (outcome.removed, kept(outcome)) == (1, {"changed": 1})


def test_what_a_later_import_has_unchanged_is_not_restored_either(registry: Registry, later: Clock):
    """It has the session as the undone import had made it."""
    load(registry, row(created=1, used=2))
    load(registry, row(created=1, used=4))
    assert load(registry, row(created=1, used=4), text=LISTING.replace("source: hub\n", "")).unchanged == 1
    outcome = undo(registry, 2)
    assert (outcome.restored, kept(outcome)) == (0, {"changed": 1})
    assert listed(registry)[0].last_used_at == at(4)


# which imports can be undone


def test_two_tries_are_undone_one_after_the_other(registry: Registry, home: Path, later: Clock):
    """The second had changed sessions of the first; one had ended in its source."""
    load(registry, row(created=1, used=2, ended=3), row(number="8", created=1, used=2))
    load(registry, row(created=1, used=2, ended=3, device="b"), row(number="8", created=1, used=2, device="b"))
    assert (undo(registry).restored, undo(registry, 1).removed) == (2, 2)
    assert in_tables(home) == {table: [] for table in TABLES}


def test_only_the_latest_import_of_its_source(registry: Registry, later: Clock):
    """And of those without a source only the latest of these."""
    load(registry, row(created=1, used=2))
    load(registry, row(number="8", created=1, used=2), source="grid")
    load(registry, row(number="9", at=2), text=UNSOURCED)
    load(registry, row(number="9", created=1, used=2))
    assert [one.obstacle is None for one in registry.imports.list()] == [True, True, True, False]
    with pytest.raises(Refused, match=r"import 4 is later than import 1 and has the same source, 'hub'") as refused:
        undo(registry, 1)
    assert refused.value.hint == "first: authctl imports undo 4"
    for number in (4, 2, 3, 1):
        undo(registry, number)
        with pytest.raises(Refused, match="undone before"):
            undo(registry, number)
    assert listed(registry) == []


def test_only_for_thirty_days(registry: Registry, home: Path, later: Clock):
    """Then its journal goes with the next import, or the next cleanup."""
    load(registry, row(created=1, used=2))
    later.forward(days=30)
    assert registry.imports.show(1).obstacle is None
    later.forward(seconds=1)
    with pytest.raises(Refused, match="older than 30 days"):
        undo(registry)
    assert journal(home)["import_batches"] == 1
    registry.cleanup.run()
    assert journal(home)["import_batches"] == 0
    assert len(registry.imports.list()) == 1
    later.forward(days=300)
    registry.cleanup.run(accept_clock_jump=True)
    assert registry.imports.list() == []


def test_the_next_import_of_the_source_drops_the_rows_before(registry: Registry, home: Path, later: Clock):
    """Ranges of registered sessions stay: they cost nothing."""
    for used in (2, 3, 4):
        load(registry, row(created=1, used=used))
        assert journal(home)["import_changes"] == min(used - 2, 1)
    undo(registry)
    with pytest.raises(Refused, match="cannot be undone any more: it changed sessions, and a later import began"):
        undo(registry, 2)


@pytest.mark.in_a_file
def test_not_after_a_restore(registry: Registry, home: Path, tmp_path: Path, later: Clock):
    """The journal tells of the other registry; numbers of imports go on after those of both."""
    load(registry, row(created=1, used=2))
    registry.backups.create(tmp_path / "copy.db")
    for number in "89":
        complete(registry, row(created=1, used=2), row(number=number, created=1, used=2), taken=20)
    registry.close()
    later.forward(minutes=1)
    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk failed", clock=later)
    with Registry.open(home, registry=places.place_in(home), clock=later) as restored:
        assert [one.recorded.id for one in restored.imports.list()] == [1]
        with pytest.raises(Refused, match="began before the registry was restored"):
            undo(restored)
        later.forward(minutes=1)
        assert load(restored, row(number="4", created=1, used=47)).import_id == 4
        undo(restored)
        with restored._installation.store.view() as view:
            assert [one.taken_at for one in view.complete_listings("hub")] == [at(20)]


def test_an_unknown_import_and_a_missing_note(registry: Registry, later: Clock):
    """Refused before anything else."""
    load(registry, row(created=1, used=2))
    with pytest.raises(NotFound, match="no import 9"):
        undo(registry, 9)
    with pytest.raises(NotFound):
        registry.imports.show(9)
    for note in (None, " ", "-"):
        with pytest.raises(Refused):
            registry.imports.undo(1, note=note)
    assert len(listed(registry)) == 1


# limits and previews


def test_a_dry_run_writes_nothing(registry: Registry, home: Path, later: Clock):
    """And counts the same."""
    load(registry, row(created=1, used=2))
    complete(registry, row(number="9", created=1, used=2), taken=20)
    before, events = in_tables(home) | journal(home), list(registry.audit.events())
    dry = undo(registry, dry_run=True)
    assert (in_tables(home) | journal(home), list(registry.audit.events())) == (before, events)
    assert undo(registry)._replace(dry_run=True, at=dry.at) == dry
    assert (dry.removed, dry.restored, dry.taken_back) == (1, 1, 1)


def test_limits(registry: Registry, later: Clock):
    """A number, and the sessions that were shown."""
    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    with pytest.raises(Refused, match="than the limit of 1: 2"):
        undo(registry, max_affected=1)
    with pytest.raises(Refused, match="than the limit of 1: 2"):
        undo(registry, max_affected=1, dry_run=True)
    with pytest.raises(Refused, match="than the limit of 1: 2"):
        registry.imports.preview_undo(1, max_affected=1)
    preview = registry.imports.preview_undo(1)
    assert (preview.removed, preview.preview.summary.total) == (2, 2)
    bound = preview.preview.bound
    assert bound is not None
    with pytest.raises(Refused, match="1 of them was not in the preview"):
        undo(registry, bound=bound._replace(numbers=bound.numbers[:1]))
    assert undo(registry, bound=bound, max_affected=2).removed == 2


def test_the_preview_counts_sessions_that_are_revoked(registry: Registry, later: Clock):
    """Rows that an earlier revocation bound were registered as revoked: they would be removed, and are not counted as expired."""
    load(registry, row(created=1, used=2))
    registry.revoke(SessionFilter(username="alice"), note="lost device", actor="bob")
    load(registry, row(number="9", created=1, used=2), row("bob", "8", created=1, used=2))
    preview = registry.imports.preview_undo(2).preview
    assert {session.username: session.status_at(registry.now()) for session in preview.sessions} == {
        "alice": "revoked",
        "bob": "active",
    }
    assert (preview.summary.active, preview.summary.expired, preview.summary.revoked) == (1, 0, 1)


def test_what_becomes_undoable_after_the_preview_is_left(
    registry: Registry, later: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Here another import was undone in between, which had changed a session."""
    from authctl.registry.imports.undo import Undo

    load(registry, row(created=1, used=2), row(number="9", created=1, used=2))
    load(registry, row(created=1, used=4, device="b"), text=LISTING.replace("source: hub\n", ""))
    bound = registry.imports.preview_undo(1).preview.bound
    was = Undo._begin

    def begin(self: Undo, note: str) -> None:
        if self._id == 1:
            undo(registry, 2)
        was(self, note)

    monkeypatch.setattr(Undo, "_begin", begin)
    outcome = undo(registry, 1, bound=bound)
    assert (outcome.removed, kept(outcome)) == (1, {"unseen": 1})


# interruptions


def interrupt(monkeypatch: pytest.MonkeyPatch, step: str, after: int) -> None:
    """Interrupt the undo at a step, after so many of its batches."""
    from authctl.registry.imports.undo import Undo

    was, left = getattr(Undo, step), [after]

    def stop(self: Undo, *given: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return was(self, *given)

    monkeypatch.setattr(Undo, step, stop)


@pytest.mark.parametrize("step", ["_remove", "_restore", "_restore_listings", "_finish"])
@pytest.mark.parametrize("after", [0, 1])
def test_an_interrupted_undo_is_completed_by_running_it_again(
    registry: Registry, home: Path, later: Clock, monkeypatch: pytest.MonkeyPatch, step: str, after: int
):
    """The counts are those of both runs."""
    known = [row("alice", str(number), created=1, used=2) for number in range(10, 16)]
    load(registry, *known, taken_at=at(4))
    before = in_tables(home)
    changed = [{**one, "used": format_instant(at(3))} for one in known[:3]]
    complete(registry, *changed, known[3], *(row("bob", str(n), created=1, used=2) for n in range(20, 25)), taken=20)
    monkeypatch.setattr("authctl.registry.imports.undo._FIRST_BATCH", 2)
    monkeypatch.setattr("authctl.registry.imports.undo._LARGEST_BATCH", 2)
    with monkeypatch.context() as patch:
        interrupt(patch, step, after)
        if after and step == "_finish":
            undo(registry, 2)
            return
        with pytest.raises(KeyboardInterrupt):
            undo(registry, 2)
    assert registry.imports.show(2).recorded.undone_at is None
    outcome = undo(registry, 2)
    assert (outcome.removed, outcome.restored, outcome.taken_back, outcome.kept) == (5, 5, 2, ())
    assert in_tables(home) == before
    assert journal(home) == {"import_batches": 1, "import_changes": 0, "import_finals": 0}
    stages = [json.loads(one.detail)["stage"] for one in registry.audit.events() if one.action == "import.undo"]
    assert stages == ["done", "begun", "begun"]


def test_two_undos_at_once_are_recorded_once(registry: Registry, later: Clock, monkeypatch: pytest.MonkeyPatch):
    """Each tells the same counts."""
    from authctl.registry.imports.undo import Undo

    load(registry, row(created=1, used=2))
    others: list[UndoOutcome] = []
    was = Undo._restore_listings

    def restore_listings(self: Undo) -> int:
        if not others:
            others.append(Undo(registry._installation, 1, None)._finish(WHY))
        return was(self)

    monkeypatch.setattr(Undo, "_restore_listings", restore_listings)
    assert [undo(registry).removed, others[0].removed] == [1, 1]
    stages = [json.loads(one.detail)["stage"] for one in registry.audit.events() if one.action == "import.undo"]
    assert stages == ["done", "begun"]


def test_an_interrupted_import_can_be_undone(
    registry: Registry, home: Path, later: Clock, monkeypatch: pytest.MonkeyPatch
):
    """What it had done so far."""
    load(registry, row(created=1, used=2))
    before = in_tables(home)
    monkeypatch.setattr(register, "_KEYS_PER_BATCH", 1)

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    rows = [row(created=1, used=3), *(row(number=number, created=1, used=2) for number in "589")]
    with pytest.raises(KeyboardInterrupt):
        load(registry, *rows, progress=stop)
    past = registry.imports.list()[0]
    assert (past.recorded.finished_at, past.obstacle) == (None, None)
    outcome = undo(registry)
    assert outcome.removed + outcome.restored == 2
    assert in_tables(home) == before


def test_an_import_that_is_undone_while_it_runs_stops(
    registry: Registry, later: Clock, monkeypatch: pytest.MonkeyPatch
):
    """It registers nothing more."""
    monkeypatch.setattr(register, "_KEYS_PER_BATCH", 1)
    rows = [row(number=number, created=1, used=2) for number in "789"]
    with pytest.raises(Refused, match="import 1 was taken back before it was complete"):
        load(registry, *rows, progress=lambda done, _total: done == 2 and undo(registry))
    assert listed(registry) == []


# the log and the command


def test_the_audit_log_tells_of_it(registry: Registry, later: Clock):
    """With the note, and for the sessions and users that it is about."""
    load(registry, row(created=1, used=2))
    (session,) = listed(registry)
    registry.imports.undo(1, note=WHY, actor="bob")
    done, begun = [one for one in registry.audit.events() if one.action == "import.undo"]
    assert [(one.subject, one.note, one.actor) for one in (begun, done)] == [("1", WHY, "bob")] * 2
    assert json.loads(done.detail)["removed"] == 1
    from authctl.model import EventFilter

    for selection in (EventFilter(session_id=session.id), EventFilter(username="alice")):
        assert done in list(registry.audit.events(selection))


def test_the_command(installed: Authctl, tmp_path: Path):
    """Shows, asks, refuses and undoes, in every format; foreign texts are visible."""
    (tmp_path / "map.yaml").write_text(LISTING.replace("source: hub", f"source: {json.dumps('hub' + HOSTILE[8])}"))
    (tmp_path / "map.yaml").write_text(LISTING)
    name = tmp_path / f"rows{HOSTILE[0]}.jsonl"
    name.write_text(json.dumps(row(HOSTILE[0][4:7] + "x", created=1, used=2, device=HOSTILE[0])) + "\n")
    done = installed("sessions", "import", str(name), "--map", str(tmp_path / "map.yaml"), "-o", "json")
    assert (done.code, done.json["import_id"]) == (0, 1)
    (one,) = installed("imports", "list", "-o", "json").json
    assert (one["id"], one["registered"], one["undoable"], one["obstacle"], one["files"]) == (1, 1, True, None, 1)
    assert installed("imports", "show", "1", "-o", "json").json == one
    assert installed("imports", "list", "-o", "id").out == "1\n"
    for form in ("table", "csv", "ndjson"):
        ran = installed("imports", "list", "-o", form)
        assert (ran.code, unseen(ran.out)) == (0, [])
    command = ("imports", "undo", "1")
    for options, code in (
        ((), 4),
        (("--note", " "), 4),
        (("--note", WHY), 4),
        (("--note", WHY, "--yes", "--max-affected", "0"), 4),
        (("--dry-run",), 0),
        (("--note", WHY, "--yes", "-o", "json"), 0),
        (("--note", WHY, "--yes"), 4),
    ):
        ran = installed(*command, *options)
        assert (ran.code, unseen(ran.out + ran.err)) == (code, []), ran.err
    assert ("import 1 was undone before" in ran.err, "hint: to see it: authctl imports show 1" in ran.err) == (
        True,
        True,
    )
    (one,) = installed("imports", "list", "-o", "json").json
    assert (one["note"], one["undone_by"], one["undoable"], one["undo"]["removed"]) == (WHY, "tester", False, 1)
    assert [installed("imports", "undo", name, "--note", WHY).code for name in ("9", "0", "x")] == [3, 2, 2]
    assert installed("sessions", "list", "--count").out == "0\n"


def test_the_list_is_cut_as_other_lists_are(installed: Authctl, tmp_path: Path):
    """With the message of all lists, and without it where nothing was cut."""
    (tmp_path / "map.yaml").write_text(UNSOURCED)
    for number in "123":
        (tmp_path / "rows.jsonl").write_text(json.dumps(row(number=number, at="2026-01-01T00:00:00Z")))
        assert (
            installed("sessions", "import", str(tmp_path / "rows.jsonl"), "--map", str(tmp_path / "map.yaml")).code == 0
        )
    ran = installed("imports", "list", "--limit", "2", "-o", "id")
    assert (ran.out, ran.err) == ("3\n2\n", "authctl: the list was cut after 2 rows; for more: a larger --limit\n")
    ran = installed("imports", "list", "--limit", "3", "-o", "id")
    assert (ran.out, ran.err) == ("3\n2\n1\n", "")


# as if it had never been


def change_something(registry: Registry, data: st.DataObject, clock: Clock) -> None:
    """Do something to some sessions or users."""
    sessions = listed(registry)
    kind = data.draw(st.sampled_from(["revoke", "revoke id", "all", "end", "disable", "enable", "password", "wait"]))
    user = data.draw(st.sampled_from(["alice", "bob"]))
    if kind == "revoke":
        device = data.draw(st.sampled_from([None, "a"]))
        selection = SessionFilter(device=device) if device else SessionFilter(username=user)
        registry.revoke(selection, note="lost device")
    elif kind == "all":
        registry.revoke(SessionFilter(everything=True), note="breach of all")
    elif kind in ("revoke id", "end") and sessions:
        one = data.draw(st.sampled_from(sessions))
        registry.end([one.id]) if kind == "end" else registry.revoke(SessionFilter(ids=(one.id,)), note="by its id")
    elif kind in ("disable", "enable"):
        getattr(registry.users, kind)(user, note="came and went") if registry.count(
            SessionFilter(username=user)
        ) else None
    elif kind == "password" and sessions:
        registry.users.password_changed(user, note="forgotten it")
    clock.forward(minutes=1)


@settings(suppress_health_check=list(HealthCheck))
@given(first=st.lists(st.one_of(listings(), logs()), max_size=2), second=st.one_of(listings(), logs()), data=st.data())
def test_an_undone_import_has_never_been(
    registries: Callable[[], Registry], clock: Clock, first: list[Any], second: Any, data: st.DataObject
):
    """Whatever was before it."""
    registry = registries()
    for text, rows, options in first:
        load(registry, *rows, text=text, **options)
        change_something(registry, data, clock)
    home = registry._installation.home.folder
    before = in_tables(home)
    text, rows, options = second
    if load(registry, *rows, text=text, **options).import_id is None:
        return
    outcome = undo(registry)
    assert outcome.kept == ()
    assert in_tables(home) == before


@settings(suppress_health_check=list(HealthCheck))
@given(first=st.lists(st.one_of(listings(), logs()), max_size=2), second=st.one_of(listings(), logs()), data=st.data())
def test_nothing_lives_by_an_undo_that_would_not_without_the_import(
    registries: Callable[[], Registry], clock: Clock, tmp_path: Path, first: list[Any], second: Any, data: st.DataObject
):
    """Beside a twin that did not have it, and had the same operations since; what no operation met is the same."""
    registry, other = registries(), registries()
    for text, rows, options in first:
        load(registry, *rows, text=text, **options)
    clock.forward(minutes=1)
    home = other._installation.home
    other.close()
    twin_file = tmp_path / f"copy-{home.folder.name}.db"
    registry.backups.create(twin_file)
    places.put_in(home.folder, twin_file)
    text, rows, options = second
    with Registry.open(home.folder, registry=home.registry, clock=clock) as twin:
        if load(registry, *rows, text=text, **options).import_id is None:
            return
        known = {one.id for one in listed(twin)}
        clock.forward(minutes=1)
        for _ in range(data.draw(st.integers(0, 2))):
            user = data.draw(st.sampled_from(["alice", "bob"]))
            kind = data.draw(st.sampled_from(["disable", "revoke", "device", "all"]))
            for each in (registry, twin):
                if kind == "disable":
                    each.users.disable(user, note="left the company")
                elif kind == "all":
                    each.revoke(SessionFilter(everything=True), note="breach of all")
                else:
                    selection = SessionFilter(username=user) if kind == "revoke" else SessionFilter(device="a")
                    each.revoke(selection, note="lost device")
            clock.forward(minutes=1)
        outcome = undo(registry)
        left = {one for each in outcome.kept for one in each.sessions}
        for session in listed(registry):
            if session.id in known:
                beside = twin.session(session.id)
                assert not (session.status.value == "active" and beside.status.value != "active")
                assert session.id in left or in_short(session) == in_short(beside)
            else:
                assert session.id in left
                assert session.status.value != "active"
