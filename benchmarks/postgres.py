"""A registry in PostgreSQL beside bare statements of the same driver, on a server of its own that this program starts.

    python benchmarks/postgres.py [SESSIONS] [PART ...]      # 100,000 sessions and all parts unless said otherwise

Parts: verify, issue, revoke, lists, cleanup, imports. Each is measured beside its reference in one run, in turn. Ends with 77 where
no server can be had. What `issue` and the bare INSERT reach depends on a flush: see `postgres_population.py`.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from lists import KIND, PAGE, STATUSES, first_page, selection, some_user
from measuring import compare, compared, fact, noted_changes, seconds
from postgres_bulk import CPU, cleaning, importing
from postgres_population import Bench, OnServer, bench, cores, server_cpu, server_version
from postgres_writers import Rate, Writers, lone_commits, percentile, revocations_beside

from authctl import Registry, SessionFilter, TokenInvalid
from authctl.store.postgres.library import psycopg

PARTS = ("verify", "issue", "revoke", "lists", "cleanup", "imports")
TOKENS = 500
RUN_SECONDS = 2.0
TURNS = 5
CONNECTIONS = (1, 16, 64)
LIMITS = {"issue": (0.7, 0.45, 0.2), "store": (0.9, 0.6, 0.25)}
NAMES = {"issue": "Registry.issue", "store": "the store's part of issue, values ready"}
NOW = "(extract(epoch FROM now()) * 1000000)::bigint"
LISTED = "SELECT * FROM sessions WHERE"
INDEXED = {
    "all": f"{LISTED} kind = 'application' ORDER BY last_used_at DESC, number DESC LIMIT 50",
    "active": f"{LISTED} revocation_id = (SELECT id FROM revocations WHERE at IS NULL) AND kind = 'application' AND expires_at > {NOW}"
    " ORDER BY last_used_at DESC, number DESC LIMIT 50",
    "expired": f"{LISTED} revocation_id = (SELECT id FROM revocations WHERE at IS NULL) AND kind = 'application' AND profile_key = 'mail'"
    f" AND expires_at <= {NOW} ORDER BY expires_at DESC, number DESC LIMIT 50",
    "revoked": "SELECT s.* FROM (SELECT id, at FROM revocations WHERE at IS NOT NULL ORDER BY at DESC, id DESC LIMIT 60) AS r"
    " JOIN sessions AS s ON s.revocation_id = r.id WHERE s.kind = 'application' ORDER BY r.at DESC, r.id DESC LIMIT 50",
    "user": f"{LISTED} username_key = %s ORDER BY last_used_at DESC, number DESC LIMIT 50",
}
"""The statements of first pages, as one writes them by hand for the indexes that are there."""


def prepared(url: str) -> Any:
    """A connection of the driver that prepares each statement at once."""
    connection = psycopg.connect(url, autocommit=True)
    connection.prepare_threshold = 0
    return connection


def verifying(made: Bench, population: OnServer) -> None:
    """`Registry.verify`, and a SELECT of four columns by number."""
    with population.open() as registry, prepared(population.url) as connection:
        numbers = active_numbers(population, registry)
        tokens = [population.token(number) for number in numbers]
        sql = "SELECT id, username, expires_at, revocation_id FROM sessions WHERE number = %s"
        whole = "SELECT * FROM sessions WHERE number = %s"

        def ours() -> None:
            for token in tokens:
                registry.verify(token)

        def looked_up(text: str) -> Callable[[], None]:
            def bare() -> None:
                for number in numbers:
                    connection.execute(text, (number,)).fetchone()

            return bare

        table = f"PostgreSQL: verify, {population.sessions:,} sessions"
        for text, limit, against in (
            (sql, "<= 1.25", "a bare prepared SELECT of four columns"),
            (whole, "", "a bare prepared SELECT of the row"),
        ):
            compare(table, "verify", ours, looked_up(text), limit=limit, against=against, rounds=15, each=len(tokens))
            used: tuple[list[float], list[float]] = ([], [])
            for _ in range(7):
                for operation, times in zip((ours, looked_up(text)), used, strict=True):
                    times.append(cpu_of(made, operation) / (4 * len(tokens)))
            compared(table, f"verify, {CPU}", *used, limit=limit, against=against)


def cpu_of(made: Bench, operation: Callable[[], object]) -> float:
    """The CPU time of client and server that an operation takes, done four times."""
    before = time.process_time() + server_cpu(made.server)
    for _ in range(4):
        operation()
    return time.process_time() + server_cpu(made.server) - before


def active_numbers(population: OnServer, registry: Registry) -> list[int]:
    """The numbers of some sessions whose tokens are good; their uses are written by that."""
    found = []
    for number in range(1, population.sessions, max(1, population.sessions // (TOKENS * 3))):
        try:
            registry.verify(population.token(number))
        except TokenInvalid:
            continue
        found.append(number)
        if len(found) == TOKENS:
            break
    time.sleep(1)  # the uses that waited are written
    for number in found:
        registry.verify(population.token(number))
    return found


def issuing(made: Bench, population: OnServer) -> None:
    """Registrations from 1, 16 and 64 connections, each by a process, beside the bare INSERT by as many."""
    table = f"PostgreSQL: registrations a second, {cores()} cores, a flush takes 1 ms"
    for place, processes in enumerate(CONNECTIONS):
        taken: dict[str, list[Rate]] = {"bare": [], "store": [], "issue": []}
        for _ in range(TURNS):
            for kind, times in taken.items():
                times.append(Writers(kind, population, processes, RUN_SECONDS, made.server).rate())
        connections = "1 connection" if processes == 1 else f"{processes} connections"
        for kind, name in NAMES.items():
            limit = f"speed >= {LIMITS[kind][place]}"
            bare = taken["bare"]
            against = f"the bare INSERT, {1 / statistics.median(one.seconds for one in bare):,.0f} a second"
            seconds_each, cpu_each = (
                [[one[which] for one in side] for side in (taken[kind], bare)] for which in (0, 1)
            )
            compared(table, f"{name}, {connections}", *seconds_each, limit=limit, against=against)
            compared(table, f"{name}, {connections}, {CPU}", *cpu_each, against="the bare INSERT")


def revoking(populations: Sequence[OnServer]) -> None:
    """A revocation of everything: alone and beside 64 connections that issue, at two sizes."""
    alone: list[list[float]] = []
    for population in populations:
        commits = lone_commits(population, 40)[5:]
        with population.open() as registry:
            changes: list[float] = []
            with noted_changes(registry, changes):
                times = [revoke_everything(registry, changes) for _ in range(40)][5:]
        alone.append([change for change, _ in times])
        whole = [all_of_it for _, all_of_it in times]
        table = f"PostgreSQL: revoke all, {population.sessions:,} sessions"
        compared(table, "revoke all, its change", alone[-1], commits, against="a lone commit with an event")
        compared(table, "revoke all, with the counts after it", whole, commits, against="a lone commit with an event")
        took = revocations_beside(population, 64, 3 * RUN_SECONDS, 0.15)
        median, commit = statistics.median(took), statistics.median(commits)
        name = f"revoke all beside 64 connections that issue, {len(took)} times"
        compared(table, f"{name}: p50", [median], [commit], limit="<= 8", against="a lone commit with an event")
        compared(table, f"{name}: max", [max(took)], [commit], limit="<= 50 ms", against="a lone commit with an event")
        fact(
            "PostgreSQL: revoke all beside 64 connections",
            {"sessions": f"{population.sessions:,}"} | milliseconds(took),
        )
    small, large = (population.sessions for population in populations)
    table, against = f"PostgreSQL: revoke all, {large:,} sessions", f"{small:,} sessions"
    compared(table, "revoke all, its change", alone[1], alone[0], limit="<= 1.5", against=against)


def revoke_everything(registry: Registry, changes: list[float]) -> tuple[float, float]:
    """Register a session, and revoke everything: how long its change took, and all of it with the counts after the commit."""
    registry.issue(username="new", application="Mail")
    changes.clear()
    whole = seconds(lambda: registry.revoke(SessionFilter(everything=True), note="drill", actor="benchmark"))
    return changes[0], whole


def milliseconds(took: Sequence[float]) -> dict[str, str]:
    """The middle and the end of some times."""
    named = {"p50": statistics.median(took), "p95": percentile(list(took), 95), "max": max(took)}
    return {name: f"{value * 1000:.1f} ms" for name, value in named.items()}


def listing(population: OnServer) -> None:
    """First pages, counts and searches beside the statements that one would write by hand."""
    at = f"{population.sessions:,} sessions"
    with population.open() as registry, prepared(population.url) as connection:
        user = some_user(registry)

        def bare(sql: str, *given: object) -> Callable[[], object]:
            return lambda: connection.execute(sql, given or None).fetchall()

        for name in STATUSES:
            reference = bare(INDEXED[name], *([user] if name == "user" else []))
            ours = first_page(registry, selection(name, user))
            compare(f"PostgreSQL: lists, {at}", f"first page of {name}", ours, reference, against="the indexed SELECT")
        everything = registry.sessions(SessionFilter(kind=KIND))
        near, deep = (next(islice(everything, skip, None)).id for skip in (PAGE, population.sessions // 2))

        def page_after(session_id: str) -> Callable[[], object]:
            return lambda: list(islice(registry.sessions(SessionFilter(kind=KIND), after=session_id), PAGE))

        name, limit = "page in the middle", "<= 1.2"
        compare(
            f"PostgreSQL: lists, {at}", name, page_after(deep), page_after(near), limit=limit, against="the second page"
        )
        one_pass = bare(
            "SELECT count(*) FROM sessions WHERE search_text <> '' AND expires_at > 0 AND kind = 'application'"
        )
        for name in ("all", "active", "expired", "revoked"):
            counted = selection(name, user)

            def count(counted: SessionFilter = counted) -> object:
                return registry.count(counted)

            table = f"PostgreSQL: counts, {at}"
            compare(table, f"count {name}", count, one_pass, against="one pass over the table", rounds=5)
        searching(population, registry, user, bare)


def searching(population: OnServer, registry: Registry, user: str, bare: Callable[..., Callable[[], object]]) -> None:
    """Searches, and LIKE over the text that has an index of trigrams."""
    device = next(one.device for one in registry.sessions(SessionFilter(username=user)) if one.device)
    texts = {
        "a user": user,
        "a device": device.lower(),
        "an address": "10.77.1",
        "no session": "nowhere at all",
    }
    like = "SELECT * FROM sessions WHERE search_text LIKE %s ORDER BY last_used_at DESC LIMIT 50"
    scanned = "SELECT * FROM sessions WHERE search_text || '' LIKE %s ORDER BY last_used_at DESC LIMIT 50"
    for name, text in texts.items():
        ours = first_page(registry, SessionFilter(search=text, kind=KIND))
        table = f"PostgreSQL: searches, {population.sessions:,} sessions"
        for sql, limit, against in (
            (like, "", "LIKE by the index of trigrams"),
            (scanned, "<= 0.05", "LIKE over every row"),
        ):
            compare(table, f"search for {name}", ours, bare(sql, f"%{text}%"), limit=limit, against=against, rounds=5)


def main(sessions: int, parts: Sequence[str]) -> None:
    """Measure those parts."""
    with bench() as made:
        print(f"PostgreSQL {server_version(made.server)}, psycopg {psycopg.__version__}, {sessions:,} sessions")
        if "imports" in parts:
            importing(made, sessions)
        if "cleanup" in parts:
            cleaning(made, made.population(sessions))
        if not set(parts) - {"imports", "cleanup"}:
            return
        population = made.population(sessions)
        if "verify" in parts:
            verifying(made, population)
        if "lists" in parts:
            listing(population)
        if "issue" in parts:
            issuing(made, population)
        if "revoke" in parts:
            revoking([made.population(max(1_000, sessions // 10)), population])


if __name__ == "__main__":
    began = time.monotonic()
    wanted = sys.argv[2:] or PARTS
    if unknown := set(wanted) - set(PARTS):
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}\n\n{__doc__}")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, wanted)
    print(f"\n{time.monotonic() - began:.0f} s")
