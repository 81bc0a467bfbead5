"""Sessions of other systems: their identity, their ends there, and complete listings; the same in any order of imports."""

import io
import json
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count, permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import NotFound, Refused, Registry, Session, SessionFilter, errors
from authctl.import_mappings import Mapping, read_mapping
from authctl.instants import HOUR, SECOND, format_instant
from authctl.registry.imports import register
from authctl.registry.imports.complete import Complete
from authctl.registry.imports.file import ImportOutcome
from authctl.registry.imports.short_way import ShortWay
from authctl.store.nouns.imports import ImportsReader
from tests.conftest import START, Authctl, Clock, Install

EVERYTHING = Complete(max_affected=99)
FIELDS = """
source: hub
fields:
  username: user
  application: {value: Hub}
  device: device
  source_id: id
  %s
key: [id]
"""
LISTING = FIELDS % "created_at: created\n  last_used_at: used\n  ended_at: ended\n  expires_at: expires"
EVENTS = FIELDS % "at: at\n  ended_at: ended"
UNSOURCED = "fields: {username: user, application: {value: Hub}, device: device, at: at}\nkey: [id]\n"


def mapping(text: str) -> Mapping:
    """A mapping from its text."""
    return read_mapping(text.encode(), "map.yaml")


def at(hours: float) -> int:
    """The instant so many hours after the beginning of the test."""
    return START_INSTANT + round(hours * HOUR)


START_INSTANT = int(START.timestamp()) * SECOND


def row(user: str = "alice", number: str = "7", **times: float | str) -> dict[str, Any]:
    """A row with times in hours."""
    texts = {name: value if isinstance(value, str) else format_instant(at(value)) for name, value in times.items()}
    return {"user": user, "id": number, **texts}


def load(registry: Registry, *rows: dict[str, Any], text: str = LISTING, **options: Any) -> ImportOutcome:
    """Import rows as JSON lines."""
    raw = "\n".join(map(json.dumps, rows)).encode()
    return registry.imports.run(io.BytesIO(raw), mapping(text), **options)


def listed(registry: Registry) -> list[Session]:
    """All sessions, the earliest first."""
    return sorted(registry.sessions(), key=lambda one: (one.created_at, one.number))


def in_short(session: Session) -> tuple[Any, ...]:
    """A session without what differs between two registries."""
    return (
        session.username,
        session.source,
        session.source_id,
        session.device,
        session.created_at - START_INSTANT,
        session.last_used_at - START_INSTANT,
        session.ended_at and session.ended_at - START_INSTANT,
        session.ended_by,
        session.used_after_end_at and session.used_after_end_at - START_INSTANT,
        session.note,
    )


@pytest.fixture
def later(clock: Clock) -> Clock:
    """A clock four days after the beginning."""
    clock.forward(days=2)
    return clock


@pytest.fixture
def registries(install: Install, later: Clock) -> Callable[[], Registry]:
    """Makes another empty registry at each call; those of long before are closed, since a server has so many connections."""
    made: list[Registry] = []

    def make() -> Registry:
        for old in made[:-8]:
            old.close()
        made.append(install(folder=f"home-{len(made)}"))
        return made[-1]

    return make


# ends in the source


def test_an_end_in_the_source_ends_the_session(registry: Registry, later: Clock):
    """At its instant, with the reason of the mapping."""
    load(registry, row(created=1, used=2, ended=3))
    (session,) = listed(registry)
    assert (session.ended_at, session.ended_by, session.status.value) == (at(3), "signed_out", "expired")
    assert (session.source, session.source_id) == ("hub", "7")


def test_an_older_listing_does_not_bring_an_ended_session_back(registry: Registry, later: Clock):
    """Whichever listing comes first."""
    load(registry, row(created=1, used=2, ended=3))
    load(registry, row(created=1, used=2))
    (session,) = listed(registry)
    assert session.ended_at == at(3)
    load(registry, row(number="8", created=1, used=2))
    outcome = load(registry, row(number="8", created=1, used=2, ended=3))
    assert (outcome.registered, outcome.updated) == (0, 1)
    assert listed(registry)[1].ended_at == at(3)


def test_a_sign_in_after_the_end_is_a_new_session(registry: Registry, later: Clock):
    """Of a log, whose rows have no beginning."""
    rows = [row(at=1), row(at=3, ended=3), row(at=5)]
    load(registry, *rows, text=EVENTS)
    first, second = listed(registry)
    assert (first.ended_at, second.created_at, second.ended_at) == (at(3), at(5), None)
    outcome = load(registry, *rows, text=EVENTS)
    assert (outcome.registered, outcome.updated, outcome.unchanged) == (0, 0, 2)


