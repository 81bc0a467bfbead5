"""The removal of journals of imports that are no longer used, in short transactions.

See docs/glossary.md#journal-of-an-import.
"""

from time import sleep
from typing import TYPE_CHECKING

from authctl.instants import DAY
from authctl.registry.batches import PAUSE_SECONDS

if TYPE_CHECKING:
    from authctl.registry.installation import Installation

UNDOABLE_FOR = 30 * DAY
"""How long an import can be taken back."""

_ROWS = 2_000


def drop_journals(installation: "Installation", actor: str | None) -> None:
    """Remove the journals that are no longer used, and those of imports that can no longer be taken back."""
    while True:
        with installation.change(actor) as unit:
            dropped = unit.tx.drop_journals(unit.now - UNDOABLE_FOR, _ROWS)
        if not dropped:
            return
        sleep(PAUSE_SECONDS)
