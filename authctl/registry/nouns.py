"""The nouns of a registry, such as `registry.users`: each is made, and its module imported, when it is first used.

The path of a command is the path of its code: `authctl users disable` is `Users.disable` in `registry/users.py`.
"""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from authctl.model import Caller, Session
    from authctl.registry.audit import Audit
    from authctl.registry.backups import Backups
    from authctl.registry.cleanup import Cleanup
    from authctl.registry.clients import Clients
    from authctl.registry.completions import Completions
    from authctl.registry.continuity import Continuity
    from authctl.registry.deliveries import Deliveries
    from authctl.registry.doctor import Doctor
    from authctl.registry.effects import Effects
    from authctl.registry.imports.file import Imports
    from authctl.registry.installation import Installation
    from authctl.registry.keys import Keys
    from authctl.registry.listed_users import ListedUsers
    from authctl.registry.lists import Lists
    from authctl.registry.login_cache import LoginCache
    from authctl.registry.plans import Plans
    from authctl.registry.profiles import Profiles
    from authctl.registry.receivers import Receivers
    from authctl.registry.revocation_previews import RevocationPreviews
    from authctl.registry.statistics import RegistryStatistics
    from authctl.registry.tokens import Tokens
    from authctl.registry.tokens.reader import TokenReader
    from authctl.registry.users import Users


class Nouns:
    """The nouns of one installation; `Registry` adds the operations on sessions."""

    def __init__(self, installation: "Installation") -> None:
        self._installation = installation

    @cached_property
    def _reader(self) -> "TokenReader":
        from authctl.registry.tokens.reader import TokenReader

        return TokenReader(self._installation)

    @cached_property
    def _verifying(self) -> "tuple[Callable[[Installation, TokenReader, str, Caller], Session], type[Caller], Caller]":
        """The function, the value and the empty value for `verify`, looked up once: it is called thousands of times a second."""
        from authctl.model import Caller
        from authctl.registry.tokens.verify import verify

        return verify, Caller, Caller()

    @cached_property
    def audit(self) -> "Audit":
        """The audit log: read and verify it, and accept it as it is."""
        from authctl.registry.audit import Audit

        return Audit(self._installation)

    @cached_property
    def backups(self) -> "Backups":
        """Backups: copy the registry to a file."""
        from authctl.registry.backups import Backups

        return Backups(self._installation)

    @cached_property
    def cache(self) -> "LoginCache":
        """The authentication cache: list and clear the successful logins that are remembered."""
        from authctl.registry.login_cache import LoginCache

        return LoginCache(self._installation)

    @cached_property
    def cleanup(self) -> "Cleanup":
        """Cleanup: remove the sessions whose retention is over."""
        from authctl.registry.cleanup import Cleanup

        return Cleanup(self._installation)

    @cached_property
    def clients(self) -> "Clients":
        """Clients of the door: add, list, rotate and remove them."""
        from authctl.registry.clients import Clients

        return Clients(self._installation)

    @cached_property
    def completions(self) -> "Completions":
        """Names by their beginning, for the completion of a shell."""
        from authctl.registry.completions import Completions

        return Completions(self._installation)

    @cached_property
    def continuity(self) -> "Continuity":
        """Continuity events: keep sessions active during an outage."""
        from authctl.registry.continuity import Continuity

        return Continuity(self._installation)

    @cached_property
    def deliveries(self) -> "Deliveries":
        """Deliveries to receivers: make those that are due, list them, try them again, and drop them."""
        from authctl.registry.deliveries import Deliveries

        return Deliveries(self._installation)

    @cached_property
    def doctor(self) -> "Doctor":
        """The health of the installation: examine it, and accept its clock."""
        from authctl.registry.doctor import Doctor

        return Doctor(self._installation)

    @cached_property
    def effects(self) -> "Effects":
        """Effects: the sessions that an operation ended, and the access that remains, from the outcome of the operation."""
        from authctl.registry.effects import Effects

        return Effects(self._installation)

    @cached_property
    def imports(self) -> "Imports":
        """Imports: register the sessions of another system's export."""
        from authctl.registry.imports.file import Imports

        return Imports(self._installation)

    @cached_property
    def keys(self) -> "Keys":
        """Signing keys: list, rotate and retire them."""
        from authctl.registry.keys import Keys

        return Keys(self._installation)

    @cached_property
    def listed_users(self) -> "ListedUsers":
        """Users of a list: revoke their sessions, with an outcome for each row."""
        from authctl.registry.listed_users import ListedUsers

        return ListedUsers(self._installation)

    @cached_property
    def lists(self) -> "Lists":
        """Lists of sessions: pages, groups and short ids."""
        from authctl.registry.lists import Lists

        return Lists(self._installation)

    @cached_property
    def plans(self) -> "Plans":
        """Plans of revocations: make one, preview it, and apply it."""
        from authctl.registry.plans import Plans

        return Plans(self._installation)

    @cached_property
    def profiles(self) -> "Profiles":
        """Profiles: read those in force, compare them with others, and apply others."""
        from authctl.registry.profiles import Profiles

        return Profiles(self._installation)

    @cached_property
    def receivers(self) -> "Receivers":
        """Receivers: the other systems that are told of decisions; list them, and test one."""
        from authctl.registry.receivers import Receivers

        return Receivers(self._installation)

    @cached_property
    def revocation_previews(self) -> "RevocationPreviews":
        """Previews of revocations: make one."""
        from authctl.registry.revocation_previews import RevocationPreviews

        return RevocationPreviews(self._installation)

    @cached_property
    def statistics(self) -> "RegistryStatistics":
        """Statistics of the registry: active sessions by name, and counts by day."""
        from authctl.registry.statistics import RegistryStatistics

        return RegistryStatistics(self._installation)

    @cached_property
    def tokens(self) -> "Tokens":
        """Tokens of any kind, however old: revoke the session of one, and acknowledge its wipe."""
        from authctl.registry.tokens import Tokens

        return Tokens(self._installation, self._reader)

    @cached_property
    def users(self) -> "Users":
        """Users: list, find, disable and enable them, and record their changed passwords."""
        from authctl.registry.users import Users

        return Users(self._installation)


def complete_changeover(installation: "Installation") -> None:
    """Complete the profiles that another process began to apply. Called after a change that finds them."""
    from authctl.registry.changeover import complete_interrupted

    complete_interrupted(installation)
