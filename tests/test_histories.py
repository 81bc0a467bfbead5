"""Random histories of sign-ins and deeds: every sign-in that was told stays known, and no deed is undone by what is told later.

Sign-ins are told by `issue` and by imports, in any order and any split into files, under keys with and without the user; deeds are
revocations by any criteria, ends, disabling, password changes, profiles, backups, restores, clean-ups and imports again. The real
registry is compared after each step with the rule as `tests/oracle.py` has it. At full size: AUTHCTL_HISTORIES_EXAMPLES=3000.
"""

import io
import json
import os
import shutil
import tempfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import note as say
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from authctl import Refused, Registry, Session, SessionFilter, profiles
from authctl.import_mappings import read_mapping
from authctl.registry.backups import restore
from authctl.registry.init import create
from authctl.settings import find_home
from tests.conftest import Clock
from tests.oracle import (
    DAY,
    FOREVER,
    HOUR,
    MINUTE,
    REACHED,
    Case,
    Deed,
    Facts,
    Known,
    Part,
    Rules,
    Told,
    Unsure,
    Who,
    fits,
    parts,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "AUTHCTL_HISTORIES_EXAMPLES" not in os.environ and os.environ.get("AUTHCTL_TEST_PROFILE") != "full",
        reason="model and registry still differ on keys of several users: see docs/security.md, Known limits; make histories",
    ),
]

STEPS = int(os.environ.get("AUTHCTL_HISTORIES_STEPS", "30"))
FULL = os.environ.get("AUTHCTL_TEST_PROFILE") == "full"
EXAMPLES = int(os.environ.get("AUTHCTL_HISTORIES_EXAMPLES", "3000" if FULL else "120"))

SECOND = 1_000_000
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about the disk
USERS = ("alice", "bob")
APPLICATIONS = ("Mail", "Web", None)
DEVICES = ("A-1", "B-2", None)
PLATFORMS = ("Phone", None)
FIELDS = "fields: {username: user, application: app, application_version: key, device: dev, platform: os, at: at}\n"
KEYS = {"sid": ("sid", ("s1", "s2")), "user": ("username, sid", ("u1", "u2")), "device": ("device", DEVICES)}
MAPPINGS = {name: read_mapping(f"{FIELDS}key: [{key}]".encode(), "map.yaml") for name, (key, _) in KEYS.items()}
BACK = (0, SECOND, 10 * MINUTE, HOUR, 3 * HOUR, DAY, 4 * DAY, 40 * DAY)
AHEAD = (MINUTE, 3 * MINUTE, 5 * MINUTE, 5 * MINUTE + SECOND, 3 * HOUR, 23 * HOUR)
AROUND = (-4 * DAY, -DAY, -2 * HOUR, -HOUR, -SECOND, 0, SECOND, HOUR)
IDLE = (6 * HOUR, DAY, 3 * DAY, 30 * DAY, FOREVER)
TEXTS = {
    "username": ("alice", "Alice", "bob", ("alice", "bob")),
    "application": ("mail", "Web"),
    "device": ("A-1", "b-2"),
    "platform": ("phone",),
    "profile": ("short", "long"),
    "kind": ("application", "application", "web"),
    "search": ("ali", "A-1", "mail"),
}
TIMES = ("created_since", "created_before", "used_since", "unused_since", "expires_before")
STATUSES = (("active",), ("expired",), ("active", "expired"), ("active", "revoked"), ("revoked",))
FAULTS: dict[str, dict[str, Any]] = {
    "no user": {"user": " "},
    "no time": {"at": None},
    "not a time": {"at": "yesterday"},
    "more than a day ahead": {"at": "2199-01-01T00:00:00Z"},
    "nothing in its key": {"sid": None, "dev": None, "user": ""},
}
EVERY_KIND = (
    *(f"row with fault: {name}" for name in FAULTS),
    *(f"deed: {name}" for name in ("issue", "import", "import again", "end", "disable", "enable", "password", "apply")),
    *(f"deed: {name}" for name in ("back up", "restore", "restore of what is lost", "clean up", "clean up of many")),
    *(f"criterion: {name}" for name in (*TEXTS, *TIMES, "status", "everything", "ids", "except_ids")),
    "everything with status",
    "everything with except",
    "recorded with revoked: 0",
    "nothing matched",
    "ids that were revoked already",
    "exception: known to be used after the deed",
    "row of a spared session",
    "late row under criteria",
    "late row under all",
    "late row of the earliest of two",
    "late row over by: disabled",
    "late row over by: password",
    "late row over by: restore",
    "late row over by: renamed",
    "late row over, and revoked afterwards",
    "late row under nothing",
    "row up to the end of its own session",
    "row ahead by up to five minutes",
    "row ahead by up to a day",
    "key told of two users",
    "row without a device",
    "row told again after it was cleaned up",
    "row told again after it was lost",
    "row up to the end of another user's session that is gone",
    "key of another user's session that ends in the same import",
)


