"""The key ring at work: rotated, retired, and whom that signs out; through the real registry and the real command line."""

import fcntl
import json
import os
import stat
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from authctl import (
    NEVER,
    IntegrityFailure,
    NotFound,
    Refused,
    Registry,
    RegistryUnavailable,
    SessionFilter,
    Status,
    TokenEnded,
    TokenInvalid,
    TokenUnknown,
    files,
    key_ring,
    profiles,
)
from authctl.instants import DAY, HOUR
from authctl.key_ring import KeyState
from authctl.registry.bounds import Bound
from authctl.registry.init import create
from authctl.registry.tokens import reader
from authctl.settings import find_home
from tests import places
from tests.conftest import START, Authctl, Clock, Install, PlaceOf

TEXT = """\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3d}
  capped: {idle_timeout: 3d, absolute_timeout: 10d}
  pair: {tokens: pair, idle_timeout: 14d, absolute_timeout: 90d}
  asked: {tokens: requested, default_lifetime: 1h, sealed: true}
"""


pytestmark = pytest.mark.usefixtures("ring_looked_at_each_time")


@pytest.fixture
def ring(install: Install) -> Registry:
    """A registry with a profile of each kind of tokens."""
    return install(TEXT)


def issue(registry: Registry, profile: str = "single", user: str = "alice"):
    """A sign-in."""
    return registry.issue(username=user, application="Outlook", profile=profile)


def ids(registry: Registry) -> list[str]:
    """The keys' ids, the oldest first."""
    return [use.key.id for use in registry.keys.list()]


def actions(registry: Registry) -> list[str]:
    """The audit actions about keys, newest first."""
    return [event.action for event in registry.audit.events() if event.action.startswith("key.")]


def test_a_rotation_signs_nobody_out(ring: Registry):
    """New tokens come from the fresh key, old ones are good until theirs is retired; refreshed pairs move to the fresh one."""
    before = {name: issue(ring, name) for name in ("single", "pair", "asked")}
    use = ring.keys.rotate(note="every year", actor="bob")
    (old, new) = ring.keys.list()
    assert (old.key.state, new.key.state, new.key.id) == (KeyState.VERIFYING, KeyState.SIGNING, use.key.id)
    assert (old.sessions, new.sessions) == (3, 0)
    for issued in before.values():
        assert ring.verify(issued.access_token).key_id == old.key.id
    assert issue(ring).access_token[5:13] == new.key.id
    refreshed = ring.refresh(before["pair"].refresh_token)
    assert refreshed.access_token[5:13] == new.key.id
    assert [use.sessions for use in ring.keys.list()] == [2, 2]
    event = next(ring.audit.events())
    while event.action != "key.rotate":
        event = ring.audit.event(event.seq - 1)
    assert (event.subject, event.note, event.actor) == (new.key.id, "every year", "bob")
    assert ring.audit.verify()


def test_until_when_a_key_is_needed(ring: Registry, clock: Clock):
    """Use moves a single session's end up to its absolute one; a pair moves to the fresh key, or ends unrefreshed."""
    now = int(clock().timestamp()) * 10**6
    (use,) = ring.keys.list()
    assert (use.sessions, use.until) == (0, None)
    issue(ring, "asked")
    assert ring.keys.list()[0].until == now + HOUR
    issue(ring, "capped")
    assert ring.keys.list()[0].until == now + 10 * DAY
    issue(ring, "pair")
    assert ring.keys.list()[0].until == now + 14 * DAY
    issue(ring, "single")
    assert (ring.keys.list()[0].until, ring.keys.list()[0].sessions) == (NEVER, 4)
    ring.revoke(SessionFilter(profile="single"), note="lost device")
    clock.forward(days=13)
    assert (ring.keys.list()[0].until, ring.keys.list()[0].sessions) == (now + 14 * DAY, 1)


