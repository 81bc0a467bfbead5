"""Continuity: what an outage holds, and what it does not; each scenario a test named after its row.

Mimecast: a continuity event extends the life of authentication tokens until it ends.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from authctl import (
    EventFilter,
    InvalidInput,
    NotFound,
    Refused,
    Registry,
    SessionFilter,
    TokenEnded,
    TokenExpired,
    TokenRevoked,
    profiles,
)
from authctl.instants import DAY
from tests.conftest import Authctl, Clock, Install

HELD = """\
version: 1
default_profile: mimecast
profiles:
  mimecast: {idle_timeout: 3d, continuity: true}
  capped: {idle_timeout: 8h, absolute_timeout: 1d, continuity: true}
  pair: {tokens: pair, idle_timeout: 2d, access_lifetime: 1h, refresh: {grace: 30s}, continuity: true}
  asked: {tokens: requested, continuity: true}
  other: {idle_timeout: 3d}
"""


@pytest.fixture
def held(install: Install) -> Registry:
    """A registry with profiles that allow continuity, and one that does not."""
    return install(HELD)


def sign_in(registry: Registry, user: str = "alice", profile: str = "mimecast", **details):
    """A session."""
    return registry.issue(username=user, application="Outlook", profile=profile, **details)


def statuses(registry: Registry) -> dict[str, str]:
    """What each user's session is, listed, counted, grouped and shown."""
    found = {}
    for status in ("active", "expired", "revoked"):
        listed = list(registry.sessions(SessionFilter(status=status)))
        assert registry.count(SessionFilter(status=status)) == len(listed)
        for session in listed:
            assert session.status == registry.session(session.id).status == status
            found[session.username] = status
            (group,) = registry.lists.groups("user", SessionFilter(username=session.username))
            assert getattr(group, status) == 1
    assert len(found) == registry.count()
    return found


def test_m11_what_was_valid_stays_valid_until_it_ends(held: Registry, clock: Clock):
    """Valid when it began, or issued during it: held. Expired before: not. Then those beyond their time expire."""
    sign_in(held, "expired")
    clock.forward(days=2)
    before = sign_in(held, "before")
    uncovered = sign_in(held, "uncovered", "other")
    clock.forward(days=1, hours=1)
    held.continuity.start(note="identity provider is down", actor="bob")
    begun = held.now()
    clock.forward(days=1)
    during = sign_in(held, "during")
    clock.forward(days=9)
    assert statuses(held) == {"expired": "expired", "before": "active", "uncovered": "expired", "during": "active"}
    for one in (before, during):
        session = held.verify(one.access_token)
        assert session.status == "active"
    with pytest.raises(TokenExpired):
        held.verify(uncovered.access_token)
    late = sign_in(held, "late")
    clock.forward(days=9)
    assert [state.held_sessions for state in held.continuity.status() if state.event.profile == "mimecast"] == [3]
    clock.forward(hours=1)
    ended = {state.event.profile: state.held_sessions for state in held.continuity.end(note="it is back", actor="bob")}
    assert ended == {"mimecast": 3, "capped": 0, "pair": 0, "asked": 0}
    assert set(statuses(held).values()) == {"expired"}
    for one in (before, during, late):
        with pytest.raises(TokenExpired):
            held.verify(one.access_token)
        session = held.session(one.session.id)
        assert (session.ended_reason, session.end) == ("continuity_ended", held.now())
    clock.now -= timedelta(microseconds=held.now() - begun)
    assert held.session(before.session.id).status == "expired"


def test_m11_a_use_slides_as_ever(held: Registry, clock: Clock):
    """Used while it is held, beyond its deadline, a session has a new one, and outlives the event."""
    issued = sign_in(held)
    held.continuity.start(["mimecast"], note="identity provider is down")
    clock.forward(days=5)
    used = held.verify(issued.access_token)
    assert (used.expires_at, used.last_used_at) == (held.now() + 3 * DAY, held.now())
    held.continuity.end(note="it is back")
    clock.forward(days=3, microseconds=-1)
    assert held.session(issued.session.id).status == "active"
    clock.forward(microseconds=1)
    session = held.session(issued.session.id)
    assert (session.status.value, session.ended_reason) == ("expired", "idle")


