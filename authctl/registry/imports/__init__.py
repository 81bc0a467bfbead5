"""Imports: the sessions of another system, from a file of rows to a registry."""
