"""Plans of a real PostgreSQL server at two hundred thousand sessions: no first page, search or look-up reads a whole table."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from authctl import Registry, SessionFilter, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
if why_not() is None:
    from authctl.store.postgres.connection import Connection
    from authctl.store.postgres.exchange import Statement

PROFILES = b"version: 1\ndefault_profile: mail\nprofiles: {mail: {idle_timeout: 30d}}\n"
ROWS = 200_000
LARGE = {"sessions", "revocations"}
"""The tables that are large here; others have a few rows, which are read as a whole."""

DAY = "86400000000"
_NOW = "(extract(epoch FROM now()) * 1000000)::bigint"
_FILL = f"""
INSERT INTO revocations (at, actor, note, note_key, selector)
    SELECT {_NOW} - n::bigint * 1000000, 'alice', 'lost device ' || n, 'lost device ' || n, '{{}}' FROM generate_series(1, 20000) AS n;
WITH made AS (
    SELECT n, used, used - {DAY} AS created, used + 30 * {DAY} AS expires, 'user' || n % 30000 || '@example.org' AS name
    FROM (SELECT n, {_NOW} - (n::bigint * 7919 % 200000) * 60 * 1000000 * 6 / 10 AS used FROM generate_series(1, {ROWS}) AS n) AS drawn
)
INSERT INTO sessions (id, username, username_key, application, application_key, device, device_key, ip, kind, profile, profile_key,
    created_at, last_used_at, slid_at, use_due_at, idle_expires_at, absolute_expires_at, expires_at, revocation_id, secret_hash)
SELECT 'a' || lpad(n::text, 15, 'b'), name, name, 'Outlook', 'outlook', 'DEV-' || n, 'dev-' || n, '10.0.' || n % 200 || '.7',
    CASE n % 11 WHEN 0 THEN 'web' ELSE 'application' END, 'mail', 'mail', created, used, used, used, expires, expires, expires,
    CASE n % 20 WHEN 7 THEN 2 + n / 20 ELSE 1 END, sha256('x')
