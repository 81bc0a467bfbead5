"""`authctl profiles`: list, show, check, diff, apply; `profiles example` is in example_files.py."""

from pathlib import Path
from typing import Annotated

import typer

from authctl import profile_records, render
from authctl.cli.context import Cli, start
from authctl.cli.files import check_written_by_few, read_file
from authctl.cli.options import Actor, DryRun, Note, Output, Paged, Quiet, Yes
from authctl.model import ProfileSet
from authctl.names import counted
from authctl.render import Format

File = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", help="Profiles file. Default: profiles.yaml in the home folder.")
]

app = typer.Typer(
    help="Show and change the profiles: how long sessions live.", rich_markup_mode=None, add_completion=False
)


ELSEWHERE = {"example": ("example_files", "example_profiles")}
"""Verbs of this noun in another module."""


@app.command("list")
def list_(ctx: typer.Context, pager: Paged = False, output: Output = None, quiet: Quiet = False) -> None:
    """List the profiles in force."""
    cli = start(ctx, output, quiet, pager=pager)
    profiles = cli.registry.profiles.in_force()
    if message := cli.registry.profiles.unfinished():
        cli.warn(f"{message}; the next change completes it")
    cli.show_many(
        (profile_records.profile(profile_, profiles) for profile_ in profiles.profiles.values()), render.PROFILES
    )


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")],
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show a profile in force, with the assignments that lead to it."""
    cli = start(ctx, output, quiet, pager=pager)
    profiles = cli.registry.profiles.in_force()
    cli.show(profile_records.profile(profiles.named(name), profiles), "profile")


@app.command()
def check(
    ctx: typer.Context,
    file: File = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Check a profiles file. Every fault is shown with line and column, every warning with its source. Changes nothing."""
    cli = start(ctx, output, quiet)
    path, profiles, warnings = _checked(cli, file)
    for warning in warnings:
        cli.warn(warning)
    cli.say(f"{path}: {counted(len(profiles.profiles), 'profile')}, no faults")
    if cli.form:
        cli.show_many(
            (profile_records.profile(profile, profiles) for profile in profiles.profiles.values()), render.PROFILES
        )


@app.command()
def diff(
    ctx: typer.Context,
    file: File = None,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show the changes that applying a file would make, with the number of active sessions shortened, lengthened or ended per profile."""
    cli = start(ctx, output, quiet, pager=pager)
    _, wanted, _ = _checked(cli, file)
    _say_settings(cli, wanted)
    differences = cli.registry.profiles.diff(wanted)
    cli.show_many(map(profile_records.difference, differences), render.DIFFERENCES)


@app.command()
def apply(
    ctx: typer.Context,
    file: File = None,
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Apply a profiles file. Active sessions get new deadlines at once; no ended session becomes active."""
    from authctl.cli.effects import told_effect
    from authctl.cli.previews import confirm_profiles, show_profiles

    cli = start(ctx, output, quiet)
    check_written_by_few(file or cli.installation_home.profiles, "profiles file")
    path, wanted, _ = _checked(cli, file)
    if dry_run:
        show_profiles(cli, wanted)
        outcome = cli.registry.profiles.apply(wanted, note=note, actor=actor, dry_run=True)
        done = "dry run, nothing was changed: would apply"
    else:
        cli.check_note(note)
        bound = confirm_profiles(cli, wanted, yes)
        reason = cli.note(note)
        with cli.progress("applying") as progress:
            outcome = cli.registry.profiles.apply(wanted, note=reason, actor=actor, bound=bound, progress=progress)
        done = "applied"
    changes = f"{counted(outcome.shortened, 'active session')} shortened, {outcome.lengthened:,} lengthened, {outcome.ended:,} ended"
    if outcome.unmet_conditions:
        changes += f", {outcome.unmet_conditions:,} whose sign-in does not meet new conditions"
    if not (dry_run or quiet):
        _warn_of_other_file(cli, path, wanted)
    effect = told_effect(cli, lambda: cli.registry.effects.of_profiles(outcome))
    record = profile_records.application(outcome)
    if cli.form_or_table is not Format.TABLE:  # a table has no room for it; it is in the messages
        record["effect"] = effect
    cli.report(record, f"{done} {path}: {changes}")


def _warn_of_other_file(cli: Cli, path: Path, applied: ProfileSet) -> None:
    """Warn if the home's own profiles file has other profiles than those that were applied: it is applied where no file is named."""
    # decision 166: to write the file of the home would overwrite the work of somebody else
    from authctl.registry.doctor import has_other_profiles

    own = cli.installation_home.profiles
    if has_other_profiles(own, applied):
        cli.warn(f"{own} has other profiles; to keep the applied ones: copy {path} there, with mode 0600")


def _say_settings(cli: Cli, wanted: ProfileSet) -> None:
    """Print the changes besides the profiles: how long ended sessions are kept, and which profile new ones get."""
    from authctl.cli.previews import settings_in_words

    for line in settings_in_words(cli.registry.profiles.diff_settings(wanted)):
        cli.say(line)


def _checked(cli: Cli, file: Path | None) -> tuple[Path, ProfileSet, tuple[str, ...]]:
    """The file that is named, or the home's own, with its profiles and the warnings about them."""
    from authctl import profiles

    path = file or cli.installation_home.profiles
    return path, *profiles.check(read_file(path), str(path))
