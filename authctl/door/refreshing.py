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
    await request.read()
    form = request.form()
    client = door.client(request, form, Right.REFRESH)
    if form.get("grant_type") != "refresh_token":
        return error(400, "unsupported_grant_type", "only refresh_token")
    token, facts = token_of(form, "refresh_token"), facts_of(client, form)

    def refresh() -> "tuple[Issued, str | None]":
        # Before anything else: a token of another client's application must not count as reuse here.
        check_permitted(door.registry.tokens, client, token)
        issued = door.registry.refresh(token, actor=door.actor(client), **facts)
        return issued, door.scopes.of(issued.session)

    try:
        issued, scope = await door.calls.write(refresh)
    except (TokenInvalid, Refused) as refusal:
        return error(400, "invalid_grant", refusal.message if not isinstance(refusal, TokenMisused) else None)
    return json_answer(_pair(issued, scope))


def _pair(issued: "Issued", scope: str | None) -> dict[str, Any]:
    """The next pair. `expires_in` is absent where the access token has no end, `scope` where the profile names none; nothing is null."""
    assert issued.refresh_token is not None  # clients that find none keep the spent one, or none
    content: dict[str, Any] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "refresh_token": issued.refresh_token,
    }
    if issued.expires_at < NEVER:
        content["expires_in"] = max(1, (issued.expires_at - issued.session.read_at) // SECOND)
    if scope is not None:
        content["scope"] = scope
    return content
