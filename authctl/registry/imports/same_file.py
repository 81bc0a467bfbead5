"""A file that was imported before, if no operation since then could change the result of its rows: they are not read again.

The record of an import keeps the digest of its file and settings, where each key of the file is one session of the registry, and
every row is of the past. To import it again would change nothing, whenever it is done.

See docs/glossary.md#same-file.
"""

from __future__ import annotations

import io
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

from authctl.model.audit import ACTIONS
from authctl.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.import_mappings import Mapping
    from authctl.registry.imports.reading import Reading
    from authctl.registry.imports.register import Done
    from authctl.registry.unit_of_work import UnitOfWork
    from authctl.store.protocol import View

_CHUNK = 2**18
_FORM = 1
"""The version of the reading of rows; a higher one makes all digests differ."""

_WITHOUT_EFFECT = ("session.issue", "token.refresh")
"""The actions that concern no imported session."""
_WITH_EFFECT = tuple(action for action in ACTIONS if action not in _WITHOUT_EFFECT)


class SameFile(NamedTuple):
    """The record of a file whose import again would change nothing."""

    digest: str
    size: int
    event: int
    """The number of the audit event that ended its import."""
    keys: int
    rows: tuple[int, ...]
    """The fields of `RowCounts`."""

    @classmethod
    def of_last_import(cls, view: View, source: str | None) -> Self | None:
        """The record of the last import of a source; None without one, or if a complete listing may have ended its sessions."""
        detail = json.loads(view.last_import_detail(source) or "{}")
        recorded_file = detail.get("same_file") if isinstance(detail, dict) else None
        # A complete listing ends sessions by its time: the same rows could give another result after it.
        if not recorded_file or (source is not None and view.complete_listings(source)):
            return None
        digest, size, event, keys, rows = recorded_file
        return cls(digest, size, event, keys, tuple(rows))

    def holds(self, view: View, source: str | None) -> bool:
        """Whether it is still the record of the last import, and no operation since then concerns imported sessions."""
        return self == self.of_last_import(view, source) and not view.has_event_since(self.event, _WITH_EFFECT)

    def repeat(self, unit: UnitOfWork, name: str, source: str | None) -> int:
        """Record an import of the file again. Returns its number."""
        of_source = {} if source is None else {"source": source}
        begun = {"file": name, "rows": self.rows[0], **of_source, "keys": self.keys}
        import_id = unit.tx.add_import(unit.now, unit.actor, source, begun)
        unit.record("session.import", subject=str(import_id), detail={**begun, "stage": "begun"})
        done = {**begun, "registered": 0, "updated": 0, "unchanged": self.keys}
        of_event = {field: value for field, value in done.items() if field != "keys"}
        unit.record("session.import", subject=str(import_id), detail={**of_event, "stage": "done"})
        again = self._replace(event=unit.recorded[-1].seq)
        unit.tx.finish_import(import_id, unit.now, {**done, **again.record})
        return import_id

    @property
    def record(self) -> dict[str, Any]:
        """The part of the record of an import that it is."""
        return {"same_file": [*self[:-1], list(self.rows)]}


class HashedFile(io.RawIOBase):
    """A file that is hashed while it is read, together with the settings that decide the result of its rows."""

    def __init__(self, file: BinaryIO, settings: Sequence[str | None]) -> None:
        self._file = file
        self._hash = sha256(json.dumps([_FORM, __version__, *settings]).encode())
        self.size = 0

    def readable(self) -> bool:
        """A file to be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes."""
        piece = self._file.read(size)
        self._hash.update(piece)
        self.size += len(piece)
        return piece

    @property
    def digest(self) -> str:
        """The digest of the bytes that were read."""
        return self._hash.hexdigest()


def is_repeatable(mapping: Mapping, taken_at: int | None) -> bool:
    """Whether a mapping gives the same for the same file at any time."""
    # decision 200: tables of time zones change, and the time of a listing may be the present
    return taken_at is None and mapping.timezone is None and not mapping.uses_listing


def is_same(known: SameFile, file: BinaryIO, settings: Sequence[str | None]) -> bool:
    """Whether a file is the one of a record. It is read from its present position, and set back to it."""
    if not file.seekable():
        return False
    begins = file.tell()
    try:
        # The size first: a file of another size is not read.
        if file.seek(0, io.SEEK_END) - begins != known.size:
            return False
        file.seek(begins)
        hashed = HashedFile(file, settings)
        while hashed.read(_CHUNK):
            pass
        return hashed.digest == known.digest
    finally:
        file.seek(begins)


def recorded(hashed: HashedFile, reading: Reading, done: Done, now: int, event: int, keys: int) -> dict[str, Any]:
    """The record of an import, if to repeat it would change nothing; else no record."""
    is_one_each = done.registered + done.unchanged == keys
    is_plain = is_one_each and not (done.updated or done.used_after_end or done.returned or done.adopted or done.moved)
    is_read = (
        len(reading.files) == 1
        and reading.is_used
        and not (reading.counts.rejected or reading.remarks() or reading.blank_parts())
    )
    if not (is_plain and is_read and reading.last_at <= now):
        return {}
    return SameFile(hashed.digest, hashed.size, event, keys, reading.counts.as_tuple()).record
