"""Random histories of sources: listings and logs in any order, operations, complete listings, undos, clean-ups and restores.

There is no model of the rule here, only what must hold whatever the rule is: every sign-in that was told is there, under its own
user, or is settled by an end; nothing that an operation covered is active later; only a listing or an undo takes back `not_listed`.
At full size: AUTHCTL_HISTORIES_EXAMPLES=3000.
"""

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import note as say
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from authctl import NotFound, Refused, Registry, Session, SessionFilter, profiles
from authctl.import_mappings import Mapping, read_mapping
from authctl.instants import HOUR, format_instant, instant_of
from authctl.registry.backups import restore
from authctl.registry.imports.complete import Complete
from authctl.registry.imports.file import ExportFile
from authctl.registry.init import create
from authctl.settings import find_home
from tests import places
from tests.conftest import Clock

pytestmark = pytest.mark.slow

STEPS = int(os.environ.get("AUTHCTL_HISTORIES_STEPS", "20"))
FULL = os.environ.get("AUTHCTL_TEST_PROFILE") == "full"
PHASES = [one for one in Phase if one is not Phase.shrink or os.environ.get("AUTHCTL_HISTORIES_SHRINK", "1") != "0"]
EXAMPLES = int(os.environ.get("AUTHCTL_HISTORIES_EXAMPLES", "1500" if FULL else "50"))
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about the disk

PROFILES = """
version: 1
retention: 5d
default_profile: default
profiles:
  default: {idle_timeout: 3d}
"""
USERS = ("alice", "bob")
APPLICATIONS = ("Mail", "Web")
SOURCES = ("hub", "wiki", None)
SPANS = (
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(hours=5),
    timedelta(days=1),
    timedelta(days=4),
    timedelta(days=12),
)
WHY = "lost device"


def _mapping(fields: str) -> Mapping:
    text = f"fields: {{username: user, application: app, source_id: id, {fields}}}\nkey: [id]\n"
    return read_mapping(text.encode(), "map.yaml")


LISTING = _mapping("created_at: created, last_used_at: used, ended_at: ended")
NEVER_DATED = _mapping("at: [used, {taken: true}]")
LOG = _mapping("at: used, ended_at: ended")


class Kind(NamedTuple):
    """A kind of export: its mapping, and the ids of its sessions."""

    mapping: Mapping
    ids: tuple[str, ...]
    is_exact: bool = False


KINDS = {
    "listing": Kind(LISTING, ("7", "8", "9"), is_exact=True),
    "undated": Kind(NEVER_DATED, ("u1", "u2")),
    "log": Kind(LOG, ("3", "4")),
}


class Told(NamedTuple):
    """A row that an import used."""

    user: str
    id: str
    application: str
    source: str | None
    began_at: int
    """When its session began by the row, or was used."""
    at: int
    """The latest instant at which the row has it."""
    is_exact: bool
    import_id: int
    listed_at: int | None


class Operation(NamedTuple):
    """An operation that covers all sessions of its kind up to its instant."""

    at: int
    name: str
    value: str = ""

    def covers(self, session: Session) -> bool:
        """Whether a session of before is covered."""
        if self.name == "user":
            return session.username == self.value
        if self.name == "application":
            return session.application == self.value
        return self.name == "all" or (session.source or "") == self.value


