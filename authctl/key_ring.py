"""The key ring: one private file with the keys that sign tokens, each with an id and a state.

Never in the database, an argument, the environment or a log. One key signs; others still verify. Of a retired one its id is
kept, and its secret is gone.

See docs/glossary.md#key-ring and docs/glossary.md#signing-key.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from authctl.errors import IntegrityFailure, RegistryUnavailable
from authctl.files import create_private, read_private, replace_private
from authctl.instants import format_instant, parse_instant

KEY_BYTES = 32
_VERSION = 2
_OLDER = 1
"""Which kept the secrets of retired keys; it is read, and never written."""

_ID_LENGTH = 8
_ID_DIGITS = frozenset("0123456789abcdef")


class KeyState(StrEnum):
    """The use that a key still has."""

    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"


class Key(NamedTuple):
    """A signing key; its secret is never printed."""

    id: str
    state: KeyState
    created_at: int
    secret: bytes
    """Blank once the key is retired."""
    retired_at: int | None = None

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, state={self.state!r})"


class KeyRing(NamedTuple):
    """The keys of one installation: unique ids, exactly one that signs."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        """The key for new tokens."""
        return next(key for key in self.keys if key.state is KeyState.SIGNING)

    def find(self, key_id: str) -> Key | None:
        """The key of that id, in any state."""
        return next((key for key in self.keys if key.id == key_id), None)

    def rotated(self, now: int) -> "KeyRing":
        """The ring with a fresh key that signs; the one that did still verifies."""
        old = (k._replace(state=KeyState.VERIFYING) if k.state is KeyState.SIGNING else k for k in self.keys)
        return KeyRing((*old, _new_key(now)))

    def without(self, key_id: str, now: int) -> "KeyRing":
        """The ring with that key retired: the tokens that it signed are no longer accepted."""
        return KeyRing(
            tuple(
                # decision 74: a backup of the ring that is stolen later has no secret of this key
                k._replace(state=KeyState.RETIRED, secret=b"", retired_at=now) if k.id == key_id else k
                for k in self.keys
            )
        )

    def verifying(self, key_id: str) -> Key | None:
        """The key that a token names, unless it is unknown or retired."""
        return next((k for k in self.keys if k.id == key_id and k.state is not KeyState.RETIRED), None)


def create(path: Path, now: int) -> KeyRing:
    """Make a key ring file with one fresh key. Raises Refused when there is one."""
    ring = KeyRing((_new_key(now),))
    create_private(path, _dump(ring))
    return ring


def save(path: Path, ring: KeyRing) -> None:
    """Put a key ring in the place of the one in the file. Raises RegistryUnavailable; the old one stands then."""
    replace_private(path, _dump(ring))


def _new_key(now: int) -> Key:
    import secrets

    return Key(secrets.token_hex(4), KeyState.SIGNING, now, secrets.token_bytes(KEY_BYTES))


def load(path: Path) -> KeyRing:
    """Read the key ring. Raises RegistryUnavailable (missing, open to others) or IntegrityFailure (damaged)."""
    # decision 74: version 2 has no secret for a retired key
    raw = read_private(path, "key ring")
    try:
        document = json.loads(raw)
        # `True` is an int for Python, and 1 == True: the type is compared, so that only a number is a version.
        newer = type(document["version"]) is int and document["version"] > _VERSION
        known = type(document["version"]) is int and document["version"] in (_OLDER, _VERSION)
        ring = None if newer or not known else KeyRing(tuple(_key(entry) for entry in document["keys"]))
    except Exception:  # noqa: BLE001  # whatever is wrong with it, it is damaged
        raise IntegrityFailure(f"the key ring at {path} is damaged") from None
    if ring is None and not newer:
        raise IntegrityFailure(f"the key ring at {path} is damaged")
    if ring is None:
        raise RegistryUnavailable(f"the key ring at {path} was written by a newer authctl", "upgrade authctl")
    signing = sum(key.state is KeyState.SIGNING for key in ring.keys)
    if signing != 1 or len({key.id for key in ring.keys}) != len(ring.keys):
        # With two signing keys, machines that share the ring would sign with different ones; with none, nobody can sign in.
        raise IntegrityFailure(f"the key ring at {path} is damaged: it needs one signing key, and ids only once")
    return ring


def _key(entry: Any) -> Key:
    key_id, state = entry["id"], KeyState(entry["state"])
    secret = bytes.fromhex(entry.get("secret", "") if state is KeyState.RETIRED else entry["secret"])
    # A file that was overwritten with zeros, or filled in by hand, must not become a key that everybody knows.
    is_weak = len(secret) < KEY_BYTES or set(secret) == {secret[0]}
    if not _is_id(key_id) or (is_weak and state is not KeyState.RETIRED):
        raise ValueError("not a key of authctl")
    retired_at = parse_instant(entry["retired_at"]) if "retired_at" in entry else None
    return Key(key_id, state, parse_instant(entry["created_at"]), secret, retired_at)


def _is_id(text: Any) -> bool:
    return isinstance(text, str) and len(text) == _ID_LENGTH and _ID_DIGITS.issuperset(text)


def _dump(ring: KeyRing) -> bytes:
    keys = [
        {"id": k.id, "state": k.state, "created_at": format_instant(k.created_at)}
        | ({} if k.retired_at is None else {"retired_at": format_instant(k.retired_at)})
        | ({"secret": k.secret.hex()} if k.secret else {})
        for k in ring.keys
    ]
    return json.dumps({"version": _VERSION, "keys": keys}, indent=2).encode() + b"\n"
