"""The explanation of a verdict: each check of a token or session, in the order of `verify`, with its result.

The rules are those of `checks.py`; here they are only called one by one. Nothing is written.

See docs/glossary.md#continuity-event, docs/glossary.md#hard-end and docs/glossary.md#verdict.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from authctl.errors import InvalidInput, TokenInvalid, TokenUnknown
from authctl.instants import NEVER, format_second
from authctl.model import Caller, EventFilter, Session
from authctl.registry.sessions import find
from authctl.registry.tokens import checks
from authctl.tokens import Claims, TokenKind, has_token_shape, kind_and_key, looks_like_token

if TYPE_CHECKING:
    from authctl.registry.installation import Installation
    from authctl.registry.tokens.reader import TokenReader
    from authctl.store.protocol import View

_REPLACING = ("registry.restore", "audit.accept", "clock.accept")
"""The events after which the registry no longer has all of its earlier data."""
_APPLYING = ("profile.apply", "profile.done")
_NOBODY = Caller()


class Result(StrEnum):
    """The result of a step."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Not known for that instant: the registry does not keep the facts that it depends on."""
    NOTED = "noted"
    """A fact that decides nothing."""


class Step(NamedTuple):
    """One step of an explanation."""

    step: str
    result: Result
    text: str
    at: int | None = None
    by: str | None = None
    note: str | None = None
    refusal: TokenInvalid | None = None


class Explanation(NamedTuple):
    """The verdict on a token, or on the session of an id, with its steps."""

    at: int
    session: Session | None
    """As it was at that instant; None where the token names none."""
    steps: tuple[Step, ...]

    @property
    def valid(self) -> bool | None:
        """Whether `verify` accepts it; None if that is unknown for an earlier instant."""
        results = {step.result for step in self.steps}
        if Result.FAILED in results:
            return False
        return None if Result.UNKNOWN in results else True

    @property
    def refusal(self) -> TokenInvalid | None:
        """The error that `verify` raises; None for a valid token, and if it is unknown."""
        return next((step.refusal for step in self.steps if step.refusal), None)


class _Past(NamedTuple):
    """The instant of the question, and the limits of the data that is kept about it."""

    at: int
    is_past: bool
    replaced_at: int | None
    """When the registry was restored, or a clock or audit log accepted, after that instant."""
    applied_at: int | None
    """When profiles were applied after that instant."""


def explain(
    installation: "Installation", reader: "TokenReader", target: str, caller: Caller, at: int | None
) -> Explanation:
    """Judge a token or id in one snapshot. Contract: `Tokens.explain`."""
    # decision 195: the checks of `verify` are called one by one, so that no rule is written twice
    installation.head.check()
    with installation.snapshot(with_waiting_uses=False) as (view, now):
        past = _past(view, now, at)
        if looks_like_token(target):
            return _explain_token(view, now, past, reader, target, caller)
        session = find(view, target, now)
        steps = (Step("token", Result.NOTED, "an id was given: only the session is judged"),)
        return _explain_session(view, past, session, None, caller, steps)


def _past(view: "View", now: int, at: int | None) -> _Past:
    if at is None:
        return _Past(now, is_past=False, replaced_at=None, applied_at=None)
    if at > now:
        raise InvalidInput(
            f"{format_second(at)} is in the future: later uses and ends of the session are not known yet"
        )
    return _Past(at, at < now, _latest(view, _REPLACING, at), _latest(view, _APPLYING, at))


def _latest(view: "View", actions: tuple[str, ...], after: int) -> int | None:
    """The instant of the newest of those events, if it came after that instant."""
    events = view.events(EventFilter(action=actions), 1)
    return events[0].at if events and events[0].at > after else None


def _explain_token(
    view: "View", now: int, past: _Past, reader: "TokenReader", token: str, caller: Caller
) -> Explanation:
    if not has_token_shape(token):
        text = "not spelled as a token of authctl: cut off, or changed"
        return Explanation(past.at, None, (Step("shape", Result.FAILED, text, refusal=TokenUnknown()),))
    kind, key_id = kind_and_key(token)
    shape = Step("shape", Result.PASSED, f"{_FORMS[kind]}, whole")
    try:
        claims = reader.claims(token)
    except TokenUnknown as refusal:
        return Explanation(past.at, None, (shape, _bad_key(reader, key_id, past, refusal)))
    key = Step("key", Result.PASSED, f"signed by key {claims.key_id}")
    row = view.by_number(claims.number, now)
    try:
        session = checks.session_of_token(row, claims)
    except TokenUnknown as refusal:
        return Explanation(past.at, None, (shape, key, _no_session(past, refusal, is_there=row is not None)))
    return _explain_session(view, past, session, claims, caller, (shape, key))


_FORMS = {
    TokenKind.ACCESS: "an access token",
    TokenKind.REFRESH: "a refresh token",
    TokenKind.SEALED: "a sealed access token",
}


