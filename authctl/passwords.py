"""How a password is known again without being kept: for the authentication cache.

A verifier is scrypt of the password, and over that, with whose success it is, an HMAC by a key derived from the key ring.
So a registry without its key ring lets nobody try passwords at all, with it only at the pace of scrypt, and
a verifier that was moved to another user, or given another age, fits nothing.
"""

import hmac
import json
from hashlib import scrypt

from authctl.errors import InvalidInput
from authctl.key_ring import Key
from authctl.names import field

SALT_BYTES = 16
LONGEST_PASSWORD = 1_000
"""In characters."""


# N = 2^14, r = 8, p = 5: 16 MiB, one of the settings of equal strength that OWASP's Password Storage Cheat Sheet names.
_COST = {"n": 2**14, "r": 8, "p": 5, "maxmem": 2**26, "dklen": 32}
_PURPOSE = b"authctl authentication cache"


def check(password: str) -> str:
    """The password as given. Raises InvalidInput for one that no authenticator could take: blank, too long, or with a line break."""
    field(password, "the password", LONGEST_PASSWORD)
    if not password:
        raise InvalidInput("the password is blank", "give it in one line on standard input")
    if any(character in password for character in "\r\n"):
        raise InvalidInput("the password has a line break", "give it in one line on standard input")
    return password


def verifier(password: str, salt: bytes, key: Key, *success: str | int) -> bytes:
    """The verifier of a password, by which it is known again; `success` is the user, the time and all other data that must stay with it."""
    # decision 60: with the registry alone nobody can try passwords, and with the key ring each try takes 0.1 s
    slow = scrypt(password.encode(), salt=salt, **_COST)
    pepper = hmac.digest(key.secret, _PURPOSE, "sha256")
    return hmac.digest(pepper, slow + json.dumps(success).encode(), "sha256")
