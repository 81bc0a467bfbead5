"""The store in one SQLite file. Every word of SQLite stands in this package, and `library.py` alone imports an SQLite library."""