def test_nothing_is_lost_after_that_date(ring: Registry, clock: Clock):
    """A key that signs nothing living is retired without another word; its secret is gone, and so is what it signed."""
    old = issue(ring, "asked")
    (key_id,) = ids(ring)
    ring.keys.rotate(note="every year")
    with pytest.raises(
        Refused, match="still signs 1 active session; all of them end at 2026-03-02T10:00:00Z at the latest"
    ):
        ring.keys.retire(key_id, note="every year")
    clock.forward(hours=1)
    outcome = ring.keys.retire(key_id, note="every year")
    assert (outcome.changed, outcome.ended, outcome.reason, outcome.sessions) == (True, 0, None, ())
    with pytest.raises(TokenInvalid):
        ring.verify(old.access_token)
    (retired, _) = ring.keys.list()
    assert (retired.key.state, retired.key.secret, retired.key.retired_at) == (KeyState.RETIRED, b"", outcome.at)
    assert ring.keys.retire(key_id, note="once more").changed is False
    assert actions(ring) == ["key.retire", "key.rotate"]


def test_a_ring_is_looked_at_again(ring: Registry, home: Path, monkeypatch: pytest.MonkeyPatch):
    """A registry that is open sees soon that its key ring was changed, and is unavailable where that cannot be read."""
    monkeypatch.setattr(reader, "UNCHECKED_SECONDS", 0.05)
    old = issue(ring)
    (key_id,) = ids(ring)
    ring.keys.rotate(note="every year")
    assert ring.verify(issue(ring).access_token)
    ring.keys.retire(key_id, sign_out=True, note="every year")
    time.sleep(0.06)
    with pytest.raises(TokenUnknown):
        ring.verify(old.access_token)
    young = issue(ring)
    (home / "keys.json").chmod(0o644)
    time.sleep(0.06)
    with pytest.raises(RegistryUnavailable, match="open to others"):
        ring.verify(young.access_token)


@pytest.mark.parametrize("way", ["sign_out", "compromised"])
def test_retiring_a_key_that_is_in_use(ring: Registry, way: str):
    """Routine and compromise are different words: both end what lives on the key, at once, and say who; others go on."""
    mine = [issue(ring, name) for name in ("single", "pair", "asked")]
    over = issue(ring, user="bob")
    ring.end([over.session.id])
    (key_id,) = ids(ring)
    ring.keys.rotate(note="key was copied")
    moved = ring.refresh(issue(ring, "pair").refresh_token)
    dry = ring.keys.retire(key_id, **{way: True}, note=None, dry_run=True)
    assert (dry.ended, dry.changed, dry.dry_run) == (3, True, True)
    shown = Bound.of([mine[0].session.number, mine[1].session.number, over.session.number])
    with pytest.raises(Refused, match="3 sessions would end now, and 1 of them was not in the preview"):
        ring.keys.retire(key_id, **{way: True}, note="key was copied", bound=shown)
    assert all(ring.verify(one.access_token) for one in mine)
    outcome = ring.keys.retire(key_id, **{way: True}, note="key was copied", actor="bob")
    reason = {"sign_out": "signed_out", "compromised": "key_compromised"}[way]
    assert (outcome.ended, outcome.reason, {s.ended_reason for s in outcome.sessions}) == (3, reason, {reason})
    assert {s.id for s in outcome.sessions} == {one.session.id for one in mine}
    for one in mine:
        with pytest.raises(TokenUnknown):
            ring.verify(one.access_token)
        assert ring.session(one.session.id).status is Status.EXPIRED
    assert ring.session(over.session.id).ended_reason == "signed_out"
    assert ring.verify(moved.access_token)
    event = next(ring.audit.events())
    assert (event.action, event.subject, event.note, event.actor) == ("key.retire", key_id, "key was copied", "bob")
    detail = json.loads(event.detail)
    assert (detail["reason"], detail["ended"], detail["username_keys"]) == (reason, 3, ["alice"])
    assert next(ring.audit.events(ring_filter(username="alice"))).action == "key.retire"
    assert next(ring.audit.events(ring_filter(session_id=mine[0].session.id))).action == "key.retire"


def ring_filter(**criteria: str):
    """Which events are meant."""
    from authctl import EventFilter

    return EventFilter(**criteria)


