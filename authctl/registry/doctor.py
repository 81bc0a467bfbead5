"""The health of an installation: examine it, each problem with the next command, and accept its clock.

See docs/glossary.md#recorded-time.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from authctl import key_ring, names
from authctl.errors import AuthctlError, InvalidFile, Refused, RegistryMoved
from authctl.instants import DAY, format_instant, format_second
from authctl.key_ring import KeyState
from authctl.model import ProfileSet
from authctl.registry.backlog import backlog_of
from authctl.registry.changeover import unfinished
from authctl.registry.clock import check_clock
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import UnitOfWork
from authctl.settings import Home
from authctl.store import location_health, open_store, store_files
from authctl.store.protocol.health import Health
from authctl.store.protocol.outbox import OutboxCount

_OLDEST_KEY = 365 * DAY
_DELIVERY_DUE = DAY


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    ok: bool
    found: str
    next: str | None = None
    """The next command, or another step; None where there is nothing to do."""


class ClockOutcome(NamedTuple):
    """The outcome of accepting the present clock."""

    seen: int
    """The latest recorded time until then, which was wrong."""
    at: int
    actor: str
    note: str
    ended: int
    """The number of sessions that it ended: those that would be active again, and those that were registered or used after `at`."""


class Doctor:
    """The health of an installation whose registry is open."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def examine(self) -> list[Finding]:
        """Check files, file system, registry, clock, audit head, keys, profiles and cleanup, each problem with the next command."""
        return examine(self._installation.home, self._installation)

    def accept_clock(self, *, note: str | None, actor: str | None = None) -> ClockOutcome:
        """Accept the present clock though it is behind the latest recorded time: that one was wrong.

        No ended session becomes active: sessions that had expired by the recorded time end for good, as do those that were registered
        or used after the present instant. Deliveries that were given up before their time wait again. Raises Refused without a note, or where the clock is not behind; RegistryUnavailable where
        it returns an invalid time.
        """
        note = names.note(note)
        with self._installation.change(actor) as unit:
            # decision 81: the only transaction whose instant is earlier than the recorded time, because it resets that time
            seen, unit.now = unit.now, self._installation.clock.now()
            if unit.now >= seen:
                raise Refused(
                    "the clock is not behind the latest time recorded in the registry: there is nothing to accept"
                )
            unit.tx.set_recorded_time(unit.now)
            # Sessions that had expired by the wrong clock would be active again by the right one: they get a hard end.
            ended = unit.tx.end_after_clock_change(unit.now, seen)
            unit.tx.forget_old_logins(unit.tx.profiles().logins_since(seen))
            _keep_events_ended(unit)
            detail = {"seen": format_instant(seen), "accepted": format_instant(unit.now), "ended": ended}
            if revived := unit.tx.revive(unit.now):
                detail["deliveries"] = revived
            unit.record("clock.accept", note=note, detail=detail)
            return ClockOutcome(seen, unit.now, unit.actor, note, ended)


def examine(home: Home, installation: Installation | None = None) -> list[Finding]:
    """Examine a home, whether its registry can be opened or not: every check in a fixed order.

    Checks that need the registry are left out where it cannot be opened.
    """
    findings = [*_check_files(home)]
    with ExitStack() as opened:
        try:
            for name, health in location_health(home.registry):
                findings.append(_of_store(name, health))  # those before an error stay
            if installation is None:
                installation = Installation(home, open_store(home.registry), None, lambda _text: None)
                opened.callback(installation.close)
            with installation.snapshot():
                pass
        except AuthctlError as error:
            return [*findings, _of_error("registry", error)]
        findings.append(Finding("registry", ok=True, found=str(home.registry)))
        findings += _check_move(installation)
        return findings + [_finding(name, check, installation) for name, check in _CHECKS.items()]


def _finding(name: str, check: Callable[[Installation], Finding], installation: Installation) -> Finding:
    """The finding of one check; an error is one, too."""
    try:
        return check(installation)
    except AuthctlError as error:
        return _of_error(name, error)


