"""POST /introspect: whether an access token is valid (RFC 7662). It counts as a use of the session."""

from typing import TYPE_CHECKING, Any

from authctl import names, records
from authctl.door.answers import Answer, json_answer
from authctl.door.bearer import facts_of, judge, token_of
from authctl.door.requests import Request
from authctl.errors import TokenInvalid
from authctl.instants import NEVER, SECOND
from authctl.model import Client, Right, Session

if TYPE_CHECKING:
    from authctl.door.application import Door

_INACTIVE = json_answer({"active": False})
"""The answer for every token that does not let its bearer in: no reason (RFC 7662, section 2.2), and no order to wipe."""


async def answer(door: "Door", request: Request) -> Answer:
    """Answer one introspection."""
    form = await request.form()
    client = door.client(request, form, Right.INTROSPECT)
    token, facts = token_of(form), facts_of(client, form)

    def look_up() -> tuple[Session, str | None]:
        session = judge(door.registry.tokens, client, token, facts)
        return session, door.scopes.of(session)

    try:
        session, scope = await door.calls.read(look_up)
    except TokenInvalid:
        return _INACTIVE
    return json_answer(introspection(session, client, scope))


def introspection(session: Session, client: Client, scope: str | None) -> dict[str, Any]:
    """The answer for a valid token. Its `exp` is how long it may be kept: to the deadline, but no longer than the client's cache time.

    Nothing in it is null: some resource servers fail on that. The true deadline is `session_expires_at`, absent where there is none.
    """
    # decision 244: resource servers keep an answer until `exp`, so that it limits the time until a revocation counts
    read_at = session.read_at
    deadline = records.access_deadline(session)
    kept_until = min(deadline, read_at + client.cache_for)
    # A deadline is rounded down, the cache time up: neither is shortened to 0 seconds, nor is a session prolonged.
    content: dict[str, Any] = {
        "active": True,
        "sub": names.fold(session.username),
        "username": session.username,
        "client_id": session.application or "",
        "token_type": "Bearer",
        "iat": session.token_issued_at // SECOND,
        "exp": -(-kept_until // SECOND) if kept_until < deadline else kept_until // SECOND,
        "jti": session.id,
    }
    if deadline < NEVER:
        content["session_expires_at"] = deadline // SECOND
    if scope is not None:
        content["scope"] = scope
    return content
