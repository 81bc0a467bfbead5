"""`revoke --plan` and `--apply`: a plan revokes exactly its sessions, or nothing; and it is input that is not trusted."""

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import InvalidInput, Refused, Registry, SessionFilter
from authctl.revocation_plans import Plan, digest_of, read_plan
from tests.conftest import HOSTILE, Authctl, Clock, Install, OnTerminal, every_command, unseen
from tests.test_late_rows import at, load, row

DIGITS = 64
NOTE = ("--note", "too many sessions")


@pytest.fixture
def filled(registry: Registry, clock: Clock) -> Registry:
    """A registry with two sessions of Teams and one of Outlook for each of two users."""
    for user in ("alice", "bob"):
        for application in ("Teams", "Outlook", "Teams"):
            registry.issue(username=user, application=application)
            clock.forward(minutes=1)
    return registry


@pytest.fixture
def plan(filled: Registry, clock: Clock) -> Plan:
    """A plan of the four sessions of Teams, made by bob."""
    return filled.plans.make(SessionFilter(application="teams"), actor="bob").plan


def active(registry: Registry) -> set[str]:
    """The ids of the active sessions."""
    return {session.id for session in registry.sessions(SessionFilter(status="active"))}


def issue(authctl: Authctl, user: str, application: str = "Teams") -> str:
    """Issue a session by the command line; its id."""
    command = ("tokens", "issue", "--user", user, "--application", application, "-o", "json")
    return authctl(*command).json["session"]["id"]


def write(path: Path, members: dict, **changes: object) -> Path:
    """Write a plan with changed members, and the digest that fits them."""
    content = {**{name: value for name, value in members.items() if name != "digest"}, **changes}
    path.touch(0o600)
    path.write_text(json.dumps({**content, "digest": digest_of(content)}))
    return path


def test_a_mass_revocation_planned_by_one_and_applied_by_another(authctl: Authctl, tmp_path: Path):
    """The first one plans and tells the digest; the second one reads, looks, and revokes exactly that, with a note."""
    assert authctl("init", "-q").code == 0
    planned = {issue(authctl, user) for user in ("alice", "bob", "carol")}
    other = issue(authctl, "alice", "Outlook")
    file = tmp_path / "teams.plan"
    ran = authctl("revoke", "--application", "Teams", "--plan", str(file), "--actor", "erin", "-o", "json")
    assert ran.code == 0
    assert "nothing was revoked: plan of 3 sessions written to" in ran.err
    assert (ran.json["dry_run"], ran.json["revoked"], ran.json["revocation_id"]) == (True, 3, None)
    digest = ran.json["plan"]["digest"]
    assert f"authctl: plan digest {digest}" in ran.err
    assert len(digest) == DIGITS
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # The second person reads it: who, when, by which filter, how many.
    members = json.loads(file.read_text())
    assert (members["made_by"], members["filter"], members["counts"]["users"]) == ("erin", {"application": "Teams"}, 3)
    assert set(members["sessions"]) == planned
    newcomer = issue(authctl, "dave")
    looked = authctl("revoke", "--apply", str(file), "--dry-run", "-o", "json")
    assert looked.json["plan"] == {"digest": digest, "made_at": members["made_at"], "made_by": "erin", "newcomers": 1}
    assert authctl("sessions", "list", "--status", "revoked", "--count").out == "0\n"
    assert authctl("revoke", "--apply", str(file)).code == 4
    refused = authctl("revoke", "--apply", str(file), *NOTE)
    assert (refused.code, f"digest {digest}" in refused.err, "made by 'erin'" in refused.err) == (4, True, True)
    done = authctl("revoke", "--apply", str(file), *NOTE, "--yes", "--actor", "frank", "-o", "json")
    assert (done.code, done.json["revoked"], done.json["plan"]["newcomers"]) == (0, 3, 1)
    assert set(authctl("sessions", "list", "--status", "active", "-o", "id").out.split()) == {other, newcomer}
    event = authctl(
        "audit", "show", authctl("audit", "list", "--limit", "1", "-o", "id").out.strip(), "-o", "json"
    ).json
    assert (event["actor"], event["note"], event["detail"]["revoked"]) == ("frank", NOTE[1], 3)
    assert event["detail"]["selector"]["plan"] == {
        "digest": digest, "made_at": members["made_at"], "made_by": "erin", "sessions": 3, "newcomers": 1,
        "filter": {"application": "Teams"},
    }  # fmt: skip
    again = authctl("revoke", "--apply", str(file), *NOTE, "--yes")
    assert again.code == 4
    assert "3 revoked since (" in again.err