def test_m11_revocations_and_hard_ends_always_win(held: Registry, clock: Clock):
    """Before, during, of one and of all: no event holds what was revoked, signed out or disabled."""
    issued = {user: sign_in(held, user) for user in ("revoked", "ended", "disabled", "changed", "kept", "all")}
    held.continuity.start(note="identity provider is down")
    clock.forward(days=10)
    held.revoke(SessionFilter(username="revoked"), note="lost device")
    assert held.end([issued["ended"].session.id]).ended == 1
    assert held.users.disable("disabled", note="left the company").ended == 1
    assert held.users.password_changed("changed", note="reset by the help desk").ended == 1
    assert statuses(held) == {
        "revoked": "revoked", "ended": "expired", "disabled": "expired", "changed": "expired", "kept": "active", "all": "active",
    }  # fmt: skip
    with pytest.raises(TokenRevoked):
        held.verify(issued["revoked"].access_token)
    for user in ("ended", "disabled", "changed"):
        with pytest.raises(TokenEnded):
            held.verify(issued[user].access_token)
    held.revoke(SessionFilter(everything=True, except_ids=(issued["kept"].session.id,)), note="breach drill")
    assert statuses(held)["all"] == "revoked"
    assert held.verify(issued["kept"].access_token).status == "active"


def test_m11_whatever_the_deadline(held: Registry, clock: Clock):
    """Longest age, a requested lifetime, an access token of a pair: all of them are held, and a pair can be refreshed."""
    capped, asked, pair = (sign_in(held, name, name) for name in ("capped", "asked", "pair"))
    held.continuity.start(note="identity provider is down")
    clock.forward(days=3)
    for one in (capped, asked, pair):
        assert held.verify(one.access_token).is_held
    refreshed = held.refresh(pair.refresh_token)
    assert refreshed.session.expires_at == held.now() + 2 * DAY
    clock.forward(hours=2)
    assert held.verify(refreshed.access_token).status == "active"
    clock.forward(minutes=1)
    assert held.verify(capped.access_token).status == "active"
    held.continuity.end(note="it is back")
    with pytest.raises(TokenExpired, match="access token"):
        held.verify(refreshed.access_token)
    assert held.refresh(refreshed.refresh_token).session.status == "active"
    for one in (capped, asked):
        with pytest.raises(TokenExpired):
            held.verify(one.access_token)


def test_m11_an_end_that_was_set(held: Registry, clock: Clock):
    """It ends by itself at that instant, to the microsecond; a session's retention counts from there."""
    issued = sign_in(held)
    until = held.now() + 10 * DAY
    (state,) = held.continuity.start(["MIMECAST"], until=until, note="planned work")
    assert (state.event.ends_at, state.event.profile) == (until, "mimecast")
    clock.forward(days=10, microseconds=-1)
    assert held.session(issued.session.id).is_held
    clock.forward(microseconds=1)
    session = held.session(issued.session.id)
    assert (session.status.value, session.end, session.ended_reason) == ("expired", until, "continuity_ended")
    assert held.continuity.status() == ()
    with pytest.raises(NotFound):
        held.continuity.end(note="it is back")


def test_m11_retention_counts_from_the_end_of_the_event(held: Registry, clock: Clock):
    """Held sessions are listed for six months after the event, and cleanup forgets the event with the last of them."""
    sign_in(held)
    sign_in(held, "other", "other")
    held.continuity.start(["mimecast"], note="identity provider is down")
    clock.forward(days=40)
    held.continuity.end(note="it is back")
    end = clock.now
    clock.now = end.replace(month=end.month + 6)
    assert held.cleanup.run().removed == 1
    assert statuses(held) == {"alice": "expired"}
    clock.forward(microseconds=1)
    assert held.cleanup.run(dry_run=True).expired == 1
    assert held.cleanup.run().removed == 1
    assert held.count() == 0
    held.continuity.start(["mimecast"], note="another one")


def test_m11_one_event_at_a_time(held: Registry, clock: Clock):
    """Starting where one holds is refused, by name or for all; another profile's may begin, and each be ended by itself."""
    held.continuity.start(["mimecast"], note="identity provider is down")
    for chosen in (["mimecast"], ["capped", "Mimecast"], []):
        with pytest.raises(Refused, match="profile 'mimecast' already has a continuity event, since"):
            held.continuity.start(chosen, note="once more")
    assert [state.event.profile for state in held.continuity.status()] == ["mimecast"]
    held.continuity.start(["capped", "capped"], note="that one, too")
    with pytest.raises(NotFound, match="profile 'pair' has no continuity event"):
        held.continuity.end(["pair"], note="it is back")
    assert [state.event.profile for state in held.continuity.end(["MIMECAST"], note="it is back")] == ["mimecast"]
    assert [state.event.profile for state in held.continuity.status()] == ["capped"]
    clock.forward(days=1)
    held.continuity.start(["mimecast"], note="down again")


