"""Uses that wait until they can be written, and the thread that then writes many of them in one transaction.

It is made for the first use that has to wait. See docs/glossary.md#waiting-use.
"""

import atexit
import os
import threading
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from authctl.errors import AuthctlError, DiskFull, RegistryLocked
from authctl.registry.batches import PAUSE_SECONDS, BatchSize
from authctl.registry.tokens import uses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model import ProfileSet
    from authctl.registry.installation import Installation
    from authctl.registry.tokens.uses import Use
    from authctl.store.protocol import Change

MOST_WAITING = 100_000
"""The most uses that wait; further ones are dropped and counted (decision 157)."""

CLOSE_SECONDS = 2.0
"""How long closing, and the end of the process, wait for the registry to become free."""

_BATCH_SECONDS = 0.04
"""How long a batch holds the lock, its commit included."""

_FIRST_BATCH, _LARGEST_BATCH = 200, 4_000

_TRY_SECONDS = 0.05
"""How long one try waits for the lock. Meanwhile no other thread of this process can begin to write, so it is short."""

FIRST_PAUSE_SECONDS = 0.1
"""The pause before the first try, after a try that failed, and after everything was written: so more uses share a transaction."""

_IDLE_SECONDS = 2.0
"""How long the thread waits for a use before it ends."""

PROFILES_SECONDS = 0.1
"""How long the profiles that were read for a use count for the next ones. They decide only whether another use of the session waits, too."""


