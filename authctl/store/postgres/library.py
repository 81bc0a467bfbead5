"""The driver of PostgreSQL; the only module that imports it.

It is an extra: the default installation does without it.
"""

from authctl.errors import RegistryUnavailable

try:
    import psycopg
    import psycopg.conninfo
    import psycopg.sql
    from psycopg.generators import execute
except ImportError as error:
    raise RegistryUnavailable(
        f"a registry in PostgreSQL needs psycopg, which cannot be loaded: {error}", "pip install 'authctl[postgres]'"
    ) from None

__all__ = ["execute", "psycopg"]
