"""Microsoft Entra's token pairs, each scenario a test named after its row.

Figures and limits from Microsoft's documentation of configurable token lifetimes; rotation and reuse as RFC 9700, section
4.14.2, has them.
"""

import fcntl
import json
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import (
    EventFilter,
    Refused,
    Registry,
    RegistryUnavailable,
    Session,
    SessionFilter,
    TokenEnded,
    TokenExpired,
    TokenInvalid,
    TokenMisused,
    TokenReused,
    TokenRevoked,
    TokenUnknown,
    profiles,
)
from authctl.instants import DAY, HOUR, MINUTE, SECOND
from tests.conftest import Authctl, Clock, Install, Start

ENTRA = """\
version: 1
default_profile: entra
profiles:
  entra:
    tokens: pair
    access_lifetime: 1h
    idle_timeout: 14d
    absolute_timeout: 90d
    refresh: {grace: 0s, on_reuse: revoke}
  tolerant:
    tokens: pair
    idle_timeout: 14d
    absolute_timeout: 90d
    refresh: {grace: 30s, on_reuse: refuse}
  graceful:
    tokens: pair
    idle_timeout: 14d
    absolute_timeout: 90d
    refresh: {grace: 30s}
  passwords:
    tokens: pair
    idle_timeout: 14d
    absolute_timeout: 90d
    ends_on_password_change: password
"""


@pytest.fixture
def entra(install: Install) -> Registry:
    """A registry with profiles of token pairs."""
    return install(ENTRA)


def sign_in(registry: Registry, profile: str = "entra", user: str = "alice", **details):
    """A session with a pair of tokens."""
    return registry.issue(username=user, application="Teams", profile=profile, **details)


def deadline(session: Session) -> float:
    """In how many days of its registration a session ends."""
    return (session.expires_at - session.created_at) / DAY


def is_refused(registry: Registry, token: str, error: type[TokenInvalid], **facts) -> bool:
    """Whether a refresh is refused for that reason; any other is let through."""
    try:
        registry.refresh(token, **facts)
    except error as refused:
        return type(refused) is error
    return False


def test_e1_an_access_token_ends_before_its_session(entra: Registry, clock: Clock):
    """Valid until an hour is over; refused then, and the session is still active."""
    issued = sign_in(entra)
    assert issued.expires_at - issued.session.created_at == HOUR
    clock.forward(hours=1, microseconds=-1)
    verified = entra.verify(issued.access_token)
    assert (verified.last_used_at, verified.expires_at) == (verified.read_at, issued.session.expires_at)
    clock.forward(microseconds=1)
    with pytest.raises(TokenExpired, match="access token"):
        entra.verify(issued.access_token)
    assert entra.session(issued.session.id).status == "active"


def test_e2_a_refresh_every_13_days_reaches_the_90th_and_no_further(entra: Registry, clock: Clock):
    """Granted on days 13, 26, … 78, the deadline moving to 27, 40, 53, 66, 79, and then to 90 instead of 92."""
    issued = sign_in(entra)
    assert deadline(issued.session) == 14
    moved = []
    for _ in range(6):
        clock.forward(days=13)
        issued = entra.refresh(issued.refresh_token)
        assert entra.verify(issued.access_token).generation == issued.session.generation
        moved.append(deadline(issued.session))
    assert moved == [27, 40, 53, 66, 79, 90]


def test_e3_the_day_before_the_last_and_the_last(entra: Registry, clock: Clock):
    """On day 89 it is granted with the deadline still 90, and its access token ends by then; on day 90 it is refused."""
    issued = sign_in(entra)
    for _ in range(8):
        clock.forward(days=11)
        issued = entra.refresh(issued.refresh_token)
    clock.forward(days=1)
    issued = entra.refresh(issued.refresh_token)
    assert deadline(issued.session) == 90
    clock.forward(hours=23, minutes=30)
    last = entra.refresh(issued.refresh_token)
    assert last.expires_at == last.session.expires_at == issued.session.expires_at
    clock.forward(minutes=30)
    assert is_refused(entra, last.refresh_token, TokenExpired)
    assert entra.session(issued.session.id).ended_reason == "absolute"


