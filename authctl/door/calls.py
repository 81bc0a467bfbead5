"""Calls of the registry from the event loop.

A verification needs one look-up, and never waits for a writer (decision 155): it runs in the loop. A call that writes, or that
has to wait until the registry can be read, runs in a thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import TypeVar

from authctl.door.settings import WAIT_SECONDS
from authctl.errors import RegistryUnavailable

Result = TypeVar("Result")

_THREADS = 4
_PAUSE_SECONDS = 0.05


class Calls:
    """The threads in which the registry is called where a call may wait."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="authctl-door")

    async def read(self, question: Callable[[], Result]) -> Result:
        """The answer to a question that one look-up answers: at once, or when the registry can be read again within a second."""
        # decision 245: a thread costs 8 to 40 µs a request, and most requests need one look-up
        try:
            return question()
        except RegistryUnavailable:
            return await self.write(lambda: _patiently(question))

    async def write(self, operation: Callable[[], Result]) -> Result:
        """The result of an operation that may wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, operation)

    def close(self) -> None:
        """Let the operations that run come to their end."""
        self._threads.shutdown(wait=True)


def _patiently(question: Callable[[], Result]) -> Result:
    until = monotonic() + WAIT_SECONDS
    while True:
        try:
            return question()
        except RegistryUnavailable:
            if monotonic() >= until:
                raise
        sleep(_PAUSE_SECONDS)
