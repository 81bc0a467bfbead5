"""The queries of the outbox in SQLite: the columns of a delivery, and the conditions of a filter.

See docs/glossary.md#announcement.
"""

from typing import TYPE_CHECKING, Any

from authctl.names import fold

if TYPE_CHECKING:
    from authctl.model.deliveries import DeliveryFilter

PENDING = "pending"

_OF_ANNOUNCEMENT = "a.at AS decided_at, a.actor, a.note, a.revocation_id, a.txn"
# A list may be older than its announcement: an import brought its sessions after they were revoked, or their users disabled.
_DECIDED_AT = (
    "iif(a.list IS NULL, a.at, min(a.at, coalesce(CASE a.event WHEN 'session-ended' THEN s.ended_at"
    " WHEN 'session-revoked' THEN (SELECT r.at FROM revocations AS r WHERE r.id = s.revocation_id) END, a.at)))"
)
_REVOCATION = "iif(a.list IS NOT NULL AND a.event = 'session-revoked', s.revocation_id, a.revocation_id)"
_OF_EVERYTHING = (
    "a.event = 'session-revoked' AND EXISTS (SELECT 1 FROM revocations AS r WHERE r.id = s.revocation_id AND r.everything"
    " AND json_extract(r.selector, '$.except_ids') IS NULL)"
)
DELIVERY = (
    "d.announcement, d.number, a.jti || iif(d.number, '.' || coalesce(s.id, ''), '') AS jti, a.receiver, a.event, d.state,"
    " d.attempts, iif(d.state = 'pending', d.next_attempt_at, NULL) AS next_attempt_at, s.id AS session_id,"
    " coalesce(s.username, a.username) AS username, a.at AS created_at,"
    " iif(d.state IN ('delivered', 'gone'), d.settled_at, NULL) AS delivered_at, d.reason, 0 AS is_rest,"
    f" {_DECIDED_AT} AS decided_at, a.actor, a.note, {_REVOCATION} AS revocation_id, a.txn,"
    f" {_OF_EVERYTHING} AS of_everything"
)
WITH_ANNOUNCEMENT = (
    "CROSS JOIN announcements AS a ON a.id = d.announcement LEFT JOIN sessions AS s ON s.number = d.number"
)
REST = (
    "a.id AS announcement, 0 AS number, a.jti, a.receiver, a.event, a.rest AS state, 0 AS attempts, NULL AS next_attempt_at,"
    " NULL AS session_id, a.username, a.at AS created_at, NULL AS delivered_at, NULL AS reason, 1 AS is_rest,"
    f" {_OF_ANNOUNCEMENT}, 0 AS of_everything"
)
_OF_USER = (
    "(SELECT e.announcement, e.number FROM sessions AS u CROSS JOIN deliveries AS e INDEXED BY deliveries_by_session"
    " ON e.number > 0 AND e.number = u.number WHERE u.username_key = :username UNION ALL SELECT e.announcement, 0"
    " FROM deliveries AS e INDEXED BY deliveries_by_user WHERE e.number = 0 AND e.username_key = :username) AS of_user"
    " CROSS JOIN deliveries AS d ON d.announcement = of_user.announcement AND d.number = of_user.number"
)


def entrance(selection: "DeliveryFilter") -> str:
    """The deliveries of a filter, by the index that finds the few of them."""
    if selection.username is not None:
        return _OF_USER
    if selection.number is not None:
        return "deliveries AS d INDEXED BY deliveries_by_session"
    return f"deliveries AS d {'INDEXED BY deliveries_pending' if selection.state == PENDING else 'NOT INDEXED'}"


def criteria(selection: "DeliveryFilter", after: tuple[int, int] | None) -> tuple[str, str, dict[str, Any]]:
    """The conditions of a filter on deliveries `d` and on the rests of announcements `a`, and the parameters."""
    both, of_deliveries, of_rests, given = ["TRUE"], list[str](), list[str](), dict[str, Any]()
    if selection.receiver is not None:
        both.append("a.receiver_key = :receiver")
        given["receiver"] = fold(selection.receiver)
    if selection.event is not None:
        both.append("a.event = :event")
        given["event"] = selection.event
    if selection.username is not None:
        of_rests.append("a.username_key = :username")
        given["username"] = fold(selection.username)
    if selection.number is not None:
        of_deliveries.append("d.number = :number AND d.number > 0")
        of_rests.append("FALSE")
        given["number"] = selection.number
    if selection.state is not None:
        # As a literal, by which the index of the pending ones is found.
        of_deliveries.append("d.state = 'pending'" if selection.state == PENDING else "d.state = :state")
        of_rests.append("a.rest = :state")
        given["state"] = selection.state
    if after is not None:
        of_deliveries.append("(d.announcement, d.number) < (:after, :after_number)")
        of_rests.append("(a.id, 0) < (:after, :after_number)")
        given |= {"after": after[0], "after_number": after[1]}
    return " AND ".join([*both, *of_deliveries]), " AND ".join([*both, *of_rests]), given
