"""`audit export`: every event once, oldest first, in the shape that each format requires."""

import itertools
import json

import pytest

from authctl import Registry, SessionFilter
from authctl.model.audit import ACTIONS
from tests.conftest import Authctl, Clock, unseen


@pytest.fixture
def eventful(registry: Registry, clock: Clock) -> Registry:
    """A registry with events of one user, of several, and of none."""
    ids = [
        registry.issue(username=user, application="Outlook").session.id for user in ("alice", "bob", "carol", "dora")
    ]
    clock.forward(seconds=1.5)
    registry.revoke(SessionFilter(username="alice"), note="lost device", actor="erin")
    registry.revoke(SessionFilter(ids=tuple(ids[1:3])), note="drill")
    registry.end([ids[3]])
    registry.users.disable("alice", note="left the company")
    registry.users.enable("alice", note="back again")
    registry.users.password_changed("alice", note="reset at the desk")
    registry.keys.rotate(note="yearly rotation")
    return registry


def exported(authctl: Authctl, *arguments: str) -> list[dict]:
    """The exported lines."""
    ran = authctl("audit", "export", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return [json.loads(line) for line in ran.out.splitlines()]


def test_jsonl_has_every_event_oldest_first_and_goes_on(eventful: Registry, authctl: Authctl):
    """The same records as `audit list`, whose hashes can be checked elsewhere."""
    listed = [json.loads(line) for line in authctl("audit", "list", "-o", "ndjson").out.splitlines()]
    lines = exported(authctl)
    assert lines == listed[::-1]
    assert exported(authctl, "--format", "jsonl", "--after", "3") == lines[3:]
    assert exported(authctl, "--after", str(len(lines))) == []
    assert all(after["prev_hash"] == before["hash"] for before, after in itertools.pairwise(lines))


def test_ocsf_has_what_its_classes_require(eventful: Registry, authctl: Authctl):
    """Required attributes of OCSF 1.3; the type is the class and the activity; a user where the class requires one."""
    events, lines = exported(authctl), exported(authctl, "--format", "ocsf")
    required = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
    for event, line in zip(events, lines, strict=True):
        assert required <= set(line)
        assert line["type_uid"] == line["class_uid"] * 100 + line["activity_id"]
        assert line["category_uid"] == line["class_uid"] // 1000
        assert {"version", "product"} <= set(line["metadata"])
        assert line["class_uid"] == 0 or line["user"]["name"]
        assert {name: line["unmapped"][name] for name in ("action", "note", "detail")} == {
            name: event[name] for name in ("action", "note", "detail")
        }
    types = {line["unmapped"]["action"]: line["type_uid"] for line in lines}
    assert types == {
        "registry.init": 99,
        "session.issue": 300201,
        "session.revoke": 99,  # the last one is of two users
        "session.end": 300202,
        "user.disable": 300105,
        "user.enable": 300102,
        "user.password": 300103,
        "key.rotate": 99,
    }
    revoked = [line for line in lines if line["unmapped"]["action"] == "session.revoke"]
    assert (revoked[0]["type_uid"], revoked[0]["user"]) == (300202, {"name": "alice"})
    assert revoked[0]["time"] == 1772442001500


def test_ecs_has_only_allowed_categories(eventful: Registry, authctl: Authctl):
    """`event.category` and `event.type` as ECS 8.11 allows them, the actor as `user`, and who it is about as its target."""
    allowed = {
        "session": {"start", "end", "info"},
        "iam": {"user", "change"},
        "configuration": {"change"},
        "authentication": {"info"},
    }
    events, lines = exported(authctl), exported(authctl, "--format", "ecs")
    for event, line in zip(events, lines, strict=True):
        assert line["@timestamp"] == event["at"]
        (category,) = line["event"]["category"]
        assert set(line["event"]["type"]) <= allowed[category]
        assert (line["event"]["id"], line["event"]["sequence"]) == (event["hash"], event["seq"])
        assert line["authctl"]["detail"] == event["detail"]
    revoked = next(line for line in lines if line["event"]["action"] == "session.revoke")
    assert (revoked["user"], revoked["event"]["reason"]) == (
        {"name": "erin", "target": {"name": "alice"}},
        "lost device",
    )
    assert revoked["related"]["user"] == ["alice", "erin"]


def test_caep_has_a_line_for_each_session_that_ended(eventful: Registry, authctl: Authctl):
    """And for the password; each with an id of its own, no `sub`, and the user where it is one."""
    lines = exported(authctl, "--format", "caep")
    kinds = [next(iter(line["events"])).rpartition("/")[2] for line in lines]
    assert kinds == ["session-revoked"] * 4 + ["credential-change"]
    assert len({line["jti"] for line in lines}) == 5
    assert all(not {"sub", "exp", "aud"} & set(line) for line in lines)
    (first,) = lines[0]["events"].values()
    assert first == {"event_timestamp": 1772442001, "initiating_entity": "admin", "reason_admin": {"en": "lost device"}}
    assert lines[0]["sub_id"]["user"]["sub"] == "alice"
    assert set(lines[1]["sub_id"]) == {"format", "session"}


def test_no_action_is_without_a_category():
    """A new noun is looked at: it would be a change of the configuration."""
    nouns = {action.partition(".")[0] for action in ACTIONS}
    configuration = {"audit", "cleanup", "clock", "continuity", "import", "key", "profile", "receiver", "registry"}
    assert nouns == configuration | {"session", "token", "wipe", "delivery", "user", "client", "cache"}


def test_an_unknown_format_is_refused(registry: Registry, authctl: Authctl):
    """As any wrong option."""
    assert authctl("audit", "export", "--format", "xml").code == 2


@pytest.mark.parametrize("form", ["jsonl", "ocsf", "ecs", "caep"])
def test_hostile_text_is_escaped(registry: Registry, authctl: Authctl, form: str):
    """Names and notes are JSON in ASCII: nothing of them reaches a terminal or a line of its own."""
    registry.issue(username="alice", application="Mail\u00e9")
    registry.revoke(SessionFilter(username="alice"), note="lost \u202e device")
    ran = authctl("audit", "export", "--format", form)
    assert ran.code == 0
    assert ran.out.isascii()
    assert unseen(ran.out) == []
