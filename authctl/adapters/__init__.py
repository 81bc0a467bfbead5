"""Adapters: a web application in Python lets requests in by its own `Registry`, without the door.

One module a framework: `starlette` (FastAPI, too), `django`, `flask`. Each imports its framework, and no other one.
"""
