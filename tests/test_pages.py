"""Walks through a list page by page, with operations between the pages: they end, and miss nobody who stays in the list."""

import atexit
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import AuthctlError, Registry, Session, SessionFilter, names, profiles
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, HOUR, MINUTE, SECOND
from authctl.model import SortField
from authctl.registry.backups import restore
from authctl.registry.init import create
from authctl.registry.tokens import verify
from authctl.settings import find_home
from authctl.store.nouns import moved_sessions
from tests import places
from tests.conftest import START

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("AUTHCTL_PAGES_EXAMPLES", "0")) or settings().max_examples
RULES = [
    "mail: {idle_timeout: 3d, continuity: true}\n  pairs: {tokens: pair, idle_timeout: 2d, access_lifetime: 1h}",
    "mail: {idle_timeout: 30d, continuity: true}\n  pairs: {tokens: pair, idle_timeout: 2d, access_lifetime: 1h}",
    "mail: {idle_timeout: 1d, absolute_timeout: 9d, continuity: true}\n  pairs: {tokens: pair, idle_timeout: 20d, access_lifetime: 1h}",
]
MAP = read_mapping(b"fields: {username: user, at: time, application: app, device: device}\nkey: [sid]\n", "map.yaml")
USERS = ("alice", "bob", "carol")
APPLICATIONS = ("Outlook", "Teams")
DEVICES = (None, "laptop", "phone 7", "Tablet")


def ruled(index: int) -> Any:
    """Profiles, some with longer timeouts than others."""
    text = f"version: 1\nretention: 10 days\ndefault_profile: mail\nprofiles:\n  {RULES[index % len(RULES)]}\n"
    return profiles.read(text.encode(), "profiles.yaml")


@cache
def founded() -> Path:
    """An installation that was made once, to be copied."""
    home = Path(tempfile.mkdtemp()) / "home"
    atexit.register(shutil.rmtree, home.parent)
    place = find_home(home, places.place_in(home))
    create(place, ruled(0), b"", actor="founder", clock=lambda: START)
    return home


