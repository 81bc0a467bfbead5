"""`revoke --keep N`: all but the newest N sessions of each user and application, compared with a model."""

import json
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, Refused, Registry, Session, SessionFilter, Status
from tests.conftest import Authctl, Clock, Install, OnTerminal
from tests.test_late_rows import at, load, row

NOTE = ("--note", "one session is enough")
SESSIONS = st.lists(
    st.tuples(
        st.sampled_from(["alice", "ALICE", "bob"]),
        st.sampled_from(["Teams", "teams", "Outlook", ""]),
        st.sampled_from(["application", "web"]),
        st.integers(0, 2),
        st.sampled_from(["", "end", "revoke", "verify"]),
    ),
    min_size=1,
    max_size=12,
)


def expected(sessions: list[Session], keep: int) -> set[str]:
    """The sessions to revoke, by the rule: latest use first, of equal ones the latest registered, each user and application apart."""
    groups = defaultdict(list)
    for session in sessions:
        if session.status is not Status.REVOKED:
            groups[session.username.lower(), (session.application or "").lower()].append(session)
    newest_first = [sorted(group, key=lambda s: (s.last_used_at, s.number), reverse=True) for group in groups.values()]
    return {session.id for group in newest_first for session in group[keep:]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sessions=SESSIONS,
    keep=st.integers(1, 3),
    criteria=st.sampled_from(
        [{"everything": True}, {"username": "alice"}, {"application": "teams"}, {"kind": "web"}, {"status": "active"}]
    ),
    planned=st.booleans(),
)
def test_the_newest_stay(install: Install, clock: Clock, tmp_path_factory, sessions, keep, criteria, planned):
    """Whatever is selected, and whatever happened to it: directly and by a plan."""
    registry = install(folder=str(tmp_path_factory.mktemp("home")))
    for user, application, kind, minutes, operation in sessions:
        issued = registry.issue(username=user, application=application or "-", kind=kind)
        clock.forward(minutes=minutes)
        if operation == "end":
            registry.end([issued.session.id])
        elif operation == "revoke":
            registry.revoke(SessionFilter(ids=(issued.session.id,)), note="before")
        elif operation == "verify":
            registry.verify(issued.access_token)
    selection = SessionFilter(**criteria)
    selected = list(registry.sessions(selection.narrowed(everything=False)))
    revoked = {session.id for session in selected if session.status is Status.REVOKED}
    wanted = expected(selected, keep)
    dry = registry.revoke(selection, note=None, keep=keep, dry_run=True)
    bound = registry.revocation_previews.make(selection, keep=keep).bound
    if planned:
        outcome = registry.plans.apply(registry.plans.make(selection, keep=keep).plan, note="one is enough")
    else:
        outcome = registry.revoke(selection, note="one is enough", keep=keep, bound=bound)
        assert (outcome.selected, outcome.kept) == (len(selected), len(selected) - len(revoked) - len(wanted))
        assert outcome.already_revoked == len(revoked)
    assert {session.id for session in outcome.sessions} == {session.id for session in dry.sessions} == wanted
    assert (dry.revoked, outcome.revoked) == (len(wanted), len(wanted))
    now_revoked = set(registry.sessions(SessionFilter(status="revoked")))
    assert {session.id for session in now_revoked if session.note == "one is enough"} == wanted
    registry.close()


@pytest.fixture
def filled(registry: Registry, clock: Clock) -> Registry:
    """Three sessions of Teams of each of two users, a minute apart."""
    for user in ("alice", "bob"):
        for _ in range(3):
            registry.issue(username=user, application="Teams")
            clock.forward(minutes=1)
    return registry


def test_keep_asks_as_a_filter_does(installed: Authctl):
    """Even beside a named user: without a terminal it needs --yes, and --max-affected bounds it."""
    for _ in range(3):
        installed("tokens", "issue", "--user", "kate", "--application", "Teams")
    keep = ("revoke", "--user", "kate", "--keep", "1")
    refused = installed(*keep, *NOTE)
    assert (refused.code, "this would revoke 2 sessions" in refused.err) == (4, True)
    assert installed(*keep, "--dry-run", "-o", "json").json["revoked"] == 2
    assert installed(*keep, *NOTE, "--yes", "--max-affected", "1").code == 4
    done = installed(*keep, *NOTE, "--yes")
    assert (done.code, "revoked 2 sessions; 1 kept" in done.err) == (0, True)
    again = installed(*keep, *NOTE, "--yes", "-o", "json")
    assert (again.code, again.json["revoked"], again.json["revocation_id"]) == (0, 0, None)
    event = json.loads(installed("audit", "list", "--action", "session.revoke", "-o", "ndjson").out.splitlines()[0])
    assert event["detail"]["selector"] == {"username": "kate", "keep": 1}


