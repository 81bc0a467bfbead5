"""The binding of a token to the address or the referrer of its sign-in, compared with a request.

Pure. A bound token is refused if the fact is not given.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote, urlsplit

from authctl.names import fold

_DEFAULT_PORTS = {"http": 80, "https": 443}


def same_address(registered: str, presented: str | None) -> bool:
    """Whether two texts name one address: IPv4 or IPv6 in any spelling, IPv4-mapped included; else the same text."""
    if presented is None:
        return False
    registered_address, presented_address = read_address(registered), read_address(presented)
    return (
        fold(registered) == fold(presented) if registered_address is None else registered_address == presented_address
    )


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text names, an IPv4-mapped one as the IPv4 address; None for any other text."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def within_referrer(registered: str, presented: str | None) -> bool:
    """Whether a page is the registered one or below it: the same scheme, host and port, and the path or one under it.

    ArcGIS binds a token to the web application that asked for it; its pages send their own addresses as `Referer`.
    """
    # decision 36: the pages of an application send their own addresses, below the registered one
    if presented is None:
        return False
    registered_page, presented_page = _page(registered), _page(presented)
    if registered_page is None or presented_page is None:
        return registered.strip() == presented.strip()
    (origin, path), (presented_origin, presented_path) = registered_page, presented_page
    # With a slash at both ends: `/app` is not the page above `/application`.
    return origin == presented_origin and f"{presented_path}/".startswith(f"{path.rstrip('/')}/")


def _page(text: str) -> tuple[tuple[str, str, int | None], str] | None:
    """Origin and path of an absolute URL; None for any other text, and where dots in the path could lead elsewhere."""
    try:
        url = urlsplit(text.strip())
        port = _DEFAULT_PORTS.get(url.scheme) if url.port is None else url.port
    except ValueError:
        return None
    # `https://gis.example.com@other.example/` has the host other.example: a page with a user name is no page.
    if not url.scheme or not url.hostname or url.username is not None or _leads_elsewhere(url.path):
        return None
    return (url.scheme, url.hostname, port), url.path


def _leads_elsewhere(path: str) -> bool:
    """Whether a segment of a path is dots, encoded or with parameters: readers resolve those, each in its own way."""
    return any(segment.split(";")[0] in (".", "..") for segment in unquote(path).split("/"))
