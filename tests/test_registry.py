"""The use cases through the real store: issue, verify, end, revoke, profiles, cleanup, audit."""

import json
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import (
    NEVER,
    EventFilter,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    Refused,
    Registry,
    SessionFilter,
    TokenEnded,
    TokenExpired,
    TokenInvalid,
    TokenMisused,
    TokenRevoked,
    TokenUnknown,
    datetime_of,
    key_ring,
    profiles,
)
from authctl.cli.exit_codes import exit_code_of
from authctl.errors import OutcomeUnknown
from authctl.instants import DAY, HOUR, SECOND, instant_of, parse_duration
from authctl.registry import sessions as listing
from authctl.registry.bounds import Bound
from authctl.tokens import TokenKind, TokenMint
from tests import places
from tests.conftest import START, Clock, Install


def issue(registry: Registry, *users: str, **details) -> list[str]:
    """Issue a session for each user, a second apart where the clock is ours; the ids."""
    return [registry.issue(username=user, application="Outlook", **details).session.id for user in users]


def apply(registry: Registry, text: str, **options):
    """Put a profiles text in force."""
    return registry.profiles.apply(profiles.read(text.encode(), "p.yaml"), note="tightened", **options)


def actions(registry: Registry) -> list[str]:
    """The actions of the audit log, newest first."""
    return [event.action for event in registry.audit.events()]


# Issuing and verifying


def test_a_token_opens_its_own_session(registry: Registry):
    """What verify returns is the session that was issued, and nothing in the token names the user."""
    issued = registry.issue(
        username="alice", application="Outlook", device="AL-PC", ip="10.0.0.1", signed_in_with="saml"
    )
    found = registry.verify(issued.access_token)
    assert (found.id, found.username, found.device, found.signed_in_with) == (
        issued.session.id,
        "alice",
        "AL-PC",
        "saml",
    )
    assert issued.refresh_token is None
    assert issued.expires_at == issued.session.expires_at
    assert "alice" not in issued.access_token
    assert issued.session.id not in issued.access_token


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"username": "al\u200bice"}, "U\\+200B"),
        ({"username": " "}, "blank"),
        ({"application": ""}, "blank"),
        ({"device": "x" * 1001}, "longer than 1,000"),
        ({"user_agent": "a\0b"}, "U\\+0000"),
        ({"kind": "robot"}, "no such kind"),
        ({"signed_in_with": "magic"}, "no such way"),
    ],
)
def test_what_cannot_be_accepted_registers_nothing(registry: Registry, details: dict, error: str):
    """A bad name or an over-long field is refused, and no trace of it is left."""
    with pytest.raises(InvalidInput, match=error):
        registry.issue(**{"username": "alice", "application": "Outlook", **details})
    assert registry.count() == 0
    assert actions(registry) == ["registry.init"]


def test_an_unknown_profile_is_not_found(registry: Registry):
    """A profile that is not in force gives no session."""
    with pytest.raises(NotFound):
        registry.issue(username="alice", application="Outlook", profile="nope")


def test_every_reason_to_refuse_a_token(registry: Registry, clock: Clock):
    """Each way for a session to be over has its own error; all are TokenInvalid, exit code 5, with no order to wipe."""
    tokens = [registry.issue(username=u, application="Outlook").access_token for u in ("alice", "bob", "carol")]
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.end([tokens[1]])
    for token, error in zip(tokens[:2], (TokenRevoked, TokenEnded), strict=True):
        with pytest.raises(error) as caught:
            registry.verify(token)
        assert (exit_code_of(caught.type), caught.value.action) == (5, None)
    with pytest.raises(TokenMisused):
        registry.verify(tokens[2], application="Evil")
    assert registry.verify(tokens[2], application="OUTLOOK").username == "carol"
    clock.forward(days=3)
    with pytest.raises(TokenExpired):
        registry.verify(tokens[2])
    with pytest.raises(TokenUnknown):
        registry.verify("acat_" + "0" * 124)


def test_a_use_is_written_when_it_matters(install: Install, clock: Clock, home: Path):
    """A profile of 10 minutes writes after 6 seconds, one without end after 60; nothing is written in between."""
    registry = install("version: 1\ndefault_profile: a\nprofiles: {a: {idle_timeout: 10m}, b: {idle_timeout: never}}")
    for profile, interval in (("a", 6), ("b", 60)):
        issued = registry.issue(username="alice", application="Outlook", profile=profile)
        clock.forward(seconds=interval - 0.001)
        registry.verify(issued.access_token)
        assert registry.session(issued.session.id).last_used_at == issued.session.created_at
        clock.forward(seconds=0.001)
        registry.verify(issued.access_token)
        assert registry.session(issued.session.id).last_used_at == issued.session.created_at + interval * SECOND


