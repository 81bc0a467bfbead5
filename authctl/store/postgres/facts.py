"""The facts that a change reads first, in the message that takes the gate; and the clock of the server.

Behind the gate, nobody changes users, profiles or the registry itself beside a shared change. So the facts that it read first are the
facts that it would read later, and a sign-in needs no message to the server for each of these (decision 317).
"""

from typing import Any, NamedTuple

from authctl.store.sql import rows

SERVER_CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""The clock of the server, in microseconds since 1970: one clock for all hosts."""

READ_CLOCK = f"SELECT {SERVER_CLOCK}, (SELECT max(seen_at) FROM clock)"
"""The clock of the server, and the recorded time."""

READ_FACTS = (
    f"SELECT g.id, (SELECT version FROM schema_version), g.moved_to, g.moving_to, g.arriving_from, {SERVER_CLOCK}, (SELECT max(seen_at) FROM clock),"
    " (SELECT min(disabled_until) FROM users WHERE disabled_until IS NOT NULL AND enabled_at IS NULL),"
    " (SELECT coalesce(max(seq), 0) FROM audit_events),"
    f" g.profiles, {rows.CHANGEOVER} FROM registry AS g LEFT JOIN changeover AS c ON c.only = g.only"
)

FIND_EVENT = "SELECT seq FROM audit_events WHERE seq = $1 AND hash = $2"
"""Finds an audit event by its number and hash."""


class Facts(NamedTuple):
    """The row of `READ_FACTS`, and columns of profiles after it."""

    registry_id: str
    schema_version: int
    clock: int
    recorded_time: int | None
    end_of_disabling: int | None
    """The earliest instant at which a disabling ends by itself; None without one."""
    last_event: int
    """The number of the newest audit event; others append events meanwhile."""
    profiles: tuple[Any, ...]
    """The columns that `rows.profiles` reads."""


def facts(row: tuple[Any, ...]) -> Facts:
    """The facts of a row."""
    (
        registry_id,
        version,
        _moved_to,
        _moving_to,
        _from,
        clock,
        recorded_time,
        end_of_disabling,
        last_event,
        *profiles,
    ) = row
    return Facts(registry_id, version, clock, recorded_time, end_of_disabling, last_event, tuple(profiles))
