"""Backups, and putting one back: what was revoked since would live again, so that everybody signs in anew."""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from authctl import names
from authctl.errors import IntegrityFailure, Refused, RegistryUnavailable, reason
from authctl.escapes import visible
from authctl.instants import Clock
from authctl.registry import audit as audit_log
from authctl.registry.core import Core, Warn, actor_name
from authctl.settings import Home
from authctl.store import open_store, restored_store


class BackupOutcome(NamedTuple):
    """A copy that was taken, and where its audit chain ends."""

    file: Path
    registry_id: str
    seq: int
    hash: str


class RestoreOutcome(NamedTuple):
    """What putting a backup back came to."""

    file: Path
    registry_id: str
    seq: int
    at: int
    actor: str
    note: str
    known: int | None
    """The event that the head outside knew last."""
    ended: int
    """How many sessions of the backup were living, and are ended now."""


def back_up(core: Core, file: Path) -> BackupOutcome:
    """See `Registry.back_up`."""
    core.check_trusted(again=True)
    core.store.back_up(file.absolute())
    with closing(open_store(file.absolute())) as copy, copy.view() as view:
        last = view.last_event()
        registry_id = view.registry_id()
    return BackupOutcome(file, registry_id, last.seq if last else 0, last.hash if last else "")


def restore(
    place: Home,
    file: Path,
    *,
    note: str | None,
    actor: str | None = None,
    clock: Clock | None = None,
    warn: Warn | None = None,
) -> RestoreOutcome:
    """Put a backup in the place of the registry, or where it is missing, and end every session that it has.

    Its audit chain goes on with the event of that, and is what is kept as the head outside; what happened since the
    backup was taken is lost, and is not known. Whoever has the registry open goes on with what was put there. Raises Refused without a note, or where the
    backup is of another registry; RegistryUnavailable or IntegrityFailure where either cannot be used. Nothing has changed then.
    """
    note = names.note(note)
    who = actor_name(actor)
    _check_whole(place)
    with restored_store(file.absolute(), place.registry) as store:
        core = Core(place, store, clock, warn)
        chain = audit_log.verify(core)
        known = core.outside_head()
        with core.change(who, anchored=False) as unit:
            ended = unit.tx.end_all(unit.now, "restored")
            unit.tx.forget_logins()
            detail = {"file": visible(str(file)), "taken": chain.seq, "known": known.seq if known else None}
            unit.record("registry.restore", note=note, detail={**detail, "ended": ended})
            registry_id = unit.tx.registry_id()
            last, at = unit.recorded[-1], unit.now
    with closing(open_store(place.registry)) as present:
        Core(place, present, clock, warn).take_head(last)
    return RestoreOutcome(file, registry_id, last.seq, at, who, note, known.seq if known else None, ended)


def _check_whole(place: Home) -> None:
    """Raise Refused where the registry that is there is damaged: it is not written over, and may be needed."""
    try:
        if place.registry.exists():
            with closing(open_store(place.registry)) as store, store.view() as view:
                view.registry_id()
    except OSError as error:
        raise RegistryUnavailable(f"cannot read the registry at {place.registry}: {reason(error)}") from None
    except IntegrityFailure as error:
        what = f"the registry that is there cannot be replaced while it is damaged: {error.message}"
        beside = f"{place.registry.name}-wal and -shm"
        raise Refused(what, f"move {place.registry} away, and what lies beside it as {beside}") from None
