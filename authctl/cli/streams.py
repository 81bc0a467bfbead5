"""The standard streams: results on standard output, messages on standard error, and the case that nobody reads them."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from authctl import render
from authctl.errors import AuthctlError, OutputFailed, reason
from authctl.names import without_tokens
from authctl.records import Record
from authctl.render import Format, Shape
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.screens.times import Look


def unexpected(error: Exception) -> AuthctlError:
    """The error that a person sees in the place of one that nothing expects."""
    return AuthctlError(
        f"unexpected failure: {type(error).__name__}: {error}", "this is a defect in authctl; please report it"
    )


def print_message(text: str) -> None:
    """Print a message on standard error. A closed standard error is no failure."""
    write_line(visible(without_tokens(text)))


def write_line(line: str) -> None:
    """Write a line on standard error as it is: it must be visible text."""
    try:
        sys.stderr.write(f"authctl: {line}\n")
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    except (ValueError, AttributeError):
        pass


def print_messages(records: Iterable[Record], shape: Shape) -> None:
    """Print a table on standard error. A closed standard error is no failure."""
    if sys.stderr is None or sys.stderr.closed:
        return
    try:
        render.many(sys.stderr, records, shape, Format.TABLE, _look_of_messages())
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _look_of_messages() -> "Look | None":
    """How standard error shows records where it is a terminal: as they are asked about, with their whole ids."""
    if not is_terminal(sys.stderr):
        return None
    from authctl.instants import utc_now
    from authctl.screens.times import Look

    return Look(utc_now())


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a standard stream is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


@contextmanager
def writing() -> Iterator[TextIO | None]:
    """Standard output. Raises OutputFailed for every reason that a result cannot be written."""
    try:
        yield sys.stdout
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        _discard(sys.stdout)
        # `authctl sessions list | head` ends in this way: a message would be noise.
        quietly = isinstance(error, BrokenPipeError)
        raise OutputFailed("" if quietly else f"the result could not be written: {reason(error)}") from None


@contextmanager
def printing() -> Iterator[TextIO]:
    """Standard output for a result. Raises OutputFailed, also where it is closed."""
    with writing() as out:
        if out is None:
            raise OutputFailed("the result could not be written: standard output is closed")
        yield out


def _discard(stream: TextIO) -> None:
    """Keep the interpreter from trying once more, and complaining, at its exit."""
    # Python flushes standard output at its exit. It would fail again, and print a traceback.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, stream.fileno())
    os.close(sink)
