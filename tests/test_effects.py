"""The effect of an operation: what ended, and what goes on elsewhere, by one value for all operations."""

import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, HOUR
from authctl.registry.effects import Effect
from authctl.store.protocol.effects import Ends
from tests.conftest import HOSTILE, Authctl, Clock, Install, unseen

PROFILES = """\
version: 1
default_profile: default
profiles:
  default: {idle_timeout: 3d}
  sealed: {tokens: requested, default_lifetime: 60m, max_lifetime: 1d, sealed: true}
  endless: {idle_timeout: never}
"""
MAP = read_mapping(b"source: hub\nfields: {username: u, at: t}\nkey: [username]\n", "map.yaml")


@pytest.fixture
def filled(install: Install, clock: Clock) -> Registry:
    """Alice with Teams, Outlook and a sealed token, and in another system; bob with Teams."""
    registry = install(PROFILES)
    registry.issue(username="alice", application="Teams")
    registry.issue(username="Alice", application="Outlook")
    registry.issue(username="alice", application="Maps", profile="sealed")
    registry.issue(username="bob", application="Teams")
    rows = json.dumps({"u": "alice", "t": clock.now.isoformat()}).encode()
    registry.imports.run(io.BytesIO(rows), MAP, source="hub")
    return registry


def test_a_revocation_of_one_application(filled: Registry):
    """Other applications of its users go on, and those of other users are not theirs."""
    outcome = filled.revoke(SessionFilter(application="Outlook"), note="retired")
    effect = filled.effects.of_revocation(outcome)
    assert effect is not None
    assert (effect.ended_now, effect.sealed, dict(effect.untold)) == (1, Ends(), {})
    assert effect.others == Ends(hour=1, week=2, last=filled.now() + 3 * DAY)
    assert dict(effect.others_by_application) == {"Teams": 1, "Maps": 1, None: 1}


def test_a_user_s_revocation_leaves_sealed_tokens_and_another_system(filled: Registry):
    """Until the end that the token has; the other system is named with its sessions."""
    effect = filled.effects.of_revocation(filled.revoke(SessionFilter(username="alice"), note="lost device"))
    assert effect == Effect(4, Ends(), (), Ends(hour=1, last=filled.now() + HOUR), {"hub": 1}, 0)


def test_an_expired_session_did_not_end_now(filled: Registry, clock: Clock):
    """Its revocation changes nothing about it, and its token had ended."""
    clock.forward(days=4)
    outcome = filled.revoke(SessionFilter(username="alice"), note="lost device")
    assert (outcome.revoked, filled.effects.of_revocation(outcome)) == (4, Effect(0))


def test_a_dry_run_has_no_effect_and_a_revocation_of_nothing_ends_none(filled: Registry):
    """What would end is not known to have ended; what selected nothing ended nothing."""
    for options, effect in (({"dry_run": True}, None), ({}, Effect(0))):
        outcome = filled.revoke(SessionFilter(username="alice" if options else "nobody"), note="lost device", **options)
        assert filled.effects.of_revocation(outcome) == effect


def test_a_disabled_user_and_a_changed_password(filled: Registry):
    """The spared session goes on after a changed password; after disabling, only the sealed token does."""
    spared = next(iter(filled.sessions(SessionFilter(application="Teams", username="alice"))))
    changed = filled.users.password_changed("alice", note="changed", except_ids=[spared.id])
    effect = filled.effects.of_users([changed])
    assert (effect.ended_now, effect.others_by_application, effect.sealed.total) == (3, (("Teams", 1),), 1)
    disabled = filled.users.disable_all(["alice", "bob"], note="left")
    assert filled.effects.of_users(disabled) == Effect(2)
    assert filled.effects.of_users(filled.users.disable_all(["alice"], note="left")) == Effect(0)


def test_a_retired_key(filled: Registry):
    """Its sessions ended; those that the new key signed go on."""
    old = filled.keys.list()[0].key.id
    filled.keys.rotate(note="yearly")
    filled.issue(username="alice", application="Teams", profile="endless")
    effect = filled.effects.of_retirement(filled.keys.retire(old, compromised=True, note="copied"))
    assert (effect.ended_now, effect.others.total, effect.others.until, effect.sealed.total) == (4, 2, None, 1)


def test_applied_profiles(filled: Registry, clock: Clock):
    """What expired at once, what its users still have, what ends earlier, and how long the changed profiles' sessions live."""
    clock.forward(hours=30)
    filled.issue(username="zoe", application="Teams")
    filled.issue(username="alice", application="Teams", profile="endless")
    shorter = profiles.read(PROFILES.replace("idle_timeout: 3d", "idle_timeout: 1d").encode(), "p.yaml")
    outcome = filled.profiles.apply(shorter, note="tighter")
    effect = filled.effects.of_profiles(outcome)
    assert (effect.ended_now, effect.ends_later) == (outcome.ended, outcome.shortened) == (4, 1)
    assert (effect.others, effect.others_by_application) == (Ends(never=1), (("Teams", 1),))
    assert effect.under_profiles == Ends(day=1, last=filled.now() + DAY)
    assert (effect.sealed, effect.untold) == (Ends(), {"hub": 1})
    unchanged = filled.effects.of_profiles(filled.profiles.apply(shorter, note="tighter"))
    assert unchanged == Effect(0)


