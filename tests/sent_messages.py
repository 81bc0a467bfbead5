"""The messages that connections to a PostgreSQL server send, for tests that count them. Needs psycopg: imported where a server can be had."""

from typing import Any

import pytest

from authctl.store.postgres.connection import Connection
from authctl.store.postgres.exchange import Exchanges


def sent_messages(monkeypatch: pytest.MonkeyPatch, only: Connection | None = None) -> list[list[str]]:
    """The first words of the statements of each message that is sent from now on, by one connection or by all."""
    messages: list[list[str]] = []
    run, execute = Exchanges.run, Connection.execute

    def noted_run(self: Any, statements: Any) -> Any:
        if only is None or self is only.exchanges:
            messages.append([one.sql.split()[0] for one in statements])
        return run(self, statements)

    def noted_execute(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        if only is None or self is only:
            messages.append([query.split()[0]])
        return execute(self, query, *given, **options)

    monkeypatch.setattr(Exchanges, "run", noted_run)
    monkeypatch.setattr(Connection, "execute", noted_execute)
    return messages
