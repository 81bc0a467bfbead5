"""The parts that commands share which issue tokens or take one: the secret that goes in, and the token that comes out."""

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeGuard

import typer

from authctl import records
from authctl.cli.context import Cli
from authctl.cli.options import user_names
from authctl.cli.pasted_text import strip_token
from authctl.errors import InvalidInput
from authctl.passwords import LONGEST_PASSWORD
from authctl.render import Format
from authctl.tokens import LONGEST_TOKEN, has_token_shape, looks_like_token

if TYPE_CHECKING:
    from authctl.registry.tokens.issue import Issued

SignInUser = Annotated[str, typer.Option("--user", metavar="NAME", callback=user_names, help="User who signed in.")]
SignInApplication = Annotated[
    str, typer.Option("--application", metavar="NAME", help="Application that the user signed in with.")
]
SignInProfile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Profile to use instead of the assigned one.")
]
SignInDevice = Annotated[
    str | None, typer.Option("--device", metavar="TEXT", help="Device that the user signed in on.")
]
SignInPlatform = Annotated[str | None, typer.Option("--platform", metavar="TEXT", help="Operating system.")]
SignInVersion = Annotated[
    str | None, typer.Option("--application-version", metavar="TEXT", help="Version of the application.")
]
SignInAddress = Annotated[str | None, typer.Option("--ip", metavar="TEXT", help="IP address of the sign-in.")]
SignInAgent = Annotated[str | None, typer.Option("--user-agent", metavar="TEXT", help="User agent of the application.")]
SignInReferrer = Annotated[
    str | None, typer.Option("--referrer", metavar="URL", help="Page that the sign-in came from.")
]
SignInKind = Annotated[str, typer.Option("--kind", metavar="KIND", help="Kind of session: application or web.")]
SignInLifetime = Annotated[
    str | None,
    typer.Option("--lifetime", metavar="AGE", help="Requested lifetime, if the profile allows requests."),
]

SeenApplication = Annotated[
    str | None, typer.Option("--application", metavar="TEXT", help="Application that presents the token.")
]
SeenVersion = Annotated[
    str | None, typer.Option("--application-version", metavar="TEXT", help="Version of that application.")
]
SeenPlatform = Annotated[str | None, typer.Option("--platform", metavar="TEXT", help="Operating system.")]
SeenAddress = Annotated[str | None, typer.Option("--ip", metavar="TEXT", help="IP address that the token comes from.")]
SeenReferrer = Annotated[str | None, typer.Option("--referrer", metavar="URL", help="Page that the token comes from.")]

_LONGEST_PASTED = 64 * 1024


def show_issued(cli: Cli, issued: "Issued", done: str) -> None:
    """The access token alone, or everything as JSON; the session in words."""
    session = issued.session
    cli.say(f"{done} session {session.id} of {session.username} under profile {session.profile}")
    if cli.form_or_table is Format.TABLE:
        if issued.refresh_token:
            # decision 34: a script reads one line, and a second secret on it would be passed on without being noticed
            cli.warn("only the access token is printed; for the refresh token: -o json")
        cli.show_line(issued.access_token)
    elif cli.form is Format.ID:
        cli.show_line(session.id)
    else:
        cli.show(records.issued(issued))


def _piped(limit: int) -> bytes:
    # Three more than allowed: CR and LF at the end, and one that shows that the text is too long.
    return sys.stdin.buffer.read(limit + 3) if sys.stdin else b""


def read_token(cli: Cli, typed: str | None) -> str:
    """The token as given, or the one line of standard input. Raises InvalidInput beyond 4 KiB."""
    if _is_argument(typed):
        warn_of_argument(cli)
        token = typed.encode(errors="surrogateescape")
    else:
        token = cli.ask("authctl: token: ").encode() if cli.can_ask else _piped(LONGEST_TOKEN)
        token = token.removesuffix(b"\n").removesuffix(b"\r")
    if len(token) > LONGEST_TOKEN:
        raise InvalidInput(f"a token has at most {LONGEST_TOKEN:,} bytes")
    # No token has other characters: they become ones that no token has, and the token is unknown.
    return token.decode("ascii", "replace")


def _is_argument(typed: str | None) -> TypeGuard[str]:
    """Whether an argument has the text itself; without an argument, and with `-`, it is read from standard input."""
    return typed is not None and typed != "-"


def _pasted(cli: Cli, typed: str | None, name: str) -> str:
    """The text as given, or all of standard input, without characters pasted around it."""
    if _is_argument(typed):
        return strip_token(typed)
    return strip_token(
        cli.ask(f"authctl: {name}: ") if cli.can_ask else _piped(_LONGEST_PASTED).decode("utf-8", "replace")
    )


def read_pasted_token(cli: Cli, typed: str | None) -> str:
    """The token as given, or all of standard input, without characters pasted around it. Raises InvalidInput if that is no token."""
    if _is_argument(typed):
        warn_of_argument(cli)
    token = _pasted(cli, typed, "token")
    if not has_token_shape(token):
        message = "this is not one whole token" if token else "there is no token"  # never shown: it may be a broken one
        raise InvalidInput(message, "give one token, as it was issued: authctl tokens revoke --note WHY < token")
    return token


def read_token_or_id(cli: Cli, typed: str | None) -> str:
    """The token or session id as given, or all of standard input, without characters pasted around it."""
    text = _pasted(cli, typed, "token or id")
    if _is_argument(typed) and looks_like_token(text):
        warn_of_argument(cli)
    if not text:
        raise InvalidInput("there is no token and no session id", "authctl explain ID, or: authctl explain < token")
    return text


def warn_of_argument(cli: Cli) -> None:
    """Warn of a token that was given as an argument."""
    cli.warn(
        "a token on the command line is visible to other users (ps) and stays in the shell history; give it on standard input: < FILE"
    )


def read_password(cli: Cli) -> str:
    """The password: asked for without showing it where a person can answer, else the one line of standard input."""
    ask: Callable[[], str]
    if cli.can_ask:
        # On standard error: standard output is for the token, and is often piped.
        from getpass import getpass

        ask = partial(getpass, "authctl: password: ", stream=sys.stderr)
    else:
        ask = _piped(4 * LONGEST_PASSWORD).removesuffix(b"\n").removesuffix(b"\r").decode
    try:
        return ask()
    except UnicodeDecodeError:
        raise InvalidInput("the password is not UTF-8") from None
