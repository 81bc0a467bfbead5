"""Rotating and retiring signing keys: what each still signs, and whom its end signs out.

The file is written before the registry's transaction commits: a key that is gone from the ring fails closed, and one that is in it
has signed nothing yet. Its folder is locked before that transaction begins, so that whoever holds that lock keeps nobody from revoking.

See docs/glossary.md#signing-key.
"""

from typing import TYPE_CHECKING, NamedTuple

from authctl import key_ring, names
from authctl.errors import NotFound, Refused
from authctl.files import locked_folder, resolved
from authctl.instants import NEVER, format_instant
from authctl.key_ring import Key, KeyRing, KeyState
from authctl.model import EventFilter, Session, SessionFilter, Status
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.store.base import View
from authctl.store.values import Signed

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview

_NOTHING = Signed(0, 0)


class KeyUse(NamedTuple):
    """A key, and the active sessions whose present tokens it signed."""

    key: Key
    sessions: int
    until: int | None
    """After which instant it can be retired with no loss; None where nothing lives that it signed, `NEVER` where a
    session may live on for ever."""


class RetireOutcome(NamedTuple):
    """What retiring a key came to, or would."""

    key_id: str
    at: int
    actor: str
    note: str | None
    changed: bool
    """False where it was retired before."""
    ended: int
    reason: str | None
    """Why sessions ended: `signed_out` or `key_compromised`; None where none had to."""
    sessions: tuple[Session, ...]
    """Up to 1,000 of those that ended, newest use first."""
    dry_run: bool


def listed(installation: Installation) -> list[KeyUse]:
    """See `Registry.signing_keys`."""
    ring = key_ring.load(installation.home.keys)
    with installation.snapshot() as (view, now):
        signed = view.signed(now)
    return [_use(key, signed.get(key.id, _NOTHING)) for key in ring.keys]


def _use(key: Key, signed: Signed) -> KeyUse:
    return KeyUse(key, signed.sessions, signed.until if signed.sessions else None)


def rotate(installation: Installation, *, note: str | None, actor: str | None) -> KeyUse:
    """See `Registry.rotate_keys`."""
    note = names.note(note)
    with locked_folder(resolved(installation.home.keys).parent), installation.change(actor) as unit:
        ring = key_ring.load(installation.home.keys)
        rotated = ring.rotated(unit.now)
        key_ring.save(installation.home.keys, rotated)
        detail = {"signing": rotated.signing.id, "verifying": ring.signing.id}
        unit.record("key.rotate", subject=rotated.signing.id, note=note, detail=detail)
    return _use(rotated.signing, _NOTHING)


def retire(
    installation: Installation,
    key_id: str,
    *,
    sign_out: bool,
    compromised: bool,
    note: str | None,
    actor: str | None,
    dry_run: bool,
    bound: "Bound | None",
) -> RetireOutcome:
    """See `Registry.retire_key`."""
    reason = _reason(sign_out=sign_out, compromised=compromised)
    if dry_run:
        note = names.note(note) if note is not None else None
        with installation.snapshot() as (view, now):
            _, key, signed = _retirable(installation, view, key_id, reason, now)
            ending = _ending(view, key, now)
        changed = key.state is not KeyState.RETIRED
        return RetireOutcome(
            key.id, now, actor_name(actor), note, changed, signed, reason if signed else None, ending, True
        )
    said = names.note(note)

    def deed() -> RetireOutcome:
        with locked_folder(resolved(installation.home.keys).parent), installation.change(actor) as unit:
            ring, key, _ = _retirable(installation, unit.tx, key_id, reason, unit.now)
            return _retired(installation, unit, ring, key, reason, said, bound)

    return installation.with_reserve(deed)


def preview(installation: Installation, key_id: str, *, sign_out: bool, compromised: bool) -> "Preview":
    """See `Registry.preview_retirement`."""
    from authctl.registry.previews import preview_of

    def look() -> "Preview":
        with installation.snapshot() as (view, now):
            _, key, _ = _retirable(installation, view, key_id, _reason(sign_out=sign_out, compromised=compromised), now)
            return preview_of(view, view.numbers(_living(key), now), now)

    return installation.with_reserve(look)


def _reason(*, sign_out: bool, compromised: bool) -> str | None:
    """Why sessions end with their key; None where none may."""
    return "key_compromised" if compromised else "signed_out" if sign_out else None


def _retired(
    installation: Installation,
    unit: UnitOfWork,
    ring: KeyRing,
    key: Key,
    reason: str | None,
    note: str,
    bound: "Bound | None",
) -> RetireOutcome:
    if bound is not None:
        bound.check(unit.tx.numbers(_living(key), unit.now), "would end")
    ending = _ending(unit.tx, key, unit.now)
    ended = unit.tx.end_signed(key.id, unit.now, reason) if reason else 0
    changed = key.state is not KeyState.RETIRED
    if changed:
        key_ring.save(installation.home.keys, ring.without(key.id, unit.now))
    sessions = tuple(found for s in ending if (found := unit.tx.session(s.id, unit.now))) if ended else ()
    if changed or ended or not _is_recorded(unit, key):
        detail = {"reason": reason if ended else "routine", "ended": ended, "sessions": [s.id for s in sessions]}
        detail["username_keys"] = sorted({names.fold(s.username) for s in sessions})
        unit.record("key.retire", subject=key.id, note=note, detail=detail)
    return RetireOutcome(
        key.id, unit.now, unit.actor, note, changed, ended, reason if ended else None, sessions, dry_run=False
    )


def _is_recorded(unit: UnitOfWork, key: Key) -> bool:
    """Whether the log has the key's retirement; a kill between file and registry leaves it out."""
    found = unit.tx.events(EventFilter(action="key.retire"), MOST_LISTED)
    return any(event.subject == key.id for event in found)


def _retirable(
    installation: Installation, view: View, key_id: str, reason: str | None, now: int
) -> tuple[KeyRing, Key, int]:
    """The ring, the key that is meant, and how many active sessions it signed.

    Raises NotFound, or Refused where it may not be retired so.
    """
    ring = key_ring.load(installation.home.keys)
    key = ring.find(key_id.strip().lower())
    if key is None:
        raise NotFound(f"no key {names.quoted(key_id)}", "to see them: authctl keys list")
    if key.state is KeyState.SIGNING:
        raise Refused(f"key {key.id} signs new tokens", "first: authctl keys rotate")
    signed = view.signed(now).get(key.id, _NOTHING)
    if signed.sessions and reason is None:
        until = (
            "no date is known on which none will be"
            if signed.until >= NEVER
            else f"none will be after {format_instant(signed.until)}"
        )
        what = f"key {key.id} still signs {signed.sessions:,} active session{'s' * (signed.sessions != 1)}; {until}"
        raise Refused(
            what, "--sign-out ends them as a matter of routine, --compromised because the key is not to be trusted"
        )
    return ring, key, signed.sessions


def _ending(view: View, key: Key, now: int) -> tuple[Session, ...]:
    return tuple(view.page(_living(key), now, MOST_LISTED).sessions)


def _living(key: Key) -> SessionFilter:
    """The active sessions whose present tokens the key signed."""
    return SessionFilter(key_id=key.id, status=Status.ACTIVE)