FROM made;
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, postgres_server: Server) -> Iterator[Registry]:
    """A registry of many sessions, which the server has analysed."""
    home = tmp_path_factory.mktemp("plans") / "home"
    with postgres_server.fresh_database() as url:
        create(find_home(home, url), profiles.read(PROFILES, "profiles.yaml"), PROFILES)
        database = url.removeprefix("postgresql:///").partition("?")[0]
        postgres_server.execute(_FILL, database)
        postgres_server.execute("VACUUM ANALYZE", database)
        with Registry.open(home, registry=url) as opened:
            yield opened


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The tables that statements read as a whole from now on, each with its statement."""
    found: list[tuple[str, str]] = []
    real, sent, real_find = Connection.execute, Connection.exchange, Connection.find

    def execute(self, query: str, params: Any = None, **options: Any) -> Any:
        if re.match(r"\s*(SELECT|WITH|UPDATE|INSERT|DELETE)", query) and ";" not in query:
            found.extend(scanned(real(self, f"EXPLAIN (FORMAT JSON) {query}", params).fetchone()[0], query))
        return real(self, query, params, **options)

    def exchange(self, *statements: Statement) -> Any:
        for one in statements:
            if len(statements) == 1 and one.sql.startswith("SELECT"):
                ((plan,),) = sent(self, one._replace(sql=f"EXPLAIN (FORMAT JSON) {one.sql}"))[0]
                found.extend(scanned(plan, one.sql))
        return sent(self, *statements)

    monkeypatch.setattr(Connection, "execute", execute)

    def find(self, look_up: Statement) -> Any:
        ((plan,),) = sent(self, look_up._replace(sql=f"EXPLAIN (FORMAT JSON) {look_up.sql}"))[0]
        found.extend(scanned(plan, look_up.sql))
        return real_find(self, look_up)

    monkeypatch.setattr(Connection, "exchange", exchange)
    monkeypatch.setattr(Connection, "find", find)
    return found


def scanned(plan: Any, query: str) -> Iterator[tuple[str, str]]:
    """The large tables that a plan reads as a whole."""
    waiting = [json.loads(plan) if isinstance(plan, str) else plan]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if node.get("Node Type") == "Seq Scan" and node["Relation Name"] in LARGE:
                yield str(node["Relation Name"]), query
            waiting.extend(value for value in node.values() if isinstance(value, (dict, list)))


@pytest.mark.parametrize(
    "wanted",
    [
        SessionFilter(),
        SessionFilter(kind="application"),
        *(SessionFilter(status=status, kind="web") for status in ("active", "expired", "revoked")),
        *(SessionFilter(status=status) for status in ("active", "expired", "revoked")),
        SessionFilter(username="user17@example.org"),
        SessionFilter(username="user17@example.org", status="active"),
        SessionFilter(ids=("abbbbbbbbbbbbb17",)),
        SessionFilter(search="dev-17"),
        SessionFilter(search="user2999"),
        SessionFilter(search="nowhere at all"),
        SessionFilter(search="lost device 19"),
        SessionFilter(search="10.0.77.7", status="active"),
    ],
    ids=lambda wanted: repr({name: value for name, value in wanted.criteria().items() if value}),
)
def test_no_first_page_reads_a_whole_table(registry: Registry, plans: list[tuple[str, str]], wanted: SessionFilter):
    """Each list, status and search begins with an index."""
    assert len(list(islice(registry.sessions(wanted), 50))) > 0 or wanted.search == "nowhere at all"
    assert plans == []


def test_the_domain_of_a_searched_address_is_not_looked_for(registry: Registry):
    """The lists of its trigrams, which every session is in, are the most of an index that a whole address reads."""
    with registry._installation.store.view() as view:
        connection = view.connection.connection

        def pages_read(text: str) -> int:
            sql = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT number FROM sessions WHERE search_text LIKE %s"
            ((plan,),) = connection.execute(sql, (f"%{text}%",)).fetchall()
            return sum(plan[0]["Plan"][f"Shared {kind} Blocks"] for kind in ("Hit", "Read"))

        real, read = connection.execute, []

        def counted(sql: str, given: Any = None, **options: Any) -> Any:
            ((plan,),) = real(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", given).fetchall()
            read.append(sum(plan[0]["Plan"][f"Shared {kind} Blocks"] for kind in ("Hit", "Read")))
            return real(sql, given, **options)

        whole = pages_read("user2999@example.org")
        connection.execute = counted
        assert len(view.numbers_containing("user2999@example.org")) > 0
        del connection.execute
    of_sessions, _of_notes = read
    assert of_sessions < whole / 4


def test_a_look_up_and_a_sign_in_read_no_whole_table(registry: Registry, plans: list[tuple[str, str]]):
    """`verify`, `issue`, `show`, and a revocation by user."""
    issued = registry.issue(username="user17@example.org", application="Outlook")
    assert registry.verify(issued.access_token).id == issued.session.id
    assert registry.session(issued.session.id).id == issued.session.id
    registry.revoke(SessionFilter(username="user17@example.org"), note="lost device")
    assert plans == []


def test_a_cleanup_removes_many_revocations_in_steps(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    """The gate is held alone in each, and the foreign key costs a look for each revocation that goes."""
    steps: list[int] = []
    real = Connection.execute

    def execute(self, query: str, params: Any = None, **options: Any) -> Any:
        cursor = real(self, query, params, **options)
        if query.startswith("DELETE FROM revocations"):
            steps.append(cursor.rowcount)
        return cursor

    monkeypatch.setattr(Connection, "execute", execute)
    registry.cleanup.run()
    assert sum(steps) == 10_000
    assert max(steps) <= 5_000
    assert steps[-1] == 0


def test_the_plans_are_looked_at(registry: Registry, plans: list[tuple[str, str]]):
    """A statement that no index helps is noticed."""
    with registry._installation.store.view() as view:
        view.all_rows("SELECT count(*) FROM sessions WHERE ip LIKE ?", ("10.1%",))
    assert [table for table, _ in plans] == ["sessions"]