def test_a_plan_is_asked_about_on_a_terminal(authctl: Authctl, on_terminal: OnTerminal, tmp_path: Path):
    """The preview and the whole digest are shown before the question; an answer other than yes revokes nothing."""
    assert authctl("init", "-q").code == 0
    for user in ("alice", "bob"):
        issue(authctl, user)
    file = tmp_path / "p"
    assert authctl("revoke", "--application", "Teams", "--plan", str(file), "-q").code == 0
    digest = json.loads(file.read_text())["digest"]
    seen = on_terminal("revoke", "--apply", str(file), *NOTE, answers=("n",))
    assert (seen.code, f"digest {digest}" in seen.text, "revoke 2 sessions? [y/N]" in seen.text) == (4, True, True)
    seen = on_terminal("revoke", "--apply", str(file), answers=("y", "too many sessions"))
    assert (seen.code, "revoked 2 sessions" in seen.text) == (0, True)


def test_a_plan_is_never_written_over_a_file(authctl: Authctl, tmp_path: Path):
    """A file that is there stays as it is (4), a folder that is not there is 6, and nothing selected writes nothing (3)."""
    assert authctl("init", "-q").code == 0
    issue(authctl, "alice")
    file = tmp_path / "p"
    file.write_text("mine")
    assert authctl("revoke", "--user", "alice", "--plan", str(file)).code == 4
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    assert authctl("revoke", "--user", "alice", "--plan", str(tmp_path / "link")).code == 4
    assert authctl("revoke", "--user", "alice", "--plan", str(tmp_path / "no" / "p")).code == 6
    assert authctl("revoke", "--user", "nobody", "--plan", str(tmp_path / "q")).code == 3
    assert authctl("revoke", "--user", "alice", "--max-affected", "0", "--plan", str(tmp_path / "q")).code == 4
    assert (file.read_text(), sorted(path.name for path in tmp_path.iterdir())) == ("mine", ["home", "link", "p"])


def test_a_plan_of_ids_some_of_which_are_unknown(authctl: Authctl, tmp_path: Path):
    """The known ones are planned, the unknown one is named, and the exit code is 3."""
    assert authctl("init", "-q").code == 0
    known, file = issue(authctl, "alice"), tmp_path / "p"
    ran = authctl("revoke", known, "zzzzzzzzzz", "--plan", str(file), "-o", "json")
    assert (ran.code, ran.json["not_found"], json.loads(file.read_text())["sessions"]) == (3, ["zzzzzzzzzz"], [known])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o700 | 0o001])
def test_a_plan_that_others_can_touch_is_refused(authctl: Authctl, tmp_path: Path, mode: int):
    """As for the key ring: 6, and nothing is done."""
    assert authctl("init", "-q").code == 0
    issue(authctl, "alice")
    file = tmp_path / "p"
    assert authctl("revoke", "--user", "alice", "--plan", str(file), "-q").code == 0
    file.chmod(mode)
    ran = authctl("revoke", "--apply", str(file), *NOTE, "--yes")
    assert (ran.code, "the plan at" in ran.err, "is open to others" in ran.err) == (6, True, True)
    assert authctl("sessions", "list", "--status", "active", "--count").out == "1\n"


def test_the_file_of_a_plan_is_private_whatever_the_umask(authctl: Authctl, tmp_path: Path):
    """Its names and ids are for its owner alone from the first byte."""
    assert authctl("init", "-q").code == 0
    issue(authctl, "alice")
    before = os.umask(0)
    try:
        assert authctl("revoke", "--user", "alice", "--plan", str(tmp_path / "p"), "-q").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o600


