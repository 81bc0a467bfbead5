"""The queries of the outbox: deliveries with their announcements, the ones that are due, and the conditions of a filter.

See docs/glossary.md#announcement.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from authctl.model import texts_of
from authctl.store.sql.filters import Criteria, keys_of
from authctl.store.sql.outbox_conditions import outbox_conditions

if TYPE_CHECKING:
    from authctl.model.deliveries import DeliveryFilter
    from authctl.store.sql.dialect import Dialect

PENDING = "pending"

_NO_NUMBER = "CAST(NULL AS BIGINT)"
_NO_TEXT = "CAST(NULL AS TEXT)"
REST = (
    f"a.id AS announcement, 0 AS number, a.jti, a.receiver, a.event, a.rest AS state, 0 AS attempts, {_NO_NUMBER} AS next_attempt_at,"
    f" {_NO_TEXT} AS session_id, a.username, a.at AS created_at, {_NO_NUMBER} AS delivered_at, {_NO_TEXT} AS reason, 1 AS is_rest,"
    " a.at AS decided_at, a.actor, a.note, a.revocation_id, a.txn, 0 AS of_everything"
)


class OutboxQueries:
    """The queries in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        # A list may be older than its announcement: an import brought its sessions after they were revoked, or their users disabled.
        own = (
            "CASE a.event WHEN 'session-ended' THEN s.ended_at"
            " WHEN 'session-revoked' THEN (SELECT r.at FROM revocations AS r WHERE r.id = s.revocation_id) END"
        )
        decided_at = f"CASE WHEN a.list IS NULL THEN a.at ELSE {dialect.least('a.at', f'coalesce({own}, a.at)')} END"
        revocation = (
            "CASE WHEN a.list IS NOT NULL AND a.event = 'session-revoked' THEN s.revocation_id ELSE a.revocation_id END"
        )
        of_everything = (
            "a.event = 'session-revoked' AND EXISTS (SELECT 1 FROM revocations AS r WHERE r.id = s.revocation_id"
            f" AND r.everything = 1 AND {dialect.member('r.selector', 'except_ids')} IS NULL)"
        )
        self.delivery = (
            "d.announcement, d.number, a.jti || CASE WHEN d.number = 0 THEN '' ELSE '.' || coalesce(s.id, '') END AS jti, a.receiver,"
            " a.event, d.state, d.attempts, CASE WHEN d.state = 'pending' THEN d.next_attempt_at END AS next_attempt_at,"
            " s.id AS session_id, coalesce(s.username, a.username) AS username, a.at AS created_at,"
            " CASE WHEN d.state IN ('delivered', 'gone') THEN d.settled_at END AS delivered_at, d.reason, 0 AS is_rest,"
            f" {decided_at} AS decided_at, a.actor, a.note, {revocation} AS revocation_id, a.txn,"
            f" CASE WHEN {of_everything} THEN 1 ELSE 0 END AS of_everything"
        )
        self._make_due(dialect)
        self._make_lists(dialect)

    def _make_due(self, dialect: "Dialect") -> None:
        """The deliveries that are due, and the counts."""
        by_session = dialect.table("deliveries", "e", "deliveries_by_session")
        by_user = dialect.table("deliveries", "e", "deliveries_by_user")
        earlier = "e.announcement < d.announcement AND e.receiver_key = d.receiver_key AND e.state = 'pending'"
        # Whether an earlier delivery about the same session, or the same user, is pending.
        waits = (
            f"(d.number > 0 AND EXISTS (SELECT 1 FROM {by_session} WHERE e.number > 0 AND e.number = d.number AND {earlier})"
            f" OR d.number = 0 AND EXISTS (SELECT 1 FROM {by_user} WHERE e.number = 0 AND e.username_key = d.username_key AND {earlier}))"
        )
        due = dialect.table("deliveries", "d", "deliveries_due")
        self.due = (
            f"SELECT d.announcement, d.number FROM {due} WHERE d.receiver_key = :receiver"
            " AND d.state = 'pending' AND d.next_attempt_at {due} AND d.leased_until NOT BETWEEN :clock + 1 AND :clock + :longest_lease"
            f" AND NOT {waits} ORDER BY d.next_attempt_at, d.announcement, d.number LIMIT :limit"
        )
        pending = dialect.table("announcements", index="announcements_pending")
        is_due = (
            f"EXISTS (SELECT 1 FROM {dialect.table('deliveries', index='deliveries_due')} WHERE receiver_key = :receiver"
            " AND state = 'pending' AND next_attempt_at {when})"
        )
        self.has_due = (
            f"SELECT {is_due.format(when='<= :clock')} OR {is_due.format(when='> :clock + :longest')}"
            f" OR EXISTS (SELECT 1 FROM {pending} WHERE receiver_key = :receiver AND rest = 'pending')"
        )
        self.counts = (
            # Ids and instants ascend together: the oldest decision is that of the lowest id.
            "SELECT c.receiver_key, 0, c.pending, (SELECT at FROM announcements WHERE id = c.oldest) FROM ("
            "SELECT receiver_key, count(*) AS pending, min(announcement) AS oldest"
            f" FROM {dialect.table('deliveries', index='deliveries_due')} WHERE state = 'pending' GROUP BY receiver_key) AS c"
            f" UNION ALL SELECT receiver_key, 0, count(*), min(at) FROM {pending} WHERE rest = 'pending' GROUP BY receiver_key"
            f" UNION ALL SELECT receiver_key, CASE state WHEN 'refused' THEN 2 ELSE 3 END, count(*), {_NO_NUMBER}"
            f" FROM {dialect.table('deliveries', index='deliveries_unsuccessful')} WHERE state IN ('refused', 'dead')"
            " GROUP BY receiver_key, state"
            f" UNION ALL SELECT receiver_key, 3, count(*), {_NO_NUMBER} FROM announcements WHERE rest = 'dead' GROUP BY receiver_key"
        )
        join = dialect.join_in_order
        # The numbers are read first: else every session that is revoked would be looked at.
        numbers = f"SELECT value FROM {dialect.list_rows('numbers', 'given', 'bigint')}"
        listed = f"(SELECT number FROM imported WHERE number > :after UNION {numbers}) AS listed"
        sessions = join(listed, "sessions AS s", "s.number = listed.number")
        imported = join(sessions, "imported AS i", "i.number = s.number")
        is_other = dialect.differs("(s.ended_at, s.ended_reason)", "(i.source_ended_at, i.source_ended_reason)")
        self.late = (
            "SELECT CASE WHEN r.at IS NULL THEN 'session-ended' ELSE 'session-revoked' END AS event, r.actor, r.note,"
            f" {dialect.collected('s.number')} FROM {join(imported, 'revocations AS r', 'r.id = s.revocation_id')}"
            f" WHERE r.at IS NOT NULL OR (s.ended_reason IN ('user_disabled', 'password_changed') AND {is_other}) GROUP BY r.id"
        )

    def _make_lists(self, dialect: "Dialect") -> None:
        """The deliveries of a user, of a session, of an announcement, and those that are given up."""
        join = dialect.join_in_order
        self.by_session = dialect.table("deliveries", "d", "deliveries_by_session")
        by_session = dialect.table("deliveries", "e", "deliveries_by_session")
        by_user = dialect.table("deliveries", "e", "deliveries_by_user")
        of_sessions = join("sessions AS u", by_session, "e.number > 0 AND e.number = u.number")
        of_user = (
            f"(SELECT e.announcement, e.number FROM {of_sessions} WHERE {dialect.is_listed('u.username_key', 'username')}"
            f" UNION ALL SELECT e.announcement, 0 FROM {by_user} WHERE e.number = 0 AND {dialect.is_listed('e.username_key', 'username')})"
            " AS of_user"
        )
        same = "d.announcement = of_user.announcement AND d.number = of_user.number"
        self.of_user = join(of_user, "deliveries AS d", same)
        self.pending = dialect.table("deliveries", "d", "deliveries_pending")
        self.anywhere = dialect.whole_table("deliveries", "d")
        covered = outbox_conditions(dialect).covers
        untold = (
            f"a.rest <> 'none' AND s.number > a.expanded_to AND {covered}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = s.number)"
        )
        of_number = join("announcements AS a", "sessions AS s", "s.number = :number")
        self.rests_of_session = f"SELECT {REST} FROM {of_number} WHERE {untold}"
        of_revocation = join(
            "announcements AS a",
            dialect.table("sessions", "s", "sessions_by_revocation"),
            "s.revocation_id = a.revocation_id",
        )
        of_list = join(
            join("announcements AS a", "announced_sessions AS l", "l.list = a.list"),
            "sessions AS s",
            "s.number = l.number",
        )
        self.rest = (
            f"SELECT (SELECT count(*) FROM {of_revocation} WHERE a.id = :id AND {untold})"
            f" + (SELECT count(*) FROM {of_list} WHERE a.id = :id AND {untold})"
            " + (SELECT count(*) FROM announcements AS a WHERE a.id = :id AND a.rest <> 'none' AND a.username_key IS NOT NULL)"
        )
        """How many sessions an announcement covers that have no delivery of it; 1 for an event of a user."""
        with_deliveries = join(
            dialect.table("announcements", "a", "announcements_by_age"),
            dialect.table("deliveries", "d", "deliveries_pending"),
            "d.announcement = a.id AND d.state = 'pending'",
        )
        self.is_too_old = f"a.give_up_at <= :now AND NOT {dialect.is_listed('a.receiver_key', 'spared')}"
        # Of old announcements there are few, and most of their deliveries are settled.
        self.too_old = f"SELECT d.announcement, d.number FROM {with_deliveries} WHERE {self.is_too_old} LIMIT :limit"
        leased = join(
            dialect.list_pairs("places", "listed"),
            "deliveries AS d",
            "d.announcement = listed.first AND d.number = listed.second",
        )
        self.leased = f"SELECT {self.delivery} FROM {self.with_announcement(leased)} ORDER BY listed.id"

    @staticmethod
    def with_announcement(deliveries: str) -> str:
        """Deliveries after FROM, each with its announcement and, where there is one, its session."""
        return f"{deliveries} JOIN announcements AS a ON a.id = d.announcement LEFT JOIN sessions AS s ON s.number = d.number"


