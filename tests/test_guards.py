"""Guards that nothing else would miss: each test fails when the one line that it names is taken out.

The directory that is synced after the key ring is replaced is tested in `test_power_cut.py`.
"""

import io
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from time import monotonic

import pytest

from authctl import (
    IntegrityFailure,
    Registry,
    RegistryUnavailable,
    SessionFilter,
    Status,
    TokenUnknown,
    key_ring,
    profiles,
)
from authctl.import_mappings import read_mapping
from authctl.instants import parse_instant
from authctl.registry import sessions as listing
from authctl.store.sqlite import connections
from authctl.tokens import TokenKind, TokenMint
from tests import places
from tests.conftest import START, Clock, Install, Start

FOREVER = "version: 1\nprofiles: {default: {idle_timeout: never}}"
MAP = read_mapping(b"fields: {username: user, at: time}\nkey: [username]\n", "map.yaml")


def issue(registry: Registry, user: str = "alice", **options: str):
    """A sign-in."""
    return registry.issue(username=user, application="Outlook", **options)


def load(registry: Registry, *times: str):
    """Import alice's sign-ins at those instants."""
    rows = b"".join(json.dumps({"user": "alice", "time": time}).encode() + b"\n" for time in times)
    return registry.imports.run(io.BytesIO(rows), MAP)


# The head outside: anchor.advance


def test_the_head_outside_never_goes_backwards_when_a_slower_writer_comes_second(
    registry: Registry, home: Path, clock: Clock
):
    """Whoever committed first and reaches the file last leaves it alone: else the newest operations could be cut off unnoticed."""
    for user in ("alice", "bob", "carol"):
        issue(registry, user)
    newest = (home / "audit.head").read_bytes()
    for seq in (1, 2, 3, 4):
        registry._installation.head.advance([registry.audit.event(seq)])
        assert (home / "audit.head").read_bytes() == newest, seq
    registry.close()
    places.tamper(home, "DELETE FROM audit_events WHERE seq > 2")
    with (
        Registry.open(home, registry=places.place_in(home), clock=clock) as again,
        pytest.raises(IntegrityFailure, match=r"audit.head names event 4"),
    ):
        again.audit.verify()


# The key of a token: judging.owned

KINDS = """\
version: 1
default_profile: single
profiles:
  single: {on_revoke: wipe}
  pair: {tokens: pair}
  sealed: {tokens: requested, sealed: true}
"""


@pytest.fixture
def kinds(install: Install) -> Registry:
    """A registry with a profile of each kind of tokens."""
    return install(KINDS)


def signed_again(token: str, mint: TokenMint, key_id: str) -> str:
    """The same claims, signed or sealed by another key of the ring."""
    claims = mint.read(token)
    if claims.kind is TokenKind.SEALED:
        return mint.seal(key_id, mint.unseal(token))
    return mint.mint(claims.kind, key_id, claims.number, claims.generation, claims.secret)


@pytest.mark.parametrize("profile", ["single", "pair", "sealed"])
@pytest.mark.parametrize("is_rotated_first", [True, False])
def test_a_token_that_another_key_of_the_ring_signed_is_unknown(
    kinds: Registry, home: Path, profile: str, is_rotated_first: bool
):
    """Its key must be its session's: who got hold of an old key makes no tokens for what the present one signed, nor with the new
    one for what the old one signed."""
    if is_rotated_first:
        kinds.keys.rotate(note="every year")
    issued = issue(kinds, profile=profile)
    if not is_rotated_first:
        kinds.keys.rotate(note="every year")
    mint = TokenMint(key_ring.load(home / "keys.json"))
    (other,) = (key.id for key in mint.ring.keys if key.id != issued.session.key_id)
    forged = signed_again(issued.access_token, mint, other)
    assert mint.read(forged) == mint.read(issued.access_token)._replace(key_id=other)
    with pytest.raises(TokenUnknown):
        kinds.verify(forged)
    assert kinds.end([forged]).ended == 0
    assert kinds.tokens.revoke(forged, note="leaked").selected == 0
    if issued.refresh_token:
        with pytest.raises(TokenUnknown):
            kinds.refresh(signed_again(issued.refresh_token, mint, other))
    assert kinds.verify(issued.access_token)
    kinds.revoke(SessionFilter(username="alice"), note="lost device")
    with pytest.raises(TokenUnknown):
        kinds.tokens.wipe_done(forged)


# What imports leave alone: merging._deadlines, writing._KEEP_FINALS


def test_a_late_row_does_not_move_an_end_back_that_a_profile_s_application_made(install: Install, clock: Clock):
    """A later use than the last that was known, still before the end: the session goes on being listed for six months from then."""
    registry = install(FOREVER)
    load(registry, "2025-03-05T12:00:00Z")
    tight = profiles.read(b"version: 1\nprofiles: {default: {idle_timeout: 3d}}", "p.yaml")
    assert registry.profiles.apply(tight, note="tightened").ended == 1
    clock.forward(days=2)
    assert load(registry, "2025-03-09T12:00:00Z").updated == 1
    (found,) = registry.sessions()
    assert found.last_used_at == parse_instant("2025-03-09T12:00:00Z")
    assert found.ends_at == int(START.timestamp()) * 10**6
    assert registry.cleanup.run().removed == 0


