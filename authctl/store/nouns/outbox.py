"""The outbox: announcements, and the deliveries that they are expanded to.

See docs/glossary.md#announcement.
"""

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.nouns.outbox_queries import PENDING, REST, criteria, entrance, outbox_queries
from authctl.store.nouns.reader import Reader, Writer

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
"""The longest time between two attempts, in microseconds: an attempt further ahead was written before the clock was set back."""
_LONGEST_LEASE = 1_200_000_000

_ANNOUNCED = (
    *("event", "at", "actor", "note", "txn", "username", "username_key", "revocation_id", "list", "jti", "receiver"),
    *("receiver_key", "narrowing", "give_up_after", "give_up_at"),
)
_ANNOUNCE = (
    f"INSERT INTO announcements ({', '.join(_ANNOUNCED)}, last_number)"
    f" VALUES ({', '.join(f':{name}' for name in _ANNOUNCED)}, (SELECT coalesce(max(number), 0) FROM sessions))"
)


class OutboxReader(Reader):
    """`OutboxView` over any database."""

    def subscriptions(self) -> "ReadSubscriptions | None":
        row = self.read_subscriptions()
        if row is None:
            return None
        from authctl.store.protocol.outbox import ReadSubscriptions

        return ReadSubscriptions(row[0], _subscriptions(row[1]))

    def read_subscriptions(self) -> tuple[Any, ...] | None:
        """The row of the subscriptions."""
        return self.one_row("SELECT digest, content FROM subscriptions")

    def deliveries(
        self, selection: "DeliveryFilter", limit: int, after: tuple[int, int] | None = None
    ) -> "list[Delivery]":
        texts = outbox_queries(self.dialect)
        of_deliveries, of_rests, given = criteria(selection, after, self.dialect)
        # decision 289: both halves come in the order of their keys, so that a page reads no more than it gives
        sql = (
            f"SELECT * FROM (SELECT {texts.delivery} FROM {texts.with_announcement(entrance(selection, texts))} WHERE {of_deliveries}"
            " ORDER BY d.announcement DESC, d.number DESC LIMIT :limit) AS some_deliveries"
            f" UNION ALL SELECT * FROM (SELECT {REST} FROM announcements AS a WHERE a.rest <> 'none' AND {of_rests}"
            " ORDER BY a.id DESC LIMIT :limit) AS some_rests ORDER BY 1 DESC, 2 DESC LIMIT :limit"
        )
        return [_delivery(row) for row in self.all_rows(sql, {**given, "limit": limit})]

    def deliveries_of_session(self, number: int) -> "list[Delivery]":
        texts = outbox_queries(self.dialect)
        sql = (
            f"SELECT {texts.delivery} FROM {texts.with_announcement(texts.by_session)} WHERE d.number = :number AND d.number > 0"
            f" UNION ALL {texts.rests_of_session} ORDER BY 1, 2"
        )
        return [_delivery(row) for row in self.all_rows(sql, {"number": number})]

    def outbox_counts(self) -> "list[OutboxCount]":
        from authctl.store.protocol.outbox import OutboxCount

        counts: dict[str, list[Any]] = {}
        for receiver, column, count, oldest in self.all_rows(outbox_queries(self.dialect).counts):
            counted = counts.setdefault(receiver, [0, None, 0, 0])
            counted[column] += count
            if column == 0:
                counted[1] = min(filter(None, (counted[1], oldest)), default=None)
        names = dict(self.all_rows("SELECT receiver_key, min(receiver) FROM announcements GROUP BY receiver_key"))
        return [OutboxCount(names.get(key, key), *counted) for key, counted in sorted(counts.items())]

    def has_due(self, receiver: str, clock: int) -> bool:
        given = {"receiver": fold(receiver), "clock": clock, "longest": LONGEST_PAUSE}
        return bool(self.one_number(outbox_queries(self.dialect).has_due, given))

    def announcement(self, announcement: int) -> "Delivery | None":
        row = self.one_row(f"SELECT {REST} FROM announcements AS a WHERE a.id = ?", (announcement,))
        return _delivery(row) if row else None

    def delivery(self, announcement: int, number: int) -> "Delivery | None":
        texts = outbox_queries(self.dialect)
        source = texts.with_announcement("deliveries AS d")
        sql = f"SELECT {texts.delivery} FROM {source} WHERE d.announcement = ? AND d.number = ?"
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

        rows = self.all_rows(
            outbox_queries(self.dialect).late, {"after": after, "numbers": self.dialect.list_of(numbers)}
        )
        return [LateDecision(event, actor, note, json.loads(listed)) for event, actor, note, listed in rows]

    def _rest(self, announcement: int) -> int:
        """How many sessions an announcement covers that have no delivery of it."""
        return self.one_number(outbox_queries(self.dialect).rest, {"id": announcement})

    def pauses(self) -> "dict[str, ReceiverPause]":
        from authctl.store.protocol.outbox import ReceiverPause

        sql = "SELECT receiver_key, until, failures, reason FROM receiver_pauses"
        return {key: ReceiverPause(*rest) for key, *rest in self.all_rows(sql)}


