"""A program that is given messages as lines of JSON on its standard input, and answers with a verdict a line on its standard output.

Nothing of a session is among its arguments or in its environment, and nothing of the caller's environment reaches it.

See docs/glossary.md#verdict.
"""

from __future__ import annotations

import os
import selectors
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import IO

from authctl.errors import ReceiverUnavailable, reason
from authctl.files import resolved
from authctl.receivers.messages import Message, Verdict, excerpt, read_verdict

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
_PIECE = 65_536
_LONGEST_LINE = 65_536
_MOST_OUTPUT = 64 * 1024 * 1024
_KEPT_ERRORS = 1_000
"""The number of bytes of its standard error that are kept, to report the reason of a failure."""


@dataclass(slots=True)
class Command:
    """`Channel` over such a program, which is started for each batch."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    timeout: float
    """In seconds, for a whole batch."""
    batch: int = 500
    is_complete: bool = False
    """A message without a verdict is one that failed."""

    def send(self, messages: Sequence[Message]) -> Iterator[Verdict]:
        """As `Channel.send`."""
        _check_program(self.arguments[0])
        process = self._start()
        run = _Run(process, b"".join(message.line + b"\n" for message in messages), monotonic() + self.timeout)
        try:
            yield from run.verdicts()
            run.check_end(self.timeout)
        finally:
            _end(process)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd="/",
                env={**_ENVIRONMENT, **self.environment},
                start_new_session=True,  # so that its children can be killed with it
                bufsize=0,
            )
        except (OSError, ValueError) as error:
            message = reason(error) if isinstance(error, OSError) else str(error)
            raise ReceiverUnavailable(f"cannot run {self.arguments[0]}: {message}") from None


@dataclass(slots=True)
class _Run:
    """One run of the program: its three pipes are served at once, so that neither side waits for the other."""

    process: subprocess.Popen[bytes]
    unsent: bytes
    until: float
    errors: bytes = b""
    received: int = 0
    _rest: bytes = b""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def verdicts(self) -> Iterator[Verdict]:
        """The verdicts as they come, until the program closes its output, or its time is over."""
        with self._selector:
            self._watch()
            while self._is_read() and (left := self.until - monotonic()) > 0:
                for key, _ in self._selector.select(left):
                    yield from self._serve(key)

    def check_end(self, timeout: float) -> None:
        """Raise ReceiverUnavailable where the program failed, or did not end in its time."""
        try:
            code = self.process.wait(max(0.0, self.until - monotonic()))
        except subprocess.TimeoutExpired:
            raise ReceiverUnavailable(f"no answer within {timeout:g} s") from None
        if code:
            ended = f"it exited with {code}" if code > 0 else f"signal {-code} ended it"
            output = excerpt(self.errors.decode(errors="replace"))
            raise ReceiverUnavailable(f"{ended}: {output}" if output else ended)

    def _watch(self) -> None:
        for pipe, event in (
            (self.process.stdin, selectors.EVENT_WRITE),
            (self.process.stdout, selectors.EVENT_READ),
            (self.process.stderr, selectors.EVENT_READ),
        ):
            assert pipe is not None
            # A pipe that is full or empty must not stop the other two: the program may wait for one of them.
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event)

    def _is_read(self) -> bool:
        return any(key.fileobj is self.process.stdout for key in self._selector.get_map().values())

    def _serve(self, key: selectors.SelectorKey) -> Iterator[Verdict]:
        pipe = key.fileobj
        assert not isinstance(pipe, int)
        if pipe is self.process.stdin:
            self._write(self.process.stdin)
            return
        with suppress(BlockingIOError):
            piece = os.read(key.fd, _PIECE)
            if not piece:
                self._close(pipe)
            elif pipe is self.process.stderr:
                self.errors = (self.errors + piece)[:_KEPT_ERRORS]
            else:
                yield from self._lines(piece)

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            written = os.write(pipe.fileno(), self.unsent[:_PIECE])
        except BlockingIOError:
            return
        # The program stopped reading: the verdicts that it gave still count.
        except BrokenPipeError:
            written = len(self.unsent)
        self.unsent = self.unsent[written:]
        if not self.unsent:
            self._close(pipe)

    def _close(self, pipe: object) -> None:
        self._selector.unregister(pipe)  # type: ignore[arg-type]
        with suppress(BrokenPipeError):
            pipe.close()  # type: ignore[attr-defined]

    def _lines(self, piece: bytes) -> Iterator[Verdict]:
        self.received += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if self.received > _MOST_OUTPUT or len(self._rest) > _LONGEST_LINE:
            raise ReceiverUnavailable("its output is too long")
        yield from filter(None, map(read_verdict, lines))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program with its whole session if it still runs, and close its pipes."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


def _check_program(program: str) -> None:
    """Raise ReceiverUnavailable for a program that others may write or replace."""
    # decision 233: the program gets decisions and secrets, so nobody else may be able to replace it
    path = resolved(Path(program))
    try:
        status = path.stat()
        folders = [folder.stat() for folder in path.parents]
    except OSError as error:
        raise ReceiverUnavailable(f"cannot run {program}: {reason(error)}") from None
    mine = (0, os.geteuid())
    if status.st_mode & 0o022 or status.st_uid not in mine:
        raise ReceiverUnavailable(f"others may write to {program}")
    # In a sticky folder only the owner of a file can replace it.
    if any(
        (folder.st_mode & 0o022 and not folder.st_mode & stat.S_ISVTX) or folder.st_uid not in mine
        for folder in folders
    ):
        raise ReceiverUnavailable(f"others may write to a folder of {program}")
