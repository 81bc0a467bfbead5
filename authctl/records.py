"""Values to records: the objects of the JSON output, field by field in the documented order; blank is null."""

import json
from typing import TYPE_CHECKING, Any

from authctl.errors import TokenInvalid
from authctl.instants import EARLIEST, NEVER, SECOND, format_instant
from authctl.names import username_key

if TYPE_CHECKING:
    from authctl.model import AuditEvent, Group, Session
    from authctl.registry.audit import AcceptOutcome
    from authctl.registry.backlog import Backlog
    from authctl.registry.backups import BackupOutcome, RestoreOutcome
    from authctl.registry.cleanup import CleanupOutcome
    from authctl.registry.continuity import ContinuityState
    from authctl.registry.doctor import Finding
    from authctl.registry.keys import KeyUse, RetireOutcome
    from authctl.registry.listed_users import ListedOutcome
    from authctl.registry.login_cache import ClearOutcome, Remembered
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.session_ends import EndOutcome
    from authctl.registry.tokens.issue import Issued
    from authctl.registry.users import UserOutcome, UserSessions
    from authctl.shipped_examples import ShippedExample

Record = dict[str, Any]


def instant(value: int | None) -> str | None:
    """RFC 3339, or None for no instant and for never."""
    return None if value is None or value >= NEVER else format_instant(value)


def session(session_: "Session") -> Record:
    """A session, every field."""
    status, wipe = session_.status.value, session_.wipe
    expires_at = instant(session_.expires_at)  # as a rule one of the two below
    return {
        "id": session_.id,
        "username": session_.username,
        "application": session_.application,
        "application_version": session_.application_version,
        "platform": session_.platform,
        "device": session_.device,
        "ip": session_.ip,
        "user_agent": session_.user_agent,
        "kind": session_.kind,
        "profile": session_.profile,
        "status": status,
        "created_at": instant(session_.created_at),
        "last_used_at": instant(session_.last_used_at),
        "expires_at": expires_at,
        "idle_expires_at": expires_at
        if session_.idle_expires_at == session_.expires_at
        else instant(session_.idle_expires_at),
        "absolute_expires_at": expires_at
        if session_.absolute_expires_at == session_.expires_at
        else instant(session_.absolute_expires_at),
        "ended_at": instant(session_.ended_at),
        "ended_reason": None if status == "active" else session_.ended_reason,
        "revoked_at": instant(session_.revoked_at),
        "revoked_by": session_.revoked_by,
        "revocation_id": None if session_.revoked_at is None else session_.revocation_id,
        "note": session_.note,
        "signed_in_with": session_.signed_in_with,
        "referrer": session_.referrer,
        "wipe": wipe and wipe.value,
        "source": session_.source,
        "source_id": session_.source_id,
    }


def shown_session(session_: "Session", deliveries: list[Record]) -> Record:
    """A session by itself, with its first deadline, the facts about its tokens and its deliveries; its source is last, as in a list."""
    ended = session_.expires_at >= NEVER or session_.ended_by is not None
    record = {
        **session(session_),
        "expires_by": None if ended else session_.first_deadline,
        "tokens": session_.tokens,
        "sealed": bool(session_.sealed),
        "bound_to": session_.bound_to,
        "has_conditions": bool(session_.has_conditions),
        "wipe_on_revoke": bool(session_.wipe_on_revoke),
        "wipe_delivered_at": instant(session_.wipe_delivered_at),
        "wipe_acknowledged_at": instant(session_.wipe_acknowledged_at),
        "refreshed_at": instant(session_.refreshed_at),
        "access_expires_at": instant(session_.access_expires_at),
        "held_by_continuity": session_.is_held,
        "held_until": instant(session_.ends_at) if session_.is_held else None,
        "used_after_end_at": instant(session_.used_after_end_at),
        "deliveries": deliveries,
    }
    return record | {name: record.pop(name) for name in ("source", "source_id")}


def issued(tokens: "Issued") -> Record:
    """A registered session and its tokens."""
    return {
        "session": session(tokens.session),
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_at": instant(tokens.expires_at),
        "refresh_token": tokens.refresh_token,
    }


