"""Two changes of two hosts at once, each stopped at the statement that matters; and the same without the guard, which is then noticed.

The guards are the gate, the lock of a session's row, and the conditions that a statement asks again of the row that it changes
(decisions 297 and 320); the order of locks is in test_postgres_lock_order.py. Where two guards keep one promise, each is enough alone, and the test takes both away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from authctl import SessionFilter, TokenReused
from authctl.errors import Refused
from tests.postgres_server import why_not
from tests.two_hosts import COMMIT, Deed, Hosts, configure, issue, no_gate, run_both, written_program

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres.store import PostgresStore

TELLER = """\
#!/bin/sh
while read -r line; do
    echo "$line" >> "$(dirname "$0")/told"
    echo "$line" | sed 's/.*"jti": "\\([^"]*\\)".*/{"jti": "\\1", "verdict": "delivered"}/'
done
"""
_OPEN = "(SELECT id FROM revocations"


@pytest.fixture
def gate_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sign-ins and revocations of everything take the gate before they read, as those do that are repeated.

    `test_postgres_sign_ins.py` has the others.
    """
    real = PostgresStore.change
    monkeypatch.setattr(
        PostgresStore, "change", lambda self, **how: real(self, **{**how, "sign_in": None, "revokes_all": False})
    )


# Guards, and how each is taken away


def no_row_lock(_run: Callable[[str], Any], text: str) -> str:
    """A session that is judged may be changed meanwhile."""
    return text.replace(" FOR NO KEY UPDATE", "")


def no_condition(_run: Callable[[str], Any], text: str) -> str:
    """A revocation takes sessions, and closes the open one, whatever became of them."""
    text = re.sub(r"WHERE revocation_id = \(SELECT id FROM revocations[^)]*\) AND ", "WHERE ", text)
    return text.replace(" AND at IS NULL RETURNING", " RETURNING")


def open_id_read_before(run: Callable[[str], Any], text: str) -> str:
    """The id of the open revocation is read by a statement of its own."""
    if not (text.startswith("UPDATE sessions") and _OPEN in text):
        return text
    subquery = re.search(r"\(SELECT id FROM revocations[^)]*\)", text)
    assert subquery
    return text.replace(subquery[0], str(run(f"SELECT {subquery[0]}").fetchone()[0]))


# What two hosts do


def use_and_end(hosts: Hosts, *without: Any) -> tuple[int, int]:
    """A use that was judged, and is written while the session is signed out: its hard end, and its deadline."""
    issued = issue(hosts.first)
    hosts.clock.forward(hours=1)
    use = Deed(lambda: hosts.first.verify(issued.access_token), after="SELECT s.number.*ORDER BY s.number")
    end = Deed(lambda: hosts.second.end([issued.session.id]))
    run_both(hosts, use, end, *without)
    assert end.error is None
    return hosts.rows("SELECT ended_at, expires_at FROM sessions")[0]


@pytest.mark.parametrize("without", [(), (no_gate,), (no_row_lock,)])
def test_a_use_moves_no_deadline_of_a_session_that_was_ended(hosts: Hosts, without: tuple[Any, ...]):
    """The gate and the lock of the row each keep it."""
    ended_at, expires_at = use_and_end(hosts, *without)
    assert ended_at == expires_at


def test_without_both_guards_a_deadline_is_pulled_out_again(hosts: Hosts):
    """As it was seen when the scheme was looked for."""
    ended_at, expires_at = use_and_end(hosts, no_gate, no_row_lock)
    assert ended_at < expires_at


def revoke_all_twice(hosts: Hosts, *without: Any) -> tuple[Deed, Deed, list[str]]:
    """Two revocations of everything, of which the first stops before the message with its commit; the notes that are kept."""
    issue(hosts.first)
    everything = SessionFilter(everything=True)
    one = Deed(lambda: hosts.first.revoke(everything, note="first"), before=COMMIT)
    other = Deed(lambda: hosts.second.revoke(everything, note="second"))
    run_both(hosts, one, other, *without)
    return one, other, [row[0] for row in hosts.rows("SELECT note FROM revocations WHERE at IS NOT NULL ORDER BY id")]


@pytest.mark.usefixtures("gate_first")
def test_two_revocations_of_everything_each_have_their_note(hosts: Hosts):
    """The second one closes the revocation that the first one opened."""
    one, other, notes = revoke_all_twice(hosts)
    assert (one.error, other.error, notes) == (None, None, ["first", "second"])
    assert [session.note for session in hosts.first.sessions()] == ["first"]