def test_keep_beside_all_asks_as_all_does(installed: Authctl):
    """It needs --yes, is bounded, leaves the newest of everybody, and is no revocation of everything: later rows are not bound by it."""
    for user in ("kate", "kate", "liam"):
        installed("tokens", "issue", "--user", user, "--application", "Teams")
    keep = ("revoke", "--all", "--keep", "1")
    refused = installed(*keep, *NOTE)
    assert (refused.code, "this would revoke 1 session" in refused.err) == (4, True)
    assert installed(*keep, *NOTE, "--yes", "--max-affected", "0").code == 4
    done = installed(*keep, *NOTE, "--yes")
    assert (done.code, "revoked 1 session; 2 kept" in done.err) == (0, True)
    left = installed("sessions", "list", "--status", "active", "-o", "json").json
    assert sorted(one["username"] for one in left) == ["kate", "liam"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--keep", "1"), 2),
        (("--keep", "0", "--user", "alice"), 2),
        (("--keep", "-1", "--user", "alice"), 2),
        (("--keep", "many", "--user", "alice"), 2),
        (("--keep", "1", "--user", "nobody", "--yes"), 3),
        (("--keep", "99", "--user", "alice", "--yes"), 0),
        (("--keep", "1", "--all", "--user", "alice", "--yes"), 2),
        (("--keep", "1", "--all"), 4),
        (("--keep", "1", "--all", "--yes"), 0),
    ],
)
def test_exit_codes(installed: Authctl, arguments: tuple[str, ...], code: int):
    """--keep alone selects nothing, and with --all it is every user."""
    for _ in range(2):
        installed("tokens", "issue", "--user", "alice", "--application", "Teams")
    assert installed("revoke", *arguments, *NOTE).code == code


def test_everybody_s_newest_needs_the_count(installed: Authctl, on_terminal: OnTerminal):
    """With --all the number is typed, and a yes is no answer."""
    for _ in range(3):
        installed("tokens", "issue", "--user", "kate", "--application", "Teams")
    planned = installed("revoke", "--all", "--keep", "1", "--dry-run", "-o", "json").json["revoked"]
    seen = on_terminal("revoke", "--all", "--keep", "1", *NOTE, answers=("y",))
    assert (
        seen.code,
        f"kept: the 1 most recently used of each user and application. Type {planned} to"
        in " ".join(seen.text.split()),
    ) == (4, True)
    assert on_terminal("revoke", "--all", "--keep", "1", *NOTE, answers=(str(planned),)).code == 0


def test_a_newer_session_beyond_the_preview_is_refused(filled: Registry):
    """Somebody signs in between preview and operation: another session would be the newest, and nothing is done."""
    selection = SessionFilter(application="Teams")
    bound = filled.revocation_previews.make(selection, keep=1).bound
    filled.issue(username="alice", application="Teams")
    with pytest.raises(Refused, match="1 of them was not in the preview"):
        filled.revoke(selection, note="one is enough", keep=1, bound=bound)


def test_a_late_row_is_not_bound(filled: Registry, clock: Clock):
    """The revocation was of the sessions found: a session of an earlier time that an import brings stays (decision 206)."""
    clock.forward(hours=3)
    selection = SessionFilter(application="Teams")
    assert filled.revoke(selection, note="one is enough", keep=1).revoked == 4
    load(filled, row("alice", app="Teams", at=at(0.5)))
    late = [one for one in filled.sessions(SessionFilter(username="alice")) if one.revoked_at is None]
    assert len(late) == 2
    assert filled.revoke(selection, note="again", keep=1).revoked == 1


def test_none_kept_is_refused(filled: Registry):
    """The library, too: zero would be all of them."""
    for keep in (0, -1):
        with pytest.raises(InvalidInput):
            filled.revoke(SessionFilter(application="Teams"), note="none stays", keep=keep)
        with pytest.raises(InvalidInput):
            filled.plans.make(SessionFilter(application="Teams"), keep=keep)


@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["done", "dry run"])
def test_revoked_ones_are_no_rows_that_were_left_out(installed: Authctl, more: tuple[str, ...]):
    """Where every session was revoked before, none is kept and none is listed; nothing claims that rows are missing."""
    for _ in range(2):
        assert installed("tokens", "issue", "--user", "alice", "--application", "Teams", "-q").code == 0
    assert installed("revoke", "--user", "alice", *NOTE, "-q").code == 0
    ran = installed("revoke", "--user", "alice", "--keep", "1", "--yes", *NOTE, *more)
    assert ran.code == 0, ran
    assert "are listed" not in ran.err
    assert "would revoke 0 sessions" in ran.err if more else "revoked 0 sessions" in ran.err
