"""POST /wipe: an application asks whether it has to remove its data, and reports that it has done so."""

from typing import TYPE_CHECKING

from authctl.door.answers import Answer, error, json_answer
from authctl.door.bearer import is_permitted, token_of
from authctl.door.requests import Request
from authctl.errors import TokenInvalid
from authctl.model import Right

if TYPE_CHECKING:
    from authctl.door.application import Door
    from authctl.model import Session

_ORDER = json_answer({"action": "wipe"})
_NO_ORDER = json_answer({"action": "none"})
_ACKNOWLEDGED = json_answer({"action": "none", "wipe": "acknowledged"})
_NOTHING_ORDERED = error(400, "invalid_request", "no wipe was ordered for the session of this token")


async def answer(door: "Door", request: Request) -> Answer:
    """Answer one question for an order, or with `done=true` one report. Any token of the session will do, however old."""
    await request.read()
    form = request.form()
    client = door.client(request, form, Right.WIPE)
    token, is_done = token_of(form), form.get("done") == "true"

    def ask() -> "Session | None":
        tokens = door.registry.tokens
        owner = tokens.session(token)
        if owner is None or not is_permitted(client, owner):
            return None
        return tokens.wipe_done(token, actor=door.actor(client)) if is_done else tokens.wipe_order(token)

    try:
        session = await door.calls.write(ask)
    except TokenInvalid:
        session = None
    if is_done:
        return _NOTHING_ORDERED if session is None else _ACKNOWLEDGED
    return _NO_ORDER if session is None else _ORDER
