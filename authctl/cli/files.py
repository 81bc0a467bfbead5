"""Files that the person at the terminal names."""

import gzip
import json
import os
import stat
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from authctl.errors import InvalidInput, Refused, RegistryUnavailable, reason
from authctl.files import check_folder, resolved, sync_directory
from authctl.names import quoted

if TYPE_CHECKING:
    from authctl.model import Session
    from authctl.registry.imports.file import ExportFile
    from authctl.store.protocol.cleanup import Archive


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, to be read. Raises InvalidInput when it cannot be."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"cannot read {quoted(str(path))}: {reason(error)}") from None
    with file:
        yield file


@contextmanager
def opened_exports(paths: Sequence[Path]) -> "Iterator[Iterator[ExportFile]]":
    """The files with their names, each opened when it is asked for and closed when the next one is; `-` is standard input.

    Raises InvalidInput where one cannot be read, or where `-` is named twice.
    """
    if sum(str(path) == "-" for path in paths) > 1:
        raise InvalidInput("standard input can be read once: '-' is named twice")
    files = _each_export(paths)
    try:
        yield files
    finally:
        files.close()


def _each_export(paths: Sequence[Path]) -> "Generator[ExportFile, None, None]":
    from authctl.registry.imports.file import ExportFile

    for path in paths:
        if str(path) == "-":
            yield ExportFile("standard input", sys.stdin.buffer if sys.stdin else BytesIO())
            continue
        with opened(path) as file:
            yield ExportFile(str(path), file)


def read_file(path: Path) -> bytes:
    """All of a file. Raises InvalidInput when it cannot be read."""
    with opened(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise InvalidInput(f"cannot read {quoted(str(path))}: {reason(error)}") from None


def check_written_by_few(path: Path, kind: str) -> None:
    """Raise RegistryUnavailable where everybody could have written the content of a regular file, or put another in its place.

    A file that cannot be looked at is left to those who read it, and so is a pipe.
    """
    # decision 365: what such a file allows is put in force by somebody else. A group may write: the umask 002 is usual
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return
        if mode & stat.S_IWOTH:
            changed = f"everybody can write to the {kind} {path} (mode {stat.S_IMODE(mode):04o})"
            raise RegistryUnavailable(changed, f"look at it, then: chmod o-w {path}")
        for folder in {path.parent, resolved(path).parent}:
            check_folder(folder)
    except OSError:
        return


@contextmanager
def archived(path: Path | None) -> "Iterator[Archive | None]":
    """Where removed sessions are written, as JSON lines in gzip, each batch for good before it is removed.

    The file appears with the first batch. Raises Refused where something is there, RegistryUnavailable where it cannot be
    written.
    """
    if path is None:
        yield None
        return
    with _written(path):
        # Before anything is removed: a cleanup that cannot archive must not begin.
        if path.exists() or path.is_symlink():
            raise FileExistsError
        path.parent.stat()
    from authctl import records

    with ExitStack() as stack:
        files: list[BinaryIO] = []

        def write(sessions: "Sequence[Session]") -> None:
            lines = "".join(json.dumps(records.session(session)) + "\n" for session in sessions)
            with _written(path):
                if not files:
                    files.append(stack.enter_context(_created(path)))
                # One member of gzip for each batch: after a kill, all whole batches before it can be read.
                files[0].write(gzip.compress(lines.encode()))
                files[0].flush()
                os.fsync(files[0].fileno())

        yield write


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """The obstacles to writing a file, as our own errors."""
    try:
        yield
    except FileExistsError:
        raise Refused(f"file already exists: {path}") from None
    except OSError as error:
        raise RegistryUnavailable(f"cannot write {path}: {reason(error)}") from None


def _created(path: Path) -> BinaryIO:
    """A new private file, whose name lasts."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    # The name as well as the content: a crash must not lose a file whose sessions are removed.
    sync_directory(path.parent)
    return os.fdopen(descriptor, "wb")