def test_the_absolute_timeout_caps_every_use(install: Install, clock: Clock):
    """However often it is used, a session ends at its absolute timeout, and says so."""
    registry = install("version: 1\nprofiles: {day: {idle_timeout: 10h, absolute_timeout: 24h}}")
    issued = registry.issue(username="alice", application="Outlook")
    for _ in range(4):
        clock.forward(hours=5)
        registry.verify(issued.access_token)
    assert registry.session(issued.session.id).expires_at == issued.session.created_at + DAY
    clock.forward(hours=4)
    session = registry.session(issued.session.id)
    assert (session.status.value, session.ended_reason) == ("expired", "absolute")
    with pytest.raises(TokenExpired):
        registry.verify(issued.access_token)


def test_neither_the_key_nor_the_database_alone_forges(registry: Registry, home: Path, install: Install):
    """Tokens of another registry's key are unknown, and so are this one's when its registry is another."""
    token = registry.issue(username="alice", application="Outlook").access_token
    other = install(folder="other")
    theirs = other.issue(username="alice", application="Outlook").access_token
    for one, foreign in ((registry, theirs), (other, token)):
        with pytest.raises(TokenUnknown):
            one.verify(foreign)
    (home / "keys.json").write_bytes((home.parent / "other" / "keys.json").read_bytes())
    with Registry.open(home, registry=places.place_in(home)) as reopened, pytest.raises(TokenUnknown):
        reopened.verify(theirs)


def test_revoking_by_token(registry: Registry, clock: Clock):
    """One that is unknown or over is no error (RFC 7009); an expired or ended one's session is revoked, a revoked one's stays."""
    issued, expired = (registry.issue(username="alice", application="Outlook") for _ in range(2))
    with pytest.raises(Refused):
        registry.tokens.revoke(issued.access_token, note=None)
    unknown = registry.tokens.revoke("nonsense", note="signed out by the client")
    assert (unknown.selected, unknown.revoked, unknown.revocation_id) == (0, 0, None)
    outcome = registry.tokens.revoke(issued.access_token, note="signed out by the client", actor="gateway")
    assert (outcome.revoked, outcome.sessions[0].id) == (1, issued.session.id)
    found = registry.session(issued.session.id)
    assert (found.status.value, found.note, found.revoked_by) == ("revoked", "signed out by the client", "gateway")
    again = registry.tokens.revoke(issued.access_token, note="once more")
    assert (again.selected, again.revoked, again.already_revoked, again.revocation_id) == (1, 0, 1, None)
    clock.forward(days=4)
    assert registry.tokens.revoke(expired.access_token, note="lost device").revoked == 1
    assert [event.action for event in registry.audit.events()].count("session.revoke") == 2


def test_revoking_by_token_needs_its_secret(registry: Registry, home: Path):
    """A holder of the key alone revokes nothing with a token of his own making."""
    issued = registry.issue(username="alice", application="Outlook")
    ring = key_ring.load(home / "keys.json")
    forged = TokenMint(ring).mint(TokenKind.ACCESS, ring.signing.id, issued.session.number, 0, b"\0" * 16)
    assert registry.tokens.revoke(forged, note="lost device").selected == 0
    assert registry.end([forged]).not_found != ()
    assert registry.verify(issued.access_token).status == "active"


def test_revoking_needs_no_key_ring(registry: Registry, home: Path):
    """Revoke is built to succeed: without profiles.yaml and without the key file."""
    issue(registry, "alice")
    registry.close()
    (home / "keys.json").unlink()
    (home / "profiles.yaml").unlink()
    with Registry.open(home, registry=places.place_in(home)) as reopened:
        assert reopened.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1


# Ending


def test_ending_is_final_and_told_apart(registry: Registry, clock: Clock):
    """Ids and tokens end; what had ended stays as it was; what is unknown is named, but never a token."""
    issued = registry.issue(username="alice", application="Outlook")
    outcome = registry.end([issued.session.id[:8], "nosuchsession", "acat_123"], actor="bob")
    assert (outcome.ended, outcome.already_ended, outcome.not_found) == (1, 0, ("nosuchsession", "acat_..."))
    session = registry.session(issued.session.id)
    assert (session.status.value, session.ended_reason, session.ended_at) == (
        "expired",
        "signed_out",
        instant_of(START),
    )
    clock.forward(hours=1)
    assert registry.end([issued.access_token]).already_ended == 1
    assert registry.session(issued.session.id).ended_at == instant_of(START)
    assert actions(registry).count("session.end") == 1


# Revoking


