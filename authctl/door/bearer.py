"""The token in a request of a client, and the facts that the client gives about the bearer of the token.

See docs/glossary.md#bearer.
"""

from typing import TYPE_CHECKING

from authctl import names
from authctl.door.answers import error
from authctl.door.requests import NoAnswer
from authctl.errors import TokenMisused
from authctl.model import Client, Request, Session

if TYPE_CHECKING:
    from authctl.registry.tokens import Tokens

_FACTS = ("application_version", "platform", "ip", "referrer")


def token_of(form: dict[str, str], field: str = "token") -> str:
    """The token in a form. `token_type_hint` is not read: a token shows its kind itself. Raises NoAnswer for a form without it."""
    token = form.get(field)
    if token is None:
        raise NoAnswer(error(400, "invalid_request", f"the field {field} is missing"))
    return token


def facts_of(client: Client, form: dict[str, str]) -> Request:
    """The facts of a request, if this client may give facts; those of other clients are ignored."""
    facts = Request()
    if client.facts:
        for name in _FACTS:
            if name in form:
                facts[name] = form[name]  # type: ignore[literal-required]
    return facts


def is_permitted(client: Client, session: Session) -> bool:
    """Whether a client may ask about a session: it is of one of its applications, if it is bound to any."""
    if not client.applications:
        return True
    return names.fold(session.application or "") in set(map(names.fold, client.applications))


def judge(tokens: "Tokens", client: Client | None, token: str, facts: Request) -> Session:
    """The session of a valid access token that this client may ask about; it counts as a use. Raises TokenInvalid."""
    # decision 248: before anything is done with the token: no use of another application's session may be recorded
    applications = client.applications if client else ()
    if len(applications) == 1:
        facts["application"] = applications[0]
    elif applications:
        assert client is not None
        check_permitted(tokens, client, token)  # before the use is recorded
    return tokens.introspect(token, **facts)


def check_permitted(tokens: "Tokens", client: Client, token: str) -> None:
    """Raise TokenMisused for a token of an application that the client may not ask about; it is left as it is."""
    owner = tokens.session(token) if client.applications else None
    if owner is not None and not is_permitted(client, owner):
        raise TokenMisused("the token belongs to an application of another client")