def _of_error(check: str, error: AuthctlError) -> Finding:
    """The finding of a check that raised an error; the advice to run the doctor is no news in its own report."""
    return Finding(check, ok=False, found=error.message, next=None if error.hint == "authctl doctor" else error.hint)


def _keep_events_ended(unit: UnitOfWork) -> None:
    """End continuity events that were ended by the wrong clock, by the right one, too."""
    for event in unit.tx.continuity_events():
        if event.ended_by and event.end_note and not event.is_over(unit.now):
            unit.tx.end_continuity(event.id, unit.now, event.ended_by, event.end_note)


def _check_files(home: Home) -> Iterator[Finding]:
    for path in (
        *store_files(home.registry)[:1],
        home.keys,
        home.profiles,
        home.audit_head,
        home.authenticators,
        home.receivers,
        home.push_key,
    ):
        try:
            status = path.stat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.geteuid():
            yield Finding(
                "files", ok=False, found=f"{path} belongs to uid {status.st_uid}", next=f"chown {os.geteuid()} {path}"
            )
        elif mode & 0o077:
            yield Finding(
                "files", ok=False, found=f"{path} is open to others (mode {mode:04o})", next=f"chmod 600 {path}"
            )
        else:
            yield Finding("files", ok=True, found=str(path))


def _of_store(check: str, health: Health) -> Finding:
    """A finding of the store as one of the doctor's."""
    return Finding(check, health.ok, health.found, health.hint)


def _check_move(installation: Installation) -> Iterator[Finding]:
    """A move that was begun and did not end."""
    with installation.store.view() as view:
        moving_to = view.moving_to()
    if moving_to is not None:
        problem = f"a move to {moving_to} was begun, and not finished; this registry is in force"
        yield Finding(
            "move",
            ok=False,
            found=problem,
            next=f"authctl registry move --to {quote(moving_to)}; to give it up: {RegistryMoved.give_up}",
        )


def _check_engine(installation: Installation) -> Finding:
    return _of_store("engine", installation.store.engine())


def _check_clock(installation: Installation) -> Finding:
    with installation.store.view() as view:
        seen = view.recorded_time()
    clock = installation.clock.now()
    try:
        check_clock(clock, seen)
    except Refused as error:
        return Finding("clock", ok=False, found=error.message, next=error.hint)
    return Finding("clock", ok=True, found=format_second(clock))


def _check_head(installation: Installation) -> Finding:
    head = installation.head.read()
    installation.head.check(again=True)
    if head is None:
        return Finding(
            "audit_head", ok=False, found="audit.head has no entry for this registry", next="the next change adds it"
        )
    return Finding("audit_head", ok=True, found=f"the audit log matches audit.head at event {head.seq}")


def _check_keys(installation: Installation) -> Finding:
    ring = key_ring.load(installation.home.keys)
    now = installation.clock.now()
    with installation.snapshot() as (view, at):
        signed = view.key_usage(at)
    for key_id, on_it in signed.items():
        # The sessions are active in the lists, and every token of theirs is refused: nobody would find the reason.
        if ring.verifying(key_id) is None:
            return _without_key(key_id, on_it.sessions, is_known=ring.find(key_id) is not None)
    if now - ring.signing.created_at > _OLDEST_KEY:
        problem = f"key {ring.signing.id} has signed since {format_second(ring.signing.created_at)}"
        return Finding("keys", ok=False, found=problem, next="authctl keys rotate --note WHY")
    idle = [key.id for key in ring.keys if key.state is KeyState.VERIFYING and key.id not in signed]
    if idle:
        problem = f"key {idle[0]} no longer signs any active session"
        return Finding("keys", ok=False, found=problem, next=f"authctl keys retire {idle[0]} --note WHY")
    return Finding("keys", ok=True, found=f"key {ring.signing.id} signs")


def _without_key(key_id: str, sessions: int, *, is_known: bool) -> Finding:
    """Active sessions whose tokens cannot be verified: an administrator of another registry retired their key."""
    problem = f"{names.counted(sessions, 'active session')} signed by key {key_id}, which is"
    if is_known:
        return Finding("keys", False, f"{problem} retired", f"authctl keys retire {key_id} --sign-out --note WHY")
    return Finding("keys", False, f"{problem} not in the key ring", "restore the key ring that has this key")


