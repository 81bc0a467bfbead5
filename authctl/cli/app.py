"""The tree of commands, and the one place where errors become messages and exit codes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from inspect import signature
from typing import Annotated, Any, no_type_check

import typer
from typer.main import get_command, get_group
from typer.models import CommandInfo

from authctl.cli.context import Cli
from authctl.cli.repeated_options import Command, Group
from authctl.cli.streams import print_message, printing, unexpected, writing
from authctl.errors import AuthctlError, Refused

COMMANDS = {
    "init": "setup",
    "demo": "demo",
    "sessions": "sessions",
    "imports": "imports",
    "mappings": "mappings",
    "revoke": "revoke",
    "tokens": "tokens",
    "explain": "explain",
    "users": "users",
    "stats": "stats",
    "continuity": "continuity",
    "login": "login",
    "cache": "cache",
    "keys": "keys",
    "clients": "clients",
    "serve": "serve",
    "audit": "audit",
    "profiles": "profiles",
    "receivers": "receivers",
    "deliver": "deliver",
    "deliveries": "deliveries",
    "cleanup": "cleanup",
    "doctor": "doctor",
    "registry": "registry",
    "backup": "backups",
    "restore": "backups",
    "completion": "completion",
    "examples": "example_files",
    "help": "help",
    "console": "console",
}
"""The commands, each with its module in this package. Only the module of the command that runs is loaded (decision 101)."""


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


# decision 228: `ls` changes nothing and can mean nothing else; `rm` or `kill` could mean three verbs, so they are refused
_ALIASES = {"ls": "list"}
"""Other words for a verb, which no help text shows."""


class _LazyCommand(Group):
    """A group whose commands are made when they are asked for: each option takes as long to make as a small module to import."""

    makers: Mapping[str, Callable[[], Any]]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(self.makers)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in self.makers:
            return None
        command = self.makers[cmd_name]()
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in _ALIASES and args[0] not in self.makers and _ALIASES[args[0]] in self.makers:
            args = [_ALIASES[args[0]], *args[1:]]
        self.commands = dict.fromkeys(self.makers)  # type: ignore[assignment]  # names only, for "did you mean"
        return super().resolve_command(ctx, args)


def _command(name: str) -> Any:
    """A command of the tree, or a noun of which no verb was made yet."""
    module = import_module(f"authctl.cli.{COMMANDS[name]}")
    group = getattr(module, f"{name}_app", None) or module.app
    verbs = group.registered_commands
    # A command such as `authctl revoke` is a noun with one verb, and has no group around it; a group has a help text.
    if len(verbs) == 1 and not group.info.help:
        return _verb(verbs[0])
    noun: Any = get_group(
        typer.Typer(cls=_LazyCommand, help=group.info.help, rich_markup_mode=None, add_completion=False)
    )
    noun.makers = {verb.name or verb.callback.__name__: partial(_verb, verb) for verb in verbs}
    elsewhere = getattr(module, "ELSEWHERE", {})
    noun.makers |= {verb: partial(_verb_of_module, verb, *place) for verb, place in elsewhere.items()}
    return noun


def _verb(info: CommandInfo) -> Any:
    # decision 112: Typer makes a command option by option, so only the verb that runs is made
    info.cls = Command
    _read_once(info.callback)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.registered_commands.append(info)
    return get_command(alone)


def _read_once(callback: Any) -> None:
    """Let Typer read the parameters of a command from its signature alone."""
    # decision 272: Typer reads the type hints, too, and uses none of them; both of them twice
    no_type_check(callback)
    callback.__signature__ = signature(callback, eval_str=True)


def _verb_of_module(name: str, module: str, function: str) -> Any:
    callback = getattr(import_module(f"authctl.cli.{module}"), function)
    return _verb(CommandInfo(name, callback=callback))


class _CommandTree(_LazyCommand):
    makers: Mapping[str, Callable[[], Any]] = {name: partial(_command, name) for name in COMMANDS}


app = typer.Typer(
    cls=_CommandTree,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from authctl.version import __version__

        with printing() as out:
            out.write(f"authctl {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option("--home", metavar="DIR", envvar="AUTHCTL_HOME", help="Home folder of the installation."),
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(
            "--registry",
            metavar="PLACE",
            envvar="AUTHCTL_REGISTRY",
            help="Registry, if it is not in the home folder: a file, or postgresql://USER@HOST/DATABASE.",
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(
            "--keys", metavar="PATH", envvar="AUTHCTL_KEYS", help="Key ring file, if it is not in the home folder."
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  # its callback has done it
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """See, search and end the sessions that your applications opened."""
    ctx.obj = Cli(home, registry, keys)
    ctx.call_on_close(ctx.obj.close)


_read_once(root)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing is raised."""
    try:
        return _run_command(arguments)
    except AuthctlError as error:
        _print_error(error.message, error.hint and _in_its_place(error.hint, arguments))
        code = _exit_code_of(type(error))
    # decision 24: Typer 0.28 raises its usage errors as this class, so that they are worded without its own copy of
    # Click
    except typer.TyperException as error:
        _print_usage_error(error, arguments)
        code = error.exit_code
    except typer.Abort:
        _print_error("not done: interrupted")
        code = _exit_code_of(Refused)
    except Exception as error:  # noqa: BLE001  # the boundary: nobody sees a traceback
        defect = unexpected(error)
        _print_error(defect.message, defect.hint)
        code = _exit_code_of(AuthctlError)
    return code


def _run_command(arguments: Sequence[str]) -> int:
    with writing():  # for the texts that Typer itself prints
        try:
            # Without standalone mode Typer raises its errors, and `run` words them.
            code = get_command(app).main(list(arguments) or ["--help"], prog_name="authctl", standalone_mode=False)
        except SystemExit:  # its answer to a reader of its help that stopped
            raise BrokenPipeError from None
    if code == INTERRUPTED:
        print_message("interrupted: completed steps are kept, and no step was left half done")
    return code if isinstance(code, int) else 0


def _exit_code_of(error: type[AuthctlError]) -> int:
    from authctl.cli.exit_codes import exit_code_of

    return exit_code_of(error)


def _in_its_place(hint: str, arguments: Sequence[str]) -> str:
    from authctl.cli.place_in_hints import with_place

    return with_place(hint, arguments)


def _print_error(message: str, hint: str | None = None) -> None:
    for line in filter(None, message.splitlines()):
        print_message(f"error: {line}")
    if hint:
        print_message(f"hint: {hint}")


def _print_usage_error(error: typer.TyperException, arguments: Sequence[str]) -> None:
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    if context is not None and option is not None:
        from authctl.cli.misplaced_options import misplaced

        if place := misplaced(context, option, arguments):
            _print_error(*place)
            return
    _print_error(_usage_message(error), _usage_hint(error))


def _usage_message(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message.replace(". Did you mean", "; did you mean")
    return message[:1].lower() + message[1:]


def _usage_hint(error: typer.TyperException) -> str | None:
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    message = error.format_message()
    is_of_verb = "Missing command" in message or ("No such command" in message and context.parent is not None)
    verbs = context.command.list_commands(context) if is_of_verb else ()
    return f"commands of {context.command_path}: {', '.join(verbs)}" if verbs else f"{context.command_path} --help"
