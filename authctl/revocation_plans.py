"""Plans of revocations: the exact sessions that one person found and another one revokes, as a JSON text.

Pure. A plan is input from outside: it is read strictly, and each member is checked. The digest covers all other members.

See docs/glossary.md#plan.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from authctl import names
from authctl.errors import InvalidInput
from authctl.instants import format_instant, parse_instant
from authctl.model import SessionFilter

MOST_SESSIONS = 1_000_000
"""The most sessions of a plan."""

LARGEST_FILE = 64 * 1024 * 1024
"""The most bytes of a plan's file: a million sessions, with the ids by which they were selected."""

_VERSION = 1
_TIMES = ("created_since", "created_before", "used_since", "unused_since", "expires_before")
_LISTS = ("ids", "except_ids", "status")
_TEXTS = ("kind", "search", "key_id")
_NAMES = ("username", "application", "device", "platform", "profile", "source")
_FLAGS = ("used_after_end", "everything")
_MEMBERS: dict[str, type] = {
    "authctl_plan": int,
    "registry": str,
    "made_at": str,
    "made_by": str,
    "filter": dict,
    "keep": object,
    "counts": dict,
    "sessions": list,
    "digest": str,
}
_KINDS = {int: "a whole number", str: "a text", dict: "an object", list: "a list"}
_COUNTS = ("sessions", "active", "expired", "web", "users", "applications")


class PlanFacts(NamedTuple):
    """The facts of a plan that an outcome and its audit event have."""

    digest: str
    made_at: int
    made_by: str
    newcomers: int = 0
    """The sessions that its filter selects now and that are not in it; they are not revoked."""


class Plan(NamedTuple):
    """The sessions that a revocation is to hit, with the filter that found them."""

    registry_id: str
    made_at: int
    made_by: str
    selection: SessionFilter
    keep: int | None
    """With a number, the newest sessions of each user and application were left out."""
    counts: Mapping[str, int]
    """The sessions counted, for the reader: all, active, expired, web; and their users and applications."""
    session_ids: tuple[str, ...]
    """Whole ids, sorted, each once."""

    @property
    def content(self) -> dict[str, Any]:
        """All members but the digest, as they are written."""
        criteria = self.selection.criteria()
        return {
            "authctl_plan": _VERSION,
            "registry": self.registry_id,
            "made_at": format_instant(self.made_at),
            "made_by": self.made_by,
            "filter": {name: format_instant(value) if name in _TIMES else value for name, value in criteria.items()},  # type: ignore[arg-type]
            "keep": self.keep,
            "counts": dict(self.counts),
            "sessions": list(self.session_ids),
        }

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, as JSON without white space and with sorted names."""
        return digest_of(self.content)

    def to_text(self) -> str:
        """The text of the plan's file: JSON, one session a line."""
        content = self.content
        return json.dumps({**content, "digest": digest_of(content)}, indent=1) + "\n"


def digest_of(content: Mapping[str, Any]) -> str:
    """The digest of all other members of a plan."""
    return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_plan(raw: bytes, name: str) -> Plan:
    """The plan of a file; `name` is its name in errors. Raises InvalidInput for anything that `Plan.to_text` does not write."""
    try:
        return _plan(_members(raw))
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", "make the plan again: authctl revoke ... --plan FILE") from None


def _members(raw: bytes) -> dict[str, Any]:
    try:
        members = json.loads(raw.decode(), object_pairs_hook=_each_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidInput("not a plan: it is not JSON, or breaks off") from None
    if not isinstance(members, dict) or "authctl_plan" not in members:
        raise InvalidInput("not a plan of a revocation")
    _check_names(members, _MEMBERS, "the plan")
    for member, kind in _MEMBERS.items():
        _check_type(members[member], kind, member)
    if members["authctl_plan"] != _VERSION:
        raise InvalidInput(f"version {members['authctl_plan']} of plans is not known")
    return members


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInput("a member is written twice")
    return members


def _no_constant(text: str) -> Any:
    raise InvalidInput(f"{text} is no value of a plan")


def _check_names(members: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any], where: str) -> None:
    if unknown := sorted(members.keys() - set(known)):
        raise InvalidInput(f"{where} has an unknown member {names.quoted(unknown[0])}")
    if missing := sorted(set(known) - members.keys()):
        raise InvalidInput(f"{where} has no member {names.quoted(missing[0])}")


