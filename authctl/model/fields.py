"""The names of the fields that people and programs see, each list in the order of the documentation.

These lists are the only ones: tables, CSV, JSON, the profiles file and the documents follow them, and tests/test_fields.py names
each place where a field is missing and cannot be derived from here (decision 131).
"""

SESSION_FIELDS = (
    "id",
    "username",
    "application",
    "application_version",
    "platform",
    "device",
    "ip",
    "user_agent",
    "kind",
    "profile",
    "status",
    "created_at",
    "last_used_at",
    "expires_at",
    "idle_expires_at",
    "absolute_expires_at",
    "ended_at",
    "ended_reason",
    "revoked_at",
    "revoked_by",
    "revocation_id",
    "note",
    "signed_in_with",
    "referrer",
    "wipe",
    "source",
    "source_id",
)
"""The fields of a listed session, in JSON and CSV."""

PROFILE_FIELDS = (
    "description",
    "idle_timeout",
    "absolute_timeout",
    "slide_after",
    "browser",
    "authentication",
    "tokens",
    "access_lifetime",
    "refresh",
    "default_lifetime",
    "max_lifetime",
    "sealed",
    "bind",
    "ends_on_password_change",
    "continuity",
    "on_revoke",
    "conditions",
    "authenticator",
    "cache",
    "scope",
)
"""The fields of a profile in `profiles.yaml`."""

IMPORT_COUNTS = ("registered", "updated", "unchanged", "used_after_end", "returned", "adopted", "not_listed")
"""The counts of sessions in the record of an import."""
