"""Signing keys: list, rotate and retire them, with the active sessions that each one signed.

The key ring's file is written before the registry's transaction commits: tokens of a key that is gone from the ring are refused, and a
new key has signed nothing yet. Its folder is locked before that transaction begins: a process that has this lock only, and waits, stops no
revocation (decision 90).

See docs/glossary.md#signing-key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from authctl import key_ring, names
from authctl.errors import InvalidInput, NotFound, Refused
from authctl.files import locked_folder, resolved
from authctl.instants import NEVER, format_second
from authctl.key_ring import Key, KeyRing, KeyState
from authctl.model import EventFilter, Session, SessionFilter, Status
from authctl.model.told_events import Event
from authctl.registry.installation import Installation
from authctl.registry.unit_of_work import MOST_LISTED, UnitOfWork, actor_name
from authctl.store.protocol.keys import KeyUsage

if TYPE_CHECKING:
    from authctl.registry.bounds import Bound
    from authctl.registry.previews import Preview
    from authctl.store.protocol import View

_SIGNED_NOTHING = KeyUsage(0, 0)


class KeyUse(NamedTuple):
    """A key, and the active sessions whose present tokens it signed."""

    key: Key
    sessions: int
    until: int | None
    """The instant after which it can be retired with no loss; None where it signed no active session, `NEVER` where a
    session may stay active for ever."""


class RetireOutcome(NamedTuple):
    """The outcome of retiring a key, or of its dry run."""

    key_id: str
    at: int
    actor: str
    note: str | None
    changed: bool
    """False where it was retired before."""
    ended: int
    reason: str | None
    """The reason of the sessions that ended: `signed_out` or `key_compromised`; None where none had to end."""
    sessions: tuple[Session, ...]
    """Up to 1,000 of those that ended, most recently used first."""
    dry_run: bool


class Keys:
    """The signing keys of an installation."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def list(self) -> Sequence[KeyUse]:
        """The keys of the ring, the oldest first, each with the active sessions that it signed, and the end of the last one."""
        ring = key_ring.load(self._installation.home.keys)
        with self._installation.snapshot() as (view, now):
            signed = view.key_usage(now)
        return [_use(key, signed.get(key.id, _SIGNED_NOTHING)) for key in ring.keys]

    def rotate(self, *, note: str | None, actor: str | None = None) -> KeyUse:
        """Create a key that signs from now on; the key before it still verifies. Raises Refused without a note."""
        note = names.note(note)
        with self._change_ring(actor) as (unit, ring):
            rotated = ring.rotated(unit.now)
            # Before the commit: after a kill between the two, a key without an event signs, which is harmless. The other order
            # would record a key that no file has.
            key_ring.save(self._installation.home.keys, rotated)
            detail = {"signing": rotated.signing.id, "verifying": ring.signing.id}
            unit.record("key.rotate", subject=rotated.signing.id, note=note, detail=detail)
        return _use(rotated.signing, _SIGNED_NOTHING)

    def retire(
        self,
        key_id: str,
        *,
        sign_out: bool = False,
        compromised: bool = False,
        note: str | None,
        actor: str | None = None,
        dry_run: bool = False,
        bound: Bound | None = None,
    ) -> RetireOutcome:
        """Delete the secret of a key: tokens that it signed are refused from now on.

        While active sessions depend on the key, the caller decides how they end: `sign_out` as a routine step, or `compromised`. `bound`
        is that of a preview. Raises Refused otherwise, for the key that signs, without a note, or when an active session would end
        that the bound does not allow; NotFound for an unknown key.
        """
        reason = _reason_of_end(sign_out=sign_out, compromised=compromised)
        if dry_run:
            return self._preview_outcome(key_id, reason, actor_name(actor), None if note is None else names.note(note))
        checked_note = names.note(note)

        def retire_key() -> RetireOutcome:
            with self._change_ring(actor) as (unit, ring):
                key, _ = _retirable(ring, unit.tx, key_id, reason, unit.now)
                if bound is not None:
                    bound.check(unit.tx.numbers(_active_sessions(key), unit.now), "would end")
                return self._retire(unit, ring, key, reason, checked_note)

        return self._installation.with_kept_space(retire_key)

    def preview_retirement(self, key_id: str, *, sign_out: bool = False, compromised: bool = False) -> Preview:
        """The active sessions that `retire` would end, with the bound for it. Raises as `retire` with `dry_run`."""
        from authctl.registry.previews import preview_of

        reason = _reason_of_end(sign_out=sign_out, compromised=compromised)

        def preview() -> Preview:
            with self._installation.snapshot() as (view, now):
                key, _ = _retirable(key_ring.load(self._installation.home.keys), view, key_id, reason, now)
                return preview_of(view, view.numbers(_active_sessions(key), now), now)

        return self._installation.with_kept_space(preview)

    @contextmanager
    def _change_ring(self, actor: str | None) -> Iterator[tuple[UnitOfWork, KeyRing]]:
        """Lock the ring's folder, begin a transaction, and read the ring."""
        # decision 75: a missing key refuses its tokens, and a new key has none yet
        path = self._installation.home.keys
        with locked_folder(resolved(path).parent), self._installation.change(actor) as unit:
            yield unit, key_ring.load(path)

    def _preview_outcome(self, key_id: str, reason: str | None, actor: str, note: str | None) -> RetireOutcome:
        with self._installation.snapshot() as (view, now):
            key, signed = _retirable(key_ring.load(self._installation.home.keys), view, key_id, reason, now)
            sessions = _listed_sessions(view, key, now)
        changed = key.state is not KeyState.RETIRED
        return RetireOutcome(key.id, now, actor, note, changed, signed, reason if signed else None, sessions, True)

    def _retire(self, unit: UnitOfWork, ring: KeyRing, key: Key, reason: str | None, note: str) -> RetireOutcome:
        listed = _listed_sessions(unit.tx, key, unit.now)
        numbers = unit.tx.numbers(_active_sessions(key), unit.now) if reason else ()
        ended = unit.tx.end_signed(key.id, unit.now, reason) if reason else 0
        changed = key.state is not KeyState.RETIRED
        if changed:
            # Before the commit, as above: a key that is gone refuses its tokens at once, and the ends follow when this is repeated.
            key_ring.save(self._installation.home.keys, ring.without(key.id, unit.now))
        sessions = tuple(after for s in listed if (after := unit.tx.session(s.id, unit.now))) if ended else ()
        # A kill between file and commit leaves a retired key without an event: the next call records it.
        if changed or ended or not _is_recorded(unit, key):
            detail = {"reason": reason if ended else "routine", "ended": ended, "sessions": [s.id for s in sessions]}
            detail["username_keys"] = sorted({names.fold(s.username) for s in sessions})
            unit.record("key.retire", subject=key.id, note=note, detail=detail)
            unit.announce(Event.SESSION_ENDED, note=note, numbers=numbers)
        reason = reason if ended else None
        return RetireOutcome(key.id, unit.now, unit.actor, note, changed, ended, reason, sessions, dry_run=False)


