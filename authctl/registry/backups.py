"""Backups: create one, and restore one. A restore keeps the restrictions of the registry that it replaces, and ends every session."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from authctl import names
from authctl.errors import IntegrityFailure, InvalidInput, Refused, RegistryUnavailable, reason
from authctl.instants import Clock, format_instant
from authctl.model import SessionFilter, Status
from authctl.registry import audit as audit_log
from authctl.registry.audit import ChainHead
from authctl.registry.clock import Warn
from authctl.registry.installation import Installation
from authctl.registry.outside_head import has_event
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.settings import Home
from authctl.store import draft_of, how_to_move_away, is_there, name_of_replaced, open_store
from authctl.visible_text import visible

if TYPE_CHECKING:
    from authctl.model import AuditEvent, User
    from authctl.store.protocol import View
    from authctl.store.protocol.backups import Carried


class BackupOutcome(NamedTuple):
    """The outcome of a backup: its file, and the last event of its audit chain."""

    file: Path
    registry_id: str
    seq: int
    hash: str


class RestoreOutcome(NamedTuple):
    """The outcome of a restore, or of its dry run."""

    file: Path
    registry_id: str
    seq: int
    """The event of it, which follows the last one of the backup."""
    at: int
    actor: str
    note: str | None
    known: int | None
    """The event that the head outside knew last."""
    ended: int
    """How many sessions of the backup were active, and are ended now."""
    active_before: int
    """How many sessions were active in the registry that was replaced; in the backup, where no registry was there."""
    backup_seq: int
    backup_at: int
    """Number and instant of the last event of the backup."""
    carried_from: ChainHead | None
    """The last event of the registry that was replaced; None where no registry was there, so that nothing was carried over."""
    carried: "Carried | None"
    replaced_lacks: int | None
    """The event that audit.head names, if the replaced registry does not have it: it was an old copy, and later operations are
    not known."""
    profiles_differ: bool
    """Whether the profiles of the backup are others than those that were in force."""
    stay_disabled: tuple[str, ...]
    """Up to 1,000 users who are disabled in the backup, and were not in the registry that was replaced."""
    replaced_kept_as: Path | None
    """The file that the registry that was replaced is kept as."""
    dry_run: bool


class Backups:
    """The backups of an open registry; `restore` needs none, and is a function."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def create(self, file: str | Path) -> BackupOutcome:
        """Copy the registry as it is now to a new file of mode 0600, while others write. The key ring is not copied.

        Raises Refused when the file exists, InvalidInput for a name with a NUL character, IntegrityFailure where the registry is behind
        the audit head outside it.
        """
        if "\0" in str(file):
            raise InvalidInput(f"no file can have the name {names.quoted(str(file))}")
        path = Path(file)
        # An old registry that was put back must not become a backup that is taken for the newest state.
        self._installation.head.check(again=True)
        self._installation.store.back_up(path.absolute())
        # Read from the file: the registry may have new events since.
        with closing(open_store(path.absolute())) as copy, copy.view() as view:
            last_seal = view.last_seal()
            registry_id = view.registry_id()
        return BackupOutcome(path, registry_id, *last_seal)


def restore(
    home: Home,
    file: Path,
    *,
    note: str | None,
    actor: str | None = None,
    dry_run: bool = False,
    clock: Clock | None = None,
    warn: Warn | None = None,
) -> RestoreOutcome:
    """Put a backup in the place of the registry, or where it is missing, and end every session that it has.

    Restrictions are taken over from the replaced registry: disabled users, password changes, revocations and ends since the backup
    was taken, and the data that imports need about them. Nothing that gives somebody access is taken over. The replaced registry is
    kept in a file beside the new one. The audit chain of the backup continues with the event of the restore, which becomes the audit
    head. Processes that have the registry open continue with the restored one. A dry run needs no note and writes nothing.

    Raises Refused without a note, where the backup is of another registry, or where the registry that is there is damaged or its
    audit chain does not verify; RegistryUnavailable or IntegrityFailure where either cannot be used. Nothing has changed then.
    """
    if note is not None or not dry_run:
        note = names.note(note)
    who = actor_name(actor)
    # Before the lock: verifying a long chain takes seconds. Inside the lock only the events since then are verified.
    trusted = _check_present(home)
    with draft_of(file.absolute(), home.registry, home.folder) as draft:
        installation = Installation(home, draft.store, clock, warn)
        restoring = _Restoring(installation, file, note, who, trusted, audit_log.verify_chain(installation))
        if dry_run:
            return draft.preview(restoring.make_ready)[0]
        outcome, last = draft.replace_registry(_kept_name(installation), restoring.make_ready)
    assert last is not None
    # audit.head is written last: after a kill before it, `audit accept` names the difference, and nobody has got access.
    with closing(open_store(home.registry)) as present:
        Installation(home, present, clock, warn).head.accept(last)
    return outcome


def _kept_name(installation: Installation) -> str:
    """The name under which the registry that is replaced is kept, beside it."""
    with installation.snapshot() as (_view, now):
        to_the_second = format_instant(now)[: len("2026-03-02T09:00:00")]
    return name_of_replaced(installation.home.registry, f"{to_the_second.replace('-', '').replace(':', '')}Z")


