"""The options that several commands share, each said once."""

from typing import Annotated

import typer

from authctl.model import Status, Wipe
from authctl.render import Format

LARGEST = 2**62
"""The largest number that an option takes."""

Output = Annotated[
    Format | None,
    typer.Option("--output", "-o", envvar="AUTHCTL_OUTPUT", help="How to print: table, json, ndjson, csv or id."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing about success.")]
Actor = Annotated[
    str | None,
    typer.Option("--actor", metavar="NAME", help="Who does this, as the audit log records it [env: AUTHCTL_ACTOR]."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Note = Annotated[
    str | None,
    typer.Option(
        "--note", metavar="TEXT", help="Why; kept and shown later. Required: at least three letters or digits."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]

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
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=LARGEST, help="At most so many; 50 on a terminal, else all."),
]
SignInUser = Annotated[str, typer.Option("--user", metavar="NAME", help="Who signed in.")]
SignInApplication = Annotated[str, typer.Option("--application", metavar="NAME", help="With which application.")]
SignInProfile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="Instead of the assigned one.")]
SignInDevice = Annotated[str | None, typer.Option("--device", metavar="TEXT", help="On which device.")]
SignInPlatform = Annotated[str | None, typer.Option("--platform", metavar="TEXT", help="Its operating system.")]
SignInVersion = Annotated[
    str | None, typer.Option("--application-version", metavar="TEXT", help="The application's version.")
]
SignInAddress = Annotated[str | None, typer.Option("--ip", metavar="TEXT", help="From which address.")]
SignInAgent = Annotated[
    str | None, typer.Option("--user-agent", metavar="TEXT", help="What the application calls itself.")
]
SignInReferrer = Annotated[str | None, typer.Option("--referrer", metavar="URL", help="From which page.")]
SignInKind = Annotated[str, typer.Option("--kind", metavar="KIND", help="application or web.")]
SignInLifetime = Annotated[
    str | None,
    typer.Option("--lifetime", metavar="AGE", help="For how long, where the profile lets that be requested."),
]
SeenApplication = Annotated[
    str | None, typer.Option("--application", metavar="TEXT", help="The application that presents it.")
]
SeenVersion = Annotated[str | None, typer.Option("--application-version", metavar="TEXT", help="Its version.")]
SeenPlatform = Annotated[str | None, typer.Option("--platform", metavar="TEXT", help="Its operating system.")]
SeenAddress = Annotated[str | None, typer.Option("--ip", metavar="TEXT", help="The address it comes from.")]
SeenReferrer = Annotated[str | None, typer.Option("--referrer", metavar="URL", help="The page it comes from.")]
WipeState = Annotated[
    Wipe | None,
    typer.Option("--wipe", help="Only revoked ones whose application was told to remove its data, and so far."),
]
Token = Annotated[
    str | None, typer.Argument(metavar="[TOKEN|-]", help="The token; by default, and with -, from standard input.")
]
