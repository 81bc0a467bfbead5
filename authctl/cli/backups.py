"""`authctl backup` and `authctl restore`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import records
from authctl.cli.context import Cli, start
from authctl.cli.options import Actor, DryRun, Note, Output, Quiet, Yes, a_file, new_file
from authctl.cli.streams import print_message
from authctl.instants import format_second
from authctl.names import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.registry.backups import RestoreOutcome

_NAMED = 10

backup_app = typer.Typer(rich_markup_mode=None, add_completion=False)
restore_app = typer.Typer(rich_markup_mode=None, add_completion=False)


@backup_app.command()
def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", callback=new_file, help="File to write. It must not exist.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Copy the registry to a file, also while others write. The key ring is not copied."""
    cli = start(ctx, output, quiet)
    outcome = cli.registry.backups.create(file)
    cli.say(
        f"copied the registry to {outcome.file}, up to audit event {outcome.seq}; keep the key ring in another place"
    )
    if cli.form:
        cli.show(records.backup(outcome))


@restore_app.command()
def restore(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", callback=a_file, help="Backup made by `authctl backup`.")],
    note: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Replace the registry by a backup. Ends every session; revocations and disabled users since the backup are kept. Asks for a count."""
    from authctl.registry.backups import restore as put_back

    cli = start(ctx, output, quiet)
    put = partial(put_back, cli.installation_home, file, actor=actor, warn=cli.warn)
    if not dry_run:
        note = _agreed(cli, put, note, yes)
    outcome = put(note=note, dry_run=dry_run)
    _warn(cli, outcome)
    if dry_run:
        cli.say(_replaced(cli, outcome))
        cli.say(_lost(outcome))
    done = "dry run, nothing was changed: would restore" if dry_run else "restored"
    kept = f"; the replaced registry is kept as {outcome.replaced_kept_as}" if outcome.replaced_kept_as else ""
    cli.say(f"{done} {outcome.file}: {_in_words(outcome)}{kept}")
    if not dry_run and cli.installation_home.is_shared:
        cli.say(f"copy {cli.installation_home.audit_head} to every other host of this registry")
    if cli.form:
        cli.show(records.restoration(outcome))


def _agreed(cli: Cli, put: "Callable[..., RestoreOutcome]", note: str | None, yes: bool) -> str | None:
    """Show the effect of a restore, and go on only if the person agrees; the note, asked for then where none was given."""
    from authctl import names

    if note is not None or not cli.can_ask:
        names.note(note)
    if not yes:
        preview = put(note=note, dry_run=True)
        _warn(cli, preview)
        for line in (_replaced(cli, preview), _in_words(preview), _lost(preview)):
            print_message(line)
        active = preview.active_before
        there = f"{counted(active, 'active session')} of the {'present registry' if preview.carried_from else 'backup'}"
        cli.confirm(f"all users have to sign in again: {there}. Type {active} to restore:", str(active), yes)
    return cli.note(note)


def _replaced(cli: Cli, preview: "RestoreOutcome") -> str:
    """The registry that a restore replaces, and the backup, in words."""
    place = cli.installation_home.registry
    backup = f"the backup of {format_second(preview.backup_at)}, at audit event {preview.backup_seq}"
    if preview.carried_from:
        return f"this replaces {place}, at audit event {preview.carried_from.seq}, by {backup}"
    return f"this restores {backup} to {place}, where no registry is"


def _lost(preview: "RestoreOutcome") -> str:
    """The data that a restore neither has nor carries over, in words."""
    return f"everything else after audit event {preview.backup_seq} is lost: sessions, sign-ins and audit events"


def _in_words(outcome: "RestoreOutcome") -> str:
    """The ends and the carried-over data of a restore, in words."""
    verb = "would end" if outcome.dry_run else "ended"
    ended = f"{counted(outcome.ended, 'active session')} of the backup {verb}, all users sign in again"
    if outcome.carried is None:
        return f"{ended}; nothing carried over"
    kinds = (
        (outcome.carried.disabled_users, "disabled user"),
        (outcome.carried.password_changes, "changed password"),
        (outcome.carried.revocations, "revocation"),
        (outcome.carried.sessions_revoked, "revoked session"),
        (outcome.carried.sessions_ended, "ended session"),
        (outcome.carried.continuity_ended, "end of a continuity event"),
        (outcome.carried.import_keys, "key of imports"),
    )
    carried = ", ".join(counted(count, noun) for count, noun in kinds if count)
    return f"{ended}; carried over: {carried or 'nothing, since nothing of this kind was done after the backup'}"


def _warn(cli: Cli, outcome: "RestoreOutcome") -> None:
    """Warn of the limits of a restore, and of the settings that differ from the former registry."""
    if outcome.carried_from is None:
        since = f"since event {outcome.backup_seq} of the backup, at {format_second(outcome.backup_at)}"
        cli.warn(
            f"no registry is at {cli.installation_home.registry}, and nothing is carried over: users who were disabled, passwords"
            f" that were changed and sessions that were revoked {since} are not known"
        )
    if outcome.carried_from and outcome.replaced_lacks is not None:
        cli.warn(
            f"the replaced registry is an old copy: it ends with event {outcome.carried_from.seq}, and audit.head names event"
            f" {outcome.replaced_lacks}. Users who were disabled, passwords that were changed and sessions that were revoked after"
            " its last event are not known"
        )
    if outcome.profiles_differ:
        cli.warn("the profiles of the backup are in force, and differ from the profiles before: authctl profiles diff")
    if outcome.stay_disabled:
        some = ", ".join(outcome.stay_disabled[:_NAMED])
        more = ", …" if len(outcome.stay_disabled) > _NAMED else ""
        count = len(outcome.stay_disabled)
        who = "user, who was" if count == 1 else "users, who were"
        stay = "stays" if count == 1 else "stay"
        cli.warn(
            f"{count:,} {who} disabled in the backup and enabled since, {stay} disabled: {some}{more}: authctl users enable"
        )
