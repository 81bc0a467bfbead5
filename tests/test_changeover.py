"""New profiles reach the sessions in batches: what is judged by which of them meanwhile, and who completes a changeover."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authctl import ConditionNotMet, Refused, Registry, SessionFilter, profiles
from authctl.instants import DAY, HOUR, instant_of
from authctl.model import Session
from authctl.registry.backups import restore
from authctl.registry.bounds import Bound
from authctl.registry.unit_of_work import AUTHCTL, actor_name
from authctl.settings import find_home
from tests import places
from tests.conftest import Authctl, Clock, Install
from tests.storm import MAP, rows

BEFORE = """\
version: 1
default_profile: tight
profiles:
  tight: {idle_timeout: 3d}
  loose: {idle_timeout: 3d}
"""
AFTER = """\
version: 1
default_profile: tight
profiles:
  tight: {idle_timeout: 1d, ends_on_password_change: none, conditions: {platforms: [iOS]}, on_revoke: wipe}
  loose: {idle_timeout: 9d, ends_on_password_change: none, continuity: true}
"""
SESSIONS = 300
"""More than one batch of each profile."""


def read(text: str) -> profiles.ProfileSet:
    """The profiles of a file with that text."""
    return profiles.read(text.encode(), "profiles.yaml")


class Interrupted(Exception):
    """The end of a process in the middle of a changeover."""


def stop(_done: int, _total: int) -> None:
    """Interrupt a changeover after a batch."""
    raise Interrupted


def interrupt(registry: Registry) -> None:
    """Apply profiles, and be interrupted after the first batch, which has the sessions up to 200."""
    with pytest.raises(Interrupted):
        registry.profiles.apply(read(AFTER), note="other timeouts", actor="eve", progress=stop)


@pytest.fixture
def registry(install: Install) -> Registry:
    """A registry with sessions of two profiles in turn; their users are named after profile and number."""
    made = install(BEFORE)
    for number in range(SESSIONS // 2):
        for profile in ("tight", "loose"):
            made.issue(username=f"{profile}{number}", application="A", profile=profile)
    return made


def idle(session: Session) -> int:
    """The idle timeout that a session was judged by last."""
    return session.idle_expires_at - session.slid_at


def sessions_of(registry: Registry, profile: str) -> list[Session]:
    """The sessions of a profile, in the order of their numbers."""
    return sorted(registry.sessions(SessionFilter(profile=profile)), key=lambda session: session.number)


def timeouts(registry: Registry, profile: str) -> list[int]:
    """The idle timeouts of the sessions of a profile, in the order of their numbers."""
    return [idle(session) for session in sessions_of(registry, profile)]


def test_tighter_profiles_go_first_in_the_order_of_numbers(registry: Registry):
    """After each batch the first sessions of the profile that has its turn are new, all others as they were."""
    seen = []

    def progress(_done: int, _total: int) -> None:
        seen.append((timeouts(registry, "tight"), timeouts(registry, "loose")))

    registry.profiles.apply(read(AFTER), note="other timeouts", progress=progress)
    assert seen[0] == ([DAY] * 100 + [3 * DAY] * 50, [3 * DAY] * 150)
    assert seen[-1] == ([DAY] * 150, [9 * DAY] * 150)
    assert ([DAY] * 150, [3 * DAY] * 150) in seen
    for tight, loose in seen:
        assert tight == sorted(tight)
        assert loose == sorted(loose, reverse=True)


TIGHTER = {
    "idle timeout": ("idle_timeout: 3d", "idle_timeout: 2d"),
    "absolute timeout": ("idle_timeout: 3d, absolute_timeout: 9d", "idle_timeout: 4d, absolute_timeout: 8d"),
    "slides later": ("idle_timeout: 3d", "idle_timeout: 4d, slide_after: 1h"),
    "access tokens": (
        "idle_timeout: 3d, tokens: pair, access_lifetime: 1h",
        "idle_timeout: 4d, tokens: pair, access_lifetime: 30m",
    ),
    "continuity": ("idle_timeout: 3d, continuity: true", "idle_timeout: 4d"),
    "conditions": ("idle_timeout: 3d", "idle_timeout: 4d, conditions: {platforms: [iOS]}"),
}


@pytest.mark.parametrize(("before", "after"), TIGHTER.values(), ids=TIGHTER)
def test_a_profile_of_which_anything_gets_tighter_goes_first(install: Install, before: str, after: str):
    """The other one, which only gets looser, has its turn later."""
    text = "version: 1\ndefault_profile: one\nprofiles:\n  one: {{{0}}}\n  other: {{idle_timeout: {1}}}\n"
    registry = install(text.format(before, "3d"))
    registry.issue(username="alice", application="A")
    with pytest.raises(Interrupted):
        registry.profiles.apply(read(text.format(after, "9d")), note="other timeouts", progress=stop)
    changeover = registry.profiles.in_force().changeover
    assert changeover is not None
    assert changeover.stages == {"one": 1, "other": 2}


def test_each_session_is_judged_by_one_profile_whole(install: Install, clock: Clock):
    """Conditions, uses, wipes and changed passwords go by the profile that gave the deadline."""
    registry = install(BEFORE)
    issued = [registry.issue(username=f"u{n}", application="A", profile="tight", platform="Linux") for n in range(300)]
    interrupt(registry)
    reached, waiting = issued[0], issued[-1]
    with pytest.raises(ConditionNotMet):
        registry.verify(reached.access_token, platform="Linux")
    clock.forward(hours=1)
    assert idle(registry.verify(waiting.access_token, platform="Linux")) == 3 * DAY
    assert idle(registry.verify(reached.access_token, platform="iOS")) == DAY
    ended = [
        registry.users.password_changed(one.session.username, note="new password").ended
        for one in (issued[1], issued[-2])
    ]
    assert ended == [0, 0]  # the first of them completed the changeover


def test_a_changed_password_goes_by_the_former_profile_of_a_session_that_waits(registry: Registry):
    """The change comes first, and completes the changeover then."""
    interrupt(registry)
    assert registry.users.password_changed("tight149", note="new password").ended == 1
    assert registry.users.password_changed("tight148", note="new password").ended == 0


def test_a_later_session_has_the_new_profile(registry: Registry):
    """A sign-in during a changeover is one of the new profile at once, and completes nothing."""
    interrupt(registry)
    issued = registry.issue(username="late", application="A", profile="loose")
    assert idle(issued.session) == 9 * DAY
    assert registry.profiles.unfinished() is not None
    with pytest.raises(Refused, match="before it has reached all sessions"):
        registry.continuity.start(["loose"], note="provider down")


def test_imports_and_their_undo_go_by_the_profile_of_each_session(registry: Registry, home: Path, clock: Clock):
    """A known session that waits keeps its former timeout when rows of it are told or taken back; a new one has the new."""
    now = instant_of(clock.now)
    registry.imports.run(rows(["known"], now - 2 * HOUR), MAP)
    seen: list[list[int]] = []

    def progress(_done: int, _total: int) -> None:
        if seen:
            return
        with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
            other.imports.run(rows(["known", "later"], now - HOUR), MAP)
            told = [idle(next(other.sessions(SessionFilter(username=name)))) for name in ("known", "later")]
            other.imports.undo(2, note="wrong rows")
            back = next(other.sessions(SessionFilter(username="known")))
            seen.append([*told, idle(back), back.last_used_at - now])

    registry.profiles.apply(read(AFTER), note="other timeouts", progress=progress)
    assert seen == [[3 * DAY, DAY, 3 * DAY, -2 * HOUR]]
    assert idle(next(registry.sessions(SessionFilter(username="known")))) == DAY


CHANGES: dict[str, Callable[[Registry], object]] = {
    "revoke": lambda registry: registry.revoke(SessionFilter(username="tight0"), note="lost device"),
    "end": lambda registry: registry.end([sessions_of(registry, "tight")[0].id]),
    "disable": lambda registry: registry.users.disable("tight0", note="left"),
    "apply": lambda registry: registry.profiles.apply(read(AFTER), note="again"),
    "clean up": lambda registry: registry.cleanup.run(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_change_completes_it(registry: Registry, clock: Clock, change: str):
    """All sessions have the new profiles then, and the last event is that of whoever applied them."""
    interrupt(registry)
    assert "eve applied" in (registry.profiles.unfinished() or "")
    clock.forward(days=2)
    CHANGES[change](registry)
    assert registry.profiles.unfinished() is None
    assert set(timeouts(registry, "tight")) == {DAY}
    assert set(timeouts(registry, "loose")) == {9 * DAY}
    assert {session.status.value for session in sessions_of(registry, "tight")} <= {"expired", "revoked"}
    done = [event for event in registry.audit.events() if event.action == "profile.done"]
    assert [event.actor for event in done][-1:] == ["eve"]
    assert json.loads(done[-1].detail)["completed_by"] == (actor_name(None) if change == "apply" else AUTHCTL)
    assert registry.audit.verify().seq > 300


def test_a_session_that_ended_stays_ended_when_the_clock_is_set_back(registry: Registry, clock: Clock):
    """The instant of each batch is recorded, though a batch has no event."""
    batches: list[int] = []

    def progress(done: int, _total: int) -> None:
        batches.append(done)
        if len(batches) == 2:
            raise Interrupted
        clock.forward(days=2)

    with pytest.raises(Interrupted):
        registry.profiles.apply(read(AFTER), note="other timeouts", progress=progress)
    clock.forward(days=-2)
    # users of the second batch: of the first one, the deadlines were computed before the two days
    ended = [one.status.value for one in sessions_of(registry, "tight") if batches[0] < one.number <= batches[1]]
    assert set(ended) == {"expired"}


def test_an_error_of_the_completion_is_a_warning(registry: Registry, home: Path, clock: Clock):
    """The change is done, and the next one tries again."""
    interrupt(registry)
    registry.close()
    warnings: list[str] = []
    with (
        places.refused_updates(home, "changeover"),
        Registry.open(home, registry=places.place_in(home), clock=clock, warn=warnings.append) as opened,
    ):
        assert opened.users.disable("tight0", note="left").ended == 1
        assert "done, but the profiles in force have not reached all sessions yet: " in warnings[-1]
        assert opened.profiles.unfinished() is not None
    with Registry.open(home, registry=places.place_in(home), clock=clock) as opened:
        opened.users.disable("tight1", note="left")
        assert opened.profiles.unfinished() is None


def test_a_changeover_at_work_is_left_to_its_process(registry: Registry, home: Path, clock: Clock):
    """Another process changes something between two batches, and comes back at once: the changeover is not its own."""
    seen = []

    def progress(_done: int, _total: int) -> None:
        with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
            # of two users: a slow machine has a hundred batches
            other.users.disable(f"loose{min(len(seen), 1)}", note="left")
            seen.append(other.profiles.unfinished())

    outcome = registry.profiles.apply(read(AFTER), note="other timeouts", progress=progress)
    assert len(seen) > 2
    assert None not in seen
    assert registry.profiles.unfinished() is None
    assert (outcome.shortened, outcome.lengthened, outcome.ended) == (
        150,
        148,
        0,
    )  # two were disabled before their turn
    assert not list(home.glob("*-changeover"))


def test_the_bound_is_checked_before_the_first_batch(registry: Registry, clock: Clock):
    """A session that was not shown is enough to leave everything as it was, with no event."""
    clock.forward(days=2)
    shown = registry.profiles.preview(read(AFTER)).ending.bound
    allowed = Bound.of(list(shown.numbers)[1:])
    with pytest.raises(Refused, match="1 of them was not in the preview"):
        registry.profiles.apply(read(AFTER), note="other timeouts", bound=allowed)
    assert set(timeouts(registry, "tight")) == {3 * DAY}
    assert next(event.action for event in registry.audit.events()) == "session.issue"
    assert registry.profiles.apply(read(AFTER), note="other timeouts", bound=shown).ended == 150


def test_the_events_tell_its_beginning_and_its_end(registry: Registry):
    """The first has the profiles, the last the number of sessions, as the answer has it."""
    outcome = registry.profiles.apply(read(AFTER), note="other timeouts", actor="eve")
    done, begun = list(registry.audit.events())[:2]
    assert (begun.action, done.action, begun.note, done.note) == (
        "profile.apply",
        "profile.done",
        *["other timeouts"] * 2,
    )
    assert json.loads(begun.detail)["in_force"] == registry.profiles.in_force().to_document()
    assert json.loads(done.detail) == {"event": begun.seq, "shortened": 150, "lengthened": 150, "ended": 0}
    assert (outcome.shortened, outcome.lengthened, outcome.ended) == (150, 150, 0)


def test_a_backup_of_a_half_is_completed_after_its_restore(
    registry: Registry, home: Path, tmp_path: Path, clock: Clock
):
    """The restored registry names the changeover, and its next change completes it; every session ended with the restore."""
    interrupt(registry)
    registry.backups.create(tmp_path / "half.db")
    registry.users.disable("tight0", note="left")
    registry.close()
    restore(find_home(home, places.place_in(home)), tmp_path / "half.db", note="disk broke", clock=clock)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as restored:
        assert restored.profiles.unfinished() is not None
        (finding,) = [one for one in restored.doctor.examine() if one.check == "profiles"]
        assert (finding.ok, "eve applied" in finding.found) == (False, True)
        restored.users.disable("loose0", note="left")
        assert restored.profiles.unfinished() is None
        assert restored.count(SessionFilter(status="active")) == 0


def test_it_is_named_on_the_command_line(installed: Authctl, home: Path):
    """`profiles list` warns of it, `doctor` names it with the command that completes it, and that completes it."""
    with Registry.open(home, registry=places.place_in(home)) as registry:
        registry.profiles.apply(read(BEFORE), note="two profiles")
        registry.issue(username="alice", application="A", profile="tight")
        interrupt(registry)
    listed = installed("profiles", "list")
    assert (listed.code, "have not reached all sessions yet; the next change completes it" in listed.err) == (0, True)
    examined = installed("doctor", "-o", "json")
    (finding,) = [one for one in examined.json if one["check"] == "profiles"]
    assert (finding["ok"], finding["next"]) == (False, "authctl profiles apply --note WHY")
    revoked = installed("revoke", "--user", "alice", "--note", "lost device")
    assert (revoked.code, "warning: completing profiles" in revoked.err) == (0, True)
    assert "reached" not in installed("profiles", "list").err
