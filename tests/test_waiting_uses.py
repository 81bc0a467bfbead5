"""Uses that are due while another process writes: they wait, delay nobody, and none is lost or revives a session."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from authctl import Registry, SessionFilter, TokenExpired, TokenInvalid, profiles
from authctl.errors import RegistryLocked
from authctl.instants import HOUR, MINUTE, SECOND
from authctl.registry import installation
from authctl.registry.tokens import waiting_uses
from authctl.store.sqlite import connections
from authctl.store.sqlite.library import sqlite3
from tests import places
from tests.conftest import Clock, Install

THREE_HOURS = "version: 1\nprofiles: {default: {idle_timeout: 3h}}\n"


def locked(home: Path) -> AbstractContextManager[None]:
    """Another connection writes, and does not end."""
    return places.held(places.place_in(home))


def stored(home: Path, session_id: str) -> tuple[int, int]:
    """The last use and the deadline of a session, as another process reads them."""
    ((last_used_at, expires_at),) = places.ask(
        home, "SELECT last_used_at, expires_at FROM sessions WHERE id = ?", (session_id,)
    )
    return last_used_at, expires_at


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a thread has done its work; a minute is far more than it needs."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_use_waits_while_another_process_writes_and_is_written_at_its_own_instant(
    install: Install, home: Path, clock: Clock
):
    """The answer claims no later deadline, and nobody has to ask for the use to be written."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    with locked(home):
        for _ in range(3):
            answer = registry.verify(issued.access_token)
            assert (answer.last_used_at, answer.expires_at) == (issued.session.created_at, issued.session.expires_at)
        assert stored(home, issued.session.id)[0] == issued.session.created_at
        clock.forward(minutes=5)
    used_at = issued.session.created_at + HOUR
    wait_for(lambda: stored(home, issued.session.id) == (used_at, used_at + 3 * HOUR))


def test_a_list_in_the_same_process_shows_waiting_uses(install: Install, home: Path, clock: Clock):
    """The uses are written before the list is read: it is sorted by them, and `--used-since` selects by them."""
    registry = install(THREE_HOURS)
    first = registry.issue(username="alice", application="Outlook")
    clock.forward(minutes=30)
    registry.issue(username="bob", application="Outlook")
    clock.forward(minutes=30)
    with locked(home):
        registry.verify(first.access_token)
        now = first.session.created_at + HOUR
    assert [session.username for session in registry.sessions()] == ["alice", "bob"]
    assert registry.count(SessionFilter(used_since=now)) == 1
    assert registry.session(first.session.id).last_used_at == now


def test_a_revocation_of_unused_sessions_spares_one_whose_use_waits(install: Install, home: Path, clock: Clock):
    """`revoke --unused-for` writes the waiting uses inside its own transaction, before it selects."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=name, application="Outlook").access_token for name in ("alice", "bob")]
    clock.forward(hours=2)
    with locked(home):
        registry.verify(tokens[0])
    unused = SessionFilter(unused_since=registry.now() - HOUR)
    assert registry.revoke(unused, note="not used").revoked == 1
    assert not registry._installation.waiting_uses
    assert registry.verify(tokens[0]).username == "alice"


def test_a_refused_change_loses_no_waiting_use(install: Install, home: Path, clock: Clock):
    """A change that is rolled back takes the uses that it wrote with it: they still wait."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    with locked(home):
        registry.verify(issued.access_token)
        waiting = registry._installation.waiting_uses
        assert waiting is not None
    with pytest.raises(ZeroDivisionError), registry._installation.change("admin"):
        raise ZeroDivisionError
    wait_for(lambda: not len(waiting))
    assert stored(home, issued.session.id)[0] == issued.session.created_at + HOUR


