"""Real exports, with the mappings that the documentation ships. They do not come with the project."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import EXPORTS, Authctl

pytestmark = pytest.mark.slow

WINDOWS = ("windows_logon/security_4624_4634.jsonl", "windows-logon")
OKTA = ("panther_samples/okta_systemlog.jsonl", "okta")
ONEPASSWORD = ("panther_samples/onepassword_signin.jsonl", "1password")
AWS = ("aws_cloudtrail/sts_signin_events.jsonl", "cloudtrail")
COUNTS = {
    AWS: {"read": 67, "used": 36, "skipped": 31, "duplicates": 0, "rejected": 0, "registered": 36},
    WINDOWS: {"read": 318, "used": 305, "skipped": 13, "duplicates": 0, "rejected": 0, "registered": 196},
    OKTA: {"read": 66, "used": 1, "skipped": 63, "duplicates": 0, "rejected": 2, "registered": 1},
    ONEPASSWORD: {"read": 2, "used": 2, "skipped": 0, "duplicates": 0, "rejected": 0, "registered": 2},
}
TAKEN_AT = "2026-11-28T15:00:00Z"
LISTINGS = [
    (
        "jupyterhub",
        ("jupyterhub5-tokens-alice.json", "jupyterhub5-tokens-bob.json"),
        (4, 4, 0, 0),
        {"alice": 3, "bob": 1},
    ),
    (
        "synapse-devices",
        ("synapse-devices-alice.json", "synapse-devices-bob.json"),
        (5, 5, 0, 0),
        {"@alice:example.test": 3, "@bob:example.test": 2},
    ),
    ("synapse-whois", ("synapse-whois-alice.json",), (2, 2, 0, 0), {"@alice:example.test": 1}),
    ("django-knox", ("django-knox-natural.json",), (2, 2, 0, 0), {"alice": 1, "bob": 1}),
    ("django-oauth-access", ("django-oauth2provider-natural.json",), (5, 1, 4, 0), {"alice": 1}),
    ("django-oauth-refresh", ("django-oauth2provider-natural.json",), (5, 4, 1, 0), {"alice": 3, "bob": 1}),
    ("samba", ("samba-smbstatus.json",), (3, 3, 0, 0), {"games": 2, "news": 1}),
    ("samba", ("samba-smbstatus.json", "samba-smbstatus-after.json"), (5, 5, 0, 0), {"games": 2, "news": 1}),
    ("samba", ("samba-smbstatus-none.json",), (0, 0, 0, 0), {}),
    (
        "ejabberd",
        ("ejabberd-connected_users_info.json",),
        (3, 3, 0, 0),
        {"alice@example.test": 2, "bob@example.test": 1},
    ),
    (
        "ejabberd-text",
        ("ejabberd-connected_users_info.txt",),
        (3, 3, 0, 0),
        {"alice@example.test": 2, "bob@example.test": 1},
    ),
    ("dovecot", ("dovecot-who-1.json",), (4, 4, 0, 0), {"alice": 1, "bob": 1}),
    ("dovecot-tab", ("dovecot-who.tab",), (2, 2, 0, 0), {"alice": 1, "bob": 1}),
    ("lslogins", ("lslogins-raw.txt",), (3, 2, 1, 0), {"games": 1, "news": 1}),
]
"""Mapping, files, rows that are read, used, skipped and rejected, and the sessions of each user."""


def paths(export: tuple[str, str]) -> tuple[Path, str]:
    """An export and the name of its mapping; the test is skipped, visibly, where the export is absent."""
    file = EXPORTS / export[0]
    if not file.exists():
        pytest.skip(f"the real export {export[0]} is not here")
    return file, export[1]


def load(authctl: Authctl, file: Path, fields: str, *options: str):
    """Import a file through the command."""
    ran = authctl("sessions", "import", str(file), "--map", fields, "-o", "json", *options)
    assert ran.code == 0, ran.err
    return ran.json


def content(authctl: Authctl) -> list[dict]:
    """Everything registered, ids apart."""
    found = authctl("sessions", "list", "--kind", "all", "-o", "json").json
    return sorted(({**one, "id": None} for one in found), key=str)


@pytest.mark.parametrize("export", COUNTS, ids=lambda export: export[1])
def test_counts(installed: Authctl, export: tuple[str, str]):
    """So many rows used, skipped, rejected; the second time nothing is new."""
    file, fields = paths(export)
    outcome = load(installed, file, fields)
    assert {name: outcome[name] for name in COUNTS[export]} == COUNTS[export]
    again = load(installed, file, fields)
    assert (again["registered"], again["updated"], again["unchanged"]) == (0, 0, outcome["registered"])


@pytest.mark.parametrize("export", COUNTS, ids=lambda export: export[1])
def test_order_and_cuts_do_not_matter(
    authctl: Authctl, tmp_path: Path, home: Path, monkeypatch, export: tuple[str, str]
):
    """Shuffled, and cut into two overlapping files in either order, the registry is the same."""
    file, fields = paths(export)
    rows = file.read_bytes().splitlines(keepends=True)
    shuffled = random.Random(7).sample(rows, len(rows))
    half = len(rows) // 2
    orders = {"whole": [rows], "shuffled": [shuffled], "cut": [rows[half - 9 :], rows[: half + 9]]}
    found = {}
    for name, parts in orders.items():
        monkeypatch.setenv("AUTHCTL_HOME", str(tmp_path / name))
        authctl("init")
        for number, part in enumerate(parts):
            piece = tmp_path / f"{name}{number}.jsonl"
            piece.write_bytes(b"".join(one if one.endswith(b"\n") else one + b"\n" for one in part))
            load(authctl, piece, fields, "--allow-empty")
        found[name] = content(authctl)
    assert found["shuffled"] == found["whole"]
    assert found["cut"] == found["whole"]


@pytest.mark.parametrize(("name", "files", "counts", "users"), LISTINGS, ids=lambda part: str(part)[:40])
def test_a_listing_of_a_real_system(
    installed: Authctl, name: str, files: tuple[str, ...], counts: tuple[int, ...], users: dict[str, int]
):
    """So many rows are used, and each user has so many sessions; the second time nothing is new."""
    found = [str(paths((f"registries/{file}", name))[0]) for file in files]
    command = ("sessions", "import", *found, "--map", name, "--taken-at", TAKEN_AT, "--allow-empty", "-o", "json")
    outcome = installed(*command).json
    assert tuple(outcome[field] for field in ("read", "used", "skipped", "rejected")) == counts
    listed = installed("sessions", "list", "-o", "json").json
    assert dict(Counter(one["username"] for one in listed)) == users
    again = installed(*command).json
    assert (again["registered"], again["updated"], again["unchanged"]) == (0, 0, sum(users.values()))


def test_a_session_that_the_next_complete_listing_does_not_have(installed: Authctl):
    """Samba before and after a user signed out: that one session ends, at the time of the listing."""
    before, after = (str(paths((f"registries/samba-smbstatus{part}.json", "samba"))[0]) for part in ("", "-after"))
    assert installed("sessions", "import", before, "--map", "samba").code == 0
    ran = installed("sessions", "import", after, "--map", "samba", "--complete", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    (ended,) = installed("sessions", "list", "--status", "expired", "-o", "json").json
    assert (ended["username"], ended["ended_reason"]) == ("games", "not_listed")
    assert ended["ended_at"].startswith("2026-11-28T14:39:38.359290")


def test_blank_detail_stays_blank(installed: Authctl):
    """Where Windows logged `-`, the field is null: nothing is invented."""
    load(installed, *paths(WINDOWS))
    found = installed("sessions", "list", "-o", "json").json
    assert sum(one["ip"] is None for one in found) == 100
    assert not [one for one in found if "-" in one.values() or "" in one.values()]
    assert all(one["platform"] is None and one["application_version"] is None for one in found)


def test_an_expiry_of_its_own(installed: Authctl):
    """Assumed roles end when their credentials do, whatever the profile says."""
    load(installed, *paths(AWS))
    found = installed("sessions", "list", "-o", "json").json
    assert {one["ended_reason"] for one in found} == {"lifetime"}
    assert {one["created_at"]: one["expires_at"] for one in found}["2023-07-10T11:54:47Z"] == "2023-07-10T12:09:47Z"


def test_the_main_job_on_it(installed: Authctl):
    """List by status, search, revoke with a note, show, and clean up, on rows that nobody here wrote."""
    load(installed, *paths(WINDOWS))
    load(installed, *paths(ONEPASSWORD))
    assert installed("sessions", "list", "--status", "active", "--count").out == "0\n"
    assert installed("sessions", "list", "--status", "expired", "--count").out == "198\n"
    assert installed("sessions", "list", "--search", "healthmailbox", "--count").out == "5\n"
    revoked = installed("revoke", "--user", "mordordc$", "--note", "domain controller rebuilt", "-o", "json").json
    assert (revoked["revoked"], len(revoked["sessions"])) == (104, 104)
    one = installed("sessions", "show", revoked["sessions"][0]["id"], "-o", "json").json
    assert (one["status"], one["note"], one["username"]) == ("revoked", "domain controller rebuilt", "MORDORDC$")
    assert installed("sessions", "list", "--search", "rebuilt", "--count").out == "104\n"
    cleaned = installed("cleanup", "-o", "json").json
    assert (cleaned["removed"], cleaned["expired"], cleaned["revoked"]) == (94, 94, 0)
    assert installed("sessions", "list", "--count").out == "104\n"
    assert installed("audit", "verify").code == 0
