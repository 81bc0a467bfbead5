"""Conditional access: from where and with what a session may be used; each scenario a test named after its row."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import ConditionNotMet, IntegrityFailure, Refused, Registry, SessionFilter, Status, profiles
from authctl.cli.exit_codes import exit_code_of
from authctl.conditions import is_at_least, read_network, unmet
from authctl.errors import InvalidInput
from authctl.model import Caller, Conditions
from authctl.store.sqlite.library import sqlite3
from tests.conftest import Authctl, Clock, Install

TEXT = """\
version: 1
default_profile: strict
profiles:
  strict:
    conditions:
      networks: [10.0.0.0/8, "2001:db8::/32"]
      platforms: ["Windows *", iOS]
      minimum_versions: {Outlook: "16.0.5000"}
      blocked_applications: [POP3, "IMAP*"]
  paired:
    tokens: pair
    refresh: {grace: 30s}
    conditions: {networks: [10.0.0.0/8]}
  open: {}
"""
MET = {"platform": "Windows 11", "ip": "10.1.2.3", "application_version": "16.0.6000"}
UNMET = {
    "networks": {"ip": "203.0.113.9"},
    "platforms": {"platform": "Windows"},
    "minimum_versions": {"application_version": "16.0.4999"},
}


@pytest.fixture
def strict(install: Install) -> Registry:
    """A registry whose default profile has every condition."""
    return install(TEXT)


def issue(registry: Registry, application: str = "Outlook", **facts: str | None):
    """Sign in, by default with every condition met."""
    return registry.issue(username="alice", application=application, **{**MET, **facts})


@pytest.mark.parametrize("rule", UNMET)
@pytest.mark.parametrize("given", ["another", None])
def test_e9_refused_with_the_rule_s_name_and_good_again_when_it_is_met(
    strict: Registry, clock: Clock, rule: str, given: str | None
):
    """At issue and verify; nothing is revoked, no use is recorded. A fact that is not given meets nothing."""
    facts = UNMET[rule] if given else dict.fromkeys(UNMET[rule])
    with pytest.raises(Refused, match=f"refused by {rule}, a condition of profile 'strict'"):
        issue(strict, **facts)
    assert strict.count() == 0
    issued = issue(strict)
    clock.forward(hours=1)
    with pytest.raises(ConditionNotMet, match=f"refused by {rule}, a condition of profile 'strict'") as refused:
        strict.verify(issued.access_token, **{**MET, **facts})
    assert (refused.value.rule, exit_code_of(refused.type), refused.value.action) == (rule, 5, None)
    session = strict.session(issued.session.id)
    assert (session.status, session.last_used_at) == (Status.ACTIVE, session.created_at)
    assert strict.verify(issued.access_token, **MET).last_used_at > session.last_used_at


@pytest.mark.parametrize("application", ["POP3", "pop3", "imap", "IMAP4 over TLS"])
def test_e9_a_blocked_application_is_refused(strict: Registry, application: str):
    """At the sign-in, and those that signed in before the rule, too."""
    with pytest.raises(Refused, match="refused by blocked_applications"):
        issue(strict, application)
    strict.profiles.apply(profiles.read(TEXT.replace("IMAP", "X").replace("POP3", "Y").encode(), "p"), note="none yet")
    token = issue(strict, application).access_token
    assert strict.verify(token, **MET)
    strict.profiles.apply(profiles.read(TEXT.encode(), "p"), note="blocked")
    with pytest.raises(ConditionNotMet) as refused:
        strict.verify(token, **MET)
    assert refused.value.rule == "blocked_applications"


def test_e9_at_refresh(strict: Registry):
    """Refused, nothing rotated, nothing revoked, spent tokens included; the same token is exchanged once it is met."""
    first = issue(strict, profile="paired")
    with pytest.raises(ConditionNotMet) as refused:
        strict.refresh(first.refresh_token, ip="203.0.113.9")
    assert refused.value.rule == "networks"
    second = strict.refresh(first.refresh_token, ip="10.9.9.9")
    with pytest.raises(ConditionNotMet):
        strict.refresh(first.refresh_token, ip="203.0.113.9")
    with pytest.raises(ConditionNotMet):
        strict.refresh(second.refresh_token)
    assert strict.session(first.session.id).status is Status.ACTIVE
    assert strict.refresh(second.refresh_token, ip="10.9.9.9").session.generation == 2


def test_e9_a_new_rule_acts_at_once_and_a_withdrawn_one_no_longer(strict: Registry, clock: Clock):
    """On every session the profile has, whenever it signed in; and it goes when the rule goes."""
    without = TEXT.replace("  open: {}", "  open: {}").replace("    conditions: {networks: [10.0.0.0/8]}\n", "")
    strict.profiles.apply(profiles.read(without.encode(), "p"), note="no rule for pairs")
    pair = strict.issue(username="bob", application="Outlook", profile="paired")
    single = strict.issue(username="bob", application="Outlook", profile="open")
    assert strict.verify(pair.access_token)
    strict.profiles.apply(profiles.read(TEXT.encode(), "p"), note="the office only")
    with pytest.raises(ConditionNotMet):
        strict.verify(pair.access_token)
    assert strict.verify(pair.access_token, ip="10.0.0.1")
    assert strict.verify(single.access_token)
    assert strict.session(pair.session.id).status is Status.ACTIVE
    clock.forward(minutes=30)
    strict.profiles.apply(profiles.read(without.encode(), "p"), note="from anywhere again")
    assert strict.verify(pair.access_token)
    tighter = TEXT.replace("networks: [10.0.0.0/8]}", "networks: [10.0.0.0/24]}")
    for text in (TEXT, tighter):
        strict.profiles.apply(profiles.read(text.encode(), "p"), note="tighter and tighter")
    with pytest.raises(ConditionNotMet):
        strict.verify(pair.access_token, ip="10.0.1.1")


def test_e9_a_withdrawn_profile_s_conditions_go_on(strict: Registry):
    """A profile that left the file rules the sessions it has, conditions and all."""
    issued = issue(strict)
    strict.profiles.apply(profiles.read(b"version: 1\nprofiles: {other: {}}\n", "p"), note="renamed")
    with pytest.raises(ConditionNotMet):
        strict.verify(issued.access_token)
    assert strict.verify(issued.access_token, **MET)


def test_e9_what_ended_is_ended_first(strict: Registry):
    """A revoked session is revoked, whatever the conditions; another application's token is told no rule."""
    issued = issue(strict)
    strict.revoke(SessionFilter(username="alice"), note="lost device")
    with pytest.raises(Exception, match="the session was revoked"):
        strict.verify(issued.access_token)
    other = issue(strict)
    with pytest.raises(Exception, match="belongs to another application"):
        strict.verify(other.access_token, application="Teams")