class Place(NamedTuple):
    """What became of a sign-in that was told."""

    state: str
    """listed; settled: of the time up to the end of its own session; cleaned: removed; lost: told after the backup that was restored"""
    session: str = ""


class Copy(NamedTuple):
    """A backup, and what the model knew then."""

    file: Path
    places: dict[Told, Place]
    listed: dict[str, Session]
    rules: Rules
    disabled: frozenset[str]


class Histories(RuleBasedStateMachine):
    """Deeds and imports in any order; the registry and the rule must agree."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.place_of = find_home(self.folder / "home", self.folder / "home" / "registry.db")
        self.clock = Clock()
        self.rules = Rules(DAY, 3 * DAY, "nobody", "all")
        self.places: dict[Told, Place] = {}
        self.instants: dict[Told, int] = {}
        self.unclear: set[Told] = set()
        self.deeds: list[Deed] = []
        self.covered: dict[Told, Deed] = {}
        self.over: dict[str, str] = {}
        self.finals: dict[Who, int] = defaultdict(lambda: -FOREVER)
        self.gone_ends: list[tuple[Who, Deed]] = []
        self.files: list[tuple[str, str | None, list[dict[str, Any]]]] = []
        self.copies: list[Copy] = []
        self.disabled: set[str] = set()
        self.listed: dict[str, Session] = {}
        self.registry: Registry | None = None
        self.notes = 0

    @initialize(
        short=st.sampled_from(IDLE), long=st.sampled_from(IDLE), password=st.sampled_from(["all", "all", "none"])
    )
    def begin(self, short: int, long: int, password: str) -> None:
        """An installation under any rules."""
        self.rules = Rules(short, long, "mail", password)
        create(self.place_of, self.read_rules(), b"", actor="founder", clock=self.clock)
        self.open()

    def open(self) -> None:
        """Open the registry that is there."""
        self.registry = Registry.open(self.folder / "home", clock=self.clock)
        self.look()

    def read_rules(self) -> Any:
        """The present rules, as the registry takes them."""
        return profiles.read(self.rules.text().encode(), "profiles.yaml")

    def teardown(self) -> None:
        """Everything that was ever imported is imported once more; the audit trail holds; nothing is left behind."""
        if self.registry:
            for mapping, named, rows in self.files:
                self.load(mapping, named, rows)
            self.registry.audit.verify()
            self.registry.close()
        shutil.rmtree(self.folder)

    @property
    def now(self) -> int:
        """The clock, in microseconds."""
        return int(self.clock.now.timestamp()) * SECOND

    def note(self) -> str:
        """A note of its own for each deed; each deed has an instant of its own, too."""
        self.clock.forward(seconds=1)
        self.notes += 1
        return f"deed number {self.notes}"

    def look(self) -> dict[str, Session]:
        """The sessions as they are listed now, and as they were before."""
        before = self.listed
        self.listed = {one.id: one for one in self.registry.sessions()}
        return before

    @property
    def ids(self) -> list[str]:
        """The ids of all sessions, in the order of registration: they are random, and draws must not depend on that."""
        return [one.id for one in sorted(self.listed.values(), key=lambda one: one.number)]

    # What is told

    @rule(
        user=st.sampled_from(USERS),
        application=st.sampled_from(APPLICATIONS[:2]),
        device=st.sampled_from(DEVICES),
        platform=st.sampled_from(PLATFORMS),
    )
    def issue(self, user: str, application: str, device: str | None, platform: str | None) -> None:
        """A sign-in here; refused for a disabled user."""
        REACHED["deed: issue"] += 1
        self.clock.forward(seconds=1)
        details = {"application": application, "device": device, "platform": platform}
        try:
            issued = self.registry.issue(username=user.upper(), application_version="issued", **details)
        except Refused:
            assert user in self.disabled
            return
        assert user not in self.disabled
        told = Told(user, f"issued {issued.session.id}", self.now, application, device, platform)
        self.places[told], self.instants[told] = Place("listed", issued.session.id), self.now
        self.look()

    @rule(data=st.data(), mapping=st.sampled_from(sorted(KEYS)), named=st.sampled_from([None, None, "short", "LONG"]))
    def tell(self, data: st.DataObject, mapping: str, named: str | None) -> None:
        """A file of new rows, in any order, with rows of earlier files and rows with faults among them."""
        self.tell_rows(data, mapping, named)

    @rule(data=st.data(), mapping=st.sampled_from(["sid", "sid", "user"]))
    def tell_more(self, data: st.DataObject, mapping: str) -> None:
        """The same with the assigned profile, so that there are more of them."""
        self.tell_rows(data, mapping, None)

    def tell_rows(self, data: st.DataObject, mapping: str, named: str | None) -> None:
        """Draw a file, and import it."""
        rows = [self.row(data, mapping) for _ in range(data.draw(st.integers(1, 4)))]
        if data.draw(st.integers(0, 5)) == 0:
            fault = data.draw(st.sampled_from(sorted(FAULTS)))
            REACHED[f"row with fault: {fault}"] += 1
            rows.insert(data.draw(st.integers(0, len(rows))), self.row(data, mapping) | FAULTS[fault])
        self.files.append((mapping, named, rows))
        REACHED["deed: import"] += 1
        self.load(mapping, named, rows)

    def row(self, data: st.DataObject, mapping: str) -> dict[str, Any]:
        """A row of any time: mostly before the clock, or about a deed; rarely ahead."""
        around = [deed.at for deed in self.deeds[-4:]]
        how = data.draw(st.sampled_from(["back", "back", "around", "around", "ahead"]))
        if how == "around" and around:
            at = min(self.now, data.draw(st.sampled_from(around)) + data.draw(st.sampled_from(AROUND)))
        elif how == "ahead":
            at = self.now + data.draw(st.sampled_from(AHEAD))
        else:
            at = self.now - data.draw(st.sampled_from(BACK))
        key = data.draw(st.sampled_from(KEYS[mapping][1]))
        device = key if mapping == "device" else data.draw(st.sampled_from(DEVICES))
        return {
            "user": data.draw(st.sampled_from(("alice", "Alice", "bob"))),
            "app": data.draw(st.sampled_from(APPLICATIONS)),
            "dev": device,
            "os": data.draw(st.sampled_from(PLATFORMS)),
            "sid": None if mapping == "device" else key,
            "key": f"{mapping}:{key}",
            "at": time_of(at),
        }

    @precondition(lambda self: self.deeds)
    @rule(
        data=st.data(),
        mapping=st.sampled_from(["sid", "user"]),
        back=st.sampled_from([SECOND, HOUR, 5 * HOUR, 4 * DAY]),
    )
    def tell_late(self, data: st.DataObject, mapping: str, back: int) -> None:
        """A row that a deed would have met, had it been told in time."""
        deed = data.draw(st.sampled_from(self.deeds[-6:]))
        row = self.row(data, mapping) | {"at": time_of(deed.at - back)}
        meant = {"user": deed.user or deed.criteria.get("username"), "app": deed.criteria.get("application")}
        meant |= {"dev": deed.criteria.get("device"), "os": deed.criteria.get("platform")}
        self.tell_this(mapping, row | {name: text for name, text in meant.items() if isinstance(text, str)})

    @precondition(lambda self: any(":" in self.who(one)[1] for one in self.listed.values()))
    @rule(data=st.data(), other=st.booleans(), old=st.booleans())
    def tell_of_known(self, data: st.DataObject, other: bool, old: bool) -> None:
        """One more row of a listed session, or of its key under another name."""
        told = [self.listed[one] for one in self.ids if ":" in self.who(self.listed[one])[1]]
        one = data.draw(st.sampled_from(told))
        mapping, key = self.who(one)[1].split(":")
        user = self.who(one)[0] if not other else USERS[self.who(one)[0] == USERS[0]]
        row = self.row(data, mapping) | {"user": user, "key": f"{mapping}:{key}"}
        row |= {"dev": key} if mapping == "device" else {"sid": key}
        row |= {"at": time_of(one.created_at - 10 * MINUTE)} if old else {}
        self.tell_this(mapping, row)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), how=st.sampled_from(["whole", "half", "all together"]))
    def tell_again(self, data: st.DataObject, how: str) -> None:
        """Earlier files again, shuffled, in part, or all of one mapping in one file."""
        REACHED["deed: import again"] += 1
        mapping, named, rows = data.draw(st.sampled_from(self.files))
        if how == "all together":
            rows = [row for other, _, more in self.files if other == mapping for row in more]
        rows = data.draw(st.permutations(rows)) if len(rows) < 12 else rows[::-1]
        self.load(mapping, named, rows[: len(rows) // 2 + 1] if how == "half" else rows)

    def load(self, mapping: str, named: str | None, rows: list[dict[str, Any]]) -> None:
        """Import rows, and compare every key of theirs with the rule."""
        self.clock.forward(seconds=1)
        say(
            f"{self.clock.now} import {mapping} {named}: "
            + "; ".join(" ".join(f"{v}" for v in r.values()) for r in rows)
        )
        raw = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        outcome = self.registry.imports.run(io.BytesIO(raw), MAPPINGS[mapping], profile=named)
        told, faults = self.understood(mapping, rows)
        assert [line for line, _ in outcome.rejections] == faults
        assert (outcome.rows.read, outcome.rows.used) == (len(rows), len(rows) - len(faults))
        before = self.look()
        touched = set()
        named = named and named.lower()
        for who in dict.fromkeys(row.who for row in told):
            touched |= self.compare(who, [row for row in dict.fromkeys(told) if row.who == who], named, before)
        for one in before.keys() | self.listed.keys():
            if one not in touched:
                assert without_reading(self.listed.get(one)) == without_reading(before.get(one)), (
                    "nothing was told of it"
                )

    def understood(self, mapping: str, rows: list[dict[str, Any]]) -> tuple[list[Told], list[int]]:
        """The sign-ins that rows tell, and the lines of those that have a fault."""
        told, faults = [], []
        for line, row in enumerate(rows, 1):
            at = row["at"] and row["at"] != "yesterday" and int(datetime.fromisoformat(row["at"]).timestamp()) * SECOND
            blank = mapping == "device" and row["dev"] is None
            if blank:
                REACHED["row without a device"] += 1
            if not at or not row["user"].strip() or at > self.now + DAY or blank:
                faults.append(line)
                continue
            one = Told(row["user"].lower(), row["key"], at, row["app"], row["dev"], row["os"])
            self.first_seen(one)
            told.append(one)
        return told, faults

    def first_seen(self, one: Told) -> None:
        """Fix the instant that a row counts as of."""
        state = self.places[one].state if one in self.places else "new"
        if state in ("cleaned", "lost"):
            REACHED[f"row told again after it was {'cleaned up' if state == 'cleaned' else state}"] += 1
        if one in self.instants:
            return
        ahead = one.at - self.now
        self.instants[one] = one.at if ahead <= 0 else self.now if ahead <= 5 * MINUTE else self.now - DAY
        if ahead > 0:
            self.unclear.add(one)
            REACHED[f"row ahead by up to {'five minutes' if ahead <= 5 * MINUTE else 'a day'}"] += 1

    # The rule, and the registry beside it

    def compare(self, who: Who, rows: list[Told], named: str | None, before: dict[str, Session]) -> set[str]:
        """Compare what became of a key's rows with the rule; the ids of the sessions that may have changed."""
        final = self.final(who, before)
        fresh = [row for row in rows if self.instants[row] > final]
        known = self.known(who, before)
        if any(other[1] == who[1] and other[0] != who[0] for other in (told.who for told in self.places)):
            REACHED["key told of two users"] += 1
        for row in rows:
            if self.instants[row] <= final:
                REACHED["row up to the end of its own session"] += 1
                if row not in self.places or self.places[row].state == "lost":
                    self.places[row] = Place("settled")
        new = [one for one in self.listed if one not in before and self.who(self.listed[one]) == who]
        try:
            case = Case(who, self.instants, self.binding(who, known, before), self.rules, named)
            if len(self.renamed(who, known, self.listed)) > len(self.renamed(who, known, before)):
                REACHED["key of another user's session that ends in the same import"] += 1
                raise Unsure  # noqa: TRY301  # the one place where a doubt ends
            self.ends_of_gone(who, known, fresh)
            self.passwords_of_other_rules(who, [*fresh, *(row for one in known for row in one.rows)])
            if any(row in self.unclear for one in known for row in one.rows):
                raise Unsure  # noqa: TRY301  # the one place where a doubt ends
            if any(self.places.get(row, Place("")).state == "lost" and row in self.unclear for row in fresh):
                raise Unsure  # noqa: TRY301  # the one place where a doubt ends
            wanted = parts(case, sorted(fresh, key=lambda row: self.instants[row]), known)
        except Unsure:
            REACHED["several answers"] += 1
            return self.place_unsure(who, fresh, {*new, *(one.id for one in known)})
        REACHED["one answer"] += 1
        for part in wanted:
            new = self.compare_part(part, new, before, case)
        assert not new, "a session is made of no row"
        return {self.places[row].session for part in wanted for row in part.rows}

    def compare_part(self, part: Part, new: list[str], before: dict[str, Session], case: Case) -> list[str]:
        """Compare one session with what the rule makes of its rows; those that are new without it."""
        ats = [row.at for row in part.rows]
        if part.known:
            found = self.listed[part.known.id]
        else:
            spans = [self.listed[one] for one in new]
            mine = [one for one in spans if one.created_at == min(ats) and one.last_used_at == max(ats)]
            assert mine, f"no session of {part}"
            found = mine[0]
            new = [one for one in new if one != found.id]
        for row in part.rows:
            self.places[row] = Place("listed", found.id)
        self.compare_verdict(part, found, case)
        return new

    def compare_verdict(self, part: Part, found: Session, case: Case) -> None:
        """Compare the status, note and revocation of a session with the deeds it comes under."""
        deed = part.revocation or part.end
        rows = [*part.rows, *(part.known.rows if part.known else ())]
        if part.revocation:
            assert (found.note, found.revoked_at) == (part.revocation.note, part.revocation.at), part
        else:
            assert found.revoked_at is None, f"nobody revoked {part}"
        if deed:
            assert found.status != "active", part
            self.over[found.id] = deed.kind
            self.covered.update(dict.fromkeys(rows, deed))
        elif case.who[0] in self.disabled:
            assert found.status != "active", part
        elif not part.known:
            used = max(row.at for row in part.rows)
            assert (found.status == "active") == (used + self.rules.idle(found.profile) > self.now)
        self.count_verdict(part, deed, case)

    def count_verdict(self, part: Part, deed: Deed | None, case: Case) -> None:
        """Count what was reached."""
        if part.end:
            REACHED[f"late row over by: {part.end.kind}"] += 1
            REACHED["late row over, and revoked afterwards"] += part.revocation is not None
        elif part.revocation:
            REACHED[f"late row under {part.revocation.kind}"] += 1
            later = [one for one in case.deeds if one.at > part.revocation.at and one.kind == "criteria"]
            REACHED["late row of the earliest of two"] += bool(later)
        REACHED["late row under nothing"] += deed is None and bool(self.deeds)

    def place_unsure(self, who: Who, rows: list[Told], sessions: set[str]) -> set[str]:
        """Find the session of each row where the rule allows several answers: one of the key, with the row's time in it."""
        for row in rows:
            mine = [self.listed[one] for one in sessions if one in self.listed]
            span = [one for one in mine if one.created_at <= row.at <= one.last_used_at]
            is_settled = self.final(who, self.listed) >= self.instants[row]
            is_settled |= self.places.get(row, Place("")).state in ("settled", "cleaned")
            assert span or is_settled, f"{row} is nowhere"
            self.places[row] = Place("listed", span[0].id) if span else Place("settled")
            if row.at != self.instants[row]:
                self.unclear.add(row)
        return sessions

    def who(self, session: Session) -> Who:
        """A session's user and key, which every row of ours says."""
        key = session.application_version
        return session.username.lower(), f"issued {session.id}" if key == "issued" else key or ""

    def final(self, who: Who, listed: dict[str, Session]) -> int:
        """Up to when a key's rows are settled: the end of what was revoked or ended, or its last use if that is later."""
        ends = [max(end_of(one), one.last_used_at) for one in listed.values() if self.who(one) == who and is_final(one)]
        return max([*ends, self.finals[who]])

    def known(self, who: Who, listed: dict[str, Session]) -> list[Known]:
        """The sessions of a key that were neither revoked nor ended, earliest first."""
        mine = [one for one in listed.values() if self.who(one) == who and not is_final(one)]
        return [
            Known(
                one.id,
                tuple(row for row, place in self.places.items() if place == Place("listed", one.id)),
                one.profile.lower(),
                one.created_at,
                one.last_used_at,
                one.expires_at,
                one.status_at(self.now) == "active",
            )
            for one in sorted(mine, key=lambda one: one.created_at)
        ]

    def binding(self, who: Who, known: list[Known], listed: dict[str, Session]) -> list[Deed]:
        """The deeds that may bind a key's rows; of everything and of a user's hard ends, the latest of each kind."""
        mine = [deed for deed in self.deeds if deed.user in (None, who[0])]
        latest = [next((d for d in reversed(mine) if d.kind == kind), None) for kind in ("all", "disabled", "restore")]
        passwords = [d for d in mine if d.kind == "password" and "none" not in (d.rules.password, self.rules.password)]
        found = [deed for deed in (*latest, *passwords[-1:]) if deed]
        found += [deed for deed in mine if deed.kind == "criteria"]
        return found + self.renamed(who, known, listed)

    def renamed(self, who: Who, known: list[Known], listed: dict[str, Session]) -> list[Deed]:
        """The ends of other users' sessions of the same key without its user, unless this user's is known and living."""
        if who[1].startswith("user:") or any(one.is_active for one in known):
            return []
        others = [one for one in listed.values() if self.who(one)[1] == who[1] and self.who(one)[0] != who[0]]
        ends = [Deed(end_of(one), "renamed", one.note, self.rules) for one in others if is_final(one)]
        if any(is_final(one) and one.last_used_at > end_of(one) for one in others):
            raise Unsure  # its clock was ahead: whether its end or its last use counts for others is not said
        if ends and known:
            raise Unsure  # known, and expired: whether that is living is not said
        return ends

    def ends_of_gone(self, who: Who, known: list[Known], rows: list[Told]) -> None:
        """The same of sessions that are gone: whether the rows are registered as over, or change nothing, is not said."""
        if who[1].startswith("user:") or any(one.is_active for one in known):
            return
        for other, deed in self.gone_ends:
            late = [row for row in rows if self.instants[row] <= deed.at]
            if other[1] == who[1] and other[0] != who[0] and late:
                REACHED["row up to the end of another user's session that is gone"] += 1
                self.covered.update(dict.fromkeys(late, deed))
                self.places |= {row: Place("settled") for row in late if row not in self.places}
                raise Unsure

    def passwords_of_other_rules(self, who: Who, rows: list[Told]) -> None:
        """A changed password binds late rows as the profile says, and whether as it said then or as it says now is open."""
        for deed in self.deeds:
            differs = (deed.rules.password == "none") != (self.rules.password == "none")
            concerns = deed.kind == "password" and deed.user == who[0] and differs
            if concerns and any(self.instants[row] <= deed.at for row in rows):
                raise Unsure

    # Deeds

    @precondition(lambda self: self.listed)
    @rule(
        data=st.data(), name=st.sampled_from(sorted(TEXTS)), other=st.sampled_from([None, None, *sorted(TEXTS), *TIMES])
    )
    def revoke_by_text(self, data: st.DataObject, name: str, other: str | None) -> None:
        """Revoke by what sessions say, by one criterion or two."""
        names = [name, other] if other else [name]
        self.revoke_by({one: data.draw(self.values(one)) for one in names} | self.excepted(data))

    @precondition(lambda self: self.listed)
    @rule(data=st.data(), name=st.sampled_from(TIMES), other=st.sampled_from([None, "username", "device"]))
    def revoke_by_time(self, data: st.DataObject, name: str, other: str | None) -> None:
        """Revoke by when sessions were made, used or end."""
        names = [name, other] if other else [name]
        self.revoke_by({one: data.draw(self.values(one)) for one in names} | self.excepted(data))

    @precondition(lambda self: self.listed)
    @rule(data=st.data(), how=st.sampled_from(["status", "everything", "everything with status", "ids"]))
    def revoke_by_status(self, data: st.DataObject, how: str) -> None:
        """Revoke by status, everything, or by ids."""
        chosen: dict[str, Any] = {"everything": True} if how.startswith("everything") else {}
        if how.endswith("status"):
            chosen["status"] = data.draw(self.values("status"))
        if how == "ids":
            chosen["ids"] = tuple(data.draw(st.lists(st.sampled_from(self.ids), min_size=1, max_size=2)))
        self.revoke_by(chosen | (self.excepted(data) if how != "ids" else {}))

    def excepted(self, data: st.DataObject) -> dict[str, Any]:
        """A session that is spared, or none."""
        spared = data.draw(st.sampled_from([None, None, *self.ids]))
        return {"except_ids": (spared,)} if spared else {}

    @precondition(lambda self: any(one.status == "revoked" for one in self.listed.values()))
    @rule(data=st.data(), how=st.sampled_from(["user", "status", "everything", "ids"]))
    def revoke_again(self, data: st.DataObject, how: str) -> None:
        """Revoke once more what is revoked already."""
        revoked = [one for one in self.ids if self.listed[one].status == "revoked"]
        one = self.listed[data.draw(st.sampled_from(revoked))]
        chosen = {"user": {"username": one.username}, "status": {"status": ("revoked",)}, "ids": {"ids": (one.id,)}}
        self.revoke_by(chosen.get(how, {"everything": True}))

    def values(self, name: str) -> st.SearchStrategy[Any]:
        """What a criterion can ask for."""
        if name in TEXTS:
            return st.sampled_from(TEXTS[name])
        if name == "status":
            return st.sampled_from(STATUSES)
        return st.sampled_from([-40 * DAY, -3 * DAY, -DAY, -2 * HOUR, -MINUTE, 0, HOUR, 2 * DAY]).map(
            lambda back: self.now + back
        )

    def revoke_by(self, criteria: dict[str, Any]) -> None:
        """Revoke, and compare what was hit; what had a criterion, and matched, is remembered for late rows."""
        note = self.note()
        say(f"{self.clock.now} revoke {criteria}")
        hit = [one for one in self.listed.values() if self.is_hit(one, criteria)]
        newly = [one.id for one in hit if one.revoked_at is None]
        outcome = self.registry.revoke(SessionFilter(**criteria), note=note)
        before = self.look()
        assert (outcome.revoked, outcome.already_revoked) == (len(newly), len(hit) - len(newly)), criteria
        by_criteria = "ids" not in criteria
        assert (outcome.revocation_id is not None) == bool(newly or (hit and by_criteria)), criteria
        for one in newly:
            assert (self.listed[one].note, self.listed[one].revoked_at) == (note, self.now)
        self.count_revocation(criteria, hit, newly)
        self.nothing_else_changed(before, newly)
        everything = criteria.get("everything") and "status" not in criteria
        if hit:
            deed = Deed(self.now, "all" if everything else "criteria", note, self.rules, criteria=criteria)
            self.cover(deed, [one.id for one in hit])
            if by_criteria:
                self.deeds.append(deed)

    def is_hit(self, one: Session, criteria: dict[str, Any]) -> bool:
        """Whether a listed session is selected."""
        named = "ids" not in criteria or one.id in criteria["ids"]
        facts = Facts(
            one.username,
            one.application,
            one.device,
            one.platform,
            one.profile,
            one.note,
            one.created_at,
            one.last_used_at,
            one.expires_at,
            one.status_at(self.now),
        )
        return named and one.id not in criteria.get("except_ids", ()) and fits(criteria, facts)

    def count_revocation(self, criteria: dict[str, Any], hit: list[Session], newly: list[str]) -> None:
        """Count what was reached."""
        for name in criteria:
            REACHED[f"criterion: {name}"] += bool(hit)
        for other in ("status", "except_ids"):
            REACHED[f"everything with {other.removesuffix('_ids')}"] += {"everything", other} <= criteria.keys()
        REACHED["recorded with revoked: 0"] += bool(hit) and not newly and "ids" not in criteria
        REACHED["ids that were revoked already"] += bool(hit) and not newly and "ids" in criteria
        REACHED["nothing matched"] += not hit

    def cover(self, deed: Deed, sessions: list[str]) -> None:
        """A deed is about these sessions and their rows, for good."""
        self.over.update(dict.fromkeys(sessions, deed.kind))
        for row, place in self.places.items():
            if place.state == "listed" and place.session in sessions:
                self.covered[row] = deed

    def nothing_else_changed(self, before: dict[str, Session], changed: list[str]) -> None:
        """A deed is about what it is about alone."""
        for one, session in before.items():
            if one not in changed:
                assert without_reading(self.listed.get(one)) == without_reading(session)

    @precondition(lambda self: self.listed)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A user signs out."""
        REACHED["deed: end"] += 1
        self.note()
        one = self.listed[data.draw(st.sampled_from(self.ids))]
        is_active = one.status_at(self.now) == "active"
        assert self.registry.end([one.id]).ended == is_active
        before = self.look()
        self.nothing_else_changed(before, [one.id])
        if is_active:
            self.cover(Deed(self.now, "end", None, self.rules), [one.id])

    @rule(user=st.sampled_from(USERS), deed=st.sampled_from(["disable", "enable", "enable", "password"]))
    def administer(self, user: str, deed: str) -> None:
        """Disable a user, enable one again, or say that the password was changed."""
        REACHED[f"deed: {deed}"] += 1
        note = self.note()
        mine = [
            one.id
            for one in self.listed.values()
            if one.username.lower() == user and one.status_at(self.now) == "active"
        ]
        if deed == "enable":
            if user in self.disabled:
                self.registry.users.enable(user, note=note)
                self.disabled.discard(user)
            return
        if deed == "disable":
            if not self.registry.users.disable(user, note=note).changed:
                assert user in self.disabled
                return
            self.disabled.add(user)
            done = Deed(self.now, "disabled", note, self.rules, user)
        else:
            self.registry.users.password_changed(user, note=note)
            done = Deed(self.now, "password", note, self.rules, user)
        self.deeds.append(done)
        before = self.look()
        if deed == "disable" or self.rules.password != "none":
            self.nothing_else_changed(before, mine)
            self.cover(done, mine)
            for row, place in self.places.items():
                if row.user == user and self.instants[row] <= self.now and place.state != "listed":
                    self.covered.setdefault(row, done)
        else:
            self.nothing_else_changed(before, [])

    @rule(
        short=st.sampled_from(IDLE),
        long=st.sampled_from(IDLE),
        long_for=st.sampled_from(["nobody", "mail", "bob"]),
        password=st.sampled_from(["all", "all", "password", "none"]),
    )
    def apply(self, short: int, long: int, long_for: str, password: str) -> None:
        """Other profiles are put in force: shorter or longer, assigned to others; nothing revives."""
        REACHED["deed: apply"] += 1
        note = self.note()
        self.rules = Rules(short, long, long_for, password)
        self.registry.profiles.apply(self.read_rules(), note=note)
        for one in self.look().values():
            if one.status_at(self.now) != "active":
                assert self.listed[one.id].status != "active"

    @precondition(lambda self: self.listed and len(self.copies) < 3)
    @rule()
    def back_up(self) -> None:
        """Keep a copy of the registry, and of what the model knows."""
        REACHED["deed: back up"] += 1
        file = self.folder / f"copy-{len(self.copies)}.db"
        self.registry.backups.create(file)
        self.copies.append(Copy(file, dict(self.places), dict(self.listed), self.rules, frozenset(self.disabled)))

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Put any earlier copy back: everybody is signed out, and what restricts is carried over."""
        copy = data.draw(st.sampled_from(self.copies))
        note = self.note()
        self.registry.close()
        restore(self.place_of, copy.file, note=note, clock=self.clock)
        replaced, places = self.listed, self.places
        self.remember_ends(replaced)
        self.places = {row: copy.places.get(row, Place("lost")) for row in places}
        self.rules = copy.rules
        self.disabled |= copy.disabled
        self.open()
        REACHED["deed: restore"] += 1
        REACHED["deed: restore of what is lost"] += any(place.state == "lost" for place in self.places.values())
        done = Deed(self.now, "restore", note, self.rules)
        self.deeds.append(done)
        self.covered |= {row: done for row in self.places if self.instants[row] <= self.now and row not in self.covered}
        self.compare_restored(copy, replaced)

    def compare_restored(self, copy: Copy, replaced: dict[str, Session]) -> None:
        """Everything of the copy is there and over; what was revoked since is revoked with its note."""
        assert copy.listed.keys() <= self.listed.keys()
        for one in self.listed.values():
            assert one.status != "active"
            was = replaced.get(one.id)
            if was is not None and was.revoked_at is not None:
                assert (one.note, one.revoked_at) == (was.note, was.revoked_at), (
                    "what was revoked since the backup is carried"
                )
        for user in USERS:
            found = {one.user.username.lower(): one.user.disabled_at for one in self.registry.users.list()}
            assert (found.get(user) is not None) == (user in self.disabled), "who was disabled is"

    def remember_ends(self, sessions: dict[str, Session]) -> None:
        """What imports know of ended sessions goes on when these are no longer listed."""
        for one in sessions.values():
            if is_final(one):
                who = self.who(one)
                self.finals[who] = max(self.finals[who], end_of(one), one.last_used_at)
                self.gone_ends.append((who, Deed(end_of(one), "renamed", None, self.rules)))

    @precondition(lambda self: self.listed)
    @rule(months=st.sampled_from([0, 1, 6, 7, 9]))
    def clean_up(self, months: int) -> None:
        """Remove what ended more than six months ago, after some time."""
        REACHED["deed: clean up"] += 1
        self.clock.forward(days=31 * months)
        outcome = self.registry.cleanup.run(accept_clock_jump=True)
        before = self.look()
        removed = {one: session for one, session in before.items() if one not in self.listed}
        due = {one for one, session in before.items() if end_by(session, self.now) < outcome.cutoff}
        assert removed.keys() == due
        assert outcome.removed == len(removed)
        self.remember_ends(removed)
        for row, place in self.places.items():
            if place.session in removed:
                self.places[row] = Place("cleaned")
        REACHED["deed: clean up of many"] += len(removed) > 1

    @rule(length=st.sampled_from([MINUTE, HOUR, 5 * HOUR, DAY, 4 * DAY, 40 * DAY]))
    def time_passes(self, length: int) -> None:
        """The clock goes on."""
        self.clock.forward(seconds=length // SECOND)

    @precondition(lambda self: self.listed)
    @rule(data=st.data(), mapping=st.sampled_from(["sid", "user"]), said=st.booleans())
    def use_after_a_deed(self, data: st.DataObject, mapping: str, said: bool) -> None:
        """The exception on purpose: a session is told, missed by a revocation, used, and then a row is told that would have met it."""
        row = self.row(data, mapping) | {"dev": "B-2", "at": time_of(self.now - 2 * HOUR)}
        self.tell_this(mapping, row)
        self.revoke_by({"device": "A-1"})
        self.clock.forward(hours=1)
        if said:
            self.tell_this(mapping, row | {"at": time_of(self.now)})
        late = time_of(self.now - HOUR - data.draw(st.sampled_from([10, 60, 150])) * MINUTE)
        self.tell_this(mapping, row | {"dev": "A-1", "at": late})

    def tell_this(self, mapping: str, *rows: dict[str, Any]) -> None:
        """Import rows, and remember the file."""
        self.files.append((mapping, None, list(rows)))
        self.load(mapping, None, list(rows))

    # What must hold after each step

    @invariant()
    def nothing_is_lost_or_undone(self) -> None:
        """The three promises, after each step."""
        if self.registry:
            self.look()
            self.every_sign_in_is_known()
            self.no_deed_is_undone()
            self.counts_agree()

    def every_sign_in_is_known(self) -> None:
        """Whatever was told is listed under its own user, or is known to be over, cleaned up or lost."""
        for row, place in self.places.items():
            if place.state == "listed":
                one = self.listed[place.session]
                assert self.who(one) == row.who, f"{row} is listed under another user or key"
                assert one.created_at <= row.at <= one.last_used_at, f"{row} lies outside its session"

    def no_deed_is_undone(self) -> None:
        """What a deed covered is never active again, whatever came later."""
        for one, kind in self.over.items():
            assert one not in self.listed or self.listed[one].status != "active", f"{kind} was undone"
        for row, deed in self.covered.items():
            place = self.places[row]
            if place.state == "listed":
                assert self.listed[place.session].status != "active", f"{deed} was undone for {row}"

    def counts_agree(self) -> None:
        """The audit chain is whole; every count by status is what the list has."""
        self.registry.audit.verify()
        statuses = [one.status for one in self.listed.values()]
        for status in ("active", "expired", "revoked"):
            assert self.registry.count(SessionFilter(status=status)) == statuses.count(status), status


def time_of(instant: int) -> str:
    """An instant as a row has it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).isoformat()


def is_final(session: Session) -> bool:
    """Whether a session was revoked or ended."""
    return session.revoked_at is not None or session.ended_at is not None


def end_of(session: Session) -> int:
    """When a session that is final was over."""
    end = session.revoked_at if session.revoked_at is not None else session.ended_at
    assert end is not None
    return end


def end_by(session: Session, now: int) -> int:
    """When a session was over by a deed or its deadline; never before its deadline has come."""
    return end_of(session) if is_final(session) else session.expires_at if session.expires_at <= now else FOREVER


def without_reading(session: Session | None) -> Session | None:
    """A session as it is whenever it is read; what is not revoked names whichever revocation is open."""
    return session and session._replace(read_at=0, revocation_id=(session.revoked_at and session.revocation_id) or 0)


def test_random_histories():
    """The registry and the rule agree in every history; every deed, exception and fault was among them."""
    REACHED.clear()
    machine = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not FULL,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Histories, settings=machine)
    missing = [kind for kind in EVERY_KIND if not REACHED[kind]]
    assert not missing, missing
    assert REACHED["several answers"] * 4 < REACHED["one answer"], REACHED
