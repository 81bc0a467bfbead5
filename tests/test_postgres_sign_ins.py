"""Sign-ins on a real PostgreSQL server: read before the turn, done in one message, and repeated if another change came between."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest

from authctl import Refused, Registry, RegistryUnavailable, SessionFilter, profiles
from authctl.model import EventFilter, Status
from authctl.registry.backups import restore
from authctl.registry.init import create
from authctl.registry.installation import Installation
from authctl.registry.tokens.reader import TokenReader
from authctl.settings import Home, find_home
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    import psycopg

    from authctl.store.postgres import look_up
    from authctl.store.postgres.addresses import read_address
    from authctl.store.postgres.connection import Connection, connect
    from authctl.store.postgres.kept_facts import LONGEST, ServerClock, present
    from tests.sent_messages import sent_messages

PROFILES = b"""\
version: 1
default_profile: mail
assignments:
  - {application: Bound, profile: bound}
  - {application: Pair, profile: pair}
  - {application: Short, profile: short}
profiles:
  mail: {idle_timeout: 30d, on_revoke: wipe}
  bound: {idle_timeout: 1h, absolute_timeout: 10d, bind: address, conditions: {blocked_applications: [POP3]}}
  pair: {idle_timeout: 14d, absolute_timeout: 90d, tokens: pair, access_lifetime: 5m, refresh: {grace: 30s}}
  short: {tokens: requested, default_lifetime: 60m, max_lifetime: 1d, sealed: true}
"""


@pytest.fixture
def home(tmp_path: Path, postgres_url: str) -> Home:
    """An installation whose registry is on the server."""
    place = find_home(tmp_path / "home", postgres_url)
    create(place, profiles.read(PROFILES, "profiles.yaml"), PROFILES, actor="founder")
    return place


def opened(home: Home) -> Registry:
    """The registry, open."""
    return Registry.open(home.folder, registry=home.registry, warn=lambda _: None)


@pytest.fixture
def registry(home: Home) -> Iterator[Registry]:
    """The registry of this host, which has signed somebody in."""
    with opened(home) as one:
        one.issue(username="first", application="Outlook")
        yield one


@pytest.fixture
def other(home: Home) -> Iterator[Registry]:
    """The same registry, as another host has it open."""
    with opened(home) as one:
        yield one


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Has something done, once or so often, between the reading of a sign-in and its turn; the list has an entry for each try."""
    tries: list[int] = []

    def do(work: Callable[[], object], times: int = 1) -> list[int]:
        real = TokenReader.mint

        def mint(self: TokenReader) -> Any:
            tries.append(len(tries))
            if len(tries) <= times:
                work()
            return real(self)

        monkeypatch.setattr(TokenReader, "mint", mint)
        return tries

    return do


FACTS: tuple[dict[str, Any], ...] = (
    {
        "application": "Outlook",
        "device": "AL-PC",
        "platform": "Windows 11",
        "user_agent": "a/1",
        "referrer": "https://a/b",
    },
    {
        "application": "Bound",
        "ip": "10.0.0.1",
        "application_version": "2.0",
        "kind": "web",
        "signed_in_with": "password",
    },
    {"application": "Pair", "signed_in_with": "saml"},
    {"application": "Short", "lifetime": 60_000_000},
)


@pytest.mark.parametrize("given", FACTS)
def test_the_session_of_a_sign_in_is_the_one_that_is_read_afterwards(registry: Registry, given: dict[str, Any]):
    """Field by field, and of the same types: it is not read back from the server."""
    issued = registry.issue(username="Ålice", **given)
    found = registry._installation.store.by_number(issued.session.number)
    assert found is not None
    session = found[0]
    assert issued.session._replace(read_at=0) == session._replace(read_at=0)
    assert [*map(type, issued.session)] == [*map(type, session)]
    assert issued.session.created_at <= issued.session.read_at <= session.read_at
    if given["application"] != "Bound":
        assert registry.verify(issued.access_token).id == session.id


