"""Receivers: the other systems that are told of decisions, as `receivers.yaml` describes them.

The file is in the home, and only its owner can read it (0600): it names programs that are run, and files with secrets.

See docs/glossary.md#receiver.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from authctl import names
from authctl.errors import NotFound
from authctl.files import read_private
from authctl.instants import SECOND
from authctl.model.deliveries import Narrowing, Subscription
from authctl.receivers.fields import File, WrittenReceiver, note_contradictions
from authctl.receivers.messages import Message, Verdict
from authctl.validation import validated
from authctl.yaml_files import load

KIND = "receivers file"
MISSING = "to begin with one, mode 0600: authctl examples show receivers.yaml"


class Channel(Protocol):
    """A way to send messages to a receiver."""

    batch: int
    """The most messages of one call of `send`."""
    is_complete: bool
    """Whether each message that was sent gets a verdict, so that a message without one was not sent yet."""

    def send(self, messages: Sequence[Message]) -> Iterator[Verdict]:
        """Send messages to the receiver. Yields the verdicts as they come, in any order; none for a message without an answer.

        Raises ReceiverUnavailable if no message, or no further one, can be sent now.
        """


class Receiver(NamedTuple):
    """One receiver of the file."""

    name: str
    subscription: Subscription
    written: WrittenReceiver

    @property
    def channel(self) -> str:
        """The name of its channel."""
        return next(name for name in ("command", "push", "webhook") if getattr(self.written, name) is not None)

    @property
    def seconds(self) -> float:
        """The longest time for a batch, in seconds."""
        return self.written.timeout / SECOND

    def open(self, key_file: Path) -> Channel:
        """Its channel, ready to send; a push signs with the key in that file. Raises ReceiverUnavailable or RegistryUnavailable."""
        # decision 101: each channel loads its own library, and most installations use one of them
        written = self.written
        if written.command is not None:
            from authctl.receivers.command import Command

            return Command(tuple(written.command), dict(written.environment), self.seconds)
        if written.webhook is not None:
            from authctl.receivers.webhook import Webhook

            return Webhook(written.webhook, self.seconds)
        from authctl.receivers.push import Push

        assert written.push is not None
        return Push(written, key_file, self.seconds)


def read(raw: bytes, name: str) -> Mapping[str, Receiver]:
    """The receivers of a file's bytes, by folded name. Raises InvalidFile."""
    document = load(raw, name)
    file = validated(File, document)
    note_contradictions(file, document)
    document.raise_faults()
    return {names.fold(entry): _receiver(entry, written) for entry, written in file.receivers.items()}


def load_file(path: Path) -> Mapping[str, Receiver]:
    """The receivers of a private file. Raises as `read`, and RegistryUnavailable where it is missing or open to others."""
    return read(read_private(path, KIND, MISSING), path.name)


def find(receivers: Mapping[str, Receiver], name: str) -> Receiver:
    """The receiver of that name. Raises NotFound."""
    try:
        return receivers[names.fold(name)]
    except KeyError:
        raise NotFound(f"no receiver {names.quoted(name)}", "to see them: authctl receivers list") from None


def _receiver(name: str, written: WrittenReceiver) -> Receiver:
    fields = (written.source, written.application, written.profile, written.kind)
    narrowing = Narrowing(*(tuple(map(names.fold, texts or ())) for texts in fields))
    events = tuple(dict.fromkeys(written.events))
    return Receiver(name, Subscription(name, events, narrowing, written.notes, written.give_up_after), written)
