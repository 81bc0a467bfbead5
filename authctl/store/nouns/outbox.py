"""The outbox: announcements, and the deliveries that they are expanded to.

See docs/glossary.md#announcement.
"""

import json
import os
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from authctl.names import fold
from authctl.store.nouns.reader import Reader, Writer
from authctl.store.sql.outbox_conditions import outbox_conditions

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
    from authctl.store.sql.dialect import Dialect

LONGEST_PAUSE = 3_600_000_000
"""The longest time between two attempts, in microseconds: what lies further ahead was written before the clock was set back."""
_LONGEST_LEASE = 1_200_000_000

_PENDING = "pending"

_NO_NUMBER = "CAST(NULL AS BIGINT)"
_NO_TEXT = "CAST(NULL AS TEXT)"
_REST = (
    f"a.id AS announcement, 0 AS number, a.jti, a.receiver, a.event, a.rest AS state, 0 AS attempts, {_NO_NUMBER} AS next_attempt_at,"
    f" {_NO_TEXT} AS session_id, a.username, a.at AS created_at, {_NO_NUMBER} AS delivered_at, {_NO_TEXT} AS reason, 1 AS is_rest,"
    " a.at AS decided_at, a.actor, a.note, a.revocation_id, a.txn, 0 AS of_everything"
)


