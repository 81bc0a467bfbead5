"""The audit chain: what a change to any event does to it, and what it cannot see by itself."""

import json
import random
import re
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl.audit_chain import FIRST_PREV_HASH, Verifier
from authctl.model import AuditEvent
from tests.sealed_events import seal_event

NOW = 1_793_525_400_000_000
COLUMNS = list(AuditEvent._fields)
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, -1, 1.0, 1.5, 10**30, NOW, NOW + 1, float(NOW), float("nan")),
    *("", " ", "0", "1", "bob", "Bob", "bob ", "alice", "lost device", "session.revoke", "null", "{}", "[]"),
    *(
        "0" * 64,
        "f" * 64,
        "0" * 63,
        "\0",
        "\ud800",
        "e\u0301",
        "\xe9",
        "\u202e",
        '{"a":1}',
        '{"a": 1}',
        '{"a":1,"a":1}',
    ),
    *(b"", b"bob", [], {}, (1,)),
]

texts = st.text(max_size=20)
details = st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans(), st.none(), st.lists(texts)), max_size=4)


def chain(length: int = 8) -> list[AuditEvent]:
    """A good chain with all kinds of text in it."""
    events: list[AuditEvent] = []
    actors, notes = ["bob", "Zoë", "李雷"], ["lost device", None, 'quote " \\ and\nline', "\x1b[31m", "\U0001f600"]
    for number in range(length):
        event = seal_event(
            events[-1] if events else None,
            at=NOW + number * 1_000_000,
            actor=actors[number % 3],
            action=["registry.init", "session.issue", "session.revoke"][number % 3],
            subject=None if number % 4 == 0 else f"abcdefgh234567{number:02}",
            note=notes[number % 5],
            detail={"revoked": number, "criteria": {"username": "älice"}, "ids": ["a", "b"]},
        )
        events.append(event)
    return events


GOOD = chain()


def first_bad(events: list[AuditEvent]) -> int | None:
    """A second opinion, from the description of the chain alone: the number of the first bad event."""
    prev_hash = "0" * 64
    for number, event in enumerate(events, 1):
        seq, at, actor, action, subject, note, detail, prev, given_hash = event
        try:
            parts = [
                json.dumps(part, ensure_ascii=True) for part in (seq, at, actor, action, subject, note, detail, prev)
            ]
        except TypeError:
            return number
        owed = sha256(("[" + ",".join(parts) + "]").encode("ascii")).hexdigest()
        if seq != number or prev != prev_hash or given_hash != owed:
            return number
        prev_hash = owed
    return None


def verdict(events: list[AuditEvent]) -> int | None:
    """The number of the first bad event that the verifier names; None when all is well."""
    verifier = Verifier()
    if verifier.verify_events(events):
        assert verifier.bad is None
        assert verifier.last == (events[-1] if events else None)
        return None
    assert verifier.bad is not None
    named = re.fullmatch(r"event (\d+) (?:is missing|does not follow the one before it|was changed)", verifier.bad)
    assert named is not None
    return int(named[1])


def resealed(event: AuditEvent, **changes: Any) -> AuditEvent:
    """An event changed by someone who knows how hashes are made."""
    changed = event._replace(**changes)
    said = list(changed)[:-1]
    return changed._replace(hash=sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest())


def test_a_good_chain_verifies():
    """In one go, event by event, and by a second verifier."""
    assert verdict(GOOD) is None
    assert first_bad(GOOD) is None
    verifier = Verifier()
    assert all(verifier.verify_events([event]) for event in GOOD)
    assert verifier.last == GOOD[-1]
    assert Verifier().verify_events([])


def test_the_first_event_follows_zeros():
    """The chain begins at 1 and has no event without a predecessor."""
    assert (GOOD[0].seq, GOOD[0].prev_hash, FIRST_PREV_HASH) == (1, "0" * 64, "0" * 64)
    assert [event.prev_hash for event in GOOD[1:]] == [event.hash for event in GOOD[:-1]]
    assert [event.seq for event in GOOD] == list(range(1, len(GOOD) + 1))


