"""Processes that register sessions at once, each over connections of its own: by `Registry.issue`, by the store alone, and bare."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from multiprocessing.synchronize import Barrier
from os import getpid
from statistics import quantiles
from typing import Any, NamedTuple

from measuring import noted_changes
from postgres_population import OnServer, server_cpu

from authctl import SessionFilter, audit_chain
from authctl.model import NewSession, Tokens
from authctl.names import new_id
from authctl.store.postgres.library import psycopg
from authctl.store.sql import rows
from tests.postgres_server import Server

_FORK = multiprocessing.get_context("fork")
_READY_SECONDS = 120
"""How long all processes have to open their connections."""

Work = Callable[[], object]
Maker = Callable[[OnServer, ExitStack], Work]


def by_registry(population: OnServer, opened: ExitStack) -> Work:
    """`Registry.issue`."""
    registry = opened.enter_context(population.open())
    names = (f"new{getpid()}.{number}@example.org" for number in count())
    return lambda: registry.issue(username=next(names), application="Outlook", device="AL-PC", actor="benchmark")


def by_store(population: OnServer, opened: ExitStack) -> Work:
    """The store's part alone: one change with a session whose values are ready, and its audit event."""
    registry = opened.enter_context(population.open())
    new = ready(population)

    def issue() -> None:
        session = new._replace(id=new_id())
        with registry._installation.store.change(shared=True, sign_in=session.username) as tx:
            tx.add_session(session)
            event = audit_chain.new_event(
                at=population.now,
                actor="benchmark",
                action="session.issue",
                subject=session.id,
                note=None,
                detail={"username_key": session.username, "application": "Outlook", "profile": "mail"},
            )
            assert tx.append_at_commit(event)
            tx.record_time(population.now)

    return issue


def bare(population: OnServer, opened: ExitStack) -> Work:
    """The row of a session, by a prepared INSERT of the driver: one statement, which is a transaction by itself."""
    connection = opened.enter_context(psycopg.connect(population.url, autocommit=True))
    connection.prepare_threshold = 0
    row = rows.columns(ready(population))
    is_open = connection.execute("SELECT id FROM revocations WHERE at IS NULL").fetchone()
    assert is_open
    given = ", ".join("%s" for _ in (*row, "revocation_id"))
    sql = f"INSERT INTO sessions ({', '.join(row)}, revocation_id) VALUES ({given})"
    rest = (*tuple(row.values())[1:], is_open[0])
    return lambda: connection.execute(sql, (new_id(), *rest))


MAKERS: dict[str, Maker] = {"issue": by_registry, "store": by_store, "bare": bare}


def ready(population: OnServer) -> NewSession:
    """A session as `issue` registers it."""
    now = population.now
    with population.open() as registry:
        profile = registry.profiles.in_force().profiles["mail"]
        key_id = registry._reader.mint().ring.signing.id
    return NewSession(
        id=new_id(),
        username="new.user@example.org",
        application="Outlook",
        device="AL-PC",
        kind="application",
        profile=profile.name,
        created_at=now,
        last_used_at=now,
        deadlines=profile.deadlines(now, now),
        signed_in_with=None,
        secret_hash=b"\0" * 32,
        key_id=key_id,
        tokens=Tokens.SINGLE,
    )


class Rate(NamedTuple):
    """How much one registration took, of the time of all processes together."""

    seconds: float
    cpu: float
    """CPU time of the client and of the server."""


def _run(kind: str, population: OnServer, barrier: Barrier, seconds: float, answers: Any) -> None:
    """A process: open, wait for the others, work until the time is over, and send how often."""
    with ExitStack() as opened:
        work = MAKERS[kind](population, opened)
        for _ in range(5):
            work()
        barrier.wait(_READY_SECONDS)
        began, until = time.process_time(), time.perf_counter() + seconds
        done = 0
        while time.perf_counter() < until:
            work()
            done += 1
        answers.put((done, time.process_time() - began))
        barrier.wait(_READY_SECONDS)  # nobody closes connections while others are measured


