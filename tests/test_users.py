"""Users: disabled, enabled, passwords changed; what each operation ends, says and leaves."""

import io
import json

import pytest

from authctl import EventFilter, InvalidInput, NotFound, Refused, Registry, SessionFilter, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, HOUR
from tests.conftest import START, Authctl, Clock, Install

MAP = read_mapping(b"fields: {username: user, at: time}\nkey: [username]\n", "map.yaml")


def sign_in(registry: Registry, user: str = "alice", application: str = "Outlook", **details):
    """A session."""
    return registry.issue(username=user, application=application, **details)


def load(registry: Registry, *times: str, user: str = "alice"):
    """Import rows of one user at those times."""
    rows = "".join(json.dumps({"user": user, "time": time}) + "\n" for time in times)
    return registry.imports.run(io.BytesIO(rows.encode()), MAP)


def test_disabling_is_one_event_with_what_it_ended(registry: Registry, clock: Clock):
    """The event names user, note and sessions, and is found by user and by each session; expired ones are left alone."""
    expired = sign_in(registry)
    clock.forward(days=3)
    living = [sign_in(registry, application=name) for name in ("Outlook", "ArcGIS")]
    before = len(list(registry.audit.events()))
    outcome = registry.users.disable("Alice", note="left the company", actor="bob")
    assert len(list(registry.audit.events())) == before + 1
    (event,) = registry.audit.events(EventFilter(action="user.disable"))
    assert (event.actor, event.subject, event.note, event.at) == ("bob", "Alice", "left the company", outcome.at)
    detail = json.loads(event.detail)
    assert (detail["username_key"], detail["ended"]) == ("alice", 2)
    assert set(detail["sessions"]) == {one.session.id for one in living}
    assert event in list(registry.audit.events(EventFilter(username="ALICE")))
    for one in living:
        assert event in list(registry.audit.events(EventFilter(session_id=one.session.id)))
    assert event not in list(registry.audit.events(EventFilter(session_id=expired.session.id)))
    assert registry.session(expired.session.id).ended_reason == "idle"


def test_a_dry_run_says_the_same_and_writes_nothing(registry: Registry):
    """Same shape, no session ended, no event; it needs no note."""
    sign_in(registry)
    before = list(registry.audit.events())
    dry = registry.users.disable("alice", note=None, dry_run=True)
    assert (dry.changed, dry.ended, dry.dry_run, dry.user.disabled_at) == (True, 1, True, None)
    assert list(registry.audit.events()) == before
    assert registry.count(SessionFilter(status="active")) == 1
    done = registry.users.disable("alice", note="left the company")
    assert (done.ended, [s.id for s in done.sessions]) == (dry.ended, [s.id for s in dry.sessions])
    again = registry.users.disable("alice", note=None, dry_run=True)
    assert (again.changed, again.ended) == (False, 0)


def test_disabling_twice_keeps_the_first_note(registry: Registry, clock: Clock):
    """Nothing is written the second time; enabling twice is no error either."""
    registry.users.disable("alice", note="left the company", actor="bob")
    clock.forward(days=1)
    before = len(list(registry.audit.events()))
    second = registry.users.disable("ALICE", note="another note", actor="eve")
    assert (second.changed, second.ended, second.user.note, second.user.disabled_by) == (
        False,
        0,
        "left the company",
        "bob",
    )
    assert len(list(registry.audit.events())) == before
    assert registry.users.enable("alice", note="came back").changed
    assert not registry.users.enable("alice", note="came back").changed
    assert len(list(registry.audit.events())) == before + 1
    assert registry.users.get("alice").user.note is None


def test_a_user_nobody_has_seen_can_be_disabled(registry: Registry):
    """In advance; enabling one that is unknown is not found."""
    assert registry.users.disable("zoe", note="never to sign in").ended == 0
    with pytest.raises(Refused):
        sign_in(registry, "ZOE")
    assert registry.count() == 0
    with pytest.raises(NotFound):
        registry.users.enable("nobody", note="came back")
    sign_in(registry, "bob")
    assert not registry.users.enable("bob", note="came back").changed


