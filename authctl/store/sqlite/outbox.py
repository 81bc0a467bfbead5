"""The outbox in SQLite: announcements, and the deliveries that they are expanded to.

See docs/glossary.md#announcement.
"""

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.sqlite.outbox_conditions import COVERS
from authctl.store.sqlite.outbox_queries import DELIVERY, PENDING, REST, WITH_ANNOUNCEMENT, criteria, entrance
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model.deliveries import Delivery, DeliveryFilter, Narrowing, Subscription
    from authctl.store.protocol.outbox import (
        Decision,
        LateDecision,
        OutboxCount,
        ReadSubscriptions,
        ReceiverPause,
        Settled,
    )

LONGEST_PAUSE = 3_600_000_000
"""The longest time between two attempts, in microseconds: what lies further ahead was written before the clock was set back."""
_LONGEST_LEASE = 1_200_000_000

_EARLIER = (
    "(d.number > 0 AND EXISTS (SELECT 1 FROM deliveries AS e INDEXED BY deliveries_by_session WHERE e.number > 0"
    " AND e.number = d.number AND e.announcement < d.announcement AND e.receiver_key = d.receiver_key AND e.state = 'pending')"
    " OR d.number = 0 AND EXISTS (SELECT 1 FROM deliveries AS e INDEXED BY deliveries_by_user WHERE e.number = 0"
    " AND e.username_key = d.username_key AND e.announcement < d.announcement AND e.receiver_key = d.receiver_key"
    " AND e.state = 'pending'))"
)
"""Whether an earlier delivery about the same session, or the same user, is pending."""

_DUE = (
    "SELECT d.announcement, d.number FROM deliveries AS d INDEXED BY deliveries_due WHERE d.receiver_key = :receiver"
    # decision 237: a lease that ends later than the longest one was taken before the clock was set back, and is over
    " AND d.state = 'pending' AND d.next_attempt_at {due} AND d.leased_until NOT BETWEEN :clock + 1 AND :clock + :longest_lease"
    f" AND NOT {_EARLIER} ORDER BY d.next_attempt_at, d.announcement, d.number LIMIT :limit"
)


_ANNOUNCED = (
    *("event", "at", "actor", "note", "txn", "username", "username_key", "revocation_id", "list", "jti", "receiver"),
    *("receiver_key", "narrowing", "give_up_after", "give_up_at"),
)
_ANNOUNCE = (
    f"INSERT INTO announcements ({', '.join(_ANNOUNCED)}, last_number)"
    f" VALUES ({', '.join(f':{name}' for name in _ANNOUNCED)}, (SELECT coalesce(max(number), 0) FROM sessions))"
)