ENDINGS: dict[str, Callable[[Registry, str, Clock], object]] = {
    "revoked": lambda other, _, __: other.revoke(SessionFilter(username="alice"), note="lost device"),
    "signed out": lambda other, session_id, _: other.end([session_id]),
    "disabled": lambda other, _, __: other.users.disable("alice", note="left"),
    "expired": lambda _, __, clock: clock.forward(hours=2, seconds=1),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_waiting_use_revives_no_session_that_ended_meanwhile(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, ending: str
):
    """Another process ends the session before the use is written, or its deadline passes: the use is left out."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        ENDINGS[ending](other, issued.session.id, clock)
        before = other.session(issued.session.id)
        assert before.status != "active"
        assert registry.session(issued.session.id) == before
    with pytest.raises(TokenInvalid):
        registry.verify(issued.access_token)


def delay_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the thread that writes uses begin late, so that a test decides when they are written."""
    monkeypatch.setattr(waiting_uses, "FIRST_PAUSE_SECONDS", 3_600.0)


def test_a_waiting_use_of_a_replaced_token_is_left_out(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """A refresh in another process counts as the later use."""
    registry = install("version: 1\nprofiles: {default: {tokens: pair, idle_timeout: 3h}}\n")
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(minutes=10)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    assert issued.refresh_token
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        refreshed = other.refresh(issued.refresh_token).session
    assert registry.session(issued.session.id) == refreshed


def test_a_waiting_use_follows_the_profile_of_the_moment_when_it_is_written(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Another process applies a profile with a shorter idle timeout before the use is written."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        shorter = profiles.read(THREE_HOURS.replace("3h", "2h").encode(), "profiles.yaml")
        other.profiles.apply(shorter, note="shorter")
    session = registry.session(issued.session.id)
    assert session.expires_at == issued.session.created_at + 3 * HOUR
    assert session.last_used_at == issued.session.created_at + HOUR


def test_several_waiting_uses_of_a_session_are_written_one_after_another(install: Install, home: Path, clock: Clock):
    """With `slide_after: 10m`, the uses after 10 and 15 minutes move the deadline once: by the first of them."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 3h, slide_after: 10m}}\n")
    issued = registry.issue(username="alice", application="Outlook")
    with locked(home):
        for minutes in (10, 5):
            clock.forward(minutes=minutes)
            registry.verify(issued.access_token)
    session = registry.session(issued.session.id)
    assert (session.last_used_at - session.created_at, session.slid_at - session.created_at) == (
        15 * MINUTE,
        10 * MINUTE,
    )


@pytest.mark.parametrize("left", [1, 9])
def test_a_use_shortly_before_the_deadline_is_written_before_the_answer_or_not_claimed(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, left: int
):
    """It is tried at once even if other uses wait; while the registry is locked, the answer names the old deadline."""
    registry = install(THREE_HOURS)
    others, urgent = (registry.issue(username=name, application="Outlook") for name in ("alice", "bob"))
    clock.forward(hours=3, seconds=-left)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(others.access_token)
        assert registry.verify(urgent.access_token).expires_at == urgent.session.expires_at
    clock.forward(seconds=left)
    with pytest.raises(TokenExpired):
        registry.verify(urgent.access_token)


def test_a_use_shortly_before_the_deadline_does_not_queue(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """The registry is free again and other uses still wait: this one is written before the answer."""
    registry = install(THREE_HOURS)
    waiting = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    urgent = registry.issue(username="bob", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(waiting.access_token)
    clock.forward(hours=1, seconds=-5)
    registry.verify(waiting.access_token)
    clock.forward(hours=1)
    assert registry.verify(urgent.access_token).expires_at == registry.now() + 3 * HOUR


def test_only_so_many_uses_wait_and_the_rest_is_counted_and_told_once(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Beyond the limit uses are dropped; verify answers all the same."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(5)]
    clock.forward(hours=1)
    monkeypatch.setattr(waiting_uses, "MOST_WAITING", 3)
    with locked(home):
        for token in tokens:
            assert registry.verify(token).status == "active"
        waiting = registry._installation.waiting_uses
        assert waiting is not None
        assert (len(waiting), waiting.dropped) == (3, 2)
    assert registry.count(SessionFilter(used_since=registry.now())) == 3
    told = [record.getMessage() for record in caplog.records if "further uses" in record.getMessage()]
    assert told == ["3 uses wait until they can be written: further uses are not recorded"]


def test_closing_writes_what_waits(install: Install, home: Path, clock: Clock):
    """After `close` no use waits, and no thread is left."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    with locked(home):
        registry.verify(issued.access_token)
        waiting = registry._installation.waiting_uses
        assert waiting is not None
        thread = waiting._thread
    registry.close()
    assert stored(home, issued.session.id)[0] == issued.session.created_at + HOUR
    assert thread is not None
    thread.join(60)
    assert not thread.is_alive()


def test_closing_a_locked_registry_ends_and_tells_what_was_lost(
    install: Install,
    home: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    """It waits for some seconds, and not for ever."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    monkeypatch.setattr(waiting_uses, "CLOSE_SECONDS", 0.05)
    with locked(home):
        registry.verify(issued.access_token)
        registry.close()
    assert "uses that could not be written before the registry was closed: 1" in caplog.text


PROGRAM = """
import os, sqlite3, sys, time
from authctl import Registry
home, token = sys.argv[1:]
registry = Registry.open(home, registry=home + "/registry.db", clock=lambda: time.time() + 3600)
other = sqlite3.connect(home + "/registry.db", isolation_level=None)
other.execute("BEGIN IMMEDIATE")
registry.verify(token)
child = os.fork() if "FORK" in os.environ else None
if child == 0:
    sys.exit(0)  # an ordinary end, with what is to be done at the end of a process
if child:
    os.waitpid(child, 0)
    print("child ended")
other.execute("ROLLBACK")
"""


@pytest.mark.in_a_file
@pytest.mark.parametrize("forks", [False, True])
def test_the_end_of_a_process_writes_what_waits(registry: Registry, home: Path, clock: Clock, forks: bool):
    """The process neither closes the registry nor lives on; a forked child leaves the uses to its parent."""
    clock.now = datetime.now(UTC)
    issued = registry.issue(username="alice", application="Outlook")
    environment = {**os.environ, **({"FORK": "1"} if forks else {})}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(home), issued.access_token],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert stored(home, issued.session.id)[0] >= issued.session.created_at + HOUR


def test_threads_lose_no_use_beside_a_busy_writer(install: Install, home: Path, clock: Clock):
    """Many sessions are used by four threads while another connection writes again and again."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(200)]
    clock.forward(hours=1)

    def use(part: int) -> None:
        for token in tokens[part::4]:
            registry.verify(token)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        using = [pool.submit(use, part) for part in range(4)]
        for _ in range(20):
            with locked(home):
                time.sleep(0.002)
        for one in using:
            one.result()
    assert registry.count(SessionFilter(used_since=registry.now() - SECOND)) == len(tokens)


def test_a_change_inside_a_change_is_a_defect(registry: Registry):
    """Waiting uses are written before a snapshot: that must never happen inside an open change."""
    store = registry._installation.store
    with store.change(), pytest.raises(RuntimeError, match="inside a change"), store.change():
        pass


def test_the_clock_of_a_use_that_waited_is_the_clock_of_verify(install: Install, home: Path, clock: Clock):
    """The recorded time moves to the instant of the use, not further."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    with locked(home):
        registry.verify(issued.access_token)
        clock.now += timedelta(minutes=7)
    registry.count()
    with registry._installation.store.view() as view:
        assert view.recorded_time() == issued.session.created_at + HOUR


def test_of_many_uses_at_once_the_first_are_written_one_by_one_and_the_rest_together(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Ten are written before their answers; the others wait for a moment, claim nothing, and none is lost."""
    monkeypatch.setattr(installation.SingleUses, "_PER_SECOND", 0)
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(50)]
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    answers = [registry.verify(token) for token in tokens]
    assert [answer.last_used_at == registry.now() for answer in answers] == [True] * 10 + [False] * 40
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        assert other.count(SessionFilter(used_since=other.now())) == 10
        assert registry.count(SessionFilter(used_since=registry.now())) == 50
        assert other.count(SessionFilter(used_since=other.now())) == 50


def test_a_use_that_comes_in_a_pause_of_the_thread_does_not_wake_it(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Each waking takes the interpreter from the thread that verifies: in its pause the thread calls no function."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(20)]
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    calls: list[str] = []
    threading.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    with locked(home):
        registry.verify(tokens[0])
        threading.setprofile(None)  # type: ignore[arg-type]  # as documented: from now on no thread gets one
        wait_for(lambda: calls[-2:] == ["wait", "_is_owned"] or calls[-1:] == ["wait"])
        before = len(calls)
        for token in tokens[1:]:
            registry.verify(token)
            time.sleep(0.001)
        assert calls[before:] == []
    assert registry.count(SessionFilter(used_since=registry.now())) == len(tokens)


@pytest.mark.parametrize(("seconds", "times"), [(3_600.0, 1), (0.0, 20)])
def test_the_profiles_for_waiting_uses_are_read_once_in_a_while(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, times: int
):
    """They count for the uses of the next tenth of a second, and are then read again."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(20)]
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    monkeypatch.setattr(waiting_uses, "PROFILES_SECONDS", seconds)
    statements: list[str] = []
    with locked(home):
        registry._installation.store._hot.connection().set_trace_callback(statements.append)  # type: ignore[attr-defined]
        for token in tokens:
            registry.verify(token)
        registry._installation.store._hot.connection().set_trace_callback(None)  # type: ignore[attr-defined]
    assert len([one for one in statements if "profiles" in one]) == times


def test_a_change_waits_no_longer_for_its_turn_if_many_uses_wait_before_it(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """While the registry stays locked, a revocation fails after its own timeouts, and no use is lost."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(5)]
    clock.forward(hours=1)
    monkeypatch.setattr(waiting_uses, "_FIRST_BATCH", 2)
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_SECONDS", 0.05)
    delay_thread(monkeypatch)
    with locked(home):
        for token in tokens:
            registry.verify(token)
        begun = time.monotonic()
        with pytest.raises(RegistryLocked):
            registry.revoke(SessionFilter(username="user0"), note="lost device")
        assert time.monotonic() - begun < 10  # and not the 30 seconds of another rule
        waiting = registry._installation.waiting_uses
        assert waiting is not None
        assert len(waiting) == 5
    assert registry.revoke(SessionFilter(username="user0"), note="lost device").revoked == 1
    assert registry.count(SessionFilter(used_since=registry.now())) == 5


def test_a_waiting_use_is_not_written_to_another_session_that_got_the_number(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """After a restore a number may belong to somebody else: the id decides."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    places.change_in(home, "UPDATE sessions SET id = 'zzzzzzzzzzzzzzzz', username = 'bob'")
    assert registry.session("zzzzzzzzzzzzzzzz").last_used_at == issued.session.created_at


FORKED = """
import os, sys, threading, time
from authctl import Registry
from authctl.store.sqlite import connections
from authctl.store.sqlite.library import sqlite3
home, token = sys.argv[1:]
registry = Registry.open(home, registry=home + "/registry.db", clock=lambda: time.time() + 3600)
other = sqlite3.connect(home + "/registry.db", isolation_level=None)
other.execute("BEGIN IMMEDIATE")
registry.verify(token)
held, release = threading.Event(), threading.Event()

def hold():
    with registry._installation.waiting_uses._lock:
        held.set()
        release.wait()

threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    registry.close()
    os._exit(0)
_, status = os.waitpid(child, 0)
release.set()
other.execute("ROLLBACK")
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.in_a_file
def test_a_forked_child_can_close_the_registry_of_its_parent(registry: Registry, home: Path, clock: Clock):
    """A thread of the parent may hold the lock of the queue at that moment; the child has no such thread, and must not wait for it."""
    clock.now = datetime.now(UTC)
    issued = registry.issue(username="alice", application="Outlook")
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(home), issued.access_token],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert stored(home, issued.session.id)[0] >= issued.session.created_at + HOUR


def test_a_use_of_a_replaced_token_after_the_refresh_is_left_out(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """The clock of the other process is a second behind: the use is later than the refresh, and its token is over all the same."""
    registry = install("version: 1\nprofiles: {default: {tokens: pair, idle_timeout: 3h}}\n")
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(minutes=10)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    assert issued.refresh_token
    behind = Clock(clock.now - timedelta(seconds=1))
    with Registry.open(home, registry=places.place_in(home), clock=behind) as other:
        refreshed = other.refresh(issued.refresh_token).session
    assert registry.session(issued.session.id).last_used_at == refreshed.last_used_at < registry.now()


def test_a_waiting_use_moves_no_later_use_back(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """Another process has written a later use of the same session meanwhile."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    clock.forward(minutes=5)
    with Registry.open(home, registry=places.place_in(home), clock=clock) as other:
        later = other.verify(issued.access_token)
    session = registry.session(issued.session.id)
    assert (session.last_used_at, session.expires_at) == (registry.now(), later.expires_at)


def test_a_change_writes_many_waiting_uses_in_transactions_of_their_own(
    install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """What an administrator changes holds the lock for a few of them only."""
    registry = install(THREE_HOURS)
    tokens = [registry.issue(username=f"user{n}", application="Outlook").access_token for n in range(9)]
    clock.forward(hours=1)
    monkeypatch.setattr(waiting_uses, "_FIRST_BATCH", 2)
    delay_thread(monkeypatch)
    with locked(home):
        for token in tokens:
            registry.verify(token)
    statements: list[str] = []
    store = registry._installation.store
    store._writer.connection().set_trace_callback(statements.append)  # type: ignore[attr-defined]
    registry.revoke(SessionFilter(username="user0"), note="lost device")
    transactions = "\n".join(statements).split("BEGIN IMMEDIATE")[1:]
    written = [text.count("UPDATE sessions SET last_used_at") for text in transactions]
    assert len(written) > 2
    assert sum(written) == len(tokens)
    assert written[-1] <= 2


@pytest.mark.in_a_file
def test_a_full_disk_loses_no_waiting_use(install: Install, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """A list is answered without them, and they are written when there is room again."""
    registry = install(THREE_HOURS)
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(hours=1)
    delay_thread(monkeypatch)
    with locked(home):
        registry.verify(issued.access_token)
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as other:
        # SQLite's message for a full disk, by a trigger, at the statement that writes a use
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE OF last_used_at ON sessions BEGIN INSERT INTO filler VALUES (zeroblob(100000)); END"
        )
        other.execute("CREATE TABLE filler (content)")
        pages = other.execute("PRAGMA page_count").fetchone()[0]
        writer = registry._installation.store._writer.connection()  # type: ignore[attr-defined]
        writer.execute(f"PRAGMA max_page_count = {pages}")
        assert registry.session(issued.session.id).last_used_at == issued.session.created_at
        assert len(registry._installation.waiting_uses or ()) == 1
        writer.execute("PRAGMA max_page_count = 1000000")
        assert registry.session(issued.session.id).last_used_at == issued.session.created_at + HOUR
