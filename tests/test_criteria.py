"""Criteria mean the same in SQL, for sessions that are there, and in Python, for those that an import tells of later."""

import io
import json
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authctl import Registry, SessionFilter
from authctl.import_mappings import read_mapping
from authctl.instants import DAY, HOUR, instant_of
from authctl.registry.imports.past_revocations import PastRevocations, Span
from authctl.registry.imports.session_rows import Rules, SessionFromRows
from authctl.store.protocol.imports import StagedRow
from authctl.store.protocol.revocations import PastRevocation
from tests.conftest import START, Install

pytestmark = pytest.mark.slow

MAP = read_mapping(
    b"fields: {username: u, application: a, device: d, platform: p, ip: i, at: t}\nkey: [username, application, device]\n",
    "map.yaml",
)
PROFILES = """\
version: 1
default_profile: default
assignments: [{application: Teams, profile: short}]
profiles: {default: {idle_timeout: 3d}, short: {idle_timeout: 12h}}
"""
NOW = instant_of(START)
ROWS = [
    {"u": user, "a": application, "d": device, "p": platform, "i": ip, "t": f"2026-02-{day:02d}T{hour:02d}:00:00Z"}
    for user, application, device, platform, ip, day, hour in [
        ("Alice", "Outlook", "AL-PC", "Windows 11", "10.0.0.1", 20, 8),
        ("alice", "Teams", "AL-PHONE", "iOS", "10.0.0.2", 28, 23),
        ("bob", "Outlook", None, "windows 11", "fe80::AB", 28, 12),
        ("Ｂob", "Teams", "bob's", None, None, 27, 12),
        ("carol", None, "AL-PC", "iOS", "10.0.0.1", 28, 20),
    ]
]
INSTANTS = st.sampled_from([NOW - n * HOUR for n in (0, 1, 10, 13, 22, 45, 46, 200, 241, 500)])

texts = {
    "username": st.sampled_from(["alice", "ALICE", "bob", "carol"]),
    "application": st.sampled_from(["outlook", "Teams"]),
    "device": st.sampled_from(["al-pc", "AL-PHONE"]),
    "platform": st.sampled_from(["ios", "Windows 11"]),
    "profile": st.sampled_from(["default", "short", "SHORT"]),
    "kind": st.sampled_from(["application", "web"]),
    "search": st.sampled_from(["a", "al-", "outlook", "10.0.0", "FE80", "windows", "nothing"]),
}
times = dict.fromkeys(("created_since", "created_before", "used_since", "unused_since"), INSTANTS)
filters = st.fixed_dictionaries(
    {},
    optional={
        **texts,
        **times,
        "expires_before": INSTANTS.map(lambda at: at + 2 * DAY),
        "status": st.lists(st.sampled_from(["active", "expired"]), unique=True).map(tuple),
    },
)
folders = (f"r{n}" for n in count())


def rows_of(registry: Registry) -> dict[str, SessionFromRows]:
    """The session that each row makes, by its device and user."""
    with registry._installation.store.view() as view:
        rules = Rules(view.profiles(), None, view.continuity_events())
    made = {}
    for line, row in enumerate(ROWS):
        read = MAP.interpret(row)
        session = SessionFromRows(rules)
        session.add(StagedRow(read.at, read.details, line))
        made[session.session().username + str(session.created_at)] = session
    return made


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=filters)
def test_the_same_sessions_are_meant_now_and_later(install: Install, asked: dict):
    """A filter selects a session that is there if and only if a revocation by it binds the row that would tell of it later."""
    registry = install(PROFILES, folder=next(folders))
    registry.imports.run(io.BytesIO("\n".join(map(json.dumps, ROWS)).encode()), MAP)
    selection = SessionFilter(**asked)
    selected = {s.username + str(s.created_at) for s in registry.sessions(selection)}
    past = PastRevocation(1, NOW, json.dumps(selection.criteria()), 0, registry.profiles.in_force())
    known = PastRevocations([past], (1, 1))
    bound = set()
    for name, session in rows_of(registry).items():
        possible = known.possible(
            set(session.texts.items()), session.created_at, Span(session.created_at, session.created_at)
        )
        bound |= {name for criteria in possible if criteria.is_met_by(session)}
    assert bound == selected
    registry.close()
