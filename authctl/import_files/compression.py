"""The bytes of an export, unpacked: gzip is recognised by its first bytes."""

from io import BufferedReader, RawIOBase
from typing import BinaryIO, NamedTuple

from authctl.errors import InvalidInput

_GZIP = b"\x1f\x8b"
_CHUNK = 256 * 1024


class Unpacked(NamedTuple):
    """A file that can be read from its beginning, with its first bytes known."""

    head: bytes
    file: BinaryIO


def unpacked(file: BinaryIO, name: str) -> Unpacked:
    """The file, unpacked where it is gzip. Only the present piece is kept. Raises InvalidInput, also while it is read."""
    head = file.read(_CHUNK)
    if head.startswith(_GZIP):
        file = BufferedReader(_Gzip(BufferedReader(_Rewound(head, file), _CHUNK), name), _CHUNK)
        head = file.read(_CHUNK)
    # Standard input cannot be read twice: its first bytes are put before the rest again.
    return Unpacked(head, BufferedReader(_Rewound(head, file), _CHUNK))


class _Rewound(RawIOBase):
    """A file of which the first bytes were read already."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        """A file to be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the first bytes, then the others."""
        size = len(buffer)
        piece, self._head = self._head[:size], self._head[size:]
        piece = piece or self._file.read(size)
        buffer[: len(piece)] = piece
        return len(piece)


class _Gzip(RawIOBase):
    """The content of a gzip file. Raises InvalidInput for a damaged one."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        import gzip
        import zlib

        self._name = name
        self._file = gzip.GzipFile(fileobj=file)
        self._damage = (gzip.BadGzipFile, zlib.error)

    def readable(self) -> bool:
        """A file to be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read the unpacked file, a piece at a time."""
        try:
            # read1 returns the bytes of one step: a small file that unpacks to terabytes fills no memory.
            piece = self._file.read1(len(buffer))
        except EOFError:
            raise InvalidInput(f"{self._name}: the gzip file is incomplete") from None
        except self._damage as error:
            raise InvalidInput(f"{self._name}: the gzip file is damaged: {error}") from None
        buffer[: len(piece)] = piece
        return len(piece)