def test_no_option_names_targets_beside_a_plan(authctl: Authctl, tmp_path: Path):
    """Every option of `revoke` but guards, note and output is a usage error beside `--apply`."""
    assert authctl("init", "-q").code == 0
    issue(authctl, "alice")
    file = tmp_path / "p"
    assert authctl("revoke", "--user", "alice", "--plan", str(file), "-q").code == 0
    allowed = {"apply", "note", "dry_run", "yes", "max_affected", "deliver", "actor", "output", "quiet"}
    values = {
        "status": "active",
        "kind": "all",
        "wipe": "pending",
        "delivery": "pending",
        "keep": "1",
        "plan": str(tmp_path / "q"),
    }
    targets = [param for param in every_command()[("revoke",)] if param.name not in allowed]
    assert len(targets) > 20
    for param in targets:
        given = [] if param.param_type_name == "argument" else [max(param.opts, key=len)]
        given += [] if getattr(param, "is_flag", False) else [values.get(param.name, "1d")]
        ran = authctl("revoke", "--apply", str(file), *given, *NOTE, "--yes")
        assert (ran.code, "--apply" in ran.err) == (2, True), (given, ran.err)
    assert authctl("revoke", "--user", "alice", "--plan", str(tmp_path / "q"), *NOTE).code == 2
    assert authctl("revoke", "--user", "alice", "--plan", str(tmp_path / "q"), "--dry-run").code == 2
    assert authctl("sessions", "list", "--status", "active", "--count").out == "1\n"


def test_exactly_the_planned_sessions_are_revoked(filled: Registry, plan: Plan):
    """A session that the filter selects later is counted and stays, and so do all others."""
    others = active(filled) - set(plan.session_ids)
    newcomers = {filled.issue(username="carol", application="Teams").session.id for _ in range(3)}
    outcome = filled.plans.apply(plan, note="retired")
    assert (outcome.revoked, outcome.plan and outcome.plan.newcomers) == (4, 3)
    assert active(filled) == others | newcomers
    assert {session.id for session in outcome.sessions} == set(plan.session_ids)


def test_drift_is_refused_and_counted_by_kind(filled: Registry, clock: Clock):
    """A session that was revoked, or is no longer selected: nothing is done, and some are named."""
    selection = SessionFilter(application="Teams", status="active")
    plan = filled.plans.make(selection).plan
    first, second, *_ = plan.session_ids
    filled.revoke(SessionFilter(ids=(first,)), note="lost device")
    filled.end([second])
    before = active(filled)
    for operation in (filled.plans.preview, lambda plan: filled.plans.apply(plan, note="retired")):
        with pytest.raises(Refused) as caught:
            operation(plan)
        assert f"1 revoked since ({first})" in caught.value.message
        assert f"1 no longer selected by its filter ({second})" in caught.value.message
    assert active(filled) == before


def test_a_session_that_was_used_since_is_drift_of_a_plan_of_unused_ones(filled: Registry, clock: Clock):
    """The instant of the filter is that of the plan: a use since then takes the session out of it."""
    issued = filled.issue(username="carol", application="Teams")
    clock.forward(days=1)
    now = filled.now()
    plan = filled.plans.make(SessionFilter(unused_since=now)).plan
    assert filled.plans.preview(plan).newcomers == 0
    clock.forward(hours=1)
    filled.verify(issued.access_token)
    with pytest.raises(Refused, match="1 no longer selected by its filter"):
        filled.plans.preview(plan)


def test_a_removed_session_is_drift(filled: Registry, plan: Plan, clock: Clock):
    """A cleanup between plan and operation: the plan is refused."""
    clock.forward(days=200)
    assert filled.cleanup.run().removed == 6
    with pytest.raises(Refused, match=r"4 removed \(\w{16}, \w{16}, \w{16}, ...\)"):
        filled.plans.preview(plan)


def test_a_plan_of_another_registry_is_refused(plan: Plan, install: Install, clock: Clock):
    """Ids alone do not show it: the id of the registry does."""
    with pytest.raises(InvalidInput, match="this plan is of another registry"):
        install(folder="other").plans.apply(plan, note="retired")


def test_a_limit_bounds_a_plan(filled: Registry, plan: Plan):
    """Before the question and in the operation."""
    for operation in (
        lambda: filled.plans.preview(plan, max_affected=3),
        lambda: filled.plans.apply(plan, note="retired", max_affected=3),
        lambda: filled.plans.apply(plan, note=None, dry_run=True, max_affected=3),
    ):
        with pytest.raises(Refused, match="limit of 3"):
            operation()
    assert filled.plans.apply(plan, note="retired", max_affected=4).revoked == 4


def test_an_applied_plan_binds_no_late_row(filled: Registry, plan: Plan, clock: Clock):
    """It names its sessions; an import of another session of the same filter is not revoked by it."""
    clock.forward(hours=3)
    plan = filled.plans.make(SessionFilter(application="Teams")).plan
    filled.plans.apply(plan, note="retired")
    load(filled, row("olga", app="Teams", at=at(0.5)))
    late = next(iter(filled.sessions(SessionFilter(username="olga"))))
    assert late.revoked_at is None