def test_m11_what_ended_with_one_event_is_not_held_by_the_next(held: Registry, clock: Clock):
    """Not even when the next begins the same instant; what lives on by use is."""
    idle, used = sign_in(held, "idle"), sign_in(held, "used")
    held.continuity.start(["mimecast"], note="identity provider is down")
    clock.forward(days=5)
    held.verify(used.access_token)
    held.continuity.end(note="it is back")
    held.continuity.start(["mimecast"], note="down again")
    clock.forward(days=5)
    assert statuses(held) == {"idle": "expired", "used": "active"}
    assert held.session(idle.session.id).ended_reason == "continuity_ended"
    held.continuity.end(note="it is back")
    assert statuses(held) == {"idle": "expired", "used": "expired"}
    ended = [session.username for session in held.sessions(SessionFilter(status="expired"))]
    assert ended == ["used", "idle"]


def test_m11_what_cannot_be_started(held: Registry, install: Install, clock: Clock):
    """A profile that does not allow it, an unknown one, an end that has passed, no note; nothing to end."""
    for chosen, error in ((["other"], Refused), (["nosuch"], NotFound), ([" "], InvalidInput)):
        with pytest.raises(error):
            held.continuity.start(chosen, note="identity provider is down")
    with pytest.raises(Refused):
        held.continuity.start(note=None)
    with pytest.raises(InvalidInput):
        held.continuity.start(note="planned work", until=clock.now)
    with pytest.raises(NotFound):
        held.continuity.end(note="it is back")
    plain = install(folder="plain")
    with pytest.raises(Refused, match="no profile allows continuity"):
        plain.continuity.start(note="identity provider is down")
    assert [event.action for event in held.audit.events()] == ["registry.init"]


def test_m11_events_are_recorded(held: Registry):
    """Each operation with its note, and what it let go."""
    held.continuity.start(["mimecast"], note="identity provider is down", actor="bob")
    held.continuity.end(note="it is back", actor="eve")
    (start,) = held.audit.events(EventFilter(action="continuity.start"))
    (end,) = held.audit.events(EventFilter(action="continuity.end"))
    assert (start.actor, start.note, json.loads(start.detail)) == (
        "bob",
        "identity provider is down",
        {"profiles": ["mimecast"], "until": None},
    )
    assert (end.actor, end.note, json.loads(end.detail)) == ("eve", "it is back", {"profiles": {"mimecast": 0}})


def test_m11_a_profile_applied_during_the_event(held: Registry, clock: Clock):
    """A tightened profile shortens what an event holds without ending it; one that forbids continuity ends the event."""
    issued = sign_in(held)
    clock.forward(days=1)
    held.continuity.start(["mimecast"], note="identity provider is down")
    clock.forward(hours=1)

    def apply(line: str) -> tuple[int, int, int]:
        wanted = profiles.read(HELD.replace("{idle_timeout: 3d, continuity: true}", line).encode(), "profiles.yaml")
        diff = held.profiles.diff(wanted)
        done = held.profiles.apply(wanted, note="another timeout")
        found = done.shortened, done.lengthened, done.ended
        assert found == tuple(sum(getattr(d, name) for d in diff) for name in ("shortened", "lengthened", "ended"))
        return found

    assert apply("{idle_timeout: 1h, continuity: true}") == (1, 0, 0)
    assert held.verify(issued.access_token).status == "active"
    clock.forward(days=20)
    assert held.session(issued.session.id).is_held
    assert apply("{idle_timeout: 1h}") == (0, 0, 1)
    session = held.session(issued.session.id)
    assert (session.status.value, session.end, session.ended_reason) == ("expired", held.now(), "continuity_ended")
    assert held.continuity.status() == ()
    assert [json.loads(e.detail).get("continuity_ended") for e in held.audit.events()][:2] == [None, ["mimecast"]]


