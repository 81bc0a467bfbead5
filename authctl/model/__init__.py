"""The values that everything passes about: frozen, comparable, and with no way to the store.

Instants are integers, microseconds since 1970 UTC; `NEVER` stands for no end. The rules that
give these values their meaning are in `lifetimes`.
"""

from authctl.model.audit import AuditEvent
from authctl.model.continuity import ContinuityEvent
from authctl.model.filters import SessionFilter, Sort, SortField
from authctl.model.logins import CachedLogin
from authctl.model.profiles import Assignment, Profile, ProfileSet
from authctl.model.rules import (
    Binding,
    CacheRules,
    Conditions,
    OnReuse,
    OnRevoke,
    PairRules,
    RequestRules,
    Tokens,
    Wipe,
)
from authctl.model.sessions import SIGN_IN_METHODS, Kind, NewSession, Session, Status
from authctl.model.users import Group, Grouping, User

__all__ = [
    "SIGN_IN_METHODS",
    "Assignment",
    "AuditEvent",
    "Binding",
    "CacheRules",
    "CachedLogin",
    "Conditions",
    "ContinuityEvent",
    "Group",
    "Grouping",
    "Kind",
    "NewSession",
    "OnReuse",
    "OnRevoke",
    "PairRules",
    "Profile",
    "ProfileSet",
    "RequestRules",
    "Session",
    "SessionFilter",
    "Sort",
    "SortField",
    "Status",
    "Tokens",
    "User",
    "Wipe",
]
