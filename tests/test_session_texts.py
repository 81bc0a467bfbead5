"""The JSON text of a listed session: byte by byte the JSON of its record, with all its fields, whatever they hold."""

import json

from hypothesis import given
from hypothesis import strategies as st

from authctl import Registry, SessionFilter, records
from authctl.instants import EARLIEST, NEVER, SECOND
from authctl.model import Session
from authctl.session_texts import session_text
from tests.conftest import HOSTILE, Authctl

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


SESSIONS = st.builds(Session, **{name: values_of(name) for name in Session._fields})


@given(SESSIONS)
def test_the_text_of_a_session_is_the_json_of_its_record(session: Session) -> None:
    """Every state, instant and character gives the same bytes as `json.dumps`."""
    assert session_text(session) == json.dumps(records.session(session))


@given(SESSIONS, st.sampled_from(["username", "application", "device"]))
def test_a_number_in_the_place_of_a_text_is_shown_as_in_the_record(session: Session, name: str) -> None:
    """A damaged row is shown, as a record would be."""
    damaged = session._replace(**{name: 5})
    assert session_text(damaged) == json.dumps(records.session(damaged))


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
