"""Random operations, backups, and restores of any earlier backup or of what a restore replaced: what was decided stays decided.

Every restore is compared with what the registry that it replaces said just before, and with what the backup said when it was taken.
"""

import io
import json
import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from authctl import NotFound, Refused, Registry, SessionFilter, Status, TokenInvalid, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import format_instant, instant_of
from authctl.registry.backups import restore
from authctl.registry.init import create
from authctl.settings import find_home
from tests import places
from tests.test_restore import check_agrees

pytestmark = pytest.mark.slow

MAP = read_mapping(
    b"fields: {username: user, application: app, device: device, at: time}\nkey: [username]\n", "map.yaml"
)
PROFILES = """\
version: 1
retention: 1 month
default_profile: usual
profiles:
  usual: {idle_timeout: 3d, continuity: true, on_revoke: wipe}
"""
USERS = ("alice", "bob", "carol")
APPLICATIONS = ("Outlook", "Teams")
STEPS = int(os.environ.get("AUTHCTL_RESTORE_STEPS", "40"))
EXAMPLES = int(os.environ.get("AUTHCTL_RESTORE_EXAMPLES", "30"))


class Said(NamedTuple):
    """What a registry said at one moment."""

    sessions: dict[str, Any]
    disabled: set[str]
    ended_at: dict[str, int]
    passwords: dict[str, int]


def said(registry: Registry) -> Said:
    """What it says now."""
    users = [one.user for one in registry.users.list()]
    return Said(
        {one.id: one for one in registry.sessions()},
        {user.username for user in users if user.disabled_at is not None},
        {user.username: user.ended_at for user in users if user.ended_at is not None},
        {user.username: user.password_changed_at for user in users if user.password_changed_at is not None},
    )


