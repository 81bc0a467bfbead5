"""The values that everything passes about: frozen, comparable, and with no way to the store.

Instants are integers, microseconds since 1970 UTC; `NEVER` stands for no end. The rules that
give these values their meaning are in `lifetimes`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authctl.model.audit import AuditEvent
    from authctl.model.callers import Caller, Request
    from authctl.model.clients import Client, Right
    from authctl.model.continuity import ContinuityEvent
    from authctl.model.event_filters import EventFilter
    from authctl.model.filters import DeliveryChoice, Grouping, SessionFilter, Texts, checked_texts, texts_of
    from authctl.model.logins import CachedLogin
    from authctl.model.profiles import Assignment, Changeover, Profile, ProfileSet
    from authctl.model.registrations import NewSession
    from authctl.model.rules import CacheRules, Conditions, OnReuse, OnRevoke, PairRules, RequestRules
    from authctl.model.sessions import SIGN_IN_METHODS, Kind, Session, Status, Wipe
    from authctl.model.sorts import Sort, SortField
    from authctl.model.statistics import Breakdown, FutureDay, NameCount, PastDay, Property, Statistics
    from authctl.model.tokens import Binding, Tokens
    from authctl.model.users import Group, User
    from authctl.model.uses import ActiveSession

__all__ = [
    "SIGN_IN_METHODS",
    "ActiveSession",
    "Assignment",
    "AuditEvent",
    "Binding",
    "Breakdown",
    "CacheRules",
    "CachedLogin",
    "Caller",
    "Changeover",
    "Client",
    "Conditions",
    "ContinuityEvent",
    "DeliveryChoice",
    "EventFilter",
    "FutureDay",
    "Group",
    "Grouping",
    "Kind",
    "NameCount",
    "NewSession",
    "OnReuse",
    "OnRevoke",
    "PairRules",
    "PastDay",
    "Profile",
    "ProfileSet",
    "Property",
    "Request",
    "RequestRules",
    "Right",
    "Session",
    "SessionFilter",
    "Sort",
    "SortField",
    "Statistics",
    "Status",
    "Texts",
    "Tokens",
    "User",
    "Wipe",
    "checked_texts",
    "texts_of",
]

_MODULES = {
    "audit": "AuditEvent",
    "callers": "Caller Request",
    "clients": "Client Right",
    "continuity": "ContinuityEvent",
    "event_filters": "EventFilter",
    "filters": "DeliveryChoice Grouping SessionFilter Texts checked_texts texts_of",
    "logins": "CachedLogin",
    "profiles": "Assignment Changeover Profile ProfileSet",
    "rules": "CacheRules Conditions OnReuse OnRevoke PairRules RequestRules",
    "registrations": "NewSession",
    "sessions": "SIGN_IN_METHODS Kind Session Status Wipe",
    "sorts": "Sort SortField",
    "statistics": "Breakdown FutureDay NameCount PastDay Property Statistics",
    "tokens": "Binding Tokens",
    "users": "Group User",
    "uses": "ActiveSession",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Find a value where it is defined when it is first asked for, so that a command loads only the modules that it uses."""
    if name not in _HOMES:
        raise AttributeError(f"module 'authctl.model' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"authctl.model.{_HOMES[name]}"), name)
    return globals()[name]
