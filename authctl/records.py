"""Values to records: what a JSON reader sees, field by field in the documented order; blank is null."""

import json
from typing import TYPE_CHECKING, Any

from authctl.errors import TokenInvalid
from authctl.instants import EARLIEST, NEVER, SECOND, format_instant, format_timeout
from authctl.model.fields import PROFILE_FIELDS
from authctl.names import username_key

if TYPE_CHECKING:
    from authctl.model import AuditEvent, Group, Profile, ProfileSet, Session
    from authctl.registry.audit import AcceptOutcome
    from authctl.registry.backups import BackupOutcome, RestoreOutcome
    from authctl.registry.cleanup import CleanupOutcome
    from authctl.registry.continuity import ContinuityState
    from authctl.registry.doctor import Finding
    from authctl.registry.imports.file import ImportOutcome
    from authctl.registry.keys import KeyUse, RetireOutcome
    from authctl.registry.login_cache import ClearOutcome, Remembered
    from authctl.registry.profiles import ApplyOutcome, ProfileDifference
    from authctl.registry.revocations import RevokeOutcome
    from authctl.registry.sessions import EndOutcome
    from authctl.registry.tokens.issue import Issued
    from authctl.registry.users import UserOutcome, UserSessions

Record = dict[str, Any]


def instant(value: int | None) -> str | None:
    """RFC 3339, or None for no instant and for never."""
    return None if value is None or value >= NEVER else format_instant(value)


def session(s: "Session") -> Record:
    """A session, every field."""
    status, wipe = s.status.value, s.wipe
    expires_at = instant(s.expires_at)  # as a rule one of the two below
    return {
        "id": s.id,
        "username": s.username,
        "application": s.application,
        "application_version": s.application_version,
        "platform": s.platform,
        "device": s.device,
        "ip": s.ip,
        "user_agent": s.user_agent,
        "kind": s.kind,
        "profile": s.profile,
        "status": status,
        "created_at": instant(s.created_at),
        "last_used_at": instant(s.last_used_at),
        "expires_at": expires_at,
        "idle_expires_at": expires_at if s.idle_expires_at == s.expires_at else instant(s.idle_expires_at),
        "absolute_expires_at": expires_at if s.absolute_expires_at == s.expires_at else instant(s.absolute_expires_at),
        "ended_at": instant(s.ended_at),
        "ended_reason": None if status == "active" else s.ended_reason,
        "revoked_at": instant(s.revoked_at),
        "revoked_by": s.revoked_by,
        "revocation_id": None if s.revoked_at is None else s.revocation_id,
        "note": s.note,
        "signed_in_with": s.signed_in_with,
        "referrer": s.referrer,
        "wipe": wipe and wipe.value,
    }


def shown_session(s: "Session") -> Record:
    """A session by itself, with which of its deadlines comes first, and what its tokens are."""
    ended = s.expires_at >= NEVER or s.ended_by is not None
    return {
        **session(s),
        "expires_by": None if ended else s.first_deadline,
        "tokens": s.tokens,
        "sealed": bool(s.sealed),
        "bound_to": s.bound_to,
        "has_conditions": bool(s.has_conditions),
        "wipe_on_revoke": bool(s.wipe_on_revoke),
        "wipe_delivered_at": instant(s.wipe_delivered_at),
        "wipe_acknowledged_at": instant(s.wipe_acknowledged_at),
        "refreshed_at": instant(s.refreshed_at),
        "access_expires_at": instant(s.access_expires_at),
        "held_by_continuity": s.is_held,
        "held_until": instant(s.ends_at) if s.is_held else None,
    }


def issued(i: "Issued") -> Record:
    """A registered session and its tokens."""
    return {
        "session": session(i.session),
        "access_token": i.access_token,
        "token_type": "Bearer",
        "expires_at": instant(i.expires_at),
        "refresh_token": i.refresh_token,
    }


def introspection(s: "Session") -> Record:
    """A verified session as RFC 7662, section 2.2: times in whole seconds; no exp when there is no end."""
    expires = s.token_expires_at if s.read_at < s.token_expires_at else s.token_ends_at
    answer = {
        "active": True,
        "sub": username_key(s.username),
        "username": s.username,
        "client_id": s.application,
        "token_type": "Bearer",
        "iat": s.token_issued_at // SECOND,
        "exp": expires // SECOND,
        "jti": s.id,
    }
    if expires >= NEVER:
        del answer["exp"]
    return answer


