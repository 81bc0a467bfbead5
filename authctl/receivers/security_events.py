"""Security Event Tokens (RFC 8417): the claims of the CAEP 1.0 event for a message. Pure; signing is `push`.

Source: the final specifications of the OpenID Shared Signals Framework 1.0 and CAEP 1.0.
"""

from typing import Any

from authctl.instants import SECOND
from authctl.model.told_events import Event
from authctl.receivers.messages import Message

_CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
TOLD_BY_PUSH = (Event.SESSION_REVOKED, Event.SESSION_ENDED, Event.PASSWORD_CHANGED)
_TYPES = {
    Event.SESSION_REVOKED: "session-revoked",
    Event.SESSION_ENDED: "session-revoked",
    Event.PASSWORD_CHANGED: "credential-change",
}
_REASONS = {
    Event.SESSION_REVOKED: "The session was revoked by an administrator.",
    Event.SESSION_ENDED: "The session was ended by an administrator.",
    Event.PASSWORD_CHANGED: "The password was changed or reset.",
}
"""The reasons for messages without a note: the CAEP interoperability profile requires a reason that is not empty."""

AUTHCTL = "authctl"
"""The actor of operations of authctl itself."""


def claims(message: Message, issuer: str, audience: list[str], now: int) -> dict[str, Any]:
    """The claims of a message's token, issued at `now`; no `sub` and no `exp`, which RFC 8417 and SSF forbid."""
    fields = message.fields
    event = Event(fields["event"])
    return {
        "iss": issuer,
        "aud": audience,
        "iat": now // SECOND,
        "jti": message.jti,
        "txn": str(message.txn),
        "sub_id": _subject(fields, issuer),
        "events": {_CAEP + _TYPES[event]: _payload(fields, event, message.at)},
    }


def verification(jti: str, issuer: str, audience: list[str], now: int) -> dict[str, Any]:
    """The claims of a verification event, whose subject is the stream itself."""
    return {
        "iss": issuer,
        "aud": audience,
        "iat": now // SECOND,
        "jti": jti,
        "sub_id": {"format": "opaque", "id": "authctl"},
        "events": {VERIFICATION: {"state": jti}},
    }


def _subject(fields: dict[str, Any], issuer: str) -> dict[str, Any]:
    # The user alone would mean all sessions of the user; the session alone is no subject format of the profile.
    subject: dict[str, Any] = {
        "format": "complex",
        "user": {"format": "iss_sub", "iss": issuer, "sub": fields["username"]},
    }
    if fields["session"] is not None:
        subject["session"] = {"format": "opaque", "id": fields["session"]["id"]}
    return subject


def _payload(fields: dict[str, Any], event: Event, at: int) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "event_timestamp": at // SECOND,
        "initiating_entity": "system" if fields["actor"] == AUTHCTL else "admin",
        "reason_admin": {"en": fields["note"] or _REASONS[event]},
    }
    if event is Event.PASSWORD_CHANGED:
        payload |= {"credential_type": "password", "change_type": "update"}
    return payload