def test_what_happened_to_each(registry: Registry, clock: Clock):
    """The outcome says what each session was before, and what was unknown; the rest is done."""
    expired, ended, active = issue(registry, "alice", "alice", "alice")
    registry.end([ended])
    clock.forward(days=3)
    active = issue(registry, "alice")[0]
    revoked = issue(registry, "alice")[0]
    registry.revoke(SessionFilter(ids=(revoked,)), note="first note", actor="eve")
    chosen = (expired, ended, active, revoked, "unknown-id")
    outcome = registry.revoke(SessionFilter(ids=chosen), note="second note", actor="bob")
    assert (outcome.selected, outcome.revoked, outcome.already_revoked) == (4, 3, 1)
    assert outcome.not_found == ("unknown-id",)
    before = {session.id: session.status_before.value for session in outcome.sessions}
    assert before == {expired: "expired", ended: "expired", active: "active", revoked: "revoked"}
    assert registry.session(revoked).note == "first note"


def test_expired_sessions_are_revoked_too(registry: Registry, clock: Clock):
    """A lost phone still holds its data: expired and ended sessions are revoked, unless the status narrows."""
    issue(registry, "alice")
    clock.forward(days=4)
    issue(registry, "alice")
    assert registry.revoke(SessionFilter(username="alice", status="active"), note="lost device").revoked == 1
    assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1


def test_a_dry_run_finds_what_the_operation_does(registry: Registry):
    """Same counts and sessions, and nothing is written; a limit refuses both."""
    issue(registry, "alice", "bob", "alice")
    selection = SessionFilter(username="alice")
    preview = registry.revoke(selection, note=None, dry_run=True)
    assert actions(registry)[0] == "session.issue"
    with pytest.raises(Refused, match="than the limit of 1"):
        registry.revoke(selection, note="lost device", max_affected=1)
    assert registry.count(SessionFilter(status="revoked")) == 0
    outcome = registry.revoke(selection, note="lost device", max_affected=2)
    assert preview.dry_run
    assert preview.revocation_id is None
    assert (preview.selected, preview.revoked, preview.sessions) == (
        outcome.selected,
        outcome.revoked,
        outcome.sessions,
    )


