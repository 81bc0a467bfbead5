"""Sessions as JSON text, equal to `json.dumps` of the record of each, but without the record. For lists of any length.

A list of a million sessions would spend a third of its time on records and their JSON.
"""

import json
from json.encoder import encode_basestring_ascii
from operator import itemgetter
from typing import Any

from authctl import records
from authctl.instants import HOUR, NEVER, SECOND, format_instant
from authctl.model import Session


def _fields(names: str) -> "itemgetter[Any]":
    return itemgetter(*map(Session._fields.index, names.split()))


_MOST_TEXTS = 4_096
_MOST_HOURS = 20_000
_WHO = _fields("id username application application_version platform device ip user_agent kind profile")
_WHEN = _fields("created_at last_used_at expires_at idle_expires_at absolute_expires_at ended_at")
_REST = _fields("revoked_at revoked_by revocation_id note signed_in_with referrer source source_id read_at")


class _Texts(dict[Any, str]):
    """The JSON of texts that come again and again; nothing is `null`."""

    def __missing__(self, text: str | None) -> str:
        if len(self) >= _MOST_TEXTS:
            self.clear()
        encoded = self[text] = "null" if text is None else encode_basestring_ascii(text)
        return encoded


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


def session_text(session: Session) -> str:
    """The JSON text of a session's record."""
    try:
        return _text(session)
    except TypeError:  # a damaged registry may hold a number where a text is expected
        return json.dumps(records.session(session))


def _text(session: Session) -> str:
    # decision 203: local variables, and no call where most sessions have nothing, take half the time
    (
        (id_, username, application, version, platform, device, ip, user_agent, kind, profile),
        (created_at, last_used_at, expires_at, idle_expires_at, absolute_expires_at, ended_at),
        (revoked_at, revoked_by, revocation_id, note, signed_in_with, referrer, source, source_id, read_at),
    ) = _WHO(session), _WHEN(session), _REST(session)
    text, known, first_end = encode_basestring_ascii, _known_texts, _instant(expires_at)
    status = session.status_at(read_at)
    return (
        f'{{"id": {text(id_)}, "username": {text(username)}, "application": {known[application]},'
        f' "application_version": {known[version]}, "platform": {known[platform]},'
        f' "device": {"null" if device is None else text(device)}, "ip": {"null" if ip is None else text(ip)},'
        f' "user_agent": {known[user_agent]}, "kind": {known[kind]}, "profile": {known[profile]},'
        f' "status": {known[status]}, "created_at": {_instant(created_at)}, "last_used_at": {_instant(last_used_at)},'
        f' "expires_at": {first_end},'
        f' "idle_expires_at": {first_end if idle_expires_at == expires_at else _instant(idle_expires_at)},'
        f' "absolute_expires_at": {first_end if absolute_expires_at == expires_at else _instant(absolute_expires_at)},'
        f' "ended_at": {"null" if ended_at is None else _instant(ended_at)},'
        f' "ended_reason": {"null" if status == "active" else known[session.ended_reason]},'
        f' "revoked_at": {"null" if revoked_at is None else _instant(revoked_at)}, "revoked_by": {known[revoked_by]},'
        f' "revocation_id": {"null" if revoked_at is None else revocation_id}, "note": {known[note]},'
        f' "signed_in_with": {known[signed_in_with]}, "referrer": {"null" if referrer is None else text(referrer)},'
        f' "wipe": {"null" if revoked_at is None else known[session.wipe]}, "source": {known[source]},'
        f' "source_id": {"null" if source_id is None else text(source_id)}}}'
    )


def _instant(instant: int) -> str:
    """`records.instant` as JSON."""
    if instant >= NEVER:
        return "null"
    seconds, microseconds = divmod(instant, SECOND)
    if not microseconds % 1_000:  # has fewer digits
        return f'"{format_instant(instant)}"'
    hour, of_hour = divmod(seconds, 3_600)
    return f'{_hours[hour]}{_seconds[of_hour]}.{microseconds:06}Z"'
