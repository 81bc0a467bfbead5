"""One process of those that tests/test_postgres_escapes.py lets loose on one registry: `escapes.py ROLE HOME LOCATION SECONDS NUMBER SCHEME`.

It says `ready`, waits for a line on standard input, plays its role, and prints each thing that it did as a line of JSON. Instants are
those of CLOCK_MONOTONIC, which all processes of a machine share: an operation began before one instant and was acknowledged at
another one. A scheme that is not `right` is wrong on purpose, to see that the test notices.
"""

import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from authctl import AuthctlError, Refused, Registry, SessionFilter
from authctl.model import Status

USERS = [f"user{number:02}" for number in range(20)]
_PAUSE_OF_REVOKER = 0.02
_AFTER_DISABLE = 0.01
_PAUSE_OF_CLEANER = 0.05


def instant() -> int:
    """The time that all processes share, in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Role:
    """Does one thing again and again, and keeps what it did."""

    def __init__(self, registry: Registry, number: int) -> None:
        self.registry = registry
        self.name = f"{type(self).__name__.lower()} {number}"
        self.random = random.Random(number)
        self.done: list[dict[str, Any]] = []

    def play(self, seconds: float) -> None:
        """Do it for so long; an error is kept, too."""
        until = time.monotonic() + seconds
        number = 0
        while time.monotonic() < until:
            began = instant()
            try:
                found = self.act(f"{self.name}, {number}")
            except Refused:
                found = {"refused": True}
            except Exception as error:  # noqa: BLE001  # the judge decides about it
                found = {"error": f"{type(error).__name__}: {error}"}
            self.done.append({"role": type(self).__name__, "began": began, "acked": instant(), **found})
            number += 1
            self.rest(found)

    def act(self, note: str) -> dict[str, Any]:
        """The one thing."""
        raise NotImplementedError

    def rest(self, found: dict[str, Any]) -> None:
        """What is done between two of them."""


class Issuer(Role):
    """Registers sessions."""

    def act(self, note: str) -> dict[str, Any]:
        """One session of any user, who may be disabled."""
        issued = self.registry.issue(username=self.random.choice(USERS), application="Outlook", device=note)
        return {"id": issued.session.id}


class Revoker(Role):
    """Revokes everything."""

    def act(self, note: str) -> dict[str, Any]:
        """One revocation of everything, with a note of its own."""
        return {
            "note": note,
            "revoked": self.registry.revoke(SessionFilter(everything=True), note=note, actor=self.name).revoked,
        }

    def rest(self, found: dict[str, Any]) -> None:
        """Let others come in between."""
        time.sleep(_PAUSE_OF_REVOKER)


class Disabler(Role):
    """Disables one user after the other, looks whether a session lives a moment later, and enables the user."""

    user = ""

    def act(self, note: str) -> dict[str, Any]:
        """One user who is disabled."""
        self.user = self.random.choice(USERS)
        self.registry.users.disable(self.user, note=note, actor=self.name)
        return {"user": self.user}

    def rest(self, found: dict[str, Any]) -> None:
        """Look after a moment."""
        if "user" not in found:
            return
        time.sleep(_AFTER_DISABLE)
        alive = SessionFilter(username=self.user, status=Status.ACTIVE)
        self.done[-1]["alive"] = [session.id for session in self.registry.sessions(alive)]
        self.registry.users.enable(self.user, note="as before", actor=self.name)


class Cleaner(Role):
    """Removes what nobody needs, revocations without a session among it."""

    def act(self, note: str) -> dict[str, Any]:
        """One cleanup."""
        return {"removed": self.registry.cleanup.run(actor=self.name).removed}

    def rest(self, found: dict[str, Any]) -> None:
        """Once in a while is enough."""
        time.sleep(_PAUSE_OF_CLEANER)


ROLES: dict[str, type[Role]] = {role.__name__: role for role in (Issuer, Revoker, Disabler, Cleaner)}


def _gate_first() -> None:
    """A sign-in takes the gate before it reads, as every other change."""
    from authctl.store.postgres.store import PostgresStore

    real = PostgresStore.change

    def change(self: Any, **how: Any) -> Any:
        return real(self, **{**how, "sign_in": None})

    PostgresStore.change = change  # type: ignore[method-assign]


def _no_gate() -> None:
    """Nobody waits for anybody."""
    _gate_first()
    from authctl.store.postgres import gate

    gate.Entrance.function = "abs"  # type: ignore[assignment,method-assign]


_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")


def _gate_after_what_is_read() -> None:
    """A change reads first, and takes the gate when it writes: what it read is older than the gate, as in one statement for both."""
    _gate_first()
    from authctl.store.postgres import connections
    from authctl.store.postgres.exchange import Statement

    real, sent = connections.Connection.execute, connections.Connection.exchange
    due: dict[Any, Statement] = {}
    taking = r"pg_\w*advisory_xact_lock\w*(?=\(\$3\))"

    def exchange(self: Any, *statements: Statement) -> Any:
        for place, one in enumerate(statements):
            if function := re.search(taking, one.sql):
                due[self] = Statement(f"SELECT {function[0]}($1)", (one.parameters[2],))
                begun = one._replace(sql=re.sub(taking, "abs", one.sql))
                return sent(self, *statements[:place], begun, *statements[place + 1 :])
        if self in due and any(one.sql.lstrip().startswith(_WRITES) for one in statements):
            sent(self, due.pop(self))
        return sent(self, *statements)

    def execute(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        if isinstance(query, str) and query.startswith(_WRITES) and self in due:
            sent(self, due.pop(self))
        return real(self, query, *given, **options)

    connections.Connection.exchange = exchange  # type: ignore[method-assign]
    connections.Connection.execute = execute  # type: ignore[method-assign]


_KEPT_FOR = 20


def _open_id_kept_between_transactions() -> None:
    """A process reads which revocation is open once for several sessions, and not in each transaction."""
    _gate_first()
    from authctl.store.postgres import connections
    from authctl.store.postgres.dialect import POSTGRES
    from authctl.store.sql.tables import tables

    open_id = tables(POSTGRES).open_revocation
    sent = connections.Connection.exchange
    kept = {"id": 0, "used": 0}

    def exchange(self: Any, *statements: Any) -> Any:
        first = statements[0]
        if first.sql.startswith("INSERT INTO sessions") and open_id in first.sql:
            if kept["used"] % _KEPT_FOR == 0:
                kept["id"] = self.execute(f"SELECT {open_id}").fetchone()[0]
            kept["used"] += 1
            statements = (first._replace(sql=first.sql.replace(open_id, str(kept["id"]))), *statements[1:])
        return sent(self, *statements)

    connections.Connection.exchange = exchange  # type: ignore[method-assign]


def _turn_not_checked() -> None:
    """A sign-in that read before its turn does not ask at its turn whether another change came between."""
    from authctl.store.postgres.exchange import Exchanges

    real = Exchanges.run

    def run(self: Any, statements: Any) -> Any:
        return real(self, [one._replace(sql=one.sql.replace("(turn = ", "(true OR turn = ")) for one in statements])

    Exchanges.run = run  # type: ignore[method-assign]


SCHEMES: dict[str, Callable[[], None]] = {
    "right": lambda: None,
    "no gate": _no_gate,
    "gate after what is read": _gate_after_what_is_read,
    "open id kept between transactions": _open_id_kept_between_transactions,
    "turn not checked": _turn_not_checked,
    "gate first": _gate_first,
}


def judge(done: list[dict[str, Any]], kept: Iterator[Any]) -> dict[str, int]:
    """How often each promise was broken, and how much was done. `kept` are all sessions that the registry has in the end."""
    issued = {one["id"]: one for one in done if "id" in one}
    revoking = sorted((one for one in done if "note" in one), key=lambda one: one["began"])
    by_note = {one["note"]: one for one in revoking}
    found = {session.id: session for session in kept}
    count = dict.fromkeys(("escaped", "born_revoked", "late_note", "dead_on_arrival", "dangling"), 0)
    for session_id, issue in issued.items():
        session = found.get(session_id)
        if session is None:
            count["dangling"] += 1  # it names a revocation that is not there, so that no list has it
            continue
        by = by_note.get(session.note) if session.revoked_at is not None else None
        first = next((one for one in revoking if one["began"] > issue["acked"]), None)
        if by is None:
            count["escaped"] += first is not None
            continue
        count["born_revoked"] += by["acked"] < issue["began"]
        count["dead_on_arrival"] += issue["began"] < by["acked"] < issue["acked"]
        # a revocation that was acknowledged before another one began is the first one, and its note stays
        count["late_note"] += first is not None and first["acked"] < by["began"]
    disables = [one for one in done if "alive" in one]
    count["disable_escaped"] = sum(bool(one["alive"]) for one in disables)
    errors = [one["error"] for one in done if "error" in one]
    return {
        **count,
        "issues": len(issued),
        "revocations": len(revoking),
        "disables": len(disables),
        "errors": len(errors),
    }


def main(role: str, home: str, location: str, seconds: str, number: str, scheme: str) -> None:
    """Play a role."""
    SCHEMES[scheme]()
    with Registry.open(home, registry=location) as registry:
        player = ROLES[role](registry, int(number))
        registry.count(SessionFilter(username="nobody"))  # everything that is opened late is open now
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        player.play(float(seconds))
        try:
            registry.close()
        except AuthctlError as error:
            player.done.append({"error": str(error)})
    for one in player.done:
        sys.stdout.write(f"{json.dumps(one)}\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(*sys.argv[1:])
