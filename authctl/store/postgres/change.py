"""The change of the store in PostgreSQL: one small class a noun, as the protocol has them."""

from functools import cache
from typing import TYPE_CHECKING

from authctl.instants import CLOCK_JUMP
from authctl.names import fold
from authctl.store.nouns.audit import AuditWriter
from authctl.store.nouns.clients import ClientsWriter
from authctl.store.nouns.continuity import ContinuityWriter
from authctl.store.nouns.facts import FactsWriter
from authctl.store.nouns.import_undo import ImportUndoWriter
from authctl.store.nouns.imports import ImportsWriter
from authctl.store.nouns.keys import KeysWriter
from authctl.store.nouns.logins import LoginsWriter
from authctl.store.nouns.outbox import OutboxWriter
from authctl.store.nouns.profiles import ProfilesWriter
from authctl.store.nouns.revocations import OPEN_NEXT, RevocationsWriter, closing
from authctl.store.nouns.sessions import SessionsWriter
from authctl.store.nouns.users import UsersWriter
from authctl.store.nouns.wipes import WipesWriter
from authctl.store.postgres.cleanup import CleanupWriter
from authctl.store.postgres.connection import gate_key, let_take_time
from authctl.store.postgres.dialect import POSTGRES
from authctl.store.postgres.exchange import AtCommit, Row, Statement
from authctl.store.postgres.facts import READ_CLOCK, SERVER_CLOCK, at_turn
from authctl.store.postgres.gate import PLANS_OF_SIGN_INS
from authctl.store.postgres.kept_facts import KeptFacts
from authctl.store.postgres.view import PostgresView
from authctl.store.sql import rows
from authctl.store.sql.tables import tables

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from authctl.model import AuditEvent, CachedLogin, Changeover, NewSession, ProfileSet, Session, SessionFilter, User
    from authctl.model.audit import NewEvent, Place
    from authctl.store.postgres.connection import Connection
    from authctl.store.postgres.facts import Facts, Revocation, SignIn
    from authctl.store.protocol.backups import Carried
    from authctl.store.protocol.outbox import ReadSubscriptions
    from authctl.store.protocol.profiles import DeadlineChanges

_SLOTS = 64
"""How many rows the recorded time has: changes that are under way at once seldom wait for each other to write it."""

_RECORD_TIME = f"""
    INSERT INTO clock (slot, seen_at, leapt_at) VALUES (pg_backend_pid() % {_SLOTS}, $1, $2)
    ON CONFLICT (slot) DO UPDATE SET seen_at = greatest(clock.seen_at, excluded.seen_at),
        leapt_at = coalesce(excluded.leapt_at, clock.leapt_at)
"""


def text_of_event(note: str | None, subject: str | None, actor: str, action: str, detail: str) -> str:
    """The folded text of an audit event, in which events are searched."""
    return fold(f"{note or ''} {subject or ''} {actor} {action} {detail}")


_APPEND = f"""
    INSERT INTO audit_events ({rows.EVENT}, text_key)
    SELECT next.seq, $1::bigint, $2, $3, $4, $5, $6, next.prev_hash,
        encode(sha256(convert_to('[' || next.seq || $7 || next.prev_hash || '"]', 'UTF8')), 'hex'), $8
    FROM (
        SELECT coalesce(last.seq, 0) + 1 AS seq, coalesce(last.hash, repeat('0', 64)) AS prev_hash
        FROM (SELECT 1) AS always LEFT JOIN (SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1) AS last ON TRUE
    ) AS next
    RETURNING seq, prev_hash, hash
"""
"""Appends an event behind the lock of the chain; the hash is that of `audit_chain.digest`.

The newest event is the first one of its index. A join by its number was planned as a walk through the whole index, while that was small.
"""
_APPEND_AND_RECORD_TIME = f"WITH recorded AS ({_RECORD_TIME.replace('$1, $2', '$9, $10')}) {_APPEND}"
"""The same, and `_RECORD_TIME`: two changes that share a slot must take both behind the lock of the chain, in one order."""

_APPEND_AND_TAKE_NUMBER = f"{_APPEND_AND_RECORD_TIME}, nextval('sessions_number_seq'), {SERVER_CLOCK}"
"""The same, with the number of the next session, and the clock (decision 374).

The number is taken behind the gate: an import, which is alone, takes a range of numbers (decision 307).
"""

