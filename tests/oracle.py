"""The rule of late rows, once and slowly: which operation a row comes under that is told when the operation is long done.

Nothing here knows the registry. `parts` is the rule, and `EXCEPTION` in it marks the one exception.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FOREVER = 10**18

Who = tuple[str, str]
"""What makes a session: the user, folded, and the key."""

REACHED: Counter[str] = Counter()
"""How often each operation, exception and fault was generated."""


class Told(NamedTuple):
    """A sign-in as a row tells it."""

    user: str
    key: str
    at: int
    application: str | None
    device: str | None
    platform: str | None

    @property
    def who(self) -> Who:
        """The session's user and key."""
        return self.user, self.key


class Rules(NamedTuple):
    """The two profiles, in microseconds, who gets which, and whether a changed password ends sessions."""

    short: int
    long: int
    long_for: str
    password: str

    def idle(self, profile: str) -> int:
        """How long a session of a profile may be idle."""
        return self.short if profile == "short" else self.long

    def assigned(self, user: str, application: str | None) -> str:
        """The profile of a new session."""
        return "long" if self.long_for in (user, (application or "").lower()) else "short"

    def text(self) -> str:
        """The same as `profiles.yaml` has it."""
        field_of = {"mail": "application", "bob": "user"}.get(self.long_for)
        assigned = f"assignments: [{{{field_of}: {self.long_for}, profile: long}}]\n" if field_of else ""
        idle = {name: f"{self.idle(name) // HOUR}h" for name in ("short", "long")}
        idle = {name: "never" if self.idle(name) == FOREVER else text for name, text in idle.items()}
        profiles = "".join(
            f"  {name}: {{idle_timeout: {idle[name]}, ends_on_password_change: {self.password}}}\n" for name in idle
        )
        return f"version: 1\ndefault_profile: short\n{assigned}profiles:\n{profiles}"


@dataclass(frozen=True)
class Operation:
    """What an administrator did with exit 0, and is remembered for rows that are told later."""

    at: int
    kind: str
    """criteria, all, disabled, password, restore, or renamed: the end of another user's session of the key"""
    note: str | None
    rules: Rules
    user: str | None = None
    criteria: dict[str, Any] = field(default_factory=dict)

    @property
    def is_hard(self) -> bool:
        """Whether it ends whatever is of the time up to it, without a look at what that is."""
        return self.kind not in ("criteria", "all")

    @property
    def spared(self) -> tuple[str, ...]:
        """The sessions named by --except."""
        return self.criteria.get("except_ids", ())


class Facts(NamedTuple):
    """What criteria are compared with."""

    user: str
    application: str | None
    device: str | None
    platform: str | None
    profile: str
    note: str | None
    created: int
    used: int
    expires: int
    status: str
    kind: str = "application"
    """An import makes sessions of applications alone."""


class Known(NamedTuple):
    """A session of the key that is listed, neither revoked nor ended."""

    id: str
    rows: tuple[Told, ...]
    profile: str
    created: int
    used: int
    expires: int
    is_active: bool
    registered: int
    """When it was registered; not when it began."""


class Part(NamedTuple):
    """Rows that make one session, alone or with a known one, and the operations that they come under."""

    rows: tuple[Told, ...]
    known: Known | None
    end: Operation | None = None
    """The hard operation at which it was over."""
    revocation: Operation | None = None


class Choices:
    """One reading of the rule: an answer to each question where its text allows several."""

    def __init__(self, given: Sequence[int]) -> None:
        self.given = given
        self.taken: list[tuple[int, int]] = []

    def among(self, answers: Iterable[Any]) -> Any:
        """One of some answers; there is no choice where they are the same."""
        different = sorted(set(answers))
        if len(different) == 1:
            return different[0]
        number = self.given[len(self.taken)] if len(self.taken) < len(self.given) else 0
        self.taken.append((number, len(different)))
        return different[number]


def readings(rule: Callable[[Choices], Any]) -> Iterator[Any]:
    """What a rule comes to by each reading of its text."""
    given: list[int] = []
    while True:
        choices = Choices(given)
        yield rule(choices)
        taken = choices.taken
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        given = [number for number, _ in taken[:-1]] + [taken[-1][0] + 1]


class Case(NamedTuple):
    """What an import's rows of one key meet."""

    who: Who
    instants: dict[Told, int]
    """When each row counts as of: its time; where it was ahead of the clock, when it was first seen, or a day before."""
    operations: list[Operation]
    rules: Rules
    named: str | None
    """The profile that the import names."""
    choices: Choices