def test_e4_a_gap_of_14_days(entra: Registry, clock: Clock):
    """A refresh after 14 days without one is refused, at any time; a verify in between moves nothing."""
    issued = sign_in(entra)
    clock.forward(days=13)
    issued = entra.refresh(issued.refresh_token)
    clock.forward(minutes=59)
    entra.verify(issued.access_token)
    clock.forward(days=14, minutes=-59, microseconds=-1)
    assert entra.session(issued.session.id).status == "active"
    clock.forward(microseconds=1)
    assert is_refused(entra, issued.refresh_token, TokenExpired)
    assert entra.session(issued.session.id).ended_reason == "idle"


@pytest.mark.parametrize(
    ("timeouts", "absence"),
    [
        ("idle_timeout: 5d, absolute_timeout: 90d", timedelta(days=7)),
        ("idle_timeout: 20h, absolute_timeout: 1d", timedelta(hours=25)),
    ],
)
def test_e5_absent_too_long_or_too_old(install: Install, clock: Clock, timeouts: str, absence: timedelta):
    """An idle limit of 5 days and 7 of absence; a longest age of a day and a use after 25 hours: refused."""
    registry = install(f"version: 1\nprofiles: {{short: {{tokens: pair, access_lifetime: 1h, {timeouts}}}}}")
    issued = registry.issue(username="alice", application="Teams")
    if "1d" in timeouts:  # kept in use, so that it is its age that ends it
        clock.forward(hours=19)
        issued = registry.refresh(issued.refresh_token)
        absence -= timedelta(hours=19)
    clock.now += absence
    assert is_refused(registry, issued.refresh_token, TokenExpired)


def test_e6_a_changed_password_ends_what_was_signed_in_before(entra: Registry, clock: Clock):
    """Refresh tokens at once, access tokens at the next verify; later sign-ins are untouched."""
    before = sign_in(entra)
    refreshed = sign_in(entra)
    clock.forward(minutes=1)
    refreshed = entra.refresh(refreshed.refresh_token)
    assert entra.users.password_changed("alice", note="reset by the help desk").ended == 2
    for one in (before, refreshed):
        assert is_refused(entra, one.refresh_token, TokenEnded)
        with pytest.raises(TokenEnded):
            entra.verify(one.access_token)
        assert entra.session(one.session.id).ended_reason == "password_changed"
    later = sign_in(entra)
    assert entra.refresh(later.refresh_token).session.status == "active"


def test_e7_sessions_that_no_password_opened_survive_it(entra: Registry, clock: Clock):
    """What a key opened survives; a session first opened by a password stays one, however often it was refreshed."""
    opened = {
        how: sign_in(entra, "passwords", signed_in_with=how) for how in ("password", "key", "saml", "other", None)
    }
    clock.forward(days=1)
    opened = {how: entra.refresh(one.refresh_token) for how, one in opened.items()}
    outcome = entra.users.password_changed("alice", note="reset by the help desk")
    assert (outcome.ended, outcome.kept) == (2, 3)
    alive = {how: entra.session(one.session.id).status.value for how, one in opened.items()}
    assert alive == {"password": "expired", None: "expired", "key": "active", "saml": "active", "other": "active"}
    assert entra.refresh(opened["key"].refresh_token).session.signed_in_with == "key"


def test_e8_an_administrator_ends_everything_however_signed_in(entra: Registry):
    """Revoking a user's sessions covers every one, whatever opened it."""
    issued = [sign_in(entra, "passwords", signed_in_with=how) for how in ("password", "key", "saml", "other", None)]
    assert entra.revoke(SessionFilter(username="alice"), note="lost device").revoked == 5
    for one in issued:
        assert is_refused(entra, one.refresh_token, TokenRevoked)
        with pytest.raises(TokenRevoked):
            entra.verify(one.access_token)


def test_e10_each_application_has_its_session_and_profile(install: Install, clock: Clock):
    """At 13:00 the session of 8 hours lives and that of 30 minutes is over; signing in again starts a new age."""
    registry = install("""\
version: 1
default_profile: day
assignments: [{application: B, profile: half-hour}]
profiles:
  day: {absolute_timeout: 8h}
  half-hour: {absolute_timeout: 30m}
""")
    clock.now = clock.now.replace(hour=12)
    first = registry.issue(username="u", application="A")
    clock.forward(minutes=15)
    second = registry.issue(username="u", application="B")
    clock.forward(minutes=45)
    assert registry.verify(first.access_token).profile == "day"
    with pytest.raises(TokenExpired):
        registry.verify(second.access_token)
    again = registry.issue(username="u", application="B")
    assert again.session.id != second.session.id
    assert again.session.expires_at == registry.now() + 30 * MINUTE
    assert registry.count(SessionFilter(username="u")) == 3


