"""Announcements of decisions to receivers, written in the decision's own transaction.

See docs/glossary.md#announcement.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from authctl import names
from authctl.errors import AuthctlError
from authctl.registry.unit_of_work import AUTHCTL

if TYPE_CHECKING:
    from pathlib import Path

    from authctl.model import AuditEvent
    from authctl.model.deliveries import Subscription
    from authctl.registry.unit_of_work import UnitOfWork
    from authctl.settings import Home
    from authctl.store.protocol import View
    from authctl.store.protocol.outbox import ReadSubscriptions

_NO_FILE = b""
_SETTLED = 2_000_000_000
"""The nanoseconds after which each change of a file shows in its times, on every file system."""

FileState = tuple[int, ...]


class Outbox:
    """The outbox of an installation, and the receivers file that decides who is told."""

    def __init__(self, home: "Home", warn: Callable[[str], None]) -> None:
        self._file = home.receivers
        self._is_shared = home.is_shared
        self._warn = warn
        self._seen: tuple[FileState, bytes] | None = None

    def announce(
        self,
        unit: "UnitOfWork",
        event: str,
        *,
        note: str | None,
        username: str | None,
        revocation_id: int | None,
        numbers: Sequence[int],
        recorded: "Callable[[], AuditEvent]",
    ) -> None:
        """Add an announcement of a decision for each receiver that wants its event; `recorded` gives its audit event."""
        known = unit.tx.subscriptions()
        if known is None and not self._file.exists():
            return
        # Before the file is looked at: a change of it is recorded, too.
        seen = recorded()
        subscriptions = self._subscriptions(unit, known)
        wanted = [subscription for subscription in subscriptions if event in subscription.events]
        if wanted:
            from authctl.store.protocol.outbox import Decision

            decision = Decision(event, unit.now, seen.actor, note, seen.seq, username, revocation_id, numbers)
            unit.tx.announce(decision, wanted)

    def _subscriptions(self, unit: "UnitOfWork", known: "ReadSubscriptions | None") -> "Sequence[Subscription]":
        """The subscriptions of the file, which is parsed only where it has changed.

        Those that were read before if it has faults, or is on another host of the registry.
        """
        # decision 232: a fault in the file must not stop a revocation
        try:
            state = _state_of(self._file)
            if known is not None and self._seen == (state, known.digest):
                return known.subscriptions
            if known is not None and self._is_shared and not self._file.exists():
                return known.subscriptions  # decision 346: the file is on another host, which told the registry of it
            raw = self._read()
            digest = _digest(raw)
            if known is None or known.digest != digest:
                known = self._changed(unit, raw, digest)
            self._seen = (state, digest) if state is not None and state == _state_of(self._file) else None
        except AuthctlError as error:
            effect = "the receivers that were read before are told" if known else "no receiver is told"
            self._warn(f"{error.message.splitlines()[0]}: {effect}")
        return known.subscriptions if known else ()

    def _read(self) -> bytes | None:
        from authctl.files import read_private

        return read_private(self._file, "receivers file") if self._file.exists() else None

    def _changed(self, unit: "UnitOfWork", raw: bytes | None, digest: bytes) -> "ReadSubscriptions":
        """The subscriptions of a file that has changed, which are kept and recorded."""
        from authctl.store.protocol.outbox import ReadSubscriptions

        subscriptions: tuple[Subscription, ...] = ()
        if raw is not None:
            from authctl import receivers

            subscriptions = tuple(receiver.subscription for receiver in receivers.read(raw, self._file.name).values())
        read = ReadSubscriptions(digest, subscriptions)
        unit.tx.save_subscriptions(read)
        events = {subscription.receiver: list(subscription.events) for subscription in subscriptions}
        unit.record("receiver.change", detail={"receivers": events}, actor=AUTHCTL)
        return read


def _state_of(file: "Path") -> FileState | None:
    """The state of a file and of its folder; None where it is not there, or was changed so lately that it may change unseen."""
    # decision 293: a file in the same state was read before, except if it was changed within its own tick of time
    try:
        status = file.stat()
        folder = file.parent.stat()
    except OSError:
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _SETTLED:
        return None
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        folder.st_ino,
        folder.st_ctime_ns,
    )


def is_told(view: "View", event: str, source: str) -> bool:
    """Whether a receiver is told of an event about sessions of a source, by the file as the last decision read it."""
    read = view.subscriptions()
    key = names.fold(source)
    return any(
        event in subscription.events and (not subscription.narrowing.source or key in subscription.narrowing.source)
        for subscription in (read.subscriptions if read else ())
    )


def _digest(raw: bytes | None) -> bytes:
    from hashlib import sha256

    return _NO_FILE if raw is None else sha256(raw).digest()
