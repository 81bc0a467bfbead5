"""The lifetimes of Mimecast's registered applications, each scenario a test named after its row.

Figures and facts from Mimecast's documentation of registered applications.
"""

from datetime import UTC, datetime, timedelta

import pytest

from authctl import (
    EventFilter,
    InvalidFile,
    Refused,
    Registry,
    SessionFilter,
    TokenEnded,
    TokenExpired,
    TokenInvalid,
    TokenRevoked,
    profiles,
)
from authctl.instants import DAY, HOUR
from authctl.model import SIGN_IN_METHODS
from tests.conftest import Authctl, Clock, Install

TWO_PROFILES = """\
version: 1
default_profile: usual
assignments:
  - {application: "Outlook Web App", profile: short}
  - {user: "admin-*", profile: administrators}
  - {user: "admin-root", profile: root}
profiles:
  usual: {idle_timeout: 3d}
  short: {idle_timeout: 6h}
  administrators: {idle_timeout: 1h}
  root: {idle_timeout: 10m}
"""


def statuses(registry: Registry) -> list[str]:
    """The statuses of everything listed, newest use first."""
    return [session.status.value for session in registry.sessions()]


def test_m1_default_idle_timeout_is_three_days(registry: Registry, clock: Clock):
    """With nothing configured a session ends three days after its last use."""
    session = registry.issue(username="alice", application="Outlook").session
    assert session.expires_at - session.created_at == timedelta(days=3) // timedelta(microseconds=1)
    clock.forward(days=3, microseconds=-1)
    assert statuses(registry) == ["active"]
    clock.forward(microseconds=1)
    assert statuses(registry) == ["expired"]


def test_m2_each_use_moves_the_deadline(registry: Registry, clock: Clock):
    """Used within the timeout it is active, and every use moves the deadline."""
    issued = registry.issue(username="alice", application="Outlook")
    for _ in range(5):
        clock.forward(days=2, hours=23)
        registry.verify(issued.access_token)
    clock.forward(days=3, microseconds=-1)
    assert registry.session(issued.session.id).status == "active"
    clock.forward(microseconds=1)
    with pytest.raises(TokenExpired):
        registry.verify(issued.access_token)


def test_m2_a_use_just_after_the_last_written_one_may_be_let_go(registry: Registry, clock: Clock):
    """A session expires sooner than its very last use would give by at most 60 s, and never later."""
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(seconds=59)
    registry.verify(issued.access_token)
    assert registry.session(issued.session.id).expires_at == issued.session.expires_at
    clock.forward(seconds=1)
    registry.verify(issued.access_token)
    assert registry.session(issued.session.id).expires_at == issued.session.expires_at + 60_000_000


def test_m3_not_used_within_the_timeout_it_is_expired_and_listed_for_six_months(registry: Registry, clock: Clock):
    """An expired session stays listed for six calendar months after its end, then cleanup removes it."""
    registry.issue(username="alice", application="Outlook")
    clock.forward(days=3)
    end = clock.now
    clock.now = datetime(2026, 9, 5, 9, 0, tzinfo=UTC)
    assert clock.now == end.replace(month=9)
    registry.cleanup.run()
    assert statuses(registry) == ["expired"]
    clock.forward(microseconds=1)
    registry.cleanup.run()
    assert statuses(registry) == []


def test_m4_revoked_it_is_listed_for_six_months_after_the_action(registry: Registry, clock: Clock):
    """Retention of a revoked session counts from its revocation, not from its deadline."""
    registry.issue(username="alice", application="Outlook")
    clock.forward(days=40)
    registry.revoke(SessionFilter(username="alice"), note="lost device", actor="bob")
    clock.now = clock.now.replace(month=10)
    registry.cleanup.run()
    assert statuses(registry) == ["revoked"]
    clock.forward(microseconds=1)
    registry.cleanup.run()
    assert statuses(registry) == []


