"""Fields are declared once: where a field cannot be derived from its declaration, a test names what is missing."""

from typing import Any

from authctl import Registry, Session, records, render
from authctl.lifetimes import PasswordRule
from authctl.model import (
    Binding,
    CacheRules,
    Conditions,
    NewSession,
    OnReuse,
    OnRevoke,
    PairRules,
    Profile,
    RequestRules,
)
from authctl.model.fields import PROFILE_FIELDS, SESSION_FIELDS
from authctl.profiles.fields import WrittenProfile
from authctl.registry.tokens.issue import Issued

NOT_SHOWN = {
    "number": "internal: its place in the registry",
    "slid_at": "internal: the use that its idle deadline counts from",
    "use_due_at": "internal: when the next use is written",
    "fixed_expires_at": "shown as expires_at, and as expires_by: lifetime",
    "ends_at": "shown as held_until where it differs from expires_at",
    "access_ends_at": "as access_expires_at",
    "ended_by": "shown as ended_reason, with the reasons that are deadlines",
    "generation": "internal: which of its tokens is the present one",
    "key_id": "internal: shown by keys list, counted",
    "read_at": "internal: the instant of the answer",
}
"""The fields of `Session` that no output has, each with the reason."""

EVERYTHING: dict[str, Any] = {
    "idle_timeout": 1_000_000,
    "absolute_timeout": 9_000_000,
    "description": "all of it",
    "slide_after": 3_000_000,
    "browser": True,
    "two_step": True,
    "saml": True,
    "pair": PairRules(1_000_000, 2_000_000, OnReuse.REFUSE),
    "requested": RequestRules(1_000_000, 2_000_000, sealed=True),
    "bind": Binding.ADDRESS,
    "ends_on_password_change": PasswordRule.NONE,
    "continuity": True,
    "on_revoke": OnRevoke.WIPE,
    "conditions": Conditions(networks=("10.0.0.0/8",)),
    "authenticator": "directory",
    "cache": CacheRules(1_000_000, 7),
    "scope": "read write",
}
"""A value other than the default for every field of `Profile`."""


def issued(registry: Registry) -> Issued:
    """A session with a value wherever a sign-in can give one."""
    return registry.issue(username="alice", application="Outlook")


def test_every_field_of_a_session_is_shown_or_named_here(registry: Registry):
    """A new field of `Session` is shown by `sessions show`, or is listed above with its reason."""
    shown = records.shown_session(issued(registry).session, []).keys()
    assert [name for name in Session._fields if name not in shown and name not in NOT_SHOWN] == []
    assert [name for name in NOT_SHOWN if name in shown or name not in Session._fields] == []


def test_a_listed_session_has_the_declared_fields(registry: Registry):
    """JSON has them in the declared order, and every table of sessions has no others."""
    session = issued(registry).session
    assert tuple(records.session(session)) == SESSION_FIELDS
    for shape in (
        render.SESSIONS,
        render.REVOKED_SESSIONS,
        render.WIPED_SESSIONS,
        render.SESSIONS_OF_SOURCES,
        render.PREVIEWED,
        render.ENDED,
    ):
        assert tuple(shape.fields) == SESSION_FIELDS


def test_what_registers_a_session_can_be_read_again():
    """Every field of `NewSession` is a field of `Session`; its deadlines are four, its secret is kept as a hash alone."""
    assert set(NewSession._fields) - set(Session._fields) == {"deadlines", "secret_hash"}


def test_every_field_of_a_profile_can_be_written():
    """The profiles file takes the declared fields and no others."""
    assert set(WrittenProfile.model_fields) == set(PROFILE_FIELDS)


def test_every_field_of_a_profile_is_kept_in_its_document():
    """A profile with no default value left is the same after it was stored; every declared field is in some document."""
    assert EVERYTHING.keys() == set(Profile._fields) - {"name"}
    assert {name for name, value in EVERYTHING.items() if value == getattr(Profile("x"), name)} == set()
    seen = set()
    for left_out in ("requested", "pair"):  # a profile has one kind of tokens
        profile = Profile("x", **{name: value for name, value in EVERYTHING.items() if name != left_out})
        document = profile.to_document()
        assert Profile.from_document("x", document) == profile
        seen |= document.keys()
    assert seen == set(PROFILE_FIELDS)