class OutboxReader(Reader):
    """`OutboxView` over SQLite."""

    def subscriptions(self) -> "ReadSubscriptions | None":
        row = self.one_row("SELECT digest, content FROM subscriptions")
        if row is None:
            return None
        from authctl.store.protocol.outbox import ReadSubscriptions

        return ReadSubscriptions(row[0], _subscriptions(row[1]))

    def deliveries(
        self, selection: "DeliveryFilter", limit: int, after: tuple[int, int] | None = None
    ) -> "list[Delivery]":
        of_deliveries, of_rests, given = criteria(selection, after)
        # decision 331: both halves come in the order of their keys, so that a page reads no more than it gives
        sql = (
            f"SELECT * FROM (SELECT {DELIVERY} FROM {entrance(selection)} {WITH_ANNOUNCEMENT} WHERE {of_deliveries}"
            " ORDER BY d.announcement DESC, d.number DESC LIMIT :limit)"
            f" UNION ALL SELECT * FROM (SELECT {REST} FROM announcements AS a WHERE a.rest <> 'none' AND {of_rests}"
            " ORDER BY a.id DESC LIMIT :limit) ORDER BY 1 DESC, 2 DESC LIMIT :limit"
        )
        return [_delivery(row) for row in self.all_rows(sql, {**given, "limit": limit})]

    def deliveries_of_session(self, number: int) -> "list[Delivery]":
        sql = (
            f"SELECT {DELIVERY} FROM deliveries AS d INDEXED BY deliveries_by_session {WITH_ANNOUNCEMENT}"
            " WHERE d.number = :number AND d.number > 0"
            f" UNION ALL SELECT {REST} FROM announcements AS a CROSS JOIN sessions AS s ON s.number = :number"
            f" WHERE a.rest <> 'none' AND s.number > a.expanded_to AND {COVERS}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = :number) ORDER BY 1, 2"
        )
        return [_delivery(row) for row in self.all_rows(sql, {"number": number})]

    def outbox_counts(self) -> "list[OutboxCount]":
        from authctl.store.protocol.outbox import OutboxCount

        counts: dict[str, list[Any]] = {}
        for receiver, column, count, oldest in self.all_rows(_COUNTS):
            counted = counts.setdefault(receiver, [0, None, 0, 0])
            counted[column] += count
            if column == 0:
                counted[1] = min(filter(None, (counted[1], oldest)), default=None)
        names = dict(self.all_rows("SELECT receiver_key, receiver FROM announcements GROUP BY receiver_key"))
        return [OutboxCount(names.get(key, key), *counted) for key, counted in sorted(counts.items())]

    def has_due(self, receiver: str, clock: int) -> bool:
        given = {"receiver": fold(receiver), "clock": clock, "longest": LONGEST_PAUSE}
        due = (
            "EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_due WHERE receiver_key = :receiver AND state = 'pending'"
            " AND next_attempt_at {when})"
        )
        sql = (
            f"SELECT {due.format(when='<= :clock')} OR {due.format(when='> :clock + :longest')} OR EXISTS"
            " (SELECT 1 FROM announcements INDEXED BY announcements_pending WHERE receiver_key = :receiver AND rest = 'pending')"
        )
        return bool(self.one_number(sql, given))

    def announcement(self, announcement: int) -> "Delivery | None":
        row = self.one_row(f"SELECT {REST} FROM announcements AS a WHERE a.id = ?", (announcement,))
        return _delivery(row) if row else None

    def delivery(self, announcement: int, number: int) -> "Delivery | None":
        sql = f"SELECT {DELIVERY} FROM deliveries AS d {WITH_ANNOUNCEMENT} WHERE d.announcement = ? AND d.number = ?"
        row = self.one_row(sql, (announcement, number))
        return _delivery(row) if row else None

    def announcement_states(self, announcement: int) -> dict[str, int]:
        sql = "SELECT state, count(*) FROM deliveries WHERE announcement = ? GROUP BY state"
        states = dict(self.all_rows(sql, (announcement,)))
        if (rest := self._rest(announcement)) and (head := self.announcement(announcement)):
            states[head.state] = states.get(head.state, 0) + rest
        return states

    def announcements_of_revocation(self, revocation_id: int) -> "list[Delivery]":
        sql = f"SELECT {REST} FROM announcements AS a WHERE a.revocation_id = ? ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, (revocation_id,))))

    def announcements_since(self, at: int) -> "list[Delivery]":
        # ids and instants ascend together: the newest earlier one is found from the end, however many there are
        earlier = "(SELECT id FROM announcements WHERE at < :at ORDER BY id DESC LIMIT 1)"
        sql = f"SELECT {REST} FROM announcements AS a WHERE a.id > coalesce({earlier}, 0) ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, {"at": at})))

    def late_decisions(self, after: int, numbers: "Sequence[int]") -> "list[LateDecision]":
        from authctl.store.protocol.outbox import LateDecision

        rows = self.all_rows(_LATE, {"after": after, "numbers": json.dumps(list(numbers))})
        return [LateDecision(event, actor, note, json.loads(listed)) for event, actor, note, listed in rows]

    def _rest(self, announcement: int) -> int:
        """How many sessions an announcement covers that have no delivery of it."""
        sql = (
            "SELECT (SELECT count(*) FROM announcements AS a CROSS JOIN sessions AS s INDEXED BY sessions_by_revocation"
            f" ON s.revocation_id = a.revocation_id WHERE a.id = :id AND a.rest <> 'none' AND s.number > a.expanded_to AND {COVERS}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = s.number))"
            " + (SELECT count(*) FROM announcements AS a CROSS JOIN announced_sessions AS l ON l.list = a.list"
            f" CROSS JOIN sessions AS s ON s.number = l.number WHERE a.id = :id AND a.rest <> 'none'"
            f" AND s.number > a.expanded_to AND {COVERS}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = s.number))"
            " + (SELECT count(*) FROM announcements AS a WHERE a.id = :id AND a.rest <> 'none' AND a.username_key IS NOT NULL)"
        )
        return self.one_number(sql, {"id": announcement})

    def pauses(self) -> "dict[str, ReceiverPause]":
        from authctl.store.protocol.outbox import ReceiverPause

        sql = "SELECT receiver_key, until, failures, reason FROM receiver_pauses"
        return {key: ReceiverPause(*rest) for key, *rest in self.all_rows(sql)}