class Writers:
    """A number of processes that register sessions in one way, all at once."""

    def __init__(
        self, kind: str, population: OnServer, processes: int, seconds: float, server: Server | None = None
    ) -> None:
        self.seconds = seconds
        self._server = server
        self._answers = _FORK.Queue()
        self._barrier = _FORK.Barrier(processes + 1)
        given = (kind, population, self._barrier, seconds, self._answers)
        self._processes = [_FORK.Process(target=_run, args=given, daemon=True) for _ in range(processes)]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run the block while they work."""
        for process in self._processes:
            process.start()
        try:
            self._barrier.wait(_READY_SECONDS)
            yield
            answers = [self._answers.get(timeout=_READY_SECONDS + self.seconds) for _ in self._processes]
            self.server_cpu = server_cpu(self._server) if self._server else 0.0
            self.done, self.cpu = sum(done for done, _ in answers), sum(cpu for _, cpu in answers)
            self._barrier.wait(_READY_SECONDS)
        finally:
            for process in self._processes:
                process.join(_READY_SECONDS)
                if process.is_alive():
                    process.kill()

    def rate(self) -> Rate:
        """Let them work, and see what one registration took."""
        assert self._server is not None
        with self.working():
            used = server_cpu(self._server)
        # until the last of them has answered; the connections of all are still open
        used = self.server_cpu - used
        done = max(1, self.done)
        return Rate(self.seconds / done, (self.cpu + used) / done)


def revocations_beside(population: OnServer, processes: int, seconds: float, pause: float) -> list[float]:
    """How long each change that revokes everything took, one every `pause` seconds, while so many processes issue."""
    took: list[float] = []
    with population.open() as registry:
        registry.revoke(SessionFilter(everything=True), note="drill", actor="benchmark")
        writers = Writers("issue", population, processes, seconds)
        with writers.working(), noted_changes(registry, took):
            until = time.perf_counter() + seconds - 2 * pause
            while time.perf_counter() < until:
                registry.revoke(SessionFilter(everything=True), note="drill", actor="benchmark")
                time.sleep(pause)
    return took


def waits_beside(population: OnServer, processes: int, during: Work, pause: float = 0.02) -> list[float]:
    """How long each sign-in took that so many processes made meanwhile, each `pause` seconds after the one before."""
    is_over, barrier, answers = _FORK.Event(), _FORK.Barrier(processes + 1), _FORK.Queue()

    def sign_in() -> None:
        with ExitStack() as opened:
            work, took = by_registry(population, opened), []
            work()
            barrier.wait(_READY_SECONDS)
            while not is_over.is_set():
                began = time.perf_counter()
                work()
                took.append(time.perf_counter() - began)
                time.sleep(pause)
            answers.put(took)

    waiting = [_FORK.Process(target=sign_in, daemon=True) for _ in range(processes)]
    for process in waiting:
        process.start()
    try:
        barrier.wait(_READY_SECONDS)
        during()
        is_over.set()
        return [one for _ in waiting for one in answers.get(timeout=_READY_SECONDS)]
    finally:
        for process in waiting:
            process.join(_READY_SECONDS)
            if process.is_alive():
                process.kill()


def lone_commits(population: OnServer, times: int) -> list[float]:
    """How long a transaction with an audit event takes on a connection that is alone, written raw by the driver."""
    took: list[float] = []
    with closing(psycopg.connect(population.url)) as connection:
        connection.prepare_threshold = 0
        # the registry's own log takes only its next event, and is nobody else's to write
        names = "seq, at, actor, action, subject, note, detail, prev_hash, hash, text_key"
        sql = f"INSERT INTO audit_copy ({names}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        connection.execute("CREATE TABLE IF NOT EXISTS audit_copy (LIKE audit_events INCLUDING INDEXES)")
        connection.commit()
        top = connection.execute("SELECT coalesce(max(seq), 0) FROM audit_copy").fetchone()
        assert top
        connection.commit()
        for seq in range(top[0] + 1, top[0] + times + 1):
            began = time.perf_counter()
            values = (seq, population.now, "raw", "session.revoke", "1", "drill", "{}", "0" * 64, "1" * 64, "raw drill")
            connection.execute(sql, values)
            connection.commit()
            took.append(time.perf_counter() - began)
    return took


def percentile(times: list[float], which: int) -> float:
    """That percentile of some times."""
    return quantiles(times, n=100, method="inclusive")[which - 1] if len(times) > 1 else times[0]
