"""Which way an age counts: back for what has been, ahead for what is to come; and every option says which."""

from authctl import help_topics
from authctl.help_topics import Items
from authctl.instants import format_instant
from tests.conftest import Authctl, every_command

AHEAD = {
    ("sessions", "list", "--expires-before"),
    ("revoke", "--expires-before"),
    ("continuity", "start", "--until"),
    ("users", "disable", "--until"),
}


def time_options() -> list[tuple[tuple[str, ...], str]]:
    """Every option that takes a time, by its command, with its help."""
    return [
        ((*path, param.opts[0]), param.help)
        for path, params in every_command().items()
        for param in params
        if param.param_type_name == "option" and param.metavar == "TIME"
    ]


def test_every_option_that_takes_a_time_says_which_way_an_age_counts():
    """An age is so long ago, or a length of time ahead, and never just an age."""
    found = time_options()
    assert len(found) >= 11
    for path, help_ in found:
        assert (" ahead " if path in AHEAD else "days ago") in help_, path
    assert {path for path, _ in found} >= AHEAD


def test_the_topic_says_which_options_count_ahead_and_which_back():
    """Each of them is named there."""
    items = [text for block in help_topics.read("times").blocks if isinstance(block, Items) for text in block.texts]
    (back,) = [text for text in items if text.startswith("An age counts back")]
    (ahead,) = [text for text in items if text.startswith("An age counts ahead")]
    for path, _ in time_options():
        assert f"`{path[-1]}`" in (ahead if path in AHEAD else back), path


def test_an_age_of_until_counts_back_in_the_audit_log(installed: Authctl):
    """What happened in the last ten minutes is not `--until 10m`; it is `--since 10m`."""
    assert installed("audit", "list", "--until", "10m", "-o", "id").out == ""
    assert installed("audit", "list", "--since", "10m", "-o", "id").out == "1\n"
    assert installed("audit", "list", "--since", "20m", "--until", "10m", "-o", "id").out == ""


def test_an_age_of_until_counts_ahead_for_a_continuity_event(authctl: Authctl, install, clock):
    """It is held for so long, from now."""
    registry = install("version: 1\nprofiles: {default: {idle_timeout: 3d, continuity: true}}")
    (state,) = registry.continuity.start(note="provider down")
    assert state.event.started_at == registry.now()
    registry.continuity.end(note="it is back")
    clock.forward(days=400)
    ran = authctl("continuity", "start", "--until", "2h", "--note", "provider down", "-o", "json")
    assert ran.code == 0, ran.err
    (event,) = ran.json
    assert event["until"] > event["started_at"]
    assert format_instant(0) < event["started_at"]
