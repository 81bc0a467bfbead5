"""Conditions of the outbox on a session `s`, as PostgreSQL writes them.

See docs/glossary.md#announcement.
"""

_FIELDS = ("source", "application", "profile", "kind")
_KEYS = {"source": "s.source_key", "application": "s.application_key", "profile": "s.profile_key", "kind": "s.kind"}
IS_TOLD = " AND ".join(
    f"(jsonb_array_length(a.narrowing::jsonb -> '{field}') = 0"
    f" OR {_KEYS[field]} IN (SELECT jsonb_array_elements_text(a.narrowing::jsonb -> '{field}')))"
    for field in _FIELDS
)
"""Whether the receiver of an announcement `a` is told about a session `s`, by the narrowing of that time."""

COVERS = (
    "s.number <= a.last_number AND (s.revocation_id = a.revocation_id OR a.list IS NOT NULL AND EXISTS"
    f" (SELECT 1 FROM announced_sessions AS l WHERE l.list = a.list AND l.number = s.number)) AND {IS_TOLD}"
)
"""Whether an announcement `a` covers a session `s`."""

IS_NEWS = (
    "(a.event <> 'session-revoked' OR NOT EXISTS (SELECT 1 FROM deliveries AS o"
    " JOIN announcements AS b ON b.id = o.announcement WHERE o.number > 0 AND o.number = s.number"
    " AND o.announcement <> a.id AND o.receiver_key = a.receiver_key AND o.state <> 'gone' AND b.event = a.event))"
)
"""Whether no other announcement has told its receiver that a session `s` is revoked, as that of an announcement `a` does.

A known session that an import brings under a revocation is covered by the list of the import and, until that is expanded, by the
revocation.
"""

WAITS = (
    "(EXISTS (SELECT 1 FROM deliveries AS d"
    " WHERE d.number > 0 AND d.number = s.number AND d.state = 'pending')"
    " OR s.revocation_id IN (SELECT revocation_id FROM announcements WHERE rest = 'pending' AND revocation_id IS NOT NULL)"
    " OR EXISTS (SELECT 1 FROM announced_sessions AS l JOIN announcements AS a ON a.list = l.list"
    " WHERE l.number = s.number AND a.rest = 'pending'))"
)
"""Whether a delivery about a session `s` is pending, or is going to be made of an announcement."""

IS_PENDING = (
    "(EXISTS (SELECT 1 FROM deliveries AS d WHERE d.number = s.number AND d.number > 0 AND d.state = 'pending')"
    " OR EXISTS (SELECT 1 FROM announcements AS a WHERE a.rest = 'pending' AND s.number > a.expanded_to"
    f" AND {COVERS} AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = s.number)))"
)
"""Whether a delivery about a session is pending, its announcement expanded so far or not."""
