"""What a change reads at its beginning, what it may go by later, and how many statements a sign-in and a revocation need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, combinations

import pytest

from authctl import ProfileSet, Registry, SessionFilter, audit_chain, names
from authctl.instants import DAY, Duration
from authctl.model import NewSession, Profile, User
from authctl.model.deliveries import Narrowing, Subscription
from authctl.model.profiles import Changeover
from authctl.store.protocol import Change, Store
from authctl.store.protocol.outbox import ReadSubscriptions
from authctl.store.protocol.profiles import DeadlineChanges
from tests.sealed_events import seal_event

NOW = 1_800_000_000_000_000
OPTIONAL = {
    "application": "Outlook",
    "device": "AL-PC",
    "platform": "Windows 11",
    "ip": "10.0.0.1",
    "signed_in_with": "password",
    "secret_hash": b"s" * 32,
    "fixed_expires_at": NOW + DAY,
}


def new(**changes: object) -> NewSession:
    """A session to be registered."""
    profile = Profile("default")
    given = {"username": "alice", "profile": "default", "created_at": NOW, "last_used_at": NOW} | changes
    return NewSession(id=names.new_id(), deadlines=profile.deadlines(NOW, NOW), **given)  # type: ignore[arg-type]


def disable(tx: Change) -> object:
    """The user, disabled in this change."""
    tx.save_user(User("alice", disabled_at=NOW, disabled_by="bob", note="left"))
    return tx.user("alice")


def disable_until(tx: Change) -> object:
    """The users whose disabling of this change ends."""
    tx.save_user(User("alice", disabled_at=NOW, disabled_by="bob", note="left", disabled_until=NOW + 1))
    return [user.username for user in tx.end_disablings(NOW + 1, 5)]


def apply(tx: Change) -> object:
    """The default of the profiles that are applied in this change."""
    tx.save_profiles(ProfileSet(Duration(months=6), "mail", {"mail": Profile("mail")}))
    return tx.profiles().default_profile


def put_clock_back(tx: Change) -> object:
    """The recorded time, set back in this change."""
    tx.set_recorded_time(NOW - DAY)
    return tx.recorded_time()


def record(tx: Change) -> object:
    """How many events this change added."""
    before = tx.last_event()
    for _ in range(2):
        given = {"actor": "bob", "action": "user.disable", "subject": "alice", "note": None, "detail": {}}
        tx.add_event(seal_event(tx.last_event(), at=NOW, **given))  # type: ignore[arg-type]
    last = tx.last_event()
    return last and last.seq - (before.seq if before else 0)


def hold(tx: Change) -> object:
    """The sessions and profiles that the event of this change holds."""
    tx.start_continuity("default", NOW, NOW + DAY, "bob", "outage")
    return tx.held_by_continuity("default", NOW + 1), [event.profile for event in tx.continuity_events()]


def change_over(tx: Change) -> object:
    """Whether there is a changeover before this change begins one, after that, and after it ended it."""
    before = tx.profiles()
    seen = [tx.has_changeover()]
    tx.save_changeover(Changeover(before, {"default": 0}, 0, 0, 5, 1), DeadlineChanges(0, 0, 0))
    seen.append(tx.has_changeover())
    tx.end_changeover()
    return [*seen, tx.has_changeover()]


def subscribe(tx: Change) -> object:
    """The subscriptions before and after this change keeps some."""
    read = ReadSubscriptions(b"digest", (Subscription("siem", ("session.revoked",), Narrowing(), True, DAY),))
    before = tx.subscriptions()
    tx.save_subscriptions(read)
    return before, tx.subscriptions() == read


def close(tx: Change) -> object:
    """Whether a session after a revocation of everything is under the new open one."""
    closed = tx.close_open_revocation(NOW, "bob", "breach", "{}")
    session = tx.add_session(new())
    return session.revocation_id != closed, session.revoked_at, tx.session(session.id, NOW) == session


def add_late(tx: Change) -> object:
    """When a session is read that is added after a later time was recorded."""
    tx.record_time(NOW + DAY)
    session = tx.add_session(new())
    return session.read_at, tx.session(session.id, NOW) == session._replace(read_at=NOW)


CHANGED: dict[str, tuple[Callable[[Change], object], object]] = {
    "a user": (disable, User("alice", disabled_at=NOW, disabled_by="bob", note="left")),
    "the end of a disabling": (disable_until, ["alice"]),
    "profiles": (apply, "mail"),
    "the recorded time": (put_clock_back, NOW - DAY),
    "the audit log": (record, 2),
    "a continuity event": (hold, (0, ["default"])),
    "a changeover": (change_over, [False, True, False]),
    "subscriptions": (subscribe, (None, True)),
    "the open revocation": (close, (True, None, True)),
    "the recorded time of a new session": (add_late, (NOW + DAY, True)),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_sees_what_it_has_changed_itself(store: Store, name: str):
    """What it read at its beginning holds until it changes that."""
    operation, expected = CHANGED[name]
    with store.change(sign_in="alice") as tx:
        tx.record_time(NOW)
    with store.change() as tx:
        assert tx.user("alice") is None
        assert tx.recorded_time() == NOW
        assert tx.last_event() is None
        assert operation(tx) == expected


def test_each_fact_is_that_of_the_change_s_beginning(store: Store):
    """A later change reads what an earlier one wrote: users, disablings, profiles, the log, the time and the open revocation."""
    for operation in (record, disable, apply, hold, close):
        with store.change() as tx:
            operation(tx)
    with store.change() as tx:
        assert record(tx) == 2
    with store.change(sign_in="ALICE") as tx:
        known = tx.user("alice")
        assert known is not None
        assert known.disabled_at == NOW
        assert tx.user("bob") is None
        assert tx.profiles().default_profile == "mail"
        last = tx.last_event()
        assert last is not None
        assert (last.seq, audit_chain.digest(last)) == (4, last.hash)
        session = tx.add_session(new())
        assert (tx.session(session.id, NOW), session.revoked_at) == (session, None)
    with store.view() as view:
        assert [event.profile for event in view.continuity_events()] == ["default"]
    with store.change() as tx:
        tx.save_user(User("carol", disabled_at=NOW, disabled_by="bob", note="left", disabled_until=NOW + 5))
    with store.change() as tx:
        assert tx.end_disablings(NOW + 4, 5) == []
        assert [user.username for user in tx.end_disablings(NOW + 5, 5)] == ["carol"]


def test_a_list_in_a_change_knows_the_continuity_events(store: Store):
    """Those of before the change, and the one that it starts after it listed sessions."""
    with store.change() as tx:
        session = tx.add_session(new())
    end = session.expires_at
    with store.change() as tx:
        assert tx.session(session.id, end).status == "expired"  # type: ignore[union-attr]
        tx.start_continuity("default", end - 1, end + DAY, "bob", "outage")
        assert tx.session(session.id, end).status == "active"  # type: ignore[union-attr]
    with store.change() as tx:
        assert tx.session(session.id, end).status == "active"  # type: ignore[union-attr]


def test_a_new_session_is_what_a_look_up_finds(store: Store):
    """Whichever facts are given and whichever are missing: field by field, with the secret's hash."""
    names_ = tuple(OPTIONAL)
    subsets = [*chain.from_iterable(combinations(names_, size) for size in (0, 1, len(names_) - 1, len(names_)))]
    assert len(subsets) == 2 + 2 * len(names_)
    for subset in subsets:
        given = {name: OPTIONAL[name] for name in subset}
        with store.change() as tx:
            added = tx.add_session(new(**given))
            found = tx.session(added.id, NOW)
        assert found is not None
        assert dict(zip(added._fields, added, strict=True)) == dict(zip(found._fields, found, strict=True)), subset
        assert store.by_number(added.number, NOW) == (added, given.get("secret_hash"))


