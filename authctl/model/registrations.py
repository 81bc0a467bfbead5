"""The facts that are given to register a session."""

from typing import NamedTuple

from authctl import lifetimes
from authctl.model.sessions import Kind
from authctl.model.tokens import Tokens


class NewSession(NamedTuple):
    """A session to be registered; the store gives it its number."""

    id: str
    username: str
    profile: str
    created_at: int
    last_used_at: int
    deadlines: lifetimes.Deadlines
    application: str | None = None
    application_version: str | None = None
    platform: str | None = None
    device: str | None = None
    ip: str | None = None
    user_agent: str | None = None
    kind: str = Kind.APPLICATION
    signed_in_with: str | None = None
    referrer: str | None = None
    source: str | None = None
    source_id: str | None = None
    used_after_end_at: int | None = None
    fixed_expires_at: int | None = None
    tokens: str = Tokens.SINGLE
    sealed: bool = False
    bound_to: str | None = None
    access_expires_at: int | None = None
    ended_at: int | None = None
    ended_by: str | None = None
    secret_hash: bytes | None = None
    key_id: str | None = None
    has_conditions: bool = False
    wipe_on_revoke: bool = False