def test_applied_profiles_leave_sealed_tokens_until_the_end_that_they_have(filled: Registry, clock: Clock):
    """A shorter longest lifetime ends the session, and not the token that is read without authctl."""
    filled.issue(username="alice", application="Maps", profile="sealed", lifetime=timedelta(hours=5))
    end = filled.now() + 5 * HOUR
    clock.forward(hours=2)
    shorter = profiles.read(PROFILES.replace("max_lifetime: 1d", "max_lifetime: 60m").encode(), "p.yaml")
    effect = filled.effects.of_profiles(filled.profiles.apply(shorter, note="tighter"))
    assert (effect.ended_now, effect.sealed) == (1, Ends(day=1, last=end))
    assert effect.others_by_application == ((None, 1), ("Outlook", 1), ("Teams", 1))


def test_applied_profiles_that_forbid_continuity(install: Install, clock: Clock):
    """The sessions that only the event kept active ended, and those that it did not need go on."""
    held = "version: 1\ndefault_profile: default\nprofiles:\n  default: {idle_timeout: 3d, continuity: true}\n"
    registry = install(held)
    registry.issue(username="alice", application="Teams")
    registry.continuity.start(note="storm")
    clock.forward(days=4)
    registry.issue(username="alice", application="Outlook")
    registry.issue(username="bob", application="Outlook")
    without = profiles.read(held.replace("true", "false").encode(), "p.yaml")
    effect = registry.effects.of_profiles(registry.profiles.apply(without, note="over"))
    assert (effect.ended_now, effect.others_by_application) == (1, (("Outlook", 1),))
    assert effect.under_profiles == Ends(week=2, last=registry.now() + 3 * DAY)


def test_each_of_several_users_has_an_effect_of_its_own(installed: Authctl):
    """In JSON the answer for each user has the sessions, systems and tokens of that user alone."""
    for user, application in (("alice", "Teams"), ("alice", "Outlook"), ("bob", "Teams")):
        installed("tokens", "issue", "--user", user, "--application", application)
    spared = installed("sessions", "list", "--user", "alice", "--limit", "1", "-o", "id").out.strip()
    several = ("users", "password-changed", "alice", "BOB", "--except", spared, "--note", "reset", "-o")
    ran = installed(*several, "ndjson")
    assert [json.loads(line)["username"] for line in ran.out.splitlines()] == ["alice", "BOB"]
    alice, bob = (json.loads(line)["effect"] for line in ran.out.splitlines())
    assert (alice["ended_now"], alice["others"], bob["ended_now"], bob["others"]) == (1, 1, 1, 0)
    assert alice["others_ends"] == {
        **dict.fromkeys(("hour", "day", "later", "never"), 0),
        "week": 1,
        "last": alice["others_until"],
    }
    again = installed("users", "disable", "alice", "nobody", "--note", "left", "-o", "json").json
    assert [user["effect"]["ended_now"] for user in again] == [1, 0]
    tried = installed("users", "disable", "alice", "bob", "--dry-run", "-o", "json").json
    assert [user["effect"] for user in tried] == [None, None]


def test_the_ends_of_what_goes_on_are_told_by_their_time(authctl: Authctl, home: Path, tmp_path: Path):
    """How many end within the hour, the day and the week, later and never, and the last of those that end."""
    (tmp_path / "p.yaml").write_text(PROFILES)
    assert authctl("init", "--profiles", str(tmp_path / "p.yaml"), "-q").code == 0
    registry = Registry.open(home)
    registry.issue(username="alice", application="Teams")
    for profile, lifetime in (("sealed", timedelta(minutes=30)), ("sealed", timedelta(hours=20)), ("endless", None)):
        registry.issue(username="alice", application="Maps", profile=profile, lifetime=lifetime)
    registry.issue(username="alice", application="Outlook")
    registry.close()
    ran = authctl("revoke", "--user", "alice", "--application", "Outlook", "--note", "lost device")
    told = "unless used, they end: 1 within an hour, 1 more within a day, 1 more within a week, 1 never; the last at "
    assert told in ran.err
    assert not re.search(r":\d\d\.\d", ran.err)


