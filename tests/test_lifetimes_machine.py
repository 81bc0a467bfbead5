"""Random histories through the real registry, against a small model of the rules that knows nothing of the code.

The model keeps what a reader of docs/profiles.md would write down of each session, and judges it by the text: when it
ends, which of its tokens are good, and what each operation does. After every step the registry must say the same, in Python
and in SQL.
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from authctl import Refused, Registry, SessionFilter, TokenInvalid, profiles
from authctl.model import ProfileSet
from authctl.registry.init import create
from authctl.settings import find_home
from tests.places import held, place_in, remove

pytestmark = pytest.mark.slow

SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400
FOREVER = 10**12
OFFICE = "10.1.2.3"
PLACES = (OFFICE, OFFICE, OFFICE, "203.0.113.9", None)
START = int(datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp())
USERS = ("alice", "bob")
WAYS = ("password", "key", None)
STEPS = int(os.environ.get("AUTHCTL_MACHINE_STEPS", "50"))
EXAMPLES = int(os.environ.get("AUTHCTL_MACHINE_EXAMPLES", "50"))


@dataclass(frozen=True)
class Rules:
    """A profile as its text says it, in seconds."""

    idle: int = FOREVER
    absolute: int = FOREVER
    slide_after: int = 0
    access: int = HOUR
    grace: int = 0
    on_reuse: str = "revoke"
    default: int = 0
    tokens: str = "single"
    on_password: str = "all"
    continuity: bool = False
    wipe: bool = False
    office: bool = False

    def text(self) -> str:
        """The profile as `profiles.yaml` has it."""
        said = {"ends_on_password_change": self.on_password, "tokens": self.tokens}
        said["continuity"] = str(self.continuity).lower()
        said["on_revoke"] = "wipe" if self.wipe else "sign_out"
        if self.office:
            said["conditions"] = "{networks: [10.0.0.0/8]}"
        if self.tokens == "requested":
            said |= {"default_lifetime": f"{self.default}s", "max_lifetime": f"{self.absolute}s"}
        else:
            said["idle_timeout"] = "never" if self.idle == FOREVER else f"{self.idle}s"
            said["absolute_timeout"] = "never" if self.absolute == FOREVER else f"{self.absolute}s"
            said["slide_after"] = f"{self.slide_after}s"
        if self.tokens == "pair":
            said["access_lifetime"] = f"{self.access}s"
            said["refresh"] = f"{{grace: {self.grace}s, on_reuse: {self.on_reuse}}}"
        return "{" + ", ".join(f"{name}: {value}" for name, value in said.items()) + "}"


CHOICES = {
    "sliding": (
        Rules(idle=3 * DAY, continuity=True, wipe=True),
        Rules(idle=3 * DAY, absolute=10 * DAY, office=True),
        Rules(idle=DAY, slide_after=6 * HOUR, on_password="none"),
        Rules(idle=5 * HOUR, absolute=6 * HOUR, on_password="password"),
        Rules(),
    ),
    "paired": (
        Rules(tokens="pair", idle=2 * DAY, absolute=9 * DAY, access=HOUR, grace=30, continuity=True, office=True),
        Rules(tokens="pair", idle=2 * DAY, access=30 * MINUTE, on_password="password", wipe=True),
        Rules(tokens="pair", idle=DAY, absolute=3 * DAY, access=2 * HOUR, grace=600, on_reuse="refuse"),
        Rules(tokens="pair", absolute=2 * DAY, access=HOUR, grace=HOUR, wipe=True, office=True),
    ),
    "asked": (
        Rules(tokens="requested", default=HOUR, absolute=DAY, continuity=True, wipe=True, office=True),
        Rules(tokens="requested", default=5 * MINUTE, absolute=2 * HOUR, on_password="password"),
        Rules(idle=4 * HOUR, absolute=8 * HOUR),
    ),
}


@dataclass
class Known:
    """What the model knows of a session; instants in seconds."""

    id: str
    user: str
    profile: str
    way: str | None
    tokens: str
    created: int
    slid: int
    used: int
    expires: int
    asked_end: int | None = None
    access_end: int = FOREVER
    generation: int = 0
    refreshed: int | None = None
    ended: str | None = None
    note: str | None = None
    wipes: bool = False
    delivered: int | None = None
    acknowledged: int | None = None
    outages: list[list[int]] = field(default_factory=list)
    access_tokens: list[str] = field(default_factory=list)
    refresh_tokens: list[str] = field(default_factory=list)

    def status(self, now: int) -> str:
        """What it is at an instant."""
        if self.note is not None:
            return "revoked"
        return "active" if self.ended is None and now < self.held(self.expires) else "expired"

    def wipe(self) -> str | None:
        """How far an order to wipe has come."""
        if self.note is None or not self.wipes:
            return None
        if self.acknowledged is not None:
            return "acknowledged"
        return "pending" if self.delivered is None else "delivered"

    def held(self, deadline: int) -> int:
        """When a deadline really ends it: with the outage in whose course it lies."""
        for start, end in self.outages:
            if start < deadline < end:
                return end
        return deadline


class Lifetimes(RuleBasedStateMachine):
    """Operations in any order; the registry and the model must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ticks = START
        self.seen = START
        self.rules: dict[str, Rules] = {}
        self.known: list[Known] = []
        self.disabled: set[str] = set()
        self.outages: dict[str, list[list[int]]] = {name: [] for name in CHOICES}
        self.notes = 0

    @initialize(rules=st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in CHOICES.items()}))
    def begin(self, rules: dict[str, Rules]) -> None:
        """An installation under any of the rules."""
        self.rules = rules
        self.place = place_in(self.folder / "home")
        create(find_home(self.folder / "home", self.place), self.read(), b"", actor="founder", clock=self.clock)
        self.registry = Registry.open(self.folder / "home", registry=self.place, clock=self.clock)
        assert self.registry.count() == 0

    def clock(self) -> int:
        """The time, for the registry."""
        return self.ticks

    @property
    def now(self) -> int:
        """What is gone by: the clock, or what was recorded last where it was set back behind that."""
        return max(self.ticks, self.seen)

    @property
    def is_far_behind(self) -> bool:
        """Whether the clock is so far behind that nothing is begun."""
        return self.seen - self.ticks > 5 * MINUTE

    def read(self) -> Any:
        """The present rules, as the registry takes them."""
        lines = "".join(f"  {name}: {rules.text()}\n" for name, rules in self.rules.items())
        return profiles.read(f"version: 1\ndefault_profile: sliding\nprofiles:\n{lines}".encode(), "profiles.yaml")

    def teardown(self) -> None:
        """The audit trail holds; nothing is left behind."""
        if self.rules:
            self.registry.audit.verify()
            self.registry.close()
            remove(self.place)
        shutil.rmtree(self.folder)

    # The rules, as the model has them

    def deadline(self, one: Known) -> int:
        """When a session ends by its profile as it is now."""
        rules = self.rules[one.profile]
        if one.tokens == "requested":
            assert one.asked_end is not None
            return min(one.asked_end, one.created + rules.absolute)
        return min(one.slid + rules.idle, one.created + rules.absolute)

    def used(self, one: Known, *, moves: bool, at: int | None = None) -> None:
        """A use happened, now or at an earlier instant, and was written."""
        at = self.now if at is None else at
        if moves and at - one.slid >= self.rules[one.profile].slide_after:
            one.slid = at
        one.used = at
        self.seen = max(self.seen, at)
        wants = self.deadline(one)
        one.expires = wants if wants > at else max(wants, one.expires)

    def write_is_due(self, one: Known) -> bool:
        """Whether a use is written: 60 s, or 1 % of the idle timeout, after the last; sooner where it moves the deadline."""
        rules = self.rules[one.profile]
        interval = min(60, rules.idle / 100)
        slides = one.tokens == "single" and self.now >= one.slid + max(rules.slide_after, interval)
        return slides or self.now >= one.used + interval

    def recorded(self) -> None:
        """Something was written with the present instant."""
        self.seen = self.now

    def note(self) -> str:
        """A note of its own for each operation."""
        self.notes += 1
        return f"operation number {self.notes}"

    # Operations

    @rule(
        user=st.sampled_from(USERS),
        profile=st.sampled_from(sorted(CHOICES)),
        way=st.sampled_from(WAYS),
        lifetime=st.sampled_from([None, None, 1, 10 * MINUTE, 2 * HOUR, DAY, 30 * DAY]),
        place=st.sampled_from(PLACES),
    )
    def issue(self, user: str, profile: str, way: str | None, lifetime: int | None, place: str | None) -> None:
        """A sign-in; refused for a disabled user, and where no such lifetime is granted."""
        rules = self.rules[profile]
        refused = user in self.disabled or (lifetime and (rules.tokens != "requested" or lifetime > rules.absolute))
        refused = refused or not self.is_met(profile, place) or self.is_far_behind
        try:
            issued = self.registry.issue(
                username=user.upper(),
                application="app",
                profile=profile,
                signed_in_with=way,
                lifetime=lifetime and timedelta(seconds=lifetime),
                ip=place,
            )
        except Refused:
            assert refused
            return
        assert not refused
        self.recorded()
        asked = self.now + (lifetime or rules.default) if rules.tokens == "requested" else None
        access = self.now + rules.access if rules.tokens == "pair" else FOREVER
        one = Known(issued.session.id, user, profile, way, rules.tokens, self.now, self.now, self.now, 0, asked, access)
        one.expires = self.deadline(one)
        one.outages = self.outages[profile]
        one.wipes = rules.wipe
        one.access_tokens.append(issued.access_token)
        if issued.refresh_token:
            one.refresh_tokens.append(issued.refresh_token)
        assert (issued.refresh_token is not None) == (rules.tokens == "pair")
        self.known.append(one)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), back=st.sampled_from([1, 1, 1, 2, 3]), place=st.sampled_from(PLACES))
    def use(self, data: st.DataObject, back: int, place: str | None) -> None:
        """An access token that was ever given, presented: mostly the last one of a session."""
        one = data.draw(st.sampled_from(self.known))
        self.verify(one, one.access_tokens[-min(len(one.access_tokens), back)], place)

    def is_met(self, profile: str, place: str | None) -> bool:
        """Whether a profile's conditions let a session be used from there."""
        return place == OFFICE or not self.rules[profile].office

    def told(self, one: Known, refusal: TokenInvalid) -> None:
        """A refusal orders a wipe where one is owed, and the first that does is recorded."""
        owed = one.wipe() in ("pending", "delivered")
        assert refusal.action == ("wipe" if owed else None)
        if one.wipe() == "pending":
            one.delivered = self.now
            self.recorded()

    def verify(self, one: Known, token: str, place: str | None = OFFICE) -> None:
        """Present one of a session's access tokens."""
        present = token == one.access_tokens[-1]
        good = one.status(self.now) == "active" and present and self.now < one.held(one.access_end)
        good = good and self.is_met(one.profile, place)
        try:
            session = self.registry.verify(token, ip=place)
        except TokenInvalid as refusal:
            assert not good
            self.told(one, refusal)
            return
        assert good
        assert session.id == one.id
        if self.write_is_due(one) and self.now >= one.used:
            self.used(one, moves=one.tokens == "single")

    @precondition(lambda self: self.known)
    @rule(data=st.data(), later=st.sampled_from([0, 0, 5, 10 * MINUTE, DAY, 3 * DAY]))
    def use_while_locked(self, data: st.DataObject, later: int) -> None:
        """A use while another process writes, which ends some time later: written at its own instant, if the session still lives."""
        one = data.draw(st.sampled_from(self.known))
        if one.status(self.now) != "active" or self.now >= one.held(one.access_end):
            return
        is_due, at = self.write_is_due(one) and self.now >= one.used, self.now
        with held(self.place):
            session = self.registry.verify(one.access_tokens[-1], ip=OFFICE)
            assert session.last_used_at == one.used * 10**6  # the answer claims no use that is not written
            assert session.expires_at == min(one.expires, 253_402_300_800) * 10**6
            self.ticks += later
        self.registry.count()  # writes it, unless the thread has done so
        if is_due and one.status(self.now) == "active":
            self.used(one, moves=one.tokens == "single", at=at)

    @precondition(lambda self: any(one.refresh_tokens for one in self.known))
    @rule(data=st.data(), back=st.sampled_from([0, 0, 0, 1, 1, 2]), place=st.sampled_from(PLACES))
    def refresh(self, data: st.DataObject, back: int, place: str | None) -> None:
        """A refresh token that was ever given, presented: the present one, its predecessor, or one before."""
        one = data.draw(st.sampled_from([one for one in self.known if one.refresh_tokens]))
        self.present(one, max(0, one.generation - back), place)

    @precondition(lambda self: any(one.generation for one in self.known))
    @rule(data=st.data(), late=st.sampled_from([0, 0, -1, 1, -DAY]))
    def retry(self, data: st.DataObject, late: int) -> None:
        """A refresh whose answer was lost, tried again about when its grace is over, or at once."""
        one = data.draw(st.sampled_from([one for one in self.known if one.generation]))
        assert one.refreshed is not None
        self.ticks = max(self.ticks, one.refreshed + self.rules[one.profile].grace + late)
        self.present(one, one.generation - 1)

    def present(self, one: Known, generation: int, place: str | None = OFFICE) -> None:
        """Exchange a session's refresh token of that generation."""
        rules = self.rules[one.profile] if self.rules[one.profile].tokens == "pair" else Rules(tokens="pair")
        alive = one.status(self.now) == "active"
        present = generation == one.generation
        in_grace = (
            generation == one.generation - 1
            and one.refreshed is not None
            and self.seen <= self.ticks < one.refreshed + rules.grace
        )
        try:
            issued = self.registry.refresh(one.refresh_tokens[generation], ip=place)
        except TokenInvalid as refusal:
            met = self.is_met(one.profile, place)
            assert not alive or not met or not (present or in_grace)
            if alive and met and rules.on_reuse == "revoke":
                one.note = "refresh token reuse detected"
                self.recorded()
            self.told(one, refusal)
            return
        except Refused:
            assert alive
            assert present
            assert self.is_far_behind
            return
        assert alive
        assert self.is_met(one.profile, place)
        assert present or in_grace
        if not present:
            assert issued.access_token == one.access_tokens[-1]
            assert issued.refresh_token == one.refresh_tokens[-1]
            return
        self.recorded()
        one.generation += 1
        one.refreshed = self.now
        used_before = one.used
        self.used(one, moves=True)
        one.used = max(used_before, self.now)
        one.access_end = self.now + rules.access
        one.access_tokens.append(issued.access_token)
        assert issued.refresh_token is not None
        one.refresh_tokens.append(issued.refresh_token)

    @precondition(lambda self: any(one.note for one in self.known))
    @rule(data=st.data())
    def contact(self, data: st.DataObject) -> None:
        """The application of a revoked session is in contact, most often one that has data to remove."""
        revoked = [one for one in self.known if one.note]
        self.in_contact(data, [one for one in revoked if one.wipes] or revoked)

    def in_contact(self, data: st.DataObject, revoked: list[Known]) -> None:
        """One of those asks, or says that it is done."""
        one = data.draw(st.sampled_from(revoked))
        operation = data.draw(st.sampled_from(["wiped", "verify", "refresh", "wiped twice"]))
        place = data.draw(st.sampled_from(PLACES))
        if operation == "verify":
            self.verify(one, data.draw(st.sampled_from(one.access_tokens)), place)
        elif operation == "refresh" and one.refresh_tokens:
            self.present(one, data.draw(st.integers(0, one.generation)), place)
        elif operation.startswith("wiped"):
            self.wiped(data, one)
            if operation == "wiped twice":
                self.ticks += 1
                self.wiped(data, one)

    def wiped(self, data: st.DataObject, one: Known) -> None:
        """An application says that its data is removed, by any token it ever had; only where that was ordered."""
        token = data.draw(st.sampled_from(one.access_tokens + one.refresh_tokens))
        try:
            session = self.registry.tokens.wipe_done(token)
        except TokenInvalid:
            assert one.wipe() is None
            return
        assert session.id == one.id
        if one.wipe() != "acknowledged":
            one.acknowledged = self.now
            one.delivered = self.now if one.delivered is None else one.delivered
            self.recorded()

    @precondition(lambda self: self.known)
    @rule(data=st.data(), operation=st.sampled_from(["revoke", "end", "disable", "enable", "password_changed"]))
    def administer(self, data: st.DataObject, operation: str) -> None:
        """One of the operations that end sessions: one rule of several, so that sessions live long enough."""
        getattr(self, operation)(data, data.draw(st.sampled_from(self.known)))

    def revoke(self, data: st.DataObject, one: Known) -> None:
        """An administrator's operation, with a note; the first one stays."""
        by = data.draw(st.sampled_from(["id", "token", "user", "all", "all but one"]))
        note = self.note()
        if by == "id":
            hit = [one]
            outcome = self.registry.revoke(SessionFilter(ids=(one.id,)), note=note)
        elif by == "token":
            hit = [one]
            token = data.draw(st.sampled_from(one.access_tokens + one.refresh_tokens))
            outcome = self.registry.tokens.revoke(token, note=note)
        elif by == "user":
            hit = [other for other in self.known if other.user == one.user]
            outcome = self.registry.revoke(SessionFilter(username=one.user), note=note)
        else:
            spared = () if by == "all" else (one.id,)
            hit = [other for other in self.known if other.id not in spared]
            outcome = self.registry.revoke(SessionFilter(everything=True, except_ids=spared), note=note)
        newly = [other for other in hit if other.note is None]
        assert (outcome.revoked, outcome.already_revoked) == (len(newly), len(hit) - len(newly))
        for other in newly:
            other.note = note
        if outcome.revocation_id is not None:  # also by criteria that met revoked sessions alone
            self.recorded()
        if wiping := [other for other in newly if other.wipes]:
            self.in_contact(data, wiping)

    def end(self, data: st.DataObject, one: Known) -> None:
        """The user signs out, or closes the browser; by id, or by any of the session's tokens."""
        target = data.draw(st.sampled_from([one.id, *one.access_tokens, *one.refresh_tokens]))
        alive = one.status(self.now) == "active"
        assert self.registry.end([target]).ended == alive
        if alive:
            self.hard_end([one], "signed_out")
        else:
            self.recorded()  # it stays over, wherever the clock is set

    def hard_end(self, sessions: list[Known], reason: str) -> None:
        """Sessions end now."""
        for one in sessions:
            one.ended, one.expires = reason, self.now
        self.recorded()

    def disable(self, _data: st.DataObject, one: Known) -> None:
        """Everything of theirs that lives ends."""
        user = one.user
        outcome = self.registry.users.disable(user, note=self.note())
        living = [one for one in self.known if one.user == user and one.status(self.now) == "active"]
        assert (outcome.changed, outcome.ended) == (user not in self.disabled, len(living))
        if outcome.changed or living:
            self.disabled.add(user)
            self.hard_end(living, "user_disabled")

    def enable(self, _data: st.DataObject, one: Known) -> None:
        """They may sign in again; nothing comes back."""
        changed = self.registry.users.enable(one.user, note=self.note()).changed
        assert changed == (one.user in self.disabled)
        if changed:
            self.disabled.remove(one.user)
            self.recorded()

    def password_changed(self, _data: st.DataObject, one: Known) -> None:
        """What the profiles say ends."""
        user = one.user
        living = [one for one in self.known if one.user == user and one.status(self.now) == "active"]
        ending = []
        for other in living:
            how = self.rules[other.profile].on_password
            if how == "all" or (how == "password" and other.way != "key"):
                ending.append(other)
        outcome = self.registry.users.password_changed(user, note=self.note())
        assert (outcome.ended, outcome.kept) == (len(ending), len(living) - len(ending))
        self.hard_end(ending, "password_changed")

    def put_in_force(self, wanted: ProfileSet, *, is_interrupted: bool) -> dict[str, int]:
        """Apply profiles; if that is interrupted after a batch, the next change completes it. The counts of its last event."""

        def interrupt(_done: int, _total: int) -> None:
            if is_interrupted:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            self.registry.profiles.apply(wanted, note=self.note(), progress=interrupt)
        if self.registry.profiles.unfinished():
            assert self.registry.end(["nosuchsession222"]).ended == 0
        last = next(self.registry.audit.events())
        assert last.action == "profile.done"
        return json.loads(last.detail)

    @rule(data=st.data(), name=st.sampled_from(sorted(CHOICES)), is_interrupted=st.booleans())
    def apply(self, data: st.DataObject, name: str, is_interrupted: bool) -> None:
        """Another profile is put in force; active sessions are judged anew, and nothing revives."""
        self.rules[name] = data.draw(st.sampled_from(CHOICES[name]))
        wanted = self.read()
        predicted = self.registry.profiles.diff(wanted)
        outcome = self.put_in_force(wanted, is_interrupted=is_interrupted)
        counts = {"shortened": 0, "lengthened": 0, "ended": 0}
        for one in self.known:
            if one.note is None:
                one.wipes = self.rules[one.profile].wipe
            if one.status(self.now) != "active":
                continue
            running = self.running(one.profile) if self.rules[one.profile].continuity else None
            if running is None and one.expires <= self.now:
                counts["ended"] += 1  # held until now, by an event that its profile no longer allows
                continue
            since = running[0] if running else self.now
            wants = self.deadline(one)
            if wants <= self.now and running is None:
                counts["ended"] += 1
            elif wants != one.expires:
                counts["shortened" if wants < one.expires else "lengthened"] += 1
            one.expires = wants if wants > since else self.now
            if one.tokens == "pair":
                rules = self.rules[one.profile] if self.rules[one.profile].tokens == "pair" else Rules()
                one.access_end = min(one.access_end, (one.refreshed or one.created) + rules.access)
        for other in [other for other in CHOICES if not self.rules[other].continuity]:
            self.end_outages(other)
        for name_of, count in counts.items():
            assert outcome[name_of] == count, name_of
            assert sum(getattr(one, name_of) for one in predicted) == count, name_of
        self.recorded()

    def running(self, profile: str) -> list[int] | None:
        """The outage that holds a profile's sessions now."""
        return next((one for one in self.outages[profile] if one[0] <= self.now < one[1]), None)

    @rule(name=st.sampled_from(sorted(CHOICES)), length=st.sampled_from([FOREVER, FOREVER, HOUR, 5 * DAY]))
    def outage(self, name: str, length: int) -> None:
        """A continuity event begins, unless one holds or the profile does not allow it."""
        may = self.rules[name].continuity and not self.unended(name)
        until = None if length == FOREVER else (self.now + length) * 10**6
        try:
            self.registry.continuity.start([name], until=until, note=self.note())
        except Refused:
            assert not may
            return
        assert may
        self.outages[name].append([self.now, self.now + length])
        self.recorded()

    def unended(self, profile: str) -> list[list[int]]:
        """The outages of a profile that are not over: several where the clock was set back behind the end of one."""
        return [one for one in self.outages[profile] if self.now < one[1] and one[0] < one[1]]

    def end_outages(self, profile: str) -> None:
        """They are over now; one that lies ahead of the clock never was."""
        for one in self.unended(profile):
            one[1] = max(one[0], self.now)

    @precondition(lambda self: any(self.unended(name) for name in CHOICES))
    @rule()
    def outage_is_over(self) -> None:
        """Every event ends; what was beyond its time expires."""
        end_forbidden_events = {name: 0 for name in CHOICES if self.unended(name)}
        for one in self.known:
            if one.profile in end_forbidden_events and one.status(self.now) == "active" and one.expires <= self.now:
                end_forbidden_events[one.profile] += 1
        before, ended = dict.fromkeys(end_forbidden_events, 0), dict.fromkeys(end_forbidden_events, 0)
        for state in self.registry.continuity.status():
            before[state.event.profile] += state.held_sessions
        for state in self.registry.continuity.end(note=self.note()):
            ended[state.event.profile] += state.held_sessions
        assert ended == before == end_forbidden_events
        for name in end_forbidden_events:
            self.end_outages(name)
        self.recorded()

    @rule(
        seconds=st.sampled_from(
            [1, 29, 30, 59, 60, 61, 10 * MINUTE, 30 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 5 * HOUR, DAY - 1, DAY, 3 * DAY]
        )
    )
    def time_passes(self, seconds: int) -> None:
        """The clock goes on."""
        self.ticks += seconds

    @precondition(lambda self: self.known)
    @rule(data=st.data(), late=st.sampled_from([0, 0, -1, 1]), then=st.sampled_from(["use", "use", "refresh", ""]))
    def until(self, data: st.DataObject, late: int, then: str) -> None:
        """The clock goes to an instant that matters to a session, or to the second before or after, and it is used."""
        one = data.draw(st.sampled_from(self.known))
        rules = self.rules[one.profile]
        matters = [one.expires, one.access_end, one.slid + rules.slide_after, one.used + 60, self.seen]
        matters += [] if one.refreshed is None else [one.refreshed + rules.grace]
        ahead = [at + late for at in matters if self.now < at + late < START + 1_000 * DAY]
        if ahead:
            self.ticks = data.draw(st.sampled_from(ahead))
        if then == "use":
            self.verify(one, one.access_tokens[-1])
        elif then == "refresh" and one.refresh_tokens:
            self.present(one, one.generation)

    @rule(data=st.data(), seconds=st.sampled_from([1, 30, 90, HOUR, 2 * DAY]))
    def clock_is_set_back(self, data: st.DataObject, seconds: int) -> None:
        """The clock is put right, or wrong, by so much or to just after a refresh; never before the first operation."""
        refreshed = [one.refreshed + 1 for one in self.known if one.refreshed and one.refreshed + 1 < self.now]
        self.ticks = max(START, data.draw(st.sampled_from([self.ticks - seconds, *refreshed])))

    @invariant()
    def one_answer(self) -> None:
        """Every session as the model has it: listed by status, counted, shown with its reason, note and deadline."""
        listed = {status: set() for status in ("active", "expired", "revoked")}
        for one in self.known:
            listed[one.status(self.now)].add(one.id)
        for status, ids in listed.items():
            assert {session.id for session in self.registry.sessions(SessionFilter(status=status))} == ids, status
            assert self.registry.count(SessionFilter(status=status)) == len(ids), status
        for state in ("pending", "delivered", "acknowledged"):
            owed = {one.id for one in self.known if one.wipe() == state}
            assert {session.id for session in self.registry.sessions(SessionFilter(wipe=state))} == owed, state
            assert self.registry.count(SessionFilter(wipe=state)) == len(owed), state
        for group in self.registry.lists.groups("user"):
            mine = [one.status(self.now) for one in self.known if one.user.upper() == group.group]
            counts = [mine.count(status) for status in ("active", "expired", "revoked")]
            assert [group.active, group.expired, group.revoked] == counts
        found = {session.id: session for session in self.registry.sessions()}
        for one in self.known:
            session = found[one.id]
            assert session.status == one.status(self.now)
            assert session.expires_at == min(one.expires, 253_402_300_800) * 10**6
            assert (session.note, session.ended_by, session.generation) == (one.note, one.ended, one.generation)
            assert session.wipe == one.wipe()
            told = [at and at // 10**6 for at in (session.wipe_delivered_at, session.wipe_acknowledged_at)]
            assert told == [one.delivered, one.acknowledged]
            assert (session.last_used_at, session.slid_at) == (one.used * 10**6, one.slid * 10**6)
            assert session.access_expires_at == (None if one.tokens != "pair" else one.access_end * 10**6)


Lifetimes.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize="AUTHCTL_MACHINE_STEPS" not in os.environ,
)
TestLifetimes = Lifetimes.TestCase
