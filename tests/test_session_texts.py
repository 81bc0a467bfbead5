"""The JSON text of a listed session: byte by byte the JSON of its record, with all its fields, whatever they hold."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authctl import IntegrityFailure, Registry, SessionFilter, Status, TokenInvalid, records
from authctl.instants import EARLIEST, NEVER, SECOND
from authctl.model import Session
from authctl.model.listed_sessions import ListedSession
from authctl.session_texts import session_text
from authctl.store.sql import rows
from tests import places
from tests.conftest import HOSTILE, Authctl, Clock, Install

TEXTS = st.none() | st.sampled_from([*HOSTILE, "", "\x7f", "\u2028", "\U0001f600", 'a"b\\c', "Outlook"]) | st.text()
INSTANTS = st.integers(EARLIEST, NEVER) | st.integers(-10, 10**6).map(lambda part: part * SECOND + 1_000)
SWITCHES = st.sampled_from([0, 1])


def values_of(name: str) -> st.SearchStrategy[object]:
    """Values for a field of a session."""
    if name in ("id", "username", "kind", "profile", "tokens"):
        return st.text()
    if name in ("sealed", "has_conditions", "wipe_on_revoke", "number", "generation", "revocation_id"):
        return SWITCHES
    if name.endswith("_at"):
        return st.none() | INSTANTS if Session.__annotations__[name] == int | None else INSTANTS
    return TEXTS


def as_stored(session: Session) -> Session:
    """The session, without what only a revocation has if it has none."""
    return session if session.revoked_at is not None else session._replace(revoked_by=None, note=None)


SESSIONS = st.builds(Session, **{name: values_of(name) for name in Session._fields}).map(as_stored)


@given(SESSIONS)
def test_the_text_of_a_session_is_the_json_of_its_record(session: Session) -> None:
    """Every state, instant and character gives the same bytes as `json.dumps`."""
    assert session_text(ListedSession.of(session)) == json.dumps(records.session(session))


@given(SESSIONS, st.sampled_from(["username", "application", "device"]))
def test_a_number_in_the_place_of_a_text_is_shown_as_in_the_record(session: Session, name: str) -> None:
    """A damaged row is shown, as a record would be."""
    damaged = session._replace(**{name: 5})
    assert session_text(ListedSession.of(damaged)) == json.dumps(records.session(damaged))


SOME_PROFILES = """\
version: 1
default_profile: mail
profiles:
  mail: {idle_timeout: 3d, absolute_timeout: 20d}
  held: {idle_timeout: 2d, continuity: true}
  wiped: {idle_timeout: 30d, on_revoke: wipe}
  requested: {tokens: requested, default_lifetime: 1d, max_lifetime: 9d}
"""


def test_a_list_in_json_has_the_fields_of_the_whole_sessions(install: Install, clock: Clock) -> None:
    """In every state, order and selection, and for sessions that moved while the list was read."""
    registry = install(SOME_PROFILES)
    tokens = {}
    for number in range(40):
        profile = ("mail", "held", "wiped", "requested")[number % 4]
        clock.forward(minutes=7, microseconds=number % 3)
        kind = "web" if number % 5 == 0 else "application"
        issued = registry.issue(
            username=f"user{number % 7}", application=HOSTILE[number % 9], kind=kind, profile=profile
        )
        tokens[issued.session.id] = issued.access_token
    ids = list(tokens)
    registry.continuity.start(["held"], until=clock.now + timedelta(days=5), note="mail is down")
    registry.revoke(SessionFilter(ids=tuple(ids[2:23:4])), note='lost "device"', actor="böb")
    for session_id in ids[2:11:4]:
        with pytest.raises(TokenInvalid):
            registry.verify(tokens[session_id])  # its order to wipe is delivered
    registry.tokens.wipe_done(tokens[ids[2]])
    registry.end([ids[4], ids[5]])
    registry.users.disable("user3", note="left")
    for days in (0, 1, 2, 4, 30):
        clock.forward(days=days)
        selections = [
            {},
            *({"status": status} for status in Status),
            {"search": "ser2"},
            {"username": "user1"},
            {"ids": tuple(ids[3:9])},
        ]
        for criteria in selections:
            for sort in (None, "username", "-revoked_at"):
                selection = SessionFilter(**criteria)
                whole = list(registry.sessions(selection, sort=sort))
                assert list(registry.lists.listed(selection, sort=sort)) == list(map(ListedSession.of, whole))
    assert len(list(registry.lists.listed())) == 40
    listed = registry.lists.listed()
    first = next(listed)
    registry.users.enable("user3", note="back")
    registry.revoke(SessionFilter(ids=(ids[0],)), note="lost device")
    assert len({first, *listed}) == 40


def test_a_list_in_json_of_a_damaged_registry_is_refused(registry: Registry, home: Path, authctl: Authctl) -> None:
    """An instant that cannot be written is an error that names the session, and no row is printed."""
    registry.issue(username="alice", application="Outlook")
    for change in (f"last_used_at = {NEVER + 1}", f"last_used_at = {NEVER}, created_at = {EARLIEST - 1}"):
        places.change_in(home, f"UPDATE sessions SET {change}")
        ran = authctl("sessions", "list", "-o", "ndjson")
        assert (ran.code, ran.out) == (7, "")
        assert "the instants of session 1 are invalid" in ran.err


def test_a_long_list_of_both_kinds_has_each_session_once_in_order(registry: Registry, authctl: Authctl) -> None:
    """Both JSON forms of a list of several pages have the same texts, with the values that `show` gives."""
    for number in range(150):
        kind = "web" if number % 7 == 3 else "application"
        registry.issue(username=f"user{number}", application=HOSTILE[number % len(HOSTILE)], kind=kind)
    registry.revoke(SessionFilter(username="user3", kind=None), note="lost device")
    lines = authctl("sessions", "list", "--kind", "all", "-o", "ndjson").out.splitlines()
    listed = [json.loads(line) for line in lines]
    assert [one["username"] for one in listed] == [f"user{number}" for number in reversed(range(150))]
    assert authctl("sessions", "list", "--kind", "all", "-o", "json").out == "[\n" + ",\n".join(lines) + "\n]\n"
    for one in (listed[0], listed[-4]):
        shown = json.loads(authctl("sessions", "show", one["id"], "-o", "json").out)
        assert one == {name: shown[name] for name in one}


@pytest.mark.parametrize("wrong", ["soon", 1.5, b"", NEVER + 1, EARLIEST - 1])
def test_an_instant_is_a_whole_number_in_the_range(wrong: object) -> None:
    """A text would compare as later than every number."""
    rows.check_instants(1, (EARLIEST, NEVER, 0))
    for instants in ((wrong, 0), (0, wrong)):
        with pytest.raises(IntegrityFailure, match="the instants of session 1 are invalid"):
            rows.check_instants(1, instants)