class Sources(RuleBasedStateMachine):
    """A registry, what it was told, and what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.clock = Clock()
        self.place = find_home(self.folder / "home", places.place_in(self.folder / "home"))
        create(
            self.place,
            profiles.read(PROFILES.encode(), "profiles.yaml"),
            PROFILES.encode(),
            actor="t",
            clock=self.clock,
        )
        self.registry = Registry.open(self.folder / "home", registry=self.place.registry, clock=self.clock)
        self.clock.forward(days=1)
        self.told: list[Told] = []
        self.operations: list[Operation] = []
        self.dead: dict[str, str] = {}
        """Sessions that an operation ended, and the operation."""
        self.missing: set[str] = set()
        """Sessions that ended because a complete listing does not have them."""
        self.gone: set[tuple[str, str]] = set()
        """Users and ids of sessions that clean-up removed."""
        self.may_return: set[tuple[str, str]] | None = set()
        """Users and ids that the latest step may take `not_listed` back for; None for any."""
        self.backup: tuple[Path, int] | None = None
        self.undone: set[int] = set()
        self.undo_left: set[str] = set()

    def teardown(self) -> None:
        """Close and remove it."""
        self.registry.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> int:
        """The present."""
        return instant_of(self.clock.now)

    def sessions(self) -> dict[str, Session]:
        """All sessions by id."""
        return {one.id: one for one in self.registry.sessions()}

    def _note_operation(self, operation: Operation | None, ended: Iterable[str]) -> None:
        if operation:
            self.operations.append(operation)
        self.dead |= dict.fromkeys(ended, str(operation or "by id"))

    # what is told

    def _row(self, data: st.DataObject, kind: Kind) -> dict[str, Any]:
        back = data.draw(st.integers(0, 60))
        began = self.now - back * HOUR // 2
        used = min(self.now, began + data.draw(st.sampled_from([0, 0, 1, 4, 30])) * HOUR // 2)
        number = data.draw(st.sampled_from(kind.ids))
        row = {
            "user": data.draw(st.sampled_from(USERS)),
            "id": number,
            "app": data.draw(st.sampled_from(APPLICATIONS)),
            "used": format_instant(used),
        }
        if kind.is_exact:
            row["created"] = format_instant(began)
        if kind is KINDS["undated"] and data.draw(st.booleans()):
            del row["used"]
        if kind is not KINDS["undated"] and data.draw(st.integers(0, 4)) == 0:
            row["ended"] = format_instant(used)
        return row

    @rule(data=st.data(), name=st.sampled_from([*KINDS, "listing", "log"]), source=st.sampled_from(SOURCES))
    def tell(self, data: st.DataObject, name: str, source: str | None) -> None:
        """Import some rows, in one file or several; a listing may be complete."""
        kind = KINDS[name]
        rows = [self._row(data, kind) for _ in range(data.draw(st.integers(0, 4)))]
        if name == "log":
            self._tell(data, kind, rows, source, None, None)
            return
        taken_at = self.now - data.draw(st.integers(0, 3)) * HOUR
        users = data.draw(st.sampled_from([None, None, (), ("alice",)])) if source else None
        claim = None if users is None else Complete(users, allow_partial=True, max_affected=99)
        self._tell(data, kind, rows, source, taken_at, claim)

    @rule(data=st.data(), again=st.integers(0, 30))
    @precondition(lambda self: self.files)
    def tell_again(self, data: st.DataObject, again: int) -> None:
        """Import rows that were imported before."""
        self._tell(data, *self.files[again % len(self.files)])

    @initialize()
    def begin(self) -> None:
        """Nothing was told yet."""
        self.files: list[Any] = []

    def _tell(self, data: st.DataObject, kind: Kind, rows: list[Any], source: Any, taken_at: Any, claim: Any) -> None:
        self.files.append((kind, rows, source, taken_at, claim))
        rows = data.draw(st.permutations(rows))
        cut = data.draw(st.integers(0, len(rows)))
        parts = [io.BytesIO("\n".join(map(json.dumps, part)).encode()) for part in (rows[:cut], rows[cut:])]
        before = self.sessions()
        outcome = self.registry.imports.run(
            parts[0],
            kind.mapping,
            more=[ExportFile("more", parts[1])],
            source=source,
            taken_at=taken_at,
            complete=claim,
        )
        say(f"{outcome.registered=} {outcome.updated=} {outcome.rejected_rows=} {outcome.not_listed=}")
        self.may_return = {(row["user"], row["id"]) for row in rows}
        assert outcome.rows.used == len(rows) - outcome.rows.rejected
        if outcome.import_id is None:
            return
        for row in rows:
            if not self._is_refused(row):
                self.told.append(self._told_by(row, kind, source, taken_at, outcome.import_id))
        after = self.sessions()
        for session_id, session in before.items():
            if session.ended_by is None and after[session_id].ended_by == "not_listed":
                assert claim is not None
                assert session.source == source or session.source is None
                assert not claim.users or session.username in claim.users

    def _is_refused(self, row: dict[str, Any]) -> bool:
        return "created" in row and row.get("ended", "9") < row["created"]

    def _told_by(self, row: dict[str, Any], kind: Kind, source: str | None, taken_at: int | None, number: int) -> Told:
        used = taken_at if "used" not in row else _instant(row["used"])
        assert used is not None
        began = _instant(row["created"]) if "created" in row else used
        identity = (row["user"], row["id"], row["app"], source)
        return Told(*identity, began, max(began, used), kind.is_exact, number, taken_at)

    # operations

    @rule(data=st.data(), how=st.sampled_from(["user", "application", "all", "source", "ids"]))
    def revoke(self, data: st.DataObject, how: str) -> None:
        """Revoke by criteria or ids."""
        sessions = self.sessions()
        self.may_return = set()
        if how == "ids":
            if not sessions:
                return
            chosen = data.draw(st.sampled_from(sorted(sessions.values(), key=lambda one: one.number)))
            self.registry.revoke(SessionFilter(ids=(chosen.id,)), note=WHY)
            self._note_operation(None, [chosen.id])
            return
        values = {"user": USERS, "application": APPLICATIONS, "source": ("hub", "wiki"), "all": ("",)}[how]
        operation = Operation(self.now, how, data.draw(st.sampled_from(values)))
        chosen_by: dict[str, Any] = {
            "user": {"username": operation.value},
            "application": {"application": operation.value},
            "source": {"source": operation.value},
            "all": {"everything": True},
        }[how]
        if not self.registry.count(SessionFilter(**chosen_by)):
            return
        self.registry.revoke(SessionFilter(**chosen_by), note=WHY)
        self._note_operation(operation, [one.id for one in sessions.values() if operation.covers(one)])

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """End a session by its id."""
        self.may_return = set()
        active = sorted((one.number, one.id) for one in self.sessions().values() if one.status.value == "active")
        if active:
            _, chosen = data.draw(st.sampled_from(active))
            self.registry.end([chosen])
            self._note_operation(None, [chosen])

    @rule(user=st.sampled_from(USERS), does_enable=st.booleans())
    def disable(self, user: str, does_enable: bool) -> None:
        """Disable or enable a user."""
        self.may_return = set()
        if does_enable:
            with suppress(NotFound):
                self.registry.users.enable(user, note=WHY)
            return
        operation = Operation(self.now, "user", user)
        active = [one.id for one in self.sessions().values() if one.username == user and one.status.value == "active"]
        self.registry.users.disable(user, note=WHY)
        self._note_operation(operation, active)

    # what takes back, removes or restores

    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        """Take an import back, if it can be; a second time it cannot."""
        self.may_return = set()
        imports = self.registry.imports.list()
        if not imports:
            return
        chosen = data.draw(st.sampled_from(imports))
        number = chosen.recorded.id
        before = self.sessions()
        if chosen.obstacle is not None:
            with pytest.raises(Refused):
                self.registry.imports.undo(number, note=WHY)
            return
        outcome = self.registry.imports.undo(number, note=WHY)
        say(f"undone: {outcome}")
        with pytest.raises(Refused):
            self.registry.imports.undo(number, note=WHY)
        self.may_return = None
        # Later imports of the source wrote nothing (decision 201): what they told was there by this one, and goes with it.
        source = chosen.recorded.source
        self.told = [one for one in self.told if one.source != source or one.import_id < number]
        removed = before.keys() - self.sessions().keys()
        assert len(removed) == outcome.removed
        assert not removed & self.dead.keys()

    @rule()
    def clean_up(self) -> None:
        """Remove what ended long ago."""
        self.may_return = set()
        before = self.sessions()
        self.registry.cleanup.run(accept_clock_jump=True)
        after = self.sessions()
        removed = [before[number] for number in before.keys() - after.keys()]
        assert all(one.status.value != "active" for one in removed)
        self.gone |= {(one.username, one.source_id) for one in removed if one.source_id}

    @rule()
    def back_up(self) -> None:
        """Make a backup."""
        self.may_return = set()
        file = self.folder / f"backup-{len(list(self.folder.iterdir()))}.db"
        self.registry.backups.create(file)
        self.backup = (file, len(self.told))

    @rule()
    @precondition(lambda self: self.backup)
    def restore(self) -> None:
        """Restore the backup: all sessions end, and what was told since is lost."""
        self.may_return = set()
        assert self.backup
        file, number = self.backup
        self.clock.forward(seconds=1)
        restore(self.place, file, note=WHY, clock=self.clock)
        self.told = self.told[:number]
        self._note_operation(Operation(self.now, "all"), self.sessions())
        self.backup = None

    @rule(length=st.sampled_from(SPANS))
    def wait(self, length: timedelta) -> None:
        """Let time pass."""
        self.may_return = set()
        self.clock.now += length

    # what must hold

    @invariant()
    def nothing_that_an_operation_covered_is_active(self) -> None:
        """Neither a session that it met nor one that was told of later."""
        for session in self.sessions().values():
            if session.status.value != "active":
                continue
            assert session.id not in self.dead, (session, self.dead[session.id])
            for operation in self.operations:
                if session.created_at <= operation.at and operation.covers(session):
                    is_exact = session.source_id in KINDS["listing"].ids
                    assert not is_exact or operation.name == "source", (session, operation)
                    assert session.last_used_at > operation.at or operation.name == "source", (session, operation)

    @invariant()
    def only_a_listing_takes_an_inference_back(self) -> None:
        """The session that was not listed is active again only if the latest step told of it, or took back an import."""
        sessions = self.sessions()
        for session_id in self.missing & sessions.keys():
            session = sessions[session_id]
            if session.status.value == "active" and self.may_return is not None:
                assert (session.username, session.source_id) in self.may_return
        self.missing = {one.id for one in sessions.values() if one.ended_by == "not_listed"}

    @invariant()
    def every_sign_in_is_there(self) -> None:
        """Under its own user: in a session, or settled by the end of one."""
        sessions: dict[tuple[str, str], list[Session]] = {}
        for session in self.sessions().values():
            sessions.setdefault((session.username, session.source_id or ""), []).append(session)
        for told in self.told:
            if (told.user, told.id) in self.gone:
                continue
            assert any(_holds(one, told) for one in sessions.get((told.user, told.id), [])), (told, sessions)


def _instant(text: str) -> int:
    from authctl.instants import parse_instant

    return parse_instant(text)


def _holds(session: Session, told: Told) -> bool:
    """Whether a session has a row, or settles it."""
    if told.source is not None and session.source != told.source:
        return False
    latest = max(session.last_used_at, session.used_after_end_at or 0)
    if session.created_at <= told.began_at <= latest and (session.created_at == told.began_at or not told.is_exact):
        return True
    end = session.revoked_at or session.ended_at
    return end is not None and session.ended_by != "not_listed" and told.began_at <= end


def test_source_histories() -> None:
    """Random histories."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Sources,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