@pytest.mark.in_a_file
def test_a_column_that_may_be_blank_has_no_default(registry: Registry):
    """So a session can be registered without its blank columns."""
    with registry._installation.store.view() as view:
        columns = view.all_rows("SELECT name, \"notnull\", dflt_value FROM pragma_table_info('sessions')")  # type: ignore[attr-defined]
    assert len(columns) > 40
    assert [name for name, is_required, default in columns if not is_required and default is not None] == []


@contextmanager
def statements(registry: Registry) -> Iterator[list[str]]:
    """The statements of the changes in a block, as SQLite executes them; those of triggers are the statement again."""
    executed: list[str] = []
    connection = registry._installation.store._writer.connection()  # type: ignore[attr-defined]
    connection.set_trace_callback(lambda sql: executed[-1:] == [sql] or executed.append(sql))
    try:
        yield executed
    finally:
        connection.set_trace_callback(None)


@pytest.mark.in_a_file
def test_the_statements_of_a_sign_in(registry: Registry):
    """BEGIN, the facts, the session, the event, the recorded time, COMMIT: nothing is read twice."""
    registry.issue(username="alice", application="Outlook")
    with statements(registry) as executed:
        registry.issue(username="alice", application="Outlook", device="AL-PC")
    assert [sql.split()[0] for sql in executed] == ["BEGIN", "SELECT", "INSERT", "INSERT", "UPDATE", "COMMIT"]


@pytest.mark.in_a_file
def test_the_statements_of_a_revocation(registry: Registry):
    """One list of the sessions, which are then revoked by their numbers; their sources are counted only if one has a source."""
    session = registry.issue(username="alice", application="Outlook").session
    registry.issue(username="bob", application="Outlook")
    begin = ["BEGIN", "SELECT"]
    end = ["INSERT", "UPDATE", "SELECT", "INSERT", "UPDATE", "COMMIT"]
    for selection, listed in ((SessionFilter(ids=(session.id,)), 2), (SessionFilter(username="bob"), 1)):
        with statements(registry) as executed:
            assert registry.revoke(selection, note="lost device").revoked == 1
        assert [sql.split()[0] for sql in executed] == [*begin, *["SELECT"] * listed, *end]


def test_a_revocation_of_more_than_a_page_takes_each_session(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    """Those beyond the page are found by the criteria; those of the page that were revoked before keep their revocation."""
    from authctl.registry import revocations

    monkeypatch.setattr(revocations, "MOST_LISTED", 3)
    sessions = [registry.issue(username="alice", application="Outlook").session for _ in range(7)]
    first = registry.revoke(SessionFilter(ids=(sessions[-1].id, sessions[0].id)), note="lost device")
    second = registry.revoke(SessionFilter(username="alice"), note="left the company")
    assert (first.revoked, second.revoked, second.already_revoked, len(second.sessions)) == (2, 5, 2, 3)
    notes = {session.id: session.note for session in registry.sessions(SessionFilter(username="alice"))}
    assert len(notes) == 7
    assert {id_ for id_, note in notes.items() if note == "lost device"} == {sessions[0].id, sessions[-1].id}