class World:
    """An installation, a clock, and the operations that go on between the pages."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.now = START
        places.copy_home(founded(), self.home)
        self.place = find_home(self.home, places.place_in(self.home))
        self.registry = Registry.open(self.home, registry=places.place_in(self.home), clock=self.clock)
        self.tokens: list[Any] = []
        self.replaced = 0
        self.operations = 0
        self.copy: Path | None = None

    def clock(self) -> datetime:
        """The time, for the registry."""
        return self.now

    def everything(self) -> list[Session]:
        """Every session there is, one by one, past all that makes lists."""
        ids = [row[0] for row in places.ask(self.home, "SELECT id FROM sessions ORDER BY number")]
        with self.registry._installation.snapshot() as (view, now):
            return [found for one in ids if (found := view.session(one, now))]

    def do(self, operation: tuple[str, int, int]) -> None:
        """Do an operation; one that is refused is no operation."""
        name, which, how = operation
        self.operations += 1
        with suppress(AuthctlError):
            getattr(self, name)(which, how)

    def nth(self, which: int) -> Session | None:
        """One of the sessions."""
        found = self.everything()
        return found[which % len(found)] if found else None

    def issue(self, which: int, how: int) -> None:
        """A sign-in."""
        issued = self.registry.issue(
            username=USERS[which % 3],
            application=APPLICATIONS[how % 2],
            device=DEVICES[how % 4],
            profile=("mail", "pairs")[which % 2],
            kind="web" if how % 5 == 4 else "application",
        )
        self.tokens.append(issued)

    def use(self, which: int, how: int) -> None:
        """A use, long enough after the last one to be written."""
        self.forward(0, 1 + how % 2)
        if self.tokens:
            self.registry.verify(self.tokens[which % len(self.tokens)].access_token)

    def use_late(self, which: int, how: int) -> None:
        """A use that was judged a while before it is written, by a process that had to wait."""
        session = self.nth(which)
        if session and any(one.session.id == session.id for one in self.tokens):
            earlier = session.read_at - (how % 3) * 20 * SECOND
            verify._record_use(self.registry._installation, session._replace(read_at=earlier))

    def refresh(self, which: int, how: int) -> None:
        """A pair is exchanged for the next one."""
        pairs = [index for index, one in enumerate(self.tokens) if one.refresh_token]
        if pairs:
            index = pairs[which % len(pairs)]
            self.tokens[index] = self.registry.refresh(self.tokens[index].refresh_token)

    def forward(self, which: int, how: int) -> None:
        """Time passes."""
        lengths = (0, 61 * SECOND, 20 * MINUTE, HOUR, 6 * HOUR, DAY, 2 * DAY)
        self.now += timedelta(microseconds=lengths[how % len(lengths)])

    def revoke(self, which: int, how: int) -> None:
        """A session is revoked, or a user's, or by criteria."""
        session = self.nth(which)
        chosen = (
            SessionFilter(ids=(session.id,)) if session else SessionFilter(username=USERS[which % 3]),
            SessionFilter(username=USERS[which % 3]),
            SessionFilter(application=APPLICATIONS[which % 2], status="active"),
        )
        self.registry.revoke(chosen[how % 3], note="lost laptop")

    def revoke_all(self, which: int, how: int) -> None:
        """Everything is revoked, but one."""
        session = self.nth(which)
        spared = (session.id,) if session and how % 2 else ()
        self.registry.revoke(SessionFilter(everything=True, except_ids=spared), note="breach 7")

    def end(self, which: int, how: int) -> None:
        """A user signs out."""
        if session := self.nth(which):
            self.registry.end([session.id])

    def user(self, which: int, how: int) -> None:
        """A user is disabled, is let in again, or has a new password."""
        operations = (self.registry.users.disable, self.registry.users.enable, self.registry.users.password_changed)
        operations[how % 3](USERS[which % 3], note="left the firm")

    def imports(self, which: int, how: int) -> None:
        """Another system's log has rows of sessions, known or not, older or newer than what is known."""
        rows = []
        for index in range(1 + how % 3):
            sid = (which + index) % 9
            at = self.now - timedelta(minutes=(7 * which + 13 * how + 31 * index) % 6_000)
            device = DEVICES[(which * how + index) % 4]
            rows.append(
                {"sid": sid, "user": USERS[sid % 3], "app": "Outlook", "device": device, "time": at.isoformat()}
            )
        file = io.BytesIO(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        self.registry.imports.run(file, MAP)

    def imports_new(self, which: int, how: int) -> None:
        """Another system's log has a sign-in that nobody knew of, of now or of a while ago."""
        at = self.now - timedelta(minutes=which * how)
        row = {"sid": f"new{self.operations}", "user": USERS[which % 3], "app": "Outlook", "time": at.isoformat()}
        self.registry.imports.run(io.BytesIO(json.dumps(row).encode()), MAP)

    def apply(self, which: int, how: int) -> None:
        """Other profiles are put in force."""
        self.registry.profiles.apply(ruled(which), note="as decided")

    def continuity(self, which: int, how: int) -> None:
        """An outage begins, or is over."""
        if how % 2:
            self.registry.continuity.start(["mail"], note="provider is down")
        else:
            self.registry.continuity.end(note="it is back")

    def retire(self, which: int, how: int) -> None:
        """The key is rotated, and the old one retired."""
        old = self.registry.keys.list()[-1].key.id
        self.registry.keys.rotate(note="yearly")
        self.registry.keys.retire(old, sign_out=True, note="yearly")

    def cleanup(self, which: int, how: int) -> None:
        """What ended long ago is removed."""
        self.registry.cleanup.run(accept_clock_jump=True)

    def set_clock(self, which: int, how: int) -> None:
        """The clock was wrong, is set back, and that is accepted."""
        self.now -= timedelta(hours=1 + how % 30)
        self.replaced += 1
        self.registry.doctor.accept_clock(note="it was ahead")

    def back_up(self, which: int, how: int) -> None:
        """A copy is taken."""
        self.copy = self.home.parent / f"copy-{len(list(self.home.parent.iterdir()))}.db"
        self.registry.backups.create(self.copy)

    def put_back(self, which: int, how: int) -> None:
        """The last copy is put back."""
        if self.copy:
            self.now += timedelta(seconds=1)
            self.replaced += 1
            restore(self.place, self.copy, note="disk failed", clock=self.clock)


@contextmanager
def world() -> Iterator[World]:
    """A fresh installation in a folder that goes."""
    folder = Path(tempfile.mkdtemp())
    made = World(folder)
    try:
        yield made
    finally:
        made.registry.close()
        shutil.rmtree(folder)
        places.remove(made.place.registry)


def is_selected(one: Session, selection: SessionFilter) -> bool:
    """Whether a session meets every criterion, asked of its fields and not of any query."""
    texts = [one.username, one.application, one.device, one.platform, one.note, one.ip]
    folded = [names.fold(text) for text in texts if text]
    return all(
        (
            not selection.statuses or one.status in selection.statuses,
            selection.kind in (None, one.kind),
            selection.username is None or names.fold(selection.username) == names.fold(one.username),
            selection.application is None or selection.application == one.application,
            selection.device is None or selection.device == one.device,
            selection.profile is None or selection.profile == one.profile,
            selection.search is None or any(names.fold(selection.search) in text for text in folded),
            selection.used_since is None or one.last_used_at >= selection.used_since,
            selection.unused_since is None or one.last_used_at <= selection.unused_since,
            selection.created_since is None or one.created_at >= selection.created_since,
            selection.created_before is None or one.created_at < selection.created_before,
            selection.expires_before is None or one.expires_at < selection.expires_before,
        )
    )


INSTANT = int(START.timestamp()) * SECOND
FILTERS: list[dict[str, Any]] = [
    {},
    {"status": "active"},
    {"status": "expired"},
    {"status": "revoked"},
    {"status": ("active", "expired")},
    {"status": ("expired", "revoked")},
    {"kind": "application"},
    {"kind": "web"},
    {"username": "alice"},
    {"username": "bob", "status": "active"},
    {"application": "Outlook"},
    {"device": "laptop", "kind": "application"},
    {"profile": "mail", "status": "expired"},
    {"search": "lap"},
    {"search": "phone", "status": "active"},
    {"search": "lo"},
    {"used_since": INSTANT - HOUR},
    {"unused_since": INSTANT + DAY},
    {"created_since": INSTANT - DAY, "status": "active"},
    {"created_before": INSTANT + 2 * DAY},
    {"expires_before": INSTANT + 4 * DAY},
]
ORDERS = [None, *(f"{sign}{field}" for field in SortField for sign in ("", "-"))]
WEIGHTS = {
    "use": 8,
    "imports": 5,
    "imports_new": 2,
    "issue": 4,
    "forward": 4,
    "revoke": 3,
    "end": 3,
    "refresh": 3,
    "use_late": 3,
    "revoke_all": 2,
    "user": 2,
    "apply": 2,
    "continuity": 2,
    "retire": 1,
    "cleanup": 1,
    "set_clock": 1,
    "back_up": 1,
    "put_back": 1,
}
OPERATIONS = st.tuples(
    st.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]),
    st.integers(0, 40),
    st.integers(0, 40),
)
BEFORE = st.lists(OPERATIONS.filter(lambda operation: operation[0] not in ("set_clock", "put_back")), max_size=10)
GAPS = st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), min_size=2, max_size=8)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(
    signed_in=st.lists(st.tuples(st.just("issue"), st.integers(0, 40), st.integers(0, 40)), min_size=5, max_size=9),
    before=BEFORE,
    gaps=st.just([]) | GAPS | GAPS | GAPS,
    walks=st.lists(
        st.tuples(st.sampled_from(ORDERS), st.sampled_from(FILTERS), st.integers(1, 4), st.none() | st.integers(0, 9)),
        min_size=8,
        max_size=16,
    ),
    gathered=st.sampled_from([(), (1,), (2, 5), moved_sessions.MOST_CANDIDATES]),
    stretch=st.sampled_from([0, 1, 20]),
)
def test_a_walk_ends_and_misses_nobody(signed_in, before, gaps, walks, gathered, stretch):
    """Whatever is done between the pages, in every order and with every filter: the pages come to an end after as many as the
    sessions of the beginning fill twice, and everybody who was selected all the while was on one of them."""
    with world() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(moved_sessions, "MOST_CANDIDATES", gathered)
        patch.setattr(moved_sessions, "_READ_PER_WANTED", stretch)
        for operation in (*signed_in, *before):
            made.do(("forward", 0, 1))
            made.do(operation)
        going = [Walk(made, SessionFilter(**criteria), *given) for given, criteria in map(arranged, walks)]
        rest = iter(gaps)
        while going := [one for one in going if one.has_gone_on()]:
            for operation in next(rest, ()):
                made.do(operation)
                there = made.everything()
                for one in going:
                    one.owes_no_more_than(there)


