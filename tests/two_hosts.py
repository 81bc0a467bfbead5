"""Two hosts on one registry in PostgreSQL, stopped at a statement: which change comes in between is decided by a test.

A deed is what one host does, in a thread of its own. It stops before, or after, the first statement that a pattern matches, and goes on
when it is told to. Nothing waits by the clock: another deed has either ended, or its connection waits for a lock of the server.
"""

from __future__ import annotations

import re
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server

if TYPE_CHECKING:
    from tests.conftest import Clock

PROFILES = """\
version: 1
default_profile: single
profiles:
  single: {idle_timeout: 3d, on_revoke: wipe}
  pair: {idle_timeout: 3d, tokens: pair, refresh: {grace: 0s, on_reuse: revoke}}
  login: {idle_timeout: 3d, authenticator: file, cache: {max_age: 1h}}
  small: {idle_timeout: 3d, authenticator: file, cache: {max_age: 1h, capacity: 2}}
"""
COMMIT = "(^|; )COMMIT"
CHAIN = r"SELECT pg_advisory_xact_lock\(\$1\)"
PATIENCE = 60.0
"""The seconds after which a test fails instead of waiting."""

Rewrite = Callable[[Callable[[str], Any], str], str]
"""A change of a statement: it is given a function that runs a statement of its own, and the text."""

_deeds = threading.local()


class Deed:
    """An operation of one host. It stops once: before or after the statement that a pattern matches."""

    def __init__(self, work: Callable[[], Any], *, before: str = "", after: str = "") -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self.process = 0
        """The server's process of the connection that was used last."""
        self.rewrites: tuple[Rewrite, ...] = ()
        self._before, self._after = before, after
        self._work = work
        self._stops, self._goes = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        _deeds.current = self
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001  # a test looks at it
            self.error = error
        finally:
            self._stops.set()

    def start(self) -> Deed:
        """Let it run, up to its stop if it has one."""
        self._thread.start()
        if self._before or self._after:
            assert self._stops.wait(PATIENCE)
            assert self._thread.is_alive(), (self.result, self.error)
        return self

    def go_on(self) -> None:
        """Let it run to its end."""
        self.leave()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def leave(self) -> None:
        """Let it leave its stop, and do not wait for its end."""
        self._goes.set()

    def has_ended(self) -> bool:
        """Whether it is over."""
        return not self._thread.is_alive()

    def meet(self, is_after: bool, text: str) -> None:
        """Stop here, if this is the place."""
        pattern = self._after if is_after else self._before
        if pattern and not self._stops.is_set() and re.search(pattern, text, re.DOTALL):
            self._stops.set()
            assert self._goes.wait(PATIENCE)


@contextmanager
def stopped_at_statements() -> Iterator[None]:
    """Let deeds stop at the statements of their connections."""
    from authctl.store.postgres import connections
    from authctl.store.postgres.connection import Connection

    real, sent = Connection.execute, Connection.exchange

    def rewritten(deed: Deed, connection: Any, text: str) -> str:
        for rewrite in deed.rewrites:
            text = rewrite(lambda sql: real(connection, sql), text)
        return text

    def execute(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        deed: Deed | None = getattr(_deeds, "current", None)
        if deed is None:
            return real(self, query, *given, **options)
        deed.process = self.info.backend_pid
        query = rewritten(deed, self, query)
        deed.meet(False, query)
        answer = real(self, query, *given, **options)
        deed.meet(True, query)
        return answer

    def exchange(self: Any, *statements: Any) -> Any:
        deed: Deed | None = getattr(_deeds, "current", None)
        if deed is None:
            return sent(self, *statements)
        deed.process = self.info.backend_pid
        statements = tuple(one._replace(sql=rewritten(deed, self, one.sql.strip())) for one in statements)
        text = "; ".join(one.sql for one in statements)
        deed.meet(False, text)
        answer = sent(self, *statements)
        deed.meet(True, text)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "execute", execute)
        patch.setattr(Connection, "exchange", exchange)
        # a deed stands still on purpose: on a slow machine the server must not end it before the other deed has come as far
        patch.setattr(connections, "STALL_SECONDS", {True: 120, False: 120})
        yield