class _Texts:
    """The queries in one dialect."""

    def __init__(self, dialect: "Dialect") -> None:
        join = dialect.join_in_order
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
        self.by_session = dialect.table("deliveries", "d", "deliveries_by_session")
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
        of_sessions = join("sessions AS u", by_session, "e.number > 0 AND e.number = u.number")
        of_user = (
            f"(SELECT e.announcement, e.number FROM {of_sessions} WHERE u.username_key = :username UNION ALL SELECT e.announcement, 0"
            f" FROM {by_user} WHERE e.number = 0 AND e.username_key = :username) AS of_user"
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
        self.rests_of_session = f"SELECT {_REST} FROM {of_number} WHERE {untold}"
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
def _texts(dialect: "Dialect") -> _Texts:
    return _Texts(dialect)


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
        row = self.one_row("SELECT digest, content FROM subscriptions")
        if row is None:
            return None
        from authctl.store.protocol.outbox import ReadSubscriptions

        return ReadSubscriptions(row[0], _subscriptions(row[1]))

    def deliveries(
        self, selection: "DeliveryFilter", limit: int, after: tuple[int, int] | None = None
    ) -> "list[Delivery]":
        texts = _texts(self.dialect)
        of_deliveries, of_rests, given = _criteria(selection, after)
        # decision 331: both halves come in the order of their keys, so that a page reads no more than it gives
        sql = (
            f"SELECT * FROM (SELECT {texts.delivery} FROM {texts.with_announcement(_entrance(selection, texts))} WHERE {of_deliveries}"
            " ORDER BY d.announcement DESC, d.number DESC LIMIT :limit) AS some_deliveries"
            f" UNION ALL SELECT * FROM (SELECT {_REST} FROM announcements AS a WHERE a.rest <> 'none' AND {of_rests}"
            " ORDER BY a.id DESC LIMIT :limit) AS some_rests ORDER BY 1 DESC, 2 DESC LIMIT :limit"
        )
        return [_delivery(row) for row in self.all_rows(sql, {**given, "limit": limit})]

    def deliveries_of_session(self, number: int) -> "list[Delivery]":
        texts = _texts(self.dialect)
        sql = (
            f"SELECT {texts.delivery} FROM {texts.with_announcement(texts.by_session)} WHERE d.number = :number AND d.number > 0"
            f" UNION ALL {texts.rests_of_session} ORDER BY 1, 2"
        )
        return [_delivery(row) for row in self.all_rows(sql, {"number": number})]

    def outbox_counts(self) -> "list[OutboxCount]":
        from authctl.store.protocol.outbox import OutboxCount

        counts: dict[str, list[Any]] = {}
        for receiver, column, count, oldest in self.all_rows(_texts(self.dialect).counts):
            counted = counts.setdefault(receiver, [0, None, 0, 0])
            counted[column] += count
            if column == 0:
                counted[1] = min(filter(None, (counted[1], oldest)), default=None)
        names = dict(self.all_rows("SELECT receiver_key, min(receiver) FROM announcements GROUP BY receiver_key"))
        return [OutboxCount(names.get(key, key), *counted) for key, counted in sorted(counts.items())]

    def has_due(self, receiver: str, clock: int) -> bool:
        given = {"receiver": fold(receiver), "clock": clock, "longest": LONGEST_PAUSE}
        return bool(self.one_number(_texts(self.dialect).has_due, given))

    def announcement(self, announcement: int) -> "Delivery | None":
        row = self.one_row(f"SELECT {_REST} FROM announcements AS a WHERE a.id = ?", (announcement,))
        return _delivery(row) if row else None

    def delivery(self, announcement: int, number: int) -> "Delivery | None":
        texts = _texts(self.dialect)
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
        sql = f"SELECT {_REST} FROM announcements AS a WHERE a.revocation_id = ? ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, (revocation_id,))))

    def announcements_since(self, at: int) -> "list[Delivery]":
        # ids and instants ascend together: the newest earlier one is found from the end, however many there are
        earlier = "(SELECT id FROM announcements WHERE at < :at ORDER BY id DESC LIMIT 1)"
        sql = f"SELECT {_REST} FROM announcements AS a WHERE a.id > coalesce({earlier}, 0) ORDER BY a.id"
        return list(map(_delivery, self.all_rows(sql, {"at": at})))

    def late_decisions(self, after: int, numbers: "Sequence[int]") -> "list[LateDecision]":
        from authctl.store.protocol.outbox import LateDecision

        rows = self.all_rows(_texts(self.dialect).late, {"after": after, "numbers": self.dialect.list_of(numbers)})
        return [LateDecision(event, actor, note, json.loads(listed)) for event, actor, note, listed in rows]

    def _rest(self, announcement: int) -> int:
        """How many sessions an announcement covers that have no delivery of it."""
        return self.one_number(_texts(self.dialect).rest, {"id": announcement})

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

    def expand(self, receiver: str, limit: int, clock: int) -> int:
        from authctl.store.nouns.expansion import expand

        return expand(self, fold(receiver), limit, clock)

    def lease(self, receiver: str, limit: int, clock: int, until: int, due: int | None = None) -> "list[Delivery]":
        given = {"receiver": fold(receiver), "clock": clock, "longest_lease": _LONGEST_LEASE, "longest": LONGEST_PAUSE}
        given["due"] = clock if due is None else due
        texts = _texts(self.dialect)
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
        for one in settled:
            at = None if one.state == _PENDING else now
            values = (one.state, one.reason, one.next_attempt_at, at, one.announcement, one.number, until)
            if self.write(sql, values):
                written.append(one)
        return written

    def pause(self, receiver: str, pause: "ReceiverPause | None") -> None:
        self.write("DELETE FROM receiver_pauses WHERE receiver_key = ?", (fold(receiver),))
        if pause is not None:
            self.write("INSERT INTO receiver_pauses VALUES (?, ?, ?, ?)", (fold(receiver), *pause))

    def give_up(self, now: int, limit: int, spared: "Sequence[str]" = ()) -> int:
        texts = _texts(self.dialect)
        given = {"now": now, "limit": limit, "spared": self.dialect.list_of(spared)}
        sql = (
            f"UPDATE deliveries SET state = 'dead', settled_at = :now WHERE (announcement, number) IN ({texts.too_old})"
        )
        dead = self.write(sql, given)
        sql = f"UPDATE announcements AS a SET rest = 'dead' WHERE a.rest = 'pending' AND {texts.is_too_old}"
        return dead + self.write(sql, given)

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


def _entrance(selection: "DeliveryFilter", texts: _Texts) -> str:
    """The deliveries of a filter, by the index that finds the few of them."""
    if selection.username is not None:
        return texts.of_user
    if selection.number is not None:
        return texts.by_session
    return texts.pending if selection.state == _PENDING else texts.anywhere


def _criteria(selection: "DeliveryFilter", after: tuple[int, int] | None) -> tuple[str, str, dict[str, Any]]:
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
        of_deliveries.append("d.state = 'pending'" if selection.state == _PENDING else "d.state = :state")
        of_rests.append("a.rest = :state")
        given["state"] = selection.state
    if after is not None:
        of_deliveries.append("(d.announcement, d.number) < (:after, :after_number)")
        of_rests.append("(a.id, 0) < (:after, :after_number)")
        given |= {"after": after[0], "after_number": after[1]}
    return " AND ".join([*both, *of_deliveries]), " AND ".join([*both, *of_rests]), given
