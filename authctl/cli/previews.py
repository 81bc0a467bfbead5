"""The preview on standard error, before an operation that ends the sessions of many; and the question that follows."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from authctl import records, render
from authctl.cli.context import Cli
from authctl.cli.streams import print_message, print_messages, write_line
from authctl.instants import format_instant
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.model import ProfileSet, SessionFilter
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview
    from authctl.registry.profiles import ApplyPreview, ProfileDifference
    from authctl.revocation_plans import Plan


def confirm_revocation(
    cli: Cli, selection: "SessionFilter", max_affected: int | None, yes: bool, keep: int | None = None
) -> "Bound | None":
    """Show the sessions that `revoke` would end, and ask; the bound of the preview. Raises Refused."""
    # decision 162: with `--all` there is no bound, and a breach does not wait for counts that nobody is asked about
    if yes and (cli.quiet or selection.everything):
        return None
    preview = cli.registry.revocation_previews.make(selection, max_affected=max_affected, keep=keep)
    total = preview.summary.total
    question, answer = f"revoke {counted(total, 'session')}? [y/N]", "y"
    if selection.everything and keep is not None:
        question, answer = (
            f"kept: the {keep} most recently used of each user and application. Type {total} to revoke the others:",
            str(total),
        )
    elif selection.everything:
        consequence = "everybody has to sign in again, and whoever signs in before this is done is revoked, too"
        # The count has to be typed: a "y" is typed without reading.
        question, answer = f"{consequence}. Type {total} to revoke them:", str(total)
    return _agreed(cli, preview, "revoke", "session", question, answer, yes)


def confirm_plan(cli: Cli, plan: "Plan", max_affected: int | None, yes: bool) -> None:
    """Show the sessions of a plan, its digest and who made it, and ask. Raises Refused."""
    if yes and cli.quiet:
        return
    shown = cli.registry.plans.preview(plan, max_affected=max_affected)
    total = shown.preview.summary.total
    print_message(
        f"plan of {counted(total, 'session')}, made by {quoted(plan.made_by)} at {format_instant(plan.made_at)}"
    )
    print_digest(plan)
    if shown.newcomers:
        print_message(f"{counted(shown.newcomers, 'session')} that the filter selects by now: not in the plan")
    _agreed(cli, shown.preview, "revoke", "session", f"revoke {counted(total, 'session')}? [y/N]", "y", yes)


def print_digest(plan: "Plan") -> None:
    """Print the digest of a plan, for two people to compare."""
    write_line(
        f"plan digest {plan.digest}"
    )  # as it is: in a message, a text of so many digits would be hidden as a token


def confirm_retirement(cli: Cli, key_id: str, *, sign_out: bool, compromised: bool, yes: bool) -> "Bound | None":
    """Show whom retiring a key would sign out, and ask; the bound of the preview. Raises Refused."""
    if yes and cli.quiet:
        return None
    preview = cli.registry.keys.preview_retirement(key_id, sign_out=sign_out, compromised=compromised)
    return _agreed(cli, preview, "end", "active session", "retire? [y/N]", "y", yes)


def confirm_profiles(cli: Cli, wanted: "ProfileSet", yes: bool) -> "Bound | None":
    """Show the changes of applying profiles and the sessions that it would end, and ask; the bound of the preview. Raises Refused."""
    if yes and cli.quiet:
        return None
    preview = cli.registry.profiles.preview(wanted)
    say = print_message if preview.ending.summary.total else cli.say  # what is asked about is shown, quiet or not
    for line in in_words(preview):
        say(line)
    return _agreed(cli, preview.ending, "end", "active session", "apply? [y/N]", "y", yes)


def confirm_not_listed(cli: Cli, preview: "Preview", yes: bool) -> None:
    """Show the sessions that would end because a complete listing does not have them, and ask. Raises Refused."""
    _agreed(cli, preview, "end", "active session", "the listing does not have them. End them? [y/N]", "y", yes)


def confirm_undo(cli: Cli, import_id: int, max_affected: int | None, yes: bool) -> "Bound | None":
    """Show the sessions that an undo would remove and restore, and ask; the bound of the preview. Raises Refused."""
    if yes and cli.quiet:
        return None
    undo = cli.registry.imports.preview_undo(import_id, max_affected=max_affected)
    if undo.preview.summary.total:
        print_message(f"this would remove {counted(undo.removed, 'session')} and restore {undo.restored:,}")
    return _agreed(cli, undo.preview, "remove or restore", "session", f"undo import {import_id}? [y/N]", "y", yes)


def show_profiles(cli: Cli, wanted: "ProfileSet") -> None:
    """Show the changes of applying profiles and the sessions that it would end, without a question."""
    if cli.quiet:
        return
    preview = cli.registry.profiles.preview(wanted)
    for line in in_words(preview):
        print_message(line)
    if preview.ending.summary.total:
        show_preview(preview.ending, "end", "active session")


def _agreed(
    cli: Cli, preview: "Preview", verb: str, noun: str, question: str, answer: str, yes: bool
) -> "Bound | None":
    """Show a preview and ask, where it has any session; no bound with `--yes`, which agrees to all of them."""
    if preview.summary.total:
        show_preview(preview, verb, noun)
        cli.confirm(question, answer, yes)
    return None if yes else preview.bound


def show_preview(preview: "Preview", verb: str, noun: str) -> None:
    """Show the sessions that an operation would end: counted by user, application and status, and a few of them in a table."""
    from authctl.screens.preview_words import preview_lines

    for line in preview_lines(preview, verb, noun):
        print_message(line)
    print_messages(map(records.session, preview.sessions), render.PREVIEWED)


def in_words(preview: "ApplyPreview") -> list[str]:
    """The changes that applying profiles would make, a line each."""
    return [*settings_in_words(preview.settings), *filter(None, map(_profile, preview.differences))]


def settings_in_words(settings: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """The changes besides the profiles: how long ended sessions are kept, and which profile new ones get."""
    lines = [f"{name} {old} -> {new}" for name, (old, new) in settings.items() if name != "assignments"]
    old, new = settings.get("assignments", ([], []))
    lines += [f"assignment withdrawn: {_assignment(assignment)}" for assignment in old if assignment not in new]
    lines += [f"assignment added: {_assignment(assignment)}" for assignment in new if assignment not in old]
    if len(lines) == len(settings) - 1 and "assignments" in settings:
        lines.append("assignments: the same in another order")
    return lines


def _assignment(assignment: Mapping[str, str]) -> str:
    who = [f"{name} {quoted(assignment[name])}" for name in ("user", "application") if name in assignment]
    return f"{', '.join(who)} -> profile {quoted(assignment['profile'])}"


def _profile(difference: "ProfileDifference") -> str | None:
    """The changes in one profile; None if there are none."""
    from authctl.screens.wording import changes

    name = f"profile {difference.name}"
    if difference.change == "withdrawn":
        return f"{name}: withdrawn; its present sessions keep its rules"
    if difference.after and difference.change == "added":
        document = difference.after.to_document()
        limits = ", ".join(f"{field} {document[field]}" for field in ("idle_timeout", "absolute_timeout"))
        return f"{name}: added, {limits}"
    changed = [line for field, (old, new) in difference.fields().items() for line in changes(field, old, new)]
    return f"{name}: {', '.join(changed)}" if changed else None
