"""Several values of one criterion: any of them matches, in lists, counts, groups, revocations and the audit log alike."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, Registry, SessionFilter
from authctl.model import EventFilter, SortField
from authctl.store.sql.continuity import Continuity
from authctl.store.sql.selections import select
from authctl.store.sqlite.dialect import SQLITE
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, Clock
from tests.test_store_sqlite import plans, statements  # noqa: F401  # a fixture

PLACES = [
    ("alice", "Outlook", "AL-PC", "Windows 11"),
    ("alice", "Teams", "AL-PHONE", "iOS 26"),
    ("bob", "Outlook", "BO-PC", "Windows 11"),
    ("Bob", "ArcGIS Pro", None, None),
    ("carol", "Teams", "CA-PC", "macOS 16"),
]
COLUMNS = ("username", "application", "device", "platform")


@pytest.fixture
def signed_in(registry: Registry, clock: Clock) -> Registry:
    """A registry with sessions of three users."""
    for username, application, device, platform in PLACES * 3:
        registry.issue(username=username, application=application, device=device, platform=platform)
        clock.forward(seconds=1)
    return registry


@pytest.mark.parametrize("column", COLUMNS)
def test_several_values_select_what_each_of_them_selects(signed_in: Registry, column: str):
    """A list, its count and its groups are those of the values one by one, put together."""
    values = sorted({value for place in PLACES if (value := place[COLUMNS.index(column)])})[:2]
    one_by_one = [list(signed_in.sessions(SessionFilter(**{column: value}))) for value in values]
    together = SessionFilter(**{column: tuple(values)})
    listed = list(signed_in.sessions(together))
    assert all(one_by_one)
    assert {one.id for one in listed} == {one.id for found in one_by_one for one in found}
    assert [one.last_used_at for one in listed] == sorted((one.last_used_at for one in listed), reverse=True)
    assert signed_in.count(together) == len(listed) == sum(map(len, one_by_one))
    assert sum(group.total for group in signed_in.lists.groups("user", together)) == len(listed)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    users=st.lists(st.sampled_from(["alice", "ALICE", "bob", "carol", "nobody"]), min_size=1, max_size=5),
    applications=st.none() | st.lists(st.sampled_from(["Outlook", "teams", "nothing"]), min_size=1, max_size=3),
    status=st.sampled_from([(), "active", "expired", "revoked"]),
    sort=st.none() | st.sampled_from(sorted(SortField)),
    search=st.none() | st.sampled_from(["look", "pc"]),
)
def test_the_filter_says_what_is_listed(signed_in: Registry, users, applications, status, sort, search):
    """For any users, applications, status, order and search, the list has what meets every criterion, each once."""
    if not signed_in.count(SessionFilter(status="revoked")):
        signed_in.revoke(SessionFilter(username="carol"), note="lost device")
    selection = SessionFilter(
        username=tuple(users),
        application=applications and tuple(applications),
        status=status,
        search=search,
    )
    wanted = [
        one.id
        for one in signed_in.sessions()
        if one.username.lower() in {user.lower() for user in users}
        and (applications is None or one.application.lower() in {name.lower() for name in applications})
        and status in ((), one.status)
        and (search is None or search in f"{one.application}|{one.device}".lower())
    ]
    listed = [one.id for one in signed_in.sessions(selection, sort=sort)]
    assert sorted(listed) == sorted(wanted)
    assert signed_in.count(selection) == len(wanted)
    walked = [one.id for one in signed_in.sessions(selection, sort=sort, limit=2)]
    while walked and (page := [one.id for one in signed_in.sessions(selection, sort=sort, after=walked[-1], limit=2)]):
        walked += page
    assert walked == listed


def test_a_single_value_stays_a_text_and_several_become_a_list():
    """In the value and in what the audit log keeps of it; each value counts once, however it is spelled."""
    assert SessionFilter(username=("alice",)) == SessionFilter(username="alice")
    assert SessionFilter(username=("alice", "ALICE", "\uff41lice")).username == "alice"
    several = SessionFilter(username=("alice", "bob", "Alice"), platform="iOS")
    assert several.username == ("alice", "bob")
    assert several.criteria() == {"username": ["alice", "bob"], "platform": "iOS"}
    assert EventFilter(actor=("bob", "bob")).actor == "bob"
    assert EventFilter(actor=("bob", "Bob", "carol")).actor == ("bob", "carol")


@pytest.mark.parametrize("column", [*COLUMNS, "profile"])
def test_no_value_at_all_is_refused(column: str):
    """An empty tuple is no criterion: it would mean everybody where nobody was meant."""
    with pytest.raises(InvalidInput, match="where at least one has to be"):
        SessionFilter(**{column: ()})


def test_each_of_several_names_is_checked_as_one_alone():
    """A blank or invisible one among others is refused."""
    for bad in (" ", "a\u200bb", "x" * 1_001, "a\0b"):
        with pytest.raises(InvalidInput):
            SessionFilter(username=("alice", bad))
        with pytest.raises(InvalidInput):
            EventFilter(username=("alice", bad))


def test_several_users_are_revoked_at_once_and_are_named_in_the_audit_log(installed: Authctl):
    """Both are revoked, with no question, and the log finds the revocation by either."""
    for user in ("alice", "bob", "carol"):
        installed("tokens", "issue", "--user", user, "--application", "Outlook")
    done = installed("revoke", "--user", "alice", "--user", "bob", "--note", "both left", "-o", "json")
    assert done.code == 0
    assert {one["username"] for one in done.json["sessions"]} == {"alice", "bob"}
    (event,) = installed("audit", "list", "--action", "session.revoke", "-o", "json").json
    assert event["detail"]["selector"] == {"username": ["alice", "bob"]}
    for user in ("alice", "bob"):
        assert (
            installed("audit", "list", "--user", user, "--action", "session.revoke", "-o", "id").out
            == f"{event['seq']}\n"
        )
    assert installed("audit", "list", "--user", "carol", "--action", "session.revoke", "-o", "id").out == ""
    assert installed("sessions", "list", "--status", "active", "-o", "json").json[0]["username"] == "carol"


def test_several_applications_ask_first_and_are_all_revoked(installed: Authctl):
    """A filter stays a filter: it needs `--yes`, and then covers every value."""
    for application in ("Outlook", "Teams", "ArcGIS Pro"):
        installed("tokens", "issue", "--user", "alice", "--application", application)
    several = ("revoke", "--application", "outlook", "--application", "TEAMS", "--note", "retired")
    assert installed(*several).code == 4
    assert installed(*several, "--yes", "-o", "json").json["revoked"] == 2
    assert installed("sessions", "list", "--status", "active", "-o", "json").json[0]["application"] == "ArcGIS Pro"


def test_the_audit_log_takes_several_of_everything_that_names_a_target(installed: Authctl):
    """Actors, actions, users and sessions: any of them matches."""
    for user, actor in (("alice", "ann"), ("bob", "ben"), ("carol", "cy")):
        installed("tokens", "issue", "--user", user, "--application", "Outlook", "--actor", actor)
    ids = [one["id"] for one in installed("sessions", "list", "-o", "json").json]
    installed("sessions", "end", ids[0], "--actor", "ben")

    def subjects(*options: str) -> list[str]:
        listed = installed("audit", "list", *options, "-o", "json").json
        return sorted(f"{one['action']} {one['actor']}" for one in listed)

    assert subjects("--actor", "ann", "--actor", "cy") == ["session.issue ann", "session.issue cy"]
    assert len(subjects("--action", "session.issue", "--action", "session.end")) == 4
    assert subjects("--user", "alice", "--user", "bob") == ["session.issue ann", "session.issue ben"]
    assert len(subjects("--session", ids[0], "--session", ids[1][:8])) == 3
    assert installed("audit", "list", "--session", ids[0], "--session", "abcdefgh").code == 3


def test_the_cache_is_listed_and_cleared_for_several_users(installed: Authctl):
    """One event for each user, all in one transaction."""
    cleared = installed("cache", "clear", "--user", "alice", "--user", "bob", "--note", "new rules", "-o", "json")
    assert (cleared.code, cleared.json["username"]) == (0, ["alice", "bob"])
    events = installed("audit", "list", "--action", "cache.clear", "-o", "json").json
    assert [(one["subject"], one["detail"]["username_key"]) for one in events] == [("bob", "bob"), ("alice", "alice")]
    assert installed("cache", "list", "--user", "alice", "--user", "bob", "-o", "json").json == []


def steps(home: Path, sql: str, parameters: dict) -> list[str]:
    """How SQLite would carry out a statement."""
    with closing(sqlite3.connect(home / "registry.db")) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


@pytest.mark.in_a_file
@pytest.mark.parametrize("status", [(), "active"])
def test_the_first_page_of_several_users_sorts_nothing(signed_in: Registry, home: Path, status):
    """Each user's sessions come from the index in order: a user of a million sessions costs no more than one of ten."""
    selection = SessionFilter(username=("alice", "bob"), status=status)
    chosen = select(selection, 0, Continuity(SQLITE, []), list)
    assert [dict(part.parameters) for part in chosen.parts] == [{"part_key": "alice"}, {"part_key": "bob"}]
    for part in chosen.parts:
        sql = (
            f"SELECT s.number FROM {chosen.source(part)} WHERE {chosen.where} AND {part.condition}"
            " ORDER BY s.last_used_at DESC, s.number DESC LIMIT 5"
        )
        plan = steps(home, sql, {**chosen.parameters, **part.parameters})
        assert any("sessions_by_user (username_key=?" in step for step in plan), plan
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


