"""The library's errors: whatever a method is given, what it says is fit to be shown."""

import inspect
import io
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from authctl import AuthctlError, InvalidFile, Registry, SessionFilter, errors, profiles
from authctl.cli.exit_codes import exit_code_of
from authctl.import_mappings import read_mapping
from authctl.model import EventFilter, Request
from authctl.registry.nouns import Nouns
from authctl.registry.tokens.issue import Login, SignIn
from authctl.user_lists import ListedName
from tests.conftest import HOSTILE, Install, unseen

TEXTS = [*HOSTILE, "\0", "\ud800", "\udcff", "", " ", "x\nauthctl: error: forged", "\x1b" * 1_001, "\x1b" * 4_001]
TEXT = re.compile(r"\b(str|Texts|BinaryIO)\b")
MAP = read_mapping(b"fields: {username: u, at: t}\nkey: [username]\n", "map.yaml")
ARGUMENTS = {f"Unpack[{kind.__name__}]": kind for kind in (Login, SignIn, Request)}


def kind(param: inspect.Parameter) -> str:
    """The type that an argument is written with."""
    return param.annotation if isinstance(param.annotation, str) else inspect.formatannotation(param.annotation)


def listed(kind: type) -> Iterator[inspect.Parameter]:
    """The keyword arguments that a `TypedDict` lists."""
    for name, type_ in get_type_hints(kind).items():
        default = inspect.Parameter.empty if name in kind.__required_keys__ else None
        default = "application" if name == "kind" else default
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=type_)


def parameters(method: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a method, each by itself."""
    found = inspect.signature(method).parameters.values()
    each = [
        one for param in found for one in (listed(ARGUMENTS[param.annotation]) if "Unpack" in kind(param) else [param])
    ]
    return {param.name: param for param in each}


def methods(made: object, path: str = "") -> dict[str, dict[str, inspect.Parameter]]:
    """The public methods of an object, by their path: `users.disable`."""
    return {
        path + name: parameters(method)
        for name, method in inspect.getmembers(made, inspect.ismethod)
        if not name.startswith("_")
    }


NOUNS = [name for name, value in vars(Nouns).items() if isinstance(value, cached_property) and not name.startswith("_")]
FACE = Registry(None)  # nothing is opened: a noun only keeps what it is given
METHODS = methods(FACE) | {
    path: method for noun in NOUNS for path, method in methods(getattr(FACE, noun), f"{noun}.").items()
}


def good(name: str, param: inspect.Parameter, registry: Registry) -> Any:
    """Something fitting for an argument that is owed."""
    known = {
        "note": "lost device",
        "username": "alice",
        "kind": "application",
        "file": io.BytesIO(b"u,t\nalice,2026-01-01\n"),
        "mapping": MAP,
        "selection": SessionFilter(username="alice"),
        "wanted": registry.profiles.in_force(),
        "seq": 1,
        "targets": ["abcdefgh"],
        "by": "application",
        "rows": [ListedName(2, "alice")],
    }
    if name == "plan":
        return registry.plans.make(SessionFilter(application="A")).plan
    return known.get(name, "nothing") if param.default is param.empty or name == "note" else param.default


def given(text: str, param: inspect.Parameter) -> Any:
    """The text as that argument."""
    if "ListedName" in kind(param):
        return [ListedName(2, text)]
    if "Sequence" in kind(param):
        return [text]
    return io.BytesIO(text.encode(errors="replace")) if "BinaryIO" in kind(param) else text


def check(error: AuthctlError) -> None:
    """One line, or a line a fault, without anything that a terminal should not get."""
    assert unseen(f"{error} {error.message} {error.hint}") == []
    if not isinstance(error, InvalidFile):
        assert len(f"{error}{error.hint}".splitlines()) == 1
    assert str(error) == error.message


def text_arguments(method: str) -> list[str]:
    """The arguments of a method that take text, or a file."""
    return [name for name, param in METHODS[method].items() if TEXT.search(kind(param))]


def test_arguments_that_take_text_are_known():
    """Most methods have one, and every noun has a method."""
    assert sum(map(bool, map(text_arguments, METHODS))) > len(METHODS) / 2
    assert len(NOUNS) > 10
    assert {path.split(".")[0] for path in METHODS} >= {"issue", *NOUNS}
    assert {"username", "application", "device"} <= set(text_arguments("issue"))


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_says_is_fit_to_be_shown(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    """Hostile text in any argument is accepted or refused by an error of ours, without a raw character."""
    monkeypatch.chdir(tmp_path)
    registry = install(profiles.DEFAULT_FILE + "  asking: {authenticator: nobody}\n")
    asked = {name: param for name, param in METHODS[method].items() if name != "self"}
    for text in TEXTS:
        for hostile in text_arguments(method):
            arguments = {name: good(name, param, registry) for name, param in asked.items()}
            if "Path" in kind(asked[hostile]) and text in ("\0", "\ud800"):  # no file can be called that
                continue
            arguments[hostile] = given(text, asked[hostile])
            several = [arguments.pop(name) for name, param in asked.items() if param.kind is param.VAR_POSITIONAL]
            try:
                found = attrgetter(method)(registry)(*several, **arguments)
                if inspect.isgenerator(found):
                    list(found)
            except AuthctlError as error:
                check(error)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_what_a_filter_says_is_fit_to_be_shown(registry: Registry, text: str):
    """In any field, where it is made or where it is used."""
    for made, method in ((SessionFilter, registry.sessions), (EventFilter, registry.audit.events)):
        fields = {name: str(type_) for name, type_ in get_type_hints(made).items() if "str" in str(type_)}
        assert fields.keys() >= {"username", "search"}
        for name, type_ in fields.items():
            try:
                list(method(made(**{name: (text,) if "tuple" in type_ else text})))
            except AuthctlError as error:
                check(error)


@pytest.mark.parametrize(
    "text", [text for text in TEXTS if text.strip() and "\0" not in text and text != "\ud800"], ids=ascii
)
def test_what_is_said_of_a_path_is_fit_to_be_shown(
    registry: Registry, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
):
    """Of a home, a registry or a key ring that is not there, and of files that are read under a name."""
    monkeypatch.delenv("AUTHCTL_REGISTRY", raising=False)
    for place in ({"home": tmp_path / text}, {"home": tmp_path, "registry": tmp_path / text}):
        with pytest.raises(AuthctlError) as caught:
            Registry.open(**place)
        check(caught.value)
    with pytest.raises(AuthctlError) as caught:
        registry.backups.create(tmp_path / "nowhere" / text)
    check(caught.value)
    for read in (read_mapping, profiles.read):
        with pytest.raises(AuthctlError) as caught:
            read(b'"\\e[31m": {', text)
        check(caught.value)


def classes_of_errors() -> list[type[AuthctlError]]:
    """Every class of the library's errors."""
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, AuthctlError)]


def test_every_error_has_its_own_code():
    """The code is the class's name in small letters, so that a program may rely on either; README lists those of tokens."""
    codes = {one.__name__: one.code for one in classes_of_errors() if one is not AuthctlError}
    assert len(codes) > 15
    assert codes == {name: re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in codes}
    assert AuthctlError.code == "internal_error"


def test_the_exit_codes_of_errors_are_in_the_documented_table():
    """Each class has the exit code of its nearest parent in the table, and docs/commands.md says what each of them means."""
    page = (Path(__file__).parents[1] / "docs" / "commands.md").read_text()
    documented = {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    codes = {exit_code_of(one) for one in classes_of_errors()}
    assert codes == set(range(1, 9))
    assert codes < documented