def test_an_end_that_comes_later_parts_the_rows_of_a_log(registry: Registry, later: Clock):
    """Sign-ins in one file, and sign-outs in another."""
    load(registry, row(at=1, device="a"), row(at=3, device="b"), row(at=5, device="c"), text=EVENTS)
    assert len(listed(registry)) == 1
    load(registry, row(at=2, ended=2), row(at=4, ended=4), text=EVENTS)
    assert [(one.created_at, one.ended_at, one.device) for one in listed(registry)] == [
        (at(1), at(2), "a"),
        (at(3), at(4), "b"),
        (at(5), None, "c"),
    ]


@pytest.mark.parametrize("ended", [-1, 100])
def test_an_end_that_cannot_be_is_refused(registry: Registry, later: Clock, ended: float):
    """Before the beginning, or ahead of the clock."""
    outcome = load(registry, row(created=1, used=2, ended=ended), row(number="8", created=1))
    assert (outcome.rows.rejected, outcome.registered) == (1, 1)


# revoked here, and listed there


def test_a_revoked_session_stays_revoked_and_shows_that_it_was_used(registry: Registry, later: Clock, authctl: Authctl):
    """Every night's listing has it."""
    load(registry, row(created=1, used=2))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    later.forward(hours=5)
    outcome = load(registry, row(created=1, used=50))
    (session,) = listed(registry)
    assert (outcome.registered, outcome.used_after_end, session.status.value) == (0, 1, "revoked")
    assert (session.used_after_end_at, session.last_used_at, session.note) == (at(50), at(2), "lost device")
    assert [one.id for one in registry.sessions(SessionFilter(used_after_end=True))] == [session.id]
    assert load(registry, row(created=1, used=2)).used_after_end == 0
    assert authctl("sessions", "list", "--used-after-end", "-o", "id").out == f"{session.id}\n"
    assert authctl("sessions", "show", session.id, "-o", "json").json["used_after_end_at"] == format_instant(at(50))


def test_a_session_that_began_after_the_end_is_new(registry: Registry, later: Clock):
    """An id that was given again."""
    load(registry, row(created=1, used=2))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    later.forward(hours=5)
    outcome = load(registry, row(created=50, used=51), row(created=1, used=2))
    assert (outcome.registered, [one.status.value for one in listed(registry)]) == (1, ["revoked", "active"])


def test_two_beginnings_of_a_key_are_two_sessions(registry: Registry, later: Clock):
    """Also where both are active."""
    load(registry, row(created=1, used=40))
    load(registry, row(created=39, used=41))
    assert [(one.created_at, one.last_used_at) for one in listed(registry)] == [(at(1), at(40)), (at(39), at(41))]


@pytest.mark.parametrize("created", [1, 2])
def test_a_row_with_a_beginning_is_the_session_that_was_known_without_one(
    registry: Registry, later: Clock, created: float
):
    """A mapping that learns the beginning brings nobody back."""
    load(registry, row(at=2), text=UNSOURCED)
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    outcome = load(registry, row(created=created, used=3))
    (session,) = listed(registry)
    assert (outcome.registered, session.status.value, session.source) == (0, "revoked", "hub")


def test_a_removed_session_does_not_come_back(registry: Registry, later: Clock):
    """Neither under a source, nor with a beginning."""
    load(registry, row(at=2), text=UNSOURCED)
    load(registry, row(number="8", created=2, used=3))
    registry.revoke(SessionFilter(everything=True), note="breach of the house")
    later.forward(days=300)
    assert registry.cleanup.run(accept_clock_jump=True).removed == 2
    outcome = load(registry, row(created=2, used=3), row(number="8", created=2, used=90 * 24))
    assert (outcome.registered, listed(registry)) == (0, [])
    assert load(registry, row(created=300 * 24, used=301 * 24)).registered == 1


SEEN = FIELDS % "at: [at, {taken: true}]"


def test_a_listing_that_has_a_revoked_session_is_no_sign_in(registry: Registry, later: Clock):
    """Its row has no beginning, and no use after the end: a device that was never seen."""
    load(registry, row(), text=SEEN, taken_at=at(20))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    later.forward(hours=5)
    outcome = load(registry, row(), text=SEEN, taken_at=at(50))
    (session,) = listed(registry)
    assert (outcome.registered, outcome.unchanged, outcome.used_after_end) == (0, 1, 1)
    assert (session.status.value, session.used_after_end_at) == ("revoked", at(50))