def test_an_empty_plan_revokes_nothing(filled: Registry):
    """All of its sessions were revoked before: 0, and nothing is written."""
    filled.revoke(SessionFilter(application="Teams"), note="retired")
    made = filled.plans.make(SessionFilter(application="Teams"))
    assert (made.plan.session_ids, made.outcome.already_revoked) == ((), 4)
    outcome = filled.plans.apply(made.plan, note="retired")
    assert (outcome.revoked, outcome.revocation_id, len(active(filled))) == (0, None, 2)


def test_a_plan_is_read_as_it_was_written(filled: Registry):
    """Every criterion comes back, with its times to the microsecond."""
    whole = filled.session(next(iter(active(filled)))).id
    now = filled.now()
    criteria = (
        {"ids": (whole,), "except_ids": (), "status": ("active", "expired")},
        {"username": ("alice", "Bob"), "kind": "web", "search": 'a"\u202e\\', "profile": "default"},
        {
            "created_since": now - 1,
            "created_before": now + 7,
            "used_since": 0,
            "unused_since": now,
            "expires_before": now,
        },
        {"everything": True, "except_ids": (whole,), "status": "active"},
        {"used_after_end": True, "source": "hub", "device": "D", "platform": ("a", "b"), "key_id": "k"},
    )
    for some in criteria:
        plan = filled.plans.make(SessionFilter(**some), keep=2).plan
        assert read_plan(plan.to_text().encode(), "p") == plan
        assert json.loads(plan.to_text())["digest"] == plan.digest


BROKEN = [
    {"more": 1},
    {"authctl_plan": 2},
    {"authctl_plan": True},
    {"authctl_plan": "1"},
    {"registry": 1},
    {"registry": None},
    {"made_at": "yesterday"},
    {"made_at": "2026-03-02"},
    {"made_at": 5},
    {"made_by": "a\0b"},
    {"made_by": "x" * 2000},
    {"made_by": ["bob"]},
    {"filter": []},
    {"filter": {"wipe": "pending"}},
    {"filter": {"application": 1}},
    {"filter": {"application": ["Teams", 1]}},
    {"filter": {"application": []}},
    {"filter": {"application": ["Teams"]}},
    {"filter": {"application": None}},
    {"filter": {"users": "alice"}},
    {"filter": {"status": "active"}},
    {"filter": {"status": ["old"]}},
    {"filter": {"kind": "none"}},
    {"filter": {"everything": False}},
    {"filter": {"everything": 1}},
    {"filter": {"created_since": 5}},
    {"filter": {"created_since": "7d"}},
    {"filter": {"ids": ["abc"]}},
    {"filter": {"search": " "}},
    {"filter": {"search": "\ud800"}},
    {"keep": 0},
    {"keep": True},
    {"keep": "1"},
    {"keep": 1.0},
    {"keep": 2**70},
    {"counts": {}},
    {"counts": {"sessions": 4, "active": 4, "expired": 1, "web": 0, "users": 2, "applications": 1}},
    {"counts": {"sessions": 4, "active": 4, "expired": 0, "web": -1, "users": 2, "applications": 1}},
    {"counts": {"sessions": 3, "active": 3, "expired": 0, "web": 0, "users": 2, "applications": 1}},
    {"sessions": {}},
    {"sessions": ["htpsgxk2"]},
    {"sessions": [1]},
    {"sessions": [None]},
]


@pytest.mark.parametrize("changes", BROKEN, ids=lambda changes: json.dumps(changes)[:40])
def test_a_plan_that_authctl_does_not_write(plan: Plan, tmp_path: Path, changes: dict):
    """Unknown members, wrong types and impossible values are refused (2), even where the digest fits them."""
    path = write(tmp_path / "p", json.loads(plan.to_text()), **changes)
    with pytest.raises(InvalidInput, match=r"^p: "):
        read_plan(path.read_bytes(), "p")


