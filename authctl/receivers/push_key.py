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

_BITS = 2_048
_MISSING = "first: authctl receivers key"


def load(file: Path) -> RSAKey:
    """The key in a file. Raises RegistryUnavailable where it is missing or open to others, IntegrityFailure for no key."""
    raw = read_private(file, "push key", _MISSING)
    try:
        key: RSAKey = _library().RSAKey.import_key(json.loads(raw))
    except ReceiverUnavailable:
        raise
    except Exception:  # noqa: BLE001  # the library does not document its errors for such a file
        raise IntegrityFailure(f"there is no key in {file}") from None
    return key


def load_or_create(file: Path) -> RSAKey:
    """The key in a file, made where there is none yet."""
    if not file.exists():
        key = _library().RSAKey.generate_key(_BITS, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
        create_private(file, json.dumps(key.as_dict(private=True)).encode())
    return load(file)


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
