"""The fields of `receivers.yaml`."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from authctl import names
from authctl.instants import DAY, HOUR, MINUTE, SECOND
from authctl.model.told_events import Event
from authctl.names import quoted
from authctl.receivers.security_events import TOLD_BY_PUSH
from authctl.validation import (
    AbsolutePath,
    Lifetime,
    Name,
    Program,
    Strict,
    Text,
    Version,
    invalid,
    note_same_names,
    parse_field,
)
from authctl.yaml_files import Document

DEFAULT_TIMEOUT = 30 * SECOND
DEFAULT_GIVE_UP_AFTER = 30 * DAY
_LONGEST_TIMEOUT = 5 * MINUTE
_CHANNELS = ("command", "push", "webhook")
_KINDS = ("application", "web")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _event(value: str) -> str:
    if value not in tuple(Event):
        raise invalid(f"must be one of: {', '.join(Event)}")
    return value


def _kind(value: str) -> str:
    if value not in _KINDS:
        raise invalid("must be one of: application, web")
    return value


def _source(value: str) -> str:
    parse_field(names.source_name, value)
    return value


def _timeout(value: int) -> int:
    if not SECOND <= value <= _LONGEST_TIMEOUT:
        raise invalid("must be from 1 second to 5 minutes")
    return value


def _give_up_after(value: int) -> int:
    if value < HOUR:
        raise invalid("must be 1 hour or more")
    return value


def _url(value: str) -> str:
    """A URL without a user or a password, which messages would show."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise invalid("is not a URL") from None
    if any(sign.isspace() or not sign.isprintable() for sign in value) or not value.isascii():
        raise invalid("is not a URL: it has a blank, or a character beyond ASCII")
    if not parts.hostname or port == 0:
        raise invalid("must be a URL such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise invalid("must not have a user or password in it")
    # A note, or the fact that a session is revoked, must not cross a network in clear.
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise invalid("must be https://, or http:// to this host alone")
    return value


def _variable(value: str) -> str:
    if not value or "=" in value or not value.isprintable():
        raise invalid("is not the name of a variable")
    return value


def _issuer(value: str) -> str:
    if not value.strip():
        raise invalid("is blank")
    return value


Url = Annotated[Text, AfterValidator(_url)]
_Texts = Annotated[list[Text], Field(min_length=1)]


class WrittenPush(Strict):
    """A receiver of Security Event Tokens."""

    url: Url
    token_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None


class WrittenWebhook(Strict):
    """A receiver of signed JSON."""

    url: Url
    secret_file: AbsolutePath
    ca_file: AbsolutePath | None = None


class WrittenReceiver(Strict):
    """A receiver as it is written: one of the channels, and its events and sessions."""

    command: Program | None = None
    environment: dict[Annotated[str, AfterValidator(_variable)], Text] = Field(default_factory=dict)
    push: WrittenPush | None = None
    issuer: Annotated[Text, AfterValidator(_issuer)] | None = None
    audience: Annotated[list[Annotated[Text, AfterValidator(_issuer)]], Field(min_length=1)] | None = None
    webhook: WrittenWebhook | None = None
    events: Annotated[list[Annotated[str, AfterValidator(_event)]], Field(min_length=1)]
    source: Annotated[list[Annotated[str, AfterValidator(_source)]], Field(min_length=1)] | None = None
    application: _Texts | None = None
    profile: Annotated[list[Name], Field(min_length=1)] | None = None
    kind: Annotated[list[Annotated[str, AfterValidator(_kind)]], Field(min_length=1)] | None = None
    notes: bool = False
    timeout: Annotated[Lifetime, AfterValidator(_timeout)] = DEFAULT_TIMEOUT
    give_up_after: Annotated[Lifetime, AfterValidator(_give_up_after)] = DEFAULT_GIVE_UP_AFTER


class File(Strict):
    """The whole file."""

    version: Version
    receivers: dict[Name, WrittenReceiver]


def note_contradictions(file: File, document: Document) -> None:
    """Note contradictions between fields in the document."""
    note_same_names(file.receivers, "receivers", document)
    for name, written in file.receivers.items():
        here = ("receivers", name)
        fields = document.data["receivers"][name]
        given = [channel for channel in _CHANNELS if fields.get(channel) is not None]
        if len(given) != 1:
            document.fault(document.value_position(here), f"{quoted(name)} needs one of command, push and webhook")
            continue
        _note_misplaced(here, given[0], document)
        if given == ["push"]:
            _note_push(here, written, document)


def _note_misplaced(here: tuple[str, str], channel: str, document: Document) -> None:
    for field, owner in (("environment", "command"), ("issuer", "push"), ("audience", "push")):
        if channel != owner and (*here, field) in document.values:
            document.fault(document.key_position((*here, field)), f"{quoted(field)} goes with {owner} only")


def _note_push(here: tuple[str, str], written: WrittenReceiver, document: Document) -> None:
    for field in ("issuer", "audience"):
        if getattr(written, field) is None and (*here, field) not in document.values:
            document.fault(document.value_position(here), f"{quoted(field)} is missing: push needs it")
    for index, event in enumerate(written.events):
        if event not in TOLD_BY_PUSH:
            problem = f"push has no event for {quoted(event)}: it has {', '.join(TOLD_BY_PUSH)}"
            document.fault(document.value_position((*here, "events", index)), problem)