def test_the_hash_is_the_documented_one():
    """A hash worked out by hand, so that a verifier in another language can be written from the docs."""
    event = seal_event(
        None, at=5, actor="bob", action="session.revoke", subject=None, note="caf\xe9", detail={"b": 1, "a": "\xe9"}
    )
    said = (
        '[1,5,"bob","session.revoke",null,"caf\\u00e9","{\\"a\\":\\"\\u00e9\\",\\"b\\":1}",'
        '"0000000000000000000000000000000000000000000000000000000000000000"]'
    )
    assert event.detail == '{"a":"\xe9","b":1}'
    assert event.hash == sha256(said.encode()).hexdigest()


@given(st.integers(), texts, texts, st.none() | texts, st.none() | texts, details)
def test_whatever_is_sealed_verifies(
    at: int, actor: str, action: str, subject: str | None, note: str | None, detail: dict
):
    """Any text and any detail; and the detail is stored as it was given."""
    event = seal_event(GOOD[-1], at=at, actor=actor, action=action, subject=subject, note=note, detail=detail)
    assert verdict([*GOOD, event]) is None
    assert first_bad([*GOOD, event]) is None
    assert json.loads(event.detail) == detail
    assert "\n" not in event.detail


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:20])
def test_any_column_of_any_event_changed_is_found(column: str, value: Any):
    """To any other value, of another type or all but the same: the event is named."""
    for index, event in enumerate(GOOD):
        now = getattr(event, column)
        if now == value and (type(now) is type(value) or column == "seq"):
            continue  # a rowid is an integer: SQLite gives nothing that is equal and of another type
        tampered = [*GOOD[:index], event._replace(**{column: value}), *GOOD[index + 1 :]]
        assert verdict(tampered) == first_bad(tampered) == index + 1


@pytest.mark.parametrize("column", COLUMNS)
def test_each_character_of_each_text_counts(column: str):
    """One character of a column replaced, or one added: the event is named."""
    for index, event in enumerate(GOOD):
        now = getattr(event, column)
        if not isinstance(now, str):
            continue
        edits = [now[:at] + chr(ord(sign) ^ 1) + now[at + 1 :] for at, sign in enumerate(now)]
        for edit in (*edits, now + " ", " " + now, now + "\0", now.upper() + "X"):
            tampered = [*GOOD[:index], event._replace(**{column: edit}), *GOOD[index + 1 :]]
            assert verdict(tampered) == index + 1


def test_texts_moved_between_columns_are_found():
    """Columns are hashed apart: two values exchanged are a change."""
    event = seal_event(None, at=NOW, actor="a", action="b", subject="c", note="d", detail={})
    for one, other in (("actor", "action"), ("subject", "note"), ("actor", "note"), ("note", "detail")):
        swapped = event._replace(**{one: getattr(event, other), other: getattr(event, one)})
        assert verdict([swapped]) == 1
    joined = event._replace(actor='a","b', action="c")
    assert verdict([joined]) == 1


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_a_change_by_someone_who_recomputes_the_hash_is_found_at_the_next(column: str):
    """The following event still holds the hash from before."""
    for index, event in enumerate(GOOD[:-1]):
        value = {"seq": event.seq, "at": event.at + 1, "prev_hash": event.prev_hash}.get(column, "changed")
        if column in ("seq", "prev_hash"):
            continue
        tampered = [*GOOD[:index], resealed(event, **{column: value}), *GOOD[index + 1 :]]
        assert verdict(tampered) == first_bad(tampered) == index + 2


def test_an_event_taken_out_is_found():
    """Each but the last leaves a gap, the first too; a renumbered rest does not close it."""
    for index in range(len(GOOD) - 1):
        gap = [*GOOD[:index], *GOOD[index + 1 :]]
        assert verdict(gap) == first_bad(gap) == index + 1
        closed = [*GOOD[:index], *(resealed(event, seq=event.seq - 1) for event in GOOD[index + 1 :])]
        assert verdict(closed) == first_bad(closed) == index + 1