OPERATIONS: dict[str, Callable[[Registry], object]] = {
    "revoked": lambda registry: registry.revoke(SessionFilter(username="alice"), note="stolen laptop"),
    "ended": lambda registry: registry.end([session.id for session in registry.sessions()]),
}


@pytest.mark.parametrize("how", OPERATIONS)
def test_a_removed_session_s_last_use_that_lay_ahead_of_the_clock_stays_settled(
    install: Install, clock: Clock, how: str
):
    """A row two hours ahead of the operation that ended it does not come back as an active session once its own was cleaned up."""
    registry = install(FOREVER)
    ahead = "2026-03-02T11:00:00Z"
    load(registry, ahead)
    OPERATIONS[how](registry)
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    outcome = load(registry, ahead)
    assert (outcome.registered, outcome.unchanged) == (0, 1)
    assert registry.count() == 0
    assert load(registry, "2026-03-02T11:00:00.000001Z").registered == 1


# Long lists: sessions._OVERTAKEN


@pytest.mark.parametrize("seconds", [0, 1, 30, 59])
def test_a_use_that_was_judged_before_a_list_began_and_is_written_while_it_streams_is_listed(
    registry: Registry, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: int
):
    """The session moves in front of what was read already, to the place of an instant before the list's own."""
    monkeypatch.setattr(listing, "_FIRST_BATCH", 4)
    monkeypatch.setattr(listing, "_BATCH", 4)
    tokens = []
    for n in range(12):
        clock.forward(seconds=1)
        tokens.append(issue(registry, f"user{n}").access_token)
    clock.forward(hours=1)
    earlier = Clock(clock.now - timedelta(seconds=seconds))
    streamed = registry.sessions(SessionFilter(status="active"))
    first = [session.username for session in islice(streamed, 4)]
    with Registry.open(home, registry=places.place_in(home), clock=earlier) as slower:
        assert slower.verify(tokens[0]).last_used_at == int(earlier.now.timestamp()) * 10**6
    rest = [session.username for session in streamed]
    assert "user0" not in first
    assert sorted(first + rest) == sorted(f"user{n}" for n in range(12))


# The cache of logins: logins._is_overtaken

REMEMBERING = """\
version: 1
profiles: {default: {absolute_timeout: 24h, authenticator: staff, cache: {max_age: 24h}}}
"""


def test_a_login_from_the_future_does_not_block_the_cache(install: Install, home: Path, clock: Clock):
    """What a clock that was ahead left is no later success: once the clock is right, the next login is remembered in its place."""
    registry = install(REMEMBERING)
    (home / "authenticators.yaml").touch(0o600)
    (home / "authenticators.yaml").write_text("version: 1\nauthenticators: {staff: {command: [/bin/true]}}\n")

    def log_in() -> str:
        registry.tokens.login(username="alice", application="Exchange", password="correct horse")
        return json.loads(next(registry.audit.events()).detail)["authenticated_by"]

    clock.forward(days=2)
    assert log_in() == "staff"
    clock.forward(days=-2)
    registry.doctor.accept_clock(note="the battery was empty")
    assert [log_in(), log_in()] == ["staff", "cache"]
    (remembered,) = registry.cache.list("alice")
    assert remembered.login.authenticated_at == int(START.timestamp()) * 10**6


# Whose turn it is: revocations._PATIENCE

HOLD = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("holding", flush=True)
sys.stdin.readline()
"""

WAITING_TWICE: dict[str, Callable[[Registry, str], object]] = {
    "a user": lambda registry, _: registry.revoke(SessionFilter(username="alice"), note="lost device"),
    "everybody": lambda registry, _: registry.revoke(SessionFilter(everything=True), note="breach"),
    "a token": lambda registry, token: registry.tokens.revoke(token, note="lost device"),
}


@pytest.fixture
def holder(registry: Registry, home: Path, start: Start) -> subprocess.Popen:
    """Another process that holds the lock of the registry, and never lets go."""
    process = start("-c", HOLD, str(home / "registry.db"))
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def seconds_refused(operation: Callable[[], object]) -> float:
    """How long an operation waited for its turn before it gave up."""
    began = monotonic()
    with pytest.raises(RegistryUnavailable, match="locked by another process"):
        operation()
    return monotonic() - began


@pytest.mark.in_a_file
@pytest.mark.parametrize("which", WAITING_TWICE)
def test_revoke_waits_as_long_as_it_says(
    registry: Registry, holder: subprocess.Popen, monkeypatch: pytest.MonkeyPatch, which: str
):
    """A whole minute where every other writer waits for half of one, here with shorter minutes; lower bounds, whatever the load."""
    assert connections.LOCK_TIMEOUT_SECONDS == 30
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_SECONDS", 0.4)
    assert seconds_refused(lambda: issue(registry, "bob")) >= 0.4
    assert seconds_refused(lambda: WAITING_TWICE[which](registry, "no token")) >= 0.8
    holder.kill()
    holder.wait()
    token = issue(registry).access_token
    WAITING_TWICE[which](registry, token)
    assert registry.count(SessionFilter(status=Status.REVOKED)) == 1