_parts = closing(POSTGRES).split("?")
_CLOSE = "".join(f"{part}${place}" for place, part in enumerate(_parts[:-1], 1)) + _parts[-1]
"""Closes the open revocation, as a statement of an exchange."""

_FIND = (
    "SELECT seq, prev_hash, hash FROM audit_events"
    " WHERE seq > $1 AND subject = $2 AND at = $3 AND actor = $4 AND action = $5 AND detail = $6 AND note IS NOT DISTINCT FROM $7"
)


@cache
def _insertion(columns: tuple[str, ...]) -> str:
    """The statement that registers a session of the open revocation, and gives it as a look-up would read it."""
    now = f"greatest(${len(columns) + 1}::bigint, (SELECT max(seen_at) FROM clock))"
    read = rows.unrevoked_columns(now)
    given = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    is_open = tables(POSTGRES).open_revocation
    return (
        f"INSERT INTO sessions AS s ({', '.join(columns)}, revocation_id) VALUES ({given}, {is_open}) RETURNING {read}"
    )


@cache
def _later_insertion(columns: tuple[str, ...], *, is_last: bool, asks_user: bool = False) -> str:
    """The statement that registers a session with its number and its revocation.

    The last one before the commit has two or three parameters more. It asks if the turn is still the one of the first, and the user of
    the third is not disabled. Then it takes the lock of the chain, whose key is the second.
    """
    *given, open_id, turn, chain, user_key = (f"${place}" for place in range(1, len(columns) + 6))
    revocation = at_turn(f"{open_id}::bigint", turn, user_key if asks_user else None) if is_last else open_id
    locking = f" RETURNING pg_advisory_xact_lock({chain})" if is_last else ""
    return f"INSERT INTO sessions ({', '.join(columns)}, number, revocation_id) VALUES ({', '.join(given)}, {revocation}){locking}"