def test_a_use_after_the_end_without_a_beginning_is_a_sign_in(registry: Registry, later: Clock):
    """As in a log."""
    load(registry, row(), text=SEEN, taken_at=at(20))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    later.forward(hours=5)
    load(registry, row(at=50), text=SEEN, taken_at=at(51))
    assert [one.status.value for one in listed(registry)] == ["revoked", "active"]


# sources


def test_the_first_import_with_a_source_adopts(registry: Registry, later: Clock):
    """And the second source does not."""
    load(registry, row(at=2), text=UNSOURCED)
    assert load(registry, row(created=2, used=3)).adopted == 1
    other = load(registry, row(created=2, used=3), source="grid")
    assert (other.registered, other.adopted) == (1, 0)
    assert sorted(one.source or "" for one in listed(registry)) == ["grid", "hub"]
    assert [one.source for one in registry.sessions(SessionFilter(source="HUB"))] == ["hub"]
    assert [one.source for one in registry.sessions(SessionFilter(search="grid"))] == ["grid"]


# complete listings


def complete(registry: Registry, *rows: dict[str, Any], taken: float, **options: Any) -> ImportOutcome:
    """Import a complete listing that was taken at an hour."""
    return load(registry, *rows, **({"complete": EVERYTHING, "taken_at": at(taken)} | options))


def test_what_a_complete_listing_lacks_has_ended(registry: Registry, later: Clock):
    """At the time of the listing; not what began or was used after it, nor what another source has."""
    load(registry, row(created=1, used=2), row(number="8", created=1, used=30), row(number="9", created=1, used=3))
    load(registry, row(created=1, used=2), source="grid")
    outcome = complete(registry, row(number="9", created=1, used=3), taken=20)
    assert outcome.not_listed == 1
    ended = [one for one in listed(registry) if one.ended_by == "not_listed"]
    assert [(one.source_id, one.source, one.ended_at) for one in ended] == [("7", "hub", at(20))]


def without_source(registry: Registry) -> str:
    """Two sessions of one key that have no source, and one of another key; the mapping of them."""
    text = LISTING.replace("source: hub\n", "")
    load(registry, row(created=1, used=2), row(created=5, used=6), row("bob", "8", created=1, used=2), text=text)
    return text


def test_adopted_sessions_that_a_listing_lacks_end_in_the_same_run(registry: Registry, later: Clock):
    """The preview counts them, and the limit does; a session of another key has no source, and stays."""
    without_source(registry)
    listing, limit = row(created=5, used=6), Complete(max_affected=0)
    with pytest.raises(Refused, match="more sessions would end than the limit of 0: 1"):
        complete(registry, listing, taken=20, complete=limit)
    shown: list[int] = []
    asked = Complete(agree=lambda preview: shown.append(preview.summary.total))
    assert complete(registry, listing, taken=20, complete=asked, dry_run=True).not_listed == 1
    outcome = complete(registry, listing, taken=20, complete=asked)
    assert (shown, outcome.adopted, outcome.not_listed) == ([1], 2, 1)
    ends = [(one.username, one.source, one.ended_by, one.ended_at) for one in listed(registry)]
    assert ends == [
        ("alice", "hub", "not_listed", at(20)),
        ("bob", None, None, None),
        ("alice", "hub", None, None),
    ]
    assert complete(registry, listing, taken=20, dry_run=True).not_listed == 0
    registry.imports.undo(2, note="wrong source")
    assert [(one.source, one.ended_by) for one in listed(registry)] == [(None, None)] * 3


def test_adopted_sessions_of_other_users_stay(registry: Registry, later: Clock):
    """A listing of one user tells nothing of the sessions of another, and none of what was used after it."""
    text = without_source(registry)
    load(registry, row("bob", "8", created=5, used=6), row(created=7, used=30), text=text)
    both = [row("bob", "8", created=5, used=6), row(created=5, used=6)]
    outcome = complete(registry, *both, taken=20, complete=EVERYTHING._replace(users=("alice",)))
    assert (outcome.adopted, outcome.not_listed) == (5, 1)
    ended = [(one.username, one.created_at) for one in listed(registry) if one.ended_by == "not_listed"]
    assert ended == [("alice", at(1))]


