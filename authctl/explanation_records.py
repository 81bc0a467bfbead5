"""Explanations of tokens and sessions as records: the objects of the JSON output. They never contain a token."""

from typing import TYPE_CHECKING

from authctl.records import Record, instant

if TYPE_CHECKING:
    from authctl.registry.tokens.explain import Explanation, Step


def explanation(explained: "Explanation") -> Record:
    """The verdict on a token or session, with its steps; `valid` is null if it is unknown."""
    session, refusal = explained.session, explained.refusal
    return {
        "id": None if session is None else session.id,
        "username": None if session is None else session.username,
        "application": None if session is None else session.application,
        "at": instant(explained.at),
        "valid": explained.valid,
        "code": refusal.code if refusal else None,
        "reason": refusal.message if refusal else None,
        "action": refusal.action if refusal else None,
        "steps": [_step(step) for step in explained.steps],
    }


def _step(step: "Step") -> Record:
    return {
        "step": step.step,
        "result": step.result.value,
        "text": step.text,
        "at": instant(step.at),
        "by": step.by,
        "note": step.note,
    }
