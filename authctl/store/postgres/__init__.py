"""The store in a PostgreSQL database; every word of PostgreSQL stands here."""
