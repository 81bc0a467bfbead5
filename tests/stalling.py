"""A host whose process stands still inside a change: `stalling.py HOME ADDRESS OPERATION [TOKEN]`.

It stops itself by SIGSTOP when it has done its work and is about to commit, and prints what became of it when it is let go on.
"""

import os
import signal
import sys
from typing import Any

from authctl import AuthctlError, Registry, SessionFilter
from authctl.cli.exit_codes import exit_code_of
from authctl.store.postgres.connection import Connection


def stand_still_at_commit() -> None:
    """Stop this process once, right before its first commit."""
    real, sent = Connection.execute, Connection.exchange
    has_stopped = False

    def stop(text: str) -> None:
        nonlocal has_stopped
        if not has_stopped and text.startswith("COMMIT"):
            has_stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)

    def execute(self: Any, query: Any, *given: Any, **options: Any) -> Any:
        stop(query)
        return real(self, query, *given, **options)

    def exchange(self: Any, *statements: Any) -> Any:
        for one in statements:
            stop(one.sql)
        return sent(self, *statements)

    Connection.execute = execute  # type: ignore[method-assign]
    Connection.exchange = exchange  # type: ignore[method-assign]


def main(home: str, address: str, operation: str) -> None:
    """Do it once."""
    with Registry.open(home, registry=address) as registry:
        registry.count()
        stand_still_at_commit()
        try:
            if operation == "revoke":
                registry.revoke(SessionFilter(username="bob"), note="stalled")
            elif operation == "shared":
                with registry._installation.change("bob", shared=True) as unit:
                    unit.record("session.issue", subject="bob", detail={})
            else:
                registry.issue(username="bob", application="Stalled")
        except AuthctlError as error:
            print(exit_code_of(type(error)), error.message)  # noqa: T201  # the test reads it
        else:
            print(0, "done")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