@pytest.mark.parametrize("name", ["", " ", "al\u200bice", "x" * 1_001])
def test_a_name_that_cannot_be_is_refused(registry: Registry, name: str):
    """At every door."""
    for operation in (registry.users.disable, registry.users.enable, registry.users.password_changed):
        with pytest.raises(InvalidInput):
            operation(name, note="left the company")
    with pytest.raises(InvalidInput):
        registry.users.get(name)


def test_users_with_sessions_and_without(registry: Registry, clock: Clock):
    """Used last comes first, then those of whom only something was recorded; counted over every kind."""
    sign_in(registry, "alice")
    clock.forward(minutes=1)
    sign_in(registry, "Bob", kind="web")
    sign_in(registry, "bob")
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    registry.users.disable("carol", note="never to sign in")
    registry.users.password_changed("bob", note="reset by the help desk")
    found = {one.user.username: one for one in registry.users.list()}
    assert list(found) == ["bob", "alice", "carol"]
    counts = {name: (one.sessions.active, one.sessions.expired, one.sessions.revoked) for name, one in found.items()}
    assert counts == {"bob": (0, 2, 0), "alice": (0, 0, 1), "carol": (0, 0, 0)}
    assert (found["carol"].sessions.last_used_at, found["alice"].user.disabled_at) == (None, None)
    assert registry.users.get("BOB").user.password_changed_at is not None
    assert registry.users.get("carol").user.disabled_at is not None


def test_many_sessions_of_one_user(registry: Registry):
    """All of them end, a thousand are listed, and each finds its event."""
    rows = "".join(
        json.dumps({"user": "alice", "app": f"app {n}", "time": "2026-03-02T08:00:00Z"}) + "\n" for n in range(1_200)
    )
    mapping = read_mapping(b"fields: {username: user, application: app, at: time}\nkey: [application]\n", "map.yaml")
    registry.imports.run(io.BytesIO(rows.encode()), mapping)
    outcome = registry.users.disable("alice", note="left the company")
    assert (outcome.ended, len(outcome.sessions)) == (1_200, 1_000)
    assert registry.count(SessionFilter(status="active")) == 0
    assert len(json.loads(next(registry.audit.events()).detail)["sessions"]) == 1_000


def test_an_import_is_no_way_around_a_disabled_user(registry: Registry, clock: Clock):
    """Rows up to the operation make a session that ended then; while disabled, none is registered as living."""
    clock.forward(days=1)
    registry.users.disable("alice", note="left the company")
    at = registry.now()
    clock.forward(hours=1)
    load(registry, "2026-03-02T10:00:00Z", "2026-03-03T09:30:00Z")
    before, after = sorted(registry.sessions(), key=lambda s: s.created_at)
    assert (before.ended_by, before.ended_at, before.last_used_at) == ("user_disabled", at, before.created_at)
    assert (after.ended_by, after.ended_at) == ("user_disabled", after.last_used_at)
    assert registry.count(SessionFilter(status="active")) == 0
    assert load(registry, "2026-03-02T10:00:00Z", "2026-03-03T09:30:00Z").unchanged == 1
    registry.users.enable("alice", note="came back")
    clock.forward(hours=2)
    load(registry, "2026-03-03T10:30:00Z")
    assert [s.status.value for s in registry.sessions(SessionFilter(status="active"))] == ["active"]
    assert registry.count() == 3


def test_late_rows_from_before_a_disabling_that_is_over(registry: Registry, clock: Clock):
    """Enabled again, the sessions that the operation would have ended are registered as ended by it."""
    registry.users.disable("alice", note="left the company")
    at = registry.now()
    registry.users.enable("alice", note="came back")
    clock.forward(hours=1)
    load(registry, "2026-03-02T08:00:00Z")
    (found,) = registry.sessions()
    assert (found.status.value, found.ended_by, found.ended_at) == ("expired", "user_disabled", at)