def refusal(error: TokenInvalid) -> Record:
    """A token that is not active: as RFC 7662, section 2.2, has it, no reason; what the application owes, where it owes something."""
    return {"active": False} | ({"action": error.action} if error.action else {})


def revocation(o: "RevokeOutcome") -> Record:
    """What a revocation found and did."""
    return {
        "revocation_id": o.revocation_id,
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "selected": o.selected,
        "revoked": o.revoked,
        "already_revoked": o.already_revoked,
        "not_found": list(o.not_found),
        "dry_run": o.dry_run,
        "sessions": [
            {"id": s.id, "username": s.username, "application": s.application, "status_before": s.status_before.value}
            for s in o.sessions
        ],
    }


def ending(o: "EndOutcome") -> Record:
    """What `sessions end` found and did."""
    return {
        "ended": o.ended,
        "already_ended": o.already_ended,
        "not_found": list(o.not_found),
        "sessions": [session(s) for s in o.sessions],
    }


def group(g: "Group") -> Record:
    """Sessions that have something in common, counted."""
    return {"group": g.group, **_counts(g)}


def _counts(g: "Group") -> Record:
    return {
        "active": g.active,
        "expired": g.expired,
        "revoked": g.revoked,
        "total": g.total,
        "last_used_at": instant(g.last_used_at),
    }


def user(u: "UserSessions") -> Record:
    """A user, with sessions counted."""
    return {
        "username": u.user.username,
        "disabled": u.user.disabled_at is not None,
        "disabled_at": instant(u.user.disabled_at),
        "disabled_by": u.user.disabled_by,
        "note": u.user.note,
        "password_changed_at": instant(u.user.password_changed_at),
        **_counts(u.sessions),
    }


def user_change(o: "UserOutcome") -> Record:
    """What a change to a user came to."""
    return {
        "username": o.user.username,
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "changed": o.changed,
        "disabled": o.user.disabled_at is not None,
        "ended": o.ended,
        "kept": o.kept,
        "dry_run": o.dry_run,
        "sessions": [session(s) for s in o.sessions],
        "known": o.known,
    }


def continuity(s: "ContinuityState") -> Record:
    """A continuity event, and how many sessions it holds beyond their time."""
    return {
        "profile": s.event.profile,
        "started_at": instant(s.event.started_at),
        "until": instant(s.event.ends_at),
        "held_sessions": s.held_sessions,
        "actor": s.event.actor,
        "note": s.event.note,
        "ended_by": s.event.ended_by,
        "end_note": s.event.end_note,
    }


def key(u: "KeyUse") -> Record:
    """A key, and what it still signs; never its secret."""
    from authctl.key_ring import KeyState

    return {
        "id": u.key.id,
        "state": u.key.state.value,
        "created_at": instant(u.key.created_at),
        "retired_at": instant(u.key.retired_at),
        "sessions": u.sessions,
        "retire_after": instant(u.until),
        "retirable": u.sessions == 0 and u.key.state is KeyState.VERIFYING,
    }


def retirement(o: "RetireOutcome") -> Record:
    """What retiring a key came to."""
    return {
        "id": o.key_id,
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "changed": o.changed,
        "ended": o.ended,
        "reason": o.reason,
        "dry_run": o.dry_run,
        "sessions": [session(s) for s in o.sessions],
    }


def acceptance(o: "AcceptOutcome") -> Record:
    """What taking the present chain as true came to."""
    return {
        "seq": o.seq,
        "hash": o.hash,
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "known": o.known,
        "ended": o.ended,
    }


def backup(o: "BackupOutcome") -> Record:
    """A copy that was taken."""
    return {"file": str(o.file), "registry_id": o.registry_id, "seq": o.seq, "hash": o.hash}


def restoration(o: "RestoreOutcome") -> Record:
    """What putting a backup back came to, or would."""
    return {
        "file": str(o.file),
        "registry_id": o.registry_id,
        "seq": o.seq,
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "known": o.known,
        "ended": o.ended,
        "living": o.living,
        "backup_seq": o.backup_seq,
        "backup_at": instant(o.backup_at),
        "carried_from": o.carried_from and o.carried_from._asdict(),
        "carried": o.carried and o.carried._asdict(),
        "replaced_lacks": o.replaced_lacks,
        "profiles_differ": o.profiles_differ,
        "stay_disabled": list(o.stay_disabled),
        "replaced_kept_as": None if o.replaced_kept_as is None else str(o.replaced_kept_as),
        "dry_run": o.dry_run,
    }


