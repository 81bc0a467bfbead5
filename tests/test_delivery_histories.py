"""Random histories of decisions, failures, kills and restarts: every decision is told, once by id, in order.

A history is made of its number alone. `AUTHCTL_DELIVERY_HISTORIES` is how many are tried (`make delivery-histories`: ten thousand),
and `AUTHCTL_DELIVERY_HISTORIES_FROM` the number of the first one.
"""

import io
import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from authctl import Refused, Registry, SessionFilter, profiles
from authctl.import_mappings import read_mapping
from authctl.registry import delivering
from authctl.registry.init import create
from authctl.settings import find_home
from authctl.store.nouns import expansion
from tests import places
from tests.conftest import Clock
from tests.test_http_receivers import SECRET, Server, private
from tests.test_receivers import write_receivers

HISTORIES = int(os.environ.get("AUTHCTL_DELIVERY_HISTORIES", "25"))
FIRST = int(os.environ.get("AUTHCTL_DELIVERY_HISTORIES_FROM", "0"))
STEPS = 40
USERS = ("alice", "bob", "carol")
PROFILES = "version: 1\ndefault_profile: default\nprofiles:\n  default: {idle_timeout: never}\n"
RECEIVERS = """\
version: 1
receivers:
  everything:
    webhook: {{url: "{everything}", secret_file: {secret}}}
    events: [session-revoked, session-ended, user-disabled, user-enabled, password-changed]
    give_up_after: 9000d
  teams:
    webhook: {{url: "{teams}", secret_file: {secret}}}
    events: [session-revoked]
    application: [Teams]
    give_up_after: 9000d
"""
LISTING = read_mapping(
    b"fields: {username: user, application: app, source_id: sid, at: at}\nkey: [source_id]\n", "map.yaml"
)
Wish = tuple[str, str]
"""An event, and the id of the session or the name of the user that it concerns."""


class Killed(BaseException):
    """The process is killed at this moment."""


class MortalClock(Clock):
    """A clock that kills whoever asks it, when a number of questions is reached."""

    left: int | None = None

    def __call__(self):
        """The time, or the end."""
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return super().__call__()


class Model:
    """What has to be told: the sessions and users as they have to be, and the wishes of each receiver in order."""

    def __init__(self) -> None:
        self.sessions: dict[str, tuple[str, str]] = {}
        self.revoked: set[str] = set()
        self.ended: set[str] = set()
        self.disabled: set[str] = set()
        self.wishes: dict[str, list[Wish]] = {"everything": [], "teams": []}

    def active(self, user: str) -> list[str]:
        """The active sessions of a user."""
        return [
            one for one, (name, _) in self.sessions.items() if name == user and one not in self.revoked | self.ended
        ]

    def revoke(self, ids: set[str]) -> None:
        """Revoke what is not revoked yet of these."""
        newly = ids - self.revoked
        self.revoked |= newly
        wishes = [("session-revoked", one) for one in newly]
        self.wishes["everything"] += wishes
        self.wishes["teams"] += [wish for wish in wishes if self.sessions[wish[1]][1] == "Teams"]

    def end(self, ids: list[str]) -> None:
        """End these active sessions."""
        self.ended.update(ids)
        self.wishes["everything"] += [("session-ended", one) for one in ids]

    def user(self, event: str, user: str) -> None:
        """Something happened to a user."""
        self.wishes["everything"].append((event, user))