def test_an_earlier_listing_moves_the_ends_in_batches(
    registry: Registry, later: Clock, monkeypatch: pytest.MonkeyPatch
):
    """A session that a later listing brings back between two batches stays."""
    monkeypatch.setattr(register, "_ENDS_PER_BATCH", 2)
    rows = [row(f"user{number}", str(number), created=number, used=number + 1) for number in range(5)]
    load(registry, *rows)
    complete(registry, row("carol", "9", created=1, used=2), taken=20)
    pauses: list[float] = []

    def bring_back_last(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:  # after the batch of keys, and the first two ends
            assert load(registry, rows[4], taken_at=at(30)).returned == 1

    monkeypatch.setattr(register, "sleep", bring_back_last)
    complete(registry, row("carol", "9", created=1, used=2), taken=10)
    ends = {one.username: one.ended_at for one in registry.sessions() if one.username != "carol"}
    assert ends == {**{f"user{number}": at(10) for number in range(4)}, "user4": None}


def test_a_later_listing_takes_the_inference_back(registry: Registry, later: Clock):
    """And no decision."""
    load(registry, row(created=1, used=2), row("bob", "8", created=1, used=2))
    complete(registry, row("carol", "9", created=1, used=2), taken=20)
    registry.revoke(SessionFilter(username="bob"), note="lost device")
    outcome = load(registry, row(created=1, used=2), row("bob", "8", created=1, used=2), taken_at=at(30))
    assert outcome.returned == 1
    assert {one.username: one.status.value for one in listed(registry)} == {
        "alice": "active",
        "bob": "revoked",
        "carol": "active",
    }


def test_a_disabled_user_does_not_return(registry: Registry, later: Clock):
    """A session that a listing did not have when its user was disabled."""
    load(registry, row(created=1, used=47))
    complete(registry, row("carol", "9", created=1, used=2), taken=47.5)
    registry.users.disable("alice", note="left the company")
    later.forward(hours=1)
    registry.users.enable("alice", note="came back to us")
    load(registry, row(created=1, used=47), taken_at=at(49))
    assert listed(registry)[0].ended_by == "user_disabled"


def test_an_older_listing_registers_what_had_ended(registry: Registry, later: Clock):
    """A session that a later complete listing does not have."""
    complete(registry, row(number="9", created=1, used=2), taken=20)
    load(registry, row(created=1, used=2), taken_at=at(10))
    assert {one.source_id: one.ended_by for one in listed(registry)} == {"9": None, "7": "not_listed"}


@pytest.mark.parametrize(
    ("rows", "options", "error"),
    [
        ([], {}, "no row"),
        ([row(created=1), {"user": "bob"}], {}, "rejected rows"),
        ([row(created=1)], {"text": LISTING + "where: {user: alice}\n", "extra": True}, "leaves out rows"),
        ([row(number="9", created=1)], {"complete": Complete()}, "more than half"),
        (
            [row(number="9", created=1)],
            {"complete": Complete(max_affected=0)},
            "more sessions would end than the limit",
        ),
    ],
)
def test_a_listing_that_may_not_be_complete_is_refused(
    registry: Registry, later: Clock, rows: list[dict[str, Any]], options: dict[str, Any], error: str
):
    """Nothing is registered then, and nothing ends."""
    load(registry, row(created=1, used=2))
    rows = [*rows, row("bob", "8", created=1)] if options.pop("extra", False) else rows
    before = list(map(in_short, listed(registry)))
    with pytest.raises(Refused, match=error):
        complete(registry, *rows, taken=20, **options)
    assert list(map(in_short, listed(registry))) == before


def test_a_complete_listing_needs_a_source_and_a_time(registry: Registry, later: Clock):
    """Else nobody knows whose sessions ended, and when."""
    with pytest.raises(errors.InvalidInput, match="needs the time"):
        load(registry, row(created=1), complete=EVERYTHING)
    with pytest.raises(errors.InvalidInput, match="needs its source"):
        load(registry, row(at=1), text=UNSOURCED, complete=EVERYTHING, taken_at=at(3))


WRAPPED = LISTING + "rows: %s\ntaken_at: %s\n"


@pytest.mark.parametrize(
    ("rows", "taken", "document"),
    [
        ("all.*", "^.time", {"all": []}),
        ("all.*", "^.time", {"all": {}}),
        ("all.*", "^.time", {"all": None}),
        ("all", "^.time", {"all": []}),
        ("in.all.*", "^.^.time", {"in": {"all": []}}),
        ("in.*.all.*", "^.^.time", {"in": []}),
        ("in.*.all.*", "^.^.time", {"in": [{"all": []}]}),
        ("all.*", "^.time", {"all": [{"user": ""}]}),
        ("all.*", "^.time", {"all": [7]}),
        ("all.*", "[absent, ^.time]", {"all": []}),
    ],
)
def test_a_listing_without_a_used_row_has_its_own_time(
    registry: Registry, later: Clock, rows: str, taken: str, document: dict[str, Any]
):
    """The sessions end at the time of the document; a time that the person gives comes first."""
    load(registry, row(created=1, used=2))
    text = WRAPPED % (rows, taken)
    document = {"time": format_instant(at(20)), **document}
    empty = Complete(allow_partial=True, max_affected=1)
    assert load(registry, document, text=text, complete=empty, dry_run=True).not_listed == 1
    assert load(registry, document, text=text, complete=empty, taken_at=at(30)).not_listed == 1
    registry.imports.undo(2, note="another time")
    assert load(registry, document, text=text, complete=empty).not_listed == 1
    assert [one.ended_at for one in listed(registry)] == [at(20)]


@pytest.mark.parametrize(
    ("rows", "taken", "document"),
    [
        ("all.*", "^.time", {"all": []}),
        ("all.*", "^.time", {"all": [], "time": "soon"}),
        ("all.*", "time", {"all": [], "time": "2026-03-01T01:00:00Z"}),
        ("all.*", "time", {"all": [7]}),
        ("in.*.all.*", "^.time", {"in": []}),
        ("in.*.all.*", "^.time", {"in": {}}),
    ],
)
def test_a_listing_without_rows_and_without_a_time_is_refused(
    registry: Registry, later: Clock, rows: str, taken: str, document: dict[str, Any]
):
    """Nothing ends."""
    load(registry, row(created=1, used=2))
    with pytest.raises(errors.InvalidInput, match="do not have the time of the complete listing"):
        load(registry, document, text=WRAPPED % (rows, taken), complete=Complete(allow_partial=True, max_affected=1))
    assert [one.ended_by for one in listed(registry)] == [None]


def test_the_earliest_of_several_listings_counts_though_it_has_no_rows(registry: Registry, later: Clock):
    """The session was used after it."""
    load(registry, row(created=1, used=25))
    pages = [{"all": [row("bob", "8", created=1, used=2)], "time": format_instant(at(30))}]
    pages += [{"all": [], "time": format_instant(at(20))}]
    text = WRAPPED % ("all.*", "^.time")
    assert load(registry, *pages, text=text, complete=EVERYTHING).not_listed == 0
    assert load(registry, *pages[:1], text=text, complete=EVERYTHING).not_listed == 1


def test_the_command_asks_and_shows_whom(installed: Authctl, tmp_path: Path):
    """Without a terminal it needs --yes; a dry run shows the same and changes nothing."""
    (tmp_path / "map.yaml").write_text(LISTING)
    for name, ids in (("two", "78"), ("one", "8")):
        (tmp_path / name).write_text(
            "".join(json.dumps(row("alice", number, created=1, used=2)) + "\n" for number in ids)
        )
    (tmp_path / "home.yaml").write_text("version: 1\ndefault_profile: d\nprofiles: {d: {idle_timeout: never}}\n")
    assert installed("profiles", "apply", str(tmp_path / "home.yaml"), "--note", "no deadline", "--yes").code == 0
    command = ("sessions", "import", str(tmp_path / "one"), "--map", str(tmp_path / "map.yaml"))
    assert installed(*command[:2], str(tmp_path / "two"), *command[3:]).code == 0
    complete = (*command, "--complete", "--taken-at", format_instant(at(20)), "-o", "json")
    for options, code in (((), 4), (("--dry-run",), 0)):
        ran = installed(*complete, *options)
        assert (ran.code, "this would end 1 active session" in ran.err, "'alice' 1" in ran.err) == (code, True, True)
        assert installed("sessions", "list", "--status", "active", "--count").out == "2\n"
    ran = installed(*complete, "--yes").json
    assert (ran["not_listed"], [one["source_id"] for one in ran["not_listed_sessions"]]) == (1, ["7"])
    assert (
        installed("sessions", "list", "--status", "active", "--source", "hub", "-o", "json").json[0]["source_id"] == "8"
    )
    for option in ("--user", "--max-affected"):
        ran = installed(*command, option, "1")
        assert (ran.code, f"{option} is for a complete listing" in ran.err) == (2, True)


def test_cleanup_keeps_the_latest_of_the_old_listings(registry: Registry, later: Clock):
    """An older listing that is imported afterwards still registers what had ended."""
    for hour in (20, 30):
        complete(registry, row(number="9", created=1, used=2), taken=hour)
    later.forward(days=300)
    registry.cleanup.run(accept_clock_jump=True)
    load(registry, row(created=299 * 24, used=299 * 24 + 1), row(number="8", created=1, used=2), taken_at=at(300 * 24))
    with registry._installation.store.view() as view:
        assert [one.taken_at for one in view.complete_listings("hub")] == [at(30)]


def test_a_complete_listing_of_some_users_ends_only_theirs(registry: Registry, later: Clock):
    """Many systems list one user at a time."""
    load(registry, row(created=1, used=2), row("bob", "8", created=1, used=2))
    outcome = complete(
        registry, row(number="9", created=1, used=2), taken=20, complete=EVERYTHING._replace(users=("Alice",))
    )
    assert (outcome.not_listed, [one.username for one in listed(registry) if one.ended_by]) == (1, ["alice"])


# keys of several users, and of several sources


def test_an_operation_about_one_user_leaves_another_user_with_the_same_id(registry: Registry, later: Clock):
    """An id that is given again is another session, whoever has it: revoked, or ended, in the registry or in the same file."""
    for number, end in enumerate((lambda: registry.revoke(SessionFilter(username="alice"), note="lost device"),
                                  lambda: registry.end([one.id for one in registry.sessions()]))):  # fmt: skip
        load(registry, row("alice", str(number), created=1, used=2))
        end()
        load(registry, row("bob", str(number), created=3, used=47))
        (session,) = (one for one in registry.sessions(SessionFilter(username="bob", status="active")))
        assert (session.created_at, session.used_after_end_at) == (at(3), None)
        registry.end([session.id])
    load(
        registry,
        row("alice", "5", created=1, used=2),
        row("bob", "5", created=3, used=47),
        row("alice", "6", created=47, used=47),
    )
    assert [one.username for one in registry.sessions(SessionFilter(status="active", search="bob"))] == ["bob"]


def test_the_same_beginning_under_another_name_is_the_same_session(registry: Registry, later: Clock):
    """A user who was renamed: what was revoked stays so under the new name."""
    load(registry, row("alice", created=1, used=2))
    registry.revoke(SessionFilter(username="alice"), note="lost device")
    load(registry, row("alice.smith", created=1, used=47))
    assert {one.status.value for one in registry.sessions()} == {"revoked"}


@pytest.mark.parametrize("text", [LISTING, EVENTS])
def test_an_end_in_the_source_is_of_its_own_user(registries: Callable[[], Registry], text: str):
    """In any order of imports: that one user signed out ends no session of another."""
    alice = row("alice", created=1, used=3, ended=3, at=3)
    for files in permutations([row("bob", created=2, used=40, at=2), alice, row("bob", created=2, used=40, at=40)]):
        with closing(registries()) as registry:
            for one in files:
                load(registry, one, text=text)
            (session,) = registry.sessions(SessionFilter(username="bob"))
            assert (session.created_at, session.last_used_at, session.ended_at) == (at(2), at(40), None)


def test_an_import_without_a_source_takes_no_inference_back(registry: Registry, later: Clock):
    """The listings of the source of the known session count, and not those of the import."""
    load(registry, row(created=1, used=4), taken_at=at(5))
    load(registry, taken_at=at(8), complete=Complete(allow_partial=True, max_affected=9))
    unsourced = LISTING.replace("source: hub\n", "")
    assert load(registry, row(created=1, used=3), text=unsourced, taken_at=at(4)).returned == 0
    assert [(one.ended_at, one.ended_by) for one in listed(registry)] == [(at(8), "not_listed")]
    assert load(registry, row(created=1, used=9), text=unsourced, taken_at=at(10)).returned == 1
    assert [(one.status.value, one.source) for one in listed(registry)] == [("active", "hub")]


@pytest.mark.parametrize("text", [LISTING, EVENTS])
def test_an_import_without_a_source_registers_in_the_source_of_its_key(registries: Callable[[], Registry], text: str):
    """So it does not matter which of the two comes first."""
    files = [
        (row(created=3, used=40, at=40), text.replace("source: hub\n", "")),
        (row(created=1, used=2, at=2, ended=2), text),
    ]
    for ordered in (files, files[::-1]):
        with closing(registries()) as registry:
            for one, used in ordered:
                load(registry, one, text=used)
            assert {one.source for one in listed(registry)} == {"hub"}
            assert len(listed(registry)) == 2


# rows with a beginning, and rows without one, under one mapping


SOMETIMES = FIELDS % "at: used\n  created_at: created"


def test_a_row_without_a_beginning_belongs_to_the_session_that_began_last_before_it(registry: Registry, later: Clock):
    """In the same file, and in a later one; it never moves the beginning of another session, which stays the same in each listing."""
    night = [row(created=10, used=12), row(created=20, used=22)]
    load(registry, *night, text=SOMETIMES)
    outcome = load(registry, row(used=5), row(used=15), row(used=30), text=SOMETIMES)
    assert [one.total for one in outcome.remarks] == [3]
    for _ in range(2):
        load(registry, *night, text=SOMETIMES)
        spans = [(one.created_at, one.last_used_at) for one in listed(registry)]
        assert spans == [(at(5), at(5)), (at(10), at(15)), (at(20), at(30))]


def test_a_row_without_a_beginning_after_an_operation_is_a_sign_in(registries: Callable[[], Registry], clock: Clock):
    """Whether it comes with the row that has a beginning or after it."""
    for is_one_file in (True, False):
        with closing(registries()) as registry:
            began = row(created=10, used=12)
            load(registry, began, text=SOMETIMES)
            registry.revoke(SessionFilter(username="alice"), note="lost device")
            signed_in = row(used=format_instant(registry.now() + SECOND))
            clock.forward(minutes=1)
            for rows in ([began, signed_in],) if is_one_file else ([began], [signed_in]):
                load(registry, *rows, text=SOMETIMES)
            assert [one.status.value for one in listed(registry)] == ["revoked", "active"]


# the short way through an import


OPERATIONS = {
    "user": SessionFilter(username="alice"),
    "search": SessionFilter(search="bob"),
    "device": SessionFilter(device="a", status="active"),
    "source": SessionFilter(source="hub", created_before=at(20)),
    "all": SessionFilter(everything=True),
}


@st.composite
def single_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A file with one row for each of some keys."""
    rows = []
    for number in draw(st.lists(st.sampled_from("3456789"), unique=True, max_size=4)):
        created, device = draw(st.integers(1, 47)), draw(st.sampled_from("ab"))
        rows.append(
            row(draw(st.sampled_from(["alice", "bob"])), number, created=created, used=created + 1, device=device)
        )
    return rows


@pytest.mark.parametrize("ahead", [3, 4 / 60])
def test_the_same_row_that_was_ahead_of_the_clock_is_a_use_after_the_end(
    registry: Registry, later: Clock, ahead: float
):
    """The session ended between: when the clock gets there, the same row shows a use after its end, whatever way it takes."""
    seen = row(created=47, used=48 + ahead)
    load(registry, seen)
    later.forward(minutes=1)
    assert registry.end([listed(registry)[0].id]).ended == 1
    later.forward(hours=5)
    assert load(registry, seen).used_after_end == 1
    assert listed(registry)[0].used_after_end_at == at(48 + ahead)


@settings(suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.one_of(single_rows(), st.sampled_from([*OPERATIONS, "disable", "enable"])), max_size=7))
def test_the_short_way_gives_the_same_sessions(registries: Callable[[], Registry], steps: list[Any]):
    """With decisions of every kind between: neither a new key nor the same rows are judged otherwise. Each file comes twice."""
    with closing(registries()) as short, closing(registries()) as long:
        check_short_way(short, long, steps)


@st.composite
def several_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A log with some rows for each of some keys, at times that may be equal."""
    who = st.sampled_from(["alice", "Alice", "bob"])
    rows = draw(
        st.lists(st.tuples(who, st.sampled_from("345"), st.integers(1, 47), st.sampled_from("ab ")), max_size=9)
    )
    return [row(user, number, at=hour, device=device) for user, number, hour, device in rows]


@settings(suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.one_of(several_rows(), st.sampled_from([*OPERATIONS, "disable", "enable"])), max_size=5),
    source=st.sampled_from([None, "hub"]),
)
def test_the_short_way_merges_the_rows_of_a_key_as_the_long_one(
    registries: Callable[[], Registry], steps: list[Any], source: str | None
):
    """Of each detail the latest is kept, whatever the order of rows, and of two at once the same one."""
    with closing(registries()) as short, closing(registries()) as long:
        check_short_way(short, long, steps, text=UNSOURCED, source=source)


