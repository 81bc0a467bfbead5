"""What peers do in a process of their own, for `peers.py`, which runs this with the interpreter of .venv-peers.

    .venv-peers/bin/python benchmarks/peer_sides.py versions
    .venv-peers/bin/python benchmarks/peer_sides.py fill PEER SESSIONS            # PEER: django, knox or oauth
    .venv-peers/bin/python benchmarks/peer_sides.py verify PEER SESSIONS TOKENS   # or jwt

AUTHCTL_PEER, AUTHCTL_PEER_DATABASE and DJANGO_SETTINGS_MODULE=peer_settings say where. `verify` does a round for each line on
standard input, and answers with the seconds that it took. Users have six sessions each; every second session has expired,
but for django-rest-knox, which removes what has expired when it meets it.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from time import perf_counter
from typing import Any

PACKAGES = ("django", "django-rest-knox", "djangorestframework", "django-oauth-toolkit", "sqlite-utils", "pyjwt")
PER_USER = 6
BATCH = 5_000
NOW = datetime.now(UTC)
LIVE, OVER = NOW + timedelta(days=7), NOW - timedelta(days=30)
JWT_KEY = b"no secret: nothing here leaves the benchmark"

Verify = Callable[[], object]


def secret(number: int) -> str:
    """The token of a session, or the key of a Django session: 64 hexadecimal digits, which follow from its number."""
    return sha256(b"peer %d" % number).hexdigest()


def end(number: int) -> datetime:
    """When a session expires, or expired."""
    return LIVE if number % 2 else OVER


def chosen(sessions: int, tokens: int) -> list[int]:
    """So many sessions from all over the table, none of which has expired."""
    step = max(2, sessions // tokens // 2 * 2)
    return list(range(1, sessions + 1, step))[:tokens]


def saved(rows: Iterable[Any]) -> None:
    """Store rows of one model in batches."""
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            type(row).objects.bulk_create(batch)
            batch.clear()
    if batch:
        type(batch[0]).objects.bulk_create(batch)


def fill(peer: str, sessions: int) -> None:
    """Make the database of a peer."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import transaction

    call_command("migrate", verbosity=0)
    users = sessions // PER_USER + 1
    with transaction.atomic():
        saved(User(id=n, username=f"user{n}@example.org") for n in range(1, users + 1))
        for rows in {"django": django_rows, "knox": knox_rows, "oauth": oauth_rows}[peer](sessions):
            saved(rows)


def _user(number: int) -> int:
    return (number - 1) // PER_USER + 1


def django_rows(sessions: int) -> Iterator[Iterable[Any]]:
    """Sessions of Django as its login leaves them."""
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session

    store = SessionStore()
    backend = "django.contrib.auth.backends.ModelBackend"
    yield (
        Session(
            session_key=secret(n)[:32],
            session_data=store.encode(
                {"_auth_user_id": str(_user(n)), "_auth_user_backend": backend, "_auth_user_hash": secret(n)}
            ),
            expire_date=end(n),
        )
        for n in range(1, sessions + 1)
    )


def knox_rows(sessions: int) -> Iterator[Iterable[Any]]:
    """Tokens of django-rest-knox."""
    from knox.crypto import hash_token
    from knox.models import AuthToken
    from knox.settings import CONSTANTS

    yield (
        AuthToken(
            digest=hash_token(secret(n)),
            token_key=secret(n)[: CONSTANTS.TOKEN_KEY_LENGTH],
            user_id=_user(n),
            expiry=LIVE,
        )
        for n in range(1, sessions + 1)
    )


def oauth_rows(sessions: int) -> Iterator[Iterable[Any]]:
    """Access and refresh tokens of django-oauth-toolkit, a pair for each session as its authorization code grant issues them."""
    from oauth2_provider.models import AccessToken, Application, RefreshToken

    application = Application.objects.create(
        name="Outlook",
        client_type=Application.CLIENT_PUBLIC,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris="https://example.org/",
    )
    numbers = range(1, sessions + 1)
    yield (
        AccessToken(
            id=n, user_id=_user(n), token=secret(n), application=application, expires=end(n), scope="read write"
        )
        for n in numbers
    )
    yield (
        RefreshToken(id=n, user_id=_user(n), token=f"refresh{secret(n)}", application=application, access_token_id=n)
        for n in numbers
    )


def verifying(peer: str, numbers: list[int]) -> list[Verify]:
    """What verifies each of the sessions, once."""
    return {"django": django_verify, "knox": knox_verify, "oauth": oauth_verify, "jwt": jwt_verify}[peer](numbers)


def django_verify(numbers: list[int]) -> list[Verify]:
    """Load the session of a key; its user would be one more query."""
    from django.contrib.sessions.backends.db import SessionStore

    def load(key: str) -> object:
        return SessionStore(key).load()["_auth_user_id"]

    return [partial(load, secret(n)[:32]) for n in numbers]


def knox_verify(numbers: list[int]) -> list[Verify]:
    """What a view does with the token of a request."""
    from knox.auth import TokenAuthentication

    authentication = TokenAuthentication()
    return [partial(authentication.authenticate_credentials, secret(n).encode()) for n in numbers]


def oauth_verify(numbers: list[int]) -> list[Verify]:
    """What a protected resource does with the token of a request."""
    from oauth2_provider.oauth2_validators import OAuth2Validator
    from oauthlib.common import Request

    validator, request = OAuth2Validator(), Request("https://example.org/")
    return [partial(validator.validate_bearer_token, secret(n), ["read"], request) for n in numbers]


def jwt_verify(numbers: list[int]) -> list[Verify]:
    """Signature and expiry alone: nothing is looked up, so nothing can be revoked."""
    import jwt

    claims = {"iss": "https://example.org", "iat": NOW, "exp": LIVE}
    tokens = [
        jwt.encode(claims | {"sub": f"user{_user(n)}", "jti": secret(n)}, JWT_KEY, algorithm="HS256") for n in numbers
    ]
    return [partial(jwt.decode, token, JWT_KEY, algorithms=["HS256"]) for token in tokens]


def answer(operations: list[Verify]) -> None:
    """A round for each line on standard input."""
    assert all(operation() for operation in operations)
    print("ready", flush=True)
    for _ in sys.stdin:
        began = perf_counter()
        for operation in operations:
            operation()
        print(perf_counter() - began, flush=True)


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    what, *more = arguments
    if what == "versions":
        print(json.dumps({name: version(name) for name in PACKAGES}))
        return
    peer, sessions = more[0], int(more[1])
    if peer != "jwt":
        import django

        django.setup()
    if what == "fill":
        fill(peer, sessions)
    else:
        answer(verifying(peer, chosen(sessions, int(more[2]))))


if __name__ == "__main__":
    if not sys.argv[1:]:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
