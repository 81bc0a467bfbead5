"""The marks of a move, judged: a registry that has one of them is closed, and the error names the place that is open.

See docs/glossary.md#move.
"""

from pathlib import Path

from authctl.errors import RegistryMoved, RegistryUnavailable
from authctl.registry_locations import is_address

COLUMNS = "moved_to, moving_to, arriving_from"
"""The columns of the table `registry` that `check` judges, in their order."""


def check(place: Path | str, moved_to: str | None, moving_to: str | None, arriving_from: str | None) -> None:
    """Raise RegistryMoved if the registry at a place is somewhere else now; RegistryUnavailable if it has not arrived yet."""
    if moved_to is not None:
        raise moved(place, moved_to, is_finished=moving_to is None)
    if arriving_from is not None:
        from shlex import quote

        message = f"the registry at {place} is not in use yet: its move from {arriving_from} was not finished"
        hint = f"authctl --registry {quote(arriving_from)} registry move --to {quote(str(place))}"
        raise RegistryUnavailable(message, hint)


def moved(place: Path | str, moved_to: str, *, is_finished: bool) -> RegistryMoved:
    """The error for a registry that is somewhere else now."""
    from shlex import quote

    message = f"the registry at {place} was moved to {moved_to}"
    if is_finished:
        new = quote(moved_to)
        role = ", with the role of the hosts in it" if is_address(moved_to) else ""
        return RegistryMoved(message, f"authctl --registry {new} COMMAND, or AUTHCTL_REGISTRY={new}{role}", moved_to)
    hint = f"authctl registry move --to {quote(moved_to)}; to give the move up: {RegistryMoved.give_up}"
    return RegistryMoved(f"{message}, and the move was not finished", hint, moved_to)
