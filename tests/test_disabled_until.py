"""`users disable --until`: the disabling ends at its instant by itself; `users password-changed --except`: one session stays."""

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, NotFound, Refused, Registry, SessionFilter
from authctl.instants import DAY, instant_of
from authctl.registry.backups import restore
from authctl.settings import find_home
from tests import places
from tests.conftest import START, Authctl, Clock, OnTerminal
from tests.test_late_rows import at, load, named, row
from tests.test_upgrade import of_0_1_0  # noqa: F401  # a fixture

NOTE = "on leave"


def state(registry: Registry, user: str = "alice") -> tuple:
    """Whether a user is disabled, until when, and by what that ended."""
    known = registry.users.get(user).user
    return known.disabled_at is not None, known.disabled_until, known.enabled_by


@pytest.fixture
def until(registry: Registry, clock: Clock) -> int:
    """The end of alice's disabling, two days ahead."""
    registry.issue(username="alice", application="Mail")
    end = registry.now() + 2 * DAY
    assert registry.users.disable("Alice", note=NOTE, until=end, actor="bob").ended == 1
    return end


def test_it_ends_at_its_instant(registry: Registry, clock: Clock, until: int):
    """To the microsecond, without a process that runs: before it sign-ins are refused, from it on they are not."""
    clock.forward(days=2, microseconds=-1)
    assert state(registry) == (True, until, None)
    with pytest.raises(Refused, match=r"user 'alice' is disabled until 2026-03-04T09:00:00Z"):
        registry.issue(username="alice", application="Mail")
    clock.forward(microseconds=1)
    assert state(registry) == (False, None, "until")
    assert registry.users.get("alice").user.enabled_at == until
    assert [user.user.disabled_at for user in registry.users.list()] == [None]
    registry.issue(username="alice", application="Mail")
    assert registry.count(SessionFilter(status="active")) == 1


def test_the_end_is_in_the_audit_log_once(registry: Registry, clock: Clock, until: int):
    """With the next change or cleanup, by authctl, with the instant; it is before what the change itself records."""
    clock.forward(days=3)
    registry.issue(username="bob", application="Mail")
    registry.cleanup.run()
    registry.issue(username="alice", application="Mail")
    events = [event for event in registry.audit.events() if event.action.startswith("user.")]
    assert [(event.action, event.actor) for event in events] == [("user.enable", "authctl"), ("user.disable", "bob")]
    detail = json.loads(events[0].detail)
    assert detail == {
        "by": "until", "disabled_at": "2026-03-02T09:00:00Z", "until": "2026-03-04T09:00:00Z", "username_key": "alice"
    }  # fmt: skip
    assert json.loads(events[1].detail)["until"] == "2026-03-04T09:00:00Z"
    issued = next(
        event for event in registry.audit.events() if event.action == "session.issue" and event.seq > events[0].seq
    )
    assert events[0].seq < issued.seq
    registry.audit.verify()


def test_a_cleanup_alone_records_the_end(registry: Registry, clock: Clock, until: int):
    """Nobody signs in: the nightly cleanup writes the event."""
    clock.forward(days=3)
    registry.cleanup.run()
    assert "user.enable" in [event.action for event in registry.audit.events()]


def test_enable_before_the_time(registry: Registry, clock: Clock, until: int):
    """It works, and the time that was given does nothing later."""
    clock.forward(days=1)
    assert registry.users.enable("alice", note="back early").changed
    assert state(registry) == (False, None, "enable")
    clock.forward(days=5)
    registry.issue(username="alice", application="Mail")
    assert state(registry) == (False, None, "enable")
    assert not registry.users.enable("alice", note="again").changed


def test_a_clock_that_is_set_back_and_accepted(registry: Registry, clock: Clock, until: int):
    """A clock that ran ahead ended it; with the right clock the user is disabled as before."""
    clock.forward(days=100)
    registry.issue(username="bob", application="Mail")
    assert state(registry) == (False, None, "until")
    clock.now = START + timedelta(days=1)
    registry.doctor.accept_clock(note="the clock was ahead")
    assert state(registry) == (True, until, None)


