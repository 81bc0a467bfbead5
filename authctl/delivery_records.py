"""Records of receivers and deliveries: the fields of their JSON, in the documented order; a blank field is null."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from authctl.instants import format_timeout
from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.model.deliveries import Delivery
    from authctl.receivers import Receiver
    from authctl.registry.deliveries import DropOutcome, ShownDelivery
    from authctl.registry.delivering import DeliverOutcome
    from authctl.registry.receivers import Verification
    from authctl.store.protocol.outbox import OutboxCount


def receiver(receiver_: "Receiver") -> Record:
    """A receiver, without arguments, values of variables and paths of URLs: each may be a secret."""
    subscription, written = receiver_.subscription, receiver_.written
    return {
        "name": receiver_.name,
        "channel": receiver_.channel,
        "target": _target(receiver_),
        "events": list(subscription.events),
        "source": written.source or [],
        "application": written.application or [],
        "profile": written.profile or [],
        "kind": written.kind or [],
        "notes": subscription.notes,
        "timeout": format_timeout(written.timeout),
        "give_up_after": format_timeout(subscription.give_up_after),
    }


def shown_receiver(receiver_: "Receiver") -> Record:
    """A receiver by itself, with the names of its files and variables."""
    written = receiver_.written
    channel = written.push or written.webhook
    return {
        **receiver(receiver_),
        "arguments": len(written.command or [""]) - 1,
        "environment": sorted(written.environment),
        "token_file": written.push and written.push.token_file,
        "secret_file": written.webhook and written.webhook.secret_file,
        "ca_file": channel and channel.ca_file,
        "issuer": written.issuer,
        "audience": written.audience or [],
    }


def _target(receiver_: "Receiver") -> str:
    written = receiver_.written
    if written.command is not None:
        return written.command[0]
    channel = written.push or written.webhook
    assert channel is not None
    # decision 242: the path of a URL may be a secret, so only scheme and host are shown
    parts = urlsplit(channel.url)
    return f"{parts.scheme}://{parts.netloc}"


def verification(outcome: "Verification") -> Record:
    """The answer of a receiver to a verification event."""
    return {
        "receiver": outcome.receiver,
        "jti": outcome.jti,
        "at": instant(outcome.at),
        "ok": outcome.ok,
        "state": outcome.state,
        "reason": outcome.reason,
    }


def delivery(delivery_: "Delivery") -> Record:
    """A delivery, or the rest of an announcement that was not expanded yet."""
    return {
        "id": delivery_.id,
        "jti": delivery_.jti,
        "receiver": delivery_.receiver,
        "event": delivery_.event,
        "state": delivery_.state,
        "attempts": delivery_.attempts,
        "next_attempt_at": instant(delivery_.next_attempt_at),
        "session": delivery_.session_id,
        "username": delivery_.username,
        "created_at": instant(delivery_.created_at),
        "delivered_at": instant(delivery_.delivered_at),
        "reason": delivery_.reason,
        "rest": delivery_.is_rest,
        "revocation_id": delivery_.revocation_id,
    }


def of_session(delivery_: "Delivery") -> Record:
    """A delivery about a session that is shown."""
    record = delivery(delivery_)
    return {name: record[name] for name in ("receiver", "event", "state", "created_at", "delivered_at", "reason")}


def shown_delivery(shown: "ShownDelivery") -> Record:
    """A delivery by itself, with its decision; of an announcement the number of its deliveries by state."""
    return {
        **delivery(shown.delivery),
        "actor": shown.delivery.actor,
        "event_seq": shown.delivery.txn,
        "deliveries": dict(shown.states),
    }


def run(outcome: "DeliverOutcome") -> Record:
    """The outcome of a run over all receivers."""
    return {
        "receivers": [of_receiver._asdict() for of_receiver in outcome.receivers],
        "pending": outcome.pending,
        "dead": outcome.dead,
    }


def count(count_: "OutboxCount") -> Record:
    """The deliveries of one receiver, counted."""
    return {**count_._asdict(), "oldest_at": instant(count_.oldest_at)}


def dropped(outcome: "DropOutcome") -> Record:
    """The outcome of dropping deliveries, or of trying them again."""
    return {
        "at": instant(outcome.at),
        "actor": outcome.actor,
        "note": outcome.note,
        "changed": outcome.changed,
        "unchanged": list(outcome.unchanged),
    }
