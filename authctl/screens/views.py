"""One record on a terminal: its fields in the order in which a person needs them, each with its label.

Blank fields are left out when it is drawn. Not used in pipes and formats, which have every field.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from authctl.model.fields import IMPORT_COUNTS, PROFILE_FIELDS
from authctl.names import counted
from authctl.records import Record
from authctl.screens.drawing import Line
from authctl.screens.times import Look, in_view, is_time
from authctl.screens.wording import about, changes, compact, plain, plain_name
from authctl.visible_text import visible

_LONGEST_LABEL = 24
_REASONS = {
    "idle": "not used within the idle timeout",
    "absolute": "the absolute timeout was reached",
    "lifetime": "its lifetime is over",
    "not_listed": "its own system does not list it any more",
}
_MARKS = {"passed": "ok"}
_STEPS = {"user": "status of the user"}
_DETAILS = {"username_key": "user", "username_keys": "users", "in_force": "in force"}
_DEADLINES = {"idle": "idle timeout", "absolute": "absolute timeout", "lifetime": "lifetime of the token"}


def session(record: Record, look: Look) -> Iterator[Line]:
    """A session: its user and its device, its status with the reason, its end, and then the rest."""
    yield Line("user", visible(record["username"]))
    yield _line("application", record["application"], record["application_version"])
    yield _line("device", ", ".join(filter(None, (record["device"], record["platform"]))))
    yield Line("status", _status(record, look))
    yield _line("note", record["note"])
    yield from _deadlines(record, look)
    yield _line("wipe", _wipe(record, look))
    yield _line("id", record["id"])
    yield _line("profile", record["profile"], "" if record["kind"] == "application" else f"({record['kind']} session)")
    yield _time("created", record["created_at"], look)
    yield _time("used", record["last_used_at"], look)
    yield _time("used after end", record["used_after_end_at"], look)
    yield _line("address", record["ip"])
    yield _line("user agent", record["user_agent"])
    yield _line("referrer", record["referrer"])
    yield _line("signed in with", record["signed_in_with"])
    yield _line("tokens", _tokens(record))
    yield _time("refreshed", record["refreshed_at"], look)
    yield _time("access until", record["access_expires_at"], look)
    yield _line("source", record["source"], record["source_id"])
    for told in record["deliveries"]:
        yield _line("delivery", _delivery(told, look))


def delivery(record: Record, look: Look) -> Iterator[Line]:
    """A delivery: the event, the receiver and the session or user, its state with the reason, and its attempts."""
    yield _line("delivery", record["id"])
    yield _line("event", record["event"], f"to {record['receiver']}")
    yield _line("state", record["state"], "for all sessions that have no delivery yet" if record["rest"] else "")
    yield _line("reason", record["reason"])
    yield _line("user", record["username"])
    yield _line("session", record["session"])
    yield _line("attempts", record["attempts"])
    yield _time("next attempt", record["next_attempt_at"], look)
    yield _time("announced", record["created_at"], look)
    yield _time("delivered", record["delivered_at"], look)
    yield _line("revocation", record["revocation_id"])


def _delivery(record: Record, look: Look) -> str:
    at = f" {in_view(record['delivered_at'], look)}" if record["delivered_at"] else ""
    reason = f": {record['reason']}" if record["reason"] else ""
    return f"{record['event']} to {record['receiver']}: {record['state']}{at}{reason}"


def _status(record: Record, look: Look) -> str:
    status = record["status"]
    if status == "revoked":
        return f"revoked {in_view(record['revoked_at'], look)} by {visible(record['revoked_by'])}"
    if status != "expired":
        return str(status)
    reason = record["ended_reason"]
    at = record["ended_at"] or (record["expires_at"] if reason in _DEADLINES else None)
    words = _REASONS.get(reason, plain_name(plain(reason)))
    return f"expired{f' {in_view(at, look)}' if at else ''}: {words}"


def _deadlines(record: Record, look: Look) -> Iterator[Line]:
    """The end of an active session, and its second deadline."""
    if record["status"] != "active":
        return
    if record["held_by_continuity"]:
        held = in_view(record["held_until"], look) if record["held_until"] else "that event is ended"
        yield Line("until", f"a continuity event keeps it active until {held}")
        return
    first = record["expires_by"]
    end = record["expires_at"]
    yield Line("until", f"{in_view(end, look)}, {_DEADLINES.get(first, first)}" if end else "no deadline")
    for name in ("idle", "absolute"):
        if name != first and record[f"{name}_expires_at"] not in (None, end):
            yield _time(_DEADLINES[name], record[f"{name}_expires_at"], look)


def _wipe(record: Record, look: Look) -> str:
    if record["wipe"] is None:
        return "ordered when it is revoked" if record["wipe_on_revoke"] and record["status"] != "revoked" else ""
    at = record["wipe_acknowledged_at"] or record["wipe_delivered_at"]
    return f"{record['wipe']}{f' {in_view(at, look)}' if at else ''}"


def _tokens(record: Record) -> str:
    bound = record["bound_to"] and f"bound to the {record['bound_to']}"
    conditions = record["has_conditions"] and "with conditions"
    return ", ".join(filter(None, (record["tokens"], record["sealed"] and "sealed", bound, conditions)))


def user(record: Record, look: Look) -> Iterator[Line]:
    """A user: whether disabled, by whom and why, and the sessions."""
    yield Line("user", visible(record["username"]))
    status = "enabled"
    if record["disabled"]:
        by = f" by {visible(record['disabled_by'])}" if record["disabled_by"] else ""
        until = f" until {in_view(record['disabled_until'], look)}" if record["disabled_until"] else ""
        status = f"disabled {in_view(record['disabled_at'], look)}{until}{by}"
    elif record["enabled_at"]:
        ended = "the given time" if record["enabled_by"] == "until" else record["enabled_by"]
        status = f"enabled since {in_view(record['enabled_at'], look)}, by {ended}"
    yield Line("status", status)
    yield _line("note", record["note"])
    counts = [f"{record[name]:,} {name}" for name in ("active", "expired", "revoked")]
    yield Line("sessions", ", ".join(counts) if record["total"] else "none")
    yield _time("used", record["last_used_at"], look)
    yield _time("password changed", record["password_changed_at"], look)


def event(record: Record, look: Look) -> Iterator[Line]:
    """An audit event: its action, instant, actor, users and note; then its detail and its place in the chain."""
    yield Line("event", f"{record['seq']}, {visible(record['action'])}")
    yield _time("at", record["at"], look)
    yield _line("actor", record["actor"])
    yield _line("about", about(record))
    yield _line("note", record["note"])
    yield _line("subject", "" if record["subject"] == about(record) else record["subject"])
    detail = record["detail"]
    for name, value in detail.items() if isinstance(detail, dict) else [("detail", detail)]:
        text = ", ".join(map(plain, value)) if isinstance(value, list) else compact(value)
        yield _line(
            visible(_DETAILS.get(name) or plain_name(name))[:_LONGEST_LABEL], "" if value in ([], {}, None) else text
        )
    yield _line("hash", record["hash"])
    yield _line("hash before", record["prev_hash"])


def profile(record: Record, _look: Look) -> Iterator[Line]:
    """A profile: its fields that have a value, and who gets it."""
    yield _line("profile", record["name"], "(default)" if record["default"] else "")
    for field in PROFILE_FIELDS:
        yield _line(plain_name(field), plain(_without_blanks(record[field])))
    for assignment in record["assignments"]:
        yield _line("assigned to", plain({name: text for name, text in assignment.items() if name != "profile"}))
    yield _line("retention", record["retention"], "after the end of a session")


def _without_blanks(value: Any) -> Any:
    """A value without the parts that are not set; None for one that has no other part."""
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if part not in (None, False, [])} or None
    return None if value is False else value


def explanation(record: Record, look: Look) -> Iterator[Line]:
    """An explanation: the verdict with its reason, whose session it is, and each step with its result."""
    verdicts = {True: "valid", False: "not valid", None: "unknown for this instant"}
    yield _line("verdict", verdicts[record["valid"]], record["reason"] and f"({record['reason']})")
    yield _time("at", record["at"], look)
    yield _line("user", record["username"])
    yield _line("application", record["application"])
    for step in record["steps"]:
        yield Line(_STEPS.get(step["step"], step["step"]), _step(step, look))


def _step(step: Record, look: Look) -> str:
    mark = "" if step["result"] == "noted" else f"{_MARKS.get(step['result'], step['result'])}: "
    at = f" {in_view(step['at'], look)}" if step["at"] else ""
    by = f" by {visible(step['by'])}" if step["by"] else ""
    note = f": {visible(step['note'])}" if step["note"] else ""
    return f"{mark}{visible(step['text'])}{at}{by}{note}"


def past_import(record: Record, look: Look) -> Iterator[Line]:
    """An import: its files, its sessions, and whether it can be taken back."""
    yield _line("import", record["id"], record["source"] and f"of {record['source']}")
    yield _time("at", record["at"], look)
    yield _line("actor", record["actor"])
    yield _line("file", record["file"], f"({record['files']} files)" if record["files"] != 1 else "")
    yield _line("rows", record["rows"])
    counts = [f"{record[name]:,} {plain_name(name)}" for name in IMPORT_COUNTS if record[name]]
    yield _line(
        "sessions", ", ".join(counts) or ("none changed" if record["finished_at"] else "the import did not end")
    )
    whose = f"(of {', '.join(record['users'])})" if record["users"] else ""
    yield _line("complete", "yes" if record["complete"] else "", whose)
    yield _time("taken", record["taken_at"], look)
    yield _time("undone", record["undone_at"], look)
    yield _line("undone by", record["undone_by"])
    yield _line("note", record["note"])
    yield _line("undoable", "yes" if record["undoable"] else f"no: {record['obstacle']}")


def other(record: Record, look: Look) -> Iterator[Line]:
    """A record without a view of its own, such as the result of an operation: every field that has a value."""
    for name, value in record.items():
        text = in_view(value, look) if is_time(name) and isinstance(value, str) else visible(plain(value))
        yield Line(plain_name(name), text)


def findings(records: Sequence[Record], _look: Look) -> Iterator[Line]:
    """The findings of the doctor: each problem with the next command, and then one line for all that is well."""
    for record in records:
        if not record["ok"]:
            yield _line(plain_name(record["check"]), record["found"])
            yield _line("", record["next"] and f"next: {record['next']}")
    well = dict.fromkeys(plain_name(record["check"]) for record in records if record["ok"])
    yield _line("well", ", ".join(well))


def differences(records: Sequence[Record], _look: Look) -> Iterator[Line]:
    """The differences of two sets of profiles: the sessions of each profile, and each of its fields that changes."""
    for record in records:
        if record["change"] != "unchanged":
            yield _line("profile", record["name"], f"{record['change']}{_effect(record)}")
            yield from (_line("", text) for text in _changed_fields(record))
    yield _line("unchanged", ", ".join(record["name"] for record in records if record["change"] == "unchanged"))


def _changed_fields(record: Record) -> Iterator[str]:
    """The differences of a profile: nothing of one that is withdrawn, and of a new one the fields that have a value."""
    for field, (before, after) in record["fields"].items():
        if record["change"] == "changed":
            yield from changes(field, before, after)
        elif record["change"] == "added":
            yield f"{field} {plain(_without_blanks(after))}" if _without_blanks(after) else ""


def _effect(record: Record) -> str:
    effects = ("shortened", "lengthened", "ended")
    parts = [f"{counted(record[name], 'session')} {name}" for name in effects if record[name]]
    if record["unmet_conditions"]:
        parts.append(f"{counted(record['unmet_conditions'], 'session')} whose sign-in does not meet the conditions")
    return f": {', '.join(parts)}" if parts else ""


def _line(label: str, *texts: Any) -> Line:
    """A label and the texts beside it; blank where the first of them is."""
    shown = [plain(text) for text in texts if text not in (None, "")]
    return Line(label, visible(" ".join(shown)) if texts and texts[0] not in (None, "") else "")


def _time(label: str, text: str | None, look: Look) -> Line:
    return Line(label, "" if text is None else in_view(text, look))


View = Callable[[Any, Look], Iterable[Line]]

ONE: dict[str, View] = {
    "session": session,
    "delivery": delivery,
    "user": user,
    "event": event,
    "profile": profile,
    "explanation": explanation,
    "import": past_import,
    "": other,
}
"""The views of one record."""

MANY: dict[str, View] = {"findings": findings, "differences": differences}
"""The views of a list that is no table on a terminal."""