class WaitingUses:
    """The uses of one open registry that wait. Threads may share it."""

    def __init__(self, installation: "Installation") -> None:
        self.dropped = 0
        """How many uses were dropped since the registry was opened."""
        self._installation = installation
        self._uses: dict[int, Use] = {}
        """The uses by their place in the queue."""
        self._latest: dict[str, tuple[Use, int]] = {}
        """The latest waiting use by the id of its session, and the instant from which on the next one is due."""
        self._last_place = 0
        self._profiles: ProfileSet | None = None
        self._profiles_until = 0.0
        self._make_locks()
        self._thread: threading.Thread | None = None
        self._closed = False
        _open.add(self)

    def _make_locks(self) -> None:
        lock = threading.RLock()
        self._lock = lock
        """The lock of the queue."""
        # Two conditions, so that a use wakes the thread only if it waits for one, and not in its pause: each waking costs as much
        # as a verification.
        self._arrived = threading.Condition(lock)
        self._ended = threading.Condition(lock)

    def __len__(self) -> int:
        return len(self._uses)

    def profiles(self) -> "ProfileSet":
        """The profiles in force, up to a tenth of a second old."""
        now = monotonic()
        if self._profiles is None or now >= self._profiles_until:
            self._profiles = self._installation.store.profiles()
            self._profiles_until = now + PROFILES_SECONDS
        return self._profiles

    def covers(self, use: "Use") -> bool:
        """Whether a waiting use of the same session makes this one not due yet."""
        latest = self._latest.get(use.session_id)
        return latest is not None and use.used_at < latest[1]

    def add(self, use: "Use", next_due_at: int) -> None:
        """Keep a use until it can be written; `next_due_at` is when the next use of the session is due."""
        with self._lock:
            is_full = len(self._uses) >= MOST_WAITING
            if is_full:
                self.dropped += 1
            else:
                self._last_place += 1
                self._uses[self._last_place] = use
                self._latest[use.session_id] = (use, next_due_at)
                self._wake_thread()
        if is_full:
            # Outside the lock of the queue: the caller's function for warnings may take long, or verify a token itself.
            self._installation.warn(
                f"{MOST_WAITING:,} uses wait until they can be written: further uses are not recorded"
            )

    def shorten(self, lock_timeouts: int) -> None:
        """Write uses in batches until the rest fits into another change, which waits so many timeouts for its turn. Raises as it would."""
        size = _batch_size()
        # decision 156: the change that follows writes the rest in its own transaction, and holds the lock only a little longer.
        while len(self._uses) > _FIRST_BATCH:
            self._write_batch(size, lock_timeouts=lock_timeouts)

    def write_all(self, tx: "Change", now: int) -> list[int]:
        """Write all waiting uses in an open change. Returns their places, for `forget` after the commit."""
        return self._write(tx, now, MOST_WAITING)

    def forget(self, places: "Sequence[int]") -> None:
        """Remove uses that were written, or that cannot be."""
        with self._lock:
            for place in places:
                use = self._uses.pop(place, None)
                # A later use of the session may have come since: it stays the latest one.
                if use is not None and self._latest[use.session_id][0] is use:
                    del self._latest[use.session_id]

    def write_within(self, seconds: float) -> bool:
        """Write the waiting uses in batches, waiting so long for the registry to become free. False if some still wait."""
        until = monotonic() + seconds
        size = _batch_size()
        while self._uses:
            if not self._try_batch(size, max(0.0, until - monotonic())):
                return False
        return True

    def close(self) -> None:
        """Write all waiting uses, or drop them with a warning if they cannot be written. Later ones are dropped."""
        _open.discard(self)
        with self._lock:
            self._closed = True
            self._arrived.notify_all()
            self._ended.notify_all()
        if not self.write_within(CLOSE_SECONDS):
            self._installation.warn(
                f"uses that could not be written before the registry was closed: {len(self._uses):,}"
            )
            self._drop_all()

    def leave_to_parent(self) -> None:
        """Forget the uses in a forked child: the parent writes them, by a thread that the child does not have."""
        self._make_locks()  # the thread may have held the lock when the process was forked
        self._thread = None
        self._uses.clear()
        self._latest.clear()

    def _drop_all(self) -> None:
        self.dropped += len(self._uses)
        self.forget(self._places(MOST_WAITING))

    def _write(self, tx: "Change", now: int, limit: int) -> list[int]:
        places = self._places(limit)
        uses.write(tx, [self._uses[place] for place in places], now)
        return places

    def _places(self, limit: int) -> list[int]:
        with self._lock:
            # A copy under the lock: other threads add uses while a batch is written.
            return list(islice(self._uses, limit))

    def _try_batch(self, size: BatchSize, timeout: float) -> bool:
        """Write a batch. False if that has to be tried again: the registry is locked, or the disk full."""
        try:
            self._write_batch(size, timeout=timeout)
        except (RegistryLocked, DiskFull):
            return False
        except AuthctlError:
            # The registry cannot be written at all. The verifications were answered, so their uses are dropped, as a single one is.
            self._drop_all()
        return True

    def _write_batch(self, size: BatchSize, *, timeout: float | None = None, lock_timeouts: int = 1) -> None:
        """Write the first uses of the queue in one transaction. Raises as `Store.change`."""
        clock, store = self._installation.clock, self._installation.store
        with store.change(timeout=timeout, lock_timeouts=lock_timeouts, synced=False, shared=True) as tx:
            begun = monotonic()
            places = self._write(tx, clock.present(tx)[0], size.size)
        # After the commit: an error above leaves the uses in the queue, for the next try.
        self.forget(places)
        # Only a full batch shows how long a batch of this size takes.
        if len(places) == size.size:
            size.adjust(monotonic() - begun)

    def _wake_thread(self) -> None:
        """Wake the thread, or start one."""
        if self._thread is not None:
            self._arrived.notify()
        elif not self._closed:
            # A daemon, so that the end of the process waits for `_close_all` only.
            self._thread = threading.Thread(target=self._run, name="authctl-uses", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no thread can be started any more: `close` writes the uses
                self._thread = None

    def _run(self) -> None:
        """Write the waiting uses, until there has been none for a while."""
        size, pause = _batch_size(), FIRST_PAUSE_SECONDS
        while self._has_uses() and not self._is_closed_within(pause):
            is_written = self._try_batch(size, _TRY_SECONDS)
            pause = PAUSE_SECONDS if is_written and self._uses else FIRST_PAUSE_SECONDS

    def _has_uses(self) -> bool:
        """Wait for uses. False, and the thread ends, if none came for a while, or the registry was closed."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._uses or self._closed, _IDLE_SECONDS)
            if self._uses and not self._closed:
                return True
            self._thread = None
            return False

    def _is_closed_within(self, seconds: float) -> bool:
        """Pause. True as soon as the registry is closed."""
        with self._ended:
            return self._ended.wait_for(lambda: self._closed, seconds)


def waiting_uses(installation: "Installation") -> WaitingUses:
    """The waiting uses of a registry, made for the first one."""
    with _making:
        if not isinstance(installation.waiting_uses, WaitingUses):
            installation.waiting_uses = WaitingUses(installation)
        return installation.waiting_uses


_making = threading.Lock()
_open: WeakSet[WaitingUses] = WeakSet()
"""The uses of all registries that are open in this process."""


def _batch_size() -> BatchSize:
    return BatchSize(_FIRST_BATCH, _LARGEST_BATCH, _BATCH_SECONDS)


def _close_all() -> None:
    """Write the waiting uses of every open registry, at the end of the process."""
    for waiting in list(_open):
        waiting.close()


def _leave_to_parent() -> None:
    for waiting in list(_open):
        waiting.leave_to_parent()
    _open.clear()


# decision 157: the process waits at most CLOSE_SECONDS for each registry, and a warning gives the number of lost uses.
atexit.register(_close_all)
os.register_at_fork(after_in_child=_leave_to_parent)
