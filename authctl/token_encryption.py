"""The content of a sealed token, encrypted and authenticated: AES-256-GCM, in this module only.

As JSON, filled up to a multiple of 64 bytes, so that its length shows little: the session's number, id and secret, user,
application, the instants of issue and expiry, and the fact that the token is bound to.
"""

import json
import os
from dataclasses import asdict, dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authctl.errors import TokenUnknown

_NONCE = 12
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Sealed:
    """The content of a sealed token; instants in microseconds since 1970 UTC."""

    number: int
    session_id: str
    secret: str = field(repr=False)
    """Proves to the registry that the token is of that session; hexadecimal."""
    username: str
    application: str
    issued_at: int
    expires_at: int
    bound_to: str | None
    """`address` or `referrer`, or None for a token that is good from anywhere."""
    bound_value: str | None


def seal(head: str, content: Sealed, key: bytes) -> str:
    """The head, a nonce and the sealed content, both in hexadecimal; the head is authenticated with it."""
    text = json.dumps(asdict(content), separators=(",", ":"), ensure_ascii=False).encode()
    # The length of the token would else give the length of the user name.
    text = text.ljust(-(-len(text) // _BLOCK) * _BLOCK)
    nonce = os.urandom(_NONCE)
    # The head names the key and the kind. It is authenticated with the content, so that neither can be exchanged.
    return head + nonce.hex() + AESGCM(key).encrypt(nonce, text, head.encode()).hex()


def unseal(head: str, body: bytes, key: bytes) -> Sealed:
    """The content that was sealed with that key under that head. Raises TokenUnknown when anything of it was changed."""
    try:
        text = AESGCM(key).decrypt(body[:_NONCE], body[_NONCE:], head.encode())
    except InvalidTag:
        raise TokenUnknown from None
    return Sealed(**json.loads(text))