def test_events_in_another_order_are_found():
    """Any two exchanged: the first that stands wrong is named."""
    for one in range(len(GOOD)):
        for other in range(one + 1, len(GOOD)):
            events = list(GOOD)
            events[one], events[other] = events[other], events[one]
            assert verdict(events) == first_bad(events) == one + 1


def test_events_put_in_are_found():
    """A copy, a forged event, or one of another chain, at any place but the end."""
    other = chain(12)
    other[5] = resealed(other[5], note="another note")
    for index in range(len(GOOD)):
        forged = seal_event(
            GOOD[index - 1] if index else None, at=NOW, actor="eve", action="x.y", subject=None, note=None, detail={}
        )
        for event in (GOOD[index], other[5], forged, forged._replace(seq=0)):
            tampered = [*GOOD[:index], event, *GOOD[index:]]
            found = verdict(tampered)
            assert found == first_bad(tampered)
            assert found in (index + 1, index + 2)


def test_a_cut_tail_is_not_seen_from_inside():
    """A beginning of a good chain is a good chain: that is what the head kept in another file is for."""
    for length in range(len(GOOD) + 1):
        assert verdict(GOOD[:length]) is None
        assert first_bad(GOOD[:length]) is None


def test_a_whole_new_chain_is_not_seen_from_inside():
    """Who can rewrite every event can make a good chain: the hash of its head differs, and nothing else."""
    rewritten: list[AuditEvent] = []
    for event in GOOD:
        changed = event._replace(
            note="nothing happened", prev_hash=rewritten[-1].hash if rewritten else FIRST_PREV_HASH
        )
        rewritten.append(resealed(changed))
    assert verdict(rewritten) is None
    assert rewritten[-1].hash != GOOD[-1].hash


def tampered_with(events: list[AuditEvent], chance: random.Random) -> list[AuditEvent]:
    """The events with one thing done to them at random."""
    events = list(events)
    index = chance.randrange(len(events))
    column = chance.choice(COLUMNS)
    values = [*VALUES, *(getattr(event, column) for event in GOOD)]
    value = chance.randrange(-1, 10) if column == "seq" else chance.choice(values)
    operation = chance.randrange(8)
    if operation < 3:
        events[index] = events[index]._replace(**{column: value})
    elif operation == 3:
        del events[index]
    elif operation == 4:
        chance.shuffle(events)
    elif operation == 5:
        events.insert(chance.randrange(len(events) + 1), events[index])
    elif operation == 6:
        events[index] = resealed(GOOD[index % len(GOOD)], note=f"changed {chance.random()}")
    else:
        forged = seal_event(chance.choice(GOOD), at=NOW, actor="eve", action="x.y", subject=None, note=None, detail={})
        events.insert(index + 1, forged)
    return events


def test_two_verifiers_agree_on_thousands_of_tamperings():
    """Both name the same event; and what is neither a beginning of the chain nor built on one is never good."""
    chance = random.Random(20_260_302)
    good = 0
    for _ in range(10_000):
        events = GOOD
        for _ in range(chance.randint(1, 3)):
            events = tampered_with(events, chance) if events else list(GOOD)
        found = verdict(events)
        assert found == first_bad(events)
        if found is None:
            good += 1
            assert events[:-1] == GOOD[: max(0, len(events) - 1)]
    assert 0 < good < 1000


def test_the_verifier_stops_at_the_first_bad_event():
    """What follows is not looked at, and `last` is the last good one."""
    verifier = Verifier()
    events = iter([*GOOD[:3], GOOD[3]._replace(note="x"), *GOOD[4:]])
    assert not verifier.verify_events(events)
    assert verifier.last == GOOD[2]
    assert list(events) == GOOD[4:]
