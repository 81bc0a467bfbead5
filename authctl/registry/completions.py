"""The beginnings of names that a shell completes: a few look-ups in indexes, however large the registry is.

See docs/glossary.md#folded-key.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from authctl.names import fold, id_prefix, is_storable

if TYPE_CHECKING:
    from authctl.registry.installation import Installation

MOST_COMPLETED = 100
"""The most names that are given for one beginning."""


class Completions:
    """Names of a registry by their beginning, at most 100 of a kind, sorted. Nothing is written."""

    # decision 193: a person waits for each completion, so only beginnings that an index has are read

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    def users(self, beginning: str) -> list[str]:
        """The users with sessions, as they were spelled last."""
        if not is_storable(beginning):
            return []
        with self._installation.store.view() as view:
            return _beginning_with(beginning, view.users_beginning(fold(beginning), MOST_COMPLETED))

    def applications(self, beginning: str) -> list[str]:
        """The applications of the sessions that were used last: 300 of each kind, since no index has all applications."""
        with self._installation.store.view() as view:
            return _beginning_with(beginning, view.recent_names("application"))

    def devices(self, beginning: str) -> list[str]:
        """The devices of those sessions."""
        with self._installation.store.view() as view:
            # decision 223: no index has devices; a device that somebody looks for was mostly used lately
            return _beginning_with(beginning, view.recent_names("device"))

    def platforms(self, beginning: str) -> list[str]:
        """The platforms of those sessions."""
        with self._installation.store.view() as view:
            return _beginning_with(beginning, view.recent_names("platform"))

    def sources(self, beginning: str) -> list[str]:
        """The systems of which sessions were imported."""
        if not is_storable(beginning):
            return []
        with self._installation.store.view() as view:
            return _beginning_with(beginning, view.sources_beginning(fold(beginning), MOST_COMPLETED))

    def profiles(self, beginning: str) -> list[str]:
        """The profiles in force."""
        with self._installation.store.view() as view:
            return _beginning_with(beginning, (profile.name for profile in view.profiles().profiles.values()))

    def ids(self, beginning: str) -> list[str]:
        """The ids of sessions of any kind."""
        prefix = id_prefix(beginning)
        if prefix is None:
            return []
        with self._installation.store.view() as view:
            return view.ids_beginning(prefix, MOST_COMPLETED)

    def keys(self, beginning: str) -> list[str]:
        """The ids of the keys that are not retired."""
        from authctl import key_ring

        ring = key_ring.load(self._installation.home.keys)
        # decision 223: the signing key stays, because the refusal of `keys retire` names the next command
        ids = (key.id for key in ring.keys if key.state is not key_ring.KeyState.RETIRED)
        return _beginning_with(beginning, ids)


def _beginning_with(beginning: str, names: Iterable[str]) -> list[str]:
    """Those of the names that begin so, without regard to case."""
    # Compared by their folded keys, but given as they are spelled: typed characters stay as they were typed.
    completions = {name for name in names if fold(name[: len(beginning)]) == fold(beginning)}
    return sorted(completions)[:MOST_COMPLETED]
