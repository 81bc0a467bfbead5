"""Sessions as JSON text, equal to `json.dumps` of the record of each, but without the record. For lists of any length.

A list of a million sessions would spend a third of its time on records and their JSON.
"""

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any

from authctl.instants import HOUR, NEVER, SECOND, format_instant
from authctl.model.listed_sessions import ListedSession
from authctl.model.sessions import is_alive, last_deadline, wipe_stage

_MOST_TEXTS = 4_096
_MOST_HOURS = 20_000
_NO_REVOCATION = '"revoked_at": null, "revoked_by": null, "revocation_id": null, "note": null'
"""The revocation that is open has no time, actor and note."""


class _Texts(dict[Any, str]):
    """The JSON of texts that come again and again; nothing is `null`."""

    def __missing__(self, text: str | None) -> str:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        encoded = self[text] = "null" if text is None else encode_basestring_ascii(text)
        return encoded


class _Values(dict[Any, str]):
    """The JSON of values of any type, of which none is kept."""

    def __missing__(self, value: Any) -> str:
        return json.dumps(value)


class _Hours(dict[int, str]):
    """The beginnings of instants: the quotation mark, the date and the hour."""

    def __missing__(self, hour: int) -> str:
        if len(self) >= _MOST_HOURS:
            self.clear()
        beginning = self[hour] = f'"{format_instant(hour * HOUR)[:14]}'
        return beginning


class _Seconds(dict[int, str]):
    """The minutes and seconds of instants."""

    def __missing__(self, of_hour: int) -> str:
        text = self[of_hour] = f"{of_hour // 60:02}:{of_hour % 60:02}"
        return text


_known_texts = _Texts()
_hours = _Hours()
_seconds = _Seconds()


def session_text(session: ListedSession) -> str:
    """The JSON text of a session's record."""
    try:
        return _text(session, encode_basestring_ascii, _known_texts)
    except TypeError:  # a damaged registry may hold a number where a text is expected
        return _text(session, json.dumps, _Values())


def _text(session: ListedSession, text: Callable[[Any], str], known: dict[Any, str]) -> str:
    # decision 203: local variables, and no call where most sessions have nothing, take half the time. The slice is a plain
    # tuple, which Python takes apart faster than one of a class (decision 344).
    (
        _,
        created_at,
        last_used_at,
        idle_expires_at,
        absolute_expires_at,
        expires_at,
        ends_at,
        read_at,
        fixed_expires_at,
        ended_at,
        revoked_at,
        wipe_delivered_at,
        wipe_acknowledged_at,
        id_,
        username,
        application,
        version,
        platform,
        device,
        ip,
        user_agent,
        kind,
        profile,
        signed_in_with,
        referrer,
        ended_by,
        wipe_on_revoke,
        source,
        source_id,
        revocation_id,
        revoked_by,
        note,
    ) = session[:]
    first_end = _instant(expires_at)
    status, reason, revocation, wipe = "active", "null", _NO_REVOCATION, "null"
    if not is_alive(ended_at, ends_at, read_at):
        status = "expired"
        deadlines = (idle_expires_at, absolute_expires_at, fixed_expires_at, expires_at, ends_at)
        reason = known[ended_by or last_deadline(*deadlines)]
    if revoked_at is not None:
        status = "revoked"
        revocation = (
            f'"revoked_at": {_instant(revoked_at)}, "revoked_by": {known[revoked_by]},'
            f' "revocation_id": {revocation_id}, "note": {known[note]}'
        )
        if wipe_on_revoke:
            wipe = known[wipe_stage(wipe_delivered_at, wipe_acknowledged_at)]
    return (
        f'{{"id": {text(id_)}, "username": {text(username)}, "application": {known[application]},'
        f' "application_version": {known[version]}, "platform": {known[platform]},'
        f' "device": {"null" if device is None else text(device)}, "ip": {"null" if ip is None else text(ip)},'
        f' "user_agent": {"null" if user_agent is None else known[user_agent]}, "kind": {known[kind]},'
        f' "profile": {known[profile]},'
        f' "status": "{status}", "created_at": {_instant(created_at)}, "last_used_at": {_instant(last_used_at)},'
        f' "expires_at": {first_end},'
        f' "idle_expires_at": {first_end if idle_expires_at == expires_at else _instant(idle_expires_at)},'
        f' "absolute_expires_at": {first_end if absolute_expires_at == expires_at else _instant(absolute_expires_at)},'
        f' "ended_at": {"null" if ended_at is None else _instant(ended_at)}, "ended_reason": {reason}, {revocation},'
        f' "signed_in_with": {known[signed_in_with]}, "referrer": {"null" if referrer is None else text(referrer)},'
        f' "wipe": {wipe}, "source": {"null" if source is None else known[source]},'
        f' "source_id": {"null" if source_id is None else text(source_id)}}}'
    )


def _instant(instant: int) -> str:
    """`records.instant` as JSON."""
    if instant >= NEVER:
        return "null"
    hour, of_hour = divmod(instant, HOUR)
    second, microsecond = divmod(of_hour, SECOND)
    if not microsecond % 1_000:  # has fewer digits
        return f'"{format_instant(instant)}"'
    return f'{_hours[hour]}{_seconds[second]}.{microsecond:06}Z"'