@dataclass(slots=True)
class _Restoring:
    """Prepares a copy of a backup: once before the lock, and once inside it for the changes since then."""

    installation: Installation
    file: Path
    note: str | None
    actor: str
    trusted: ChainHead | None
    """The last verified event of the present registry's chain, before its lock was taken."""
    taken: ChainHead
    ended_at: int | None = None
    """The instant at which the active sessions of the copy were ended, before the lock was taken."""
    ended_before: int = 0
    """How many sessions of the backup had been ended by itself."""
    carried: "Carried | None" = None

    def make_ready(
        self, replaced: "View | None", kept_as: Path | None, is_last: bool
    ) -> "tuple[RestoreOutcome, AuditEvent | None]":
        """Carry restrictions over, end all sessions, and record that if `is_last`. Returns the outcome and its event."""
        head = None
        if replaced:
            with _refused_where_damaged(self.installation.home):
                head = audit_log.verify_chain_since(replaced, self.trusted)
        # Not anchored: audit.head still belongs to the registry that is replaced.
        with self.installation.change(self.actor, anchored=False) as unit:
            self._restrict(unit, replaced)
            outcome = self._outcome(unit, replaced, head)._replace(replaced_kept_as=kept_as, dry_run=not is_last)
            if is_last:
                unit.record("registry.restore", note=self.note, detail=_detail(outcome))
        return outcome, unit.recorded[-1] if unit.recorded else None

    def _restrict(self, unit: UnitOfWork, replaced: "View | None") -> None:
        """Carry the restrictions over, and end every active session."""
        if self.ended_at is None:
            self.ended_before = unit.tx.count_ended()
        if replaced:
            # decision 126. Twice for a registry in use: once before the lock, and once inside it for the changes since then.
            newly = unit.tx.carry_over(unit.now, self.ended_at)
            self.carried = self.carried.plus(newly) if self.carried else newly
        unit.tx.end_all(unit.now, "restored")
        unit.tx.set_restored(unit.now)
        unit.tx.forget_logins()
        # The second run must tell the ends of the first run from ends that the backup had itself.
        self.ended_at = self.ended_at or unit.now

    def _outcome(self, unit: UnitOfWork, replaced: "View | None", head: ChainHead | None) -> RestoreOutcome:
        known = self.installation.head.read()
        last = unit.tx.event(self.taken.seq)
        # Ends that were carried over were made there, and not by this restore.
        carried = self.carried.sessions_ended if self.carried else 0
        ended = unit.tx.count_ended() - self.ended_before - carried
        return RestoreOutcome(
            file=self.file,
            registry_id=unit.tx.registry_id(),
            seq=self.taken.seq + 1,
            at=unit.now,
            actor=self.actor,
            note=self.note,
            known=known.seq if known else None,
            ended=ended,
            active_before=replaced.count(SessionFilter(status=Status.ACTIVE), unit.now) if replaced else ended,
            backup_seq=self.taken.seq,
            backup_at=last.at if last else 0,
            carried_from=head,
            carried=self.carried,
            replaced_lacks=known.seq if replaced and known and not has_event(replaced, known) else None,
            profiles_differ=bool(replaced and not replaced.profiles().has_same_file(unit.tx.profiles())),
            stay_disabled=_enabled_since(replaced, unit.tx, unit.now) if replaced else (),
            replaced_kept_as=None,
            dry_run=True,
        )


def _detail(outcome: RestoreOutcome) -> dict[str, Any]:
    """The detail of the event of a restore."""
    return {
        "file": visible(str(outcome.file)),
        "taken": outcome.backup_seq,
        "known": outcome.known,
        "ended": outcome.ended,
        "carried_from": outcome.carried_from and outcome.carried_from._asdict(),
        "carried": outcome.carried and outcome.carried._asdict(),
        "replaced_lacks": outcome.replaced_lacks,
        "replaced_kept_as": outcome.replaced_kept_as and visible(str(outcome.replaced_kept_as)),
    }


def _enabled_since(replaced: "View", restored: "View", now: int) -> tuple[str, ...]:
    """The users who are disabled in one, and were not in the other."""
    disabled = {names.fold(user.username) for user in replaced.users() if _is_disabled(user, now)}
    users = (user for user in restored.users() if _is_disabled(user, now))
    return tuple(user.username for user in users if names.fold(user.username) not in disabled)[:MOST_LISTED]


def _is_disabled(user: "User", now: int) -> bool:
    return user.as_of(now).disabled_at is not None


def _check_present(home: Home) -> ChainHead | None:
    """The end of the audit chain of the registry that is there; None where there is none.

    Raises Refused where it is damaged, or its chain does not verify: it is not written over, and may be needed.
    """
    try:
        if not is_there(home.registry):
            return None
        with _refused_where_damaged(home), closing(open_store(home.registry)) as store:
            store.check()
            return audit_log.verify_chain(Installation(home, store, None))
    except OSError as error:
        raise RegistryUnavailable(f"cannot read the registry at {home.registry}: {reason(error)}") from None


@contextmanager
def _refused_where_damaged(home: Home) -> Iterator[None]:
    try:
        yield
    except IntegrityFailure as error:
        message = f"the registry that is there cannot be replaced while it is damaged: {error.message}"
        raise Refused(message, how_to_move_away(home.registry)) from None
