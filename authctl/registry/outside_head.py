"""The audit head that is kept outside the registry: compared before tokens are trusted, written after each change.

It shows that somebody put an old registry back, or cut its audit log off.

See docs/glossary.md#audit-head.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from authctl import audit_head, names
from authctl.audit_head import Head
from authctl.errors import AuthctlError, IntegrityFailure, OutcomeUnknown, RegistryUnavailable, reason
from authctl.instants import format_second

if TYPE_CHECKING:
    from authctl.model import AuditEvent
    from authctl.registry.clock import Warn
    from authctl.store.protocol import Store, View


class OutsideHead:
    """The line of one registry in `audit.head`."""

    def __init__(self, file: Path, store: "Store", warn: "Warn") -> None:
        self._file = file
        self._store = store
        self._warn = warn
        self._agrees = False
        self._known_id: str | None = None

    def read(self) -> Head | None:
        """The head in the file, or None without one. Raises RegistryUnavailable when the file cannot be read."""
        try:
            return audit_head.read(self._file, self._registry_id())
        except OSError as error:
            raise RegistryUnavailable(f"cannot read {self._file}: {reason(error)}") from None

    def accept(self, last: "AuditEvent") -> None:
        """Write that event as the head in any case: the audit log was accepted."""
        try:
            audit_head.replace(self._file, self._registry_id(), Head(last.seq, last.hash))
        except OSError as error:
            raise OutcomeUnknown(f"accepted, but {self._file} cannot be written: {reason(error)}") from None
        self._agrees = True

    def is_reached(self) -> bool:
        """Whether the registry's audit log contains the head."""
        try:
            self.check(again=True)
        except IntegrityFailure:
            return False
        return True

    def check(self, *, again: bool = False) -> None:
        """Raise IntegrityFailure when the registry's audit log does not contain the head.

        Compared until it agrees once; a registry that replaces an open one is compared when it is opened next.
        """
        # decision 78: in the other order, other processes commit between the two reads
        if self._agrees and not again:
            return
        head = self.read()
        # Begun after the head was read, so that the snapshot has each event up to the head.
        with self._store.view() as view:
            check_identity(view)
            is_reached = head is None or has_event(view, head)
            last_seq, _hash = view.last_seal()
            restored = None if is_reached or head is None else _restore_behind(view, head)
        # An empty file is no alarm: audit.head may be new, or on another machine. A log that was cut off would go unnoticed here.
        if head is None and last_seq != 0:
            self._warn(f"{self._file} has no entry for this registry; the next change adds it")
        if head is not None and not is_reached:
            raise behind_head(head, last_seq, restored)
        self._agrees = True

    def advance(self, recorded: Sequence["AuditEvent"], since: int | None = None) -> None:
        """Write the last of the committed events as the head. A failure is a warning: the change stands.

        `since` is an instant at which the change was under way, by `time.time_ns`.
        """
        # decision 109: if the head equals the event before this change, nobody came between, and the chain is not
        # searched
        before = Head(recorded[0].seq - 1, recorded[0].prev_hash)
        head = Head(recorded[-1].seq, recorded[-1].hash)
        try:
            agrees = audit_head.advance(self._file, self._registry_id(), before, head, self._store.has_events, since)
        except (OSError, AuthctlError) as error:
            why = reason(error) if isinstance(error, OSError) else error.message
            self._warn(f"done, but the head of the audit log could not be written: {why}")
            return
        # Checked again by the next verify: somebody replaced the registry while this process had it open.
        if not agrees:
            self._agrees = False
            self._warn("the audit log does not match audit.head: see authctl audit verify")

    def _registry_id(self) -> str:
        if self._known_id is None:
            with self._store.view() as view:
                self._known_id = view.registry_id()
        return self._known_id


def has_event(view: "View", head: Head) -> bool:
    """Whether an audit log has the event of a head: its number, with its hash."""
    event = view.event(head.seq)
    return event is not None and event.hash == head.hash


def check_identity(view: "View") -> None:
    """Raise IntegrityFailure when the registry has another id than its first event: the head is found by that id."""
    # decision 91: the first event is protected by the chain, and the head is found by the id
    first, known_as = view.event(1), view.registry_id()
    # With another id, audit.head has no line for it, and a registry that was cut off would look like a new one.
    if first is not None and first.subject != known_as:
        message = f"the registry was tampered with: its id is {names.quoted(known_as)}, and its audit log begins with another id"
        raise IntegrityFailure(message, "restore the newest backup")


def _restore_behind(view: "View", head: Head) -> "AuditEvent | None":
    """The newest restore of a backup that is older than a head, after which the log cannot contain the head."""
    import json

    from authctl.model import EventFilter

    for event in view.events(EventFilter(action="registry.restore"), 1):
        if json.loads(event.detail).get("taken", head.seq) < head.seq:
            return event
    return None


def behind_head(head: Head, last: int, restored: "AuditEvent | None" = None) -> IntegrityFailure:
    """The error for an audit log that does not contain the head; `last` is the number of its last event, `restored` the restore in it."""
    missing = f"it ends with event {last}" if last < head.seq else f"event {head.seq} is another"
    message = f"the audit log was cut off or replaced, or an old registry put back: {missing}, and audit.head names event {head.seq}"
    if restored is None:
        hint = "restore the newest registry, or accept this one as it is: authctl audit accept --note WHY"
        return IntegrityFailure(message, hint)
    # Only a hint: whoever put another registry there could have written such an event, too.
    newest = f"event {restored.seq} is a restore by {names.quoted(restored.actor)} at {format_second(restored.at)}"
    return IntegrityFailure(
        message,
        f"{newest}; if you know of it, copy audit.head of the host that restored, or accept this registry as it is: authctl audit accept --note WHY",
    )
