"""Clients of the door: add, list, rotate and remove the programs that ask about tokens by HTTP.

See docs/glossary.md#client and docs/glossary.md#lag.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from authctl import names
from authctl.errors import InvalidInput, NotFound, Refused
from authctl.instants import DAY, MINUTE, SECOND, format_timeout
from authctl.model import Client, Right
from authctl.registry.unit_of_work import actor_name

if TYPE_CHECKING:
    from authctl.registry.installation import Installation
    from authctl.registry.unit_of_work import UnitOfWork
    from authctl.store.protocol import View

DEFAULT_CACHE = MINUTE
_SHORTEST_CACHE, _LONGEST_CACHE = SECOND, DAY
_LONGEST_LAG = 365 * DAY
_FINGERPRINT_DIGITS = 64

_LETTERS = string.ascii_letters + string.digits
"""The signs of a secret: all three spellings of HTTP Basic in use write them in the same way."""
_SECRET_LENGTH = 43
"""43 of 62 signs are 256 random bits: no slow hash is needed to keep such a secret."""


class NewSecret(NamedTuple):
    """A client with the secret that was just made; it is shown only once."""

    client: Client
    secret: str

    def __repr__(self) -> str:
        return f"NewSecret(client={self.client!r})"


class Clients:
    """The clients of a registry. A name may be given in any case and width, or as the client's id."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def list(self) -> Sequence[Client]:
        """All clients, the oldest first."""
        with self._installation.snapshot() as (view, _):
            return view.clients()

    def get(self, name: str) -> Client:
        """The client of that name or id. Raises NotFound, or InvalidInput for a text that can be no name."""
        client = self.find(name)
        if client is None:
            raise _unknown(name)
        return client

    def find(self, name: str) -> Client | None:
        """The same; None where there is none. Raises InvalidInput for a text that can be no name."""
        with self._installation.snapshot(with_waiting_uses=False) as (view, _):
            return _find(view, name)

    def by_id(self, client_id: str) -> Client | None:
        """The client with that id, as it is at this moment; None where there is none, or where it was removed."""
        return self._installation.store.client(client_id) if names.is_storable(client_id) else None

    def slowest(self, applications: Collection[str | None] | None = None) -> Client | None:
        """The client with the longest lag of those that are asked about one of these applications, or about any; None without any."""
        folded = None if applications is None else {names.fold(name or "") for name in applications}
        # Only clients that let sessions in keep answers; of these the longest lag is the upper bound.
        asked = (client for client in self.list() if _lets_in(client) and _is_about(client, folded))
        return max(asked, key=lambda client: client.lag, default=None)

    def add(
        self,
        name: str,
        *,
        may: Sequence[Right | str],
        applications: Sequence[str] = (),
        cache_for: int = DEFAULT_CACHE,
        lag: int | None = None,
        facts: bool = False,
        revoke_note: str | None = None,
        certificate: str | None = None,
        note: str | None = None,
        actor: str | None = None,
    ) -> NewSecret:
        """Add a client, and make its secret. Times are in microseconds; `lag` is by default `cache_for`.

        Raises InvalidInput for no right, an unknown one, or times out of range; Refused for a name that another client has, a
        note without content, or a client that may revoke and has no `revoke_note`.
        """
        rights = _rights(may)
        secret = _new_secret()
        note = None if note is None else names.note(note)
        new = Client(
            client_id=names.new_id(),
            name=names.client_name(name),
            may=rights,
            applications=_applications(applications),
            cache_for=_checked_time(cache_for, "cache time", _SHORTEST_CACHE, _LONGEST_CACHE),
            lag=cache_for if lag is None else _checked_time(lag, "lag", 0, _LONGEST_LAG),
            facts=facts,
            revoke_note=_revoke_note(rights, revoke_note),
            certificate=None if certificate is None else _fingerprint(certificate),
            created_at=0,
            created_by=actor_name(actor),
            secret_hash=hash_of(secret),
            secret_at=0,
        )
        with self._installation.change(actor) as unit:
            if unit.tx.client_named(new.name) is not None:
                raise Refused(f"a client of that name exists already: {names.quoted(new.name)}", "choose another name")
            client = new._replace(created_at=unit.now, secret_at=unit.now, created_by=unit.actor)
            unit.tx.add_client(client)
            _record(unit, "client.add", client, note, {"may": list(client.may), "applications": list(applications)})
        return NewSecret(client, secret)

    def rotate(self, name: str, *, note: str | None, at_once: bool = False, actor: str | None = None) -> NewSecret:
        """Make a new secret. The one before is accepted until the next rotation, or no longer if the change is `at_once`.

        Raises Refused without a note, NotFound.
        """
        note = names.note(note)
        secret = _new_secret()
        with self._installation.change(actor) as unit:
            client = _present(unit, name)
            rotated = client._replace(
                secret_hash=hash_of(secret),
                secret_at=unit.now,
                old_secret_hash=None if at_once else client.secret_hash,
            )
            unit.tx.replace_client(rotated)
            _record(unit, "client.rotate", rotated, note, {"at_once": at_once})
        return NewSecret(rotated, secret)

    def remove(self, name: str, *, note: str | None, actor: str | None = None) -> Client:
        """Remove a client: its next request is refused. Raises Refused without a note, NotFound."""
        note = names.note(note)
        with self._installation.change(actor) as unit:
            client = _present(unit, name)
            unit.tx.remove_client(client.client_id, unit.now)
            _record(unit, "client.remove", client, note, {})
        return client