def waits(server: Server, deed: Deed) -> bool:
    """Whether a deed waits for a lock; False if it has ended. One of both comes to be."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if deed.has_ended():
            return False
        if deed.process and server.execute(f"SELECT 1 FROM pg_locks WHERE pid = {deed.process} AND NOT granted"):
            return True
        time.sleep(0.005)
    raise AssertionError("it neither ends nor waits for a lock")


def two_hosts(folder: Path, url: str, text: str, clock: Any) -> tuple[Registry, Registry]:
    """A new registry, opened by two hosts with homes of their own."""
    first, second = folder / "first", folder / "second"
    raw = text.encode()
    create(find_home(first, url), profiles.read(raw, "profiles.yaml"), raw, actor="founder", clock=clock)
    second.mkdir(mode=0o700)
    shutil.copy2(first / "keys.json", second / "keys.json")
    return Registry.open(first, registry=url, clock=clock), Registry.open(second, registry=url, clock=clock)


def written_program(folder: Path, name: str, text: str) -> Path:
    """A program of that text in the folder of two hosts, which both can run."""
    program = folder / name
    program.write_text(text)
    program.chmod(stat.S_IRWXU)
    return program


def configure(folder: Path, kind: str, entry: str) -> None:
    """Give two hosts in a folder a file of authenticators or receivers with that one entry."""
    for home in ("first", "second"):
        file = folder / home / f"{kind}.yaml"
        file.touch(0o600)
        file.write_text(f"version: 1\n{kind}: {{{entry}}}\n")


class Hosts(NamedTuple):
    """Two hosts, their clock, and the server."""

    first: Registry
    second: Registry
    clock: Clock
    server: Server
    folder: Path
    url: str

    def rows(self, sql: str) -> list[Any]:
        """Rows of the database itself."""
        from authctl.store.postgres.library import psycopg

        with psycopg.connect(self.url) as connection:
            return connection.execute(sql).fetchall()

    def actions(self, action: str) -> int:
        """How many events of that action there are."""
        return self.rows(f"SELECT count(*) FROM audit_events WHERE action = '{action}'")[0][0]


@pytest.fixture
def hosts(tmp_path: Path, prepared_url: str, postgres_server: Server) -> Iterator[Hosts]:
    """Two hosts on an empty registry; both clocks stand still."""
    from tests.conftest import Clock  # which imports this fixture

    clock = Clock()
    first, second = two_hosts(tmp_path, prepared_url, PROFILES, clock)
    with stopped_at_statements():
        yield Hosts(first, second, clock, postgres_server, tmp_path, prepared_url)
    for registry in (first, second):
        registry.audit.verify()
        registry.close()


def issue(registry: Registry, username: str = "alice", profile: str = "single") -> Any:
    """Sign in."""
    return registry.issue(username=username, application="Outlook", profile=profile)


def no_gate(_run: Callable[[str], Any], text: str) -> str:
    """Nobody waits for anybody; `run_both` takes the gate away, since its statement looks like that of other locks."""
    return text


def run_both(hosts: Hosts, one: Deed, other: Deed, *without: Any) -> bool:
    """The second deed begins where the first one stopped. Returns whether it had to wait."""
    from authctl.store.postgres import gate

    for deed in (one, other):
        deed.rewrites = without
    with pytest.MonkeyPatch.context() as patch:
        if no_gate in without:
            patch.setattr(gate.Entrance, "function", "abs")
            patch.setattr(gate.Entrance, "alone", ())  # the row of the turn keeps changes that are alone apart, too
        one.start()
        other.start()
        waited = waits(hosts.server, other)
        one.go_on()
        other.go_on()
    return waited
