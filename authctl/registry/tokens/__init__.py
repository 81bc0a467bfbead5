"""Tokens that are issued, and tokens that are presented: one module an operation."""
