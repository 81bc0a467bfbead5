"""Audit events in the formats of log systems: JSON Lines, OCSF 1.3, ECS 8.11, and CAEP 1.0. Pure.

Each event has all of its content in the first three: what a format has no field for is under `unmapped` or `authctl`. CAEP has only
sessions that ended and passwords that changed, one line each.

See docs/operating.md, "The audit log in other systems".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from authctl import records
from authctl.model.told_events import Event
from authctl.receivers import security_events
from authctl.receivers.messages import Message
from authctl.version import __version__

if TYPE_CHECKING:
    from authctl.model import AuditEvent
    from authctl.records import Record

_MILLISECOND = 1_000

Lines = Callable[["AuditEvent"], Iterator["Record"]]


def jsonl(event: AuditEvent) -> Iterator[Record]:
    """An event as `audit list -o ndjson` has it."""
    yield records.event(event)


# activity: its number and name
_ACCOUNT_CHANGE = {
    "user.enable": (2, "Enable"),
    "user.password": (3, "Password Change"),
    "user.disable": (5, "Disable"),
}
_AUTHENTICATION = {
    "session.issue": (1, "Logon"),
    "session.end": (2, "Logoff"),
    "session.revoke": (2, "Logoff"),
    "token.reuse": (2, "Logoff"),
}
_OTHER = (99, "Other")


def ocsf(event: AuditEvent) -> Iterator[Record]:
    """An event by the classes Account Change and Authentication, which need one user, or as Base Event."""
    user = _user(event)
    activity, class_uid, of_class = _OTHER, 0, "Base Event"
    if user is not None and event.action in _ACCOUNT_CHANGE:
        activity, class_uid, of_class = _ACCOUNT_CHANGE[event.action], 3001, "Account Change"
    elif user is not None and event.action in _AUTHENTICATION:
        activity, class_uid, of_class = _AUTHENTICATION[event.action], 3002, "Authentication"
    of_user = {"user": {"name": user}, "actor": {"user": {"name": event.actor}}} if class_uid else {}
    yield {
        "activity_id": activity[0],
        "activity_name": activity[1],
        "category_uid": class_uid // 1_000,
        "class_uid": class_uid,
        "class_name": of_class,
        "type_uid": class_uid * 100 + activity[0],
        "time": event.at // _MILLISECOND,
        "severity_id": 1,
        "status_id": 1,
        "message": _message(event),
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "authctl", "vendor_name": "authctl", "version": __version__},
            "log_name": "audit",
            "event_code": event.action,
            "sequence": event.seq,
            "uid": event.hash,
        },
        **of_user,
        "unmapped": _rest(event),
    }


_CATEGORIES = {
    "session": ("session", "info"),
    "token": ("session", "info"),
    "wipe": ("session", "info"),
    "delivery": ("session", "info"),
    "user": ("iam", "user"),
    "client": ("iam", "change"),
    "cache": ("authentication", "info"),
}
"""The category and type of an action by its noun; of all others it is a change of the configuration."""

_TYPES = {"session.issue": "start", "session.end": "end", "session.revoke": "end", "token.reuse": "end"}


def ecs(event: AuditEvent) -> Iterator[Record]:
    """An event of the Elastic Common Schema."""
    category, kind = _CATEGORIES.get(event.action.partition(".")[0], ("configuration", "change"))
    kinds = [_TYPES.get(event.action, kind)] + (["change"] if event.action.startswith("user.") else [])
    target = _user(event)
    yield {
        "@timestamp": records.event(event)["at"],
        "ecs": {"version": "8.11.0"},
        "message": _message(event),
        "event": {
            "kind": "event",
            "module": "authctl",
            "dataset": "authctl.audit",
            "action": event.action,
            "category": [category],
            "type": kinds,
            "outcome": "success",
            "sequence": event.seq,
            "id": event.hash,
            "hash": event.hash,
            **({} if event.note is None else {"reason": event.note}),
        },
        "user": {"name": event.actor, **({} if target is None else {"target": {"name": target}})},
        "related": {"user": sorted({event.actor, *_users(event)})},
        "authctl": _rest(event),
    }


def caep(event: AuditEvent) -> Iterator[Record]:
    """The claims of a Security Event Token for each named session that ended, and for a changed password; not signed."""
    if event.action == "user.password":
        yield _claims(event, Event.PASSWORD_CHANGED, None)
    told = Event.SESSION_REVOKED if event.action in ("session.revoke", "token.reuse") else Event.SESSION_ENDED
    for session in _ended_sessions(event):
        yield _claims(event, told, session)


FORMATS: dict[str, Lines] = {"jsonl": jsonl, "ocsf": ocsf, "ecs": ecs, "caep": caep}


def _ended_sessions(event: AuditEvent) -> list[str]:
    if event.action in ("session.end", "token.reuse"):
        return [event.subject] if event.subject else []
    if event.action in ("session.revoke", "user.password", "user.disable", "key.retire"):
        return list(_detail(event).get("sessions") or ())
    return []


def _claims(event: AuditEvent, told: Event, session: str | None) -> Record:
    jti = f"{event.hash}.{session}" if session else event.hash
    user = _user(event)
    fields = {"event": told, "username": user, "actor": event.actor, "note": event.note}
    message = Message(jti, {**fields, "session": session and {"id": session}}, event.at, event.seq)
    claims = security_events.claims(message, "urn:authctl", [], event.at)
    del claims["aud"]
    if user is None:
        del claims["sub_id"]["user"]
    return claims


def _detail(event: AuditEvent) -> dict[str, Any]:
    try:
        detail = json.loads(event.detail)
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def _users(event: AuditEvent) -> list[str]:
    """The users that an event names, by their folded names."""
    detail = _detail(event)
    one, several = detail.get("username_key"), detail.get("username_keys")
    named = [one] if isinstance(one, str) else several if isinstance(several, list) else []
    return [name for name in named if isinstance(name, str)]


def _user(event: AuditEvent) -> str | None:
    """The user that an event is about, where it is one; the subject as it was typed, else the folded name."""
    if event.action.startswith("user."):
        return event.subject
    users = _users(event)
    return users[0] if len(users) == 1 else None


def _message(event: AuditEvent) -> str:
    return " ".join(filter(None, (event.action, event.subject)))


def _rest(event: AuditEvent) -> Record:
    """The parts of an event for which a format has no field."""
    record = records.event(event)
    return {name: record[name] for name in ("actor", "action", "subject", "note", "detail", "prev_hash")}
