"""Rows of the tables as values, and values as rows. An invalid row is an IntegrityFailure.

See docs/glossary.md#folded-key.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from authctl import model
from authctl.errors import IntegrityFailure
from authctl.instants import EARLIEST, NEVER
from authctl.model import Session
from authctl.names import fold

SESSION = (
    "s.number, s.id, s.username, s.application, s.application_version, s.platform, s.device, s.ip,"
    " s.user_agent, s.kind, s.profile, s.signed_in_with, s.referrer, s.created_at, s.last_used_at, s.slid_at,"
    " s.use_due_at, s.idle_expires_at, s.absolute_expires_at, s.fixed_expires_at, s.expires_at, {end},"
    " s.ended_at, s.ended_reason, s.tokens, s.sealed, s.bound_to, s.generation, s.refreshed_at, s.access_expires_at,"
    " {access_end}, s.key_id, s.has_conditions, s.wipe_on_revoke, s.wipe_delivered_at, s.wipe_acknowledged_at,"
    " s.source, s.source_id, s.used_after_end_at, s.revocation_id, r.at, r.actor, r.note, {now}"
)
CHANGEOVER = "c.before, c.stages, c.stage, c.done, c.last, c.event"
CLIENT = (
    "client_id, name, may, applications, cache_for, lag, facts, revoke_note, certificate, created_at, created_by, secret_hash,"
    " secret_at, old_secret_hash"
)
CONTINUITY = "id, profile, started_at, ends_at, actor, note, ended_by, end_note"
LOGIN = "profile, username, authenticator, authenticated_at, last_used_at, key_id, salt, verifier"
LOGIN_GIVEN = ", ".join(f"excluded.{column}" for column in LOGIN.split(", "))
USER = "username, disabled_at, disabled_by, disabled_note, ended_at, password_changed_at, password_except, disabled_until, enabled_at, enabled_by"
EVENT = "seq, at, actor, action, subject, note, detail, prev_hash, hash"

_NEW = tuple.__new__
_WIDTH = len(Session._fields)
_INSTANTS = [index for index, name in enumerate(Session._fields) if name.endswith("_at")]
_OPTIONAL = {index for index in _INSTANTS if Session.__annotations__[Session._fields[index]] == int | None}
_REQUIRED_INSTANTS = itemgetter(*(index for index in _INSTANTS if index not in _OPTIONAL))
_OPTIONAL_INSTANTS = itemgetter(*_OPTIONAL)
_FIELDS = itemgetter(*Session._fields)
_BLANK: dict[str, Any] = {"generation": 0} | dict.fromkeys(
    ("refreshed_at", "wipe_delivered_at", "wipe_acknowledged_at", "revoked_at", "revoked_by", "note")
)
"""The fields of a session that no sign-in gives."""
_NO_INSTANTS = (None,) * len(_OPTIONAL)


def session_columns(end: str = "s.expires_at", access_end: str = "s.access_expires_at", now: str = ":now") -> str:
    """The columns of a session, with the SQL for its real end, the real end of its access token, and the instant of reading."""
    return SESSION.format(end=end, access_end=access_end, now=now)


def unrevoked_columns(now: str) -> str:
    """The same columns of a session that is not revoked: its revocation `r` is not read."""
    return session_columns(now=now).replace("r.at, r.actor, r.note", "NULL, NULL, NULL")


def session(row: Sequence[Any]) -> Session:
    """The session of a row of `session_columns`; columns after them are ignored."""
    read: Session = _NEW(Session, row[:_WIDTH])  # without the checks and defaults of `Session(...)`: decision 101
    # A database may store a value of any type in any column. A text would compare as later than every number, and never expire.
    if not type(read.expires_at) is type(read.use_due_at) is int:
        raise IntegrityFailure("the registry is damaged: the row of a session is invalid")
    return read


def registered(given: Mapping[str, Any], number: int, revocation_id: int, read_at: int) -> Session:
    """The session of `columns` under that number, as it would be read while that revocation is open."""
    others = {
        "number": number,
        "ends_at": given["expires_at"],
        "ended_by": given["ended_reason"],
        "access_ends_at": given["access_expires_at"],
        "revocation_id": revocation_id,
        "read_at": read_at,
    }
    made: Session = _NEW(Session, _FIELDS(_BLANK | given | others))  # type: ignore[operator]
    return made


def checked_session(row: Sequence[Any]) -> Session:
    """The same, for showing: every instant is one that can be written."""
    instants = _REQUIRED_INSTANTS(row)
    optional = _OPTIONAL_INSTANTS(row)
    if optional != _NO_INSTANTS:
        instants += tuple(instant for instant in optional if instant is not None)
    check_instants(row[0], instants)
    read: Session = _NEW(Session, row[:_WIDTH])
    return read


def check_instants(number: Any, instants: Sequence[Any]) -> None:
    """Raise IntegrityFailure unless every instant of the session with that number is one that can be written."""
    # decision 344: three passes in C take half the time of a loop. A text has no sum; the sum with a float is no whole number.
    try:
        if type(sum(instants)) is int and min(instants) >= EARLIEST and max(instants) <= NEVER:
            return
    except TypeError:
        pass
    raise IntegrityFailure(f"the registry is damaged: the instants of session {number} are invalid")


def event(row: Sequence[Any]) -> "model.AuditEvent":
    """The event of a row of `EVENT`, as it is stored; the audit chain checks it."""
    return model.AuditEvent(*row)


def continuity(row: Sequence[Any]) -> "model.ContinuityEvent":
    """The continuity event of a row of `CONTINUITY`."""
    return model.ContinuityEvent(*row)


def client(row: Sequence[Any]) -> "model.Client":
    """The client of a row of `CLIENT`. Raises IntegrityFailure if its rights or applications cannot be read."""
    read = model.Client(*row)
    try:
        may = tuple(map(model.Right, json.loads(row[2])))
        applications = tuple(json.loads(row[3]))
    except (ValueError, TypeError) as error:
        raise IntegrityFailure("the registry is damaged: the row of a client is invalid") from error
    return read._replace(may=may, applications=applications, facts=bool(read.facts))


def client_columns(client_: "model.Client") -> tuple[Any, ...]:
    """The values of a client for the columns of `CLIENT`."""
    row: list[Any] = list(client_)
    row[2], row[3], row[6] = json.dumps(client_.may), json.dumps(client_.applications), int(client_.facts)
    return tuple(row)


def login(row: Sequence[Any]) -> "model.CachedLogin":
    """The cached login of a row of `LOGIN`."""
    return model.CachedLogin(*row)


def user(row: Sequence[Any]) -> "model.User":
    """The user of a row of `USER`."""
    known = model.User(*row)
    return known._replace(password_except=tuple(json.loads(known.password_except or "[]")))  # type: ignore[arg-type]


def profiles(text: Any, before: Any = None, stages: Any = None, *numbers: int) -> "model.ProfileSet":
    """The profiles in force, from the JSON in the registry, with the columns of `CHANGEOVER` if there is one."""
    in_force = _profile_set(text)
    if before is None:
        return in_force
    return in_force._replace(changeover=model.Changeover(_profile_set(before), json.loads(stages), *numbers))


@lru_cache(maxsize=4)
def _profile_set(text: Any) -> "model.ProfileSet":
    """The profiles of a JSON text. They seldom change, so each text is read once."""
    try:
        return model.ProfileSet.from_document(json.loads(text))
    except Exception as error:
        raise IntegrityFailure("the registry is damaged: its profiles cannot be read") from error


def columns(new: "model.NewSession") -> dict[str, Any]:
    """The columns of a session's row, without its number and its revocation."""
    deadlines = new.deadlines
    return {
        "id": new.id,
        "username": new.username,
        "username_key": fold(new.username),
        "application": new.application,
        "application_key": new.application and fold(new.application),
        "application_version": new.application_version,
        "platform": new.platform,
        "platform_key": new.platform and fold(new.platform),
        "device": new.device,
        "device_key": new.device and fold(new.device),
        "ip": new.ip,
        "user_agent": new.user_agent,
        "kind": str(new.kind),
        "profile": new.profile,
        "profile_key": fold(new.profile),
        "signed_in_with": new.signed_in_with,
        "referrer": new.referrer,
        "source": new.source,
        "source_key": new.source and fold(new.source),
        "source_id": new.source_id,
        "source_id_key": new.source_id and fold(new.source_id),
        "used_after_end_at": new.used_after_end_at,
        "created_at": new.created_at,
        "last_used_at": new.last_used_at,
        "slid_at": deadlines.slid_at,
        "use_due_at": deadlines.use_due_at,
        "idle_expires_at": deadlines.idle_expires_at,
        "absolute_expires_at": deadlines.absolute_expires_at,
        "fixed_expires_at": new.fixed_expires_at,
        "expires_at": deadlines.expires_at if new.ended_at is None else new.ended_at,
        "ended_at": new.ended_at,
        "ended_reason": new.ended_by,
        "tokens": str(new.tokens),
        "sealed": int(new.sealed),
        "bound_to": new.bound_to and str(new.bound_to),
        "access_expires_at": new.access_expires_at,
        "secret_hash": new.secret_hash,
        "key_id": new.key_id,
        "has_conditions": int(new.has_conditions),
        "wipe_on_revoke": int(new.wipe_on_revoke),
    }