def introspection(session_: "Session") -> Record:
    """A verified session as RFC 7662, section 2.2: times in whole seconds; no exp when there is no end."""
    expires = access_deadline(session_)
    answer = {
        "active": True,
        "sub": username_key(session_.username),
        "username": session_.username,
        "client_id": session_.application,
        "token_type": "Bearer",
        "iat": session_.token_issued_at // SECOND,
        "exp": expires // SECOND,
        "jti": session_.id,
    }
    if expires >= NEVER:
        del answer["exp"]
    return answer


def access_deadline(session_: "Session") -> int:
    """When the access token of a session ends: its own deadline, or the later one of a continuity event that holds it now."""
    deadline = session_.token_expires_at
    return deadline if session_.read_at < deadline else session_.token_ends_at


def refusal(error: TokenInvalid) -> Record:
    """A token that is not active: no reason (RFC 7662, section 2.2), but the action that the application has to take (decision 51)."""
    return {"active": False} | ({"action": error.action} if error.action else {})


def revocation(outcome: "RevokeOutcome") -> Record:
    """The outcome of a revocation."""
    return {
        "revocation_id": outcome.revocation_id,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "selected": outcome.selected,
        "revoked": outcome.revoked,
        "already_revoked": outcome.already_revoked,
        "not_found": list(outcome.not_found),
        "dry_run": outcome.dry_run,
        "sessions": [
            {"id": s.id, "username": s.username, "application": s.application, "status_before": s.status_before.value}
            for s in outcome.sessions
        ],
        "by_source": dict(outcome.by_source),
        "kept": outcome.kept,
        "plan": outcome.plan
        and {
            "digest": outcome.plan.digest,
            "made_at": instant(outcome.plan.made_at),
            "made_by": outcome.plan.made_by,
            "newcomers": outcome.plan.newcomers,
        },
    }


def listed_revocation(outcome: "ListedOutcome") -> Record:
    """The outcome of a revocation of the users of a list, row by row."""
    return {
        **revocation(outcome.outcome),
        "rows": [row._asdict() | {"result": row.result.value} for row in outcome.rows],
    }


def ending(outcome: "EndOutcome") -> Record:
    """The outcome of `sessions end`."""
    return {
        "ended": outcome.ended,
        "already_ended": outcome.already_ended,
        "not_found": list(outcome.not_found),
        "sessions": [session(s) for s in outcome.sessions],
    }


def group(group_: "Group") -> Record:
    """Sessions that have something in common, counted."""
    return {"group": group_.group, **_counts(group_)}


def _counts(group_: "Group") -> Record:
    return {
        "active": group_.active,
        "expired": group_.expired,
        "revoked": group_.revoked,
        "total": group_.total,
        "last_used_at": instant(group_.last_used_at),
    }


def user(user_: "UserSessions") -> Record:
    """A user, with sessions counted."""
    return {
        "username": user_.user.username,
        "disabled": user_.user.disabled_at is not None,
        "disabled_at": instant(user_.user.disabled_at),
        "disabled_by": user_.user.disabled_by,
        "note": user_.user.note,
        "password_changed_at": instant(user_.user.password_changed_at),
        **_counts(user_.sessions),
        "disabled_until": instant(user_.user.disabled_until),
        "enabled_at": instant(user_.user.enabled_at),
        "enabled_by": user_.user.enabled_by,
    }


def user_change(outcome: "UserOutcome") -> Record:
    """The outcome of a change to a user."""
    return {
        "username": outcome.user.username,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "changed": outcome.changed,
        "disabled": outcome.user.disabled_at is not None,
        "ended": outcome.ended,
        "kept": outcome.kept,
        "dry_run": outcome.dry_run,
        "sessions": [session(s) for s in outcome.sessions],
        "known": outcome.known,
        "disabled_until": instant(outcome.user.disabled_until),
    }


def continuity(state: "ContinuityState") -> Record:
    """A continuity event, and how many sessions it holds beyond their time."""
    return {
        "profile": state.event.profile,
        "started_at": instant(state.event.started_at),
        "until": instant(state.event.ends_at),
        "held_sessions": state.held_sessions,
        "actor": state.event.actor,
        "note": state.event.note,
        "ended_by": state.event.ended_by,
        "end_note": state.event.end_note,
    }


def key(usage: "KeyUse") -> Record:
    """A key, and the number of sessions that depend on it; never its secret."""
    from authctl.key_ring import KeyState

    return {
        "id": usage.key.id,
        "state": usage.key.state.value,
        "created_at": instant(usage.key.created_at),
        "retired_at": instant(usage.key.retired_at),
        "sessions": usage.sessions,
        "retire_after": instant(usage.until),
        "retirable": usage.sessions == 0 and usage.key.state is KeyState.VERIFYING,
    }