_COUNTS = (
    # Ids and instants ascend together: the oldest decision is that of the lowest id.
    "SELECT c.receiver_key, 0, c.pending, (SELECT at FROM announcements WHERE id = c.first) FROM ("
    "SELECT receiver_key, count(*) AS pending, min(announcement) AS first FROM deliveries INDEXED BY deliveries_due"
    " WHERE state = 'pending' GROUP BY receiver_key) AS c"
    " UNION ALL SELECT receiver_key, 0, count(*), min(at) FROM announcements INDEXED BY announcements_pending"
    " WHERE rest = 'pending' GROUP BY receiver_key"
    " UNION ALL SELECT receiver_key, iif(state = 'refused', 2, 3), count(*), NULL FROM deliveries"
    " INDEXED BY deliveries_unsuccessful WHERE state IN ('refused', 'dead') GROUP BY receiver_key, state"
    " UNION ALL SELECT receiver_key, 3, count(*), NULL FROM announcements WHERE rest = 'dead' GROUP BY receiver_key"
)


# The numbers are read first: else every session that is revoked would be looked at.
_LATE = (
    "SELECT iif(r.at IS NULL, 'session-ended', 'session-revoked') AS event, r.actor, r.note, json_group_array(s.number)"
    " FROM (SELECT number FROM imported WHERE number > :after UNION SELECT value FROM json_each(:numbers)) AS listed"
    " CROSS JOIN sessions AS s ON s.number = listed.number CROSS JOIN imported AS i ON i.number = s.number"
    " CROSS JOIN revocations AS r ON r.id = s.revocation_id"
    " WHERE r.at IS NOT NULL OR (s.ended_reason IN ('user_disabled', 'password_changed')"
    " AND (s.ended_at, s.ended_reason) IS NOT (i.source_ended_at, i.source_ended_reason)) GROUP BY r.id"
)