def test_m11_expired_ones_in_the_order_of_their_ends(held: Registry, clock: Clock):
    """Newest end first, whether a deadline or an event ended them, page by page."""
    for number in range(6):
        sign_in(held, f"held{number}")
        sign_in(held, f"plain{number}", "other")
        clock.forward(hours=1)
    held.continuity.start(["mimecast"], note="identity provider is down")
    clock.forward(days=4)
    sign_in(held, "short", "other")
    held.continuity.end(note="it is back")
    clock.forward(days=2, hours=23)
    sign_in(held, "late", "other")
    clock.forward(days=9)
    found = list(held.sessions(SessionFilter(status="expired")))
    assert [session.end for session in found] == sorted((session.end for session in found), reverse=True)
    assert [session.username for session in found] == (
        ["late", "short"] + [f"held{n}" for n in (5, 4, 3, 2, 1, 0)] + [f"plain{n}" for n in (5, 4, 3, 2, 1, 0)]
    )
    with held._installation.store.view() as view:
        after, paged = None, []
        while True:
            page = view.page(SessionFilter(status="expired"), held.now(), 2, after)
            paged += [session.username for session in page.sessions]
            if (after := page.after) is None:
                break
    assert paged == [session.username for session in found]


def test_m11_through_the_commands(authctl: Authctl, tmp_path: Path):
    """Start, see, end; the words say what is held, and JSON says it exactly."""
    (tmp_path / "held.yaml").write_text(HELD)
    authctl("init", "--profiles", str(tmp_path / "held.yaml"))
    token = authctl("tokens", "issue", "--user", "alice", "--application", "Outlook").out
    assert authctl("continuity", "status").err == "authctl: no continuity event is running\n"
    assert authctl("continuity", "start").code == 4
    assert authctl("continuity", "start", "--profile", "other", "--note", "provider down").code == 4
    assert authctl("continuity", "start", "--until", "2020-01-01", "--note", "provider down").code == 2
    started = authctl(
        "continuity", "start", "--profile", "mimecast", "--until", "8h", "--note", "provider down", "-o", "json"
    )
    assert started.code == 0
    (event,) = started.json
    assert list(event) == ["profile", "started_at", "until", "held_sessions", "actor", "note", "ended_by", "end_note"]
    began, until = (datetime.fromisoformat(event[name]) for name in ("started_at", "until"))
    assert timedelta(hours=7, minutes=59) < until - began <= timedelta(hours=8)
    assert authctl("continuity", "start", "--profile", "mimecast", "--note", "once more").code == 4
    listed = authctl("continuity", "status").out.splitlines()
    assert listed[0] == "profile\tstarted_at\tuntil\theld_sessions\tactor\tnote"
    assert authctl("tokens", "verify", stdin=token).code == 0
    shown = authctl("sessions", "list", "-o", "id").out.strip()
    assert authctl("sessions", "show", shown, "-o", "json").json["held_by_continuity"] is False
    ended = authctl("continuity", "end", "--note", "it is back")
    assert (ended.code, ended.err) == (0, "authctl: continuity ended for mimecast; 0 sessions expired\n")
    assert authctl("continuity", "end", "--note", "it is back").code == 3


def test_introspection_of_a_held_session(held: Registry, clock: Clock):
    """`exp` lies ahead: the end that was set for the event, or none while nobody set one."""
    from authctl.records import introspection

    issued = sign_in(held)
    until = held.now() + 9 * DAY
    held.continuity.start(["mimecast"], until=until, note="planned work")
    assert introspection(held.verify(issued.access_token))["exp"] == issued.expires_at // 10**6
    capped = sign_in(held, "capped", "capped")
    held.continuity.start(["capped"], note="planned work")
    clock.forward(days=2)
    assert "exp" not in introspection(held.verify(capped.access_token))


def test_m11_one_event_at_a_time_whatever_the_clock(held: Registry, clock: Clock):
    """A clock that was set back before an event's start begins no second one beside it, and ending ends it."""
    held.continuity.start(["mimecast"], note="provider down")
    clock.forward(hours=-1)
    with pytest.raises(Refused, match="already has a continuity event"):
        held.continuity.start(["mimecast"], note="provider down")
    (state,) = held.continuity.status()
    assert state.held_sessions == 0
    held.continuity.end(note="the clock was wrong")
    assert held.continuity.status() == ()
    held.continuity.start(["mimecast"], note="provider down")
    clock.forward(hours=2)
    assert len(held.continuity.status()) == 1
    assert len(held.continuity.end(note="it is back")) == 1
    assert held.continuity.status() == ()
