"""The version of the schema in PostgreSQL, and the steps from each version to the next."""

SCHEMA_VERSION = 2
"""The version that this authctl knows; the one of the registry in a file has a number of its own."""

UPGRADES: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE registry ADD COLUMN turn bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)",
        "ALTER FUNCTION audit_events_keep() SET enable_seqscan = off",
    ),
}
"""The statements that lead to a version from the one before it. They run in one transaction, behind the gate (decision 323).

`registry.id` and `schema_version.version` keep their names and types for ever: by them, every version of authctl recognises a
registry and its schema.
"""
