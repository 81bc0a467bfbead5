"""The key ring: one private file with the keys that sign tokens, each with an id and a state.

Never in the database, an argument, the environment or a log. One key signs; the others still verify.
"""

import json
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from authctl.errors import IntegrityFailure, RegistryUnavailable
from authctl.files import create_private, read_private
from authctl.instants import format_instant, parse_instant

KEY_BYTES = 32
_VERSION = 1
_ID = re.compile("[0-9a-f]{8}", re.ASCII)


class KeyState(StrEnum):
    """What a key is still good for."""

    SIGNING = "signing"
    VERIFYING = "verifying"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key; its secret is never printed."""

    id: str
    state: KeyState
    created_at: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one installation: unique ids, exactly one that signs."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        """The key for new tokens."""
        return next(key for key in self.keys if key.state is KeyState.SIGNING)

    def verifying(self, key_id: str) -> Key | None:
        """The key that a token names, unless it is unknown or retired."""
        return next((k for k in self.keys if k.id == key_id and k.state is not KeyState.RETIRED), None)


def create(path: Path, now: int) -> KeyRing:
    """Make a key ring file with one fresh key. Raises Refused when there is one."""
    key = Key(secrets.token_hex(4), KeyState.SIGNING, now, secrets.token_bytes(KEY_BYTES))
    ring = KeyRing((key,))
    create_private(path, _dump(ring))
    return ring


def load(path: Path) -> KeyRing:
    """Read the key ring. Raises RegistryUnavailable (missing, open to others) or IntegrityFailure (damaged)."""
    raw = read_private(path, "key ring")
    try:
        document = json.loads(raw)
        newer = type(document["version"]) is int and document["version"] > _VERSION
        ring = None if newer else KeyRing(tuple(_key(entry) for entry in document["keys"]))
    except Exception:  # noqa: BLE001  # whatever is wrong with it, it is damaged
        raise IntegrityFailure(f"the key ring at {path} is damaged") from None
    if ring is None:
        raise RegistryUnavailable(f"the key ring at {path} was written by a newer authctl", "upgrade authctl")
    signing = sum(key.state is KeyState.SIGNING for key in ring.keys)
    if signing != 1 or len({key.id for key in ring.keys}) != len(ring.keys):
        raise IntegrityFailure(f"the key ring at {path} is damaged: it needs one signing key, and ids only once")
    return ring


def _key(entry: Any) -> Key:
    secret = bytes.fromhex(entry["secret"])
    key_id = entry["id"]
    if len(secret) < KEY_BYTES or set(secret) == {secret[0]} or not _ID.fullmatch(key_id):
        raise ValueError("no key of ours")
    return Key(key_id, KeyState(entry["state"]), parse_instant(entry["created_at"]), secret)


def _dump(ring: KeyRing) -> bytes:
    keys = [
        {"id": k.id, "state": k.state, "created_at": format_instant(k.created_at), "secret": k.secret.hex()}
        for k in ring.keys
    ]
    return json.dumps({"version": _VERSION, "keys": keys}, indent=2).encode() + b"\n"
