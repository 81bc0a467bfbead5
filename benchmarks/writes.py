"""What issuing and revoking cost beside the same rows written raw in one transaction that is synced.

python benchmarks/writes.py [SESSIONS ...]    # 100,000 unless said otherwise; of several, revoke-all is compared between the last two
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from measuring import compare, compared, noted_changes
from population import Population, copied, kept

from authctl import SessionFilter
from authctl.names import new_id
from authctl.store.sqlite.library import sqlite3

EACH = 50
FEW = 10
ROUNDS = 9


class Raw:
    """The registry's tables, written with the standard library alone."""

    def __init__(self, home: Path) -> None:
        self.connection = sqlite3.connect(home / "registry.db", isolation_level=None)
        self.connection.execute("PRAGMA synchronous = FULL")
        found = self.connection.execute("SELECT * FROM sessions WHERE number = 1")
        self.columns = [column[0] for column in found.description]
        self.row = dict(zip(self.columns, found.fetchone(), strict=True))
        self.seq = self.connection.execute("SELECT max(seq) FROM audit_events").fetchone()[0]
        names = [name for name in self.columns if name != "number"]
        self.insert = f"INSERT INTO sessions ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"

    def close(self) -> None:
        """Write its log into the file, before anything else is measured."""
        self.connection.close()

    @contextmanager
    def change(self, action: str) -> Iterator[sqlite3.Connection]:
        """A transaction with its audit event."""
        self.connection.execute("BEGIN IMMEDIATE")
        yield self.connection
        self.seq += 1
        detail = json.dumps({"username_key": "alice", "application": "Outlook", "profile": "mail"})
        values = (self.seq, time.time_ns() // 1000, "raw", action, "abcdefghjkmnpqrs", None, detail, "0" * 64, "1" * 64)
        self.connection.execute("INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self.connection.execute("COMMIT")

    def issue(self, username: str) -> None:
        """A session, and its event."""
        now = time.time_ns() // 1000
        times = dict.fromkeys(("created_at", "last_used_at", "slid_at"), now)
        row: dict[str, Any] = {**self.row, **times, "id": new_id(), "username": username, "username_key": username}
        with self.change("session.issue") as connection:
            connection.execute(self.insert, row)

    def revoke(self, where: str, value: object) -> None:
        """A revocation of the sessions there, and its event."""
        with self.change("session.revoke") as connection:
            sql = "INSERT INTO revocations (at, actor, note, note_key, selector) VALUES (?, 'raw', 'lost device', 'lost device', '{}')"
            revocation = connection.execute(sql, (time.time_ns() // 1000,)).lastrowid
            sql = f"UPDATE sessions SET revocation_id = ? WHERE number IN (SELECT number FROM {where}) AND +revocation_id = 1"
            connection.execute(sql, (revocation, value))


def issuing(population: Population) -> None:
    """A session with its event, and the token."""
    with (
        copied(population) as ours,
        copied(population) as other,
        ours.open() as registry,
        closing(Raw(other.home)) as raw,
    ):
        numbers = count()

        def issue() -> None:
            for number in islice(numbers, EACH):
                registry.issue(username=f"new{number}", application="Outlook", device="AL-PC", actor="benchmark")

        def written() -> None:
            for number in islice(numbers, EACH):
                raw.issue(f"new{number}")

        table = f"Writing, {population.sessions:,} sessions"
        compare(
            table,
            "issue",
            issue,
            written,
            limit="<= 1.5",
            against="the rows and the event, raw",
            rounds=ROUNDS,
            each=EACH,
        )


def revoking(population: Population) -> None:
    """One session, and all of a user's."""
    with (
        copied(population) as ours,
        copied(population) as other,
        ours.open() as registry,
        closing(Raw(other.home)) as raw,
    ):
        sql = "SELECT min(id), username_key FROM sessions WHERE revocation_id = 1 GROUP BY username_key HAVING count(*) BETWEEN 2 AND 9 LIMIT ?"
        chosen = iter(raw.connection.execute(sql, (2 * 2 * FEW * (ROUNDS + 1),)).fetchall())
        table = f"Writing, {population.sessions:,} sessions"

        def done(operation: Callable[[str, str], object]) -> Callable[[], object]:
            return lambda: [operation(*one) for one in islice(chosen, FEW)]

        def by_id(session_id: str, _: str) -> None:
            registry.revoke(SessionFilter(ids=(session_id,)), note="lost device", actor="benchmark")

        def by_user(_: str, username: str) -> None:
            registry.revoke(SessionFilter(username=username), note="lost device", actor="benchmark")

        for name, operation, where, index in (
            ("revoke one session", by_id, "sessions WHERE id = ?", 0),
            ("revoke a user's", by_user, "sessions INDEXED BY sessions_by_user WHERE username_key = ?", 1),
        ):
            reference = done(lambda *one, where=where, index=index: raw.revoke(where, one[index]))
            compare(
                table,
                name,
                done(operation),
                reference,
                limit="<= 1.5",
                against="the rows and the event, raw",
                rounds=ROUNDS,
                each=FEW,
            )


def revoking_all(large: Population, small: Population | None) -> None:
    """Everything, from BEGIN to COMMIT; a commit with an audit event is the reference, and the smaller population."""
    sides = [one for one in (large, small) if one]
    held: list[list[float]] = [[] for _ in sides]
    bare: list[float] = []
    with copied(large) as first, copied(small or large) as second:
        raw = Raw(second.home if small is None else first.home)
        registries = [population.open() for population in (first, second)[: len(sides)]]
        for turn in range(ROUNDS + 1):
            for registry, took in zip(registries, held, strict=True):
                registry.issue(username=f"new{turn}", application="A")  # so that there is something to revoke
                with noted_changes(registry, took):
                    registry.revoke(SessionFilter(everything=True), note="breach drill", actor="benchmark")
            began = time.perf_counter()
            raw.seq = raw.connection.execute("SELECT max(seq) FROM audit_events").fetchone()[0]
            with raw.change("benchmark"):
                pass
            bare.append(time.perf_counter() - began)
        for opened in (raw, *registries):
            opened.close()
    table = f"Writing, {large.sessions:,} sessions"
    ours, bare = held[0][1:], bare[1:]
    compared(table, "revoke all, BEGIN to COMMIT", ours, bare, limit="<= 2", against="a commit with an audit event")
    if small:
        compared(
            table,
            "revoke all, BEGIN to COMMIT",
            ours,
            held[1][1:],
            limit="<= 1.5",
            against=f"{small.sessions:,} sessions",
        )


if __name__ == "__main__":
    populations = [kept(int(text)) for text in sys.argv[1:] or ("100000",)]
    issuing(populations[0])
    revoking(populations[0])
    revoking_all(populations[-1], populations[-2] if len(populations) > 1 else None)
