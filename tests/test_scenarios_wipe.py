"""Wipe: a revoked application is told to remove its data until it confirms; each scenario a test named after its row."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from authctl import (
    EventFilter,
    IntegrityFailure,
    InvalidInput,
    Registry,
    SessionFilter,
    Status,
    TokenInvalid,
    TokenReused,
    TokenRevoked,
    TokenUnknown,
    Wipe,
    profiles,
)
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, Clock, Install, Ran

TEXT = """\
version: 1
default_profile: phone
profiles:
  phone: {on_revoke: wipe}
  desktop: {}
  paired: {tokens: pair, on_revoke: wipe}
"""
SIGN_OUT = TEXT.replace("phone: {on_revoke: wipe}", "phone: {}")


@pytest.fixture
def wiping(install: Install) -> Registry:
    """A registry whose default profile orders a wipe."""
    return install(TEXT)


def refusal(registry: Registry, token: str, **facts: str) -> TokenInvalid:
    """How a token is refused."""
    with pytest.raises(TokenInvalid) as refused:
        registry.verify(token, **facts)
    return refused.value


def actions(registry: Registry, noun: str = "wipe") -> list[str]:
    """The audit actions of a noun, newest first."""
    return [e.action for e in registry.audit.events() if e.action.startswith(f"{noun}.")]


def test_m7_the_order_is_repeated_until_it_is_acknowledged(wiping: Registry, clock: Clock):
    """Refused and told to wipe at every contact; pending, delivered, acknowledged, each with its instant and one event."""
    issued = wiping.issue(username="alice", application="Outlook", device="AL-PHONE")
    token = issued.access_token
    assert wiping.session(issued.session.id).wipe is None
    with pytest.raises(TokenInvalid, match="no wipe was ordered"):
        wiping.tokens.wipe_done(token)
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    assert wiping.session(issued.session.id).wipe is Wipe.PENDING
    told = []
    for _ in range(3):
        clock.forward(hours=1)
        told.append(clock())
        answer = refusal(wiping, token)
        assert isinstance(answer, TokenRevoked)
        assert answer.action == "wipe"
        session = wiping.session(issued.session.id)
        assert (session.wipe, session.status) == (Wipe.DELIVERED, Status.REVOKED)
        assert session.wipe_delivered_at == told[0].timestamp() * 10**6
    clock.forward(hours=1)
    done = wiping.tokens.wipe_done(token, actor="outlook")
    assert (done.wipe, done.wipe_acknowledged_at) == (Wipe.ACKNOWLEDGED, clock().timestamp() * 10**6)
    clock.forward(hours=1)
    assert wiping.tokens.wipe_done(token) == wiping.session(issued.session.id)
    assert wiping.session(issued.session.id).wipe_acknowledged_at == done.wipe_acknowledged_at
    answer = refusal(wiping, token)
    assert (type(answer), answer.action) == (TokenRevoked, None)
    assert actions(wiping) == ["wipe.done", "wipe.delivered"]
    events = list(wiping.audit.events(EventFilter(session_id=issued.session.id)))
    assert [(e.action, e.actor) for e in events][:2] == [("wipe.done", "outlook"), ("wipe.delivered", "authctl")]
    assert all(json.loads(e.detail)["username_key"] == "alice" for e in events[:2])
    assert wiping.audit.verify()


def test_m7_acknowledged_before_it_was_seen_to_be_delivered(wiping: Registry):
    """Who says that it is done was told by then, whatever could be recorded."""
    issued = wiping.issue(username="alice", application="Outlook")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    done = wiping.tokens.wipe_done(issued.access_token)
    assert done.wipe is Wipe.ACKNOWLEDGED
    assert done.wipe_delivered_at == done.wipe_acknowledged_at


@pytest.mark.parametrize("how", ["id", "all", "token", "application"])
def test_m7_every_kind_of_revocation_orders_a_wipe(wiping: Registry, clock: Clock, how: str):
    """One, several, or everything, expired sessions included; a profile that only signs out orders none."""
    issued = wiping.issue(username="alice", application="Outlook")
    other = wiping.issue(username="alice", application="Outlook", profile="desktop")
    clock.forward(days=30)
    assert wiping.session(issued.session.id).status is Status.EXPIRED
    if how == "token":
        for one in (issued, other):
            wiping.tokens.revoke(one.access_token, note="lost phone")
    else:
        selection = {
            "id": SessionFilter(ids=(issued.session.id, other.session.id)),
            "all": SessionFilter(everything=True),
            "application": SessionFilter(application="outlook"),
        }[how]
        wiping.revoke(selection, note="lost phone")
    assert refusal(wiping, issued.access_token).action == "wipe"
    assert refusal(wiping, other.access_token).action is None
    assert [wiping.session(one.session.id).wipe for one in (issued, other)] == [Wipe.DELIVERED, None]
    with pytest.raises(TokenInvalid, match="no wipe was ordered"):
        wiping.tokens.wipe_done(other.access_token)


def test_m7_any_token_of_the_session_is_a_contact(wiping: Registry):
    """Spent ones, a refresh token at refresh and at verify: whoever holds one is the application that holds the data."""
    first = wiping.issue(username="alice", application="Outlook", profile="paired")
    second = wiping.refresh(first.refresh_token)
    assert isinstance(refusal(wiping, second.refresh_token), TokenUnknown)
    wiping.revoke(SessionFilter(everything=True), note="breach")
    for token in (first.refresh_token, second.refresh_token, second.access_token):
        with pytest.raises(TokenRevoked) as refused:
            wiping.refresh(token)
        assert refused.value.action == "wipe"
    assert wiping.session(first.session.id).wipe is Wipe.DELIVERED
    for token in (first.access_token, second.access_token, first.refresh_token, second.refresh_token):
        assert refusal(wiping, token).action == "wipe"
    assert actions(wiping) == ["wipe.delivered"]
    assert wiping.tokens.wipe_done(first.refresh_token).wipe is Wipe.ACKNOWLEDGED


def test_m7_a_reused_refresh_token_orders_a_wipe(wiping: Registry):
    """What authctl revokes by itself is wiped like what an administrator revokes."""
    first = wiping.issue(username="alice", application="Outlook", profile="paired")
    second = wiping.refresh(first.refresh_token)
    with pytest.raises(TokenReused) as refused:
        wiping.refresh(first.refresh_token)
    assert refused.value.action == "wipe"
    assert wiping.session(first.session.id).wipe is Wipe.DELIVERED
    assert actions(wiping, "token") + actions(wiping) == ["token.reuse", "token.refresh", "wipe.delivered"]
    assert refusal(wiping, second.access_token).action == "wipe"


def test_m7_another_application_is_not_told(wiping: Registry):
    """The order is for the application whose data it is; one that presents the token by mistake has nothing to remove."""
    issued = wiping.issue(username="alice", application="Outlook")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    assert refusal(wiping, issued.access_token, application="Teams").action is None
    assert wiping.session(issued.session.id).wipe is Wipe.PENDING
    assert refusal(wiping, issued.access_token, application="").action == "wipe"
    assert refusal(wiping, issued.access_token, application="OUTLOOK", ip="203.0.113.9").action == "wipe"
    assert wiping.session(issued.session.id).wipe is Wipe.DELIVERED


def test_m7_from_wherever_it_comes(install: Install):
    """A lost phone is told, though its token is bound to an address, and its network is one that a condition refuses."""
    text = "version: 1\nprofiles:\n  a: {on_revoke: wipe, bind: address, conditions: {networks: [10.0.0.0/8]}}\n"
    registry = install(text)
    issued = registry.issue(username="alice", application="Outlook", ip="10.1.2.3")
    assert refusal(registry, issued.access_token, ip="203.0.113.9").action is None
    registry.revoke(SessionFilter(username="alice"), note="lost phone")
    assert refusal(registry, issued.access_token, ip="203.0.113.9").action == "wipe"


def test_m7_what_the_profile_becomes(wiping: Registry, clock: Clock):
    """An applied profile decides for what is not revoked yet, expired or not; an order that was given stands."""
    early = wiping.issue(username="alice", application="Outlook")
    late = wiping.issue(username="bob", application="Outlook")
    clock.forward(days=30)
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    wiping.profiles.apply(profiles.read(SIGN_OUT.encode(), "p"), note="no wiping any more")
    wiping.revoke(SessionFilter(username="bob"), note="lost phone")
    assert [wiping.session(one.session.id).wipe for one in (early, late)] == [Wipe.PENDING, None]
    third = wiping.issue(username="carol", application="Outlook")
    clock.forward(days=30)
    wiping.profiles.apply(profiles.read(TEXT.encode(), "p"), note="wiping again")
    wiping.revoke(SessionFilter(username="carol"), note="lost phone")
    assert [wiping.session(one.session.id).wipe for one in (early, late, third)] == ["pending", None, "pending"]
    with pytest.raises(TokenInvalid, match="no wipe was ordered"):
        wiping.tokens.wipe_done(late.access_token)


def test_m7_lists_by_how_far_it_has_come(wiping: Registry, clock: Clock):
    """`wipe` means revoked sessions alone, in the order of those; with a status that is not, there are none."""
    issued = [wiping.issue(username=name, application="Outlook") for name in ("alice", "bob", "carol", "dora")]
    wiping.issue(username="erin", application="Outlook", profile="desktop")
    for one in issued[:3]:
        clock.forward(minutes=1)
        wiping.revoke(SessionFilter(ids=(one.session.id,)), note="lost phone")
    wiping.revoke(SessionFilter(username="erin"), note="left the company")
    refusal(wiping, issued[0].access_token)
    refusal(wiping, issued[1].access_token)
    wiping.tokens.wipe_done(issued[1].access_token)

    def names(**criteria: str) -> list[str]:
        listed = [s.username for s in wiping.sessions(SessionFilter(**criteria))]
        assert wiping.count(SessionFilter(**criteria)) == len(listed)
        return listed

    assert [names(wipe=state) for state in Wipe] == [["carol"], ["alice"], ["bob"]]
    clock.forward(minutes=1)
    wiping.issue(username="alice", application="Outlook")
    wiping.revoke(SessionFilter(everything=True), note="breach")
    assert names(wipe="pending") == ["alice", "dora", "carol"]
    assert names(wipe="pending", username="ALICE") == ["alice"]
    assert names(wipe="delivered", username="alice") == ["alice"]
    assert names(wipe="pending", status="active") == names(wipe="pending", status="expired") == []
    groups = {g.group: g.revoked for g in wiping.lists.groups("user", SessionFilter(wipe="pending"))}
    assert groups == {"alice": 1, "carol": 1, "dora": 1}
    with pytest.raises(InvalidInput, match="'begun' is none of: pending, delivered, acknowledged"):
        SessionFilter(wipe="begun")


@pytest.mark.in_a_file
def test_m7_what_cannot_be_recorded_is_told_all_the_same(wiping: Registry, home: Path):
    """While another process writes, the order goes out; a later contact records it."""
    issued = wiping.issue(username="alice", application="Outlook", profile="paired")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert refusal(wiping, issued.access_token).action == "wipe"
        with pytest.raises(TokenRevoked) as refused:
            wiping.refresh(issued.refresh_token)
        assert refused.value.action == "wipe"
        other.execute("ROLLBACK")
    assert wiping.session(issued.session.id).wipe is Wipe.PENDING
    assert refusal(wiping, issued.access_token).action == "wipe"
    assert wiping.session(issued.session.id).wipe is Wipe.DELIVERED


@pytest.mark.in_a_file
@pytest.mark.parametrize("damage", ["seq = 9223372036854775807", "hash = CAST(x'ff' AS TEXT)"])
def test_m7_a_damaged_audit_log_holds_no_order_back(wiping: Registry, home: Path, damage: str):
    """What cannot be recorded is told; the damage is somebody else's to find."""
    issued = wiping.issue(username="alice", application="Outlook")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    with closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as other:
        other.execute("DROP TRIGGER audit_events_no_update")
        other.execute(f"UPDATE audit_events SET {damage} WHERE seq = (SELECT max(seq) FROM audit_events)")
    assert refusal(wiping, issued.access_token).action == "wipe"
    with pytest.raises(IntegrityFailure):
        wiping.tokens.wipe_done(issued.access_token)


