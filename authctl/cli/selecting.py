"""Options to a `SessionFilter`: what the person typed, read once."""

from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from authctl.cli.context import Cli
from authctl.cli.options import several, user_names
from authctl.errors import AuthctlError
from authctl.instants import parse_duration, parse_when
from authctl.model import Kind, SessionFilter, Status, Wipe
from authctl.names import fold, quoted

Statuses = Annotated[
    list[Status] | None, typer.Option("--status", help="Only sessions of this status; may be given again.")
]
User = Annotated[
    list[str] | None,
    typer.Option("--user", metavar="NAME", callback=user_names, help="Only this user's sessions; may be given again."),
]
Application = Annotated[
    list[str] | None, typer.Option("--application", metavar="NAME", help="Only this application's; may be given again.")
]
Device = Annotated[
    list[str] | None, typer.Option("--device", metavar="NAME", help="Only this device's; may be given again.")
]
Platform = Annotated[
    list[str] | None, typer.Option("--platform", metavar="NAME", help="Only on this platform; may be given again.")
]
ProfileName = Annotated[
    list[str] | None, typer.Option("--profile", metavar="NAME", help="Only under this profile; may be given again.")
]
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
    username: Sequence[str] | None = None,
    application: Sequence[str] | None = None,
    device: Sequence[str] | None = None,
    platform: Sequence[str] | None = None,
    profile: Sequence[str] | None = None,
    **others: Any,
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
        username=several(username),
        application=several(application),
        device=several(device),
        platform=several(platform),
        profile=several(profile),
        **others,
    )


def warn_of_similar(cli: Cli, users: Sequence[str]) -> None:
    """Warn of users whose names look like one that is meant; looking for them keeps nothing from being done."""
    from authctl.lookalikes import codes

    meant = set(map(fold, users))
    with suppress(AuthctlError):
        others = dict.fromkeys(other for user in users for other in cli.registry.similar_users(user))
        for other in [one for one in others if one not in meant]:
            cli.warn(
                f"another user looks the same, and is not meant: {quoted(other)} ({codes(other) or 'plain letters'})"
            )


def named(cli: Cli, targets: Sequence[str]) -> list[str]:
    """The targets as given, with the lines of standard input in the place of `-`."""
    return [one for target in targets for one in (cli.lines() if target == "-" else (target,))]