@pytest.mark.parametrize(
    ("first", "second", "until"),
    [(None, 5, None), (5, None, None), (2, 5, 5), (5, 2, 5), (3, 3, 3), (None, None, None)],
)
def test_the_longer_disabling_holds(registry: Registry, first: int | None, second: int | None, until: int | None):
    """A second one for longer prolongs it with its note; a shorter one changes nothing."""

    def instant(days: int | None) -> int | None:
        return None if days is None else instant_of(START) + days * DAY

    registry.users.disable("alice", note="the first", until=instant(first))
    dry = registry.users.disable("alice", note=None, until=instant(second), dry_run=True)
    outcome = registry.users.disable("alice", note="the second", until=instant(second))
    is_longer = until != first
    assert (dry.changed, outcome.changed, outcome.user.disabled_until) == (is_longer, is_longer, instant(until))
    known = registry.users.get("alice").user
    assert (known.note, known.disabled_until) == ("the second" if is_longer else "the first", instant(until))
    assert known.disabled_at == instant_of(START)


def test_a_time_that_has_passed_is_refused(registry: Registry):
    """By the operation and by the dry run."""
    for dry_run in (True, False):
        with pytest.raises(InvalidInput, match="cannot end before it begins"):
            registry.users.disable("alice", note=NOTE, until=registry.now(), dry_run=dry_run)
    assert list(registry.users.list()) == []


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["disable", "until", "enable", "issue", "password", "cleanup"]),
        st.integers(0, 50),
        st.integers(1, 60),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(operations=OPERATIONS)
def test_disablings_agree_with_a_model(install, clock, tmp_path_factory, operations):
    """Over random operations: whether a user may sign in, and one event for each end."""
    registry = install(folder=str(tmp_path_factory.mktemp("home")))
    disabled_until: int | None = 0  # 0 for enabled, None for an end that nobody gave
    starts = ends = 0
    for operation, hours, length in operations:
        clock.forward(hours=hours)
        now = instant_of(clock.now)
        if disabled_until and disabled_until <= now:
            disabled_until, ends = 0, ends + 1
        if operation in ("disable", "until"):
            end = None if operation == "disable" else now + length * DAY // 24
            longer = disabled_until is not None and (end is None or end > disabled_until)
            assert registry.users.disable("alice", note=NOTE, until=end).changed is longer
            disabled_until = end if longer else disabled_until
            starts += longer
        elif operation == "enable":
            ends += disabled_until != 0
            try:
                assert registry.users.enable("alice", note="back").changed is (disabled_until != 0)
            except NotFound:
                assert disabled_until == 0
            disabled_until = 0
        elif operation == "password":
            registry.users.password_changed("alice", note="changed")
        elif operation == "cleanup":
            registry.cleanup.run()
        else:
            try:
                registry.issue(username="alice", application="Mail")
                assert disabled_until == 0
            except Refused:
                assert disabled_until != 0
        try:
            assert (registry.users.get("alice").user.disabled_at is not None) == (disabled_until != 0)
        except NotFound:
            assert disabled_until == 0
    clock.forward(days=10)
    ends += bool(disabled_until)
    registry.issue(username="zoe", application="Mail")
    actions = [event.action for event in registry.audit.events()]
    assert (actions.count("user.disable"), actions.count("user.enable")) == (starts, ends)
    registry.close()


def test_late_rows_after_the_end(registry: Registry, clock: Clock, until: int):
    """Rows of the time before the disabling make an ended session; rows after its end make an active one."""
    clock.forward(days=1)
    load(registry, row(hours=23))
    assert [one.ended_reason for one in named(registry)][-1] == "user_disabled"
    clock.forward(days=2)
    load(registry, row(hours=60, sid="s2"))
    assert [one.status.value for one in named(registry)][-1] == "active"


@pytest.mark.in_a_file
def test_a_restore_keeps_a_disabling_with_its_end(registry: Registry, home, tmp_path, clock: Clock):
    """The copy is from before: the user stays disabled, until the same instant."""
    registry.issue(username="alice", application="Mail")
    registry.backups.create(tmp_path / "copy.db")
    end = registry.now() + 2 * DAY
    registry.users.disable("alice", note=NOTE, until=end)
    registry.close()
    restore(find_home(home, places.place_in(home)), tmp_path / "copy.db", note="disk failed", clock=clock)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as restored:
        assert state(restored) == (True, end, None)
        clock.forward(days=3)
        assert state(restored)[0] is False


def test_0_1_0_has_no_end_of_a_disabling(of_0_1_0):  # noqa: F811
    """After the upgrade its users can be disabled until an instant, and its sessions are as they were."""
    with Registry.open(of_0_1_0) as registry:
        before = [(one.username, one.status, one.note, one.ended_reason) for one in registry.sessions()]
        assert len(before) == 12
        assert all(one.user.disabled_until is None and one.user.enabled_by is None for one in registry.users.list())
        end = registry.now() + DAY
        registry.users.disable("carol", note=NOTE, until=end)
        assert state(registry, "carol") == (True, end, None)
        after = [(one.username, one.status, one.note, one.ended_reason) for one in registry.sessions()]
        assert [one for one in after if one[0] != "carol"] == [one for one in before if one[0] != "carol"]
        registry.audit.verify()