def _bad_key(reader: "TokenReader", key_id: str, past: _Past, refusal: TokenInvalid) -> Step:
    ring = reader.mint().ring
    key = ring.find(key_id)
    if key is None:
        return Step("key", Result.FAILED, f"the key ring has no key {key_id}", refusal=refusal)
    # The key is there and verifies, so the signature itself is wrong: the token was changed.
    if ring.verifying(key_id):
        return Step("key", Result.FAILED, f"the signature is not that of key {key_id}", refusal=refusal)
    if key.retired_at is not None and past.at < key.retired_at:
        return Step("key", Result.UNKNOWN, f"key {key_id} was retired later: its secret is not kept", key.retired_at)
    return Step("key", Result.FAILED, f"key {key_id} is retired", key.retired_at, refusal=refusal)


def _no_session(past: _Past, refusal: TokenInvalid, *, is_there: bool) -> Step:
    text = (
        "the session of that number has other tokens"
        if is_there
        else "no session has that number: it was cleaned up, or a restore removed it"
    )
    if past.is_past:
        return Step("session", Result.UNKNOWN, f"{text}; an earlier one is not kept")
    return Step("session", Result.FAILED, text, refusal=refusal)


def _explain_session(
    view: "View", past: _Past, latest: Session, claims: Claims | None, caller: Caller, before: tuple[Step, ...]
) -> Explanation:
    session = latest.as_of(past.at) if past.is_past else latest
    presence = _presence(session, past)
    if presence.result is not Result.PASSED:
        return Explanation(past.at, session, (*before, presence))
    steps = (
        *before,
        presence,
        _revocation(session, latest, caller),
        _user(view, session, past),
        _hard_end(session, latest),
        *_deadlines(session),
        _continuity(session),
        *_access(session, claims, past),
        *_bearer(view, session, claims, caller, past),
        *_wipe(session, caller),
        *_deliveries(view, session, past),
    )
    return Explanation(past.at, session, steps)


def _presence(session: Session, past: _Past) -> Step:
    # A restore replaced the rows, and an accepted clock or log ended sessions: the earlier state is in none of them.
    if past.replaced_at is not None:
        text = "not kept: the registry was restored, or its clock or audit log accepted, later"
        return Step("session", Result.UNKNOWN, text, past.replaced_at)
    if past.at < session.created_at:
        refusal = TokenUnknown("the session was registered only later")
        return Step("session", Result.FAILED, "registered only later", session.created_at, refusal=refusal)
    return Step("session", Result.PASSED, f"{session.id}, registered", session.created_at)


def _judged(step: Step, check: Callable[[], None], text: str | None = None) -> Step:
    """A step that passes, or if the check refuses, failed with that text or else the one of the refusal."""
    try:
        check()
    except TokenInvalid as refusal:
        return step._replace(result=Result.FAILED, text=text or refusal.message, refusal=refusal)
    return step


def _revocation(session: Session, latest: Session, caller: Caller) -> Step:
    if session.revoked_at is None:
        later = "revoked only later" if latest.revoked_at is not None else "not revoked"
        return Step("revocation", Result.PASSED, later, latest.revoked_at, latest.revoked_by, latest.note)
    step = Step("revocation", Result.PASSED, "", session.revoked_at, session.revoked_by, session.note)
    return _judged(step, lambda: checks.check_not_revoked(session, caller), "revoked")


def _user(view: "View", session: Session, past: _Past) -> Step:
    """Whether the user is disabled. It decides nothing by itself: disabling ended the sessions."""
    user = view.user(session.username)
    user = user and user.as_of(past.at)
    if user is not None and user.disabled_at is not None:
        text = "disabled only later" if user.disabled_at > past.at else "disabled"
        if user.disabled_until is not None:
            text += f" until {format_second(user.disabled_until)}"
        return Step("user", Result.NOTED, text, user.disabled_at, user.disabled_by, user.note)
    text = "enabled now; earlier changes are in the audit log" if past.is_past else "enabled"
    return Step("user", Result.NOTED, text)


def _hard_end(session: Session, latest: Session) -> Step:
    reason = (latest.ended_by or "").replace("_", " ")
    if session.ended_at is None:
        text = "none" if latest.ended_at is None else f"ended only later: {reason}"
        return Step("hard end", Result.PASSED, text, latest.ended_at)
    step = Step("hard end", Result.PASSED, "", session.ended_at)
    return _judged(step, lambda: checks.check_not_ended(session), f"ended: {reason}")


def _deadlines(session: Session) -> Iterator[Step]:
    """Each deadline; of a session that expired by one, that one fails."""
    # All deadlines are shown, but only the one that ended the session fails.
    instants = {"absolute": session.absolute_expires_at, "idle": session.idle_expires_at}
    if session.fixed_expires_at is not None:
        instants["lifetime"] = session.fixed_expires_at
    for name, at in instants.items():
        step = _deadline(session, name, at)
        yield _judged(step, lambda: checks.check_deadlines(session), step.text) if _decides(session, name) else step