def arranged(given: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The order, the limit and the beginning of a walk, and apart from them its criteria."""
    order, criteria, limit, begins_at = given
    return (order, limit, begins_at), criteria


class Walk:
    """A walk through a list, and whom it owes."""

    def __init__(
        self, made: World, selection: SessionFilter, order: str | None, limit: int, begins_at: int | None
    ) -> None:
        self.made, self.selection, self.order, self.limit = made, selection, order, limit
        there = made.everything()
        self.whole = [one.id for one in made.registry.sessions(selection, sort=order)]
        self.owed = {one.id for one in there if is_selected(one, selection)}
        assert sorted(self.whole) == sorted(self.owed)
        self.after = self.whole[begins_at % len(self.whole)] if begins_at is not None and self.whole else None
        if self.after is not None:  # a walk from the middle owes what comes after it
            self.whole = self.whole[self.whole.index(self.after) + 1 :]
            self.owed &= set(self.whole)
        self.shown: list[str] = []
        self.pages = 0
        self.most = 2 * (len(there) // limit + 1)
        self.replaced, self.operations = made.replaced, made.operations

    def owes_no_more_than(self, there: list[Session]) -> None:
        """Whoever left the list is owed no more, whether it came back or not."""
        self.owed &= {one.id for one in there if is_selected(one, self.selection)}

    def has_gone_on(self) -> bool:
        """Read the next page; whether there is another one."""
        page = self.made.registry.lists.page(self.selection, sort=self.order, after=self.after, limit=self.limit)
        assert len(page.sessions) == self.limit if page.next else len(page.sessions) <= self.limit
        assert all(is_selected(one, self.selection) for one in page.sessions)
        self.shown += [one.id for one in page.sessions]
        self.pages += 1
        self.after = page.next
        if self.after is not None:
            assert self.pages <= self.most * (1 + self.made.replaced - self.replaced)
            return True
        assert self.owed <= set(self.shown), (
            f"{len(self.owed - set(self.shown))} missed in {self.order or 'the own order'}"
        )
        assert self.shown == self.whole or self.made.operations > self.operations
        return False


@pytest.mark.parametrize("order", ["last_used_at", "-last_used_at", "created_at", "expires_at", "device", "id", None])
def test_a_walk_ends_beside_operations_without_end(order: str | None):
    """After every page its session is used, or told of by an import, and another one signs in: the walk ends all the same."""
    with world() as made:
        for number in range(6):
            made.do(("issue", 0, number))
            made.do(("imports", number, 0))
        walk = Walk(made, SessionFilter(), order, 1, None)
        assert len(walk.owed) >= 9
        while walk.has_gone_on():
            for which in range(len(walk.whole)):
                made.do(("use", which, 0))
            made.do(("issue", walk.pages, walk.pages))
            made.do(("imports_new", 0, 0))
            for sid in range(0, 9, 3):
                made.do(("imports", sid, 2 + 3 * walk.pages))
        assert set(walk.shown) >= walk.owed
        assert made.operations > 10 * walk.pages