def test_newly_revoking_nothing_writes_nothing(registry: Registry):
    """No revocation and no event: by ids whose sessions were revoked before, and by criteria that no session meets."""
    (alice,) = issue(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    written = actions(registry)
    for selection in (SessionFilter(ids=(alice,)), SessionFilter(username="nobody")):
        outcome = registry.revoke(selection, note="once more")
        assert (outcome.revoked, outcome.revocation_id) == (0, None)
    assert actions(registry) == written


def test_criteria_that_matched_are_recorded_though_nothing_was_left_to_revoke(registry: Registry):
    """With the note and an event: an import may bring later what the operation meant."""
    issue(registry, "alice")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    for selection in (SessionFilter(username="alice"), SessionFilter(everything=True)):
        outcome = registry.revoke(selection, note="breach, once more")
        assert (outcome.selected, outcome.revoked, outcome.already_revoked) == (1, 0, 1)
        event = next(registry.audit.events())
        assert (event.action, event.subject, event.note) == (
            "session.revoke",
            str(outcome.revocation_id),
            "breach, once more",
        )
    assert next(registry.sessions()).note == "lost device"


def test_revoking_everything_in_an_empty_registry_binds_nothing(registry: Registry):
    """Nothing was matched, so that nothing is recorded."""
    written = actions(registry)
    assert registry.revoke(SessionFilter(everything=True), note="breach drill").revocation_id is None
    assert actions(registry) == written


def test_everything_with_exceptions_and_limits(registry: Registry):
    """Exceptions are spared and stay active; a limit counts without them; an unknown exception stops everything."""
    mine, *others = issue(registry, "alice", "bob", "carol")
    with pytest.raises(NotFound):
        registry.revoke(SessionFilter(everything=True, except_ids=("abcdefgh",)), note="breach drill")
    with pytest.raises(Refused):
        registry.revoke(SessionFilter(everything=True, except_ids=(mine,)), note="breach drill", max_affected=1)
    selection = SessionFilter(everything=True, except_ids=(mine[:7],))
    outcome = registry.revoke(selection, note="breach drill", max_affected=2)
    assert (outcome.revoked, outcome.already_revoked, {s.id for s in outcome.sessions}) == (2, 0, set(others))
    assert registry.session(mine).status == "active"
    assert registry.revoke(selection, note="breach again").revoked == 0
    assert registry.session(mine).status == "active"
    assert registry.revoke(SessionFilter(everything=True), note="the last one").revoked == 1


def test_everything_by_status(registry: Registry, clock: Clock):
    """`--all --status active` leaves the expired alone."""
    issue(registry, "alice")
    clock.forward(days=3)
    issue(registry, "bob")
    outcome = registry.revoke(SessionFilter(everything=True, status="active"), note="breach drill")
    assert [s.username for s in outcome.sessions] == ["bob"]
    assert registry.count(SessionFilter(status="expired")) == 1


@pytest.mark.parametrize(
    "selection",
    [SessionFilter(), SessionFilter(except_ids=()), SessionFilter(everything=True, username="alice")],
)
def test_without_a_target_nothing_is_revoked(registry: Registry, selection: SessionFilter):
    """No criterion is never everything, and everything takes no filter beside it."""
    issue(registry, "alice")
    with pytest.raises(InvalidInput):
        registry.revoke(selection, note="lost device")
    assert registry.count(SessionFilter(status="active")) == 1


def test_unknown_ids_alone_select_nothing(registry: Registry):
    """Not one id known is nothing selected, not everything."""
    issue(registry, "alice")
    outcome = registry.revoke(SessionFilter(ids=("zzzzzzzzzzzzzzzz", "?")), note="lost device")
    assert (outcome.selected, outcome.not_found) == (0, ("zzzzzzzzzzzzzzzz", "?"))


def test_abbreviated_ids(registry: Registry, home: Path):
    """Six characters or more, unique, in any case; a shorter or ambiguous one is refused and lists the candidates."""
    (one,) = issue(registry, "alice")
    twins = ("abcdefgh22222222", "abcdefgh33333333")
    for twin in twins:
        issue(registry, "bob")
        places.ask(home, "UPDATE sessions SET id = ? WHERE number = (SELECT max(number) FROM sessions)", (twin,))
    assert registry.session(f" {one[:6].upper()} ").id == one
    for typed in ("abcdefgh", "ABCDEF", "abc"):
        with pytest.raises(InvalidInput) as caught:
            registry.session(typed)
        assert all(twin in (caught.value.hint or "") for twin in twins)
    for unknown in ("alice", "", "abcdefgh4", "abcdefgh222222222", "a%", "zzzzzz"):
        with pytest.raises(NotFound):
            registry.session(unknown)


def test_a_long_list_misses_nobody_who_is_busy(registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """A session that is used while a list streams moves to its front, and still comes once."""
    monkeypatch.setattr(listing, "_FIRST_BATCH", 4)
    monkeypatch.setattr(listing, "_BATCH", 4)
    tokens = []
    for n in range(12):
        clock.forward(seconds=1)
        tokens.append(registry.issue(username=f"user{n}", application="Outlook").access_token)
    clock.forward(hours=1)
    streamed = registry.sessions(SessionFilter(status="active"))
    first = [session.username for session in islice(streamed, 4)]
    for token in (tokens[0], tokens[11]):
        registry.verify(token)
    rest = [session.username for session in streamed]
    assert sorted(first + rest) == sorted(f"user{n}" for n in range(12))


# Profiles


def test_applying_a_tighter_profile_acts_at_once(registry: Registry, clock: Clock):
    """Living sessions are shortened or end, in the transaction of the event; what ends does not revive."""
    (stale,) = issue(registry, "alice")
    clock.forward(days=2)
    (fresh,) = issue(registry, "bob")
    tight = "version: 1\nprofiles: {default: {idle_timeout: 1d}}"
    assert apply(registry, tight, dry_run=True).ended == 1
    with pytest.raises(Refused):
        apply(registry, tight, bound=Bound.of(()))
    assert registry.session(stale).status == "active"
    outcome = apply(registry, tight, actor="bob")
    assert (outcome.shortened, outcome.lengthened, outcome.ended, outcome.changed) == (1, 0, 1, ("default",))
    ended = registry.session(stale)
    assert (ended.status.value, ended.ended_reason, ended.expires_at) == ("expired", "idle", instant_of(clock.now))
    assert registry.session(fresh).expires_at == instant_of(clock.now) + DAY
    longer = apply(registry, "version: 1\nprofiles: {default: {idle_timeout: 30d}}")
    assert (longer.lengthened, longer.ended) == (1, 0)
    assert registry.session(stale).status == "expired"
    assert registry.audit.verify().seq == 7


def test_a_difference_is_what_applying_does(registry: Registry, clock: Clock):
    """By profile: added, changed, withdrawn or unchanged, and the counts that applying then has; nothing is written."""
    issue(registry, "alice")
    clock.forward(days=2)
    issue(registry, "bob")
    wanted = profiles.read(b"version: 1\ndefault_profile: new\nprofiles: {new: {}, default: {idle_timeout: 1d}}", "p")
    found = {one.name: one for one in registry.profiles.diff(wanted)}
    assert {name: one.change for name, one in found.items()} == {"new": "added", "default": "changed"}
    assert actions(registry)[0] == "session.issue"
    done = registry.profiles.apply(wanted, note="tightened")
    changed = found["default"]
    assert (
        (changed.shortened, changed.lengthened, changed.ended)
        == (done.shortened, done.lengthened, done.ended)
        == (1, 0, 1)
    )
    back = profiles.read(b"version: 1\nprofiles: {default: {idle_timeout: 1d}}", "p")
    assert [(one.name, one.change) for one in registry.profiles.diff(back)] == [
        ("default", "unchanged"),
        ("new", "withdrawn"),
    ]


def test_a_session_that_applying_ended_is_listed_its_six_months(install: Install, clock: Clock):
    """Its end is the instant it was ended, not a deadline far back that it never had."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: never}}")
    issue(registry, "alice")
    clock.forward(days=300)
    assert apply(registry, "version: 1\nprofiles: {default: {idle_timeout: 3d}}").ended == 1
    assert registry.cleanup.run().removed == 0


def test_a_withdrawn_profile_rules_the_sessions_it_has(registry: Registry, clock: Clock):
    """It takes no new sessions, but those it has slide as ever, and come back under it when it returns."""
    issued = registry.issue(username="alice", application="Outlook")
    outcome = apply(registry, "version: 1\nprofiles: {other: {idle_timeout: 1h}}")
    assert (outcome.added, outcome.withdrawn, outcome.ended) == (("other",), ("default",), 0)
    clock.forward(days=2)
    registry.verify(issued.access_token)
    assert registry.session(issued.session.id).expires_at == instant_of(clock.now) + 3 * DAY
    with pytest.raises(NotFound):
        registry.issue(username="alice", application="Outlook", profile="default")
    assert registry.issue(username="alice", application="Outlook").session.profile == "other"
    back = apply(registry, "version: 1\nprofiles: {default: {idle_timeout: 1d}}")
    assert (back.added, back.shortened) == (("default",), 1)


def test_another_process_sees_a_profile_at_once(registry: Registry, home: Path, clock: Clock):
    """Every registry on the same file goes by the profile in force, however long it has been open."""
    with Registry.open(home, registry=places.place_in(home), clock=clock) as second:
        issued = second.issue(username="alice", application="Outlook")
        apply(registry, "version: 1\nprofiles: {default: {idle_timeout: 10m}}")
        clock.forward(seconds=6)
        second.verify(issued.access_token)
        assert second.session(issued.session.id).expires_at == instant_of(clock.now) + 10 * 60 * SECOND


# Cleaning up


def test_cleanup_says_what_it_does(registry: Registry, clock: Clock):
    """An event with what is about to happen, one with what did; counts by status; a dry run writes nothing."""
    issue(registry, "alice", "bob", "carol")
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    clock.forward(days=400)
    issue(registry, "dora")
    before = actions(registry)
    dry = registry.cleanup.run(dry_run=True, accept_clock_jump=True)
    assert actions(registry) == before
    told: list[tuple[int, int]] = []
    done = registry.cleanup.run(accept_clock_jump=True, batch_size=2, progress=lambda one, of: told.append((one, of)))
    assert (dry.removed, dry.expired, dry.revoked) == (done.removed, done.expired, done.revoked) == (3, 2, 1)
    assert told[-1] == (3, 3)
    assert actions(registry)[:2] == ["cleanup.done", "cleanup.run"]
    newest = next(registry.audit.events())
    assert json.loads(newest.detail)["removed"] == {"expired": 2, "revoked": 1, "unacknowledged": 0}
    assert [s.username for s in registry.sessions()] == ["dora"]
    assert registry.audit.verify()


def test_older_than_may_only_lengthen(registry: Registry, clock: Clock):
    """A shorter age than the retention in force is refused; a longer one keeps more."""
    issue(registry, "alice")
    clock.forward(days=250)
    for shorter in ("5 months", "30d"):
        with pytest.raises(Refused, match="shorter than the retention"):
            registry.cleanup.run(older_than=parse_duration(shorter))
    assert registry.cleanup.run(older_than=parse_duration("9 months"), accept_clock_jump=True).removed == 0
    assert registry.cleanup.run(older_than=parse_duration("6 months"), accept_clock_jump=True).removed == 1


def test_the_retention_is_the_applied_one(registry: Registry, clock: Clock):
    """Cleanup goes by the retention in force, not by the file."""
    issue(registry, "alice")
    clock.forward(days=40)
    apply(registry, "version: 1\nretention: 30 days\nprofiles: {default: {idle_timeout: 3d}}")
    assert registry.cleanup.run().removed == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(day=st.dates(datetime(2026, 1, 1).date(), datetime(2036, 1, 1).date()))  # noqa: DTZ001
def test_never_removed_before_six_months(registry: Registry, clock: Clock, day):
    """Whatever the day, a session that ended six calendar months ago less an instant is still there."""
    clock.now = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    with registry._installation.store.change() as tx:
        tx.set_recorded_time(0)
    (one,) = issue(registry, "alice")
    registry.end([one])
    clock.now += timedelta(days=181) - timedelta(microseconds=1)
    registry.cleanup.run()
    assert registry.session(one)
    clock.now += timedelta(days=7)
    registry.cleanup.run()
    with pytest.raises(NotFound):
        registry.session(one)


# Audit


def test_every_change_has_its_event(registry: Registry):
    """Issue, end, revoke, apply and clean up are in the log with actor, subject and note; reading is not."""
    issued = registry.issue(username="alice", application="Outlook", actor="app")
    registry.verify(issued.access_token)
    registry.end([issued.session.id], actor="app")
    outcome = registry.revoke(SessionFilter(username="ALICE"), note="lost device", actor="bob")
    apply(registry, "version: 1\nprofiles: {default: {idle_timeout: 1d}}", actor="eve")
    registry.cleanup.run(actor="cron")
    list(registry.sessions())
    told = [(e.action, e.actor, e.subject, e.note) for e in registry.audit.events()]
    assert told[::-1][1:] == [
        ("session.issue", "app", issued.session.id, None),
        ("session.end", "app", issued.session.id, None),
        ("session.revoke", "bob", str(outcome.revocation_id), "lost device"),
        ("profile.apply", "eve", None, "tightened"),
        ("profile.done", "eve", None, "tightened"),
        ("cleanup.run", "cron", None, None),
        ("cleanup.done", "cron", None, None),
    ]


def test_events_about_a_user_and_a_session(registry: Registry, clock: Clock):
    """They are found with every revocation that covers them, revoke-all included, and a single one after cleanup."""
    alice, bob = issue(registry, "alice", "bob")
    registry.revoke(SessionFilter(ids=(alice,)), note="lost device")
    registry.revoke(SessionFilter(everything=True), note="breach drill")

    def found(**criteria) -> list[str]:
        return [event.note or event.action for event in registry.audit.events(EventFilter(**criteria))]

    assert found(username="Alice") == ["lost device", "session.issue"]
    assert found(session_id=alice) == ["lost device", "session.issue"]
    assert found(username="bob") == ["breach drill", "session.issue"]
    assert found(session_id=bob) == ["breach drill", "session.issue"]
    assert found(session_id=bob[:8].upper()) == ["breach drill", "session.issue"]
    for unknown, error in (("alice", NotFound), ("abcdefgh", NotFound), (bob[:3], InvalidInput)):
        with pytest.raises(error):
            found(session_id=unknown)
    clock.forward(days=400)
    registry.cleanup.run(accept_clock_jump=True)
    assert found(session_id=alice) == ["lost device", "session.issue"]


def test_events_of_an_actor_in_any_spelling(registry: Registry):
    """As users are compared: by case, width and composition apart; whatever is in the log stands as it was given."""
    for actor in ("Bob", "bob", "Ｂｏｂ", "Jürgen", "rob", "x bob"):
        registry.issue(username=f"by {actor}", application="Teams", actor=actor)

    def found(*actors: str) -> list[str]:
        return [event.actor for event in registry.audit.events(EventFilter(actor=actors))]

    assert found("BOB") == found("bob", "BOB") == ["Ｂｏｂ", "bob", "Bob"]
    assert found("JU\u0308RGEN", "ROB") == ["rob", "Jürgen"]
    assert found("nobody") == found("bo") == [], "and not everything"


def literal(value: int | str | None) -> str:
    """A value as it stands in a statement."""
    return "NULL" if value is None else str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


@pytest.mark.parametrize("column", ["at", "actor", "action", "subject", "note", "detail", "prev_hash", "hash"])
def test_a_tampered_event_is_named(registry: Registry, home: Path, column: str):
    """Any column of any event changed behind authctl's back is found, and the first bad event named."""
    issue(registry, "alice", "bob")
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    registry.close()
    for seq in (1, 2, 4):
        ((before,),) = places.ask(home, f"SELECT {column} FROM audit_events WHERE seq = ?", (seq,))
        changed = before + 1 if isinstance(before, int) else f"{before or ''}x"
        places.tamper(home, f"UPDATE audit_events SET {column} = {literal(changed)} WHERE seq = {seq}")
        with Registry.open(home, registry=places.place_in(home)) as reopened:
            with pytest.raises(IntegrityFailure, match=f"event {seq} "):
                reopened.audit.verify()
            list(reopened.audit.events())
        places.tamper(home, f"UPDATE audit_events SET {column} = {literal(before)} WHERE seq = {seq}")
    with Registry.open(home, registry=places.place_in(home)) as reopened:
        assert reopened.audit.verify().seq == 4


@pytest.mark.parametrize(
    ("statement", "bad"),
    [
        ("DELETE FROM audit_events WHERE seq = 2", "event 2 is missing"),
        ("DELETE FROM audit_events", "it is empty"),
        ("UPDATE audit_events SET seq = seq + 1 WHERE seq = 4", "event 4 is missing"),
        (
            (
                "CREATE TABLE strangers AS SELECT * FROM audit_events LIMIT 1; UPDATE strangers SET seq = 0;"
                " INSERT INTO audit_events SELECT * FROM strangers"
            ),
            "event 1 is missing",
        ),
    ],
)
def test_a_log_with_gaps_or_strangers_is_found(registry: Registry, home: Path, statement: str, bad: str):
    """Deleting, moving and inserting events break the chain."""
    issue(registry, "alice", "bob", "carol")
    places.tamper(home, statement)
    with pytest.raises(IntegrityFailure, match=bad):
        registry.audit.verify()


def test_an_event_that_is_not_there(registry: Registry):
    """No such event is not found."""
    assert registry.audit.event(1).action == "registry.init"
    with pytest.raises(NotFound):
        registry.audit.event(2)


# The library's edges


def test_instants_and_clocks(install: Install, home: Path):
    """Instants are microseconds, datetimes are taken too, and a clock may give Unix seconds."""
    registry = install()
    with Registry.open(home, registry=places.place_in(home), clock=lambda: 1_800_000_000) as opened:
        session = opened.issue(username="alice", application="Outlook").session
    assert session.created_at == 1_800_000_000 * SECOND
    assert datetime_of(session.created_at) == datetime.fromtimestamp(1_800_000_000, UTC)
    assert datetime_of(NEVER) is None
    moment = datetime.fromtimestamp(1_800_000_000, UTC)
    assert registry.count(SessionFilter(created_since=moment)) == 1
    assert registry.count(SessionFilter(created_since=moment + timedelta(seconds=1))) == 0
    assert HOUR == 3_600 * SECOND


def test_the_library_s_own_example(registry: Registry, home: Path):
    """The lines at the end of the contract work as they stand."""
    with Registry.open(home, registry=places.place_in(home)) as opened:
        issued = opened.issue(username="alice", application="Outlook", device="AL-PC", platform="Windows 11")
        assert opened.verify(issued.access_token).id == issued.session.id
        outcome = opened.revoke(SessionFilter(username="alice"), note="lost device", actor="bob")
        assert (outcome.revoked, outcome.already_revoked) == (1, 0)
        assert list(opened.sessions(SessionFilter(status="active"))) == []
        with pytest.raises(TokenInvalid):
            opened.verify(issued.access_token)
    opened.close()


@pytest.mark.parametrize("actor", ["", "  ", "a\0b", "x" * 1001])
def test_an_actor_who_says_nothing_is_refused(registry: Registry, actor: str):
    """Who did it is part of the record."""
    with pytest.raises(InvalidInput):
        registry.revoke(SessionFilter(username="alice"), note="lost device", actor=actor)


# What once went wrong


def test_a_signal_while_waiting_for_the_turn_leaves_no_transaction_open(registry: Registry, home: Path):
    """Interrupted in the wait for the writers' turn, a revocation is not done, and the next one is."""
    issue(registry, "alice")
    registry.count()

    class Interrupted(Exception):
        """Raised by the signal's handler."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    held = threading.Event()

    def hold() -> None:
        with places.held(places.place_in(home)):
            held.set()
            time.sleep(0.6)

    other = threading.Thread(target=hold)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        other.start()
        assert held.wait(30)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            registry.revoke(SessionFilter(username="alice"), note="lost device")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        other.join()
    with places.held(places.place_in(home)):  # which no transaction of that revocation keeps from it
        pass
    assert registry.revoke(SessionFilter(username="alice"), note="lost device").revoked == 1


@pytest.mark.parametrize("search", ["", " ", "\u00a0\t"])
def test_a_blank_search_is_no_criterion(registry: Registry, search: str):
    """A search that finds everything is not a way to revoke everything."""
    issue(registry, "alice")
    with pytest.raises(InvalidInput, match="blank"):
        registry.revoke(SessionFilter(search=search), note="lost device")


@pytest.mark.usefixtures("ring_looked_at_each_time")
def test_a_key_ring_that_changed_is_read_again(registry: Registry, home: Path):
    """A process that has been open for long goes by the keys as they are now, at the latest a hundredth of a second later."""
    old = registry.issue(username="alice", application="Outlook").access_token
    ring = json.loads((home / "keys.json").read_bytes())
    ring["keys"][0]["state"] = "retired"
    ring["keys"].append(
        {"id": "0badcafe", "state": "signing", "created_at": "2026-03-02T09:00:00Z", "secret": "ab" * 31 + "cd"}
    )
    (home / "keys.json").write_text(json.dumps(ring))
    with pytest.raises(TokenUnknown):
        registry.verify(old)
    new = registry.issue(username="alice", application="Outlook").access_token
    assert new[5:13] == "0badcafe"
    assert registry.verify(new).username == "alice"


def test_verify_returns_the_deadline_that_is_enforced(registry: Registry, clock: Clock):
    """The session comes back as it stands after the use was written."""
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    found = registry.verify(issued.access_token)
    assert found.expires_at == registry.session(found.id).expires_at == issued.session.expires_at + HOUR


def test_a_profile_respelled_is_the_same_profile(registry: Registry, clock: Clock):
    """`Default` in the next file rules the sessions of `default`, and nothing is withdrawn."""
    (one,) = issue(registry, "alice")
    clock.forward(hours=5)
    outcome = apply(registry, "version: 1\nprofiles: {Default: {idle_timeout: 1h}}")
    assert (outcome.changed, outcome.withdrawn, outcome.ended) == (("Default",), (), 1)
    assert registry.session(one).status == "expired"


def test_the_event_names_what_was_newly_revoked(registry: Registry, clock: Clock):
    """However many of the selection had been revoked before; and a user is found by it after cleanup."""
    (old,) = issue(registry, "alice")
    clock.forward(seconds=1)
    newer = issue(registry, *["alice"] * 3)
    registry.revoke(SessionFilter(ids=tuple(newer)), note="first note")
    registry.revoke(SessionFilter(application="outlook"), note="second note")
    newest = next(registry.audit.events())
    assert json.loads(newest.detail)["sessions"] == [old]
    clock.forward(days=400)
    registry.cleanup.run(accept_clock_jump=True)
    assert [e.note for e in registry.audit.events(EventFilter(username="ALICE", action="session.revoke"))] == [
        "second note",
        "first note",
    ]


def test_a_session_that_was_spared_has_no_event_of_it(registry: Registry):
    """`--except` keeps a session out of a revoke-all, and out of its history."""
    spared, _ = issue(registry, "alice", "bob")
    dry = registry.revoke(SessionFilter(everything=True, except_ids=(spared,)), note=None, dry_run=True)
    done = registry.revoke(SessionFilter(everything=True, except_ids=(spared,)), note="breach drill")
    assert (dry.selected, dry.revoked, dry.already_revoked) == (done.selected, done.revoked, done.already_revoked)
    assert [e.action for e in registry.audit.events(EventFilter(session_id=spared))] == ["session.issue"]


def test_a_revoke_all_that_cannot_be_counted_is_still_told_as_done(registry: Registry, home: Path):
    """Everything is revoked; only its count is unknown, and that is exit 8, not "nothing changed"."""
    issue(registry, "alice", "bob")
    places.change_in(home, "UPDATE sessions SET created_at = -9000000000000000000 WHERE username = 'bob'")
    with pytest.raises(OutcomeUnknown) as caught:
        registry.revoke(SessionFilter(everything=True), note="breach drill")
    assert exit_code_of(caught.type) == 8
    assert registry.count(SessionFilter(status="revoked")) == 2


def test_a_long_list_misses_nobody_whose_use_was_judged_before_it_began(
    registry: Registry, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """A use may be written after the list began with an instant from before: it is listed all the same."""
    monkeypatch.setattr(listing, "_FIRST_BATCH", 4)
    monkeypatch.setattr(listing, "_BATCH", 4)
    tokens = []
    for n in range(12):
        clock.forward(seconds=1)
        tokens.append(registry.issue(username=f"user{n}", application="Outlook").access_token)
    clock.forward(hours=1)
    behind = Clock(clock.now - timedelta(milliseconds=15))
    with Registry.open(home, registry=places.place_in(home), clock=behind) as other:
        streamed = registry.sessions(SessionFilter(status="active"))
        first = [session.username for session in islice(streamed, 4)]
        other.verify(tokens[0])
        assert sorted(first + [session.username for session in streamed]) == sorted(f"user{n}" for n in range(12))