def _use(key: Key, signed: KeyUsage) -> KeyUse:
    return KeyUse(key, signed.sessions, signed.until if signed.sessions else None)


def _reason_of_end(*, sign_out: bool, compromised: bool) -> str | None:
    """The reason for which sessions end with their key; None where none may end. Raises InvalidInput for two reasons."""
    if sign_out and compromised:
        raise InvalidInput(
            "a key is retired as a routine step (--sign-out) or as stolen (--compromised), not as both", "leave one out"
        )
    return "key_compromised" if compromised else "signed_out" if sign_out else None


def _is_recorded(unit: UnitOfWork, key: Key) -> bool:
    """Whether the log has the key's retirement; it lacks it after a kill between file and registry."""
    events = unit.tx.events(EventFilter(action="key.retire"), MOST_LISTED)
    return any(event.subject == key.id for event in events)


def _retirable(ring: KeyRing, view: View, key_id: str, reason: str | None, now: int) -> tuple[Key, int]:
    """The key of that id, and the number of active sessions that it signed.

    Raises NotFound, or Refused where it may not be retired for that reason.
    """
    key = ring.find(key_id.strip().lower())
    if key is None:
        raise NotFound(f"no key {names.quoted(key_id)}", "to see all keys: authctl keys list")
    if key.state is KeyState.SIGNING:
        raise Refused(f"key {key.id} signs new tokens", "first: authctl keys rotate --note WHY")
    signed = view.key_usage(now).get(key.id, _SIGNED_NOTHING)
    # decision 76: the last end is the latest deadline that use can reach, so that waiting until then loses nothing
    if signed.sessions and reason is None:
        until = (
            "some of them never end while they are used"
            if signed.until >= NEVER
            else f"all of them end at {format_second(signed.until)} at the latest"
        )
        count = names.counted(signed.sessions, "active session")
        hint = "to end them: --sign-out as a routine step, --compromised if the key may have been stolen"
        raise Refused(f"key {key.id} still signs {count}; {until}", hint)
    return key, signed.sessions


def _listed_sessions(view: View, key: Key, now: int) -> tuple[Session, ...]:
    return tuple(view.page(_active_sessions(key), now, MOST_LISTED).sessions)


def _active_sessions(key: Key) -> SessionFilter:
    """The active sessions whose present tokens the key signed."""
    return SessionFilter(key_id=key.id, status=Status.ACTIVE)