def test_m7_an_imported_session_has_no_token_to_be_told_by(wiping: Registry, tmp_path: Path):
    """So nothing is ordered for it, and it is not in the list of what is still to be wiped."""
    from authctl.import_mappings import read_mapping

    mapping = read_mapping(b"fields: {username: u, application: a, at: t}\nkey: [username]\n", "map.yaml")
    export = tmp_path / "export.jsonl"
    export.write_text('{"u": "alice", "a": "Outlook", "t": "2026-03-01T09:00:00Z"}\n')
    with export.open("rb") as file:
        assert wiping.imports.run(file, mapping).registered == 1
    for text in (SIGN_OUT, TEXT):
        wiping.profiles.apply(profiles.read(text.encode(), "p"), note="back and forth")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    assert wiping.count(SessionFilter(wipe="pending")) == 0
    assert next(wiping.sessions()).wipe is None


def test_cleanup_counts_what_was_never_acknowledged(wiping: Registry, clock: Clock):
    """It goes like any other and is counted; asked to, cleanup leaves it until it is acknowledged."""
    issued = [wiping.issue(username=name, application="Outlook") for name in ("alice", "bob", "carol")]
    wiping.revoke(SessionFilter(everything=True), note="breach")
    refusal(wiping, issued[0].access_token)
    wiping.tokens.wipe_done(issued[1].access_token)
    clock.forward(days=365)
    dry = wiping.cleanup.run(accept_clock_jump=True, dry_run=True)
    assert (dry.removed, dry.revoked, dry.unacknowledged) == (3, 3, 2)
    kept = wiping.cleanup.run(accept_clock_jump=True, keep_unacknowledged=True, dry_run=True)
    assert (kept.removed, kept.revoked, kept.unacknowledged) == (1, 1, 0)
    kept = wiping.cleanup.run(accept_clock_jump=True, keep_unacknowledged=True)
    assert (kept.removed, kept.unacknowledged) == (1, 0)
    assert refusal(wiping, issued[2].access_token).action == "wipe"
    assert wiping.tokens.wipe_done(issued[0].access_token).note == "breach"
    assert wiping.cleanup.run(accept_clock_jump=True, keep_unacknowledged=True).removed == 1
    last = wiping.cleanup.run(accept_clock_jump=True)
    assert (last.removed, last.unacknowledged) == (1, 1)
    assert json.loads(next(wiping.audit.events()).detail)["removed"] == {
        "expired": 0,
        "revoked": 1,
        "unacknowledged": 1,
    }