def test_late_rows_around_a_changed_password(registry: Registry, clock: Clock):
    """Those up to it are a session that ended then, those after it another; what had expired by then is simply expired."""
    clock.forward(days=10)
    registry.users.password_changed("alice", note="reset by the help desk")
    at = registry.now()
    clock.forward(hours=3)
    load(registry, "2026-03-12T08:00:00Z", "2026-03-12T11:00:00Z")
    load(registry, "2026-03-02T08:00:00Z", user="bob")
    registry.users.password_changed("bob", note="reset by the help desk")
    assert load(registry, "2026-03-02T08:00:00Z", user="bob").unchanged == 1
    first, second = sorted(registry.sessions(SessionFilter(username="alice")), key=lambda s: s.created_at)
    assert (first.ended_by, first.ended_at) == ("password_changed", at)
    assert (second.status.value, second.created_at) == ("active", at + 2 * HOUR)
    (bob,) = registry.sessions(SessionFilter(username="bob"))
    assert (bob.ended_by, bob.ended_reason, bob.expires_at) == (None, "idle", bob.last_used_at + 3 * DAY)


def test_an_import_under_a_profile_that_no_password_ends(install: Install, clock: Clock):
    """Its rows are one session, before and after the password changed."""
    registry = install("version: 1\nprofiles: {keys: {ends_on_password_change: none}}")
    clock.forward(hours=1)
    registry.users.password_changed("alice", note="reset by the help desk")
    clock.forward(hours=1)
    load(registry, "2026-03-02T09:30:00Z", "2026-03-02T10:30:00Z")
    assert [s.status.value for s in registry.sessions()] == ["active"]


def test_a_revocation_of_everything_and_a_password_divide_the_rows(registry: Registry, clock: Clock):
    """Each part is over by its own operation, whichever came first."""
    sign_in(registry, "bob")
    clock.forward(hours=1)
    registry.revoke(SessionFilter(everything=True), note="breach drill")
    clock.forward(hours=1)
    registry.users.password_changed("alice", note="reset by the help desk")
    clock.forward(hours=1)
    load(registry, "2026-03-02T09:30:00Z", "2026-03-02T10:30:00Z", "2026-03-02T11:30:00Z")
    found = sorted(registry.sessions(SessionFilter(username="alice")), key=lambda s: s.created_at)
    assert [(s.status.value, s.note or s.ended_by) for s in found] == [
        ("revoked", "breach drill"),
        ("expired", "password_changed"),
        ("active", None),
    ]
    again = load(registry, "2026-03-02T09:30:00Z", "2026-03-02T10:30:00Z", "2026-03-02T11:30:00Z")
    assert (again.registered, again.updated) == (0, 0)


def test_through_the_commands(installed: Authctl):
    """Lists, records and words; `-q` says nothing, ids are the names."""
    for user in ("alice", "bob"):
        installed("tokens", "issue", "--user", user, "--application", "Outlook", "--signed-in-with", "key")
    dry = installed("users", "disable", "alice", "--dry-run", "-o", "json")
    assert (dry.code, dry.json["dry_run"], dry.json["changed"], dry.json["ended"]) == (0, True, True, 1)
    assert "dry run, nothing was changed: would disable alice and end 1 active session" in dry.err
    done = installed("users", "disable", "alice", "--note", "left the company", "-o", "json")
    assert list(done.json) == [
        "username", "at", "actor", "note", "changed", "disabled", "ended", "kept", "dry_run", "sessions", "known", "disabled_until", "effect",
    ]  # fmt: skip
    assert done.json["sessions"][0]["ended_reason"] == "user_disabled"
    again = installed("users", "disable", "alice", "--note", "another note")
    assert (again.code, again.out) == (0, "")
    assert again.err == "authctl: alice was disabled before; the note was not recorded\n"
    assert installed("users", "disable", "zoe", "--note", "never to sign in", "-q").out == ""
    listed = installed("users", "list", "-o", "json").json
    assert [one["username"] for one in listed] == ["bob", "alice", "zoe"]
    assert list(listed[0]) == [
        "username", "disabled", "disabled_at", "disabled_by", "note", "password_changed_at",
        "active", "expired", "revoked", "total", "last_used_at", "disabled_until", "enabled_at", "enabled_by",
    ]  # fmt: skip
    assert installed("users", "list", "--disabled", "-o", "id").out == "alice\nzoe\n"
    assert installed("users", "list", "--limit", "1").out.splitlines()[0].startswith("username\tdisabled\tactive")
    assert installed("users", "show", "ALICE", "-o", "id").out == "alice\n"
    changed = installed("users", "password-changed", "bob", "--note", "reset by the help desk")
    assert changed.err == "authctl: recorded for bob: 1 active session ended\n"
    assert installed("users", "password-changed", "nobody", "--note", "reset by the help desk").code == 0
    assert (
        installed("users", "enable", "alice", "--note", "came back").err
        == "authctl: enabled alice; no session comes back\n"
    )
    assert installed("users", "enable", "alice", "--note", "came back").err == "authctl: alice was not disabled\n"
    assert installed("audit", "verify").code == 0