def messages(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The first words of the statements of each message that the writer of a registry sends from now on."""
    return sent_messages(monkeypatch, registry._installation.store._connections._writer.connection())


def test_a_sign_in_is_two_messages(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    """One reads, and is no transaction; the other has all from the beginning to the flush."""
    sent = messages(registry, monkeypatch)
    registry.issue(username="alice", application="Outlook")
    reading, writing = sent
    assert reading == ["SELECT"]
    # the limits with the gate; the session with the turn and the chain; the event with the recorded time; the flush
    assert writing == ["BEGIN", "SELECT", "INSERT", "WITH", "COMMIT", "SELECT"]


@pytest.fixture
def busy(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The messages of a registry that has just signed users in: it has the facts for the next one."""
    sent = messages(registry, monkeypatch)
    for number in range(2):
        registry.issue(username=f"user{number}", application="Outlook")
    sent.clear()
    return sent


ONE_MESSAGE = ["BEGIN", "SELECT", "INSERT", "WITH", "COMMIT", "SELECT"]


@pytest.mark.parametrize("given", FACTS)
def test_a_sign_in_soon_after_another_one_is_one_message(
    registry: Registry, busy: list[list[str]], given: dict[str, Any]
):
    """It uses the facts of the one before, and its session is the one that is read afterwards."""
    before = registry.now()
    issued = registry.issue(username="Ålice", **given)
    assert busy == [ONE_MESSAGE]
    found = registry._installation.store.by_number(issued.session.number)
    assert found is not None
    assert issued.session._replace(read_at=0) == found[0]._replace(read_at=0)
    assert before - LONGEST < issued.session.created_at <= registry.now()
    assert registry.issue(username="bob", application="Outlook").session.number > issued.session.number
    assert busy == [ONE_MESSAGE] * 2
    assert registry.audit.verify().seq > 1


@pytest.mark.parametrize(
    "work",
    [
        lambda other: other.revoke(SessionFilter(everything=True), note="drill", actor="admin"),
        lambda other: other.users.disable("bob", note="left", actor="admin"),
        lambda other: other.keys.rotate(note="drill", actor="admin"),
    ],
)
def test_such_a_sign_in_is_repeated_after_another_change(
    registry: Registry, other: Registry, busy: list[list[str]], work: Callable[[Registry], object]
):
    """The facts of the one before count no more: they are read again, with another number."""
    work(other)
    issued = registry.issue(username="alice", application="Outlook")
    assert [one[0] for one in busy] == ["BEGIN", "ROLLBACK", "SELECT", "BEGIN"]
    assert issued.session.status_at(registry.now()) is Status.ACTIVE
    assert registry.verify(issued.access_token).id == issued.session.id
    assert other.session(issued.session.id).key_id == issued.session.key_id
    assert registry.audit.verify().seq > 1


def test_such_a_sign_in_asks_whether_its_user_is_disabled(
    registry: Registry, other: Registry, busy: list[list[str]], monkeypatch: pytest.MonkeyPatch
):
    """The user is none of the facts of the one before. Whoever was enabled again signs in by one message."""
    for name in ("alice", "bob"):
        other.users.disable(name, note="left", actor="admin")
    other.users.enable("bob", note="is back", actor="admin")
    for number in range(2):
        registry.issue(username=f"user{number}", application="Outlook")
    busy.clear()
    with pytest.raises(Refused, match="is disabled"):
        registry.issue(username="ALICE", application="Outlook")
    assert [one[0] for one in busy] == ["BEGIN", "ROLLBACK", "SELECT"]
    assert registry.count(SessionFilter(username="alice")) == 0
    for number in range(2):
        registry.issue(username=f"user{number}", application="Outlook")
    busy.clear()
    registry.issue(username="Bob", application="Outlook")
    assert busy == [ONE_MESSAGE]


def test_another_change_between_keeps_no_facts_of_a_sign_in(registry: Registry, busy: list[list[str]]):
    """A refresh asks for no turn. The number that was taken for the next sign-in stays the one of the next."""
    issued = registry.issue(username="alice", application="Pair")
    assert issued.refresh_token
    registry.refresh(issued.refresh_token)
    assert registry.issue(username="bob", application="Outlook").session.number == issued.session.number + 1
    assert busy[-1] == ONE_MESSAGE


def test_such_a_sign_in_is_refused_by_facts_of_its_own(registry: Registry, other: Registry, busy: list[list[str]]):
    """What the one before has read may be a second old: a refusal is judged again, by what is in force now."""
    blocked = {"application": "POP3", "profile": "bound", "ip": "10.0.0.1"}
    with pytest.raises(Refused):
        registry.issue(username="alice", **blocked)
    raw = PROFILES.replace(b", conditions: {blocked_applications: [POP3]}", b"")
    for number in range(2):
        registry.issue(username=f"user{number}", application="Outlook")
    other.profiles.apply(profiles.read(raw, "profiles.yaml"), actor="admin", note="as wished")
    busy.clear()
    registry.issue(username="alice", **blocked)
    assert [one[0] for one in busy] == ["SELECT", "BEGIN"]


@pytest.mark.parametrize("error", [-2_000_000, 2_000_000])
def test_such_a_sign_in_whose_instant_is_wrong_is_repeated(registry: Registry, busy: list[list[str]], error: int):
    """The server compares the reckoned instant with its clock, as after a clock that was set."""
    connection = registry._installation.store._connections._writer.connection()
    assert connection.kept
    connection.kept = connection.kept._replace(recorded_time=0)
    connection.clock._ahead += error
    session = registry.issue(username="alice", application="Outlook").session
    assert [one[0] for one in busy] == ["BEGIN", "ROLLBACK", "SELECT", "BEGIN"]
    assert 0 <= registry.now() - session.created_at < LONGEST


def test_the_facts_of_a_sign_in_are_read_again_in_time(registry: Registry, busy: list[list[str]]):
    """A recorded time that is ahead of the clock is noticed, and a disabling that ends by itself is recorded."""
    connection = registry._installation.store._connections._writer.connection()
    kept = connection.kept
    assert kept is not None
    now = present()
    assert kept.again(now, connection.clock, "bob") is not None
    assert kept.again(kept.read.read_at + LONGEST, connection.clock, "bob") is None
    clock = connection.clock.at(now)
    assert clock is not None
    assert kept._replace(recorded_time=clock + 1).again(now, connection.clock, "bob") is None
    place = kept.read.facts.index(None, 7)  # the end of a disabling
    for end, serves in ((clock, False), (clock + LONGEST, True)):
        row = (*kept.read.facts[:place], end, *kept.read.facts[place + 1 :])
        again = kept._replace(read=kept.read._replace(facts=row)).again(now, connection.clock, "bob")
        assert (again is not None) == serves


def test_sign_ins_one_after_the_other_make_no_facts_last(registry: Registry, busy: list[list[str]]):
    """They are as old as their reading, however often they were used since. The clock is noted each time."""
    connection = registry._installation.store._connections._writer.connection()
    assert connection.kept
    read_at = connection.kept.read.read_at
    connection.clock._ahead -= LONGEST // 2  # as after a long wait for an answer
    connection.kept = connection.kept._replace(recorded_time=0)
    sessions = [registry.issue(username=f"later{number}", application="Outlook").session for number in range(2)]
    assert busy == [ONE_MESSAGE] * 2
    assert connection.kept.read.read_at == read_at
    assert connection.kept.recorded_time == sessions[1].created_at
    reckoned = connection.clock.at(present())
    assert reckoned is not None
    assert registry.now() - reckoned < LONGEST // 4
    kept = connection.kept
    connection.kept = kept._replace(read=kept.read._replace(read_at=read_at - LONGEST))
    registry.issue(username="last", application="Outlook")
    assert [one[0] for one in busy[2:]] == ["SELECT", "BEGIN"]


def test_a_slow_answer_does_not_make_the_clock_worse():
    """The best answer counts, less the drift since then."""
    clock = ServerClock()
    clock.note(5_000_100, 1_000, 1_200)
    clock.note(5_000_100 + 30_000, 1_200, 1_200 + 60_000)
    assert clock.at(61_200) == 5_000_100 + 60_000 - 60


def test_a_clock_that_is_reckoned_is_never_ahead():
    """It is within the last answer, and as near to the server as the best one allows, though both clocks drift."""
    clock = ServerClock()
    assert clock.at(0) is None
    server, host = 50_000_000_000, 1_000
    chance = random.Random(1)
    for _ in range(2_000):
        asked, answered = chance.randrange(100, 30_000), chance.randrange(100, 30_000)
        sent, read, host = host, server + asked, host + asked + answered
        server += asked + answered + (asked + answered) * chance.randrange(-1, 2) // 1_001
        clock.note(min(read, server), sent, host)
        reckoned = clock.at(host)
        assert reckoned is not None
        assert server - 30_000 <= reckoned <= server
    clock.note(server - 900_000, host, host + 500)  # it was set back
    assert clock.at(host + 500) in range(server - 900_000, server - 899_499)


def test_a_sign_in_now_and_then_takes_one_number(home: Home):
    """The number of the next one is taken beforehand by a process that signs in often, and by no other."""
    with opened(home) as one:
        first = one.issue(username="alice", application="Outlook").session.number
        one._installation.store._connections._writer.connection().signed_in_at = 0
        assert one.issue(username="bob", application="Outlook").session.number == first + 1
        assert one._installation.store._connections._writer.connection().kept is None


def test_a_revocation_does_not_wait_for_a_client(
    registry: Registry, other: Registry, between: Any, monkeypatch: pytest.MonkeyPatch
):
    """A host that reads for a sign-in, and stands still, holds nothing: it finds out at its turn, and signs in after the revocation."""
    tries = between(lambda: other.revoke(SessionFilter(everything=True), note="drill", actor="admin"))
    sent = messages(registry, monkeypatch)
    session = registry.issue(username="alice", application="Outlook").session
    assert len(tries) == 2
    # what failed is undone by a message of its own; the gate was held for no turn of the client
    assert [one[0] for one in sent] == ["SELECT", "BEGIN", "ROLLBACK", "SELECT", "BEGIN"]
    assert registry.session(session.id).status_at(registry.now()) is Status.ACTIVE
    assert registry.count(SessionFilter(username="first", status=Status.REVOKED)) == 1
    assert session.revocation_id == other.session(session.id).revocation_id
    assert registry.audit.verify().seq > 1


def test_a_sign_in_that_is_overtaken_each_time_gets_its_turn(
    registry: Registry, other: Registry, between: Any, monkeypatch: pytest.MonkeyPatch
):
    """After two tries it takes the gate first, so that nothing comes between: for one turn of its client, between two messages."""
    sent = messages(registry, monkeypatch)
    tries = between(lambda: other.revoke(SessionFilter(everything=True), note="drill", actor="admin"), times=2)
    session = registry.issue(username="alice", application="Outlook").session
    assert len(tries) == 3
    assert [one[0] for one in sent[:4]] == ["SELECT", "BEGIN", "ROLLBACK", "SELECT"]
    assert sent[-2:] == [["BEGIN", "SELECT", "SELECT"], ["INSERT", "SELECT", "WITH", "COMMIT", "SELECT"]]
    assert registry.session(session.id).status_at(registry.now()) is Status.ACTIVE


def test_a_sign_in_that_waits_in_its_lane_keeps_no_revocation_waiting(registry: Registry, other: Registry, home: Home):
    """It waits before the gate, for the other sign-ins of its lane. A revocation that comes later goes first."""
    lane = registry._installation.store._connections._writer.lane
    assert lane
    signing = Thread(target=lambda: registry.issue(username="alice", application="Outlook"))
    with psycopg.connect(str(home.registry)) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (lane,))
        signing.start()
        until = monotonic() + 30
        while not holder.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
            assert monotonic() < until
        other.revoke(SessionFilter(everything=True), note="drill", actor="admin")
        assert signing.is_alive()
    signing.join(30)
    (session,) = registry.sessions(SessionFilter(username="alice"))
    assert session.status_at(registry.now()) is Status.ACTIVE


