"""The outbox in SQLite: announcements, and the deliveries that they are expanded to.

See docs/glossary.md#announcement.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.sqlite.outbox_conditions import COVERS
from authctl.store.sqlite.reader import Reader, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authctl.model.deliveries import Delivery, DeliveryFilter, Subscription
    from authctl.store.protocol.outbox import Decision, OutboxCount, ReadSubscriptions, ReceiverPause, Settled

LONGEST_PAUSE = 3_600_000_000
"""The longest time between two attempts, in microseconds: what lies further ahead was written before the clock was set back."""
_LONGEST_LEASE = 1_200_000_000

_PENDING = "pending"

_OF_ANNOUNCEMENT = "a.at AS decided_at, a.actor, a.note, a.revocation_id, a.txn"
_DELIVERY = (
    "d.announcement, d.number, a.jti || iif(d.number, '.' || coalesce(s.id, ''), '') AS jti, a.receiver, a.event, d.state,"
    " d.attempts, iif(d.state = 'pending', d.next_attempt_at, NULL) AS next_attempt_at, s.id AS session_id,"
    " coalesce(s.username, a.username) AS username, a.at AS created_at,"
    " iif(d.state IN ('delivered', 'gone'), d.settled_at, NULL) AS delivered_at, d.reason, 0 AS is_rest,"
    f" {_OF_ANNOUNCEMENT}"
)
_WITH_ANNOUNCEMENT = (
    "CROSS JOIN announcements AS a ON a.id = d.announcement LEFT JOIN sessions AS s ON s.number = d.number"
)
_REST = (
    "a.id AS announcement, 0 AS number, a.jti, a.receiver, a.event, a.rest AS state, 0 AS attempts, NULL AS next_attempt_at,"
    " NULL AS session_id, a.username, a.at AS created_at, NULL AS delivered_at, NULL AS reason, 1 AS is_rest,"
    f" {_OF_ANNOUNCEMENT}"
)
# decision 236: a delivery waits for an earlier one about the same session, or for an event of a user about the same
# user. Each branch repeats the condition of its partial index, so that SQLite can use it.
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

    def subscriptions(self) -> ReadSubscriptions | None:
        row = self.one_row("SELECT digest, content FROM subscriptions")
        if row is None:
            return None
        from authctl.store.protocol.outbox import ReadSubscriptions

        return ReadSubscriptions(row[0], tuple(map(_subscription, json.loads(row[1]))))

    def deliveries(self, selection: DeliveryFilter, limit: int, after: tuple[int, int] | None = None) -> list[Delivery]:
        conditions, given = _criteria(selection, after)
        sql = (
            f"SELECT * FROM (SELECT {_DELIVERY} FROM deliveries AS d {_WITH_ANNOUNCEMENT}"
            f" UNION ALL SELECT {_REST} FROM announcements AS a WHERE a.rest <> 'none') AS x"
            f" WHERE {conditions} ORDER BY x.announcement DESC, x.is_rest, x.number LIMIT :limit"
        )
        return [_delivery(row) for row in self.all_rows(sql, {**given, "limit": limit})]

    def deliveries_of_session(self, number: int) -> list[Delivery]:
        sql = (
            f"SELECT {_DELIVERY} FROM deliveries AS d INDEXED BY deliveries_by_session {_WITH_ANNOUNCEMENT}"
            " WHERE d.number = :number AND d.number > 0"
            f" UNION ALL SELECT {_REST} FROM announcements AS a CROSS JOIN sessions AS s ON s.number = :number"
            f" WHERE a.rest <> 'none' AND s.number > a.expanded_to AND {COVERS}"
            " AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.announcement = a.id AND d.number = :number) ORDER BY 1, 2"
        )
        return [_delivery(row) for row in self.all_rows(sql, {"number": number})]

    def outbox_counts(self) -> list[OutboxCount]:
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

    def announcement(self, announcement: int) -> Delivery | None:
        row = self.one_row(f"SELECT {_REST} FROM announcements AS a WHERE a.id = ?", (announcement,))
        return _delivery(row) if row else None

    def delivery(self, announcement: int, number: int) -> Delivery | None:
        sql = f"SELECT {_DELIVERY} FROM deliveries AS d {_WITH_ANNOUNCEMENT} WHERE d.announcement = ? AND d.number = ?"
        row = self.one_row(sql, (announcement, number))
        return _delivery(row) if row else None

    def announcement_states(self, announcement: int) -> dict[str, int]:
        sql = "SELECT state, count(*) FROM deliveries WHERE announcement = ? GROUP BY state"
        states = dict(self.all_rows(sql, (announcement,)))
        if (rest := self._rest(announcement)) and (head := self.announcement(announcement)):
            states[head.state] = states.get(head.state, 0) + rest
        return states

    def announcements_of_revocation(self, revocation_id: int) -> list[Delivery]:
        sql = f"SELECT {_REST} FROM announcements AS a WHERE a.revocation_id = ? ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, (revocation_id,))))

    def announcements_since(self, at: int) -> list[Delivery]:
        # ids and instants ascend together: the newest earlier one is found from the end, however many there are
        earlier = "(SELECT id FROM announcements WHERE at < :at ORDER BY id DESC LIMIT 1)"
        sql = f"SELECT {_REST} FROM announcements AS a WHERE a.id > coalesce({earlier}, 0) ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, {"at": at})))

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

    def pauses(self) -> dict[str, ReceiverPause]:
        from authctl.store.protocol.outbox import ReceiverPause

        sql = "SELECT receiver_key, until, failures, reason FROM receiver_pauses"
        return {key: ReceiverPause(*rest) for key, *rest in self.all_rows(sql)}


_COUNTS = (
    "SELECT d.receiver_key, 0, count(*), min(a.at) FROM deliveries AS d INDEXED BY deliveries_due"
    " CROSS JOIN announcements AS a ON a.id = d.announcement WHERE d.state = 'pending' GROUP BY d.receiver_key"
    " UNION ALL SELECT receiver_key, 0, count(*), min(at) FROM announcements INDEXED BY announcements_pending"
    " WHERE rest = 'pending' GROUP BY receiver_key"
    " UNION ALL SELECT receiver_key, iif(state = 'refused', 2, 3), count(*), NULL FROM deliveries"
    " INDEXED BY deliveries_unsuccessful WHERE state IN ('refused', 'dead') GROUP BY receiver_key, state"
    " UNION ALL SELECT receiver_key, 3, count(*), NULL FROM announcements WHERE rest = 'dead' GROUP BY receiver_key"
)


class OutboxWriter(Writer):
    """`OutboxChange` over SQLite."""

    def save_subscriptions(self, read: ReadSubscriptions) -> None:
        content = json.dumps([[*one[:2], one.narrowing._asdict(), *one[3:]] for one in read.subscriptions])
        self.write("INSERT OR REPLACE INTO subscriptions VALUES (1, ?, ?)", (read.digest, content))

    def announce(self, decision: Decision, subscriptions: Sequence[Subscription]) -> None:
        # decision 230: one row a receiver, however many sessions the decision covers
        decided = decision._asdict()
        numbers = decided.pop("numbers")
        decided["list"] = self._add_list(numbers) if numbers else None
        decided["username_key"] = None if decision.username is None else fold(decision.username)
        self.connection.executemany(_ANNOUNCE, [decided | _told(one, decision) for one in subscriptions])

    def _add_list(self, numbers: Sequence[int]) -> int:
        """Keep the numbers of sessions as a list; its number."""
        sql = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'announcements'"
        added = self.one_number(sql)
        sql = "INSERT INTO announced_sessions SELECT ?, value FROM json_each(?)"
        self.write(sql, (added, json.dumps(list(numbers))))
        return added

    def expand(self, receiver: str, limit: int, clock: int) -> int:
        from authctl.store.sqlite.expansion import expand

        return expand(self, fold(receiver), limit, clock)

    def lease(self, receiver: str, limit: int, clock: int, until: int) -> list[Delivery]:
        given = {"receiver": fold(receiver), "clock": clock, "longest_lease": _LONGEST_LEASE, "longest": LONGEST_PAUSE}
        places: list[tuple[int, int]] = []
        # Two queries, so that each is one range of the index. The second finds attempts that were planned before the
        # clock was set back.
        for due in ("<= :clock", "> :clock + :longest"):
            places += self.all_rows(_DUE.format(due=due), {**given, "limit": limit - len(places)})
        leased = [(until, *place) for place in places]
        sql = "UPDATE deliveries SET leased_until = ?, attempts = attempts + 1 WHERE announcement = ? AND number = ?"
        self.connection.executemany(sql, leased)
        listed = json.dumps(places)
        sql = (
            f"SELECT {_DELIVERY} FROM json_each(?) AS listed CROSS JOIN deliveries AS d"
            " ON d.announcement = listed.value ->> 0 AND d.number = listed.value ->> 1"
            f" {_WITH_ANNOUNCEMENT} ORDER BY listed.id"
        )
        return [_delivery(row) for row in self.all_rows(sql, (listed,))]

    def settle(self, settled: Sequence[Settled], now: int, until: int) -> list[Settled]:
        sql = (
            "UPDATE deliveries SET state = ?, reason = ?, next_attempt_at = ?, leased_until = 0, settled_at = ?"
            " WHERE announcement = ? AND number = ? AND leased_until = ? AND state = 'pending'"
        )
        written = []
        # Only with the same end of the lease: after it has ended, another process may have sent the delivery.
        for one in settled:
            at = None if one.state == _PENDING else now
            values = (one.state, one.reason, one.next_attempt_at, at, one.announcement, one.number, until)
            if self.write(sql, values):
                written.append(one)
        return written

    def pause(self, receiver: str, pause: ReceiverPause | None) -> None:
        self.write("DELETE FROM receiver_pauses WHERE receiver_key = ?", (fold(receiver),))
        if pause is not None:
            self.write("INSERT INTO receiver_pauses VALUES (?, ?, ?, ?)", (fold(receiver), *pause))

    def give_up(self, now: int, limit: int) -> int:
        sql = (
            "UPDATE deliveries SET state = 'dead', settled_at = :now WHERE (announcement, number) IN ("
            # Of old announcements there are few, and most of their deliveries are settled.
            "SELECT d.announcement, d.number FROM announcements AS a INDEXED BY announcements_by_age"
            " CROSS JOIN deliveries AS d INDEXED BY deliveries_pending ON d.announcement = a.id AND d.state = 'pending'"
            " WHERE a.give_up_at <= :now LIMIT :limit)"
        )
        dead = self.write(sql, {"now": now, "limit": limit})
        return dead + self.write(
            "UPDATE announcements SET rest = 'dead' WHERE rest = 'pending' AND give_up_at <= ?", (now,)
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


def _told(subscription: Subscription, decision: Decision) -> dict[str, Any]:
    """The columns of an announcement that are the receiver's."""
    return {
        # decision 235: with the id of the session it is the id of each message, the same after a retry, a kill or a
        # restore
        "jti": os.urandom(16).hex(),
        "receiver": subscription.receiver,
        "receiver_key": fold(subscription.receiver),
        "note": decision.note if subscription.notes else None,
        "narrowing": json.dumps(subscription.narrowing._asdict()),
        "give_up_after": subscription.give_up_after,
        "give_up_at": decision.at + subscription.give_up_after,
    }