def test_only_what_a_profile_ends_by_password(authctl: Authctl, tmp_path):
    """The command says how many were kept, and why."""
    (tmp_path / "profiles.yaml").write_text("version: 1\nprofiles: {keys: {ends_on_password_change: password}}")
    authctl("init", "--profiles", str(tmp_path / "profiles.yaml"))
    for how in ("password", "key"):
        authctl("tokens", "issue", "--user", "alice", "--application", "Outlook", "--signed-in-with", how)
    ran = authctl("users", "password-changed", "alice", "--note", "reset by the help desk")
    still_active, recorded = ran.err.splitlines()
    assert still_active.startswith("authctl: still active: 1 session of the same users, by application: 'Outlook' 1;")
    assert (
        recorded == "authctl: recorded for alice: 1 active session ended; 1 session kept, as their profiles define it"
    )


def test_rows_before_a_revoke_all_are_revoked_however_the_file_is_cut(install: Install, clock: Clock):
    """What was over before, by a user's hard end, does not spare its key from a later revocation of everything."""
    found = []
    for order in ([["01T10", "39T23"]], [["01T10"], ["39T23"]], [["39T23"], ["01T10"]]):
        clock.now = START
        registry = install(folder=f"home{len(found)}")
        sign_in(registry, "bob")
        clock.forward(days=30)
        registry.users.disable("alice", note="left the company")
        registry.users.enable("alice", note="came back")
        clock.forward(days=10)
        registry.revoke(SessionFilter(everything=True), note="breach drill")
        clock.forward(days=1)
        times = {"01T10": "2026-03-03T10:00:00Z", "39T23": "2026-04-11T08:00:00Z"}
        for part in order:
            load(registry, *(times[one] for one in part))
        found.append(registry.count(SessionFilter(username="alice", status="active")))
    assert found == [0, 0, 0]


@pytest.mark.parametrize(("usual", "special", "ends"), [("none", "all", True), ("all", "none", False)])
def test_the_password_rule_is_that_of_the_profile_the_session_gets(
    install: Install, clock: Clock, usual: str, special: str, ends: bool
):
    """The profile follows from all that is known of a key, not from its last row."""
    registry = install(f"""\
version: 1
default_profile: usual
assignments: [{{application: X, profile: special}}]
profiles:
  usual: {{ends_on_password_change: {usual}}}
  special: {{ends_on_password_change: {special}}}
""")
    clock.forward(days=1)
    registry.users.password_changed("alice", note="reset by the help desk")
    mapping = read_mapping(b"fields: {username: u, application: a, at: t}\nkey: [username]\n", "map.yaml")
    rows = [{"u": "alice", "a": "X", "t": "2026-03-02T10:00:00Z"}, {"u": "alice", "t": "2026-03-02T11:00:00Z"}]
    registry.imports.run(io.BytesIO("\n".join(map(json.dumps, rows)).encode()), mapping)
    (session,) = registry.sessions()
    assert (session.profile, session.ended_by == "password_changed") == ("special", ends)