@cache
def outbox_queries(dialect: "Dialect") -> OutboxQueries:
    """The queries in a dialect, made once."""
    return OutboxQueries(dialect)


def entrance(selection: "DeliveryFilter", texts: OutboxQueries) -> str:
    """The deliveries of a filter, by the index that finds the few of them."""
    if selection.username is not None:
        return texts.of_user
    if selection.numbers:
        return texts.by_session
    return texts.pending if texts_of(selection.state) == (PENDING,) else texts.anywhere


def criteria(
    selection: "DeliveryFilter", after: tuple[int, int] | None, dialect: "Dialect"
) -> tuple[str, str, dict[str, Any]]:
    """The conditions of a filter on deliveries `d` and on the rests of announcements `a`, and the parameters."""
    of_deliveries, of_rests = Criteria(dialect), Criteria(dialect)
    for both in (of_deliveries, of_rests):
        both.add_texts("a.receiver_key", "receiver", selection.receiver)
        both.add_values("a.event", "event", texts_of(selection.event))
    users = keys_of(selection.username)
    of_deliveries.add_list("TRUE", "username", users)  # the entrance has the condition
    of_rests.add_list(dialect.is_listed("a.username_key", "username"), "username", users)
    if selection.numbers:
        of_deliveries.add_list(
            f"{dialect.is_listed('d.number', 'numbers')} AND d.number > 0", "numbers", selection.numbers
        )
        of_rests.conditions.append("FALSE")
    if texts_of(selection.state) == (PENDING,):
        # As a literal, by which the index of the pending ones is found.
        of_deliveries.conditions.append("d.state = 'pending'")
        of_rests.conditions.append("a.rest = 'pending'")
    else:
        of_deliveries.add_values("d.state", "state", texts_of(selection.state))
        of_rests.add_values("a.rest", "state", texts_of(selection.state))
    if after is not None:
        of_deliveries.add("(d.announcement, d.number) < (:after, :after_number)", "after", after[0])
        of_rests.add("(a.id, 0) < (:after, :after_number)", "after", after[0])
        of_deliveries.parameters["after_number"] = after[1]
    return of_deliveries.where, of_rests.where, of_rests.parameters | of_deliveries.parameters