def test_a_registry_without_the_session_s_profile_fails_closed(strict: Registry):
    """A conditioned session whose profile is gone is not let in without its conditions."""
    issued = issue(strict)
    document = profiles.read(b"version: 1\nprofiles: {other: {}}\n", "p")
    with strict._installation.store.change() as tx:
        tx.save_profiles(document)
    with pytest.raises(IntegrityFailure):
        strict.verify(issued.access_token, **MET)


ADDRESSES = [
    ("10.0.0.0/8", "10.255.255.255", True),
    ("10.0.0.0/8", "11.0.0.0", False),
    ("10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("10.0.0.0/8", "::FFFF:0a01:0203", True),
    ("10.0.0.0/8", "::10.1.2.3", False),
    ("10.0.0.0/8", " 10.1.2.3 ", True),
    ("10.0.0.0/8", "010.1.2.3", False),
    ("10.0.0.0/8", "10.1.2.3:443", False),
    ("10.0.0.0/8", "10.1.2", False),
    ("10.0.0.0/8", "10.1.2.3, 203.0.113.9", False),
    ("10.0.0.0/8", "", False),
    ("10.0.0.0/8", "localhost", False),
    ("2001:db8::/32", "2001:DB8:0:0::1", True),
    ("2001:db8::/32", "2001:db9::1", False),
    ("2001:db8::/32", "[2001:db8::1]", False),
    ("fe80::/10", "fe80::1%eth0", True),
    ("::ffff:10.0.0.0/104", "10.1.2.3", True),
    ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", True),
    ("::ffff:10.0.0.0/104", "11.1.2.3", False),
    ("::ffff:0:0/96", "203.0.113.9", True),
    ("0.0.0.0/0", "203.0.113.9", True),
    ("0.0.0.0/0", "2001:db8::1", False),
    ("::/0", "203.0.113.9", False),
    ("10.1.2.3", "10.1.2.3", True),
    ("10.1.2.3", "10.1.2.4", False),
]


@pytest.mark.parametrize(("network", "address", "within"), ADDRESSES)
def test_e9_networks_of_both_families(network: str, address: str, within: bool):
    """An IPv4-mapped address is the IPv4 address, in the fact and in the rule; what is no address is in no network."""
    found = unmet(Conditions(networks=(network,)), Caller("Outlook", None, None, address))
    assert (found is None) == within


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_e9_a_network_is_its_first_bits(base, length: int, address):
    """Of two addresses, one is in the network of the other where they share so many first bits; mapped or not."""
    shift = 32 - length
    network = f"{(int(base) >> shift << shift) >> 24 & 255}"
    whole = int(base) >> shift << shift
    network = ".".join(str(whole >> part & 255) for part in (24, 16, 8, 0)) + f"/{length}"
    within = int(base) >> shift == int(address) >> shift
    for shown in (str(address), f"::ffff:{address}"):
        for written in (network, f"::ffff:{network.split('/')[0]}/{96 + length}"):
            assert (unmet(Conditions(networks=(written,)), Caller(None, None, None, shown)) is None) == within


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.*", "office", "", "2001:db8::1/32", "10/8"])
def test_e9_what_is_no_network(text: str):
    """Bits beyond the length included: that was meant as an address, or another network."""
    with pytest.raises(InvalidInput, match="is not a network"):
        read_network(text)


VERSIONS = [
    ("16.0.5000", "16.0.5000", True),
    ("16.0.5000.0", "16.0.5000", True),
    ("16.0.10", "16.0.9", True),
    ("16.0.9", "16.0.10", False),
    ("16", "16.0.0", True),
    ("v16.1", "16.0", True),
    (" 16.1 ", "16.0", True),
    ("16.0rc1", "16.0", False),
    ("16.0-beta", "16.0", False),
    ("16.0.post1", "16.0", True),
    ("15.99999999999999999999", "16", False),
    ("16.0 (Build 5000)", "16.0", False),
    ("Outlook 16.0", "16.0", False),
    ("16,1", "16.0", False),
    ("16.0.", "15", False),
    ("१६.०", "1", False),
    ("1" * 5000, "1", False),
    ("1." + "2" * 5000, "1", False),
    ("", "1", False),
    (None, "0", False),
]


@pytest.mark.parametrize(("version", "minimum", "met"), VERSIONS)
def test_e9_versions_by_their_numbers(version: str | None, minimum: str, met: bool):
    """Not by their letters; a version that cannot be read, or is not given, is not known to be new enough."""
    assert is_at_least(version, minimum) == met
    seen = Caller("Outlook", version, None, None)
    assert (unmet(Conditions(minimum_versions={"outlook": minimum}), seen) is None) == met


def test_e9_the_most_specific_name_says_the_minimum():
    """A name without `*` before a pattern, and no minimum for applications that none fits."""
    rules = Conditions(minimum_versions={"Outlook*": "16.0", "Outlook Mobile": "4.2", "*": "1.0"})

    def met(application: str, version: str) -> bool:
        return unmet(rules, Caller(application, version, None, None)) is None

    assert met("outlook mobile", "4.2")
    assert not met("outlook mobile", "4.1")
    assert not met("outlook for mac", "15.9")
    assert met("teams", "1.0")
    assert not met("teams", "0.9")
    assert unmet(Conditions(minimum_versions={"Outlook": "16"}), Caller("teams", None, None, None)) is None
    for equals in ({"Out*": "9.0", "*ook": "10.0"}, {"*ook": "10.0", "Out*": "9.0"}):
        assert unmet(Conditions(minimum_versions=equals), Caller("Outlook", "9.5", None, None)) is not None
        assert unmet(Conditions(minimum_versions=equals), Caller("Outlook", "10.0", None, None)) is None


@pytest.mark.parametrize("sign", ["\u200b", "\u00ad", "\u200d", "\x01", "\u3164", "\ufe0f"])
def test_e9_an_invisible_sign_makes_no_other_application(strict: Registry, sign: str):
    """What a person reads as POP3 is blocked as POP3, and has the minimum of what it reads as."""
    for name in (f"POP3{sign}", f"P{sign}OP3", f"{sign}IMAP"):
        with pytest.raises(Refused, match="refused by blocked_applications"):
            issue(strict, name)
    with pytest.raises(Refused, match="refused by minimum_versions"):
        issue(strict, f"Out{sign}look", application_version="1")


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_e9_a_blank_fact_is_none(install: Install, blank: str):
    """It meets nothing, not even a rule that anything meets."""
    registry = install('version: 1\nprofiles: {a: {conditions: {platforms: ["*"]}}}\n')
    with pytest.raises(Refused, match="the platform is not given"):
        registry.issue(username="alice", application="Outlook", platform=blank)
    issued = registry.issue(username="alice", application="Outlook", platform="iOS")
    with pytest.raises(ConditionNotMet, match="the platform is not given"):
        registry.verify(issued.access_token, platform=blank)


@pytest.mark.in_a_file
@pytest.mark.parametrize(
    "damage", ['{"networks": [5]}', '{"networks": ["zz"]}', '{"minimum_versions": ["x"]}', '{"platforms": 5}', '["x"]']
)
def test_damaged_conditions_fail_closed(strict: Registry, home: Path, damage: str):
    """Conditions that make no sense are damage, whatever the facts."""
    issued = issue(strict)
    with closing(sqlite3.connect(home / "registry.db")) as other, other:
        other.execute(
            "UPDATE registry SET profiles = json_set(profiles, '$.profiles.strict.conditions', json(?))", (damage,)
        )
    with pytest.raises(IntegrityFailure):
        strict.verify(issued.access_token, **MET)


def test_e9_platforms_are_literal_but_for_the_star():
    """`Windows *` is any Windows with a version; case and width do not matter, and no other sign means anything."""
    rules = Conditions(platforms=("Windows *", "iOS", "a.c"))

    def met(platform: str | None) -> bool:
        return unmet(rules, Caller(None, None, platform, None)) is None

    assert met("windows 11")
    assert met("ＷＩＮＤＯＷＳ 11")
    assert met("IOS")
    assert not any(met(other) for other in ("Windows", "Windows11", "iOS 26", "abc", "Linux", "", None))


FAULTS = {
    "networks: [10.0.0.1/8]": "3:31: 'networks': '10.0.0.1/8' is not a network such as 10.0.0.0/8 or 2001:db8::/32",
    "networks: []": "3:30: 'networks' must not be empty",
    "networks: 10.0.0.0/8": "3:30: 'networks' must be a list",
    'platforms: [" "]': "3:32: 'platforms': is blank",
    "minimum_versions: {Outlook: newest}": "3:48: 'Outlook': 'newest' is not a version such as 16.0.5000",
    "minimum_versions: {Outlook: 16}": "3:48: 'Outlook' must be text: put it in quotes",
    'minimum_versions: {Outlook: "16", OUTLOOK: "17"}': "3:19: minimum_versions has 'Outlook' and 'OUTLOOK', which are the same",
    "blocked: [POP3]": "3:20: unknown field 'blocked'",
}


@pytest.mark.parametrize("written", FAULTS)
def test_faults_of_conditions_have_their_place(written: str):
    """Each at its line and column, and nothing beside it."""
    with pytest.raises(InvalidInput) as refused:
        profiles.read(f"version: 1\nprofiles:\n  a: {{conditions: {{{written}}}}}\n".encode(), "p.yaml")
    assert refused.value.message == f"p.yaml:{FAULTS[written]}"


@pytest.mark.parametrize("written", ["conditions:", "conditions: ~", "cache:", "authenticator:", "cache: {}"])
def test_a_field_that_was_never_filled_in_is_a_fault(written: str):
    """A blank condition must not pass for none."""
    with pytest.raises(InvalidInput):
        profiles.read(f"version: 1\nprofiles:\n  a:\n    {written}\n".encode(), "p.yaml")


def test_e9_by_command(authctl: Authctl, tmp_path):
    """4 at issue, 5 at verify and refresh, naming the rule; the answer of RFC 7662 gives no reason."""
    (tmp_path / "p.yaml").write_text(TEXT)
    assert authctl("init", "-q", "--profiles", str(tmp_path / "p.yaml")).code == 0
    facts = ("--platform", "iOS", "--ip", "10.1.2.3", "--application-version", "16.0.5000")
    who = ("--user", "alice", "--application", "Outlook")
    refused = authctl("tokens", "issue", *who, *facts[:4])
    assert (refused.code, refused.out) == (4, "")
    assert "refused by minimum_versions, a condition of profile 'strict': the version is not given" in refused.err
    given = authctl("tokens", "issue", *who, *facts).out
    assert authctl("tokens", "verify", *facts, stdin=given).code == 0
    answer = authctl("tokens", "verify", *facts[:3], "203.0.113.9", *facts[4:], "-o", "json", stdin=given)
    assert (answer.code, answer.out) == (5, '{"active": false}\n')
    assert "refused by networks, a condition of profile 'strict': the address '203.0.113.9' is in none" in answer.err
    pair = authctl("tokens", "issue", *who, *facts, "--profile", "paired", "-o", "json").json["refresh_token"]
    assert authctl("tokens", "refresh", "--ip", "203.0.113.9", stdin=pair).code == 5
    assert authctl("tokens", "refresh", "--ip", "10.0.0.9", stdin=pair).code == 0
    shown = authctl("profiles", "show", "strict", "-o", "json").json
    assert shown["conditions"]["minimum_versions"] == {"Outlook": "16.0.5000"}
    assert authctl("sessions", "list", "-o", "json").json[1]["status"] == "active"
    assert json.loads(
        authctl("sessions", "show", authctl("sessions", "list", "-o", "id").out.split()[0], "-o", "json").out
    )["has_conditions"]


def test_what_a_new_rule_cuts_off_is_said_before(authctl: Authctl, home: Path, tmp_path: Path):
    """diff, a dry run and the operation count active sessions whose sign-in does not meet conditions that are new, web ones included."""
    (tmp_path / "old.yaml").write_text(TEXT)
    assert authctl("init", "-q", "--profiles", str(tmp_path / "old.yaml")).code == 0
    with Registry.open(home) as strict:
        for application in ("POP3", "Outlook", "POP3"):
            strict.issue(username="alice", application=application, profile="open", kind="web")
        strict.issue(username="alice", application="POP3", profile="open", ip="10.1.1.1")
        strict.end([strict.issue(username="bob", application="POP3", profile="open").session.id])
        (tmp_path / "new.yaml").write_text(
            TEXT.replace("  open: {}", "  open: {conditions: {blocked_applications: [POP3]}}")
        )
        wanted = profiles.read((tmp_path / "new.yaml").read_bytes(), "p")
        assert {one.name: one.unmet_conditions for one in strict.profiles.diff(wanted)} == {
            "strict": 0,
            "paired": 0,
            "open": 3,
        }
        dry = authctl("profiles", "apply", str(tmp_path / "new.yaml"), "--dry-run", "-o", "json")
        assert (dry.code, dry.json["unmet_conditions"]) == (0, 3)
        done = authctl("profiles", "apply", str(tmp_path / "new.yaml"), "--note", "no POP3 from today", "-o", "json")
        assert (done.code, done.json["unmet_conditions"], done.json["ended"]) == (0, 3, 0)
        assert "3 whose sign-in does not meet new conditions" in done.err
        assert {one.unmet_conditions for one in strict.profiles.diff(wanted)} == {0}
        assert strict.count(SessionFilter(status="active")) == 4
        strict.close()
