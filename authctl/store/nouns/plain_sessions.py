"""New sessions of an import, each as one tuple: `add_imported` makes the same of them, in twice the time.

See docs/glossary.md#short-way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from authctl.model import Kind
from authctl.names import fold, new_ids

if TYPE_CHECKING:
    from authctl.store.nouns.reader import Writer
    from authctl.store.protocol.imports import PlainSession

_COLUMNS = (
    "number, id, username, username_key, application, application_key, application_version, platform, platform_key,"
    " device, device_key, ip, user_agent, referrer, source_id, source_id_key, profile, profile_key, created_at,"
    " last_used_at, slid_at, idle_expires_at, absolute_expires_at, expires_at, use_due_at, fixed_expires_at, source,"
    " source_key, revocation_id, kind"
)
"""The columns that differ from those of any other new session of an application."""

_KEY_COLUMNS = (
    "number, key, said_at, key_without_user, created_by_source, listed_at, rows_digest, profile_named, import_id"
)


def insert(
    writer: Writer,
    numbered: Sequence[tuple[int, PlainSession]],
    revocation_id: int,
    import_id: int | None,
) -> None:
    """Insert numbered sessions under a revocation, with their keys."""
    writer.insert_rows("sessions", _COLUMNS, _rows(numbered, revocation_id))
    writer.insert_rows("imported", _KEY_COLUMNS, _keys(numbered, import_id))


def _rows(numbered: Sequence[tuple[int, PlainSession]], revocation_id: int) -> Iterator[tuple[Any, ...]]:
    """The values of `_COLUMNS`."""
    for (number, one), session_id in zip(numbered, new_ids(len(numbered)), strict=True):
        detail = one.details.get
        application, platform, device = detail("application"), detail("platform"), detail("device")
        source_id, fixed = detail("source_id"), detail("expires_at")
        slid_at, idle, absolute, expires_at, due = one.deadlines
        yield (
            number,
            session_id,
            detail("username"),
            one.username_key,
            application,
            application and fold(application),
            detail("application_version"),
            platform,
            platform and fold(platform),
            device,
            device and fold(device),
            detail("ip"),
            detail("user_agent"),
            detail("referrer"),
            source_id,
            source_id and fold(source_id),
            one.profile,
            fold(one.profile),
            one.created_at,
            one.last_used_at,
            slid_at,
            idle,
            absolute,
            expires_at if fixed is None else fixed,
            due,
            fixed,
            one.source,
            one.source and fold(one.source),
            revocation_id,
            Kind.APPLICATION.value,
        )


def _keys(numbered: Sequence[tuple[int, PlainSession]], import_id: int | None) -> Iterator[tuple[Any, ...]]:
    """The values of `_KEY_COLUMNS`."""
    for number, one in numbered:
        detail_times, is_exact = _json(one.details, one.detail_times), one.is_created_exact
        of_rows = (int(is_exact), one.listed_at, one.rows_digest, int(one.profile_named))
        yield (number, one.key, detail_times, one.key_without_user, *of_rows, import_id)


def _json(details: dict[str, Any], detail_times: dict[str, int] | int) -> str:
    """The instants of the details as JSON. Names of fields need no escapes: `json.dumps` takes eight times as long."""
    if isinstance(detail_times, dict):
        return json.dumps(detail_times)
    return '{"' + f'": {detail_times}, "'.join(details) + f'": {detail_times}}}'
