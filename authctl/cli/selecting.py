"""Options to a `SessionFilter`: what the person typed, read once."""

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from authctl.cli.context import Cli
from authctl.errors import AuthctlError
from authctl.instants import parse_duration, parse_when
from authctl.model import Kind, SessionFilter, Status, Wipe
from authctl.names import quoted

Statuses = Annotated[
    list[Status] | None, typer.Option("--status", help="Only sessions of this status; may be given again.")
]
User = Annotated[str | None, typer.Option("--user", metavar="NAME", help="Only this user's sessions.")]
Application = Annotated[str | None, typer.Option("--application", metavar="NAME", help="Only this application's.")]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="Only this device's.")]
Platform = Annotated[str | None, typer.Option("--platform", metavar="NAME", help="Only on this platform.")]
ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="Only under this profile.")]
CreatedBefore = Annotated[
    str | None,
    typer.Option("--created-before", metavar="TIME", help="Only those registered before: a date, a time, or an age."),
]
UnusedFor = Annotated[
    str | None, typer.Option("--unused-for", metavar="AGE", help="Only those not used for so long: 7d, 36h, 6 months.")
]
WipeState = Annotated[
    Wipe | None,
    typer.Option("--wipe", help="Only revoked ones whose application was told to remove its data, and so far."),
]


class KindChoice(StrEnum):
    """Which kinds a list shows."""

    APPLICATION = "application"
    WEB = "web"
    ALL = "all"


def selected(
    now: int,
    *,
    status: Sequence[Status] | None,
    kind: KindChoice = KindChoice.ALL,
    created_since: str | None = None,
    created_before: str | None = None,
    used_since: str | None = None,
    unused_for: str | None = None,
    expires_before: str | None = None,
    **texts: Any,
) -> SessionFilter:
    """The filter that the options say. Raises InvalidInput for a time or age that is none."""

    def when(text: str | None, *, ahead: bool = False) -> int | None:
        return None if text is None else parse_when(text, now, ahead)

    return SessionFilter(
        status=tuple(status or ()),
        kind=None if kind is KindChoice.ALL else Kind(kind.value),
        created_since=when(created_since),
        created_before=when(created_before),
        used_since=when(used_since),
        unused_since=None if unused_for is None else parse_duration(unused_for).before(now),
        expires_before=when(expires_before, ahead=True),
        **texts,
    )


def warn_of_similar(cli: Cli, user: str) -> None:
    """Warn of users whose names look like the one that is meant; looking for them keeps nothing from being done."""
    from authctl.lookalikes import codes

    with suppress(AuthctlError):
        for other in cli.registry.similar_users(user):
            cli.warn(
                f"another user looks the same, and is not meant: {quoted(other)} ({codes(other) or 'plain letters'})"
            )


def named(cli: Cli, targets: Sequence[str]) -> list[str]:
    """The targets as given, with the lines of standard input in the place of `-`."""
    return [one for target in targets for one in (cli.lines() if target == "-" else (target,))]
