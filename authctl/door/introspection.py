"""POST /introspect: whether an access token is valid (RFC 7662). It counts as a use of the session."""

from functools import partial
from json.encoder import encode_basestring_ascii as _text
from typing import TYPE_CHECKING

from authctl import names, records
from authctl.door.answers import Answer, json_text_answer
from authctl.door.bearer import facts_of, judge, token_of
from authctl.door.requests import Request
from authctl.errors import TokenInvalid
from authctl.instants import NEVER, SECOND
from authctl.model import Client, Right, Session

if TYPE_CHECKING:
    from authctl.door.application import Door

_INACTIVE = json_text_answer('{"active": false}')
"""The answer for every token that does not let its bearer in: no reason (RFC 7662, section 2.2), and no order to wipe. Written as
`authctl tokens verify -o json` writes it."""


async def answer(door: "Door", request: Request) -> Answer:
    """Answer one introspection."""
    await request.read()
    return await door.calls.read(partial(at_once, door, request))


def at_once(door: "Door", request: Request) -> Answer:
    """The same for a request whose body was read. Raises RegistryUnavailable, NoAnswer, and as `Tokens.introspect`."""
    form = request.form()
    client = door.client(request, form, Right.INTROSPECT)
    token, facts = token_of(form), facts_of(client, form)
    try:
        session = judge(door.registry.tokens, client, token, facts)
    except TokenInvalid:
        return _INACTIVE
    return json_text_answer(content(session, client, door.scopes.of(session)))


def content(session: Session, client: Client, scope: str | None) -> str:
    """The members of the answer for a valid token, as JSON. Its `exp` is how long it may be kept: to the deadline, but no longer than
    the client's cache time.

    Nothing in it is null: some resource servers fail on that. The true deadline is `session_expires_at`, absent where there is none.
    """
    # decision 244: resource servers keep an answer until `exp`, so that it limits the time until a revocation counts
    deadline = records.access_deadline(session)
    kept_until = min(deadline, session.read_at + client.cache_for)
    # decision 347: an answer is never kept for longer than agreed. The shortest cache time is a second, so that none is over already.
    exp = kept_until // SECOND
    # Put together by hand: a general encoder takes as long as half of the look-up.
    members = (
        f'{{"active":true,"sub":{_text(names.fold(session.username))},"username":{_text(session.username)},'
        f'"client_id":{_text(session.application or "")},"token_type":"Bearer",'
        f'"iat":{session.token_issued_at // SECOND},"exp":{exp},"jti":{_text(session.id)}'
    )
    if deadline < NEVER:
        members += f',"session_expires_at":{deadline // SECOND}'
    if scope is not None:
        members += f',"scope":{_text(scope)}'
    return members + "}"