class History:
    """One history, on one installation with two receivers over HTTP."""

    def __init__(self, home: Path, clock: MortalClock, servers: dict[str, Server], number: int) -> None:
        self.home = home
        self.clock = clock
        self.registry = self.opened()
        self.servers = servers
        self.chance = random.Random(number)
        self.model = Model()
        self.told: dict[str, list[tuple[str, Wish, int]]] = {name: [] for name in servers}
        self.failing = 0.3
        self._lock = threading.Lock()
        for name, server in servers.items():
            server.answer = self._answer_of(name)

    def opened(self) -> Registry:
        """The registry, as another process opens it."""
        return Registry.open(self.home, registry=places.place_in(self.home), clock=self.clock)

    def _answer_of(self, name: str):
        def answer(body: bytes):
            message = json.loads(body)
            subject = message["session"]["id"] if message["session"] else message["username"]
            with self._lock:
                status = 202
                if self.chance.random() < self.failing:
                    status = self.chance.choice([500, 410, 422, 429, 404])
                self.told[name].append((message["jti"], (message["event"], subject), status))
            return status, {}, b""

        return answer

    def step(self) -> None:
        """Do one thing by chance."""
        does = ("issue", "issue", "revoke_user", "revoke_ids", "revoke_all", "end", "disable", "enable", "password",
                "import_late", "deliver", "deliver", "killed", "two", "pass_time", "set_back", "restart", "retry")  # fmt: skip
        getattr(self, self.chance.choice(does))()

    def issue(self) -> None:
        """Register a session."""
        user, application = self.chance.choice(USERS), self.chance.choice(["Teams", "Outlook"])
        if user not in self.model.disabled:
            with suppress(Refused):  # nobody signs in while the clock is set back
                session = self.registry.issue(username=user, application=application).session
                self.model.sessions[session.id] = (user, application)

    def import_late(self) -> None:
        """Import a session of some time ago: an earlier decision may revoke or end it, and is told then."""
        user, application = self.chance.choice(USERS), self.chance.choice(["Teams", "Outlook"])
        ago = timedelta(hours=self.chance.choice([0, 1, 5, 60]))
        source_id = f"s{len(self.model.sessions)}"
        made = {"sid": source_id, "user": user, "app": application, "at": (self.clock.now - ago).isoformat()}
        self.registry.imports.run(io.BytesIO(json.dumps(made).encode()), LISTING, source="hr")
        (session,) = [
            one for one in self.registry.sessions(SessionFilter(search=source_id)) if one.source_id == source_id
        ]
        self.model.sessions[session.id] = (user, application)
        if session.revoked_at is not None:
            self.model.revoke({session.id})
        elif session.ended_by is not None:
            self.model.end([session.id])

    def revoke_user(self) -> None:
        """Revoke a user's sessions."""
        user = self.chance.choice(USERS)
        self.registry.revoke(SessionFilter(username=user), note="lost device")
        self.model.revoke({one for one, (name, _) in self.model.sessions.items() if name == user})

    def revoke_ids(self) -> None:
        """Revoke some sessions by their ids."""
        if ids := self._some_ids():
            self.registry.revoke(SessionFilter(ids=tuple(ids)), note="lost device")
            self.model.revoke(set(ids))

    def revoke_all(self) -> None:
        """Revoke everything, except for some."""
        spared = self._some_ids()[:1]
        self.registry.revoke(SessionFilter(everything=True, except_ids=tuple(spared)), note="incident")
        self.model.revoke(set(self.model.sessions) - set(spared))

    def _some_ids(self) -> list[str]:
        return self.chance.sample(sorted(self.model.sessions), min(3, len(self.model.sessions)))

    def end(self) -> None:
        """Sign some sessions out."""
        ids = self._some_ids()
        self.registry.end(ids)
        self.model.end([one for one in ids if one not in self.model.revoked | self.model.ended])

    def disable(self) -> None:
        """Disable a user."""
        user = self.chance.choice(USERS)
        self.registry.users.disable(user, note="left the company")
        if user not in self.model.disabled:
            self.model.disabled.add(user)
            self.model.user("user-disabled", user)
            self.model.end(self.model.active(user))

    def enable(self) -> None:
        """Enable a disabled user."""
        if self.model.disabled:
            user = self.chance.choice(sorted(self.model.disabled))
            self.registry.users.enable(user, note="back again")
            self.model.disabled.remove(user)
            self.model.user("user-enabled", user)

    def password(self) -> None:
        """Record a changed password."""
        user = self.chance.choice(USERS)
        self.registry.users.password_changed(user, note="reset at the desk")
        self.model.user("password-changed", user)
        self.model.end(self.model.active(user))

    def deliver(self) -> None:
        """Deliver what is due."""
        self.registry.deliveries.deliver(at_once=self.chance.random() < 0.5)

    def killed(self) -> None:
        """Deliver, and be killed at some moment."""
        self.clock.left = self.chance.randrange(12)
        with suppress(Killed):
            self.deliver()
        self.clock.left = None
        self.restart()

    def two(self) -> None:
        """Deliver in two processes at once."""
        with self.opened() as other:
            thread = threading.Thread(target=other.deliveries.deliver)
            thread.start()
            self.deliver()
            thread.join()

    def pass_time(self) -> None:
        """Let time pass, at most as long as pauses and leases are."""
        self.clock.forward(minutes=self.chance.choice([1, 10, 70]))

    def set_back(self) -> None:
        """Set the clock back."""
        self.clock.now -= timedelta(hours=self.chance.choice([1, 30]))

    def restart(self) -> None:
        """Close the registry and open it again."""
        self.registry.close()
        self.registry = self.opened()

    def retry(self) -> None:
        """Try a delivery again that is pending, refused or not."""
        listed = [one for one in self.registry.deliveries.list() if one.state == "pending"]
        if listed:
            self.registry.deliveries.retry([self.chance.choice(listed).id])

    def come_to_rest(self) -> None:
        """All receivers answer, and everything that waits is told."""
        self.failing = 0
        for _ in range(60):
            self.clock.forward(hours=2)
            if not self.registry.deliveries.deliver().pending:
                return
        raise AssertionError([one for one in self.registry.deliveries.list() if one.state == "pending"])


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """Two receivers over HTTP, which one history after the other uses."""
    made = {"everything": Server(), "teams": Server()}
    yield made
    for server in made.values():
        server.close()