def _check_profiles(installation: Installation) -> Finding:
    path = installation.home.profiles
    with installation.snapshot() as (view, _now):
        in_force = view.profiles()
        message = unfinished(view)
    if message is not None:
        return Finding("profiles", ok=False, found=message, next="authctl profiles apply --note WHY")
    wanted = _read_own_profiles(path)
    if wanted is None:
        return Finding("profiles", ok=True, found=f"the profiles in force; there is no {path}")
    if not in_force.has_same_file(wanted):
        # decision 166: `profiles apply` first would put the old file of the home back in force
        problem = f"{path} differs from the profiles in force"
        to_compare = "authctl profiles diff; then correct the file, or authctl profiles apply --note WHY"
        return Finding("profiles", ok=False, found=problem, next=to_compare)
    return Finding("profiles", ok=True, found=f"{path} is in force")


def _read_own_profiles(path: Path) -> ProfileSet | None:
    """The profiles of the home's own file; None if it is not there or cannot be read. Raises InvalidFile."""
    from authctl import profiles

    try:
        raw = path.read_bytes() if path.is_file() else None
    except OSError:
        raw = None
    return None if raw is None else profiles.read(raw, path.name)


def has_other_profiles(path: Path, applied: ProfileSet) -> bool:
    """Whether the home's own file is there and has other profiles than those that were applied, or faults."""
    try:
        own = _read_own_profiles(path)
    except InvalidFile:
        return True
    return own is not None and not own.has_same_file(applied)


def _check_cleanup(installation: Installation) -> Finding:
    with installation.snapshot() as (view, now):
        backlog = backlog_of(view, now)
    last_time = "never" if backlog.last_run_at is None else format_second(backlog.last_run_at)
    if backlog.is_overdue:
        problem = f"sessions past the retention: {backlog.total:,}; last cleaned up: {last_time}"
        return Finding("cleanup", ok=False, found=problem, next="authctl cleanup, and a cron line for it")
    return Finding("cleanup", ok=True, found=f"last cleaned up: {last_time}")


def _check_receivers(installation: Installation) -> Finding:
    from authctl.registry.receivers import Receivers

    receivers = Receivers(installation).by_name()
    # decision 346: a host without the file leaves deliveries to another one
    is_elsewhere = installation.home.is_shared and not installation.home.receivers.exists()
    with installation.snapshot() as (view, now):
        counts = view.outbox_counts()
        pauses = view.pauses()
    for count in counts:
        problem = _delivery_problem(count, now, is_known=is_elsewhere or names.fold(count.receiver) in receivers)
        if problem is not None:
            pause = pauses.get(names.fold(count.receiver))
            reason = f"; last failure: {pause.reason}" if pause else ""
            message = f"receiver {names.quoted(count.receiver)}: {problem}{reason}"
            return Finding(
                "receivers", False, message, f"authctl deliveries list --receiver {names.quoted(count.receiver)}"
            )
    return Finding("receivers", ok=True, found=f"{names.counted(len(receivers), 'receiver')}, no delivery is overdue")


def _delivery_problem(count: OutboxCount, now: int, *, is_known: bool) -> str | None:
    """The problem with the deliveries of a receiver; None where there is none."""
    if count.pending and not is_known:
        return f"{count.pending:,} pending, but receivers.yaml has no such receiver"
    # decision 241: only an administrator tries these again, or drops them
    if count.refused or count.dead:
        return f"{count.refused:,} refused, {count.dead:,} dead"
    if count.oldest_at is not None and now - count.oldest_at > _DELIVERY_DUE:
        return f"{count.pending:,} pending, the oldest since {format_second(count.oldest_at)}"
    return None


_CHECKS: dict[str, Callable[[Installation], Finding]] = {
    "engine": _check_engine,
    "clock": _check_clock,
    "audit_head": _check_head,
    "keys": _check_keys,
    "profiles": _check_profiles,
    "cleanup": _check_cleanup,
    "receivers": _check_receivers,
}
"""The checks of an open registry, in their order."""
