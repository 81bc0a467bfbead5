"""The version of the schema in PostgreSQL, and the steps from each version to the next."""

SCHEMA_VERSION = 3
"""The version that this authctl knows; the one of the registry in a file has a number of its own."""

UPGRADES: dict[int, tuple[str, ...]] = {
    2: (
        "ALTER TABLE registry ADD COLUMN turn bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)",
        "ALTER FUNCTION audit_events_keep() SET enable_seqscan = off",
    ),
    # decision 356: a maximum was planned as a walk through the whole index, while that was small
    3: (
        """
    CREATE OR REPLACE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            RAISE EXCEPTION 'the audit log is append-only';
        END IF;
        IF NEW.seq IS DISTINCT FROM coalesce((SELECT seq FROM audit_events ORDER BY seq DESC LIMIT 1), 0) + 1 THEN
            RAISE EXCEPTION 'the audit log takes only its next event';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    ),
}
"""The statements that lead to a version from the one before it. They run in one transaction, behind the gate (decision 323).

`registry.id` and `schema_version.version` keep their names and types for ever: by them, every version of authctl recognises a
registry and its schema.
"""
