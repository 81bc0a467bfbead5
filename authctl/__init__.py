"""See, search and end the sessions that applications opened.

errors      every reason to refuse         settings    where things are
model       the values passed about        registry/   the use cases: `Registry`
lifetimes   when sessions end              store/      the database behind a protocol
instants    times and lengths of time      render      values to table, text, JSON, CSV
names       users, notes, ids, matching    cli/        the commands
profiles    profiles.yaml, strictly        importing   other systems' exports
tokens      mint and read; key_ring, audit_chain, files, yaml_files and validation beside them
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.errors import (
        AuthctlError,
        AuthenticatorUnavailable,
        ConditionNotMet,
        IntegrityFailure,
        InvalidFile,
        InvalidInput,
        LoginRefused,
        NotFound,
        Refused,
        RegistryMoved,
        RegistryUnavailable,
        TokenEnded,
        TokenExpired,
        TokenInvalid,
        TokenMisused,
        TokenReused,
        TokenRevoked,
        TokenUnknown,
    )
    from authctl.instants import NEVER, datetime_of
    from authctl.model import (
        AuditEvent,
        Breakdown,
        EventFilter,
        FutureDay,
        Group,
        Grouping,
        Kind,
        NameCount,
        PastDay,
        Profile,
        ProfileSet,
        Property,
        Session,
        SessionFilter,
        Statistics,
        Status,
        User,
        Wipe,
    )
    from authctl.registry import Registry
    from authctl.tokens import read_sealed
    from authctl.version import __version__

__all__ = [
    "NEVER",
    "AuditEvent",
    "AuthctlError",
    "AuthenticatorUnavailable",
    "Breakdown",
    "ConditionNotMet",
    "EventFilter",
    "FutureDay",
    "Group",
    "Grouping",
    "IntegrityFailure",
    "InvalidFile",
    "InvalidInput",
    "Kind",
    "LoginRefused",
    "NameCount",
    "NotFound",
    "PastDay",
    "Profile",
    "ProfileSet",
    "Property",
    "Refused",
    "Registry",
    "RegistryMoved",
    "RegistryUnavailable",
    "Session",
    "SessionFilter",
    "Statistics",
    "Status",
    "TokenEnded",
    "TokenExpired",
    "TokenInvalid",
    "TokenMisused",
    "TokenReused",
    "TokenRevoked",
    "TokenUnknown",
    "User",
    "Wipe",
    "__version__",
    "datetime_of",
    "read_sealed",
]

_HOMES = ("errors", "model", "instants", "tokens", "registry", "version")


def __getattr__(name: str) -> object:
    """Find a public name when it is first asked for, so that a command loads only the modules that it uses."""
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"authctl.{home}")
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module 'authctl' has no attribute {name!r}")
