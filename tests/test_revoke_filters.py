"""`revoke` takes the filters that `sessions list` has, and each means the same in both."""

import pytest

from authctl import Registry, SessionFilter
from tests.conftest import Authctl, every_command

OF_LISTS_ALONE = {
    "group_by",
    "wipe",
    "sort",
    "after",
    "limit",
    "count",
    "local",
    "exact",
    "pager",
    "output",
    "quiet",
    "help",
}
"""Options of a list that say how to show it; `--wipe` selects what is revoked already."""

FILTERS = [
    ("--user", "alice"),
    ("--user", "alice", "--user", "carol"),
    ("--application", "outlook"),
    ("--application", "outlook", "--application", "teams"),
    ("--device", "AL-PC"),
    ("--platform", "ios 26"),
    ("--profile", "default"),
    ("--search", "al-"),
    ("--search", "10.0.0.7"),
    ("--created-since", "1h"),
    ("--created-before", "2020-01-01"),
    ("--used-since", "2020-01-01"),
    ("--unused-for", "1h"),
    ("--expires-before", "4d"),
    ("--expires-before", "1h"),
    ("--status", "active"),
    ("--search", "pc", "--user", "bob", "--application", "outlook"),
]
SIGN_INS = [
    ("alice", "Outlook", "AL-PC", "Windows 11", "application"),
    ("alice", "Outlook Web App", "AL-PC", "Windows 11", "web"),
    ("bob", "Outlook", "BO-PC", "Windows 11", "application"),
    ("bob", "Teams", "BO-PHONE", "iOS 26", "application"),
    ("carol", "Teams", "CA-PHONE", "iOS 26", "web"),
]


@pytest.fixture
def signed_in(installed: Authctl) -> Authctl:
    """The command line on an installation with sessions of both kinds."""
    for number, (user, application, device, platform, kind) in enumerate(SIGN_INS):
        facts = ("--device", device, "--platform", platform, "--kind", kind, "--ip", f"10.0.0.{number + 5}")
        installed("tokens", "issue", "--user", user, "--application", application, *facts)
    return installed


def ids(authctl: Authctl, *options: str) -> list[str]:
    """What a list has."""
    return sorted(authctl("sessions", "list", *options, "-o", "id").out.split())


def would_revoke(authctl: Authctl, *options: str) -> list[str]:
    """What a revocation would cover."""
    ran = authctl("revoke", *options, "--dry-run", "-o", "json")
    assert ran.code in (0, 3), ran.err
    return sorted(one["id"] for one in ran.json["sessions"])


def test_every_filter_of_a_list_is_one_of_revoke():
    """None is missing, and a new one cannot be forgotten."""
    commands = every_command()
    listed, revoked = ({one.name for one in commands[path]} for path in (("sessions", "list"), ("revoke",)))
    assert listed - OF_LISTS_ALONE <= revoked
    assert len(listed - OF_LISTS_ALONE) == 16


@pytest.mark.parametrize("options", FILTERS, ids=" ".join)
@pytest.mark.parametrize("kind", ["application", "web", "all"])
def test_what_is_listed_is_what_is_revoked(signed_in: Authctl, options: tuple[str, ...], kind: str):
    """For each filter and each kind, a list and a revocation of the same words mean the same sessions."""
    listed = ids(signed_in, *options, "--kind", kind)
    assert would_revoke(signed_in, *options, "--kind", kind) == listed
    if kind == "all":
        assert would_revoke(signed_in, *options) == listed


def test_some_filter_selects_some_and_not_all(signed_in: Authctl):
    """The comparison above is of lists that differ."""
    found = [len(ids(signed_in, *options, "--kind", "all")) for options in FILTERS]
    assert {0, 1, 2, 3, 5} <= set(found)


def test_a_kind_alone_is_a_filter(signed_in: Authctl):
    """It asks first; `all` says nothing, so that nothing is meant."""
    assert signed_in("revoke", "--kind", "web", "--note", "no browsers").code == 4
    assert signed_in("revoke", "--kind", "all", "--note", "no browsers", "--yes").code == 2
    assert signed_in("revoke", "--all", "--kind", "web", "--note", "no browsers", "--yes").code == 2
    done = signed_in("revoke", "--kind", "web", "--note", "no browsers", "--yes", "-o", "json")
    assert (done.code, done.json["revoked"]) == (0, 2)
    assert signed_in("sessions", "list", "--status", "active", "--count").out == "3\n"


def test_without_a_kind_web_sessions_are_covered_and_said(signed_in: Authctl):
    """Of a user, of a filter, and in a dry run; not where a kind was asked for."""
    covered = "1 web session among them: without --kind every kind is covered"
    dry = signed_in("revoke", "--user", "alice", "--dry-run")
    assert covered in dry.err
    assert covered in signed_in("revoke", "--device", "AL-PC", "--dry-run").err
    assert "web session" not in signed_in("revoke", "--user", "bob", "--dry-run").err
    assert "web session" not in signed_in("revoke", "--user", "alice", "--kind", "all", "--dry-run").err
    asked = signed_in("revoke", "--application", "Outlook", "--application", "Teams", "--note", "retired", "--yes")
    assert "1 of them web sessions" in asked.err
    done = signed_in("revoke", "--user", "alice", "--note", "lost device")
    assert covered in done.err
    assert done.code == 0


def test_a_preview_of_one_kind_counts_no_other(signed_in: Authctl):
    """Web sessions beside what is meant are not said to be hit."""
    ran = signed_in("revoke", "--kind", "application", "--device", "AL-PC", "--note", "lost device", "--yes")
    assert ran.code == 0
    assert "0 of them web sessions" in ran.err


def test_sessions_to_wipe_are_no_target(signed_in: Authctl):
    """They are revoked already: exit 2, and why; with and without anything else."""
    for more in ((), ("--user", "alice"), ("--all", "--yes")):
        ran = signed_in("revoke", "--wipe", "pending", *more, "--note", "lost device")
        assert ran.code == 2
        assert "--wipe selects sessions that are revoked already" in ran.err
    assert signed_in("sessions", "list", "--status", "revoked", "--kind", "all", "--count").out == "0\n"


def test_the_filters_are_in_the_audit_log(signed_in: Authctl):
    """What was asked for, with times as instants."""
    signed_in("revoke", "--search", "PC", "--kind", "web", "--used-since", "2020-01-01", "--note", "why not", "--yes")
    (event,) = signed_in("audit", "list", "--action", "session.revoke", "-o", "json").json
    assert event["detail"]["selector"] == {"kind": "web", "search": "PC", "used_since": 1_577_836_800_000_000}


def test_the_first_instant_of_1970_is_a_criterion(registry: Registry):
    """It is 0, and stays a criterion beside others and alone: left out, a revocation would bind too much."""
    assert SessionFilter(username="alice", created_before=0).criteria() == {"username": "alice", "created_before": 0}
    registry.issue(username="alice", application="Teams")
    assert registry.revoke(SessionFilter(created_before=0), note="too old").selected == 0
    assert registry.revoke(SessionFilter(created_since=0), note="all").revoked == 1