def check_short_way(short: Registry, long: Registry, steps: list[Any], **options: Any) -> None:
    """Take the steps in both registries, in one without the short way."""
    files, numbers = [step for step in steps if isinstance(step, list)], count(1)
    for step in [*steps, *files]:
        outcomes = []
        for registry in (short, long):
            with pytest.MonkeyPatch.context() as patch:
                if registry is long:
                    patch.setattr(ShortWay, "session_of", lambda *_: None)
                    patch.setattr(ImportsReader, "made_of_same_rows", lambda *_: [])
                    patch.setattr(ImportsReader, "last_imported", lambda *_: next(numbers))
                outcomes.append(carry_out(registry, step, **options))
        assert outcomes[0] == outcomes[1]
    assert list(map(in_short, listed(short))) == list(map(in_short, listed(long)))


def carry_out(registry: Registry, step: Any, **options: Any) -> Any:
    """Import a file, or make a decision; what came of it."""
    if isinstance(step, list):
        outcome = load(registry, *step, **options)
        counts = (outcome.registered, outcome.updated, outcome.unchanged, outcome.used_after_end)
        return counts, outcome.rejections
    if step in OPERATIONS:
        return registry.revoke(OPERATIONS[step], note="lost device").revoked
    if step == "disable":
        return registry.users.disable("alice", note="left the company").ended
    with suppress(NotFound):
        registry.users.enable("alice", note="came back to us")
    return None