def test_r1_a_refresh_gives_a_new_pair(entra: Registry, clock: Clock):
    """The old refresh token is spent, and the old access token ends at once."""
    issued = sign_in(entra)
    clock.forward(minutes=1)
    refreshed = entra.refresh(issued.refresh_token)
    assert {issued.access_token, issued.refresh_token}.isdisjoint({refreshed.access_token, refreshed.refresh_token})
    with pytest.raises(TokenEnded, match="replaced"):
        entra.verify(issued.access_token)
    assert entra.verify(refreshed.access_token).id == issued.session.id
    assert refreshed.expires_at == entra.now() + HOUR
    assert refreshed.session.last_used_at == entra.now()
    assert [event.action for event in entra.audit.events()][:2] == ["token.refresh", "session.issue"]


def test_r1_a_verify_that_a_refresh_overtakes_is_judged_again(
    entra: Registry, clock: Clock, home: Path, monkeypatch: pytest.MonkeyPatch
):
    """Refreshed between the look-up and the writing of the use: the token that was presented is over."""
    issued = sign_in(entra)
    clock.forward(minutes=50)
    look_up = entra._installation.store.by_number

    def overtaken(number: int, now: int):
        found = look_up(number, now)
        monkeypatch.undo()
        with Registry.open(home, clock=clock) as elsewhere:
            elsewhere.refresh(issued.refresh_token)
        return found

    monkeypatch.setattr(entra._installation.store, "by_number", overtaken)
    with pytest.raises(TokenEnded, match="replaced"):
        entra.verify(issued.access_token)


def test_r1_through_the_commands(authctl: Authctl, tmp_path: Path):
    """`tokens refresh` answers as `tokens issue` does: the access token alone, or with its pair as JSON."""
    (tmp_path / "entra.yaml").write_text(ENTRA)
    authctl("init", "--profiles", str(tmp_path / "entra.yaml"))
    plain = authctl("tokens", "issue", "--user", "bob", "--application", "Teams")
    assert plain.out.startswith("acat_")
    assert "warning: only the access token is printed; for the refresh token: -o json" in plain.err
    issued = authctl("tokens", "issue", "--user", "alice", "--application", "Teams", "-o", "json").json
    assert list(issued) == ["session", "access_token", "token_type", "expires_at", "refresh_token"]
    assert issued["expires_at"] < issued["session"]["expires_at"]
    assert authctl("tokens", "verify", "-o", "json", stdin=issued["refresh_token"]).json == {"active": False}
    refreshed = authctl("tokens", "refresh", "-o", "json", stdin=issued["refresh_token"])
    assert (refreshed.code, list(refreshed.json)) == (0, list(issued))
    introspected = authctl("tokens", "verify", "-o", "json", stdin=refreshed.json["access_token"]).json
    assert introspected["exp"] - introspected["iat"] == 3600
    assert introspected["jti"] == issued["session"]["id"]
    assert authctl("tokens", "verify", "-o", "json", stdin=issued["access_token"]).json == {"active": False}
    assert authctl("tokens", "refresh", stdin=refreshed.json["access_token"]).code == 5
    again = authctl("tokens", "refresh", stdin=issued["refresh_token"])
    assert (again.code, again.out) == (5, "")
    assert again.err == "authctl: error: the refresh token was already used\n"
    shown = authctl("sessions", "show", issued["session"]["id"], "-o", "json").json
    assert (shown["status"], shown["revoked_by"], shown["note"]) == (
        "revoked",
        "authctl",
        "refresh token reuse detected",
    )


def test_r2_a_spent_token_revokes_its_session(entra: Registry, clock: Clock, home: Path):
    """Without grace a second use is refused and the whole session revoked, which is committed before it is told."""
    issued = sign_in(entra)
    other = sign_in(entra)
    clock.forward(seconds=1)
    refreshed = entra.refresh(issued.refresh_token)
    with pytest.raises(TokenReused):
        entra.refresh(issued.refresh_token)
    with Registry.open(home, clock=clock) as elsewhere:  # committed: any other process sees it
        session = elsewhere.session(issued.session.id)
    assert (session.status.value, session.revoked_by, session.note) == (
        "revoked",
        "authctl",
        "refresh token reuse detected",
    )
    (event,) = entra.audit.events(EventFilter(action="token.reuse"))
    assert (event.actor, event.subject, event.note) == ("authctl", session.id, session.note)
    assert event in list(entra.audit.events(EventFilter(session_id=session.id)))
    assert event in list(entra.audit.events(EventFilter(username="ALICE")))
    with pytest.raises(TokenRevoked):
        entra.verify(refreshed.access_token)
    assert is_refused(entra, refreshed.refresh_token, TokenRevoked)
    assert is_refused(entra, issued.refresh_token, TokenRevoked)
    assert entra.verify(other.access_token).status == "active"
    entra.audit.verify()


