"""Values and records in words for a person at a terminal: one text each, not yet made visible.

Not used in pipes and formats, which have the values as they are.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from authctl.names import counted, quoted
from authctl.records import Record

_MOST_NAMED = 3


def plain(value: Any) -> str:
    """A value as a text: blank for nothing, parts one after another."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} {plain(part)}" for name, part in value.items())
    return str(value)


def plain_name(field: str) -> str:
    """The name of a field as it is read."""
    return field.replace("_", " ")


def changes(field: str, old: Any, new: Any) -> Iterator[str]:
    """The changes of one field; of a field that has parts, those of each part."""
    if isinstance(old, dict) or isinstance(new, dict):
        before, after = (value if isinstance(value, dict) else {} for value in (old, new))
        for part in dict.fromkeys([*before, *after]):
            yield from changes(f"{field}.{part}", before.get(part), after.get(part))
    elif old != new:
        yield f"{field} {_value(field, old)} -> {_value(field, new)}"


def _value(field: str, value: Any) -> str:
    if isinstance(value, str):
        return quoted(value) if field == "description" else value
    return "none" if value is None else json.dumps(value)


def key_advice(record: Record) -> str:
    """The use of a signing key, and the next step with it."""
    if record["state"] == "signing":
        return "signs new tokens"
    if record["retirable"]:
        return "no session needs it: retire it"
    return "still verifies tokens" if record["state"] == "verifying" else ""


def about(event: Record) -> str:
    """The users or sessions that an audit event affected, with their number; its subject if it affected none."""
    detail, subject = event["detail"], plain(event["subject"])
    # An event may have been tampered with: its detail can be anything.
    words = _WORDS.get(event["action"]) if isinstance(detail, dict) else None
    return (words(subject, detail) if words else None) or _owner(subject, detail)


def _owner(subject: str, detail: Any) -> str:
    """The user of an event about a single session."""
    user = detail.get("username_key") if isinstance(detail, dict) else None
    application = detail.get("application") if isinstance(detail, dict) else None
    if not isinstance(user, str):
        return subject
    return f"{user}, {application}" if isinstance(application, str) else user


def _revocation(_subject: str, detail: Mapping[str, Any]) -> str | None:
    selector = detail.get("selector")
    if isinstance(selector, dict) and selector.get("everything"):
        return "everybody"
    return _sessions(detail, "revoked")


def _sessions(detail: Mapping[str, Any], field: str) -> str | None:
    count = detail.get(field)
    return f"{counted(count, 'session')}{_users(detail)}" if isinstance(count, int) else None


def _users(detail: Mapping[str, Any]) -> str:
    users = detail.get("username_keys")
    if not isinstance(users, list) or not users:
        return ""
    named = ", ".join(plain(user) for user in users[:_MOST_NAMED])
    # A long revocation lists its first 1,000 sessions only: more users may be among the others.
    return f" of {named}" + (f" and {len(users) - _MOST_NAMED:,} more" if len(users) > _MOST_NAMED else "")


def _user(subject: str, detail: Mapping[str, Any]) -> str | None:
    ended = detail.get("ended")
    return f"{subject}: {counted(ended, 'session')} ended" if isinstance(ended, int) else None


def _parts(*fields: str) -> Callable[[str, Mapping[str, Any]], str]:
    """The words of an event that has its counts beside each other in its detail."""

    def words(_subject: str, detail: Mapping[str, Any]) -> str:
        counts = {field: _count(detail.get(field)) for field in fields}
        return ", ".join(f"{count:,} {plain_name(field)}" for field, count in counts.items() if count)

    return words


def _count(value: Any) -> int:
    """A count in the detail of an event; nothing where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _import(subject: str, detail: Mapping[str, Any]) -> str:
    counts = _parts("registered", "updated", "not_listed", "removed", "restored")(subject, detail)
    begun = "begun" if detail.get("stage") == "begun" else "nothing changed"
    source = f", {detail['source']}" if isinstance(detail.get("source"), str) else ""
    return f"import {subject}{source}: {counts or begun}"


def _cleanup(_subject: str, detail: Mapping[str, Any]) -> str | None:
    removed = detail.get("removed")
    if isinstance(removed, dict):
        total = sum(_count(removed.get(status)) for status in ("expired", "revoked"))
        return f"{counted(total, 'session')} removed"
    due = detail.get("due")
    return f"{counted(due, 'session')} due" if isinstance(due, int) else None


def _continuity(_subject: str, detail: Mapping[str, Any]) -> str | None:
    profiles = detail.get("profiles")
    if isinstance(profiles, dict):  # profile -> sessions that were held
        return ", ".join(f"{name}: {plain(count)} held" for name, count in profiles.items())
    return plain(profiles) if isinstance(profiles, list) else None


def _key(subject: str, detail: Mapping[str, Any]) -> str:
    sessions = _sessions(detail, "ended")
    return f"key {subject}: {sessions} ended" if sessions else f"key {subject}"


def _profiles(_subject: str, detail: Mapping[str, Any]) -> str | None:
    """The profiles that an application changed; of an event that does not name them, all profiles in force."""
    in_force, changed = detail.get("in_force"), detail.get("changed")
    if isinstance(changed, list):
        return _named(changed, "changed") if changed else "no profile changed"
    profiles = in_force.get("profiles") if isinstance(in_force, dict) else None
    return _named(list(profiles), "in force") if isinstance(profiles, dict) else None


def _named(names: list[Any], state: str) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{state}: {', '.join(map(plain, names[:_MOST_NAMED]))}{more}"


_WORDS: dict[str, Callable[[str, Mapping[str, Any]], str | None]] = {
    "session.revoke": _revocation,
    "user.disable": _user,
    "user.password": _user,
    "user.enable": lambda subject, _detail: subject,
    "session.import": _import,
    "import.undo": _import,
    "cleanup.run": _cleanup,
    "cleanup.done": _cleanup,
    "continuity.start": _continuity,
    "continuity.end": _continuity,
    "key.retire": _key,
    "key.rotate": _key,
    "profile.apply": _profiles,
    "profile.done": _parts("shortened", "lengthened", "ended"),
    "cache.clear": _parts("forgotten"),
    "audit.accept": lambda _subject, detail: _sessions(detail, "ended"),
    "clock.accept": lambda _subject, detail: _sessions(detail, "ended"),
    "registry.give_up_move": lambda _subject, detail: f"to {plain(detail['to'])}" if "to" in detail else None,
    "registry.move": lambda _subject, detail: f"to {plain(detail['to'])}" if "to" in detail else None,
    "registry.restore": lambda _subject, detail: _sessions(detail, "ended"),
}


def compact(value: Any) -> str:
    """A value that has parts, as JSON on one line; a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def disabled(user: Record) -> Any:
    """Whether a user is disabled, with the day on which that ends by itself."""
    until = user["disabled_until"]
    return f"until {until[:10]}" if user["disabled"] and until else user["disabled"]


DERIVED: dict[str, Callable[[Record], Any]] = {"advice": key_advice, "about": about, "disabled": disabled}
"""Columns that only a terminal has: each made of a whole record."""
