"""Tokens that are issued or presented, one module an operation; here the operations that accept a token of any kind and age."""

from functools import cached_property
from typing import TYPE_CHECKING, Unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from authctl.model import Caller, Request, Session
    from authctl.registry.installation import Installation
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.tokens.explain import Explanation
    from authctl.registry.tokens.issue import Issued, Login
    from authctl.registry.tokens.reader import TokenReader

    Introspect = Callable[[Installation, TokenReader, str, Caller], Session]


class Tokens:
    """Tokens of any kind, spent or expired ones included."""

    def __init__(self, installation: "Installation", reader: "TokenReader") -> None:
        self._installation = installation
        self._reader = reader

    def login(self, *, password: str, actor: str | None = None, **sign_in: "Unpack[Login]") -> "Issued":
        """Issue for the user of a password, which the authentication cache or else the profile's authenticator checks.

        A success is remembered for as long as the `cache` of the profile allows. Raises as `Registry.issue`; LoginRefused for a wrong password;
        AuthenticatorUnavailable where it could not be checked; Refused where the profile has no authenticator; NotFound, InvalidFile or
        RegistryUnavailable where `authenticators.yaml` does not define it.
        """
        from authctl.registry.tokens.login import login

        return login(self._installation, self._reader, sign_in, password, actor)

    def revoke(self, token: str, *, note: str | None, actor: str | None = None) -> "RevokeOutcome":
        """Revoke the session of a token, with a note.

        An unknown token selects nothing, and is no error (RFC 7009, section 2.2). Raises Refused without a note.
        """
        from authctl.registry.revocations import revoke_owner

        return revoke_owner(self._installation, self._reader.owner, token, note, actor)

    def wipe_done(self, token: str, *, actor: str | None = None) -> "Session":
        """Record that the application of a token has removed its data, as it was ordered when its session was revoked.

        The first acknowledgement counts. Raises TokenInvalid where nothing was ordered.
        """
        from authctl.registry.tokens.wipe import acknowledge

        return acknowledge(self._installation, self._reader, token, actor)

    def session(self, token: str) -> "Session | None":
        """The session that a token of any kind and generation was issued to; None for any other text. It counts as no use."""
        return self._reader.owner_now(token)

    def together(self) -> "AbstractContextManager[None]":
        """A block for tokens that were presented before it began: they are judged faster together. Contract: `Store.look_ups`."""
        return self._installation.store.look_ups()

    def introspect(self, token: str, **request: "Unpack[Request]") -> "Session":
        """As `Registry.verify`, for a resource server: an order to wipe is not passed on by it, and so not recorded as delivered."""
        introspect, caller, no_facts = self._introspecting
        # Most requests give no facts: one empty value serves them all, and saves the making of one for each request.
        return introspect(self._installation, self._reader, token, caller(**request) if request else no_facts)

    @cached_property
    def _introspecting(self) -> "tuple[Introspect, type[Caller], Caller]":
        """The function, the value and the empty value for `introspect`, looked up once, as for `Registry.verify`."""
        from authctl.model import Caller
        from authctl.registry.tokens.verify import introspect

        return introspect, Caller, Caller()

    def wipe_order(self, token: str) -> "Session | None":
        """The session whose data the application of a token is ordered to remove, recorded as delivered; None without an order.

        Raises TokenInvalid for a token of no session.
        """
        from authctl.registry.tokens.wipe import order

        return order(self._installation, self._reader, token)

    def explain(
        self, target: str, *, at: "int | datetime | None" = None, **request: "Unpack[Request]"
    ) -> "Explanation":
        """Why `verify` accepts a token or not, step by step; or why the session of an id is active or not.

        Changes nothing, and counts as no use. With `at`, at an earlier instant, as far as the registry keeps its data. Raises
        InvalidInput for a later one; NotFound for an id that no session has; RegistryUnavailable or IntegrityFailure when it could not be judged.
        """
        from authctl.instants import given_instant
        from authctl.model import Caller
        from authctl.registry.tokens.explain import explain

        return explain(self._installation, self._reader, target, Caller(**request), given_instant(at, "at"))
