"""Uses of sessions: the facts that decide the deadlines after one."""

from typing import NamedTuple


class ActiveSession(NamedTuple):
    """The facts of an active session that decide the deadlines after a use."""

    number: int
    id: str
    generation: int
    profile: str
    tokens: str
    created_at: int
    last_used_at: int
    slid_at: int
    fixed_expires_at: int | None
    expires_at: int
