"""The token that a request presents: in `Authorization: Bearer`, or in the one cookie that was named for it.

See docs/glossary.md#bearer.
"""


def presented_token(authorization: str | None, cookies: str | None, cookie: str | None) -> str | None:
    """The token of a request, by its headers `Authorization` and `Cookie`; None without one.

    An `Authorization` of another scheme counts: the cookie is not read beside it. A cookie that is given twice is none, since another
    site of the same domain may have set one of them.
    """
    # decision 261: one rule for the door and the adapters
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None
    if cookie is None:
        return None
    pairs = (pair.strip().partition("=") for pair in (cookies or "").replace(",", ";").split(";"))
    values = [value.strip('"') for name, _, value in pairs if name == cookie]
    return values[0] if len(values) == 1 else None