def test_a_revocation_of_everything_is_two_messages(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    """One reads, and is no transaction; the other has all from the beginning to the flush."""
    sent = messages(registry, monkeypatch)
    outcome = registry.revoke(SessionFilter(everything=True), note="drill", actor="admin")
    assert [one[0] for one in sent] == ["SELECT", "BEGIN"]
    assert sent[-1][-2:] == ["COMMIT", "SELECT"]
    assert outcome.revoked == 1
    assert registry.count(SessionFilter(status=Status.REVOKED)) == 1
    assert registry.audit.verify().seq > 1
    session = registry.issue(username="bob", application="Outlook").session
    assert session.status_at(registry.now()) is Status.ACTIVE


def test_a_revocation_of_everything_that_is_overtaken_gets_its_turn(
    registry: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
):
    """Each of the two closes the revocation that is open at its turn, and has its own sessions and note."""
    real = Installation.change
    tries: list[int] = []

    @contextmanager
    def change(self: Installation, *given: Any, **named: Any) -> Iterator[Any]:
        with real(self, *given, **named) as unit:
            tries.append(len(tries))
            if len(tries) == 1:
                other.revoke(SessionFilter(everything=True), note="from elsewhere", actor="other")
                other.issue(username="bob", application="Outlook")
            yield unit

    monkeypatch.setattr(registry._installation, "change", partial(change, registry._installation))
    outcome = registry.revoke(SessionFilter(everything=True), note="drill", actor="admin")
    assert len(tries) == 2
    assert outcome.revoked == 1
    notes = {session.username: session.note for session in registry.sessions()}
    assert notes == {"first": "from elsewhere", "bob": "drill"}
    assert registry.audit.verify().seq > 1


def test_a_revocation_of_everything_in_an_empty_registry_waits_for_its_turn(home: Home):
    """No session was read, and one may be registered before the turn: it is counted behind the gate."""
    with opened(home) as registry:
        assert registry.revoke(SessionFilter(everything=True), note="drill", actor="admin").revocation_id is None
        registry.issue(username="alice", application="Outlook")
        assert registry.revoke(SessionFilter(everything=True), note="drill", actor="admin").revoked == 1


def test_a_revocation_of_everything_waits_for_whoever_is_alone(
    registry: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
):
    """It goes into the queue of the gate at once, and is not overtaken by the one that it waits for."""
    sent = messages(registry, monkeypatch)
    revoking = Thread(
        target=lambda: registry.revoke(SessionFilter(everything=True), note="drill", actor="admin"), daemon=True
    )
    with other._installation.change("admin") as unit:
        revoking.start()
        until = monotonic() + 30
        while len(sent) < 2:
            assert monotonic() < until
        unit.record("session.revoke", detail={})
        assert revoking.is_alive()
    revoking.join(30)
    assert [one[0] for one in sent] == ["SELECT", "BEGIN", "SELECT", "UPDATE", "INSERT"]
    assert registry.count(SessionFilter(status=Status.REVOKED)) == 1


def test_behind_a_pooler_each_sign_in_reads_its_facts(home: Home, monkeypatch: pytest.MonkeyPatch):
    """The connection to the pooler may go on with another server, where another change can have the same turn."""
    pooled = f"{home.registry}{'&' if '?' in str(home.registry) else '?'}pooler=transaction"
    with Registry.open(home.folder, registry=pooled) as one:
        one.issue(username="first", application="Outlook")
        sent = messages(one, monkeypatch)
        for number in range(3):
            one.issue(username=f"user{number}", application="Outlook")
    assert [message[0] for message in sent] == ["SELECT", "BEGIN"] * 3


def test_a_head_behind_the_event_before_costs_no_message(
    registry: Registry, other: Registry, monkeypatch: pytest.MonkeyPatch
):
    """Once it was asked for, the newest events come with the commit. A head that is not in the log is still noticed."""
    store = registry._installation.store
    asked: list[Any] = []
    real = look_up.has_events
    monkeypatch.setattr(look_up, "has_events", lambda *given: asked.append(given[1]) or real(*given))
    # as one that has committed, and has not written its head yet
    monkeypatch.setattr(other._installation.head, "advance", lambda *_: None)
    for number in range(4):
        other.issue(username=f"other{number}", application="Outlook")
        registry.issue(username=f"user{number}", application="Outlook")
    # once: from then on the commits bring the hashes
    assert len(asked) == 1
    head = registry._installation.head.read()
    assert head is not None
    assert store.has_events([head])
    assert len(asked) == 1
    assert not store.has_events([(head.seq, "0" * 64)])
    assert len(asked) == 2
    warned: list[str] = []
    monkeypatch.setattr(registry._installation, "_warn", warned.append)
    registry._installation.head.accept(head._replace(seq=head.seq - 1, hash="0" * 64))
    registry.issue(username="last", application="Outlook")
    assert warned == ["the audit log does not match audit.head: see authctl audit verify"]


def test_a_head_that_another_process_wrote_meanwhile_costs_no_message(
    registry: Registry, other: Registry, home: Home, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
):
    """It is later than the hashes that came with the commit. A log that was cut off is still found by the next change."""
    asked: list[Any] = []
    real = look_up.has_events
    monkeypatch.setattr(look_up, "has_events", lambda *given: asked.append(given[1]) or real(*given))
    head = registry._installation.head
    advance = head.advance

    def late(*given: Any) -> None:
        other.issue(username="other", application="Outlook")
        now = time.time_ns()
        os.utime(home.audit_head, ns=(now, now))  # the clock of the file system can be some ticks behind
        advance(*given)

    with monkeypatch.context() as patched:
        patched.setattr(head, "advance", late)
        for number in range(4):
            registry.issue(username=f"user{number}", application="Outlook")
    # The other one asks about an earlier head, at least once: its commits bring the hashes while it signs in often.
    assert asked
    assert [events for events in asked if events[0].seq > events[1].seq] == []
    newest = head.read()
    assert newest is not None
    assert newest == next((one.seq, one.hash) for one in other.audit.events())
    warned: list[str] = []
    monkeypatch.setattr(registry._installation, "_warn", warned.append)
    database = str(home.registry).removeprefix("postgresql:///").partition("?")[0]
    postgres_server.execute(
        "ALTER TABLE audit_events DISABLE TRIGGER USER;"
        f" DELETE FROM audit_events WHERE seq > {newest.seq - 4}; ALTER TABLE audit_events ENABLE TRIGGER USER",
        database,
    )
    registry.issue(username="last", application="Outlook")
    assert warned == ["the audit log does not match audit.head: see authctl audit verify"]
    assert head.read() == newest


def test_a_user_who_is_disabled_meanwhile_is_refused(registry: Registry, other: Registry, between: Any):
    """The facts that were read before the turn are not those of the turn."""
    between(lambda: other.users.disable("alice", note="left", actor="admin"))
    with pytest.raises(Refused, match="is disabled"):
        registry.issue(username="alice", application="Outlook")
    assert registry.count(SessionFilter(username="alice")) == 0
    assert registry.issue(username="bob", application="Outlook").session.username == "bob"


def test_a_restore_between_is_noticed(registry: Registry, other: Registry, home: Home, between: Any, tmp_path: Path):
    """It replaces the row that has the turn."""
    backup = tmp_path / "backup.db"
    other.backups.create(backup)
    tries = between(lambda: restore(home, backup, note="drill", actor="admin"))
    session = registry.issue(username="alice", application="Outlook").session
    assert len(tries) == 2
    assert registry.session(session.id).username == "alice"
    assert registry.audit.verify().seq > 1


def test_other_sign_ins_between_do_not_count(registry: Registry, other: Registry, between: Any):
    """They are shared: each has its number and its event."""
    tries = between(lambda: [other.issue(username=f"u{n}", application="Outlook") for n in range(3)])
    registry.issue(username="alice", application="Outlook")
    assert len(tries) == 4
    with registry._installation.snapshot() as (view, _):
        subjects = [event.subject for event in view.events(EventFilter(action="session.issue"), 9)]
    assert len(set(subjects)) == len(subjects) == 5


def test_a_sign_in_waits_for_whoever_is_alone(registry: Registry, other: Registry, home: Home, between: Any):
    """It reads behind him, and is not repeated; if it cannot have its turn, it is refused as locked and nothing is done."""
    inside, go_on = Event(), Event()

    def hold() -> None:
        with other._installation.change("admin") as unit:
            unit.record("session.revoke", detail={})
            inside.set()
            go_on.wait(30)

    holder = Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    tries = between(lambda: None)
    signing = Thread(target=lambda: registry.issue(username="alice", application="Outlook"))
    signing.start()
    signing.join(0.5)
    assert signing.is_alive()
    assert not tries
    go_on.set()
    signing.join(30)
    holder.join(30)
    assert len(tries) == 1
    assert registry.count(SessionFilter(username="alice")) == 1


def test_a_sign_in_whose_only_message_was_lost_never_comes_later(
    registry: Registry, home: Home, monkeypatch: pytest.MonkeyPatch
):
    """The server may read the message after the client has asked for its outcome: it is overtaken then, as the client was told."""
    lost: list[Any] = []
    real = Connection.exchange

    def exchange(self: Any, *statements: Any) -> Any:
        if not self.deferred or lost:
            return real(self, *statements)
        lost.extend((*self.deferred, *statements))
        self.close()
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(Connection, "exchange", exchange)
    with pytest.raises(RegistryUnavailable, match="nothing has changed"):
        registry.issue(username="alice", application="Outlook")
    monkeypatch.undo()
    assert any("INSERT INTO sessions" in one.sql for one in lost)
    with connect(read_address(str(home.registry))) as connection, pytest.raises(psycopg.errors.DivisionByZero):
        connection.exchange(*lost)
    assert registry.count(SessionFilter(username="alice")) == 0
    assert registry.issue(username="alice", application="Outlook").session.username == "alice"


def test_a_registry_of_the_schema_before_is_upgraded(home: Home):
    """The row of the registry gets its turn; sessions stay as they are."""
    with opened(home) as registry:
        token = registry.issue(username="alice", application="Outlook").access_token
    body = "SELECT prosrc FROM pg_proc WHERE proname = 'audit_events_keep'"
    with psycopg.connect(str(home.registry), autocommit=True) as connection:
        made = connection.execute(body).fetchone()
        connection.execute(
            "CREATE OR REPLACE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
        connection.execute("ALTER TABLE registry DROP COLUMN turn")
        connection.execute("ALTER FUNCTION audit_events_keep() RESET ALL")
        connection.execute("UPDATE schema_version SET version = 1")
    with opened(home) as registry:
        assert registry.verify(token).username == "alice"
        registry.revoke(SessionFilter(everything=True), note="drill", actor="admin")
        assert registry.issue(username="bob", application="Outlook").session.status_at(registry.now()) is Status.ACTIVE
        assert registry.audit.verify().seq > 1
    with psycopg.connect(str(home.registry)) as connection:
        found = connection.execute(
            "SELECT version, (SELECT proconfig FROM pg_proc WHERE proname = 'audit_events_keep'), (SELECT turn > 0 FROM registry)"
            " FROM schema_version"
        ).fetchone()
        assert connection.execute(body).fetchone() == made
    assert found == (3, ["enable_seqscan=off"], True)


def test_a_plan_that_was_made_while_the_log_was_short_reads_no_long_log(
    registry: Registry, home: Home, postgres_server: Server
):
    """A server plans a prepared statement once. The events that a sign-in reads stay as few as they were, by an index, too."""
    database = str(home.registry).removeprefix("postgresql:///").partition("?")[0]
    postgres_server.execute("ANALYZE; ALTER TABLE audit_events SET (autovacuum_enabled = off)", database)

    def rows_read() -> int:
        registry._installation.store.close()
        [[read]] = postgres_server.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'audit_events'", database
        )
        return int(str(read))

    with opened(home) as one:
        for number in range(150):
            one.issue(username=f"user{number}", application="Outlook")
    before = rows_read()
    with opened(home) as one:
        for number in range(150):
            one.issue(username=f"user{number}", application="Outlook")
    # a look at the log when it is opened, and not one of them at every sign-in
    assert rows_read() - before < 5_000
    assert rows_read() - before > 100
