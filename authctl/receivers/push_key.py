"""The key that signs Security Event Tokens: RS256 with 2,048 bits, as the CAEP interoperability profile requires.

It is no key of the ring: receivers know its public part. Needs the extra `push` (joserfc).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from authctl.errors import IntegrityFailure, ReceiverUnavailable
from authctl.files import create_private, read_private

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

FILE = "push-key.json"
_BITS = 2_048
_MISSING = "first: authctl receivers key"


def load(home: Path) -> RSAKey:
    """The key in a home. Raises RegistryUnavailable where it is missing or open to others, IntegrityFailure for no key."""
    raw = read_private(home / FILE, "push key", _MISSING)
    try:
        key: RSAKey = _library().RSAKey.import_key(json.loads(raw))
    except ReceiverUnavailable:
        raise
    except Exception:  # noqa: BLE001  # whatever the library raises about such a file
        raise IntegrityFailure(f"there is no key in {home / FILE}") from None
    return key


def load_or_create(home: Path) -> RSAKey:
    """The key in a home, made where there is none yet."""
    if not (home / FILE).exists():
        key = _library().RSAKey.generate_key(_BITS, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
        create_private(home / FILE, json.dumps(key.as_dict(private=True)).encode())
    return load(home)


def published(key: RSAKey) -> dict[str, Any]:
    """The public part of the key, as a JSON Web Key Set (RFC 7517)."""
    return {"keys": [dict(key.as_dict(private=False))]}


def sign(key: RSAKey, claims: dict[str, Any]) -> str:
    """The token of those claims: a JWS with `typ` secevent+jwt (RFC 8417, section 2.3)."""
    from joserfc import jwt

    header = {"alg": "RS256", "typ": "secevent+jwt", "kid": key.kid}
    return jwt.encode(header, claims, key, algorithms=["RS256"])


def _library() -> Any:
    try:
        from joserfc import jwk
    except ImportError:
        raise ReceiverUnavailable("joserfc is not installed: pip install 'authctl[push]'") from None
    return jwk