def retirement(outcome: "RetireOutcome") -> Record:
    """The outcome of retiring a key."""
    return {
        "id": outcome.key_id,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "changed": outcome.changed,
        "ended": outcome.ended,
        "reason": outcome.reason,
        "dry_run": outcome.dry_run,
        "sessions": [session(s) for s in outcome.sessions],
    }


def acceptance(outcome: "AcceptOutcome") -> Record:
    """The outcome of accepting the present chain."""
    return outcome._asdict() | {"at": instant(outcome.at)}


def backup(outcome: "BackupOutcome") -> Record:
    """A copy that was taken."""
    return {"file": str(outcome.file), "registry_id": outcome.registry_id, "seq": outcome.seq, "hash": outcome.hash}


def restoration(outcome: "RestoreOutcome") -> Record:
    """The outcome of a restore, or of its dry run."""
    return {
        "file": str(outcome.file),
        "registry_id": outcome.registry_id,
        "seq": outcome.seq,
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "known": outcome.known,
        "ended": outcome.ended,
        "active_before": outcome.active_before,
        "backup_seq": outcome.backup_seq,
        "backup_at": instant(outcome.backup_at),
        "carried_from": outcome.carried_from and outcome.carried_from._asdict(),
        "carried": outcome.carried and outcome.carried._asdict(),
        "replaced_lacks": outcome.replaced_lacks,
        "profiles_differ": outcome.profiles_differ,
        "stay_disabled": list(outcome.stay_disabled),
        "replaced_kept_as": None if outcome.replaced_kept_as is None else str(outcome.replaced_kept_as),
        "dry_run": outcome.dry_run,
    }


def finding(finding_: "Finding") -> Record:
    """The result of one check of the doctor."""
    return {"check": finding_.check, "ok": finding_.ok, "found": finding_.found, "next": finding_.next}


def cached_login(login: "Remembered") -> Record:
    """A successful login that still counts; nothing of the password."""
    return {
        "username": login.login.username,
        "profile": login.login.profile,
        "authenticator": login.login.authenticator,
        "authenticated_at": instant(login.login.authenticated_at),
        "last_used_at": instant(login.login.last_used_at),
        "expires_at": instant(login.expires_at),
    }


def cleared(outcome: "ClearOutcome") -> Record:
    """The outcome of clearing the authentication cache."""
    return {
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "username": outcome.username,
        "forgotten": outcome.forgotten,
    }


def event(event_: "AuditEvent") -> Record:
    """An audit event; its detail as an object, or as it stands where it was tampered with."""
    return {
        "seq": event_.seq,
        "at": instant(event_.at) if EARLIEST <= event_.at <= NEVER else str(event_.at),
        "actor": event_.actor,
        "action": event_.action,
        "subject": event_.subject,
        "note": event_.note,
        "detail": _parsed(event_.detail),
        "hash": event_.hash,
        "prev_hash": event_.prev_hash,
    }


def _parsed(detail: str) -> Any:
    try:
        return json.loads(detail)
    except ValueError:
        return detail


def cleanup(outcome: "CleanupOutcome") -> Record:
    """The outcome of a cleanup."""
    return {
        "removed": outcome.removed,
        "expired": outcome.expired,
        "revoked": outcome.revoked,
        "unacknowledged": outcome.unacknowledged,
        "cutoff": instant(outcome.cutoff),
        "retention": outcome.retention,
        "dry_run": outcome.dry_run,
    }


def backlog(backlog_: "Backlog") -> Record:
    """The sessions that wait for a cleanup."""
    return {
        "last_run_at": instant(backlog_.last_run_at),
        "retention": backlog_.retention,
        "cutoff": instant(backlog_.cutoff),
        "backlog": backlog_.total,
        "expired": backlog_.expired,
        "revoked": backlog_.revoked,
        "oldest_at": instant(backlog_.oldest_at),
        "overdue": backlog_.is_overdue,
    }


def example(example_: "ShippedExample") -> Record:
    """An example file that comes with authctl."""
    return {"name": example_.name, "title": example_.title}


def shown_example(example_: "ShippedExample") -> Record:
    """An example file with its text."""
    return {**example(example_), "text": example_.text}
