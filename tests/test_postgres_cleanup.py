"""A cleanup on a real PostgreSQL server that is not vacuumed meanwhile: no batch passes what the batches before it removed."""

from pathlib import Path
from typing import Any

import pytest

from authctl import Registry, profiles
from authctl.registry.init import create
from authctl.settings import find_home
from tests.postgres_server import Server, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
if why_not() is None:
    from authctl.store.postgres.connection import Connection

PROFILES = b"version: 1\ndefault_profile: mail\nprofiles: {mail: {idle_timeout: 30d}, apps: {idle_timeout: 40d}}\n"
ENDED, SIZE = 6_000, 500
DAY = 86_400_000_000
_FILL = f"""
WITH made AS (
    SELECT n, (extract(epoch FROM now()) * 1000000)::bigint - 400 * {DAY} + n AS used FROM generate_series(1, {ENDED}) AS n
)
INSERT INTO sessions (id, username, username_key, kind, profile, profile_key, created_at, last_used_at, slid_at, use_due_at,
    idle_expires_at, absolute_expires_at, expires_at, revocation_id)
SELECT 'a' || lpad(n::text, 15, 'b'), 'alice', 'alice', 'application', profile, profile, used, used, used, used, used + 1, used + 1, used + 1, 1
FROM made JOIN (VALUES ('mail'), ('apps')) AS p (profile) ON (n = {ENDED}) = (profile = 'apps');
"""


def test_no_batch_passes_what_was_removed(
    tmp_path: Path, postgres_url: str, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
):
    """The pages that each batch reads for its sessions are no more at the end than at the beginning; the profiles are read once by all of them."""
    create(find_home(tmp_path / "home", postgres_url), profiles.read(PROFILES, "profiles.yaml"), PROFILES)
    database = postgres_url.removeprefix("postgresql:///").partition("?")[0]
    postgres_server.execute(_FILL, database)
    postgres_server.execute("VACUUM ANALYZE", database)
    postgres_server.execute("ALTER TABLE sessions SET (autovacuum_enabled = off)", database)
    read: list[int] = []
    of_profiles = 0
    real = Connection.execute

    def execute(self, query: str, params: Any = None, **options: Any) -> Any:
        nonlocal of_profiles
        of_profiles += "found (key)" in query
        if query.startswith("SELECT s.number, s.expires_at"):
            ((plan,),) = real(self, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", params).fetchall()
            read.append(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])
        return real(self, query, params, **options)

    monkeypatch.setattr(Connection, "execute", execute)
    with Registry.open(tmp_path / "home", registry=postgres_url) as registry:
        assert registry.cleanup.run(batch_size=SIZE).removed == ENDED
    assert len(read) >= ENDED // SIZE
    _of_the_other_profile, first, *later = read
    assert max(later) < 2 * first
    assert of_profiles == 2  # by the count of what is due, and by the first batch