class Restores(RuleBasedStateMachine):
    """One installation with its backups."""

    @initialize()
    def begin(self) -> None:
        """Make it."""
        self.folder = Path(tempfile.mkdtemp(prefix="authctl-restores-"))
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        self.place = find_home(self.folder / "home", places.place_in(self.folder / "home"))
        raw = PROFILES.encode()
        create(self.place, profiles.read(raw, "profiles.yaml"), raw, actor="founder", clock=self.time)
        self.registry = self.opened()
        self.backups: list[tuple[Path, Said]] = []
        self.tokens: list[str] = []
        self.operations = self.restored = 0

    def time(self) -> datetime:
        """The clock."""
        return self.now

    def opened(self) -> Registry:
        """The registry."""
        return Registry.open(self.place.folder, registry=self.place.registry, clock=self.time, warn=lambda _text: None)

    def note(self) -> str:
        """A note that no other operation has."""
        self.operations += 1
        return f"operation number {self.operations}"

    def teardown(self) -> None:
        """Remove it."""
        if hasattr(self, "folder"):
            self.registry.close()
            places.remove(self.place.registry)
            shutil.rmtree(self.folder)

    # Operations

    @rule(seconds=st.sampled_from([1, 60, 3600, 86_400 * 2]))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    @rule(user=st.sampled_from(USERS), application=st.sampled_from(APPLICATIONS))
    def sign_in(self, user: str, application: str) -> None:
        """Register a session, unless the user is disabled."""
        try:
            self.tokens.append(
                self.registry.issue(username=user, application=application, device=f"{user}-pc").access_token
            )
        except Refused:
            assert self.registry.users.get(user).user.disabled_at is not None

    @rule(user=st.sampled_from(USERS), seconds=st.sampled_from([-86_400, -60, 0, 7_200]), device=st.sampled_from("XY"))
    def sign_in_elsewhere(self, user: str, seconds: int, device: str) -> None:
        """Import a row, of an earlier or a later time too."""
        at = format_instant(instant_of(self.now + timedelta(seconds=seconds)))
        row = {"user": user, "app": "Mail", "device": f"imported-{device}", "time": at}
        self.registry.imports.run(io.BytesIO(json.dumps(row).encode()), MAP)

    @rule(user=st.sampled_from(USERS), application=st.sampled_from((None, *APPLICATIONS)))
    def revoke_some(self, user: str, application: str | None) -> None:
        """Revoke by criteria."""
        self.registry.revoke(SessionFilter(username=user, application=application), note=self.note())

    @rule(data=st.data())
    def revoke_all(self, data: st.DataObject) -> None:
        """Revoke everything, and perhaps spare one."""
        spared = data.draw(st.sampled_from([(), *[(one,) for one in self.active_ids()]]))
        self.registry.revoke(SessionFilter(everything=True, except_ids=spared), note=self.note())

    @precondition(lambda self: self.active_ids())
    @rule(data=st.data())
    def revoke_or_end_one(self, data: st.DataObject) -> None:
        """Revoke or end one by its id."""
        one = data.draw(st.sampled_from(self.active_ids()))
        if data.draw(st.booleans()):
            self.registry.revoke(SessionFilter(ids=(one,)), note=self.note())
        else:
            self.registry.end([one])

    def active_ids(self) -> list[str]:
        """The ids of the active sessions; in the order of their numbers, since ids differ from run to run."""
        found = self.registry.sessions(SessionFilter(status=Status.ACTIVE))
        return [one.id for one in sorted(found, key=lambda one: one.number)]

    @rule(user=st.sampled_from(USERS))
    def disable(self, user: str) -> None:
        """Keep a user out."""
        self.registry.users.disable(user, note=self.note())

    @rule(user=st.sampled_from(USERS))
    def enable(self, user: str) -> None:
        """Let a user in again."""
        try:
            self.registry.users.enable(user, note=self.note())
        except NotFound:
            return

    @rule(user=st.sampled_from(USERS))
    def change_password(self, user: str) -> None:
        """End what a changed password ends."""
        self.registry.users.password_changed(user, note=self.note())

    @rule(is_start=st.booleans())
    def hold(self, is_start: bool) -> None:
        """Begin or end a continuity event."""
        try:
            (self.registry.continuity.start if is_start else self.registry.continuity.end)(note=self.note())
        except (Refused, NotFound):
            return

    @rule()
    def clean_up(self) -> None:
        """Remove what is old enough."""
        self.registry.cleanup.run(accept_clock_jump=True)

    # Backups

    @rule()
    def back_up(self) -> None:
        """Take a backup."""
        file = self.folder / f"backup-{len(self.backups)}.db"
        self.registry.backups.create(file)
        self.backups.append((file, said(self.registry)))

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        """Restore any of them, or what an earlier restore replaced."""
        self.restore(*data.draw(st.sampled_from(self.backups)))

    def restore(self, file: Path, backup: Said) -> None:
        """Restore a backup over the registry that is there."""
        before = said(self.registry)
        outcome = restore(self.place, file, note=self.note(), clock=self.time, warn=lambda _text: None)
        assert outcome.active_before == sum(one.status is Status.ACTIVE for one in before.sessions.values())
        self.backups.append((outcome.replaced_kept_as, before))
        self.check(before, backup, outcome.at)

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def put_back_where_none_is(self, data: st.DataObject) -> None:
        """The registry was lost: nothing can be carried over, and another past begins, with numbers that were given before."""
        file, backup = data.draw(st.sampled_from(self.backups))
        self.registry.close()
        places.take_away(self.place.folder)
        outcome = restore(self.place, file, note=self.note(), clock=self.time, warn=lambda _text: None)
        self.registry = self.opened()
        self.check(Said({}, set(), {}, {}), backup, outcome.at)

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), user=st.sampled_from(USERS))
    def go_there_and_back(self, data: st.DataObject, user: str) -> None:
        """The registry is lost, somebody is kept out and revoked in the other past, and the newest backup is put back."""
        self.back_up()
        newest = self.backups[-1]
        self.put_back_where_none_is(data)
        self.revoke_some(user, None)
        self.disable(user)
        self.restore(*newest)

    @rule(data=st.data(), user=st.sampled_from(USERS))
    def revoke_all_and_go_back(self, data: st.DataObject, user: str) -> None:
        """Some are signed in, everything is revoked but perhaps one, and the backup from just before is put back."""
        self.sign_in(user, APPLICATIONS[0])
        self.sign_in(USERS[0], APPLICATIONS[1])
        self.back_up()
        newest = self.backups[-1]
        self.revoke_all(data)
        self.restore(*newest)

    def check(self, before: Said, backup: Said, at: int) -> None:
        """What must hold after a restore, given what was replaced and the backup."""
        after = said(self.registry)
        assert after.disabled == before.disabled | backup.disabled
        for name in ("ended_at", "passwords"):
            one, other = getattr(before, name), getattr(backup, name)
            latest = {user: max(one.get(user, 0), other.get(user, 0)) for user in {*one, *other}}
            assert getattr(after, name) == latest
        for session_id, found in after.sessions.items():
            known = [some[session_id] for some in (before.sessions, backup.sessions) if session_id in some]
            assert known, "a session that nobody knew"
            check_session(found, known, at)
        over = {id_ for id_, one in before.sessions.items() if one.revoked_at is not None or one.ended_at is not None}
        assert after.sessions.keys() == over | backup.sessions.keys()
        assert self.registry.count(SessionFilter(status=Status.ACTIVE)) == 0
        for token in self.tokens:
            with pytest.raises(TokenInvalid):
                self.registry.verify(token)
        check_agrees(self.registry, self.place.folder)


def check_session(found: Any, known: list[Any], at: int) -> None:
    """A session shows its first revocation and its first end; one that lived was ended by the restore."""
    assert found.status is not Status.ACTIVE
    revocations = [(one.revoked_at, one.note, one.revoked_by) for one in known if one.revoked_at is not None]
    assert (found.revoked_at, found.note, found.revoked_by) in (earliest(revocations) or [(None, None, None)])
    ends = [(one.ended_at, one.ended_by) for one in known if one.ended_by is not None]
    if ends:
        assert (found.ended_at, found.ended_by) in earliest(ends)
    elif found.ended_by is not None:
        assert (found.ended_at, found.ended_by) == (at, "restored")


def earliest(operations: list[Any]) -> list[Any]:
    """Those with the first instant: of two at the same one neither is the first."""
    return [one for one in operations if one[0] == min(instant for instant, *_ in operations)]


TestRestores = Restores.TestCase
TestRestores.settings = settings(
    settings(), max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, print_blob=True
)
