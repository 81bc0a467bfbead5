"""What lists, counts and searches cost beside the bare SELECT.

    python benchmarks/lists.py [SESSIONS ...]     # 10,000 and 100,000 unless said otherwise

Every first page, the next page at any depth, counts and searches.
"""

import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from measuring import compare
from population import Population, kept

from authctl import Registry, SessionFilter
from authctl.store.sqlite.library import sqlite3

PAGE = 50
ROUNDS = 9
KIND = "application"
INDEXES = {
    "all": "SELECT * FROM sessions INDEXED BY sessions_by_use WHERE kind = 'application' ORDER BY last_used_at DESC LIMIT 50",
    "active": "SELECT * FROM sessions INDEXED BY sessions_by_revocation WHERE revocation_id = 1 AND kind = 'application'"
    " AND expires_at > unixepoch() * 1000000 ORDER BY last_used_at DESC LIMIT 50",
    "expired": "SELECT * FROM sessions INDEXED BY sessions_by_expiry WHERE revocation_id = 1 AND kind = 'application'"
    " AND profile_key = 'mail' AND expires_at <= unixepoch() * 1000000 ORDER BY expires_at DESC LIMIT 50",
    "revoked": "SELECT s.* FROM revocations AS r INDEXED BY revocations_by_time CROSS JOIN sessions AS s INDEXED BY sessions_by_revocation"
    " ON s.revocation_id = r.id WHERE s.kind = 'application' AND r.at IS NOT NULL ORDER BY r.at DESC, r.id DESC LIMIT 50",
    "user": "SELECT * FROM sessions INDEXED BY sessions_by_user WHERE username_key = ? ORDER BY last_used_at DESC LIMIT 50",
}
STATUSES = ("all", "active", "expired", "revoked", "user")


def selection(name: str, user: str) -> SessionFilter:
    """The filter of a list."""
    if name == "user":
        return SessionFilter(username=user, kind=KIND)
    return SessionFilter(kind=KIND) if name == "all" else SessionFilter(status=name, kind=KIND)


def first_page(registry: Registry, wanted: SessionFilter) -> Callable[[], object]:
    """Reading it."""
    return lambda: list(islice(registry.sessions(wanted), PAGE))


def bare(home: Path, sql: str, *given: object) -> Callable[[], object]:
    """A SELECT by the standard library."""
    connection = sqlite3.connect(home / "registry.db", isolation_level=None)
    return lambda: connection.execute(sql, given[: sql.count("?")]).fetchall()


def size(sessions: int) -> str:
    """10k, 100k, 1M, 10M."""
    return f"{sessions // 1_000_000}M" if sessions >= 1_000_000 else f"{sessions // 1_000}k"


def some_user(registry: Registry) -> str:
    """A user who has a few sessions."""
    return next(iter(registry.sessions(SessionFilter(application="Yammer")))).username


def few(population: Population) -> int:
    """How many rounds, where the reference reads every row."""
    return 5 if population.sessions <= 1_000_000 else 2


def lists(population: Population) -> None:
    """First pages, next pages, counts and searches of one population."""
    at = f"at {size(population.sessions)}"
    with population.open() as registry:
        user = some_user(registry)
        for name in STATUSES:
            wanted = selection(name, user)
            compare(
                f"Lists, {population.sessions:,} sessions",
                f"first page of {name} {at}",
                first_page(registry, wanted),
                bare(population.home, INDEXES[name], user),
                against="the indexed SELECT",
                rounds=ROUNDS,
            )
        everything = registry.sessions(SessionFilter(kind=KIND))
        near, deep = (next(islice(everything, skip, None)).id for skip in (PAGE, population.sessions // 2))

        def page_after(session_id: str) -> Callable[[], object]:
            return lambda: list(islice(registry.sessions(SessionFilter(kind=KIND), after=session_id), PAGE))

        compare(
            f"Lists, {population.sessions:,} sessions",
            f"page in the middle {at}",
            page_after(deep),
            page_after(near),
            limit="<= 1.2",
            against="the second page",
            rounds=ROUNDS,
        )
        one_pass = bare(
            population.home, "SELECT count(*) FROM sessions NOT INDEXED WHERE expires_at > 0 AND kind = 'application'"
        )
        for name in ("all", "active", "expired", "revoked"):
            wanted = selection(name, user)
            compare(
                f"Counts, {population.sessions:,} sessions",
                f"count {name} {at}",
                lambda wanted=wanted: registry.count(wanted),
                one_pass,
                limit="<= 0.1",
                against="one pass over the table",
                rounds=few(population),
            )
        searches(population, registry, user)


def searches(population: Population, registry: Registry, user: str) -> None:
    """Searches of what few, many and no sessions have."""
    columns = ("username", "application", "device", "platform", "ip")
    like = " OR ".join(f"{column} LIKE '%' || ?1 || '%'" for column in columns)
    device = next(one.device for one in registry.sessions(SessionFilter(username=user)) if one.device)
    texts = {
        "a user": user,
        "a device": device,
        "an address": "10.77.1",
        "a note": "suspicious sign-in",
        "no session": "nowhere at all",
        "two letters": "zq",
    }
    for name, text in texts.items():
        wanted = SessionFilter(search=text, kind=KIND)
        reference = bare(
            population.home,
            f"SELECT * FROM sessions NOT INDEXED WHERE {like} ORDER BY last_used_at DESC LIMIT 50",
            text,
        )
        compare(
            f"Searches, {population.sessions:,} sessions",
            f"search for {name} at {size(population.sessions)}",
            first_page(registry, wanted),
            reference,
            limit="" if len(text) < 3 else "<= 0.05",
            against="LIKE over the columns",
            rounds=few(population),
        )


if __name__ == "__main__":
    began = time.monotonic()
    populations = [kept(int(text)) for text in sys.argv[1:] or ("10000", "100000")]
    for each in populations:
        lists(each)
    print(f"\n{time.monotonic() - began:.0f} s")