@pytest.mark.parametrize("how", ["one", "several", "user", "everyone"])
def test_m5_a_note_is_required_and_later_shown_with_each(registry: Registry, how: str):
    """Revoking one, several, all of a user's or everyone's sessions needs a note, which each of them shows."""
    ids = [registry.issue(username=user, application="Outlook").session.id for user in ("alice", "alice", "bob")]
    selection, hit = {
        "one": (SessionFilter(ids=(ids[0],)), ids[:1]),
        "several": (SessionFilter(ids=(ids[0], ids[2])), [ids[0], ids[2]]),
        "user": (SessionFilter(username="alice"), ids[:2]),
        "everyone": (SessionFilter(everything=True), ids),
    }[how]
    with pytest.raises(Refused):
        registry.revoke(selection, note=None, actor="bob")
    with pytest.raises(Refused):
        registry.revoke(selection, note=" ", actor="bob")
    assert statuses(registry) == ["active"] * 3
    outcome = registry.revoke(selection, note="lost device", actor="bob")
    assert outcome.revoked == len(hit)
    for one in ids:
        session = registry.session(one)
        expected = ("revoked", "lost device", "bob") if one in hit else ("active", None, None)
        assert (session.status.value, session.note, session.revoked_by) == expected


def test_m5_through_the_commands(installed: Authctl):
    """The two commands of the mission work as typed, and `sessions show` has the note."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert installed("revoke", "--user", "alice").code == 4
    assert installed("revoke", "--user", "alice", "--note", "lost device").code == 0
    revoked = installed("sessions", "list", "--status", "revoked", "-o", "id").out.split()
    assert len(revoked) == 1
    assert installed("sessions", "show", revoked[0], "-o", "json").json["note"] == "lost device"


def test_m6_revoke_all_cannot_be_undone(registry: Registry, clock: Clock):
    """Everybody signs in again in every application; no use and no later revocation changes what was revoked."""
    issued = [registry.issue(username=u, application=a) for u in ("alice", "bob") for a in ("Outlook", "ArcGIS")]
    registry.revoke(SessionFilter(everything=True), note="breach drill", actor="bob")
    for one in issued:
        with pytest.raises(TokenRevoked):
            registry.verify(one.access_token)
    clock.forward(hours=1)
    again = registry.issue(username="alice", application="Outlook")
    assert registry.verify(again.access_token).status == "active"
    second = registry.revoke(SessionFilter(username="bob"), note="another note", actor="eve")
    assert (second.revoked, second.already_revoked) == (0, 2)
    assert {s.note for s in registry.sessions(SessionFilter(status="revoked"))} == {"breach drill"}


def test_m8_blank_detail_stays_blank(installed: Authctl):
    """A client that sent no detail has a session with blank version, platform and so on."""
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    (session,) = installed("sessions", "list", "-o", "json").json
    blank = ("application_version", "platform", "device", "ip", "user_agent", "signed_in_with", "referrer")
    assert [session[name] for name in blank] == [None] * len(blank)


def test_m9_web_sessions_are_not_in_the_list_of_applications(installed: Authctl):
    """Web applications and portals are listed only on request, and revoked with the rest."""
    installed("tokens", "issue", "--user", "alice", "--application", "Portal", "--kind", "web")
    installed("tokens", "issue", "--user", "alice", "--application", "Outlook")
    assert [s["application"] for s in installed("sessions", "list", "-o", "json").json] == ["Outlook"]
    assert installed("sessions", "list", "--count").out == "1\n"
    assert installed("sessions", "list", "--search", "Portal", "--count").out == "0\n"
    assert installed("sessions", "list", "--kind", "web", "--count").out == "1\n"
    assert installed("sessions", "list", "--kind", "all", "--count").out == "2\n"
    assert installed("revoke", "--user", "alice", "--note", "left", "-o", "json").json["revoked"] == 2


def test_m10_disabling_a_user_closes_the_gap(install: Install, clock: Clock):
    """Disabled elsewhere, the tokens would live until they expire; disabled here, they end at once, and none is issued."""
    registry = install("version: 1\nprofiles: {forever: {idle_timeout: never}}")
    issued = [
        registry.issue(username="alice", application=a, kind=k)
        for a, k in (("Outlook", "application"), ("Portal", "web"))
    ]
    other = registry.issue(username="bob", application="Outlook")
    clock.forward(days=400)
    assert registry.verify(issued[0].access_token).status == "active"
    outcome = registry.users.disable("ＡＬＩＣＥ", note="left the company", actor="bob")
    assert (outcome.changed, outcome.ended, outcome.kept) == (True, 2, 0)
    assert {session.id for session in outcome.sessions} == {one.session.id for one in issued}
    for one in issued:
        with pytest.raises(TokenEnded, match="user disabled"):
            registry.verify(one.access_token)
        assert registry.session(one.session.id).ended_reason == "user_disabled"
    with pytest.raises(Refused, match="user 'Alice' is disabled"):
        registry.issue(username="Alice", application="Outlook")
    assert registry.verify(other.access_token).status == "active"
    clock.forward(days=1)
    registry.users.enable("alice", note="came back", actor="bob")
    assert [s.status.value for s in registry.sessions(SessionFilter(username="alice", kind="application"))] == [
        "expired"
    ]
    assert registry.verify(registry.issue(username="alice", application="Outlook").access_token).status == "active"


def test_m10_through_the_commands(installed: Authctl):
    """`users disable` needs a note, says what it ended, and a sign-in is refused with exit 4 until `users enable`."""
    token = installed("tokens", "issue", "--user", "alice", "--application", "Outlook").out
    assert installed("users", "disable", "alice").code == 4
    ran = installed("users", "disable", "alice", "--note", "left the company")
    assert ran.code == 0
    assert "disabled alice: 1 active session ended; no new token is issued until enabled" in ran.err
    assert "user_disabled" in ran.out
    assert installed("tokens", "verify", stdin=token).code == 5
    assert installed("tokens", "issue", "--user", "ALICE", "--application", "Outlook").code == 4
    shown = installed("users", "show", "Alice", "-o", "json").json
    assert (shown["disabled"], shown["disabled_by"], shown["note"]) == (True, "tester", "left the company")
    assert installed("users", "enable", "alice", "--note", "came back").code == 0
    assert installed("tokens", "verify", stdin=token).code == 5
    assert installed("tokens", "issue", "--user", "alice", "--application", "Outlook").code == 0


@pytest.mark.parametrize("enforced", ["two_step", "saml"])
def test_m12_two_step_or_saml_leaves_no_idle_timeout_to_set(install: Install, enforced: str):
    """Where either is enforced a configured idle timeout is an error that says why, and the default of 3 days applies."""
    text = f"version: 1\nprofiles:\n  strong:\n    authentication: {{{enforced}: true}}\n"
    with pytest.raises(InvalidFile) as refused:
        profiles.read(f"{text}    idle_timeout: 8h\n".encode(), "profiles.yaml")
    (fault,) = refused.value.faults
    assert fault.startswith("profiles.yaml:5:19: idle_timeout may not be set where two-step authentication or SAML is")
    session = install(text).issue(username="alice", application="Outlook").session
    assert session.expires_at - session.created_at == 3 * DAY
    off = f"version: 1\nprofiles: {{weak: {{authentication: {{{enforced}: false}}, idle_timeout: 8h}}}}"
    assert profiles.read(off.encode(), "profiles.yaml").profiles["weak"].idle_timeout == 8 * HOUR


def test_m13_never_expires_but_can_be_revoked(install: Install, clock: Clock):
    """A profile with no timeouts gives sessions that only a revocation ends."""
    registry = install("version: 1\nprofiles: {forever: {idle_timeout: never}}")
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(days=365 * 50)
    assert registry.verify(issued.access_token).status == "active"
    registry.cleanup.run()
    assert statuses(registry) == ["active"]
    registry.revoke(SessionFilter(username="alice"), note="left the company", actor="bob")
    with pytest.raises(TokenInvalid):
        registry.verify(issued.access_token)


def test_m14_a_new_password_ends_everything(registry: Registry, clock: Clock):
    """All of the user's sessions end, whatever they signed in with; nobody else's do, nor a later sign-in."""
    ways = (None, *SIGN_IN_METHODS)
    issued = [registry.issue(username="alice", application="Outlook", signed_in_with=how) for how in ways]
    other = registry.issue(username="bob", application="Outlook", signed_in_with="password")
    clock.forward(hours=1)
    outcome = registry.users.password_changed("Alice", note="reset by the help desk", actor="bob")
    assert (outcome.ended, outcome.kept) == (len(ways), 0)
    for one in issued:
        with pytest.raises(TokenEnded, match="password changed"):
            registry.verify(one.access_token)
    assert registry.verify(other.access_token).status == "active"
    assert registry.verify(registry.issue(username="alice", application="Outlook").access_token).status == "active"
    assert registry.users.get("alice").user.password_changed_at == outcome.at
    (event,) = registry.audit.events(EventFilter(action="user.password"))
    assert (event.subject, event.note, event.actor) == ("Alice", "reset by the help desk", "bob")


def test_m15_views_by_user_platform_and_application(installed: Authctl):
    """Grouped by any of the three, with the status filter and the search; and each is a filter of its own."""
    for user, application, platform in (
        ("alice", "Outlook", "iOS"),
        ("ALICE", "Outlook", "Windows"),
        ("bob", "ArcGIS", "windows"),
        ("carol", "Outlook", None),
    ):
        given = ("--platform", platform) if platform else ()
        installed("tokens", "issue", "--user", user, "--application", application, *given)
    installed("tokens", "issue", "--user", "alice", "--application", "Portal", "--kind", "web")
    installed("revoke", "--user", "bob", "--note", "lost device")

    def grouped(by: str, *options: str) -> dict:
        ran = installed("sessions", "list", "--group-by", by, "-o", "json", *options)
        assert all(list(one) == ["group", "active", "expired", "revoked", "total", "last_used_at"] for one in ran.json)
        return {one["group"]: [one[name] for name in ("active", "expired", "revoked", "total")] for one in ran.json}

    assert grouped("user") == {"carol": [1, 0, 0, 1], "bob": [0, 0, 1, 1], "ALICE": [2, 0, 0, 2]}
    assert list(grouped("user")) == ["carol", "bob", "ALICE"]  # used last comes first
    assert grouped("application") == {"Outlook": [3, 0, 0, 3], "ArcGIS": [0, 0, 1, 1]}
    assert grouped("platform") == {None: [1, 0, 0, 1], "windows": [1, 0, 1, 2], "iOS": [1, 0, 0, 1]}
    assert grouped("application", "--kind", "all")["Portal"] == [1, 0, 0, 1]
    assert grouped("user", "--status", "revoked") == {"bob": [0, 0, 1, 1]}
    assert grouped("application", "--user", "alice") == {"Outlook": [2, 0, 0, 2]}
    assert grouped("user", "--search", "lost device") == {"bob": [0, 0, 1, 1]}
    assert installed("sessions", "list", "--group-by", "user", "--count").out == "3\n"
    piped = installed("sessions", "list", "--group-by", "platform", "--limit", "1").out.splitlines()
    assert piped[0] == "group\tactive\texpired\trevoked\ttotal\tlast_used_at"
    assert piped[1].startswith("\t1\t0\t0\t1\t")
    assert installed("sessions", "list", "--platform", "WINDOWS", "--count").out == "2\n"


@pytest.mark.parametrize(
    ("user", "application", "given", "profile"),
    [
        ("alice", "Outlook", None, "usual"),
        ("alice", "Outlook Web App", None, "short"),
        ("ALICE", "outlook  web app", None, "short"),
        ("admin-anna", "Outlook Web App", None, "administrators"),
        ("Admin-Root", "Outlook Web App", None, "root"),
        ("admin-root", "Outlook Web App", "USUAL", "usual"),
    ],
)
def test_m16_user_then_application_then_default(
    install: Install, user: str, application: str, given: str | None, profile: str
):
    """A user's assignment beats an application's, that beats the default, and the caller's beats all."""
    registry = install(TWO_PROFILES)
    session = registry.issue(username=user, application=application, profile=given).session
    assert session.profile == profile


