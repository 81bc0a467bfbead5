"""The gate, which is the lock of all changes, and the message to the server that begins a change.

The gate is an advisory lock of the transaction. A change of one session takes it shared, every other change alone. It is taken
by a statement that reads nothing: the snapshot of a statement that takes it is older than the lock (decision 297).
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from authctl.store.move_marks import COLUMNS as MARKS
from authctl.store.postgres.connection import BEGIN
from authctl.store.postgres.exchange import Statement
from authctl.store.postgres.facts import SERVER_CLOCK
from authctl.store.postgres.kept_facts import LONGEST
from authctl.store.postgres.upgrades import TAKE_TURN

READ_ID = f"SELECT id, (SELECT version FROM schema_version), {MARKS} FROM registry"
"""The least that is read behind the gate: the id of the registry, the version of the schema, and the marks of a move. All reading begins so."""

_BEGIN = Statement(BEGIN)
_SET = (
    "set_config('lock_timeout', $1, true), set_config('synchronous_commit', 'off', true),"
    " set_config('idle_in_transaction_session_timeout', $2, true)"
)
_COUNT_TURN = Statement(TAKE_TURN)
USUAL_PLANS = Statement("SET LOCAL enable_seqscan TO DEFAULT")
"""A change that is alone may read whole tables; the statements of every sign-in never do (see `_Writer`)."""
PLANS_OF_SIGN_INS = Statement("SET LOCAL enable_seqscan = off")
_FUNCTIONS = {
    (True, True): "pg_try_advisory_xact_lock_shared",
    (True, False): "pg_try_advisory_xact_lock",
    (False, True): "pg_advisory_xact_lock_shared",
    (False, False): "pg_advisory_xact_lock",
}
"""The functions that take the gate: by whether they only try, and whether shared."""

# decision 358: a revocation waits for the commits of so many sign-ins, and of no more
LANES = 8
"""How many sign-ins are behind the gate at once; the others wait before it, where they keep no change of an administrator waiting."""


_CHECK_CLOCK = f"1 / (abs({SERVER_CLOCK} - $5::bigint) < {LONGEST})::integer, "
"""An error if an instant that was reckoned is far from the clock of the server (decision 374)."""


@cache
def _taking(function: str, *, has_lane: bool, has_instant: bool) -> str:
    """The statement that limits the waits of a transaction, and then takes the gate; its last column says whether it did.

    An instant is asked for first, so that no wait comes before.
    """
    lane = "pg_advisory_xact_lock($4), " if has_lane else ""
    return f"SELECT {_CHECK_CLOCK if has_instant else ''}{_SET}, {lane}{function}($3)"


class Entrance(NamedTuple):
    """How a change begins."""

    key: int
    """The key of the gate."""
    wait: int
    """How long it waits for a lock, in milliseconds."""
    stall: int
    """How long it may stand still before the server ends it, in milliseconds."""
    shared: bool
    tries: bool
    """Whether the gate is only tried."""
    lane: int | None = None
    """The key of the lock that is taken first, which few sign-ins share; None without one."""
    instant: int | None = None
    """The clock of the server as a sign-in has reckoned it; None where it was read. Only with a lane."""

    @property
    def function(self) -> str:
        """The function that takes the gate."""
        return _FUNCTIONS[self.tries, self.shared]

    @property
    def beginning(self) -> Sequence[Statement]:
        """The statements that begin the transaction, and take the gate."""
        sql = _taking(self.function, has_lane=self.lane is not None, has_instant=self.instant is not None)
        more = () if self.lane is None else (self.lane,) if self.instant is None else (self.lane, self.instant)
        return (_BEGIN, Statement(sql, (str(self.wait), str(self.stall), self.key, *more)))

    def statements(self, read: Statement) -> Sequence[Statement]:
        """The same, and one that reads something behind the gate."""
        return (*self.beginning, read)

    @property
    def alone(self) -> Sequence[Statement]:
        """The statements of a change that is alone, once it has the gate: others see by them that it was there (decision 342)."""
        return () if self.shared else (_COUNT_TURN, USUAL_PLANS)

    @property
    def lock(self) -> Statement:
        """The statement that takes the gate once more. Its only row says whether it did, where it only tries."""
        return Statement(f"SELECT {self.function}($1)", (self.key,))
