"""The effect of an operation: what ended, and what goes on elsewhere, by one value for all operations."""

import io
import json
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import DAY
from authctl.registry.effects import Effect
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
    assert (effect.ended_now, effect.others, effect.sealed, dict(effect.untold)) == (1, 3, 0, {})
    assert dict(effect.others_by_application) == {"Teams": 1, "Maps": 1, None: 1}
    assert effect.others_until == filled.now() + 3 * DAY


def test_a_user_s_revocation_leaves_sealed_tokens_and_another_system(filled: Registry):
    """Until the end that the token has; the other system is named with its sessions."""
    effect = filled.effects.of_revocation(filled.revoke(SessionFilter(username="alice"), note="lost device"))
    assert effect == Effect(4, 0, (), None, 1, filled.now() + DAY // 24, {"hub": 1}, 0)


def test_an_expired_session_did_not_end_now(filled: Registry, clock: Clock):
    """Its revocation changes nothing about it, and its token had ended."""
    clock.forward(days=4)
    outcome = filled.revoke(SessionFilter(username="alice"), note="lost device")
    assert (outcome.revoked, filled.effects.of_revocation(outcome)) == (4, Effect(0))


def test_a_dry_run_and_a_revocation_of_nothing_have_no_effect(filled: Registry):
    """Nothing ended."""
    for options in ({"dry_run": True}, {}):
        outcome = filled.revoke(SessionFilter(username="alice" if options else "nobody"), note="lost device", **options)
        assert filled.effects.of_revocation(outcome) == Effect(0)


def test_a_disabled_user_and_a_changed_password(filled: Registry):
    """The spared session goes on after a changed password; after disabling, only the sealed token does."""
    spared = next(iter(filled.sessions(SessionFilter(application="Teams", username="alice"))))
    changed = filled.users.password_changed("alice", note="changed", except_ids=[spared.id])
    effect = filled.effects.of_users([changed])
    assert (effect.ended_now, effect.others_by_application, effect.sealed) == (3, (("Teams", 1),), 1)
    disabled = filled.users.disable_all(["alice", "bob"], note="left")
    assert filled.effects.of_users(disabled) == Effect(2)
    assert filled.effects.of_users(filled.users.disable_all(["alice"], note="left")) == Effect(0)


def test_a_retired_key(filled: Registry):
    """Its sessions ended; those that the new key signed go on."""
    old = filled.keys.list()[0].key.id
    filled.keys.rotate(note="yearly")
    filled.issue(username="alice", application="Teams", profile="endless")
    effect = filled.effects.of_retirement(filled.keys.retire(old, compromised=True, note="copied"))
    assert (effect.ended_now, effect.others, effect.others_until, effect.sealed) == (4, 2, None, 1)


def test_applied_profiles(filled: Registry, clock: Clock):
    """What expired at once, and what ends earlier than before."""
    clock.forward(hours=30)
    filled.issue(username="zoe", application="Teams")
    shorter = profiles.read(PROFILES.replace("idle_timeout: 3d", "idle_timeout: 1d").encode(), "p.yaml")
    outcome = filled.profiles.apply(shorter, note="tighter")
    effect = filled.effects.of_profiles(outcome)
    assert (effect.ended_now, effect.ends_later) == (outcome.ended, outcome.shortened)
    assert effect.ended_now == 4


def test_the_commands_tell_it(installed: Authctl, home: Path, tmp_path: Path):
    """On standard error, silent with -q; in JSON as `effect` of each command."""
    for user, application in (("alice", "Teams"), ("alice", "Outlook"), ("bob", "Teams"), ("carol", "Teams")):
        installed("tokens", "issue", "--user", user, "--application", application)
    fields = {*Effect._fields}
    ran = installed("revoke", "--user", "alice", "--application", "Teams", "--note", "lost device", "-o", "json")
    assert (set(ran.json["effect"]), ran.json["effect"]["ended_now"]) == (fields, 1)
    assert ran.json["effect"]["others_by_application"] == [{"application": "Outlook", "sessions": 1}]
    assert "still active: 1 session of the same users, by application: 'Outlook' 1; unless used, the last" in ran.err
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