def test_a_held_session_keeps_its_key(install: Install, clock: Clock):
    """What a continuity event holds beyond its time still needs its key."""
    ring = install(TEXT.replace("capped: {", "capped: {continuity: true, "))
    issue(ring, "capped")
    ring.continuity.start(note="provider down")
    clock.forward(days=30)
    assert (ring.keys.list()[0].sessions, ring.keys.list()[0].until) == (1, NEVER)
    ring.keys.rotate(note="every year")
    outcome = ring.keys.retire(ids(ring)[0], sign_out=True, note="every year")
    assert outcome.ended == 1
    assert ring.count(SessionFilter(status="active")) == 0


def test_what_may_not_be_retired(ring: Registry):
    """The key that signs, an unknown one, anything without a note; nothing changes then."""
    before = ring.keys.list()
    for operation, error in (
        (lambda: ring.keys.retire(ids(ring)[0], compromised=True, note="why not"), Refused),
        (lambda: ring.keys.retire("ffffffff", note="why not"), NotFound),
        (lambda: ring.keys.retire("\x1b[31m", note="why not"), NotFound),
        (lambda: ring.keys.retire(ids(ring)[0], note=None), Refused),
        (lambda: ring.keys.rotate(note=None), Refused),
        (lambda: ring.keys.rotate(note="--"), Refused),
    ):
        with pytest.raises(error):
            operation()
    assert ring.keys.list() == before


def test_a_key_retired_in_the_file_alone_is_ended_by_the_next_try(ring: Registry, home: Path):
    """A kill between file and registry fails closed: its tokens are refused, and retiring it again ends what is left."""
    one = issue(ring)
    (key_id,) = ids(ring)
    ring.keys.rotate(note="every year")
    key_ring.save(home / "keys.json", key_ring.load(home / "keys.json").without(key_id, 0))
    with pytest.raises(TokenUnknown):
        ring.verify(one.access_token)
    outcome = ring.keys.retire(key_id, compromised=True, note="once more")
    assert (outcome.changed, outcome.ended) == (False, 1)
    assert ring.session(one.session.id).ended_reason == "key_compromised"


def test_another_process_sees_the_ring_as_it_is(ring: Registry, home: Path, clock: Clock):
    """A back end that has the old ring in memory signs with the fresh key at once, and refuses a retired one's tokens."""
    with Registry.open(home, clock=clock) as other:
        before = issue(other)
        (key_id,) = ids(ring)
        ring.keys.rotate(note="every year")
        assert issue(other).access_token[5:13] != key_id
        ring.keys.retire(key_id, sign_out=True, note="every year")
        with pytest.raises((TokenUnknown, TokenEnded)):
            other.verify(before.access_token)


def test_the_file_is_replaced_whole_and_private(ring: Registry, home: Path):
    """Mode 0600 whatever the umask, no draft left, and one that a kill left behind is removed with its secrets."""
    (home / ".keys.json.abc.new").write_text("a draft of a killed write")
    before = os.umask(0o000)
    try:
        ring.keys.rotate(note="every year")
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "keys.json").stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir() if "keys.json" in path.name] == ["keys.json"]
    assert json.loads((home / "keys.json").read_text())["version"] == 2


def test_a_ring_of_the_older_form_is_read(ring: Registry, home: Path):
    """Version 1 kept the secrets of retired keys, which do not count; anything else that it is not is damage."""
    document = json.loads((home / "keys.json").read_text())
    document["keys"].append({**document["keys"][0], "id": "01234567", "state": "retired", "secret": ""})
    (home / "keys.json").write_text(json.dumps({**document, "version": 1}))
    assert [use.key.state.value for use in ring.keys.list()] == ["signing", "retired"]
    for version, error in (
        (0, IntegrityFailure),
        (True, IntegrityFailure),
        ("1", IntegrityFailure),
        (3, RegistryUnavailable),
    ):
        (home / "keys.json").write_text(json.dumps({**document, "version": version}))
        with pytest.raises(error):
            ring.keys.list()


@pytest.mark.parametrize("secret", ["", "00" * 31, "00" * 32, "41" * 32, "5a" * 16, "zz" * 32])
def test_a_weak_key_is_refused(ring: Registry, home: Path, secret: str):
    """Empty, short, of one character, or no key at all: damage, and no token is made or believed."""
    document = json.loads((home / "keys.json").read_text())
    document["keys"][0]["secret"] = secret
    (home / "keys.json").write_text(json.dumps(document))
    with pytest.raises(IntegrityFailure):
        issue(ring)