def is_secret_of(client: Client, secret: str) -> bool:
    """Whether a text is the present secret of a client, or the one before that still counts; in constant time."""
    digest = hash_of(secret)
    # Both are always compared: the time must not depend on which one is right.
    is_present = compare_digest(digest, client.secret_hash)
    is_old = compare_digest(digest, client.old_secret_hash or b"")
    return is_present or is_old


def hash_of(secret: str) -> bytes:
    """The hash of a secret, as the registry keeps it. The secret is random, so that one pass is enough."""
    # decision 247: a slow hash protects secrets that people choose, and this one has 256 random bits
    return sha256(secret.encode(errors="surrogateescape")).digest()


def _lets_in(client: Client) -> bool:
    return Right.INTROSPECT in client.may or Right.VERIFY in client.may


def _is_about(client: Client, folded: AbstractSet[str] | None) -> bool:
    return not client.applications or folded is None or not folded.isdisjoint(map(names.fold, client.applications))


def _present(unit: UnitOfWork, name: str) -> Client:
    """The client of a name or id, as it is inside this change. Raises NotFound."""
    client = _find(unit.tx, name)
    if client is None:
        raise _unknown(name)
    return client


def _find(view: View, name: str) -> Client | None:
    """The client with that id, else the one of that name: a name may be written like the id of another client."""
    name = names.client_name(name)
    with_id = next((client for client in view.clients() if client.client_id == name), None)
    return with_id or view.client_named(name)


def _unknown(name: str) -> NotFound:
    return NotFound(f"no such client: {names.quoted(name)}", "authctl clients list")


def _record(unit: UnitOfWork, action: str, client: Client, note: str | None, detail: dict[str, object]) -> None:
    unit.record(action, subject=client.client_id, note=note, detail={"name": client.name, **detail})


def _new_secret() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))


def _rights(may: Sequence[Right | str]) -> tuple[Right, ...]:
    """The rights, each once, in the order of `Right`. Raises InvalidInput."""
    known = f"--may {'|'.join(Right)}"
    for right in may:
        if right not in set(Right):
            raise InvalidInput(f"no such right: {names.quoted(right)}", known)
    if not may:
        raise InvalidInput("a client needs a right", known)
    return tuple(right for right in Right if right in may)


def _applications(applications: Sequence[str]) -> tuple[str, ...]:
    """The applications, each once. Raises InvalidInput."""
    checked = [names.field(name, "application").strip() for name in applications]
    if not all(checked):
        raise InvalidInput("the name of an application is blank")
    return tuple({names.fold(name): name for name in checked}.values())


def _revoke_note(rights: Sequence[Right], note: str | None) -> str | None:
    """The note of the client's revocations. Raises Refused for a missing note, or one without content."""
    if note is None and Right.REVOKE in rights:
        raise Refused("a client that may revoke needs a note", '--revoke-note "signed out in the web shop"')
    return None if note is None else names.note(note)


def _checked_time(time: int, name: str, least: int, most: int) -> int:
    if not least <= time <= most:
        bounds = f"from {format_timeout(least)} to {format_timeout(most)}"
        raise InvalidInput(f"the {name} of a client is {bounds}, not {format_timeout(time)}")
    return time


def _fingerprint(text: str) -> str:
    """A SHA-256 fingerprint, with or without colons, as lower-case digits. Raises InvalidInput."""
    digits = text.replace(":", "").strip().lower()
    if len(digits) != _FINGERPRINT_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise InvalidInput(
            f"not a SHA-256 fingerprint: {names.quoted(text)}", "openssl x509 -noout -fingerprint -sha256 -in FILE"
        )
    return digits
