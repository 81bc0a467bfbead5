"""POST /token: exchange a refresh token for the next pair (RFC 6749, section 6)."""

from typing import TYPE_CHECKING, Any

from authctl.door.answers import Answer, error, json_answer
from authctl.door.bearer import check_permitted, facts_of, token_of
from authctl.door.requests import Request
from authctl.errors import Refused, TokenInvalid, TokenMisused
from authctl.instants import NEVER, SECOND
from authctl.model import Right

if TYPE_CHECKING:
    from authctl.door.application import Door
    from authctl.registry.tokens.issue import Issued


async def answer(door: "Door", request: Request) -> Answer:
    """Answer one refresh. A client that lost the answer asks again, and gets the same pair within the profile's grace."""
    form = await request.form()
    client = door.client(request, form, Right.REFRESH)
    if form.get("grant_type") != "refresh_token":
        return error(400, "unsupported_grant_type", "only refresh_token")
    token, facts = token_of(form, "refresh_token"), facts_of(client, form)

    def refresh() -> "Issued":
        # Before anything else: a token of another client's application must not count as reuse here.
        check_permitted(door.registry.tokens, client, token)
        return door.registry.refresh(token, actor=door.actor(client), **facts)

    try:
        issued = await door.calls.write(refresh)
    except (TokenInvalid, Refused) as refusal:
        return error(400, "invalid_grant", refusal.message if not isinstance(refusal, TokenMisused) else None)
    return json_answer(_pair(issued))


def _pair(issued: "Issued") -> dict[str, Any]:
    """The next pair. `expires_in` is absent where the access token has no end; nothing is null."""
    content: dict[str, Any] = {"access_token": issued.access_token, "token_type": "Bearer"}
    if issued.expires_at < NEVER:
        content["expires_in"] = max(1, (issued.expires_at - issued.session.read_at) // SECOND)
    if issued.refresh_token is not None:
        content["refresh_token"] = issued.refresh_token
    return content
