"""Sizes of functions and files: a function fits on a screen, and a file has one subject."""

import ast
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
FILES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "authctl").rglob("*.py"))}

MEDIAN, NINETIETH, LONGEST = 6, 17, 82
"""Lines of a function, from `def` to its end, docstring included."""

LONGEST_FILE = 400


def function_lengths() -> dict[str, int]:
    """The lines of each function and method."""
    return {
        f"{path}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path, text in FILES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_functions_are_short():
    """Half of them have six lines or fewer, nine in ten have seventeen or fewer, and none is longer than the longest today."""
    lengths = function_lengths()
    assert len(lengths) > 1_000
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}
    assert median(lengths.values()) <= MEDIAN
    assert quantiles(lengths.values(), n=10)[-1] <= NINETIETH


def test_files_are_short():
    """No file has more than four hundred lines."""
    lengths = {path: len(text.splitlines()) for path, text in FILES.items()}
    assert len(lengths) > 50
    longer = {path: length for path, length in lengths.items() if length > LONGEST_FILE}
    assert longer == {}, "split it by subject"
