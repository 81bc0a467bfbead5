"""The checks of a token: whose it is, whether its session is active, and where the request comes from.

See docs/glossary.md#bearer.
"""

from hmac import compare_digest
from typing import TYPE_CHECKING

from authctl import model, names
from authctl.errors import (
    ConditionNotMet,
    IntegrityFailure,
    InvalidInput,
    TokenEnded,
    TokenExpired,
    TokenMisused,
    TokenRevoked,
    TokenUnknown,
)
from authctl.model import Caller, Session, Wipe
from authctl.tokens import Claims, TokenKind

if TYPE_CHECKING:
    from authctl.model import Profile, ProfileSet


def session_of_token(row: tuple[Session, bytes | None] | None, claims: Claims) -> Session:
    """The session of the number in the claims, if secret, kind and key match its row. Raises TokenUnknown.

    The claims may be of an earlier generation.
    """
    if row is None:
        raise TokenUnknown
    session, secret_hash = row
    # An imported session has no secret. The time of a comparison must not tell how many bytes were right.
    if secret_hash is None or not compare_digest(secret_hash, claims.secret_hash()):
        raise TokenUnknown
    if claims.kind is TokenKind.REFRESH:
        has_kind = session.tokens == model.Tokens.PAIR
    else:
        has_kind = claims.kind is _access_kind(session)
    # A generation later than the present one was signed for a registry that continued after this backup was made.
    if not has_kind or claims.generation > session.generation:
        raise TokenUnknown
    # One generation is signed by one key: another key belongs to a history that a restore replaced.
    if claims.generation == session.generation and claims.key_id != session.key_id:
        raise TokenUnknown
    return session


def _access_kind(session: Session) -> TokenKind:
    return TokenKind.SEALED if session.sealed else TokenKind.ACCESS


def check_alive(session: Session, caller: Caller) -> None:
    """Raise TokenRevoked, TokenEnded or TokenExpired when a session is over.

    The application of a revoked session gets the order to remove its data, from any address, until it confirms.
    """
    # The revocation first: a session that is also expired must still give the order to remove data.
    check_not_revoked(session, caller)
    check_not_ended(session)
    check_deadlines(session)


def check_not_revoked(session: Session, caller: Caller) -> None:
    """Raise TokenRevoked for a revoked session, with the order to remove its data where that is due."""
    # decision 48: every refusal contains the order, whether it can be recorded or not
    if session.revoked_at is not None:
        if must_wipe(session, caller):
            raise TokenRevoked("the session was revoked, and the application must remove its data", action="wipe")
        raise TokenRevoked("the session was revoked")


def check_not_ended(session: Session) -> None:
    """Raise TokenEnded for a session with a hard end."""
    if session.ended_at is not None:
        raise TokenEnded(f"the session was ended: {(session.ended_by or '').replace('_', ' ')}")


def check_deadlines(session: Session) -> None:
    """Raise TokenExpired for a session whose deadline has passed, and which no continuity event holds."""
    # A deadline is the first instant at which the session is expired, so it is compared with >=.
    if session.read_at >= session.ends_at:
        raise TokenExpired("the session has expired")


def check_access(session: Session, claims: Claims) -> None:
    """Raise TokenUnknown, TokenEnded or TokenExpired for a token that is not the present access token of its session."""
    if claims.kind is TokenKind.REFRESH:
        raise TokenUnknown
    # session_of_token accepts earlier generations, because a spent token can still sign out (decision 33).
    if claims.generation != session.generation:
        raise TokenEnded("the access token was replaced when its session was refreshed")
    if session.read_at >= session.token_ends_at:
        raise TokenExpired("the access token has expired")


def must_wipe(session: Session, caller: Caller) -> bool:
    """Whether the refusal of a caller must contain the order to remove data: only for the application of the session."""
    # A caller that names another application gets no order: the data belongs to the application of the session.
    ordered = session.wipe in (Wipe.PENDING, Wipe.DELIVERED)
    return ordered and not (caller.application and _is_another(caller.application, session))


def check_bearer(session: Session, caller: Caller) -> None:
    """Raise TokenMisused when a token is presented by another application, or from elsewhere than it is bound to."""
    # decision 20: without this, one application could use the tokens of another one
    if _is_another(caller.application, session):
        raise TokenMisused(f"the token belongs to another application than {names.quoted(caller.application or '')}")
    if session.bound_to is None:
        return
    from authctl import token_binding

    fits = token_binding.same_address if session.bound_to == model.Binding.ADDRESS else token_binding.within_referrer
    registered = bound_value(session.bound_to, session.ip, session.referrer)
    presented = bound_value(session.bound_to, caller.ip, caller.referrer)
    holds = fits(registered or "", presented)
    if not holds:
        where = "which is not given" if presented is None else f"not to {names.quoted(presented)}"
        raise TokenMisused(f"the token is bound to the {session.bound_to} of its sign-in, {where}")


def _is_another(application: str | None, session: Session) -> bool:
    return application is not None and names.fold(application) != names.fold(session.application or "")


def check_conditions(profiles: "ProfileSet", session: Session, caller: Caller) -> None:
    """Raise ConditionNotMet when the profile's conditions refuse the caller, as one with the session's own application."""
    # decision 54: the request is judged as one of the session's own application, not of the name that it gives
    of_session = caller._replace(application=session.application)
    if refusal := unmet_condition(profile_of_session(profiles, session), of_session):
        raise ConditionNotMet(*refusal)


def unmet_condition(profile: "Profile", caller: Caller) -> tuple[str, str] | None:
    """The reason for which a profile's conditions refuse a caller, and the condition's name; None when they do not."""
    if profile.conditions is None:
        return None
    from authctl.conditions import unmet

    try:
        condition = unmet(profile.conditions, caller)
    except InvalidInput:
        # They were checked when the profile was applied: if they cannot be read now, the row was changed from outside.
        message = f"the registry is damaged: the conditions of profile {names.quoted(profile.name)} cannot be read"
        raise IntegrityFailure(message) from None
    if condition is None:
        return None
    reason = f"refused by {condition.rule}, a condition of profile {names.quoted(profile.name)}: {condition.why}"
    return reason, condition.rule


def profile_of_session(profiles: "ProfileSet", session: Session) -> "Profile":
    """The profile that rules a session. Raises IntegrityFailure where there is none."""
    profile = profiles.ruling(session.profile, session.number)
    if profile is None:
        raise IntegrityFailure(f"the registry is damaged: there is no profile {names.quoted(session.profile)}")
    return profile


def bound_value(bound_to: str | None, address: str | None, referrer: str | None) -> str | None:
    """Of an address and a referrer the one that tokens are bound to; None for tokens that are good from anywhere."""
    # decision 27: a session keeps the kind of tokens with which it was registered
    return (
        {model.Binding.ADDRESS: address, model.Binding.REFERRER: referrer}[model.Binding(bound_to)]
        if bound_to
        else None
    )
