"""GET /health/live and /health/ready: does the process answer, and can it judge tokens? /health is the same as ready."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from authctl import key_ring
from authctl.door.answers import Answer, json_answer
from authctl.door.requests import Request
from authctl.errors import AuthctlError

if TYPE_CHECKING:
    from authctl.door.application import Door

_LIVE = json_answer({"status": "ok"})


async def live(door: "Door", request: Request) -> Answer:  # noqa: ARG001  # as every route has it
    """Answer that the process runs."""
    return _LIVE


async def ready(door: "Door", request: Request) -> Answer:  # noqa: ARG001  # as every route has it
    """Answer with the result of each check: 200 if all are ok, else 503."""
    checks = await door.calls.write(lambda: {name: _result(check) for name, check in _checks(door).items()})
    is_ready = all(result == "ok" for result in checks.values())
    return json_answer({"status": "ok" if is_ready else "failed", "checks": checks}, 200 if is_ready else 503)


def _checks(door: "Door") -> dict[str, Callable[[], object]]:
    registry = door.registry
    return {
        "registry": registry.profiles.in_force,
        "keys": lambda: key_ring.load(door.home.keys),
        "head": registry.audit.check_head,
        "clock": registry.now,
    }


def _result(check: Callable[[], object]) -> str:
    """`ok`, or the code of the error. Its message stays in the log: it may name files."""
    try:
        check()
    except AuthctlError as error:
        return error.code
    return "ok"