FINAL = (202, 410, 422)


def check(history: History) -> None:
    """Every wish has one id and was told to its end; no id has two wishes; and in each lane the order is that of the decisions."""
    for receiver, wishes in history.model.wishes.items():
        told = history.told[receiver]
        ids: dict[Wish, list[str]] = {}
        for jti, wish, _status in told:
            ids.setdefault(wish, [])
            if jti not in ids[wish]:
                ids[wish].append(jti)
        assert sorted((wish, len(ids.get(wish, []))) for wish in set(wishes)) == sorted(
            (wish, wishes.count(wish)) for wish in set(wishes)
        )
        assert set(ids) == set(wishes)
        assert len({jti for several in ids.values() for jti in several}) == sum(map(len, ids.values()))
        assert all(
            any(status in FINAL for one, _, status in told if one == jti) for several in ids.values() for jti in several
        )
        for subject in {subject for _, subject in wishes}:
            in_order = [event for event, of in wishes if of == subject]
            lane = [(jti, wish[0]) for jti, wish, _ in told if wish[1] == subject]
            first = list(dict.fromkeys(lane))
            assert [event for _, event in first] == in_order
            # One is told to its end before the next one is told for the first time.
            turns = [max(i for i, one in enumerate(lane) if one == two) for two in first]
            assert turns == sorted(turns)


@pytest.fixture(scope="module")
def new_home(tmp_path_factory: pytest.TempPathFactory, servers: dict[str, Server]) -> Path:
    """A home with a new registry and the two receivers, of which each history has a copy."""
    folder = tmp_path_factory.mktemp("histories")
    home, raw = folder / "home", PROFILES.encode()
    place = find_home(home, places.place_in(home))
    create(place, profiles.read(raw, "profiles.yaml"), raw, actor="founder", clock=Clock())
    urls = {name: server.url for name, server in servers.items()}
    write_receivers(home, RECEIVERS.format(secret=private(folder / "secret", SECRET), **urls))
    return home


@pytest.mark.parametrize("number", range(FIRST, FIRST + HISTORIES))
def test_a_history_comes_to_what_was_decided(
    new_home: Path,
    servers: dict[str, Server],
    number: int,
    monkeypatch: pytest.MonkeyPatch,
):
    """Whatever fails on the way: refused, busy and broken answers, kills, two deliverers, a clock that is set back, restarts."""
    monkeypatch.setattr(delivering, "_EXPANDED_AT_ONCE", 3)
    monkeypatch.setattr(expansion, "_FEW", 4)
    monkeypatch.setattr(expansion, "_WINDOW", 3)
    clock = MortalClock()
    home = new_home.with_name(f"history-{number}")
    places.copy_home(new_home, home)
    history = History(home, clock, servers, number)
    try:
        for _ in range(history.chance.choice([0, 0, 9, 15])):
            history.issue()
        for _ in range(STEPS):
            history.step()
        history.come_to_rest()
        check(history)
        assert {one.state for one in history.registry.deliveries.list()} <= {"delivered", "gone", "refused"}
        assert history.registry.audit.verify().seq > 0
    finally:
        history.registry.close()
    shutil.rmtree(home)
    places.remove(places.place_in(home))