def test_the_commands_tell_it(installed: Authctl, home: Path, tmp_path: Path):
    """On standard error, silent with -q; in JSON as `effect` of each command."""
    for user, application in (("alice", "Teams"), ("alice", "Outlook"), ("bob", "Teams"), ("carol", "Teams")):
        installed("tokens", "issue", "--user", user, "--application", application)
    fields = {*Effect._fields, *(f"{name}_ends" for name in ("others", "sealed", "under_profiles"))}
    fields |= {"others_until", "sealed_until"}
    ran = installed("revoke", "--user", "alice", "--application", "Teams", "--note", "lost device", "-o", "json")
    assert (set(ran.json["effect"]), ran.json["effect"]["ended_now"]) == (fields, 1)
    assert ran.json["effect"]["others_by_application"] == [{"application": "Outlook", "sessions": 1}]
    assert "still active: 1 session of the same users, by application: 'Outlook' 1; unless used, they end" in ran.err
    assert ran.err.splitlines()[-1] == "authctl: revoked 1 session"
    ran = installed("users", "disable", "bob", "--note", "left", "-q", "-o", "json")
    assert (ran.json["effect"]["ended_now"], ran.err) == (1, "")
    ran = installed("users", "password-changed", "alice", "--note", "reset", "-o", "json")
    assert ran.json["effect"]["ended_now"] == 1
    key = installed("keys", "list", "-o", "id").out.strip()
    installed("keys", "rotate", "--note", "yearly")
    ran = installed("keys", "retire", key, "--sign-out", "--note", "yearly", "--yes", "-o", "json")
    assert ran.json["effect"]["ended_now"] == 1
    (tmp_path / "p.yaml").write_text((home / "profiles.yaml").read_text().replace("3d", "2d"))
    installed("tokens", "issue", "--user", "dora", "--application", "Teams")
    ran = installed("profiles", "apply", str(tmp_path / "p.yaml"), "--note", "tighter", "--yes", "-o", "json")
    assert (ran.json["effect"]["ended_now"], ran.json["effect"]["ends_later"]) == (0, ran.json["shortened"])
    assert ran.json["shortened"] == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_shown_escaped(installed: Authctl, text: str):
    """An application of another session is foreign text."""
    for application in (f"A{text}", "B"):
        installed("tokens", "issue", "--user", "alice", "--application", application)
    ran = installed("revoke", "--user", "alice", "--application", "B", "--note", "lost device")
    assert (ran.code, "still active: 1 session of the same users" in ran.err, unseen(ran.err)) == (0, True, [])
    assert installed("tokens", "issue", "--user", "alice", "--application", "B").code == 0
    quiet = installed("users", "disable", "alice", "--note", "left", "-q")
    assert quiet.err == ""


def test_the_effect_is_null_for_a_dry_run_and_zero_for_a_change_that_ends_nothing(installed: Authctl, tmp_path: Path):
    """At every command that has an effect: null and zero are different things to a script."""
    ids = [
        installed("tokens", "issue", "--user", user, "--application", "Teams", "-o", "json").json["session"]["id"]
        for user in ("alice", "bob")
    ]
    (tmp_path / "list.csv").write_text("email\nalice\n")
    listed = ("revoke", "--from", str(tmp_path / "list.csv"), "--column", "email")
    note = ("--note", "left the company")
    commands = (listed, ("revoke", ids[0]), ("revoke", "--user", "alice"), ("users", "disable", "alice"))
    for command in commands:
        assert installed(*command, "--dry-run", "-o", "json").json["effect"] is None
    assert installed("profiles", "apply", "--dry-run", "-o", "json").json["effect"] is None
    plan = ("revoke", "--user", "alice", "--plan", str(tmp_path / "plan"))
    assert installed(*plan, "-o", "json").json["effect"] is None
    assert installed("revoke", "--apply", str(tmp_path / "plan"), "--dry-run", "-o", "json").json["effect"] is None
    assert installed("revoke", "--user", "alice", *note, "-o", "json").json["effect"]["ended_now"] == 1
    for command in commands:
        assert installed(*command, *note, "-o", "json").json["effect"]["ended_now"] == 0


def test_it_is_told_how_many_of_the_revoked_sessions_were_active(installed: Authctl, tmp_path: Path):
    """A revocation covers expired sessions as well: they did not end now."""
    for user in ("alice", "bob"):
        for _ in range(2):
            one = installed("tokens", "issue", "--user", user, "--application", "Teams", "-o", "json").json["session"]
        assert installed("sessions", "end", one["id"]).code == 0
    (tmp_path / "list.csv").write_text("email\nbob\n")
    listed = ("revoke", "--from", str(tmp_path / "list.csv"), "--column", "email")
    for command in (("revoke", "--user", "alice"), listed):
        ran = installed(*command, "--note", "left the company")
        assert "authctl: ended now: 1 active session; 1 had ended before\n" in ran.err
        assert ran.err.splitlines()[-1] == "authctl: revoked 2 sessions"
    assert "ended now" not in installed(*listed, "--note", "left the company").err


def test_applications_beyond_those_that_are_named_are_counted(installed: Authctl):
    """The numbers by application add up to all sessions that are still active."""
    for number in range(8):
        assert installed("tokens", "issue", "--user", "alice", "--application", f"App {number}", "-q").code == 0
    ran = installed("revoke", "--user", "alice", "--application", "App 0", "--note", "left the company")
    assert "still active: 7 sessions of the same users" in ran.err
    assert "'App 5' 1, others 2; unless used" in ran.err