def parts(case: Case, rows: Sequence[Told], known: Sequence[Known]) -> list[Part]:
    """A key's rows make one session, parted at each operation that it came under, in the order of time."""
    made: list[Part] = []
    since = -FOREVER
    operations = sorted(case.operations, key=lambda operation: operation.at)
    for number, operation in enumerate(operations):
        part = tuple(row for row in rows if since < case.instants[row] <= operation.at)
        there = next((one for one in reversed(known) if since < one.created <= operation.at), None)
        if (
            there and operation.at < there.used
        ):  # EXCEPTION: it is known to be used after the operation, and is not parted
            until_then = there._replace(
                rows=tuple(row for row in there.rows if row.at <= operation.at), used=operation.at
            )
            if part and not operation.is_hard and meets(case, operation, part, until_then):
                REACHED["exception: known to be used after the operation"] += 1
            continue
        if there and there.id in operation.spared:
            REACHED["row of a spared session"] += bool(part)
            continue
        if not operation.is_hard and not (part and meets(case, operation, part, there)):
            continue
        if part and operation.is_hard and not (operation.kind == "renamed" and operation.note):
            made.append(Part(part, there, operation, _revoked_afterwards(case, operations[number + 1 :], part, there)))
        elif part:
            made.append(Part(part, there, None, operation))
        since = operation.at
    rest = tuple(row for row in rows if case.instants[row] > since)
    there = next((one for one in reversed(known) if one.created > since), None)
    return [*made, Part(rest, there)] if rest else made


def _revoked_afterwards(
    case: Case, operations: Sequence[Operation], part: Sequence[Told], there: Known | None
) -> Operation | None:
    """What is over can be revoked all the same: the first revocation after its end that it meets, but not another user's."""
    for operation in operations:
        spared = there is not None and there.id in operation.spared
        if not operation.is_hard and not spared and meets(case, operation, part, there, is_over=True):
            return operation
    return None


def meets(
    case: Case, operation: Operation, part: Sequence[Told], there: Known | None, *, is_over: bool = False
) -> bool:
    """Whether what the rows up to an operation say meets its criteria."""
    if operation.kind == "all":
        return True
    rows = [*part, *(there.rows if there else ())]
    application = said(rows, "application")
    now = there.profile if there else case.named or case.rules.assigned(case.who[0], application)
    then = there.profile if there else case.named or operation.rules.assigned(case.who[0], application)
    if (
        there and there.registered > operation.at
    ):  # with its own profile, if that was named, or with the one it would have had
        then = case.choices.among({then, operation.rules.assigned(case.who[0], application)})
    used = max(row.at for row in rows)
    expiries = {used + case.rules.idle(now), used + case.rules.idle(then)}
    if "expires_before" in operation.criteria:
        expiries |= {used + operation.rules.idle(then)}
    if there and there.used == used:
        expiries |= {there.expires}
    answers = set()
    for expires in expiries:
        facts = Facts(
            case.who[0],
            application,
            said(rows, "device"),
            said(rows, "platform"),
            then,
            None,
            min(row.at for row in rows),
            used,
            expires,
            "expired" if is_over or expires <= operation.at else "active",
        )
        answers.add(fits(operation.criteria, facts))
    return bool(case.choices.among(answers))


def said(rows: Sequence[Told], name: str) -> Any:
    """A detail, as the latest row that has one said it; of two at the same instant the greater text."""
    return max(((row.at, getattr(row, name)) for row in rows if getattr(row, name)), default=(0, None))[1]


def fits(criteria: dict[str, Any], facts: Facts) -> bool:
    """Whether every criterion holds."""
    return all(_fits(name, wanted, facts) for name, wanted in criteria.items())


def _fits(name: str, wanted: Any, facts: Facts) -> bool:
    texts = {"username": facts.user, "application": facts.application, "device": facts.device}
    texts |= {"platform": facts.platform, "profile": facts.profile, "kind": facts.kind}
    if name in texts:
        asked = wanted if isinstance(wanted, tuple) else (wanted,)
        return (texts[name] or "").lower() in [text.lower() for text in asked]
    if name == "search":
        everything = (facts.user, facts.application, facts.device, facts.platform, facts.note)
        return any(wanted.lower() in text.lower() for text in everything if text)
    if name == "status":
        return facts.status in wanted
    times = {
        "created_since": lambda: facts.created >= wanted,
        "created_before": lambda: facts.created < wanted,
        "used_since": lambda: facts.used >= wanted,
        "unused_since": lambda: facts.used <= wanted,
        "expires_before": lambda: facts.expires < wanted,
    }
    return times[name]() if name in times else True  # ids and exceptions are looked at by whoever knows ids