@pytest.mark.in_a_file
def test_what_is_counted_and_revoked_of_several_users_goes_by_their_index(signed_in: Registry, home: Path):
    """Where no order is asked for, too, no table is read from end to end."""
    chosen = select(SessionFilter(username=("alice", "bob"), status="revoked"), 0, Continuity(SQLITE, []), list)
    plan = steps(
        home, f"SELECT s.number FROM {chosen.unordered_source()} WHERE {chosen.where_in_all_parts}", chosen.parameters
    )
    assert any("sessions_by_user (username_key=?)" in step for step in plan), plan
    assert not [step for step in plan if step.startswith("SCAN s")], plan


def test_expired_sessions_of_several_profiles_come_in_one_order(install, clock: Clock):
    """Each profile is a range of the index; the list puts them together, newest end first."""
    registry = install(
        "version: 1\ndefault_profile: a\nprofiles: {a: {idle_timeout: 1h}, b: {idle_timeout: 2h}, c: {}}\n"
    )
    for profile in ("a", "b", "c", "a", "b", "c"):
        registry.issue(username="alice", application="Outlook", profile=profile)
        clock.forward(minutes=7)
    clock.forward(days=30)
    expired = SessionFilter(profile=("B", "a"), status="expired")
    listed = list(registry.sessions(expired))
    assert [one.profile for one in listed] == ["b", "b", "a", "a"]
    assert registry.count(expired) == 4
    assert registry.revoke(expired, note="both retired").revoked == 4


@pytest.mark.in_a_file
def test_events_about_several_users_and_sessions_scan_no_sessions(
    statements,  # noqa: F811  # the fixture
    signed_in: Registry,
    home: Path,
):
    """What an event covers is asked of the index of users, or of ids."""
    one = next(signed_in.sessions())
    assert list(signed_in.audit.events(EventFilter(username=("alice", "bob"))))
    assert list(signed_in.audit.events(EventFilter(session_id=(one.id, one.id[:8]))))
    plan = plans(home, statements)
    assert not [step for step in plan if step.startswith("SCAN s ")], plan
    assert any("sessions_by_user (username_key=?)" in step for step in plan), plan