@pytest.mark.in_a_file
def test_r3_within_grace_the_same_pair_is_given_again(entra: Registry, clock: Clock, home: Path):
    """A lost answer signs nobody out: the spent token is answered with its own successor, though no secret is stored."""
    issued = sign_in(entra, "graceful")
    clock.forward(days=1)
    first = entra.refresh(issued.refresh_token)
    events = len(list(entra.audit.events()))
    clock.forward(seconds=30, microseconds=-1)
    with Registry.open(home, clock=clock) as elsewhere:
        second = elsewhere.refresh(issued.refresh_token)
    assert (second.access_token, second.refresh_token) == (first.access_token, first.refresh_token)
    assert (second.expires_at, second.session.expires_at) == (first.expires_at, first.session.expires_at)
    assert len(list(entra.audit.events())) == events
    assert entra.verify(second.access_token).generation == 1
    database = b"".join(path.read_bytes() for path in home.glob("registry.db*"))
    assert issued.session.id.encode() in database
    for one in (issued, first):
        for token in (one.access_token, one.refresh_token):
            assert token.encode() not in database
            assert bytes.fromhex(token[33:65]) not in database


def test_r4_after_its_successor_was_used_or_grace_is_over(entra: Registry, clock: Clock):
    """The successor exchanged already, or the grace period past: as without grace."""
    issued, late = sign_in(entra, "graceful"), sign_in(entra, "graceful")
    clock.forward(minutes=1)
    first, _ = entra.refresh(issued.refresh_token), entra.refresh(late.refresh_token)
    clock.forward(seconds=1)
    entra.refresh(first.refresh_token)
    assert is_refused(entra, issued.refresh_token, TokenReused)
    assert entra.session(issued.session.id).status == "revoked"
    clock.forward(seconds=29)
    assert is_refused(entra, late.refresh_token, TokenReused)
    assert entra.session(late.session.id).status == "revoked"


def test_r5_where_reuse_is_tolerated_nothing_is_revoked(entra: Registry, clock: Clock):
    """Refused, and the successor goes on."""
    issued = sign_in(entra, "tolerant")
    first = entra.refresh(issued.refresh_token)
    clock.forward(seconds=31)
    events = len(list(entra.audit.events()))
    assert is_refused(entra, issued.refresh_token, TokenReused)
    assert len(list(entra.audit.events())) == events
    assert entra.refresh(first.refresh_token).session.status == "active"


@pytest.mark.parametrize("grace", ["entra", "graceful"])
def test_r6_an_expired_refresh_token_revokes_nothing(entra: Registry, clock: Clock, grace: str):
    """Whether it is the present one or a spent one, inside or outside its grace."""
    issued = sign_in(entra, grace)
    for _ in range(7):
        clock.forward(days=12, hours=20)
        spent, issued = issued, entra.refresh(issued.refresh_token)
    clock.now += timedelta(microseconds=issued.session.expires_at - entra.now() - 10 * SECOND)
    spent, issued = issued, entra.refresh(issued.refresh_token)
    clock.forward(seconds=10)
    for token in (spent.refresh_token, issued.refresh_token):
        assert is_refused(entra, token, TokenExpired)
    clock.forward(minutes=1)
    assert is_refused(entra, spent.refresh_token, TokenExpired)
    assert entra.session(issued.session.id).status == "expired"


def test_r7_one_of_two_sessions(entra: Registry):
    """Revoking one leaves the user's other untouched."""
    one, other = sign_in(entra), sign_in(entra)
    entra.revoke(SessionFilter(ids=(one.session.id,)), note="lost device")
    assert is_refused(entra, one.refresh_token, TokenRevoked)
    assert entra.refresh(other.refresh_token).session.status == "active"


