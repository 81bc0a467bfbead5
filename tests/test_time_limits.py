"""A time limit of asyncio around a call of the library, as docs/adapters.md describes it."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from authctl import Registry, RegistryUnavailable, SessionFilter
from tests import places
from tests.conftest import Authctl


@pytest.mark.parametrize("lock_timeout", [None, 0.05], ids=["limit of asyncio", "limit of the registry"])
def test_only_the_limit_of_the_registry_undoes_a_change(installed: Authctl, home: Path, lock_timeout: float | None):
    """The thread goes on after `asyncio.timeout` and revokes; with `lock_timeout` the call fails, and nothing has changed."""
    assert installed("tokens", "issue", "--user", "alice", "--application", "Teams", "-q").code == 0

    async def revoke(registry: Registry, let_go: Callable[[], None]) -> None:
        call = asyncio.to_thread(registry.revoke, SessionFilter(username="alice"), note="lost device")
        if lock_timeout is not None:
            with pytest.raises(RegistryUnavailable) as refused:
                await call
            assert refused.value.code == "registry_locked"
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await call
        let_go()
        # `asyncio.run` waits for the thread at its end

    with Registry.open(home, lock_timeout=lock_timeout) as registry, ExitStack() as writer:
        writer.enter_context(places.held(places.place_in(home)))
        asyncio.run(revoke(registry, writer.close))
        assert registry.count(SessionFilter(status="revoked")) == (0 if lock_timeout is not None else 1)