def test_a_revocation_of_everything_that_was_overtaken_is_done_again(hosts: Hosts):
    """It had read the open revocation, and another one was opened before its turn: it closes that one, and takes no session from the other."""
    one, other, notes = revoke_all_twice(hosts)
    assert (one.error, other.error, notes) == (None, None, ["second", "first"])
    assert (one.result.revoked, other.result.revoked) == (0, 1)
    assert [session.note for session in hosts.first.sessions()] == ["second"]


@pytest.mark.usefixtures("gate_first")
@pytest.mark.parametrize("more", [(), (no_condition,)])
def test_without_the_gate_the_second_revocation_of_everything_fails(hosts: Hosts, more: tuple[Any, ...]):
    """Two open revocations cannot be; an error, and no note of the first one is lost."""
    one, other, notes = revoke_all_twice(hosts, no_gate, *more)
    assert one.error is None
    assert other.error is not None
    assert notes == ["first"]


def revoke_alice_twice(hosts: Hosts, *without: Any) -> tuple[int, str | None]:
    """Two revocations of the same sessions; how many the second one took, and the note that counts."""
    issue(hosts.first)
    alice = SessionFilter(username="alice")
    one = Deed(lambda: hosts.first.revoke(alice, note="first"), before=COMMIT)
    other = Deed(lambda: hosts.second.revoke(alice, note="second"))
    run_both(hosts, one, other, *without)
    assert (one.error, other.error) == (None, None)
    return other.result.revoked, next(iter(hosts.first.sessions())).note


@pytest.mark.parametrize("without", [(), (no_gate,), (no_condition,)])
def test_the_first_of_two_revocations_of_the_same_sessions_wins(hosts: Hosts, without: tuple[Any, ...]):
    """By the gate, behind which the second one lists no session of the first; and by the condition on the row that is changed."""
    assert revoke_alice_twice(hosts, *without)[1] == "first"


def test_without_both_guards_the_second_note_replaces_the_first(hosts: Hosts):
    """The condition is asked again after the first one."""
    assert revoke_alice_twice(hosts, no_gate, no_condition)[1] == "second"


def revoke_alice_and_all(hosts: Hosts, *without: Any) -> tuple[bool, str | None]:
    """Everything is revoked while the sessions of alice are about to be; whether it had to wait, and the note that counts."""
    issue(hosts.first)
    one = Deed(
        lambda: hosts.first.revoke(SessionFilter(username="alice"), note="lost device"),
        before="^UPDATE sessions .*SET revocation_id",
    )
    other = Deed(lambda: hosts.second.revoke(SessionFilter(everything=True), note="breach"))
    waited = run_both(hosts, one, other, *without)
    assert (one.error, other.error) == (None, None)
    return waited, next(iter(hosts.first.sessions())).note


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ((), (True, "lost device")),
        # without the gate the other one comes first, and keeps its note
        ((no_gate,), (False, "breach")),
        ((open_id_read_before,), (True, "lost device")),
    ],
)
def test_no_revocation_takes_sessions_from_one_that_was_acknowledged(hosts: Hosts, without: Any, expected: Any):
    """The gate keeps it, and the open revocation that the statement itself looks up."""
    assert revoke_alice_and_all(hosts, *without) == expected


def test_without_both_guards_an_acknowledged_note_is_lost(hosts: Hosts):
    """The sessions are taken from the revocation that is closed by then."""
    assert revoke_alice_and_all(hosts, no_gate, open_id_read_before) == (False, "lost device")


def refresh_twice(hosts: Hosts, *without: Any) -> tuple[Deed, Deed]:
    """One refresh token, presented to both hosts."""
    token = issue(hosts.first, profile="pair").refresh_token
    one = Deed(lambda: hosts.first.refresh(token), before="^UPDATE sessions")
    other = Deed(lambda: hosts.second.refresh(token))
    run_both(hosts, one, other, *without)
    return one, other


def test_one_refresh_token_is_exchanged_once(hosts: Hosts):
    """The second one is a reuse, and revokes the session."""
    one, other = refresh_twice(hosts)
    assert one.error is None
    assert isinstance(other.error, TokenReused)
    assert [session.note for session in hosts.first.sessions()] == ["refresh token reuse detected"]