def test_an_older_row_revives_nothing(install: Install, clock: Clock):
    """A session that was over under a shorter timeout stays over, unless a row says a later use."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 1d}}")
    load(registry, "2026-02-27T10:00:00Z")
    longer = profiles.read(b"version: 1\nprofiles: {default: {idle_timeout: 30d}}", "profiles.yaml")
    registry.profiles.apply(longer, note="longer")
    load(registry, "2026-02-27T09:00:00Z")
    (session,) = registry.sessions()
    assert (session.status.value, session.created_at) == ("expired", session.last_used_at - HOUR)
    load(registry, "2026-03-01T09:00:00Z")
    assert [session.status.value for session in registry.sessions()] == ["active"]


def test_operations_do_not_go_back_with_the_clock(registry: Registry, clock: Clock):
    """What a changed password ended stays ended for late rows, though the clock was set back and it changed again."""
    clock.forward(days=10)
    registry.users.password_changed("alice", note="reset by the help desk")
    clock.forward(days=-5)
    registry.users.password_changed("alice", note="reset once more")
    clock.forward(days=6)
    load(registry, "2026-03-11T10:00:00Z")
    assert [session.ended_by for session in registry.sessions()] == ["password_changed"]


def test_an_import_under_requested_lifetimes_gets_the_default(install: Install, clock: Clock):
    """As a sign-in that asks for nothing, and no profile gives it more."""
    text = "version: 1\nprofiles: {gis: {tokens: requested, max_lifetime: 1d}}"
    registry = install(text)
    clock.forward(minutes=30)
    load(registry, "2026-03-02T09:00:00Z")
    (session,) = registry.sessions()
    assert session.expires_at == session.created_at + HOUR
    registry.profiles.apply(profiles.read(text.replace("1d", "30d").encode(), "profiles.yaml"), note="longer")
    assert registry.session(session.id).expires_at == session.created_at + HOUR
    assert load(registry, "2026-03-02T09:00:00Z").unchanged == 1


@pytest.mark.parametrize(
    ("meant", "other", "code"),
    [
        ("alice", "\u0430lice", "U+0430"),
        ("\u0430lice", "alice", "plain letters"),
        ("Alice", "al\u0456ce", "U+0456"),
        ("bob", "b\u043eb", "U+043E"),
        ("\u0430lice", "al\u0456\u0441e", "U+0456 U+0441"),
    ],
)
def test_f3_names_of_other_scripts_that_look_the_same(installed: Authctl, meant: str, other: str, code: str):
    """Never merged; revoking and disabling the one warns of the other, naming what cannot be seen, and leaves it alone."""
    for name in (meant, other):
        installed("tokens", "issue", "-q", "--user", name, "--application", "Outlook")
    for command in (("revoke", "--user", meant, "--dry-run"), ("revoke", "--user", meant, "--note", "lost device")):
        ran = installed(*command)
        assert ran.code == 0
        assert f"warning: a different user has a name that looks the same: '{other}' ({code})" in ran.err
    assert installed("sessions", "list", "--status", "active", "-o", "json").json[0]["username"] == other
    assert "looks the same" in installed("users", "disable", meant, "--note", "left the company").err
    missed = installed("revoke", "--user", f"{meant}x", "--note", "lost device")
    assert (missed.code, "looks the same" in missed.err) == (3, False)


def test_f3_other_names_are_not_warned_of(installed: Authctl):
    """Names with letters beyond ASCII that look like nothing else, or differ otherwise."""
    for name in ("jos\u00e9", "\u674e\u96f7", "\u0438\u0432\u0430\u043d", "alice2"):
        installed("tokens", "issue", "-q", "--user", name, "--application", "Outlook")
    installed("tokens", "issue", "-q", "--user", "alice", "--application", "Outlook")
    assert "looks the same" not in installed("revoke", "--user", "alice", "--note", "lost device").err