@pytest.fixture
def installed_wiping(authctl: Authctl, tmp_path: Path) -> Authctl:
    """The command line on an installation whose profile orders a wipe."""
    (tmp_path / "p.yaml").write_text(TEXT)
    assert authctl("init", "-q", "--profiles", str(tmp_path / "p.yaml")).code == 0
    return authctl


def token(ran: Ran) -> str:
    """The token that a command printed."""
    return ran.out.strip()


def test_m7_by_command(installed_wiping: Authctl):
    """What the application is told, as RFC 7662 has it; 5 until it is done and after; `wipe-done` is 0, and 5 where no wipe was ordered."""
    authctl = installed_wiping
    given = token(authctl("tokens", "issue", "--user", "alice", "--application", "Outlook"))
    refused = authctl("tokens", "wipe-done", stdin=given)
    assert (refused.code, refused.out) == (5, "")
    assert "no wipe was ordered" in refused.err
    assert authctl("revoke", "--user", "alice", "--note", "lost phone").code == 0
    (pending,) = authctl("sessions", "list", "--wipe", "pending", "-o", "json").json
    assert pending["wipe"] == "pending"
    for _ in range(2):
        answer = authctl("tokens", "verify", "-o", "json", stdin=given)
        assert (answer.code, answer.out) == (5, '{"active": false, "action": "wipe"}\n')
    said = authctl("tokens", "verify", stdin=given)
    assert (said.code, said.out) == (5, "")
    assert "the session was revoked, and the application must remove its data" in said.err
    header, row = (line.split("\t") for line in authctl("sessions", "list", "--wipe", "delivered").out.splitlines())
    assert header == ["id", "username", "application", "device", "wipe", "revoked_at", "revoked_by", "note"]
    assert (row[1], row[4], row[7]) == ("alice", "delivered", "lost phone")
    for _ in range(2):
        done = authctl("tokens", "wipe-done", "-o", "json", stdin=given)
        assert (done.code, done.json["wipe"], done.json["status"]) == (0, "acknowledged", "revoked")
    assert authctl("tokens", "verify", "-o", "json", stdin=given).out == '{"active": false}\n'
    assert authctl("sessions", "list", "--wipe", "acknowledged", "--count").out == "1\n"
    shown = authctl("sessions", "show", pending["id"], "-o", "json").json
    assert (shown["wipe"], shown["wipe_on_revoke"], shown["wipe_delivered_at"] is None) == ("acknowledged", True, False)
    assert authctl("tokens", "wipe-done", stdin="acat_nothing").code == 5


