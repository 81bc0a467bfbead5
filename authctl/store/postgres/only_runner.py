"""The lock of the one process of all hosts that does a long work: an advisory lock, on a connection of its own.

See docs/glossary.md#changeover.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from authctl.store.postgres.addresses import Address
from authctl.store.postgres.connection import connect, gate_key
from authctl.store.postgres.errors import translated_errors

# In a transaction that stays open: behind a pooler, a lock of a session would stay with the connection of the server. The server
# must notice a host that is gone by itself, since this transaction is not ended when it stands still.
_TAKE = (
    "BEGIN; SET LOCAL application_name = 'authctl changeover'; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL tcp_keepalives_idle = 30;"
    " SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3; SELECT pg_try_advisory_xact_lock({key})"
)
_SETTINGS = 6


@contextmanager
def only_runner(address: Address, registry_id: str) -> Iterator[bool]:
    """Hold the lock during the block; False if another process or thread holds it."""
    with translated_errors(str(address)):
        connection = connect(address)
    with closing(connection):
        with translated_errors(str(address)):
            cursor = connection.execute(_TAKE.format(key=gate_key(registry_id, "changeover")), prepare=False)
            for _ in range(_SETTINGS):
                cursor.nextset()
            holds = cursor.fetchone() == (True,)
        yield holds
