"""The beginning of changes that read before their turn, so that they hold the gate for no turn of their client (decisions 342, 373 and 374).

One message reads. The other one has all from BEGIN to the flush; behind the gate it asks whether another change came between.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from authctl.errors import AuthctlError, Overtaken
from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import Connection
from authctl.store.postgres.exchange import Row, Statement
from authctl.store.postgres.facts import (
    CHECK_TURN,
    READ_REVOCATION,
    READ_SIGN_IN,
    Revocation,
    SignIn,
    facts,
    revocation,
    sign_in,
)
from authctl.store.postgres.gate import Entrance
from authctl.store.postgres.kept_facts import LONGEST, present
from authctl.store.postgres.shared_connection import check_in_force
from authctl.store.postgres.upgrades import check_open_version


class Writer(Protocol):
    """The shared connection that writes."""

    address: Address
    registry_id: str
    lane: int
    """The key of the lock that its sign-ins take before the gate."""
    sign_in: SignIn | None
    """The facts of the sign-in that is under way."""
    revocation: Revocation | None
    """Those of the revocation of everything that is under way; None if it has its turn already."""


def enter_to_sign_in(writer: Writer, connection: Connection, entrance: Entrance, user_key: str) -> bool:
    """Read for a sign-in before its turn, which comes with the first statement that it sends. False if the registry there is another one."""
    # decision 342: so the gate is held for no turn of the client
    began, kept = present(), connection.kept
    is_frequent, connection.signed_in_at = began - connection.signed_in_at < LONGEST, began
    # the number is one session's; and a sign-in that fails is repeated with facts that are read
    connection.kept = None
    if kept is not None and (reckoned := kept.again(began, connection.clock, user_key)) is not None:
        _await_turn(writer, connection, entrance, reckoned)
        return True
    read_first = Statement(READ_SIGN_IN, (user_key, entrance.key))
    (read,) = connection.exchange(read_first)
    if read and read[0][0] is None:  # behind whoever is alone, and waits for that
        *_, read, _ = connection.exchange(
            *entrance._replace(lane=writer.lane).statements(read_first), Statement("COMMIT")
        )
    if not read:
        return False
    found = sign_in(read[0])._replace(is_frequent=is_frequent, read_at=began, user_key=user_key)
    if not accept(writer, connection, found.facts):
        return False
    if is_frequent:
        connection.clock.note(facts(found.facts).clock, began, present())
    _await_turn(writer, connection, entrance, found)
    return True


def enter_in_turn(writer: Writer, connection: Connection, entrance: Entrance, user_key: str) -> bool:
    """Take the turn of a sign-in, and read for it there; it is held for one turn of the client. False as `enter_to_sign_in`."""
    # decision 382: so nothing comes between, and the session need neither be read back nor be numbered by a message of its own
    connection.kept = None
    *_, read = connection.exchange(*entrance.statements(Statement(READ_SIGN_IN, (user_key, entrance.key))))
    if not read:
        return False
    writer.sign_in = sign_in(read[0])._replace(user_key=user_key)
    return accept(writer, connection, writer.sign_in.facts)


def _await_turn(writer: Writer, connection: Connection, entrance: Entrance, read: SignIn) -> None:
    """Let a sign-in take its turn with the first statement that it sends, and ask there if what it knows still holds."""
    writer.sign_in, connection.facts = read, read.facts
    connection.deferred = (*entrance._replace(lane=writer.lane, instant=read.reckoned).beginning, read.check)
    connection.asks_turn = True


def enter_to_revoke(writer: Writer, connection: Connection, entrance: Entrance) -> bool | None:
    """Read for a revocation of everything before its turn, as `enter_to_sign_in`; None if somebody is alone, or waits for that."""
    (read,) = connection.exchange(Statement(READ_REVOCATION, (entrance.key,)))
    found = revocation(read[0]) if read else None
    if found is None:
        return None
    if not accept(writer, connection, found.facts):
        return False
    writer.revocation = found
    connection.deferred = (*entrance.beginning, Statement(CHECK_TURN, (found.turn,)), *entrance.alone)
    connection.asks_turn = True
    return True


def accept(writer: Writer, connection: Connection, read: Row) -> bool:
    """Keep the facts that a change read first; False if they are those of another registry than before."""
    if read[0] != writer.registry_id:
        return False
    check_open_version(read[1], writer.address)
    check_in_force(writer.address, read[2:5])
    connection.facts = read
    return True


@contextmanager
def judged_again(connection: Connection, read: SignIn | None) -> Iterator[None]:
    """Raise Overtaken for an error of a sign-in that was judged by the facts of the one before, and asked nobody whether they still hold."""
    try:
        yield
    except AuthctlError as error:
        if read is not None and read.reckoned is not None and connection.deferred:
            raise Overtaken from error
        raise
