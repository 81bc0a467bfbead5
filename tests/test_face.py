"""The face of the library: operations on sessions are methods of Registry, all others belong to a noun that is loaded when it is used."""

import inspect
import subprocess
import sys
from functools import cached_property

import pytest

from authctl import Registry
from authctl.registry.nouns import Nouns
from tests.conftest import every_command

NOUNS = [name for name, value in vars(Nouns).items() if isinstance(value, cached_property) and not name.startswith("_")]

ELSEWHERE = {
    ("audit", "list"): "audit.events",
    ("audit", "show"): "audit.event",
    ("backup",): "backups.create",
    ("cleanup",): "cleanup.run",
    ("clients", "show"): "clients.get",
    ("completion",): "completions.users",
    ("deliver",): "deliveries.deliver",
    ("doctor",): "doctor.examine",
    ("explain",): "tokens.explain",
    ("profiles", "list"): "profiles.in_force",
    ("profiles", "show"): "profiles.in_force",
    ("sessions", "import"): "imports.run",
    ("sessions", "list"): "sessions",
    ("sessions", "show"): "session",
    ("sessions", "end"): "end",
    ("login",): "tokens.login",
    ("stats",): "statistics.read",
    ("tokens", "issue"): "issue",
    ("tokens", "verify"): "verify",
    ("tokens", "refresh"): "refresh",
    ("users", "show"): "users.get",
}
"""The commands whose operation has another path than they have themselves."""

NO_REGISTRY = {
    *((command,) for command in ("init", "demo", "restore", "help", "console", "serve")),
    ("receivers", "example"),
    ("registry", "move"),
    *(("profiles", verb) for verb in ("check", "example")),
    *((noun, verb) for noun in ("mappings", "examples") for verb in ("list", "show")),
}
"""The commands that need no open registry."""


def test_the_path_of_a_command_is_the_path_of_its_operation(registry: Registry):
    """`authctl users disable` is `registry.users.disable`; the exceptions are listed, and each of them is one."""
    commands = every_command()
    assert {*ELSEWHERE, *NO_REGISTRY} <= set(commands)
    for command in set(commands) - NO_REGISTRY:
        path = ELSEWHERE.get(command, ".".join(command).replace("-", "_"))
        operation = registry
        for name in path.split("."):
            operation = getattr(operation, name)
        assert callable(operation), path
        assert path != ".".join(command) or command not in ELSEWHERE, command


def test_no_noun_is_loaded_before_it_is_used():
    """Importing Registry loads no module of a noun: start-up pays for what a command uses."""
    code = "import sys; from authctl import Registry; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("authctl.registry.") for name in ran.stdout.split() if "authctl.registry." in name}
    assert "installation" in loaded
    assert (
        loaded
        & {
            *NOUNS,
            "login_cache",
            "sessions",
            "pages",
            "outside_head",
            "revocations",
            "tokens.verify",
            "tokens.issue",
            "imports.file",
        }
        == set()
    )


def test_a_noun_is_made_once(registry: Registry):
    """The same object each time, and of this registry alone."""
    assert len(NOUNS) > 10
    for noun in NOUNS:
        assert getattr(registry, noun) is getattr(registry, noun)


def test_every_method_of_the_face_has_its_contract(registry: Registry):
    """In its own docstring, which refers to no other place alone."""
    faces = [registry, *(getattr(registry, noun) for noun in NOUNS)]
    methods = [
        method for face in faces for name, method in inspect.getmembers(face, inspect.ismethod) if name[0] != "_"
    ]
    assert len(methods) > 45
    assert [method.__qualname__ for method in methods if not method.__doc__ or method.__doc__.startswith("See ")] == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"username": "alice"},
        {"application": "Outlook"},
        {"username": "alice", "application": "Outlook", "user": "bob"},
        {"username": "alice", "application": "Outlook", "Device": "AL-PC"},
    ],
)
def test_a_sign_in_with_missing_or_unknown_arguments_is_a_type_error(registry: Registry, arguments: dict[str, str]):
    """As a function that lists them would raise, and nothing is registered."""
    with pytest.raises(TypeError):
        registry.issue(**arguments)
    with pytest.raises(TypeError):
        registry.tokens.login(**arguments, password="correct horse")
    assert registry.count() == 0


def test_a_login_does_not_say_how_the_user_signed_in(registry: Registry):
    """It was by a password."""
    with pytest.raises(TypeError, match="signed_in_with"):
        registry.tokens.login(username="alice", application="Outlook", password="correct horse", signed_in_with="key")


def test_an_unknown_fact_of_a_request_is_a_type_error(registry: Registry):
    """A fact that is misspelled would be missing in a check."""
    token = registry.issue(username="alice", application="Outlook").access_token
    for operation in (registry.verify, registry.refresh):
        with pytest.raises(TypeError, match="adress"):
            operation(token, adress="10.0.0.1")
