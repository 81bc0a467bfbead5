"""`authctl console`."""

import sys
from typing import TYPE_CHECKING, Any

import typer

from authctl.cli.context import start
from authctl.cli.options import Actor, Local
from authctl.cli.streams import is_terminal
from authctl.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.registry import Registry

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_PLACES = {"home": "--home", "registry": "--registry", "keys": "--keys"}


@app.command()
def console(ctx: typer.Context, actor: Actor = None, local: Local = False) -> None:
    """Show the sessions on a screen, to search, select and revoke them. Also users, the audit trail and continuity events."""
    cli = start(ctx, local=local)
    if not all(map(is_terminal, (sys.stdin, sys.stdout, sys.stderr))):
        raise InvalidInput("the console needs a terminal", "in a script: authctl sessions list")
    try:
        from authctl.console.app import Console
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise InvalidInput("the console is not installed", "to install it: pip install 'authctl[console]'") from None

    def open_registry(warn: "Callable[[str], None]") -> "Registry":
        from authctl.registry import Registry

        return Registry.open(cli.home, registry=cli.registry_path, keys=cli.keys_path, warn=warn)

    place = str(cli.installation_home.registry)
    screen = Console(open_registry, place, actor=actor, before=_typed_places(ctx.find_root()), local=local)
    try:
        screen.run()
    finally:
        screen.reads.close()


def _typed_places(root: Any) -> tuple[str, ...]:
    """The options of authctl itself that were typed, for the commands that the console shows."""
    typed = [name for name in _PLACES if root.get_parameter_source(name).name == "COMMANDLINE"]
    return tuple(word for name in typed for word in (_PLACES[name], str(root.params[name])))
