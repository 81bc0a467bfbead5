import re
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authctl import InvalidInput, Refused, Registry, SessionFilter, TokenInvalid, profiles
from authctl.model import ProfileSet
from authctl.registry.init import create
from authctl.settings import find_home
from tests import places
from tests.conftest import Clock

PROFILES = """
version: 1
default_profile: plain
profiles:
  plain: {idle_timeout: 1d, absolute_timeout: 3d, continuity: true, on_revoke: wipe}
  paired: {tokens: pair, access_lifetime: 2h, idle_timeout: 1d, refresh: {grace: 1h, on_reuse: refuse}, continuity: true}
  bound: {tokens: requested, default_lifetime: 10h, max_lifetime: 20h, sealed: true, bind: address}
  office: {idle_timeout: 2d, conditions: {networks: [10.0.0.0/8]}}
"""
SHORTER = PROFILES.replace("1d", "9h").replace("2h", "1h").replace("10.0.0.0/8", "192.0.2.0/24")
OFFICE = "10.1.2.3"
NOTE = "for a test"


class History:
    """A registry to which random operations are done, and the verdicts of verify on copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        raw = PROFILES.encode()
        home = find_home(folder / "home", places.place_in(folder / "home"))
        create(home, profiles.read(raw, "profiles.yaml"), raw, actor="founder", clock=self.clock)
        self.registry = self.opened("home")
        self.tokens: list[str] = []
        self.refresh_tokens: list[str] = []
        self.verdicts: list[tuple] = []

    def opened(self, name: str) -> Registry:
        """The registry in a folder, open."""
        return Registry.open(self.folder / name, registry=places.place_in(self.folder / name), clock=self.clock)

    def do(self, operation: str, which: int, place: str | None) -> None:
        """Do one operation; one that the registry refuses now changes nothing, and is part of the history too."""
        with suppress(Refused, TokenInvalid):
            getattr(self, f"_{operation}")(which, place)

    def _issue(self, which, place):
        profile = ("plain", "paired", "bound", "office")[which % 4]
        issued = self.registry.issue(username="alice", application="Outlook", profile=profile, ip=OFFICE)
        self._keep(issued)

    def _keep(self, issued):
        self.tokens.append(issued.access_token)
        if issued.refresh_token:
            self.tokens.append(issued.refresh_token)
            self.refresh_tokens.append(issued.refresh_token)

    def _use(self, which, place):
        if self.tokens:
            self.registry.verify(self.tokens[which % len(self.tokens)], ip=place)

    def _refresh(self, which, place):
        if self.refresh_tokens:
            token = self.refresh_tokens[which % len(self.refresh_tokens)]
            self._keep(self.registry.refresh(token, ip=place))

    def _revoke(self, which, place):
        if self.tokens:
            self.registry.tokens.revoke(self.tokens[which % len(self.tokens)], note=NOTE)

    def _revoke_all(self, which, place):
        self.registry.revoke(SessionFilter(everything=True), note=NOTE)

    def _end(self, which, place):
        if self.tokens:
            self.registry.end([self.tokens[which % len(self.tokens)]])

    def _disable(self, which, place):
        self.registry.users.disable("alice", note=NOTE)
        self.registry.users.enable("alice", note=NOTE)

    def _outage(self, which, place):
        self.registry.continuity.start(
            ["plain", "paired"], note=NOTE, until=self.registry.now() + which * 3_600 * 10**6
        )

    def _outage_over(self, which, place):
        with suppress(Exception):
            self.registry.continuity.end(note=NOTE)

    def _apply(self, which, place):
        text = (PROFILES, SHORTER)[which % 2].encode()
        chosen: ProfileSet = profiles.read(text, "profiles.yaml")
        self.registry.profiles.apply(chosen, note=NOTE)

    def _rotate(self, which, place):
        self.registry.keys.rotate(note=NOTE)

    def judge(self, place: str | None) -> None:
        """Compare explain with verify now, on a copy, since a use is written; keep the verdicts."""
        now = self.registry.now()
        with tempfile.TemporaryDirectory(dir=self.folder) as copy:
            shutil.copytree(self.folder / "home", copy, dirs_exist_ok=True)
            with self.opened(Path(copy).name) as other:
                for token in self.tokens:
                    explained = self.registry.tokens.explain(token, ip=place)
                    verdict = verified(other, token, place)
                    said = explained.refusal and (
                        type(explained.refusal),
                        str(explained.refusal),
                        explained.refusal.action,
                    )
                    assert (explained.valid, said) == verdict
                    self.verdicts.append((now, token, place, verdict[0]))

    def judge_again(self) -> int:
        """Compare what explain tells now of the past with the verdicts of that time. Returns how many it could tell."""
        told = 0
        for at, token, place, verdict in self.verdicts:
            explained = self.registry.tokens.explain(token, at=at, ip=place)
            assert explained.valid in (verdict, None), (at, explained)
            told += explained.valid is not None
        return told


def verified(registry: Registry, token: str, place: str | None):
    """The verdict of verify, with its error."""
    try:
        registry.verify(token, ip=place)
    except TokenInvalid as refusal:
        return False, (type(refusal), str(refusal), refusal.action)
    return True, None


OPERATIONS = ("issue", "issue", "use", "use", "use", "refresh", "refresh", "revoke", "end", "outage", "outage_over")
RARE = ("revoke_all", "disable", "apply", "rotate")
STEP = st.tuples(
    st.sampled_from((*OPERATIONS, *RARE)),
    st.integers(0, 40),
    st.sampled_from((OFFICE, OFFICE, "203.0.113.9", None)),
    st.sampled_from((61, 1_800, 3_600, 5 * 3_600, 23 * 3_600)),
)


@pytest.mark.in_a_file  # it copies the home of an open registry
@settings(max_examples=25)
@given(st.lists(STEP, min_size=3, max_size=14))
def test_explain_gives_the_verdict_of_verify_now_and_later(steps):
    """The verdict of explain is that of verify now, and later it tells the same of that instant, or that it cannot."""
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        with history.registry:
            history.do("issue", 0, OFFICE)
            for operation, which, place, seconds in steps:
                history.do(operation, which, place)
                history.clock.now += timedelta(seconds=seconds)
                history.judge(place)
                history.clock.now += timedelta(seconds=1)
            told = history.judge_again()
            assert history.verdicts
            assert told or any(operation in ("apply", "refresh") for operation, *_ in steps)


def steps_of(explained):
    """The steps by name."""
    return {step.step: step for step in explained.steps}


def test_explain_tells_who_revoked_and_that_it_was_valid_before(registry, clock):
    """The revocation is explained with who, when and why; for the time before it the token was valid."""
    issued = registry.issue(username="alice", application="Outlook")
    before = registry.now()
    clock.forward(hours=1)
    registry.revoke(SessionFilter(username="alice"), note="lost device", actor="bob")
    now = registry.tokens.explain(issued.access_token)
    step = steps_of(now)["revocation"]
    assert (now.valid, step.result, step.by, step.note, step.at) == (
        False,
        "failed",
        "bob",
        "lost device",
        registry.now(),
    )
    then = registry.tokens.explain(issued.session.id, at=before)
    assert then.valid
    assert steps_of(then)["revocation"].text == "revoked only later"
    assert registry.tokens.explain(issued.access_token, at=before - 1).valid is False


def test_explain_names_each_reason(registry, clock):
    """A session that is revoked and has expired has both reasons, and the first is the verdict of verify."""
    issued = registry.issue(username="alice", application="Outlook")
    clock.forward(days=4)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    explained = registry.tokens.explain(issued.access_token)
    assert [step.step for step in explained.steps if step.result == "failed"] == [
        "revocation",
        "idle deadline",
        "access token",
    ]
    assert explained.refusal.code == "token_revoked"


@pytest.mark.parametrize(
    ("change", "step"),
    [(lambda t: t[:-1], "shape"), (lambda t: t[:5] + "00000000" + t[13:], "key"), (lambda t: t[:-4] + "0000", "key")],
)
def test_explain_tells_a_bad_shape_from_a_bad_key(registry, change, step):
    """A token that is cut off fails by its shape; one with another key or signature by its key."""
    token = registry.issue(username="alice", application="Outlook").access_token
    explained = registry.tokens.explain(change(token))
    assert (explained.valid, explained.steps[-1].step, explained.refusal.code) == (False, step, "token_unknown")


def test_explain_cannot_tell_the_time_before_a_restore(registry, clock, tmp_path):
    """What the registry held before a restore is not kept, and explain tells since when."""
    from authctl.registry.backups import restore

    issued = registry.issue(username="alice", application="Outlook")
    registry.backups.create(tmp_path / "copy.db")
    before = registry.now()
    clock.forward(hours=1)
    home = registry._installation.home
    registry.close()
    restore(home, tmp_path / "copy.db", note="disk failed", clock=clock)
    with Registry.open(home.folder, registry=home.registry, clock=clock) as restored:
        explained = restored.tokens.explain(issued.session.id, at=before)
        assert (explained.valid, explained.steps[-1].at) == (None, restored.now())


def test_explain_cannot_tell_conditions_before_later_profiles(install, clock):
    """The conditions of earlier profiles are not kept: for the time before, the verdict is unknown, and the instant is given."""
    registry = install(PROFILES)
    token = registry.issue(username="alice", application="Outlook", profile="office", ip=OFFICE).access_token
    before = registry.now()
    clock.forward(minutes=1)
    registry.profiles.apply(profiles.read(SHORTER.encode(), "profiles.yaml"), note=NOTE)
    assert registry.tokens.explain(token, ip=OFFICE).valid is False
    then = registry.tokens.explain(token, ip=OFFICE, at=before)
    assert (then.valid, steps_of(then)["conditions"].at) == (None, registry.now())
    clock.forward(minutes=1)
    assert registry.tokens.explain(token, ip=OFFICE, at=registry.now() - 1).valid is False


def test_explain_changes_nothing_and_prints_no_token(installed, home):
    """The registry is the same after explain, last uses included, and no output contains a token."""
    issued = installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-o", "json").json
    token, session_id = issued["access_token"], issued["session"]["id"]
    rows = _rows(home)
    for target in (token, session_id, token[:-1]):
        for form in ("table", "json", "ndjson", "csv", "id"):
            ran = installed("explain", target, "-o", form)
            assert ran.code == 0
            assert token[13:60] not in ran.out + ran.err
    record = installed("tokens", "explain", "-o", "json", stdin=token).json
    assert (record["valid"], record["id"], record["reason"]) == (True, session_id, None)
    assert [step["step"] for step in record["steps"]][:4] == ["shape", "key", "session", "revocation"]
    assert rows
    assert _rows(home) == rows


def _rows(home):
    tables = ("sessions", "revocations", "audit_events", "users", "clock")
    return [row for table in tables for row in places.ask(home, f"SELECT * FROM {table}")]


def test_the_view_of_an_explanation_has_who_when_and_why(installed, on_terminal):
    """On a terminal the verdict comes first, and the revocation has its actor and note."""
    session_id = installed("tokens", "issue", "--user", "alice", "--application", "Outlook", "-o", "id").out.strip()
    assert installed("revoke", session_id, "--note", "lost device", "--actor", "bob").code == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", on_terminal("explain", session_id).text).splitlines()
    assert "not valid (the session was revoked)" in lines[0]
    assert [line.split()[1:] for line in lines if line.split()[0] == "user"] == [["alice"]]
    assert any(line.split() == ["status", "of", "the", "user", "enabled"] for line in lines)
    (revocation,) = [line for line in lines if "revocation" in line]
    assert "failed: revoked" in revocation
    assert "by bob" in revocation


def test_the_reason_before_a_session_or_token_began_names_that(install, clock):
    """The code is that of an unknown token; the reason is true for an id, too."""
    registry = install(PROFILES)
    before = registry.now()
    clock.forward(hours=1)
    issued = registry.issue(username="alice", application="Outlook", profile="paired")
    between = registry.now()
    clock.forward(hours=1)
    pair = registry.refresh(issued.refresh_token)

    def reason(target, at):
        refusal = registry.tokens.explain(target, at=at).refusal
        return refusal.code, refusal.message

    for target in (issued.session.id, issued.access_token):
        assert reason(target, before) == ("token_unknown", "the session was registered only later")
    assert reason(pair.access_token, between) == ("token_unknown", "the token was issued only later")


def test_explain_refuses_a_later_instant(registry):
    """An instant that is to come cannot be explained."""
    session = registry.issue(username="alice", application="Outlook").session
    with pytest.raises(InvalidInput):
        registry.tokens.explain(session.id, at=registry.now() + 1)


def test_explain_tells_a_bad_signature_from_a_retired_key(registry, clock):
    """Each has its own reason; before a key was retired nothing is known of its tokens, since its secret is not kept."""
    token = registry.issue(username="alice", application="Outlook").access_token
    forged = registry.tokens.explain(token[:-4] + "0000").steps[-1]
    assert forged.text == f"the signature is not that of key {token[5:13]}"
    before = registry.now()
    registry.keys.rotate(note=NOTE)
    clock.forward(hours=1)
    registry.keys.retire(token[5:13], sign_out=True, note=NOTE)
    home = registry._installation.home
    # A registry that was opened before uses its key ring for a moment longer.
    with Registry.open(home.folder, registry=home.registry, clock=clock) as opened:
        now, then = opened.tokens.explain(token), opened.tokens.explain(token, at=before)
    assert (now.valid, now.steps[-1].text) == (False, f"key {token[5:13]} is retired")
    assert (then.valid, then.steps[-1].at) == (None, registry.now())


def test_explain_of_a_session_that_was_cleaned_up_or_registered_later(registry, clock):
    """A session that is gone is unknown for an earlier instant; before its registration there was none."""
    issued = registry.issue(username="alice", application="Outlook")
    before = issued.session.created_at
    early = registry.tokens.explain(issued.session.id, at=before - 1)
    assert [(step.step, step.text) for step in early.steps[1:]] == [("session", "registered only later")]
    clock.forward(days=400)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 1
    assert registry.tokens.explain(issued.access_token).valid is False
    assert registry.tokens.explain(issued.access_token, at=before).valid is None


def test_explain_of_deadlines_that_a_use_or_a_changeover_moved(install, clock):
    """The idle deadline before a later use is not kept; shorter timeouts end a session at their own instant."""
    registry = install(PROFILES)
    issued = registry.issue(username="alice", application="Outlook")
    before = registry.now()
    clock.forward(hours=10)
    registry.verify(issued.access_token)
    then = steps_of(registry.tokens.explain(issued.session.id, at=before))
    assert then["idle deadline"].text == "not kept for that instant: the session was still active at a later use"
    clock.forward(hours=10)
    registry.profiles.apply(profiles.read(SHORTER.encode(), "profiles.yaml"), note=NOTE)
    ended = registry.tokens.explain(issued.session.id)
    assert (ended.valid, steps_of(ended)["idle deadline"].at) == (False, registry.now())


def test_explain_of_a_deadline_after_a_hard_end(registry, clock):
    """A session that a sign-out ended has that reason alone, also when its deadlines are past."""
    issued = registry.issue(username="alice", application="Outlook")
    registry.end([issued.session.id])
    clock.forward(days=4)
    steps = steps_of(registry.tokens.explain(issued.session.id))
    assert [name for name, step in steps.items() if step.result == "failed"] == ["hard end"]


def test_explain_of_a_refresh_token_before_it_was_used(install, clock):
    """No refresh token is an access token, also at an instant before the refresh."""
    registry = install(PROFILES)
    issued = registry.issue(username="alice", application="Outlook", profile="paired")
    before = registry.now()
    clock.forward(minutes=5)
    registry.refresh(issued.refresh_token)
    then = registry.tokens.explain(issued.refresh_token, at=before)
    assert (then.valid, steps_of(then)["access token"].text) == (False, "a refresh token, which only refresh accepts")


def test_explain_of_an_id_notes_conditions_that_depend_on_the_request(install):
    """Without a fact of the request they are not judged; with one they are."""
    registry = install(PROFILES)
    issued = registry.issue(username="alice", application="Outlook", profile="office", ip=OFFICE)
    explained = registry.tokens.explain(issued.session.id)
    assert (explained.valid, steps_of(explained)["conditions"].result) == (True, "noted")
    assert registry.tokens.explain(issued.session.id, ip="192.0.2.1").valid is False


def test_explain_of_a_user_who_was_disabled_later(registry, clock):
    """For an instant before, the user was disabled only later."""
    issued = registry.issue(username="alice", application="Outlook")
    before = registry.now()
    clock.forward(minutes=1)
    registry.users.disable("alice", note=NOTE)
    texts = [steps_of(registry.tokens.explain(issued.session.id, at=at))["user"].text for at in (before, None)]
    assert texts == ["disabled only later", "disabled"]
