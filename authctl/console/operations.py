"""The operations of the console: each has a preview, a note, and the command that does the same. Every one goes through the registry.

Knows nothing of the screen: a window shows the preview, asks for the note, and performs the operation in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from authctl import records, render
from authctl.console.commands import operands, option, options, revoke_words
from authctl.effect_words import effect_lines
from authctl.errors import AuthctlError
from authctl.instants import format_second, parse_when
from authctl.model.deliveries import DeliveryState
from authctl.names import counted, quoted
from authctl.screens.preview_words import preview_lines
from authctl.screens.tables import layout

if TYPE_CHECKING:
    from authctl.model import SessionFilter
    from authctl.records import Record
    from authctl.registry import Registry
    from authctl.registry.deliveries import ShownDelivery
    from authctl.registry.effects import Effect

_MOST_SHOWN = 10
"""The most deliveries that a preview names."""

_IS_OPEN = {DeliveryState.PENDING, DeliveryState.REFUSED, DeliveryState.DEAD}
"""The states of deliveries that can be tried again, or dropped."""

PREVIEWED = layout(render.PREVIEWED.drawn, render.PREVIEWED.keep)


class Preview(NamedTuple):
    """The preview of an operation, as its window shows it."""

    lines: Sequence[str]
    sessions: Sequence[Record] = ()
    """Some of the sessions, for a short table."""
    answer: str | None = None
    """The text that a person has to type before the operation; None for none."""
    is_possible: bool = True
    content: Any = None
    """The part that the operation itself needs of its preview."""


class Operation(Protocol):
    """An operation of a person, with a note."""

    title: str
    verb: str
    """The word on its button."""
    fields: Sequence[str]
    """The names of further texts that may be typed."""
    is_asked_again: bool
    """Whether Enter in the note goes to the button, and does nothing yet: a filter may hit more than its author thinks."""

    def preview(self, registry: Registry) -> Preview:
        """The preview of the operation, as of now."""

    def perform(self, registry: Registry, preview: Preview, note: str, typed: dict[str, str], actor: str | None) -> str:
        """Do it; the message of its outcome."""

    def words(self, note: str, typed: dict[str, str]) -> list[str]:
        """The words of the command that does the same."""


class Revocation:
    """The revocation of some sessions, or of all that match a filter: those of its preview and no others."""

    verb = "Revoke"
    fields: Sequence[str] = ()

    def __init__(self, selection: SessionFilter) -> None:
        self._selection = selection
        self.is_asked_again = not selection.ids
        self.title = "Revoke selected sessions" if selection.ids else "Revoke all sessions that match"

    def preview(self, registry: Registry) -> Preview:
        """The sessions that would be revoked: counts, and some of them."""
        preview = registry.revocation_previews.make(self._selection)
        total = preview.summary.total
        if not total:
            return Preview(["nothing to revoke: no session matches, or all of them are revoked"], is_possible=False)
        lines = preview_lines(preview, "revoke", "session")
        if self._selection.everything:
            lines.insert(1, "everybody has to sign in again, and whoever signs in before this is done is revoked, too")
        # decision 121: everything has no bound, so the count has to be typed
        answer = str(total) if self._selection.everything else None
        return Preview(lines, list(map(records.session, preview.sessions)), answer, content=preview.bound)

    def perform(
        self, registry: Registry, preview: Preview, note: str, _typed: dict[str, str], actor: str | None
    ) -> str:
        """Revoke the sessions of the preview."""
        outcome = registry.revoke(self._selection, note=note, actor=actor, bound=preview.content)
        before = f"; {outcome.already_revoked:,} revoked before" if outcome.already_revoked else ""
        gone = f"; {counted(len(outcome.not_found), 'id')} not found" if outcome.not_found else ""
        elsewhere = "".join(
            f"; {counted(number, 'session')} of {quoted(system)} only here: that system is not told"
            for system, number in outcome.by_source.items()
            if not registry.deliveries.is_told(system)
        )
        effect = _effect(lambda: registry.effects.of_revocation(outcome))
        return f"revoked {counted(outcome.revoked, 'session')}{before}{gone}{elsewhere}{effect}"

    def words(self, note: str, _typed: dict[str, str]) -> list[str]:
        """`authctl revoke`."""
        return revoke_words(self._selection, note)


class _UserOperation:
    """A change of some users."""

    fields: Sequence[str] = ()
    is_asked_again = False
    command: str

    def __init__(self, usernames: Sequence[str]) -> None:
        self._usernames = usernames

    def words(self, note: str, typed: dict[str, str]) -> list[str]:
        """`authctl users disable` or `enable`."""
        given = {f"--{name}": typed.get(name) or None for name in self.fields}
        return ["users", self.command, *options(given), *option("--note", note), *operands(self._usernames)]


class Disabling(_UserOperation):
    """Disable users: their active sessions end, and no token is issued to them."""

    title = "Disable users"
    verb = "Disable"
    command = "disable"
    fields: Sequence[str] = ("until",)

    def preview(self, registry: Registry) -> Preview:
        """The active sessions that would end."""
        outcomes = registry.users.disable_all(self._usernames, note=None, dry_run=True)
        ended = sum(outcome.ended for outcome in outcomes)
        lines = [f"this would disable {_named(self._usernames)} and end {counted(ended, 'active session')}"]
        lines += [f"{quoted(one.user.username)} was disabled before" for one in outcomes if not one.changed]
        alike = registry.users.similar(*self._usernames)
        lines += [f"a different user has a name that looks the same: {quoted(name)}" for name in alike]
        lines.append("until: a time, a length of time such as 7d, or blank for no end")
        shown = [records.session(session) for one in outcomes for session in one.sessions[:10]]
        return Preview(lines, shown[:10], is_possible=any(outcome.changed for outcome in outcomes))

    def perform(
        self, registry: Registry, _preview: Preview, note: str, typed: dict[str, str], actor: str | None
    ) -> str:
        """Disable them, all or none."""
        until = parse_when(typed["until"], registry.now(), ahead=True) if typed["until"] else None
        outcomes = registry.users.disable_all(self._usernames, note=note, until=until, actor=actor)
        ended = sum(outcome.ended for outcome in outcomes)
        lasting = "" if until is None else f" until {format_second(until)}"
        effect = _effect(lambda: registry.effects.of_users(outcomes))
        return f"disabled {_named(self._usernames)}{lasting}: {counted(ended, 'active session')} ended{effect}"


class Enabling(_UserOperation):
    """Enable users: they can sign in again, and no session comes back."""

    title = "Enable users"
    verb = "Enable"
    command = "enable"

    def preview(self, registry: Registry) -> Preview:
        """Who would be enabled, and why they are disabled."""
        users = [registry.users.get(name).user for name in self._usernames]
        lines = [f"this would enable {_named(self._usernames)}; no session comes back"]
        for user in users:
            lasting = "" if user.disabled_until is None else f" until {format_second(user.disabled_until)}"
            why = f"disabled{lasting} by {quoted(user.disabled_by or '')}: {quoted(user.note or '', 200)}"
            lines.append(f"{quoted(user.username)}: {why if user.disabled_at else 'not disabled'}")
        return Preview(lines, is_possible=any(user.disabled_at for user in users))

    def perform(
        self, registry: Registry, _preview: Preview, note: str, _typed: dict[str, str], actor: str | None
    ) -> str:
        """Enable them, all or none."""
        registry.users.enable_all(self._usernames, note=note, actor=actor)
        return f"enabled {_named(self._usernames)}; no session comes back"


class ContinuityStart:
    """Start continuity events: sessions stay active beyond their deadlines during an outage."""

    title = "Start a continuity event"
    verb = "Start"
    fields: Sequence[str] = ("profile", "until")
    is_asked_again = False

    def preview(self, registry: Registry) -> Preview:
        """The profiles that allow it."""
        allowed = [profile.name for profile in registry.profiles.in_force().profiles.values() if profile.continuity]
        lines = [
            "active sessions stay active until the event ends; expired ones stay expired",
            f"profiles that allow it: {', '.join(map(quoted, allowed)) or 'none'}",
            "profile: blank for all of them.  until: a time, a length of time such as 4h, or blank for no end",
        ]
        return Preview(lines, is_possible=bool(allowed))

    def perform(
        self, registry: Registry, _preview: Preview, note: str, typed: dict[str, str], actor: str | None
    ) -> str:
        """Start them."""
        until = parse_when(typed["until"], registry.now(), ahead=True) if typed["until"] else None
        profiles = [typed["profile"]] if typed["profile"] else []
        states = registry.continuity.start(profiles, note=note, until=until, actor=actor)
        return f"continuity started for {', '.join(quoted(state.event.profile) for state in states)}"

    def words(self, note: str, typed: dict[str, str]) -> list[str]:
        """`authctl continuity start`."""
        given = {f"--{name}": typed.get(name) or None for name in self.fields}
        return ["continuity", "start", *options(given), *option("--note", note)]


class ContinuityEnd:
    """End the continuity event of a profile: sessions past their deadline expire."""

    title = "End a continuity event"
    verb = "End"
    fields: Sequence[str] = ()
    is_asked_again = False

    def __init__(self, profile: str) -> None:
        self._profile = profile

    def preview(self, registry: Registry) -> Preview:
        """The sessions that it holds."""
        running = [one for one in registry.continuity.status() if one.event.profile == self._profile]
        held = sum(one.held_sessions for one in running)
        line = f"this would end the event of {quoted(self._profile)}; {counted(held, 'session')} would expire"
        return Preview([line], is_possible=bool(running))

    def perform(
        self, registry: Registry, _preview: Preview, note: str, _typed: dict[str, str], actor: str | None
    ) -> str:
        """End it."""
        states = registry.continuity.end([self._profile], note=note, actor=actor)
        held = sum(state.held_sessions for state in states)
        return f"continuity ended for {quoted(self._profile)}; {counted(held, 'session')} expired"

    def words(self, note: str, _typed: dict[str, str]) -> list[str]:
        """`authctl continuity end`."""
        return ["continuity", "end", *option("--profile", self._profile), *option("--note", note)]


class _DeliveryOperation:
    """A change of some deliveries."""

    fields: Sequence[str] = ()
    is_asked_again = False
    command: str
    done: str

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    def preview(self, registry: Registry) -> Preview:
        """The deliveries, with their states; of an announcement those of all its sessions."""
        shown = [registry.deliveries.show(one) for one in self._ids[:_MOST_SHOWN]]
        lines = [
            f"{one.delivery.id}  {one.delivery.event} to {quoted(one.delivery.receiver)}: {_states(one)}"
            for one in shown
        ]
        if left := len(self._ids) - len(shown):
            lines.append(f"and {left:,} more")
        is_possible = left > 0 or any(_IS_OPEN & {one.delivery.state, *one.states} for one in shown)
        return Preview([self._consequence(), *lines], is_possible=is_possible)

    def _consequence(self) -> str:
        raise NotImplementedError

    def words(self, note: str, _typed: dict[str, str]) -> list[str]:
        """`authctl deliveries retry` or `drop`."""
        return ["deliveries", self.command, *self._ids, *option("--note", note)]


class Retrying(_DeliveryOperation):
    """Make deliveries due now."""

    title = "Try deliveries again"
    verb = "Retry"
    command = "retry"

    def _consequence(self) -> str:
        return "the next 'authctl deliver' tells these receivers; what was delivered stays as it is"

    def perform(
        self, registry: Registry, _preview: Preview, note: str, _typed: dict[str, str], actor: str | None
    ) -> str:
        """Make them due, all or none."""
        outcome = registry.deliveries.retry(self._ids, note=note, actor=actor)
        return f"{counted(outcome.changed, 'message')} due now"


class Dropping(_DeliveryOperation):
    """Give deliveries up."""

    title = "Drop deliveries"
    verb = "Drop"
    command = "drop"

    def _consequence(self) -> str:
        return "these receivers are not told: the session may go on in its own system"

    def perform(
        self, registry: Registry, _preview: Preview, note: str, _typed: dict[str, str], actor: str | None
    ) -> str:
        """Give them up, all or none."""
        outcome = registry.deliveries.drop(self._ids, note=note, actor=actor)
        return f"{counted(outcome.changed, 'message')} dropped"


def _states(shown: ShownDelivery) -> str:
    """The state of a delivery; of an announcement how many are in each state."""
    if not shown.states:
        return shown.delivery.state
    return ", ".join(f"{count:,} {state}" for state, count in shown.states.items())


def _named(usernames: Sequence[str]) -> str:
    return quoted(usernames[0]) if len(usernames) == 1 else counted(len(usernames), "user")


def _effect(find: Callable[[], Effect | None]) -> str:
    """The sessions that live on, after the words of an outcome; nothing where that was not found out."""
    with suppress(AuthctlError):
        if (effect := find()) is not None:
            return "".join(f"; {line}" for line in effect_lines(effect))
    return ""