class PostgresChange(
    PostgresView,
    CleanupWriter,
    FactsWriter,
    SessionsWriter,
    UsersWriter,
    RevocationsWriter,
    ContinuityWriter,
    ProfilesWriter,
    KeysWriter,
    AuditWriter,
    LoginsWriter,
    WipesWriter,
    ImportsWriter,
    ImportUndoWriter,
    ClientsWriter,
    OutboxWriter,
):
    """`Change` over PostgreSQL: a transaction that holds the gate."""

    def __init__(
        self,
        connection: "Connection",
        facts: "Facts",
        *,
        shared: bool,
        user_key: str | None = None,
        sign_in: "SignIn | None" = None,
        revocation: "Revocation | None" = None,
    ) -> None:
        super().__init__(connection)
        self._user_key = user_key
        self._sign_in = sign_in
        self._revocation = revocation
        self._is_numbered = sign_in is not None and sign_in.number is not None
        """Whether the number of the session is read already."""
        self._registration: Statement | None = None
        """The statement of the session that is sent with the next one, and the columns that it sets."""
        self._registered: tuple[str, ...] = ()
        self.locks_rows = shared
        self._facts = facts
        self._clock: int | None = facts.clock
        """The clock of the server when this change had its turn."""
        self._recorded_time = facts.recorded_time
        self._has_chain = False
        # decision 359: what a change that is alone has read and not changed yet is as it was read
        self._knows_users = shared or facts.is_alone
        self._knows_continuity = self._knows_changeover = self._knows_subscriptions = facts.is_alone

    def clock(self) -> int | None:
        return self._clock if self._clock is not None else super().clock()

    def keep_session(self, number: int) -> None:
        # The instant of a change comes after its turn at the session (decision 310): both are read again, in one message.
        keep = Statement("SELECT 1 FROM sessions WHERE number = $1 FOR NO KEY UPDATE", (number,))
        if self.locks_rows:
            _, ((self._clock, self._recorded_time),) = self.connection.connection.exchange(keep, Statement(READ_CLOCK))

    def profiles(self) -> "ProfileSet":
        # only a change that is alone changes profiles
        return rows.profiles(*self._facts.profiles) if self.locks_rows else super().profiles()

    def end_disablings(self, now: int, limit: int) -> "list[User]":
        # and users
        end = self._facts.end_of_disabling
        is_known, self._knows_users = self._knows_users, False
        return [] if is_known and (end is None or end > now) else super().end_disablings(now, limit)

    def save_user(self, user: "User") -> None:
        self._knows_users = False
        super().save_user(user)

    def _is_known_without_events(self) -> bool:
        return self._knows_continuity and not self._facts.has_continuity

    def start_continuity(self, profile: str, at: int, ends_at: int, actor: str, note: str) -> None:
        self._knows_continuity = False
        super().start_continuity(profile, at, ends_at, actor, note)

    def has_changeover(self) -> bool:
        return self._facts.has_changeover if self._knows_changeover else super().has_changeover()

    def save_changeover(self, changeover: "Changeover", counts: "DeadlineChanges") -> None:
        self._knows_changeover = False
        super().save_changeover(changeover, counts)

    def end_changeover(self) -> None:
        self._knows_changeover = False
        super().end_changeover()

    def read_subscriptions(self) -> "tuple[Any, ...] | None":
        if not self._knows_subscriptions:
            return super().read_subscriptions()
        return None if self._facts.subscriptions[0] is None else self._facts.subscriptions

    def save_subscriptions(self, read: "ReadSubscriptions") -> None:
        self._knows_subscriptions = False
        super().save_subscriptions(read)

    def write_later(self, sql: str) -> None:
        self._defer(Statement(sql))

    def _defer(self, statement: Statement) -> None:
        """Send a statement with the next one, before it."""
        connection = self.connection.connection
        connection.deferred = (*connection.deferred, statement)

    def count(self, selection: "SessionFilter", now: int, at_most: int | None = None) -> int:
        read = self._revocation
        # decision 373: shared changes remove no session, so that there is one at the turn, too
        if read is not None and read.has_sessions and at_most == 1 and not selection.criteria():
            return 1
        return super().count(selection, now, at_most)

    def close_open_revocation(self, at: int, actor: str, note: str, selector: str) -> int:
        read = self._revocation
        if read is None or read.open_revocation is None:
            return super().close_open_revocation(at, actor, note, selector)
        self._revocation = None  # it is closed once
        # The turn is asked for before: the revocation that was read is still the open one.
        self._defer(Statement(_CLOSE, (at, actor, note, fold(note), selector)))
        self.write_later(OPEN_NEXT)
        return read.open_revocation

    def set_recorded_time(self, at: int) -> None:
        self._recorded_time = None
        super().set_recorded_time(at)

    def record_time(self, at: int) -> None:
        # decision 88: a leap from the first instant on is remembered, since 0 is that of an empty registry
        recorded = self.recorded_time()
        leaps = 1 <= recorded <= at - CLOCK_JUMP
        self._recorded_time = None
        connection = self.connection.connection
        later = Statement(_RECORD_TIME, (at, at if leaps else None))
        if connection.at_commit is None:
            connection.exchange(later)
            return
        given = (*connection.at_commit.append.parameters, *later.parameters)
        append = Statement(_APPEND_AND_RECORD_TIME, given)
        if connection.keeping is not None:
            append = Statement(_APPEND_AND_TAKE_NUMBER, given)
            connection.keeping = KeptFacts(connection.keeping.read, max(at, recorded))
        connection.at_commit = connection.at_commit._replace(append=append)

    def add_session(self, session: "NewSession", revocation_id: int | None = None) -> "Session":
        if revocation_id is not None:
            return super().add_session(session, revocation_id)
        values = rows.columns(session)
        if self._sign_in is not None and self._is_numbered:
            return self._add_later(values, self._sign_in)
        statement = Statement(_insertion(tuple(values)), (*values.values(), session.last_used_at))
        ((row,),) = self.connection.connection.exchange(statement)
        return rows.session(row)

    def _add_later(self, values: "dict[str, Any]", read: "SignIn") -> "Session":
        """Add the session by the next message, which is the one with the commit in a sign-in."""
        assert read.number is not None
        self._is_numbered = False  # a number is one session's
        # The turn is asked for before: the revocation that was read is still the open one.
        given = (*values.values(), read.number, read.open_revocation)
        self._registered = tuple(values)
        self._registration = Statement(_later_insertion(self._registered, is_last=False), given)
        connection = self.connection.connection
        connection.deferred = (*connection.deferred, self._registration)
        read_at = max(values["last_used_at"], self.recorded_time())
        return rows.registered(values, read.number, read.open_revocation, read_at)

    def user(self, username: str) -> "User | None":
        if self._sign_in is None or fold(username) != self._user_key:
            return super().user(username)
        # where it is not read, the message asks whether that user is disabled: nothing else of it matters to a sign-in
        is_known = self._sign_in.reckoned is None and self._sign_in.user[0] is not None
        return rows.user(self._sign_in.user) if is_known else None

    def take_time(self) -> None:
        let_take_time(self.connection.connection)

    def last_event(self) -> "AuditEvent | None":
        """The newest event, which the next one follows. From now on until the commit nobody else appends one.

        The chain is the last lock of a change (decision 297): it is held for a commit alone.
        """
        if not self._has_chain:
            # By a statement of its own: the snapshot of a statement that takes a lock is older than the lock.
            self.connection.connection.exchange(self._chain)
            self._has_chain = True
        return super().last_event()

    def take_turn(self) -> None:
        # decision 321: after the gate and before everything else, by a statement of its own
        self.connection.connection.exchange(self._lock("deliveries"))

    def save_login(self, login: "CachedLogin", capacity: int) -> None:
        # Each of two logins beyond the capacity would remove what the other one has written, and wait for it (decision 332).
        if self.locks_rows:
            self.connection.connection.exchange(self._lock("logins"))
        super().save_login(login, capacity)

    def _lock(self, name: str) -> Statement:
        """The statement that takes a lock of the registry until the commit."""
        return Statement("SELECT pg_advisory_xact_lock($1)", (gate_key(self._facts.registry_id, name),))

    @property
    def _chain(self) -> Statement:
        """The statement that locks the chain."""
        return self._lock("chain")

    def append_at_commit(self, event: "NewEvent") -> "Callable[[], Place] | None":
        # Without a subject it could not be told from another one, if the answer to the commit is lost.
        if self._has_chain or event.subject is None:
            return None
        connection = self.connection.connection
        append = Statement(
            _APPEND, (*event, text_of_event(event.note, event.subject, event.actor, event.action, event.detail))
        )
        sought = (self._facts.last_event, event.subject, event.at, event.actor, event.action, event.detail, event.note)
        lock = () if self._lock_chain_with_session() else (self._chain,)
        if not self.locks_rows:
            lock = (PLANS_OF_SIGN_INS, *lock)  # the plan of `_APPEND` is kept, and is that of sign-ins, too
        appended: list[Row] = []
        connection.at_commit = AtCommit(lock, append, Statement(_FIND, sought), appended)

        def place() -> "Place":
            from authctl.model.audit import Place

            (row,) = appended
            return Place(*row)

        return place

    def _lock_chain_with_session(self) -> bool:
        """Let the session of a sign-in be registered, its turn be asked for and the chain be locked by one statement, the last one.

        False if they are apart, since something else is sent with them.
        """
        # decision 357: a statement less is some 15 µs of the client and as many of the server
        connection, read = self.connection.connection, self._sign_in
        if read is None or self._registration is None or not connection.asks_turn:
            return False
        *beginning, check, last = connection.deferred
        if last is not self._registration or check != read.check:
            return False
        turn, *user = check.parameters
        sql = _later_insertion(self._registered, is_last=True, asks_user=bool(user))
        given = (*last.parameters, turn, self._chain.parameters[0], *user)
        connection.deferred = (*beginning, Statement(sql, given))
        # a pooler may go on with another server (see `look_up`)
        if (read.is_frequent or read.reckoned is not None) and connection.prepare_threshold is not None:
            connection.keeping = KeptFacts(read, self.recorded_time())
        return True

    def add_event(self, event: "AuditEvent") -> None:
        text = text_of_event(event.note, event.subject, event.actor, event.action, event.detail)
        sql = f"INSERT INTO audit_events ({rows.EVENT}, text_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.write(sql, (*event, text))
        # By it, the outcome of a commit whose answer was lost is found out.
        self.connection.connection.last_event = (event.seq, event.hash)

    def carry_over(self, at: int, ended_at: int | None = None) -> "Carried":  # noqa: ARG002  # see below
        raise RuntimeError("a restore carries over into a draft, which is a file")
