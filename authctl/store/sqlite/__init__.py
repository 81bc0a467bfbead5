"""The store in one SQLite file. Every word of SQLite stands in this package, and no other module imports `sqlite3`."""
