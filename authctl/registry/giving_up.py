"""Deliveries that are given up, because they are pending for longer than their receiver's `give_up_after`."""

from collections.abc import Sequence
from time import sleep

from authctl.registry.batches import PAUSE_SECONDS
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import AUTHCTL

_GIVEN_UP_AT_ONCE = 5_000


def give_up(installation: Installation, *, spared: Sequence[str] = ()) -> int:
    """Let the deliveries be dead that are pending for longer than `give_up_after`, in batches; how many.

    Those of the spared receivers, by folded name, stay.
    """
    dead = 0
    while True:
        with installation.change(AUTHCTL) as unit:
            given_up = unit.tx.give_up(unit.now, _GIVEN_UP_AT_ONCE, spared)
            if given_up:
                unit.record("delivery.give_up", detail={"dead": given_up})
        dead += given_up
        # decision 231: a pending delivery keeps its session from cleanup, so that it must end at some time
        if given_up < _GIVEN_UP_AT_ONCE:
            return dead
        sleep(PAUSE_SECONDS)
