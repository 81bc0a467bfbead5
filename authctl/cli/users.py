"""`authctl users`: list, show, disable, enable, password-changed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from authctl import records, render
from authctl.cli.context import Cli, start
from authctl.cli.effects import effect_of_each, told_effect
from authctl.cli.options import TIME_AHEAD, Actor, DryRun, Exact, Limit, Local, Note, Output, Paged, Quiet, user_names
from authctl.cli.pasted_text import first_name, format_of_names, is_header_of_names
from authctl.errors import InvalidInput, NotFound
from authctl.instants import format_second, parse_when
from authctl.names import counted, quoted

if TYPE_CHECKING:
    from authctl.registry.users import UserOutcome

Name = Annotated[str, typer.Argument(metavar="USER", callback=user_names, help="User name, in any case and width.")]

Names = Annotated[
    list[str],
    typer.Argument(
        metavar="USER...|-",
        help="User names. With -, one name per line on standard input. All of them are changed, or none.",
    ),
]
_MOST_NAMED = 10

app = typer.Typer(help="List, show, disable and enable users.", rich_markup_mode=None, add_completion=False)


@app.command("list")
def list_(
    ctx: typer.Context,
    disabled: Annotated[bool, typer.Option("--disabled", help="Only disabled users.")] = False,
    limit: Limit = None,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """List users with the number of their sessions, most recently used first."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    listed = (user for user in cli.registry.users.list() if not disabled or user.user.disabled_at is not None)
    cli.show_cut(map(records.user, listed), render.USERS, limit)