RACER = """\
import sys
from authctl import Registry, TokenInvalid
with Registry.open() as registry:
    registry.count()
    token = sys.stdin.readline().strip()
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(registry.refresh(token).access_token)
    except TokenInvalid as error:
        print(type(error).__name__)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "successes"), [("graceful", 32), ("entra", 1)])
def test_r8_thirty_two_processes_at_once(install: Install, start: Start, home: Path, profile: str, successes: int):
    """One successor generation and never two live branches: with grace the same pair for all of them, without it one pair,
    and the session revoked for the reuse."""
    install(ENTRA)
    with Registry.open(home) as registry:
        issued = sign_in(registry, profile)
        racers = [start("-c", RACER) for _ in range(32)]
        for racer in racers:
            racer.stdin.write(f"{issued.refresh_token}\n")
            racer.stdin.flush()
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        answers = [racer.communicate(timeout=60) for racer in racers]
        assert {err for _, err in answers} == {""}
        tokens = [out.strip() for out, _ in answers if out.startswith("acat_")]
        refusals = {out.strip() for out, _ in answers if not out.startswith("acat_")}
        assert (len(tokens), len(set(tokens))) == (successes, 1)
        session = registry.session(issued.session.id)
        assert session.generation == 1
        assert len(list(registry.audit.events(EventFilter(action="token.refresh")))) == 1
        if successes == 32:
            assert registry.verify(tokens[0]).generation == 1
        else:
            assert refusals == {"TokenReused", "TokenRevoked"}
            assert session.status == "revoked"
            assert len(list(registry.audit.events(EventFilter(action="token.reuse")))) == 1


def test_r9_killed_after_the_commit_and_before_the_answer(install: Install, start: Start, home: Path):
    """The answer is held back by a full pipe, the process killed once its commit is seen; the retry gets the pair."""
    install(ENTRA)
    with Registry.open(home) as registry:
        issued = sign_in(registry, "graceful")
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while True:
                os.write(writing, b"x" * 65_536)
        except BlockingIOError:
            fcntl.fcntl(writing, fcntl.F_SETFL, 0)
        killed = start("-m", "authctl", "tokens", "refresh", "-o", "json", stdout=writing)
        killed.stdin.write(issued.refresh_token)
        killed.stdin.close()
        killed.stdin = None
        until = time.monotonic() + 30
        while registry.session(issued.session.id).generation == 0 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
        assert killed.poll() is None, "it should be waiting for its reader"
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            assert set(pipe.read()) == {ord("x")}, "no part of an answer got out"
        assert registry.session(issued.session.id).generation == 1
        retried = start("-m", "authctl", "tokens", "refresh", "-o", "json")
        out, err = retried.communicate(issued.refresh_token, timeout=60)
        assert retried.returncode == 0, err
        answer = json.loads(out)
        assert registry.session(issued.session.id).generation == 1
        assert registry.verify(answer["access_token"]).id == issued.session.id
        assert registry.refresh(answer["refresh_token"]).session.generation == 2


def test_r10_another_application_s_client(entra: Registry, clock: Clock):
    """Refused, and nothing revoked, with the present token and with a spent one; its own application goes on."""
    issued = sign_in(entra)
    assert is_refused(entra, issued.refresh_token, TokenMisused, application="Outlook")
    refreshed = entra.refresh(issued.refresh_token, application="TEAMS")
    assert is_refused(entra, issued.refresh_token, TokenMisused, application="Outlook")
    assert entra.session(issued.session.id).status == "active"
    assert entra.verify(refreshed.access_token, application="teams").generation == 1


@pytest.mark.parametrize(("forward", "back"), [(0, 1), (29, 3600), (31, 30), (40, 15), (86_400, 86_390)])
def test_r11_grace_is_not_extended_by_a_clock_set_back(entra: Registry, clock: Clock, forward: int, back: int):
    """Once anything was recorded at a later instant, a spent token has no grace left: it is reuse."""
    issued = sign_in(entra, "graceful")
    entra.refresh(issued.refresh_token)
    clock.forward(seconds=forward)
    sign_in(entra, user="bob")
    clock.forward(seconds=-back)
    assert is_refused(entra, issued.refresh_token, TokenReused)
    assert entra.session(issued.session.id).status == "revoked"


def test_r11_a_later_use_that_was_written_counts_too(entra: Registry, clock: Clock):
    """The successor's access token was used after the grace; set back into it, the clock gives none."""
    issued = sign_in(entra, "graceful")
    refreshed = entra.refresh(issued.refresh_token)
    clock.forward(minutes=30)
    entra.verify(refreshed.access_token)
    clock.forward(minutes=-30, seconds=5)
    assert is_refused(entra, issued.refresh_token, TokenReused)