def test_m7_a_refresh_is_told_by_command(installed_wiping: Authctl):
    """As JSON the order is on standard output; else in words."""
    authctl = installed_wiping
    pair = authctl("tokens", "issue", "--user", "a", "--application", "O", "--profile", "paired", "-o", "json").json
    assert authctl("revoke", "--all", "--yes", "--note", "breach").code == 0
    answer = authctl("tokens", "refresh", "-o", "json", stdin=pair["refresh_token"])
    assert (answer.code, answer.out) == (5, '{"active": false, "action": "wipe"}\n')
    said = authctl("tokens", "refresh", stdin=pair["refresh_token"])
    assert (said.code, said.out) == (5, "")
    assert "must remove its data" in said.err


def test_cleanup_says_what_was_never_acknowledged(wiping: Registry, authctl: Authctl):
    """In words and as a record."""
    wiping.issue(username="alice", application="Outlook")
    wiping.revoke(SessionFilter(username="alice"), note="lost phone")
    kept = authctl("cleanup", "--accept-clock-jump", "--keep-unacknowledged", "-o", "json")
    assert (kept.code, kept.json["removed"], kept.json["unacknowledged"]) == (0, 0, 0)
    removed = authctl("cleanup", "--accept-clock-jump", "-o", "json")
    assert (removed.json["removed"], removed.json["unacknowledged"]) == (1, 1)
    assert "1 revoked; 1 never acknowledged their wipe)" in removed.err