class OutboxWriter(Writer):
    """`OutboxChange` over any database."""

    def save_subscriptions(self, read: "ReadSubscriptions") -> None:
        content = json.dumps([[*one[:2], one.narrowing._asdict(), *one[3:]] for one in read.subscriptions])
        sql = (
            'INSERT INTO subscriptions ("only", digest, content) VALUES (1, ?, ?)'
            ' ON CONFLICT ("only") DO UPDATE SET digest = excluded.digest, content = excluded.content'
        )
        self.write(sql, (read.digest, content))

    def announce(self, decision: "Decision", subscriptions: "Sequence[Subscription]") -> None:
        # decision 230: one row a receiver, however many sessions the decision covers
        decided = decision._asdict()
        numbers = decided.pop("numbers")
        decided["list"] = self._add_list(numbers) if numbers else None
        decided["username_key"] = None if decision.username is None else fold(decision.username)
        self.connection.executemany(_ANNOUNCE, [decided | _told(one, decision) for one in subscriptions])

    def _add_list(self, numbers: "Sequence[int]") -> int:
        """Keep the numbers of sessions as a list; its number."""
        # Above every id: the announcements of a list have higher ids, so that no other list of that number is left.
        added = self.one_number("SELECT coalesce(max(id), 0) + 1 FROM announcements")
        sql = f"INSERT INTO announced_sessions SELECT :list, value FROM {self.dialect.list_rows('numbers', 'listed', 'bigint')}"
        self.write(sql, {"list": added, "numbers": self.dialect.list_of(numbers)})
        return added

    def take_turn(self) -> None:
        """Take nothing: nobody else writes."""

    def expand(self, receiver: str, limit: int, clock: int) -> int:
        from authctl.store.nouns.expansion import expand

        return expand(self, fold(receiver), limit, clock)

    def lease(self, receiver: str, limit: int, clock: int, until: int, due: int | None = None) -> "list[Delivery]":
        given = {"receiver": fold(receiver), "clock": clock, "longest_lease": _LONGEST_LEASE, "longest": LONGEST_PAUSE}
        given["due"] = clock if due is None else due
        texts = outbox_queries(self.dialect)
        places: list[tuple[int, int]] = []
        for condition in ("<= :due", "> :clock + :longest"):
            places += self.all_rows(texts.due.format(due=condition), {**given, "limit": limit - len(places)})
        leased = [(until, *place) for place in places]
        sql = "UPDATE deliveries SET leased_until = ?, attempts = attempts + 1 WHERE announcement = ? AND number = ?"
        self.connection.executemany(sql, leased)
        return [_delivery(row) for row in self.all_rows(texts.leased, {"places": json.dumps(places)})]

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
        texts = outbox_queries(self.dialect)
        given = {"now": now, "limit": limit, "spared": self.dialect.list_of(spared)}
        sql = (
            f"UPDATE deliveries SET state = 'dead', settled_at = :now WHERE (announcement, number) IN ({texts.too_old})"
        )
        dead = self.write(sql, given)
        sql = f"UPDATE announcements AS a SET rest = 'dead' WHERE a.rest = 'pending' AND {texts.is_too_old}"
        return dead + self.write(sql, given)

    def revive(self, now: int) -> int:
        # decision 292: a decision whose time was over by a wrong clock waits again
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
            latest = self.dialect.greatest("give_up_at", ":now + give_up_after")
            sql = f"UPDATE announcements SET give_up_at = {latest} WHERE id = :id"
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
