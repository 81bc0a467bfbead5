"""Filters of sessions: one value for list, count, dry run and revoke; and how sessions are grouped."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from authctl.errors import InvalidInput
from authctl.instants import given_instant
from authctl.model.sessions import Kind, Status, Wipe
from authctl.names import field as checked_field
from authctl.names import fold, profile_name, quoted, username


class DeliveryChoice(StrEnum):
    """The deliveries by which sessions are selected."""

    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"


class Grouping(StrEnum):
    """The field by which a grouped view counts sessions."""

    USER = "user"
    APPLICATION = "application"
    PLATFORM = "platform"
    SOURCE = "source"


Texts = str | tuple[str, ...] | None
"""The value of a criterion: one text, several of which any matches, or nothing."""


def texts_of(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """The texts that a criterion asks for; none where it asks for nothing."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def checked_texts(
    value: Texts, name: str, check: Callable[[str], str] | None = None, key: Callable[[str], str] = fold
) -> Texts:
    """A criterion with each text once, where texts of the same key are the same; one text alone is that text.

    Raises InvalidInput for a text that cannot be, and for several of which there is none: no criterion would mean everybody.
    """
    if value is None:
        return None
    # An empty list of users means a script whose file was empty. As "no criterion" it would select everybody.
    if not isinstance(value, str) and not value:
        raise InvalidInput(f"no {name} is given, where at least one has to be")
    once: dict[str, str] = {}
    for text in texts_of(value):
        check(text) if check else _checked_text(text, name)
        once.setdefault(key(text), text)
    texts = tuple(once.values())
    return texts[0] if len(texts) == 1 else texts


def _checked_text(text: str, name: str) -> None:
    """Raise InvalidInput for a text that no session or event is looked for by."""
    # decision 334: `--device "$X"` with an unset X would select the devices whose names are white space
    if not fold(checked_field(text, name)):
        raise InvalidInput(f"the {name} is blank")


def checked_search(search: str | None) -> None:
    """Raise InvalidInput for a text that cannot be searched for, and for a blank one: it is in everything."""
    if search is not None:
        _checked_text(search, "search")


class _Criteria(NamedTuple):
    ids: tuple[str, ...] = ()
    status: tuple[Status, ...] | str = ()
    username: Texts = None
    application: Texts = None
    device: Texts = None
    platform: Texts = None
    profile: Texts = None
    source: Texts = None
    kind: str | None = None
    search: str | None = None
    created_since: int | datetime | None = None
    created_before: int | datetime | None = None
    used_since: int | datetime | None = None
    unused_since: int | datetime | None = None
    expires_before: int | datetime | None = None
    wipe: str | None = None
    used_after_end: bool = False
    delivery: str | None = None
    key_id: str | None = None
    except_ids: tuple[str, ...] = ()
    everything: bool = False


_CHOICES = {"kind": tuple(Kind), "wipe": tuple(Wipe), "delivery": tuple(DeliveryChoice)}
_STATUSES = tuple(Status)
_INSTANTS = ("created_since", "created_before", "used_since", "unused_since", "expires_before")
_TEXTS: dict[str, Callable[[str], str] | None] = {
    "username": username,
    "application": None,
    "device": None,
    "platform": None,
    "profile": profile_name,
    "source": None,
}
"""The criteria that may be several texts, each with its own check."""


class SessionFilter(_Criteria):
    """A filter of sessions: every criterion that is given must be met.

    One value drives list, count, dry run and revoke, so the sessions of a preview are those of the revocation.
    User, application, device, platform, profile and source may be one text, or a tuple of several of which any matches.
    Texts are compared by their folded key and never as patterns; `search` is a literal substring of
    user, application, device, platform, address, source, id in the source, or note. Instants may be given as datetimes.
    Raises InvalidInput for a text that no session could have.
    `key_id` is of the key that signed the present tokens. `wipe` is the stage of an order to remove data, and selects revoked
    sessions alone. `delivery` selects the sessions with a delivery to a receiver that is pending, made or refused. `used_after_end`
    selects imported sessions that their source lists as used after they were revoked or ended. `kind` None selects every kind. `ids`
    are whole ids or unique beginnings of one; the other criteria narrow them. Without any criterion it lists everything, but revokes
    only with `everything`.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # its signature is that of the criteria

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
            return cls._make(_checked(_Criteria(*args, **kwargs)))

    @property
    def statuses(self) -> tuple[Status, ...]:
        """The statuses asked for, each once, in a fixed order; empty means all three."""
        return self.status  # type: ignore[return-value]

    @property
    def is_by_criteria(self) -> bool:
        """Whether it describes sessions, and names none: such a revocation also applies to sessions that are imported later."""
        # decision 115. The other criteria depend on facts of this registry, which a row that is imported later does not have.
        return not (self.ids or self.wipe or self.delivery or self.key_id or self.used_after_end)

    def narrowed(self, **changes: object) -> "SessionFilter":
        """The same filter with some criteria replaced."""
        return SessionFilter(**(self._asdict() | changes))

    def criteria(self) -> dict[str, object]:
        """The criteria that are given, for the audit log."""
        values = self._asdict().items()
        # The first instant of 1970 is 0, which Python counts as equal to False.
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values if v not in (None, ()) and v is not False}


def _ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Ids, of which one alone may be given as a text."""
    return (ids,) if isinstance(ids, str) else tuple(ids)


def _check_choice(value: str, choices: Sequence[str]) -> None:
    """Raise InvalidInput for a value that is none of some."""
    if value not in choices:
        raise InvalidInput(f"{quoted(value)} is none of: {', '.join(choices)}")


def _checked(criteria: _Criteria) -> _Criteria:
    statuses = (criteria.status,) if isinstance(criteria.status, str) else criteria.status
    for status in statuses:
        _check_choice(status, _STATUSES)
    for name, choices in _CHOICES.items():
        if (value := getattr(criteria, name)) is not None:
            _check_choice(value, choices)
    # An order to remove data comes from a revocation: without a status, --wipe means revoked sessions (decision 52).
    statuses = (Status.REVOKED,) if criteria.wipe is not None and not statuses else statuses
    for name in ("used_after_end", "everything"):
        if not isinstance(getattr(criteria, name), bool):
            raise InvalidInput(f"{name} is neither true nor false: {quoted(str(getattr(criteria, name)))}")
    checked_search(criteria.search)
    checked_field(criteria.key_id or "", "key id")
    checked: dict[str, Any] = {
        name: checked_texts(texts, name, check)
        for name, check in _TEXTS.items()
        if (texts := getattr(criteria, name)) is not None
    }
    for name in _INSTANTS:
        if (instant := getattr(criteria, name)) is not None:
            checked[name] = given_instant(instant, name)
    return criteria._replace(
        status=tuple(status for status in _STATUSES if status in statuses) if statuses else (),
        ids=_ids(criteria.ids),
        except_ids=_ids(criteria.except_ids),
        **checked,
    )
