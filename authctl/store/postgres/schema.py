"""The schema in PostgreSQL: the tables of the present version, and its version.

The design is that of every store (decision 1): status is never stored, and one open revocation is named by all sessions that
are not revoked. Texts are ordered by their bytes.
"""

import json
from typing import TYPE_CHECKING

from authctl.store.postgres import versions
from authctl.store.postgres.outbox_tables import OUTBOX_INDEXES, OUTBOX_TABLES
from authctl.store.postgres.rights import FEWER
from authctl.store.postgres.roles import protect_audit_log, take_spare_rights
from authctl.store.postgres.tables import INDEXES, TABLES, TRIGGERS

if TYPE_CHECKING:
    from authctl.model import ProfileSet
    from authctl.store.postgres.connection import Connection


def create_schema(connection: "Connection", registry_id: str, profiles: "ProfileSet") -> None:
    """Make the tables of a new registry in an open transaction."""
    make_tables(connection)
    document = json.dumps(profiles.to_document(), ensure_ascii=False)
    connection.execute('INSERT INTO registry ("only", id, profiles) VALUES (1, %s, %s)', (registry_id, document))
    connection.execute("INSERT INTO revocations (at) VALUES (NULL)")
    connection.execute("INSERT INTO clock VALUES (0, 0, NULL)")
    finish_tables(connection)


def make_tables(connection: "Connection") -> None:
    """Make the tables alone: many rows are loaded in three quarters of the time before the indexes are there."""
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm", prepare=False)
    for statement in (*TABLES, *OUTBOX_TABLES):
        connection.execute(statement, prepare=False)
    connection.execute("INSERT INTO schema_version VALUES (1, %s)", (versions.SCHEMA_VERSION,))


def finish_tables(connection: "Connection") -> None:
    """Make the indexes and the triggers, and take from every role the rights to change the audit log, and those that no host needs."""
    for statement in (*INDEXES, *OUTBOX_INDEXES, *TRIGGERS):
        connection.execute(statement, prepare=False)
    protect_audit_log(connection)
    take_spare_rights(connection, FEWER)