class OutboxWriter(Writer):
    """`OutboxChange` over SQLite."""

    def save_subscriptions(self, read: "ReadSubscriptions") -> None:
        content = json.dumps([[*one[:2], one.narrowing._asdict(), *one[3:]] for one in read.subscriptions])
        self.write("INSERT OR REPLACE INTO subscriptions VALUES (1, ?, ?)", (read.digest, content))

    def announce(self, decision: "Decision", subscriptions: "Sequence[Subscription]") -> None:
        # decision 230: one row a receiver, however many sessions the decision covers
        decided = decision._asdict()
        numbers = decided.pop("numbers")
        decided["list"] = self._add_list(numbers) if numbers else None
        decided["username_key"] = None if decision.username is None else fold(decision.username)
        self.connection.executemany(_ANNOUNCE, [decided | _told(one, decision) for one in subscriptions])

    def _add_list(self, numbers: "Sequence[int]") -> int:
        """Keep the numbers of sessions as a list; its number."""
        sql = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'announcements'"
        added = self.one_number(sql)
        sql = "INSERT INTO announced_sessions SELECT ?, value FROM json_each(?)"
        self.write(sql, (added, json.dumps(list(numbers))))
        return added

    def expand(self, receiver: str, limit: int, clock: int) -> int:
        from authctl.store.sqlite.expansion import expand

        return expand(self, fold(receiver), limit, clock)

    def lease(self, receiver: str, limit: int, clock: int, until: int, due: int | None = None) -> "list[Delivery]":
        given = {"receiver": fold(receiver), "clock": clock, "longest_lease": _LONGEST_LEASE, "longest": LONGEST_PAUSE}
        given["due"] = clock if due is None else due
        places: list[tuple[int, int]] = []
        for condition in ("<= :due", "> :clock + :longest"):
            places += self.all_rows(_DUE.format(due=condition), {**given, "limit": limit - len(places)})
        leased = [(until, *place) for place in places]
        sql = "UPDATE deliveries SET leased_until = ?, attempts = attempts + 1 WHERE announcement = ? AND number = ?"
        self.connection.executemany(sql, leased)
        listed = json.dumps(places)
        sql = (
            f"SELECT {DELIVERY} FROM json_each(?) AS listed CROSS JOIN deliveries AS d"
            " ON d.announcement = listed.value ->> 0 AND d.number = listed.value ->> 1"
            f" {WITH_ANNOUNCEMENT} ORDER BY listed.id"
        )
        return [_delivery(row) for row in self.all_rows(sql, (listed,))]

    def settle(self, settled: "Sequence[Settled]", now: int, until: int) -> "list[Settled]":
        sql = (
            "UPDATE deliveries SET state = ?, reason = ?, next_attempt_at = ?, leased_until = 0, settled_at = ?"
            " WHERE announcement = ? AND number = ? AND leased_until = ? AND state = 'pending'"
        )
        written = []
        # Only with the same end of the lease: after it has ended, another process may have sent the delivery.
        for one in settled:
            at = None if one.state == PENDING else now
            values = (one.state, one.reason, one.next_attempt_at, at, one.announcement, one.number, until)
            if self.write(sql, values):
                written.append(one)
        return written

    def pause(self, receiver: str, pause: "ReceiverPause | None") -> None:
        self.write("DELETE FROM receiver_pauses WHERE receiver_key = ?", (fold(receiver),))
        if pause is not None:
            self.write("INSERT INTO receiver_pauses VALUES (?, ?, ?, ?)", (fold(receiver), *pause))

    def give_up(self, now: int, limit: int, spared: "Sequence[str]" = ()) -> int:
        given = {"now": now, "limit": limit, "spared": json.dumps(list(spared))}
        is_due = "a.give_up_at <= :now AND a.receiver_key NOT IN (SELECT value FROM json_each(:spared))"
        sql = (
            "UPDATE deliveries SET state = 'dead', settled_at = :now WHERE (announcement, number) IN ("
            # Of old announcements there are few, and most of their deliveries are settled.
            "SELECT d.announcement, d.number FROM announcements AS a INDEXED BY announcements_by_age"
            " CROSS JOIN deliveries AS d INDEXED BY deliveries_pending ON d.announcement = a.id AND d.state = 'pending'"
            f" WHERE {is_due} LIMIT :limit)"
        )
        dead = self.write(sql, given)
        return dead + self.write(
            f"UPDATE announcements AS a SET rest = 'dead' WHERE a.rest = 'pending' AND {is_due}", given
        )

    def revive(self, now: int) -> int:
        # decision 334
        sql = (
            "UPDATE deliveries SET state = 'pending', settled_at = NULL, next_attempt_at = :now"
            " WHERE state = 'dead' AND announcement IN (SELECT id FROM announcements WHERE give_up_at > :now)"
        )
        revived = self.write(sql, {"now": now})
        return revived + self.write(
            "UPDATE announcements SET rest = 'pending' WHERE rest = 'dead' AND give_up_at > :now", {"now": now}
        )

    def retry(self, announcement: int, number: int, clock: int, now: int) -> int:
        given = {"id": announcement, "number": number, "clock": clock, "now": now}
        sql = (
            "UPDATE deliveries SET state = 'pending', settled_at = NULL, next_attempt_at = :clock, leased_until = 0"
            " WHERE announcement = :id AND (:number = 0 OR number = :number) AND state IN ('pending', 'refused', 'dead')"
        )
        due = self.write(sql, given)
        if not number:
            sql = "UPDATE announcements SET rest = 'pending' WHERE id = :id AND rest IN ('pending', 'dead')"
            due += self.write(sql, given)
        if due:
            sql = "UPDATE announcements SET give_up_at = max(give_up_at, :now + give_up_after) WHERE id = :id"
            self.write(sql, given)
            sql = "DELETE FROM receiver_pauses WHERE receiver_key = (SELECT receiver_key FROM announcements WHERE id = :id)"
            self.write(sql, given)
        return due

    def drop(self, announcement: int, number: int, now: int, reason: str) -> int:
        given = {"id": announcement, "number": number, "now": now, "reason": reason}
        sql = (
            "UPDATE deliveries SET state = 'dropped', settled_at = :now, reason = :reason"
            " WHERE announcement = :id AND (:number = 0 OR number = :number) AND state IN ('pending', 'refused', 'dead')"
        )
        dropped = self.write(sql, given)
        if not number:
            sql = "UPDATE announcements SET rest = 'dropped' WHERE id = :id AND rest IN ('pending', 'dead')"
            dropped += self.write(sql, given)
        return dropped

    def forget_announcements(self, cutoff: int) -> int:
        over = (
            "SELECT a.id FROM announcements AS a WHERE a.at < :cutoff AND a.rest <> 'pending' AND NOT EXISTS"
            " (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND (d.number > 0 OR d.state = 'pending'))"
            " AND NOT EXISTS (SELECT 1 FROM announced_sessions AS l WHERE l.list = a.list)"
        )
        given = {"cutoff": cutoff}
        self.write(f"DELETE FROM deliveries WHERE announcement IN ({over}) AND number = 0", given)
        return self.write(f"DELETE FROM announcements WHERE id IN ({over})", given)


