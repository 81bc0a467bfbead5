"""POST /revoke: revoke the session of a token (RFC 7009), with the note of the client."""

from typing import TYPE_CHECKING

from authctl.door.answers import Answer, json_answer
from authctl.door.bearer import is_permitted, token_of
from authctl.door.requests import Request
from authctl.model import Right

if TYPE_CHECKING:
    from authctl.door.application import Door

_DONE = json_answer({})
"""The same answer for unknown and ended tokens. It has a body in JSON: some clients fail on an empty one."""


async def answer(door: "Door", request: Request) -> Answer:
    """Answer one revocation: 200 only after its commit."""
    await request.read()
    form = request.form()
    client = door.client(request, form, Right.REVOKE)
    token = token_of(form)

    def revoke() -> None:
        tokens = door.registry.tokens
        owner = tokens.session(token)
        # decision 248: a token of another application stays as it is, and the answer does not show whose it is
        if owner is not None and is_permitted(client, owner):
            tokens.revoke(token, note=client.revoke_note, actor=door.actor(client))

    await door.calls.write(revoke)
    return _DONE