@app.command()
def show(
    ctx: typer.Context,
    user: Name,
    local: Local = False,
    exact: Exact = False,
    pager: Paged = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Show a user: whether disabled, by whom and why; last password change; number of sessions."""
    cli = start(ctx, output, quiet, local=local, exact=exact, pager=pager)
    cli.show(records.user(cli.registry.users.get(user)), "user")


@app.command()
def disable(
    ctx: typer.Context,
    users: Names,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help=f"End of the disabling: {TIME_AHEAD} (7d: in 7 days)."),
    ] = None,
    note: Note = None,
    dry_run: DryRun = False,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Disable users: end their sessions and refuse new tokens. Disabling an account in another system does not end its sessions here."""
    cli = start(ctx, output, quiet)
    usernames = _read_names(cli, users)
    note = cli.note(note, may_ask=not dry_run and "-" not in users)
    when = None if until is None else parse_when(until, cli.registry.now(), ahead=True)
    outcomes = cli.registry.users.disable_all(usernames, note=note, until=when, actor=actor, dry_run=dry_run)
    from authctl.cli.session_filters import warn_of_similar

    warn_of_similar(cli, usernames)
    _show(cli, outcomes, _disabled, is_one=_is_one(users))


def _disabled(outcome: "UserOutcome") -> str:
    name = outcome.user.username
    until = outcome.user.disabled_until
    lasting = "" if until is None else f" until {format_second(until)}"
    if not outcome.changed and not outcome.ended:
        unsaid = "this is a dry run" if outcome.dry_run else "the note was not recorded"
        return f"{name} was disabled before{lasting}; {unsaid}"
    if outcome.dry_run:
        ending = counted(outcome.ended, "active session")
        return f"dry run, nothing was changed: would disable {name}{lasting} and end {ending}"
    if not outcome.changed:
        return f"{name} was disabled before{lasting}: {_ended(outcome)}"
    return f"disabled {name}{lasting}: {_ended(outcome)}; no new token is issued until {'then' if until else 'enabled'}"


@app.command()
def enable(
    ctx: typer.Context,
    users: Names,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Enable disabled users, so that they can sign in again. Ended sessions stay ended."""
    cli = start(ctx, output, quiet)
    usernames = _read_names(cli, users)
    note = cli.note(note, may_ask="-" not in users)
    outcomes = cli.registry.users.enable_all(usernames, note=note, actor=actor)
    _show(cli, outcomes, _enabled, is_one=_is_one(users))


def _enabled(outcome: "UserOutcome") -> str:
    name = outcome.user.username
    return f"enabled {name}; no session comes back" if outcome.changed else f"{name} was not disabled"


@app.command("password-changed")
def password_changed(
    ctx: typer.Context,
    users: Names,
    excepted: Annotated[
        list[str] | None,
        typer.Option("--except", metavar="ID", help="Do not end this session of the user. Repeatable."),
    ] = None,
    note: Note = None,
    actor: Actor = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Record a password change, and end the sessions that the profiles end for it. Later sign-ins are not affected."""
    cli = start(ctx, output, quiet)
    usernames = _read_names(cli, users)
    note = cli.note(note, may_ask="-" not in users)
    outcomes = cli.registry.users.passwords_changed(usernames, note=note, except_ids=excepted or (), actor=actor)
    words = partial(_password_changed, why="or --except " if excepted else "")
    _show(cli, outcomes, words, is_one=_is_one(users))


def _password_changed(outcome: "UserOutcome", why: str) -> str:
    kept = f"; {counted(outcome.kept, 'session')} kept, as their profiles {why}define it" if outcome.kept else ""
    return f"password change recorded for {outcome.user.username}: {_ended(outcome)}{kept}"


def _ended(outcome: "UserOutcome") -> str:
    return f"{counted(outcome.ended, 'active session')} ended"


def _is_one(arguments: Sequence[str]) -> bool:
    """Whether a single name was typed, whose answer is one object; several, and those of standard input, are a list."""
    return len(arguments) == 1 and "-" not in arguments


def _read_names(cli: Cli, arguments: Sequence[str]) -> Sequence[str]:
    """The names as given, with the lines of standard input in the place of `-`.

    Raises NotFound where there are none.
    """
    usernames: Sequence[str] = user_names(
        [name for text in arguments for name in (cli.lines("username", first_name) if text == "-" else (text,))]
    )
    # A CSV or JSON file has its names in other places: its lines would be disabled as users.
    if "-" in arguments and usernames and (form := format_of_names(usernames[0])):
        raise InvalidInput(f"standard input is {form}", "one user name per line, such as: authctl users list -o id")
    if not usernames:
        raise NotFound("no names on standard input", "one name a line")
    if "-" in arguments:
        _check_no_header(cli, usernames[0])
    return usernames


def _check_no_header(cli: Cli, first: str) -> None:
    """Raise InvalidInput where the first line of standard input is the header of a column, unless a user has that name."""
    # decision 285: a header is refused and not skipped, since it may be the name of a user
    if is_header_of_names(first) and cli.registry.users.unknown([first]):
        raise InvalidInput(
            f"the first line of standard input, {quoted(first)}, looks like the header of a column",
            "leave it out: tail -n +2 FILE; if it is a user name, give it as an argument",
        )


def _say_each(cli: Cli, outcomes: Sequence["UserOutcome"], words: Callable[["UserOutcome"], str]) -> None:
    """Print the result for each user, ten at most, and warn of users without a session."""
    for outcome in outcomes[:_MOST_NAMED]:
        cli.say(words(outcome))
    if len(outcomes) > _MOST_NAMED:
        cli.say(f"and {counted(len(outcomes) - _MOST_NAMED, 'user')} more ({len(outcomes):,} in all)")
    from authctl.cli.session_filters import warn_of_unknown

    warn_of_unknown(cli, [outcome.user.username for outcome in outcomes if not outcome.known])


def _show(cli: Cli, outcomes: Sequence["UserOutcome"], words: Callable[["UserOutcome"], str], *, is_one: bool) -> None:
    """Show the sessions that ended, and then the result for each user."""
    ended = sum(outcome.ended for outcome in outcomes)
    listed = [session for outcome in outcomes for session in outcome.sessions]
    rest = f"authctl sessions list --status expired --kind all --limit {ended}"
    rest = "the same with -o json" if outcomes[0].dry_run else rest
    effect = told_effect(cli, lambda: cli.registry.effects.of_users(outcomes))
    if any(outcome.changed for outcome in outcomes) and not outcomes[0].dry_run:
        from authctl.cli.receiver_messages import say_deliveries

        say_deliveries(cli, outcomes[0].at)
    try:
        if cli.prints_json and not is_one:
            each = effect_of_each(lambda: cli.registry.effects.of_each_user(outcomes), len(outcomes))
            changes = map(records.user_change, outcomes)
            cli.show_rows(({**change, "effect": own} for change, own in zip(changes, each, strict=True)), render.USERS)
        elif listed or cli.form:
            one = {**records.user_change(outcomes[0]), "effect": effect}
            record = one if is_one else {"sessions": list(map(records.session, listed))}
            cli.show_outcome(record, render.ENDED, ended, rest)
    finally:
        _say_each(cli, outcomes, words)