@pytest.mark.parametrize(
    "change",
    [
        lambda ids: [*ids, ids[0]],
        lambda ids: [ids[0], *ids],
        lambda ids: ids[::-1],
        lambda ids: [ids[0].upper(), *ids[1:]],
        lambda ids: [*ids[:-1], f" {ids[-1]}"],
    ],
)
def test_sessions_are_whole_ids_in_order_each_once(plan: Plan, tmp_path: Path, change):
    """A repeated, unsorted or otherwise spelled id is no plan."""
    members = json.loads(plan.to_text())
    ids = change(members["sessions"])
    counts = {**members["counts"], "sessions": len(ids), "active": len(ids)}
    with pytest.raises(InvalidInput):
        read_plan(write(tmp_path / "p", members, sessions=ids, counts=counts).read_bytes(), "p")


def test_the_digest_covers_every_member(plan: Plan):
    """A change of any member without the digest is refused, and so is a changed digest."""
    members = json.loads(plan.to_text())
    others = {
        "registry": "0" * 16,
        "made_at": "2026-03-01T00:00:00Z",
        "made_by": "mallory",
        "filter": {"application": "Outlook"},
        "keep": 3,
        "counts": {**members["counts"], "users": 1},
        "sessions": [f"{members['sessions'][0][:-1]}2", *members["sessions"][1:]],
        "digest": "0" * DIGITS,
    }
    assert others.keys() == members.keys() - {"authctl_plan"}
    for name, value in others.items():
        assert members[name] != value
        with pytest.raises(InvalidInput, match="the digest does not match"):
            read_plan(json.dumps({**members, name: value}).encode(), "p")


@given(st.data())
def test_a_plan_that_breaks_off_is_none(data):
    """What a crash leaves of a file that was being written is refused, wherever it ends."""
    plan = Plan("0" * 16, 0, "bob", SessionFilter(application="A"), None, dict.fromkeys(COUNTS, 0), ())
    raw = plan.to_text().encode()
    assert read_plan(raw, "p") == plan
    end = data.draw(st.integers(0, len(raw.rstrip()) - 1))
    with pytest.raises(InvalidInput, match="not a plan"):
        read_plan(raw[:end], "p")


COUNTS = ("sessions", "active", "expired", "web", "users", "applications")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b"\xff\xfe",
        b'{"authctl_plan": NaN}',
        b'{"authctl_plan": 1, "authctl_plan": 1}',
        b"[" * 100_000,
        b'{"authctl_plan": ' + b"9" * 10_000 + b"}",
        b'{"authctl_plan": 1}',
    ],
)
def test_what_is_no_plan_at_all(authctl: Authctl, tmp_path: Path, raw: bytes):
    """Any bytes are refused in one line (2)."""
    assert authctl("init", "-q").code == 0
    file = tmp_path / "p"
    file.touch(0o600)
    file.write_bytes(raw)
    ran = authctl("revoke", "--apply", str(file), *NOTE, "--yes")
    assert (ran.code, "Traceback" in ran.err, len(ran.err.splitlines())) == (2, False, 2)
    assert authctl("revoke", "--apply", str(tmp_path / "missing"), *NOTE, "--yes").code == 2


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_a_plan_is_shown_escaped(authctl: Authctl, tmp_path: Path, text: str):
    """In the names of members, in values, and as the maker of a plan that is applied."""
    assert authctl("init", "-q").code == 0
    issue(authctl, "alice")
    file = tmp_path / "p"
    assert authctl("revoke", "--user", "alice", "--plan", str(file), "-q", "--actor", f"x{text}").code == 0
    members = json.loads(file.read_text())
    assert members["made_by"] == f"x{text}"
    shown = [authctl("revoke", "--apply", str(file), *NOTE)]
    for changes in ({text: 1}, {"filter": {text: 1}}, {"sessions": [text]}, {"counts": {text: 1}}, {"made_at": text}):
        shown.append(authctl("revoke", "--apply", str(write(file, members, **changes)), *NOTE, "--yes"))
        assert shown[-1].code == 2
    write(file, members)
    shown.append(authctl("revoke", "--apply", str(file), *NOTE, "--yes"))
    assert shown[-1].code == 0
    shown.append(authctl("audit", "list"))
    assert [unseen(ran.out + ran.err) for ran in shown] == [[]] * len(shown)


def test_a_plan_with_a_set_of_ids_and_keep(filled: Registry, clock: Clock):
    """The newest are left out again when the plan is applied: of the ids that were named, and not of those that are planned."""
    ids = tuple(session.id for session in filled.sessions(SessionFilter(username="alice", application="Teams")))
    plan = filled.plans.make(SessionFilter(ids=ids), keep=1).plan
    assert plan.session_ids == (ids[1],)
    assert filled.plans.apply(plan, note="retired").revoked == 1
