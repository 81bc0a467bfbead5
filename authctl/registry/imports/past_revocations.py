"""Past revocations by criteria, and which of them binds a session that is imported later.

The rule (decision 115): rows up to the instant of a revocation come under it where the session that they make meets its
criteria. Texts, kind, profile and search are compared with the values of those rows, and times with the instants of the revocation.
A status is compared with that of the session at the revocation, by the deadlines that are known now.

See docs/glossary.md#late-row and docs/glossary.md#revocation-by-criteria.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from authctl.instants import EARLIEST, NEVER
from authctl.model import Status
from authctl.names import fold
from authctl.store.protocol.revocations import PastRevocation

if TYPE_CHECKING:
    from authctl.store.protocol import View

_TEXTS = ("username", "device", "application", "platform", "source")
"""Criteria that are one text of a session, the rarest first: a revocation is looked up by the first that it has."""

_SEARCHED = ("ip", "source_id")
"""The other texts that a search finds."""

_TRIGRAM = 3

_BLOCK_SIZE = 32
"""How many revocations without a text are passed over at once, where no session can meet them."""

_AT = attrgetter("at")


class LateSession(Protocol):
    """The session that some rows of an import make, as far as criteria ask about it."""

    kind: str
    created_at: int
    """The instant of its earliest row."""
    last_used_at: int
    """The instant of its latest row."""

    @property
    def texts(self) -> dict[str, str]:
        """Its folded username, device, application, platform, address, source and id there, each where it has one."""

    @property
    def expires_at(self) -> int:
        """Its deadline, by its profile as it is now."""

    def profile_at(self, revocation: PastRevocation) -> str:
        """The name of the profile that it had, or would have been given, when a revocation was made."""

    def lived_at(self, at: int) -> bool:
        """Whether it was active at an instant."""


class Criteria(NamedTuple):
    """A past revocation with its criteria, ready to be compared; None and empty ask for nothing."""

    revocation: PastRevocation
    texts: dict[str, frozenset[str]]
    """Folded texts by the name of their criterion; any of them matches."""
    profiles: frozenset[str]
    search: str | None
    kind: str | None
    statuses: frozenset[str]
    except_ids: frozenset[str]
    created_since: int | None
    created_before: int | None
    used_since: int | None
    unused_since: int | None
    expires_before: int | None

    @property
    def at(self) -> int:
        """The instant of the revocation."""
        return self.revocation.at

    def is_met_by(self, session: LateSession) -> bool:
        """Whether a session that is imported later meets the criteria."""
        return (
            all(session.texts.get(name) in values for name, values in self.texts.items())
            and self._meets_times(session)
            and (self.kind is None or session.kind == self.kind)
            and (self.search is None or any(self.search in text for text in session.texts.values()))
            and (not self.profiles or fold(session.profile_at(self.revocation)) in self.profiles)
            and self._meets_status(session)
        )

    def _meets_times(self, session: LateSession) -> bool:
        return (
            (self.created_since is None or session.created_at >= self.created_since)
            and (self.created_before is None or session.created_at < self.created_before)
            and (self.used_since is None or session.last_used_at >= self.used_since)
            and (self.unused_since is None or session.last_used_at <= self.unused_since)
            and (self.expires_before is None or session.expires_at < self.expires_before)
        )

    def _meets_status(self, session: LateSession) -> bool:
        # A late session was not revoked yet: with both other statuses it meets the criteria in any case, and needs no deadlines.
        if not self.statuses or self.statuses >= {Status.ACTIVE, Status.EXPIRED}:
            return True
        return (Status.ACTIVE if session.lived_at(self.at) else Status.EXPIRED) in self.statuses


class Span(NamedTuple):
    """The earliest and the latest known instant at which the sessions of a key were used."""

    earliest: int
    latest: int


class _Block(NamedTuple):
    """Some successive revocations, with the widest of their times, so that one comparison can exclude all of them."""

    criteria: tuple[Criteria, ...]
    created_before: int
    created_since: int
    used_since: int
    unused_since: int

    @classmethod
    def of(cls, criteria: Sequence[Criteria]) -> Self:
        """The block of some revocations, in the order of time."""
        return cls(
            tuple(criteria),
            max(NEVER if criterion.created_before is None else criterion.created_before for criterion in criteria),
            min(EARLIEST if criterion.created_since is None else criterion.created_since for criterion in criteria),
            min(EARLIEST if criterion.used_since is None else criterion.used_since for criterion in criteria),
            max(NEVER if criterion.unused_since is None else criterion.unused_since for criterion in criteria),
        )

    def may_be_met(self, since: int, span: Span) -> bool:
        """Whether one of them, made at or after an instant, may be met by a session within a span."""
        # The ends of the ranges are chosen so that a block is never left out wrongly; each revocation is compared afterwards.
        return (
            self.criteria[-1].at >= since
            and self.created_before > span.earliest
            and self.created_since <= span.latest
            and self.used_since <= span.latest
            and self.unused_since >= span.earliest
        )


class PastRevocations:
    """All revocations by criteria of a registry, found by the texts of a session."""

    def __init__(
        self,
        revocations: Sequence[PastRevocation],
        version: tuple[int, int],
        of_everything: PastRevocation | None = None,
    ) -> None:
        self.version = version
        self.of_everything = of_everything and _read(of_everything)
        """The latest revocation of everything; it spares the sessions that it names, and no other."""
        self._by_text: defaultdict[tuple[str, str], list[Criteria]] = defaultdict(list)
        self._by_trigram: defaultdict[str, list[Criteria]] = defaultdict(list)
        others = [revocation for revocation in map(_read, revocations) if not self._add_by_text(revocation)]
        self._others = [_Block.of(others[start : start + _BLOCK_SIZE]) for start in range(0, len(others), _BLOCK_SIZE)]
        self.is_empty = not revocations
        named = {name for name, _ in self._by_text}
        self.names = tuple(name for name in (*_TEXTS, *_SEARCHED) if name in named or self._by_trigram)
        """The texts of a session that `possible` and `may_bind` look up."""

    def _add_by_text(self, criteria: Criteria) -> bool:
        """Whether a revocation has a text to be found by; it is found by that then."""
        if name := next((name for name in _TEXTS if name in criteria.texts), None):
            for value in criteria.texts[name]:
                self._by_text[name, value].append(criteria)
        elif criteria.search is not None and len(criteria.search) >= _TRIGRAM:
            self._by_trigram[criteria.search[:_TRIGRAM]].append(criteria)
        else:
            return False
        return True

    def may_bind(self, texts: Sequence[tuple[str, str]], span: Span) -> bool:
        """Whether a revocation at or after the beginning of a session could meet it, by its texts of `names`."""
        if not self._others and not self._by_trigram and not any(text in self._by_text for text in texts):
            return False
        return next(self.possible(texts, span.earliest, span), None) is not None

    def possible(self, texts: Iterable[tuple[str, str]], since: int, span: Span) -> Iterator[Criteria]:
        """The revocations at or after an instant that a session with some of those texts could meet, earliest first.

        A text is given with its name, folded; the span is that of all sessions in question. The same revocation may come twice.
        """
        # decision 118: revocations are found by a text, by a trigram, or else in blocks; a thousand of them made an
        # import six times as slow
        lists = [revocations for key in texts if (revocations := self._by_text.get(key))]
        if self._by_trigram:
            for _, text in texts:
                # Any text that contains the searched one has its first trigram.
                trigrams = {text[start : start + _TRIGRAM] for start in range(len(text) - _TRIGRAM + 1)}
                lists += [self._by_trigram[part] for part in self._by_trigram.keys() & trigrams]
        blocks = [_after(block.criteria, since) for block in self._others if block.may_be_met(since, span)]
        return merge(*(_after(listed, since) for listed in lists), chain.from_iterable(blocks), key=_AT)


def _after(criteria: Sequence[Criteria], since: int) -> Iterator[Criteria]:
    # The lists are in the order of time, as the revocations were read.
    return islice(criteria, bisect_left(criteria, since, key=_AT), None)


def past_revocations(view: View, before: PastRevocations | None = None) -> PastRevocations:
    """The revocations by criteria of a snapshot; those read before, where none has come since."""
    version = view.count_revocations_by_criteria()
    if before is not None and before.version == version:
        return before
    return PastRevocations(view.revocations_by_criteria(), version, view.latest_revoke_all())


def _read(revocation: PastRevocation) -> Criteria:
    asked: dict[str, Any] = json.loads(revocation.selector)
    return Criteria(
        revocation,
        {name: _folded(asked[name]) for name in _TEXTS if name in asked},
        _folded(asked.get("profile", ())),
        fold(asked["search"]) if "search" in asked else None,
        asked.get("kind"),
        frozenset(asked.get("status", ())),
        frozenset(asked.get("except_ids", ())),
        *(
            asked.get(name)
            for name in ("created_since", "created_before", "used_since", "unused_since", "expires_before")
        ),
    )


def _folded(texts: str | Iterable[str]) -> frozenset[str]:
    """One text of the criteria, or several of which any matches, as keys."""
    return frozenset(map(fold, (texts,) if isinstance(texts, str) else texts))