def _told(subscription: "Subscription", decision: "Decision") -> dict[str, Any]:
    """The columns of an announcement that are the receiver's."""
    return {
        # decision 235: with the id of the session it is the id of each message, the same after a retry, a kill or a
        # restore
        "jti": os.urandom(16).hex(),
        "receiver": subscription.receiver,
        "receiver_key": fold(subscription.receiver),
        "note": decision.note if subscription.notes else None,
        "narrowing": _narrowing(subscription.narrowing),
        "give_up_after": subscription.give_up_after,
        "give_up_at": decision.at + subscription.give_up_after,
    }


@lru_cache(4)
def _subscriptions(content: str) -> "tuple[Subscription, ...]":
    """The stored subscriptions."""
    return tuple(map(_subscription, json.loads(content)))


@lru_cache(16)
def _narrowing(narrowing: "Narrowing") -> str:
    return json.dumps(narrowing._asdict())


def _subscription(values: list[Any]) -> "Subscription":
    from authctl.model.deliveries import Narrowing, Subscription

    receiver, events, narrowing, *rest = values
    fields = {name: tuple(keys) for name, keys in narrowing.items()}
    return Subscription(receiver, tuple(events), Narrowing(**fields), *rest)


def _delivery(row: tuple[Any, ...]) -> "Delivery":
    from authctl.model.deliveries import Delivery

    delivery = Delivery(*row)
    return delivery._replace(is_rest=bool(delivery.is_rest), is_of_everything=bool(delivery.is_of_everything))
