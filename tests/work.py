"""Work of an operation, counted: the number is the same on a slow machine and on a fast one, which a time is not."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def calls_of(operation: Callable[[], object]) -> int:
    """The number of calls that an operation makes, of functions in Python and in C."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        operation()
    finally:
        sys.setprofile(before)
    return calls


@contextmanager
def guard_against_endless_work(seconds: int = 30) -> Iterator[None]:
    """Ends a test that would compute for years; a limit that a slow machine does not reach with work that is right."""

    def stop(_signal: int, _frame: object) -> None:
        raise AssertionError(f"more than {seconds} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