def test_retention_by_calendar_month(registry: Registry, clock: Clock):
    """An end on 31 August is kept through all of 28 February and goes on 1 March."""
    clock.now = datetime(2026, 8, 28, 12, 0, tzinfo=UTC)
    registry.issue(username="alice", application="Outlook")  # ends 31 August, 12:00
    clock.now = datetime(2027, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    assert registry.cleanup.run().removed == 0
    clock.now = datetime(2027, 3, 1, 0, 0, tzinfo=UTC)
    assert registry.cleanup.run(dry_run=True).removed == 1
    assert registry.cleanup.run().removed == 1


def test_introspection_is_rfc_7662(installed: Authctl):
    """Integers for times, the normalised user as sub, the id as jti; and for all that is not good nothing but inactive."""
    issued = installed("tokens", "issue", "--user", "Alice", "--application", "Outlook", "-o", "json").json
    answer = installed("tokens", "verify", "-o", "json", stdin=issued["access_token"]).json
    assert answer["active"] is True
    assert (answer["sub"], answer["username"], answer["client_id"]) == ("alice", "Alice", "Outlook")
    assert (answer["token_type"], answer["jti"]) == ("Bearer", issued["session"]["id"])
    assert type(answer["iat"]) is type(answer["exp"]) is int
    assert answer["exp"] - answer["iat"] == 3 * 86_400
    installed("revoke", "--user", "alice", "--note", "lost device")
    for token in (issued["access_token"], "nonsense", ""):
        refused = installed("tokens", "verify", "-o", "json", stdin=token)
        assert (refused.code, refused.json) == (5, {"active": False})