def _subscription(values: list[Any]) -> Subscription:
    from authctl.model.deliveries import Narrowing, Subscription

    receiver, events, narrowing, *rest = values
    fields = {name: tuple(keys) for name, keys in narrowing.items()}
    return Subscription(receiver, tuple(events), Narrowing(**fields), *rest)


def _delivery(row: tuple[Any, ...]) -> Delivery:
    from authctl.model.deliveries import Delivery

    delivery = Delivery(*row)
    return delivery._replace(is_rest=bool(delivery.is_rest))


def _criteria(selection: DeliveryFilter, after: tuple[int, int] | None) -> tuple[str, dict[str, Any]]:
    """The conditions of a filter, and the parameters."""
    conditions, given = ["TRUE"], dict[str, Any]()
    if selection.receiver is not None:
        conditions.append("x.announcement IN (SELECT id FROM announcements WHERE receiver_key = :receiver)")
        given["receiver"] = fold(selection.receiver)
    if selection.username is not None:
        of_user = "(SELECT number FROM sessions WHERE username_key = :username)"
        conditions.append(
            f"(x.number IN {of_user} OR x.announcement IN (SELECT id FROM announcements WHERE username_key = :username))"
        )
        given["username"] = fold(selection.username)
    for name in ("state", "event", "number"):
        if (value := getattr(selection, name)) is not None:
            conditions.append(f"x.{name} = :{name}")
            given[name] = value
    if after is not None:
        conditions.append(
            "(x.announcement < :after OR x.announcement = :after AND (x.is_rest OR x.number > :after_number))"
        )
        given |= {"after": after[0], "after_number": after[1]}
    return " AND ".join(conditions), given
