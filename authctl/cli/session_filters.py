"""The options that select sessions, and messages about the selected sessions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from authctl.cli.context import Cli
from authctl.cli.options import TIME, TIME_AHEAD, user_names
from authctl.errors import AuthctlError
from authctl.filter_texts import SESSION_LISTS, SESSION_TEXTS
from authctl.model import DeliveryChoice, Kind, SessionFilter, Status, Wipe, texts_of
from authctl.names import counted, quoted


class KindChoice(StrEnum):
    """Which kinds a list shows."""

    APPLICATION = "application"
    WEB = "web"
    ALL = "all"


Statuses = Annotated[list[Status] | None, typer.Option("--status", help="Only sessions with this status. Repeatable.")]
User = Annotated[
    list[str] | None,
    typer.Option("--user", metavar="NAME", callback=user_names, help="Only sessions of this user. Repeatable."),
]
Application = Annotated[
    list[str] | None,
    typer.Option("--application", metavar="NAME", help="Only sessions of this application. Repeatable."),
]
Device = Annotated[
    list[str] | None, typer.Option("--device", metavar="NAME", help="Only sessions on this device. Repeatable.")
]
Platform = Annotated[
    list[str] | None, typer.Option("--platform", metavar="NAME", help="Only sessions on this platform. Repeatable.")
]
ProfileName = Annotated[
    list[str] | None, typer.Option("--profile", metavar="NAME", help="Only sessions under this profile. Repeatable.")
]
CreatedBefore = Annotated[
    str | None,
    typer.Option(
        "--created-before",
        metavar="TIME",
        help=f"Only sessions created before this time: {TIME}.",
    ),
]
UnusedFor = Annotated[
    str | None,
    typer.Option("--unused-for", metavar="AGE", help="Only sessions not used for this long: 7d, 36h, 6 months."),
]
ListedKind = Annotated[KindChoice, typer.Option("--kind", help="Kind of sessions.")]
RevokedKind = Annotated[KindChoice | None, typer.Option("--kind", help="Kind of sessions. Default: all kinds.")]
Search = Annotated[
    str | None,
    typer.Option(
        "--search",
        metavar="TEXT",
        help="Only sessions with this text in user, application, device, platform, address, source or note.",
    ),
]
Source = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="NAME", help="Only sessions imported from this system. Repeatable."),
]
UsedAfterEnd = Annotated[
    bool,
    typer.Option(
        "--used-after-end",
        help="Only imported sessions used in their own system after they were revoked or ended here.",
    ),
]
CreatedSince = Annotated[
    str | None,
    typer.Option(
        "--created-since",
        metavar="TIME",
        help=f"Only sessions created at or after this time: {TIME}.",
    ),
]
UsedSince = Annotated[
    str | None,
    typer.Option(
        "--used-since",
        metavar="TIME",
        help=f"Only sessions used at or after this time: {TIME}.",
    ),
]
ExpiresBefore = Annotated[
    str | None,
    typer.Option(
        "--expires-before",
        metavar="TIME",
        help=f"Only sessions with a deadline before this time: {TIME_AHEAD} (7d: in 7 days).",
    ),
]
WipeState = Annotated[
    Wipe | None,
    typer.Option("--wipe", help="Only revoked sessions whose wipe is at this stage."),
]
Delivery = Annotated[
    DeliveryChoice | None,
    typer.Option("--delivery", help="Only sessions with a delivery to a receiver in this state."),
]
RefusedWipe = Annotated[Wipe | None, typer.Option("--wipe", hidden=True)]
"""For a command that refuses it, with the reason in the place of "no such option"."""

_MOST_NAMED = 10


def option_texts(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options above, out of all arguments of a command: the texts of `read_session_filter`.

    A command passes its `locals()`, so that no option can be forgotten: it would select too many sessions.
    """
    return {name: arguments[name] for name in (*SESSION_TEXTS, *SESSION_LISTS)}


def web_sessions(cli: Cli, selection: SessionFilter) -> int:
    """How many web sessions a filter has that are not revoked; none where it cannot be found out, which keeps nothing from being done."""
    unrevoked = tuple(set(selection.statuses or Status) - {Status.REVOKED})
    if selection.kind == Kind.APPLICATION or not unrevoked:
        return 0
    with suppress(AuthctlError):
        return cli.registry.count(selection.narrowed(kind=Kind.WEB, status=unrevoked, everything=False))
    return 0


def warn_of_similar(cli: Cli, users: Sequence[str]) -> None:
    """Warn of users whose names look like one of these; looking for them keeps nothing from being done."""
    # decision 86: the named user is acted on at once, so the warning comes afterwards
    from authctl.confusables import codes

    with suppress(AuthctlError):
        for other in cli.registry.users.similar(*users) if users else ():
            cli.warn(
                f"a different user has a name that looks the same: {quoted(other)} ({codes(other) or 'plain letters'})"
            )


def warn_of_unknown(cli: Cli, users: Sequence[str]) -> None:
    """Warn of names of which no session is in the registry, after an operation; looking for them keeps nothing from being done."""
    with suppress(AuthctlError):
        for line in unknown_names(cli, users):
            cli.warn(line)


def unknown_names(cli: Cli, users: Sequence[str]) -> Iterator[str]:
    """The warnings about user names without a session in the registry: a line for each, with the nearest names, ten at most."""
    from authctl.registry.unknown_users import nearest_in_words

    unknown = cli.registry.users.unknown(users) if users else []
    for user in unknown[:_MOST_NAMED]:
        yield f"no session of {quoted(user)} is in the registry{nearest_in_words(cli.registry.users.nearest(user))}"
    if len(unknown) > _MOST_NAMED:
        yield f"nor of {len(unknown) - _MOST_NAMED:,} more ({len(unknown):,} in all)"


def report_unknown_names(cli: Cli, users: Sequence[str] | None) -> None:
    """Report the user names of an empty list's filter that have no session in the registry."""
    for line in () if cli.quiet else unknown_names(cli, users or ()):
        cli.say(line)


def report_users(ctx: Any, cli: Cli, selection: SessionFilter, *, is_empty: bool = False) -> None:
    """Report the user names of a filter that have no session, and the number of web sessions that a list leaves out by default.

    For a filter without user names, web sessions are counted only if the list is empty: all sessions were read then in any case.
    """
    if cli.quiet or not (selection.username or (is_empty and selection.narrowed(kind=None).criteria())):
        return
    report_unknown_names(cli, texts_of(selection.username))
    unasked = ctx.get_parameter_source("kind").name == "DEFAULT"
    if unasked and (web := cli.registry.count(selection.narrowed(kind=Kind.WEB))):
        cli.say(f"{counted(web, 'web session')} not listed; to see them, too: --kind all")