def _check_type(value: Any, kind: type, member: str) -> None:
    # JSON's true is an int to Python
    if kind is not object and (not isinstance(value, kind) or isinstance(value, bool)):
        raise InvalidInput(f"the member {names.quoted(member)} is not {_KINDS[kind]}")


def _plan(members: Mapping[str, Any]) -> Plan:
    content = {name: value for name, value in members.items() if name != "digest"}
    sessions = members["sessions"]
    _check_sessions(sessions)
    plan = Plan(
        names.field(members["registry"], "registry"),
        parse_instant(members["made_at"]),
        names.field(members["made_by"], "made_by"),
        _selection(members["filter"]),
        _keep(members["keep"]),
        _counts(members["counts"], len(sessions)),
        tuple(sessions),
    )
    if members["digest"] != digest_of(content):
        raise InvalidInput("the digest does not match: the plan was changed after it was made")
    # Another spelling of a time or filter would be another text with the same meaning: it is not written by authctl.
    if plan.content != content:
        raise InvalidInput("the plan is not written as authctl writes it")
    return plan


def _check_sessions(sessions: Sequence[Any]) -> None:
    if len(sessions) > MOST_SESSIONS:
        raise InvalidInput(f"{len(sessions):,} sessions are more than {MOST_SESSIONS:,}")
    _check_ids(sessions, "sessions")
    if len(set(sessions)) != len(sessions):
        raise InvalidInput("a session is listed twice")
    if sorted(sessions) != list(sessions):
        raise InvalidInput("the sessions are not sorted")


def _check_ids(ids: Sequence[Any], member: str) -> None:
    for text in ids:
        if not isinstance(text, str) or names.id_prefix(text) != text or not names.is_whole_id(text):
            shown = names.quoted(text) if isinstance(text, str) else "a value"
            raise InvalidInput(f"{shown} in {names.quoted(member)} is no whole id of a session")


def _keep(value: Any) -> int | None:
    if value is None:
        return None
    _check_type(value, int, "keep")
    if not 1 <= value <= MOST_SESSIONS:
        raise InvalidInput(f"the member 'keep' is not between 1 and {MOST_SESSIONS:,}")
    return int(value)


def _counts(counts: Mapping[str, Any], sessions: int) -> dict[str, int]:
    _check_names(counts, _COUNTS, "'counts'")
    for name, count in counts.items():
        _check_type(count, int, name)
        if not 0 <= count <= sessions:
            raise InvalidInput(f"the count {names.quoted(name)} is not between 0 and {sessions:,}")
    if counts["sessions"] != sessions or counts["active"] + counts["expired"] != sessions:
        raise InvalidInput(f"the counts are not those of {names.counted(sessions, 'session')}")
    return dict(counts)


def _selection(criteria: Mapping[str, Any]) -> SessionFilter:
    read = {name: _criterion(name, value) for name, value in criteria.items()}
    try:
        return SessionFilter(**read)
    except InvalidInput as error:
        raise InvalidInput(f"'filter': {error.message}") from None


def _criterion(name: str, value: Any) -> Any:
    """The value of one criterion. Raises InvalidInput for an unknown name or a value of another type."""
    if name in _FLAGS and value is True:
        return value
    if name in _TIMES and isinstance(value, str):
        return parse_instant(value)
    if name in (*_TEXTS, *_NAMES) and isinstance(value, str):
        return value
    if name in (*_LISTS, *_NAMES) and isinstance(value, list) and all(isinstance(text, str) for text in value):
        if name in ("ids", "except_ids"):
            _check_ids(value, name)
        return tuple(value)
    known = name in (*_FLAGS, *_TIMES, *_TEXTS, *_NAMES, *_LISTS)
    problem = "is not of the right type" if known else "is unknown"
    raise InvalidInput(f"the criterion {names.quoted(name)} {problem}")