def test_who_holds_the_folder_stops_no_revocation(ring: Registry, home: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever can read a folder can lock it: a rotation gives up after a while, and nobody waits for it meanwhile."""
    issue(ring)
    monkeypatch.setattr(files, "LOCK_TIMEOUT_SECONDS", 2.0)
    holder = os.open(home, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    refused: list[BaseException] = []

    def rotate() -> None:
        try:
            ring.keys.rotate(note="every year")
        except RegistryUnavailable as error:
            refused.append(error)

    waiting = threading.Thread(target=rotate)
    waiting.start()
    assert ring.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1
    assert waiting.is_alive()
    waiting.join()
    os.close(holder)
    assert "locked by another process" in str(refused[0])
    assert ring.keys.rotate(note="every year")


@pytest.mark.parametrize("name", [pytest.param("registry.db", marks=pytest.mark.in_a_file), "keys.json", "audit.head"])
def test_a_folder_that_everybody_can_write_to_behind_a_link(installed: Authctl, home: Path, tmp_path: Path, name: str):
    """Whoever may write there can put another file in its place, by whatever name it is reached."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (home / name).rename(tmp_path / "open" / name)
    (home / name).symlink_to(tmp_path / "open" / name)
    refused = installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert (refused.code, f"everybody can write to {tmp_path / 'open'}" in refused.err) == (6, True)


def test_a_key_ring_elsewhere_stays_when_the_rest_fails(tmp_path: Path, home: Path):
    """Another process may have begun to use it: of two that make one home at once, the slower leaves the faster its ring."""
    ring = tmp_path / "secrets" / "ring"
    ring.parent.mkdir(0o700)

    def overtaken() -> datetime:
        (home / "profiles.yaml").write_text("of the faster one")
        return START

    with pytest.raises(Refused, match="file already exists"):
        create(find_home(home, None, ring), profiles.read(TEXT.encode(), "p"), b"", clock=overtaken)
    assert key_ring.load(ring)
    assert not (home / "registry.db").exists()


def test_a_key_ring_elsewhere(
    tmp_path: Path, authctl: Authctl, monkeypatch: pytest.MonkeyPatch, home: Path, place_of: PlaceOf
):
    """By option, by environment, or as the credential of a systemd service; init makes one where there is none."""
    elsewhere = tmp_path / "secrets"
    elsewhere.mkdir(0o700)
    assert authctl("--keys", str(elsewhere / "ring"), "init", "-q").code == 0
    assert not (home / "keys.json").exists()
    who = ("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert authctl(*who).code == 6
    token = authctl("--keys", str(elsewhere / "ring"), *who).out
    monkeypatch.setenv("AUTHCTL_KEYS", str(elsewhere / "ring"))
    assert authctl("tokens", "verify", stdin=token).code == 0
    monkeypatch.delenv("AUTHCTL_KEYS")
    (elsewhere / "ring").rename(elsewhere / "authctl-keys")
    (elsewhere / "authctl-keys").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(elsewhere))
    assert authctl("tokens", "verify", stdin=token).code == 0
    other = tmp_path / "other"
    place_of(other)
    assert authctl("--home", str(other), *places.named(other), "init", "-q").code == 0
    assert not (other / "keys.json").exists()
    monkeypatch.setenv("AUTHCTL_KEYS", " ")
    assert authctl("keys", "list").code == 2


def test_keys_by_command(ring: Registry, authctl: Authctl, home: Path):
    """What is shown, asked and refused; a pipe has nobody to ask."""
    with Registry.open(home) as registry:
        issue(registry)
        issue(registry, "pair", "bob")
        listed = authctl("keys", "list", "-o", "json").json
        assert [list(one) for one in listed] == [
            ["id", "state", "created_at", "retired_at", "sessions", "retire_after", "retirable"]
        ]
        assert (listed[0]["sessions"], listed[0]["retire_after"], listed[0]["state"]) == (2, None, "signing")
        assert authctl("keys", "rotate").code == 4
        rotated = authctl("keys", "rotate", "--note", "every year", "-o", "json")
        assert (rotated.code, rotated.json["state"]) == (0, "signing")
        key_id = listed[0]["id"]
        refused = authctl("keys", "retire", key_id, "--note", "every year")
        assert (refused.code, refused.out) == (4, "")
        assert "still signs 2 active sessions; some of them never end while they are used" in refused.err
        assert "--sign-out" in refused.err
        assert authctl("keys", "retire", key_id, "--sign-out").code == 4
        unasked = authctl("keys", "retire", key_id, "--sign-out", "--note", "every year")
        assert (unasked.code, "this would end 2 active sessions" in unasked.err) == (4, True)
        dry = authctl("keys", "retire", key_id, "--compromised", "--dry-run", "-o", "json")
        assert (dry.code, dry.json["ended"], dry.json["dry_run"]) == (0, 2, True)
        done = authctl("keys", "retire", key_id, "--compromised", "--note", "copied", "--yes", "-o", "json")
        assert (done.code, done.json["ended"], done.json["reason"]) == (0, 2, "key_compromised")
        assert sorted(s["username"] for s in done.json["sessions"]) == ["alice", "bob"]
        assert {s["ended_reason"] for s in done.json["sessions"]} == {"key_compromised"}
        again = authctl("keys", "retire", key_id, "--note", "copied")
        assert (again.code, "was retired before" in again.err) == (0, True)
        assert authctl("keys", "retire", "nothing", "--note", "copied").code == 3
        assert authctl("audit", "verify").code == 0
        shown = authctl("keys", "list").out + authctl("keys", "list", "-o", "csv").out
        secrets = [key.secret.hex() for key in key_ring.load(home / "keys.json").keys if key.secret]
        assert secrets
        assert [secret for secret in secrets if secret in shown] == []
        registry.close()


def test_the_clock_does_not_matter_to_a_session_s_key(ring: Registry, clock: Clock):
    """An expired session is nobody that could be signed out."""
    issue(ring, "capped")
    clock.now += timedelta(days=11)
    assert ring.keys.list()[0].sessions == 0


def test_a_ring_that_two_registries_share_loses_no_operation(ring: Registry, home: Path, tmp_path: Path, clock: Clock):
    """Rotations and retirements of both come one after another: none brings back what the other retired."""
    other = tmp_path / "other"
    create(
        find_home(other, places.place_in(other), home / "keys.json"),
        profiles.read(TEXT.encode(), "p"),
        b"",
        clock=clock,
    )

    def rotate(registry: Registry) -> None:
        for _ in range(20):
            registry.keys.rotate(note="again and again")

    with Registry.open(other, registry=places.place_in(other), keys=home / "keys.json", clock=clock) as second:
        threads = [threading.Thread(target=rotate, args=(one,)) for one in (ring, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        states = [use.key.state.value for use in second.keys.list()]
    assert (len(states), states.count("signing")) == (41, 1)


def test_a_ring_behind_a_link_is_replaced_where_it_is(ring: Registry, home: Path, tmp_path: Path):
    """The link stays, and the secret of a retired key is gone from the file itself."""
    (home / "keys.json").rename(tmp_path / "real.json")
    (home / "keys.json").symlink_to(tmp_path / "real.json")
    old = ring.keys.list()[0].key
    ring.keys.rotate(note="every year")
    ring.keys.retire(old.id, note="every year")
    assert (home / "keys.json").is_symlink()
    assert old.secret.hex() not in (tmp_path / "real.json").read_text()


def test_a_retirement_that_a_kill_left_out_of_the_log_is_recorded_by_the_next(ring: Registry, home: Path):
    """File first, then the event: the next try finds the key retired and writes what is missing, once."""
    old = ring.keys.list()[0].key.id
    ring.keys.rotate(note="every year")
    key_ring.save(home / "keys.json", key_ring.load(home / "keys.json").without(old, 0))
    for _ in range(2):
        ring.keys.retire(old, note="once more")
    assert actions(ring) == ["key.retire", "key.rotate"]