def test_without_the_lock_of_the_row_both_are_answered(hosts: Hosts):
    """Two bearers of one token have a pair each, and nobody notices."""
    one, other = refresh_twice(hosts, no_row_lock)
    assert (one.error, other.error) == (None, None)


def wipe_twice(hosts: Hosts, *without: Any) -> int:
    """The same application confirms to both hosts; how many events say so."""
    token = issue(hosts.first).access_token
    hosts.first.revoke(SessionFilter(everything=True), note="lost device")
    one = Deed(lambda: hosts.first.tokens.wipe_done(token), before="^UPDATE sessions")
    other = Deed(lambda: hosts.second.tokens.wipe_done(token))
    run_both(hosts, one, other, *without)
    assert (one.error, other.error) == (None, None)
    return hosts.actions("wipe.done")


@pytest.mark.parametrize(("without", "events"), [((), 1), ((no_row_lock,), 2)])
def test_a_wipe_is_confirmed_once(hosts: Hosts, without: Any, events: int):
    """By the lock of the row."""
    assert wipe_twice(hosts, *without) == events


@pytest.mark.usefixtures("gate_first")
@pytest.mark.parametrize(("without", "alive"), [((), 0), ((no_gate,), 1)])
def test_nobody_signs_in_while_the_user_is_disabled(hosts: Hosts, without: Any, alive: int):
    """By the gate: the sign-in reads the user, and the disabling reads the sessions."""
    sign_in = Deed(lambda: issue(hosts.first), before="^INSERT INTO sessions")
    disable = Deed(lambda: hosts.second.users.disable("alice", note="left the company"))
    assert run_both(hosts, sign_in, disable, *without) is not bool(without)
    assert (sign_in.error, disable.error) == (None, None)
    assert hosts.first.count(SessionFilter(username="alice", status="active")) == alive
    with pytest.raises(Refused):
        issue(hosts.second)


@pytest.mark.usefixtures("gate_first")
def test_a_revocation_of_everything_waits_for_a_sign_in_and_has_it(hosts: Hosts):
    """A session that is acknowledged before it is revoked by it, and names its note."""
    sign_in = Deed(lambda: issue(hosts.first), before=COMMIT)
    revoke = Deed(lambda: hosts.second.revoke(SessionFilter(everything=True), note="breach"))
    assert run_both(hosts, sign_in, revoke)
    assert [session.note for session in hosts.first.sessions()] == ["breach"]
    assert revoke.result.revoked == 1


# Rows that are no sessions


def test_the_end_of_a_disabling_is_recorded_once(hosts: Hosts):
    """Two sign-ins find it over."""
    hosts.first.users.disable("alice", note="on leave", until=hosts.clock.now.replace(hour=10))
    hosts.clock.forward(hours=2)
    one = Deed(lambda: issue(hosts.first, "bob"), before=COMMIT)
    other = Deed(lambda: issue(hosts.second, "carol"))
    run_both(hosts, one, other)
    assert (one.error, other.error) == (None, None)
    assert hosts.actions("user.enable") == 1


def deliver_twice(hosts: Hosts) -> list[str]:
    """Two hosts deliver at once what could not be told before; the ids of the messages that were told."""
    program = written_program(hosts.folder, "teller", "#!/bin/sh\nexit 1\n")
    configure(hosts.folder, "receivers", f"teller: {{command: [{program}], events: [session-revoked]}}")
    for _ in range(3):
        issue(hosts.first)
    hosts.first.revoke(SessionFilter(everything=True), note="breach")
    assert hosts.first.deliveries.deliver().pending == 3
    hosts.clock.forward(hours=2)
    program.write_text(TELLER)
    one = Deed(hosts.first.deliveries.deliver, before="jsonb_array_elements")
    other = Deed(hosts.second.deliveries.deliver)
    run_both(hosts, one, other)
    assert (one.error, other.error) == (None, None)
    return [json.loads(line)["jti"] for line in (hosts.folder / "told").read_text().splitlines()]


def test_two_hosts_tell_a_message_once(hosts: Hosts):
    """Whoever leases is alone with that, while sign-ins go on."""
    told = deliver_twice(hosts)
    assert len(told) == len(set(told)) == 3


def test_without_a_turn_a_message_is_told_twice(hosts: Hosts, monkeypatch: pytest.MonkeyPatch):
    """Both lease what they read."""
    from authctl.store.postgres.change import PostgresChange

    monkeypatch.delattr(PostgresChange, "take_turn")
    told = deliver_twice(hosts)
    assert len(told) > len(set(told)) == 3