@pytest.mark.parametrize("between", [0, 2])
def test_a_first_import_knows_what_another_one_registers_meanwhile(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, between: int
):
    """It looks for no known session as long as there is none; each batch asks again."""
    monkeypatch.setattr(register, "_KEYS_PER_BATCH", 1)
    rows = [row(number=str(number), created=number, used=number + 1) for number in range(1, 6)]

    def load_others(done: int, _total: int) -> None:
        if done == max(1, between):
            load(registry, *rows[between:])

    outcome = load(registry, *rows, progress=load_others)
    assert (outcome.registered, outcome.unchanged) == (max(1, between), 5 - max(1, between))
    assert len(listed(registry)) == 5


# any order, any split, any repetition

HOURS = st.integers(1, 12)


@st.composite
def listings(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """A listing of the present state, or a part of a log; a listing may be complete."""
    taken = draw(st.integers(13, 24))
    rows = []
    for number in draw(st.lists(st.sampled_from("78"), unique=True, max_size=2)):
        created = draw(st.sampled_from([1, 2, 5]))
        used = created + draw(st.integers(0, 6))
        times = {"created": created, "used": used}
        if draw(st.integers(0, 3)) == 0:
            times["ended"] = created + draw(st.integers(0, 8))
        rows.append(row({"7": "alice", "8": "bob"}[number], number, **times, device=draw(st.sampled_from("ab"))))
    options: dict[str, Any] = {"taken_at": at(taken)}
    if draw(st.booleans()):
        options["complete"] = Complete(("alice",) if draw(st.booleans()) else (), allow_partial=True, max_affected=99)
    return LISTING, rows, options


@st.composite
def logs(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Some rows of a log with sign-ins and sign-outs."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        hour = draw(HOURS)
        times = {"at": hour} | ({"ended": hour} if draw(st.booleans()) else {})
        rows.append(row("alice", draw(st.sampled_from("34")), **times, device=draw(st.sampled_from("ab"))))
    return EVENTS, rows, {}


@settings(suppress_health_check=list(HealthCheck))
@given(files=st.lists(st.one_of(listings(), logs()), min_size=1, max_size=5), data=st.data())
def test_any_order_gives_the_same_registry(registries: Callable[[], Registry], files: list[Any], data: st.DataObject):
    """Files of rows that have a beginning each, and files of a log; each in any order, and again."""
    with closing(registries()) as first, closing(registries()) as second:
        check_any_order(first, second, files, data)


def check_any_order(first: Registry, second: Registry, files: list[Any], data: st.DataObject) -> None:
    """Import the files into one registry as they are, and into the other in another order."""
    for text, rows, options in files:
        load(first, *rows, text=text, **options)
    for text, rows, options in [*data.draw(st.permutations(files)), *data.draw(st.lists(st.sampled_from(files)))]:
        shuffled = data.draw(st.permutations(rows))
        cut = len(rows) if options.get("complete") else data.draw(st.integers(0, len(rows)))
        parts = [shuffled] if options.get("complete") else [shuffled[:cut], shuffled[cut:]]
        for part in parts:
            if part or (options.get("complete")):
                load(second, *part, text=text, **options)
    assert sorted(map(repr, map(in_short, listed(second)))) == sorted(map(repr, map(in_short, listed(first))))