def test_a_refresh_token_is_no_access_token_and_the_reverse(entra: Registry):
    """Neither stands in for the other."""
    issued = sign_in(entra)
    with pytest.raises(TokenUnknown):
        entra.verify(issued.refresh_token)
    assert is_refused(entra, issued.access_token, TokenUnknown)
    assert is_refused(entra, "nonsense", TokenUnknown)


def test_the_single_page_application_s_rotated_token_keeps_the_first_one_s_deadline(install: Install, clock: Clock):
    """24 hours from the sign-in, however often it is refreshed."""
    registry = install("version: 1\nprofiles: {spa: {tokens: pair, idle_timeout: never, absolute_timeout: 24h}}")
    issued = registry.issue(username="alice", application="Portal")
    for _ in range(23):
        clock.forward(hours=1)
        issued = registry.refresh(issued.refresh_token)
        assert deadline(issued.session) == 1
    clock.forward(hours=1)
    assert is_refused(registry, issued.refresh_token, TokenExpired)


@pytest.mark.in_a_file
def test_a_refresh_that_cannot_be_written_gives_no_tokens(entra: Registry, home: Path, monkeypatch: pytest.MonkeyPatch):
    """Unavailable, and the token is not spent: nothing was written."""
    from authctl.store.sqlite.library import sqlite3

    monkeypatch.setattr("authctl.store.sqlite.connections.LOCK_TIMEOUT_SECONDS", 0.05)
    issued = sign_in(entra)
    holder = sqlite3.connect(home / "registry.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryUnavailable):
        entra.refresh(issued.refresh_token)
    holder.close()
    assert entra.refresh(issued.refresh_token).session.generation == 1


def test_a_refresh_moves_the_session_to_the_present_profile(entra: Registry, clock: Clock):
    """The next access token lives as long as the profile in force says; living ones are only ever shortened."""
    issued = sign_in(entra)
    longer = profiles.read(ENTRA.replace("access_lifetime: 1h", "access_lifetime: 2h").encode(), "profiles.yaml")
    entra.profiles.apply(longer, note="as the vendor has it")
    clock.forward(hours=1)
    with pytest.raises(TokenExpired):
        entra.verify(issued.access_token)
    issued = entra.refresh(issued.refresh_token)
    assert issued.expires_at == entra.now() + 2 * HOUR
    shorter = profiles.read(ENTRA.replace("access_lifetime: 1h", "access_lifetime: 10m").encode(), "profiles.yaml")
    entra.profiles.apply(shorter, note="tightened")
    clock.forward(minutes=10, microseconds=-1)
    assert entra.verify(issued.access_token).status == "active"
    clock.forward(microseconds=1)
    with pytest.raises(TokenExpired):
        entra.verify(issued.access_token)


def test_a_session_keeps_the_tokens_it_was_registered_with(entra: Registry, clock: Clock):
    """A profile that becomes single leaves pairs pairs; one that becomes a pair leaves single tokens single."""
    pair = sign_in(entra, "graceful")
    single = profiles.read(b"version: 1\nprofiles: {graceful: {idle_timeout: 5d}}", "profiles.yaml")
    entra.profiles.apply(single, note="no more pairs")
    plain = sign_in(entra, "graceful")
    assert (plain.refresh_token, plain.session.tokens) == (None, "single")
    clock.forward(days=1)
    pair = entra.refresh(pair.refresh_token)
    assert pair.session.expires_at == entra.now() + 5 * DAY
    entra.profiles.apply(profiles.read(ENTRA.encode(), "profiles.yaml"), note="pairs again")
    clock.forward(days=1)
    assert entra.verify(plain.access_token).expires_at == entra.now() + 14 * DAY
    assert entra.session(pair.session.id).expires_at == pair.session.last_used_at + 14 * DAY


def test_a_disabled_user_is_refused_a_refresh(entra: Registry):
    """The session has ended, and none is registered anew."""
    issued = sign_in(entra)
    entra.users.disable("alice", note="left the company")
    assert is_refused(entra, issued.refresh_token, TokenEnded)
    with pytest.raises(Refused):
        sign_in(entra)
