"""Work on the registry in threads: the screen never waits for it. A few registries are open, and a thread has one for itself.

One long read, such as a search that finds nothing, thus delays no other. Knows nothing of the screen.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from authctl.errors import AuthctlError
from authctl.instants import SECOND

if TYPE_CHECKING:
    from authctl.registry import Registry

Result = TypeVar("Result")

_MOST_THREADS = 4


class Reads:
    """The open registries of the console, and the threads that use them."""

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        """Open the first registry. Raises as `Registry.open`."""
        self._open = open_registry
        self._watching = open_registry()
        self._change_number = self._watching.change_number()
        self._asks_server = self._watching.has_clock_of_server()
        self._noted = self._watching.now(), monotonic()
        """An instant of the registry, and when it was read."""
        self._idle: list[Registry] = []
        self._closed = False
        self._lock = threading.Lock()
        # decision 214: one connection serves one thread at a time, so each thread has a registry of its own
        self._turns = asyncio.Semaphore(_MOST_THREADS)

    def now(self) -> int:
        """The present instant of the registry; that of a server is reckoned from the last one that a thread has read.

        The screen asks for it at every key: it must neither wait for a server nor end because that is gone (decision 381).
        """
        if not self._asks_server:
            return self._watching.now()
        instant, read_at = self._noted
        return instant + int((monotonic() - read_at) * SECOND)

    async def run(self, work: Callable[[Registry], Result]) -> Result:
        """Run some work with a registry in a thread. If its caller no longer waits, it continues, and its result is dropped.

        Raises the errors of the work; an error that is not one of authctl's own as AuthctlError.
        """
        await self._turns.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()

        def settle(result: Result | None, error: AuthctlError | None) -> None:
            self._turns.release()
            if done.done():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type]  # there is a result where there is no error
            else:
                done.set_exception(error)

        def in_thread() -> None:
            result: Result | None = None
            error: AuthctlError | None = None
            try:
                result = self._with_registry(work)
            except AuthctlError as raised:
                error = raised
            except Exception as raised:  # noqa: BLE001  # the boundary of the thread: the screen shows it, and stays
                error = AuthctlError(
                    f"unexpected failure: {type(raised).__name__}: {raised}",
                    "this is a defect in authctl; please report it",
                )
            with suppress(RuntimeError):  # the screen was closed meanwhile
                loop.call_soon_threadsafe(settle, result, error)

        # decision 214. A daemon: the end of the console does not wait for a read that nobody needs any more.
        threading.Thread(target=in_thread, daemon=True).start()
        return await done

    async def has_changed(self) -> bool:
        """Whether the registry was changed since this was last asked, by any process."""
        number = await self.run(lambda _registry: self._look())
        changed, self._change_number = number != self._change_number, number
        return changed

    def _look(self) -> int:
        """The change number; the instant of a server is noted with it."""
        if self._asks_server:
            self._noted = self._watching.now(), monotonic()
        return self._watching.change_number()

    def close(self) -> None:
        """Close the registries that no thread uses; a thread closes its own when its work ends."""
        with self._lock:
            self._closed = True
            for registry in self._idle:
                registry.close()
            self._idle.clear()
        self._watching.close()

    def _with_registry(self, work: Callable[[Registry], Result]) -> Result:
        with self._lock:
            registry = self._idle.pop() if self._idle else None
        registry = registry or self._open()
        try:
            return work(registry)
        finally:
            with self._lock:
                if self._closed:
                    registry.close()
                else:
                    self._idle.append(registry)
