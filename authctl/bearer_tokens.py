"""The token that a request presents: in `Authorization: Bearer`, or in the one cookie that was named for it.

See docs/glossary.md#bearer.
"""

from authctl.errors import InvalidInput
from authctl.names import quoted

_COOKIE_SIGNS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The characters of the name of a cookie: those of a token of HTTP (RFC 6265, section 4.1.1; RFC 9110, section 5.6.2)."""


def cookie_name(name: str | None) -> str | None:
    """The name of a cookie, or None where none is read. Raises InvalidInput for a text that cannot be one, such as a blank one."""
    # decision 336: a name that no browser sends would leave the door closed for everybody, and nobody would learn why
    if name is not None and not (name and _COOKIE_SIGNS.issuperset(name)):
        raise InvalidInput(f"not the name of a cookie: {quoted(name)}")
    return name


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