def _decides(session: Session, deadline: str) -> bool:
    return session.ended_at is None and session.last_deadline == deadline


def _deadline(session: Session, name: str, at: int) -> Step:
    label = "lifetime" if name == "lifetime" else f"{name} deadline"
    # Only the latest idle deadline is stored: the one before the later use was overwritten.
    if name == "idle" and session.read_at < session.slid_at:
        text = "not kept for that instant: the session was still active at a later use"
        return Step(label, Result.PASSED, text, session.slid_at)
    if at >= NEVER:
        return Step(label, Result.PASSED, "none")
    # A changeover to shorter timeouts ends a session at its own instant, after the new deadline.
    end = max(at, session.expires_at) if _decides(session, name) else at
    return Step(label, Result.PASSED, "passed" if session.read_at >= end else "due", end)


def _continuity(session: Session) -> Step:
    if session.ended_at is not None or session.ends_at <= session.expires_at or session.read_at < session.expires_at:
        return Step("continuity", Result.PASSED, "no event extends it at that instant")
    end = session.ends_at if session.ends_at < NEVER else None
    step = Step("continuity", Result.PASSED, "an event holds it beyond its deadline", end)
    return _judged(step, lambda: checks.check_deadlines(session), "the event that held it is over")


def _access(session: Session, claims: Claims | None, past: _Past) -> Iterator[Step]:
    """Whether a token is the present access token of its session, and not expired."""
    if claims is None:
        return
    end = session.token_ends_at
    present = "the present one of its session" if end >= NEVER else "the present one of its session; it ends"
    step = Step("access token", Result.PASSED, present, end)
    if claims.kind is TokenKind.REFRESH:
        text = "a refresh token, which only refresh accepts"
    elif claims.generation != session.generation:
        step, text = step._replace(at=session.refreshed_at), "replaced by a later one"
    else:
        text = "expired"
    judged = _judged(step, lambda: checks.check_access(session, claims), text)
    yield _as_kept(judged, session, claims, past)


def _as_kept(judged: Step, session: Session, claims: Claims, past: _Past) -> Step:
    """The step about an access token, unknown where an earlier instant had other facts than those that are kept."""
    if not past.is_past or claims.kind is TokenKind.REFRESH:
        return judged
    minted = session.token_issued_at
    # The row has the end of the present access token only; a refresh overwrote that of the earlier one.
    if claims.generation != session.generation and past.at < minted:
        text = "replaced only later; its own deadline is not kept"
        return Step(judged.step, Result.UNKNOWN, text, minted)
    if claims.generation == session.generation and past.at < minted:
        refusal = TokenUnknown("the token was issued only later")
        return Step(judged.step, Result.FAILED, "issued only later", minted, refusal=refusal)
    if judged.refusal and claims.generation == session.generation and past.applied_at is not None:
        return Step(judged.step, Result.UNKNOWN, "the lifetime of the earlier profile is not kept", past.applied_at)
    return judged


def _bearer(view: "View", session: Session, claims: Claims | None, caller: Caller, past: _Past) -> Iterator[Step]:
    """Whether it may be presented so: by that application, from there, and under the conditions of the profile."""
    # An id comes without a request: no fact is missing, so nothing is refused.
    if claims is None and caller == _NOBODY:
        if session.bound_to or session.has_conditions:
            text = "depends on the request: give --ip, --platform and so on"
            yield Step("conditions", Result.NOTED, text)
        return
    bound = f"bound to the {session.bound_to} of its sign-in" if session.bound_to else "not bound"
    yield _judged(Step("bearer", Result.PASSED, bound), lambda: checks.check_bearer(session, caller))
    if past.applied_at is not None:
        text = "the conditions of the earlier profile are not kept"
        yield Step("conditions", Result.UNKNOWN, text, past.applied_at)
    elif session.has_conditions:
        met = Step("conditions", Result.PASSED, "met")
        yield _judged(met, lambda: checks.check_conditions(view.profiles(), session, caller))
    else:
        yield Step("conditions", Result.PASSED, "none")


def _deliveries(view: "View", session: Session, past: _Past) -> Iterator[Step]:
    """How far the decisions about the session have come at each receiver."""
    for delivery in view.deliveries_of_session(session.number):
        if delivery.created_at <= past.at:
            settled = delivery.delivered_at
            state = delivery.state if settled is None or settled <= past.at else "pending"
            text = f"{delivery.event} to {delivery.receiver}: {state}"
            yield Step("delivery", Result.NOTED, text, settled if state == delivery.state else None)


def _wipe(session: Session, caller: Caller) -> Iterator[Step]:
    if session.wipe is not None:
        due = "; its application is told to remove its data" if checks.must_wipe(session, caller) else ""
        at = session.wipe_acknowledged_at or session.wipe_delivered_at
        yield Step("wipe", Result.NOTED, f"{session.wipe.value}{due}", at)