def finding(f: "Finding") -> Record:
    """What one look of the doctor found."""
    return {"check": f.check, "ok": f.ok, "found": f.found, "next": f.next}


def cached_login(r: "Remembered") -> Record:
    """A successful login that still counts; nothing of the password."""
    return {
        "username": r.login.username,
        "profile": r.login.profile,
        "authenticator": r.login.authenticator,
        "authenticated_at": instant(r.login.authenticated_at),
        "last_used_at": instant(r.login.last_used_at),
        "expires_at": instant(r.expires_at),
    }


def cleared(o: "ClearOutcome") -> Record:
    """What clearing the authentication cache came to."""
    return {
        "at": instant(o.at),
        "actor": o.actor,
        "note": o.note,
        "username": o.username,
        "forgotten": o.forgotten,
    }


def event(e: "AuditEvent") -> Record:
    """An audit event; its detail as an object, or as it stands where it was tampered with."""
    return {
        "seq": e.seq,
        "at": instant(e.at) if EARLIEST <= e.at <= NEVER else str(e.at),
        "actor": e.actor,
        "action": e.action,
        "subject": e.subject,
        "note": e.note,
        "detail": _parsed(e.detail),
        "hash": e.hash,
        "prev_hash": e.prev_hash,
    }


def _parsed(detail: str) -> Any:
    try:
        return json.loads(detail)
    except ValueError:
        return detail


def cleanup(o: "CleanupOutcome") -> Record:
    """What was cleaned up."""
    return {
        "removed": o.removed,
        "expired": o.expired,
        "revoked": o.revoked,
        "unacknowledged": o.unacknowledged,
        "cutoff": instant(o.cutoff),
        "retention": o.retention,
        "dry_run": o.dry_run,
    }


def profile(p: "Profile", profiles: "ProfileSet") -> Record:
    """A profile, every field, with the assignments that lead to it."""
    document = dict.fromkeys(PROFILE_FIELDS) | p.to_document()
    return {
        "name": p.name,
        "default": p.name == profiles.default_profile,
        **document,
        "assignments": [a.to_document() for a in profiles.assignments if a.profile == p.name],
        "retention": str(profiles.retention),
    }


def profile_difference(d: "ProfileDifference") -> Record:
    """What applying a file would mean for one profile."""
    timeouts: Record = {}
    for field in ("idle_timeout", "absolute_timeout"):
        old, new = (getattr(one, field) if one else None for one in (d.before, d.after))
        lengths = [None if length is None else format_timeout(length) for length in (old, new)]
        timeouts |= {f"{field}_before": lengths[0], f"{field}_after": lengths[1]}
    changes = {
        "shortened": d.shortened,
        "lengthened": d.lengthened,
        "ended": d.ended,
        "unmet_conditions": d.unmet_conditions,
    }
    return {"name": d.name, "change": d.change, **changes, **timeouts, "fields": d.fields()}


def application_of_profiles(o: "ApplyOutcome") -> Record:
    """What applying profiles changed."""
    return {
        "profiles": list(o.profiles),
        "added": list(o.added),
        "changed": list(o.changed),
        "withdrawn": list(o.withdrawn),
        "shortened": o.shortened,
        "lengthened": o.lengthened,
        "ended": o.ended,
        "unmet_conditions": o.unmet_conditions,
        "dry_run": o.dry_run,
    }


def imported(o: "ImportOutcome") -> Record:
    """What an import read and registered."""
    return {
        "read": o.rows.read,
        "used": o.rows.used,
        "duplicates": o.rows.duplicates,
        "skipped": o.rows.skipped,
        "rejected": o.rows.rejected,
        "registered": o.registered,
        "updated": o.updated,
        "unchanged": o.unchanged,
        "dry_run": o.dry_run,
        "rejections": [{"line": line, "reason": reason} for line, reason in o.rejections],
        "moved": [{"line": line, "reason": reason} for line, reason in o.moved],
    }