def test_the_commands_tell_when_it_ends(installed: Authctl, on_terminal: OnTerminal):
    """`--dry-run`, the operation, `users show` and `list`, as JSON, in a pipe and on a terminal."""
    installed("tokens", "issue", "--user", "alice", "--application", "Mail")
    disable = ("users", "disable", "alice", "--until", "2999-01-02")
    dry = installed(*disable, "--dry-run", "-o", "json")
    assert (dry.json["disabled"], dry.json["disabled_until"]) == (False, "2999-01-02T00:00:00Z")
    assert "would disable alice until 2999-01-02T00:00:00Z and end 1 active session" in dry.err
    done = installed(*disable, "--note", NOTE)
    assert (
        "disabled alice until 2999-01-02T00:00:00Z: 1 active session ended; no new token is issued until then"
        in done.err
    )
    shown = installed("users", "show", "alice", "-o", "json").json
    assert (shown["disabled_until"], shown["enabled_at"]) == ("2999-01-02T00:00:00Z", None)
    assert installed("users", "list").out.splitlines()[1].endswith("\t2999-01-02T00:00:00Z")
    assert "until 2999-01-02" in on_terminal("users", "list").text
    assert "until 2999-01-02 00:00 UTC" in " ".join(on_terminal("users", "show", "alice").text.split())
    assert (
        "is disabled until 2999-01-02T00:00:00Z"
        in installed("tokens", "issue", "--user", "alice", "--application", "A").err
    )
    again = installed("users", "disable", "alice", "--until", "7d", "--note", "shorter")
    assert "alice was disabled before until 2999-01-02T00:00:00Z; the note was not recorded" in again.err
    assert installed("users", "disable", "alice", "--until", "2020-01-01", "--note", NOTE).code == 2
    assert installed("users", "disable", "alice", "--until", "30", "--note", NOTE).code == 2
    assert installed("users", "enable", "alice", "--note", "back").code == 0
    assert "by enable" in on_terminal("users", "show", "alice", columns=120).text


def test_the_session_of_the_person_who_changed_the_password_stays(installed: Authctl):
    """By the beginning of its id; all others of the user end, and the event names the exception."""
    ids = [
        installed("tokens", "issue", "--user", "alice", "--application", "Mail", "-o", "json").json["session"]["id"]
        for _ in range(3)
    ]
    other = installed("tokens", "issue", "--user", "bob", "--application", "Mail", "-o", "json").json["session"]["id"]
    change = ("users", "password-changed", "alice", "--note", "changed by herself")
    assert installed(*change, "--except", other).code == 2
    assert installed(*change, "--except", "zzzzzzzz").code == 3
    assert installed("sessions", "list", "--user", "alice", "--status", "active", "--count").out == "3\n"
    ran = installed(*change, "--except", ids[1][:9], "-o", "json")
    assert (ran.code, ran.json["ended"], ran.json["kept"]) == (0, 2, 1)
    assert installed("sessions", "list", "--user", "alice", "--status", "active", "-o", "id").out.split() == [ids[1]]
    event = installed("audit", "list", "--action", "user.password", "-o", "json").json[0]
    assert event["detail"]["except_ids"] == [ids[1]]


def test_rows_of_the_spared_session_do_not_end_it_later(registry: Registry, clock: Clock):
    """Its source lists it again, with the same rows or more: it was spared, and stays; another session ends."""
    clock.now = START + timedelta(hours=2)
    load(registry, row(), row(sid="s2"))
    spared, other = named(registry)
    registry.users.password_changed("alice", note="changed by herself", except_ids=[spared.id])
    assert [registry.session(one.id).ended_reason for one in (spared, other)] == [None, "password_changed"]
    clock.forward(hours=1)
    load(registry, row(), row(hours=1.5), row(sid="s2"), row(sid="s3"))
    assert registry.session(spared.id).status.value == "active"
    assert [one.ended_reason for one in named(registry)].count("password_changed") == 2
    registry.users.password_changed("alice", note="once more")
    assert registry.session(spared.id).ended_reason == "password_changed"
    assert at(0) == START.isoformat()
