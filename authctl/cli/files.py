"""Files that the person at the terminal names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from authctl.errors import InvalidInput, reason
from authctl.names import quoted


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, to be read. Raises InvalidInput when it cannot be."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"cannot read {quoted(str(path))}: {reason(error)}") from None
    with file:
        yield file


def read_file(path: Path) -> bytes:
    """All of a file. Raises InvalidInput when it cannot be read."""
    with opened(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise InvalidInput(f"cannot read {quoted(str(path))}: {reason(error)}") from None
