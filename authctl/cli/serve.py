"""`authctl serve`: the door."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from authctl.bearer_tokens import cookie_name
from authctl.cli.context import start
from authctl.cli.options import Quiet, whole_number
from authctl.door.settings import AccessLog, Network, Settings
from authctl.errors import InvalidInput, Refused
from authctl.names import quoted

_MOST_WORKERS = 64
_DEFAULT_BIND = "127.0.0.1:8400"

app = typer.Typer(rich_markup_mode=None, add_completion=False)


Bind = Annotated[
    str | None,
    typer.Option(
        "--bind",
        metavar="ADDRESS",
        help=f"Address: HOST:PORT, unix:PATH or fd:N. Default: the socket of systemd, else {_DEFAULT_BIND}.",
    ),
]
SocketGroup = Annotated[
    str | None, typer.Option("--group", metavar="GROUP", help="Group that may use the Unix socket.")
]
Workers = Annotated[
    int, typer.Option("--workers", metavar="N", parser=whole_number(1), help="Number of processes. Default: 1.")
]
Certificate = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, for HTTPS.")]
PrivateKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Private key of the certificate.")]
ClientAuthorities = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca", metavar="FILE", help="Certificates that sign those of clients (clients add --certificate)."
    ),
]
PlainHttp = Annotated[
    bool,
    typer.Option(
        "--allow-plain-http", help="Listen beyond this machine without TLS. Tokens and secrets can be read on the way."
    ),
]
Proxies = Annotated[
    list[str] | None,
    typer.Option(
        "--proxy",
        metavar="NETWORK",
        help="Network of proxies whose X-Forwarded- headers are believed, or unix. Repeatable.",
    ),
]
Issuer = Annotated[
    str | None, typer.Option("--issuer", metavar="URL", help="URL of the door for clients, used in its metadata.")
]
VerifyAny = Annotated[
    bool, typer.Option("--verify-any", help="Open /verify, which lets in the tokens of every application.")
]
Cookie = Annotated[
    str | None, typer.Option("--cookie", metavar="NAME", help="Cookie with the token, for forward-auth.")
]
Log = Annotated[
    AccessLog, typer.Option("--access-log", help="Log on standard output, one line a request: text, json or off.")
]


@app.command()
def serve(
    ctx: typer.Context,
    bind: Bind = None,
    group: SocketGroup = None,
    workers: Workers = 1,
    tls_cert: Certificate = None,
    tls_key: PrivateKey = None,
    tls_client_ca: ClientAuthorities = None,
    allow_plain_http: PlainHttp = False,
    proxy: Proxies = None,
    issuer: Issuer = None,
    verify_any: VerifyAny = False,
    cookie: Cookie = None,
    access_log: Log = AccessLog.TEXT,
    quiet: Quiet = False,
) -> None:
    """Answer applications and proxies by HTTP: introspection, revocation, refresh and forward-auth. Ends with SIGTERM."""
    cli = start(ctx, None, quiet)
    try:
        from authctl.door import server, sockets
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"serve needs {error.name}, which is not installed", "pip install 'authctl[serve]'"
        ) from None
    if (tls_cert is None) != (tls_key is None):
        raise InvalidInput("--tls-cert and --tls-key belong together")
    networks, trusts_unix = _proxies(proxy or ())
    cookie, issuer = cookie_name(cookie), _checked_issuer(issuer)
    cli.registry.profiles.in_force()  # a registry that cannot be used is an error of this command
    cli.registry.close()
    listener = sockets.listen(bind if bind is not None else _bind_of_systemd(sockets.systemd_socket()), group=group)
    address = sockets.address_of(listener, tls=tls_cert is not None)
    settings = Settings(
        home=cli.installation_home.folder,
        registry=str(cli.installation_home.registry),
        keys=str(cli.installation_home.keys),
        issuer=issuer or (address if address.startswith("http") else "http://localhost"),
        proxies=networks,
        trusts_unix=trusts_unix,
        verify_any=verify_any,
        cookie=cookie,
        access_log=access_log,
        certificate=tls_cert,
        key=tls_key,
        client_ca=tls_client_ca,
    )
    if tls_cert is not None:
        server.check_certificates(settings)
    elif not (allow_plain_http or sockets.is_local(listener)):
        raise Refused(
            f"not listening at {address}: other machines could reach it, and it has no TLS",
            "--tls-cert FILE --tls-key FILE, or --allow-plain-http",
        )
    server.serve(settings, listener, min(workers, _MOST_WORKERS), lambda: cli.say(f"listening at {address}"))


def _checked_issuer(url: str | None) -> str | None:
    """The URL under which clients reach the door, or None. Raises InvalidInput."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_of_door = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # half an address in brackets
        is_of_door = False
    # RFC 8414, section 2: an issuer has neither a query nor a fragment
    if not is_of_door or "?" in url or "#" in url:
        raise InvalidInput(f"not the URL of a door: {quoted(url)}", "--issuer https://HOST")
    return url


def _bind_of_systemd(descriptor: int | None) -> str:
    return _DEFAULT_BIND if descriptor is None else f"fd:{descriptor}"


def _proxies(texts: list[str] | tuple[str, ...]) -> tuple[tuple[Network, ...], bool]:
    """The networks of `--proxy`, and whether the Unix socket is one of them. Raises InvalidInput."""
    networks: list[Network] = []
    for text in texts:
        if text == "unix":
            continue
        try:
            networks.append(ip_network(text))
        except ValueError:
            raise InvalidInput(f"not a network: {quoted(text)}", "--proxy 10.0.0.0/8, or --proxy unix") from None
    return tuple(networks), "unix" in texts
