"""docs/glossary.md: every link of a module leads to an entry, and every entry to modules that link back."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "authctl"
PAGE = (ROOT / "docs" / "glossary.md").read_text()
LINK = re.compile(r"docs/glossary\.md#([\w-]+)")


def entries() -> dict[str, str]:
    """The text of each entry, by its anchor."""
    return {
        title.lower().replace(" ", "-"): text for title, text in re.findall(r"(?ms)^## (.+?)\n(.*?)(?=^## |\Z)", PAGE)
    }


def links() -> dict[str, list[str]]:
    """The anchors that each module names anywhere in its text, by its path below authctl/."""
    found = {str(path.relative_to(PACKAGE)): LINK.findall(path.read_text()) for path in PACKAGE.rglob("*.py")}
    return {path: anchors for path, anchors in found.items() if anchors}


def test_every_anchor_named_in_the_code_is_an_entry():
    """A reader who follows a link of a docstring finds the idea."""
    named = {(path, anchor) for path, anchors in links().items() for anchor in anchors}
    assert len(named) >= 30
    assert [one for one in sorted(named) if one[1] not in entries()] == []


def test_the_links_are_in_the_docstrings_of_modules():
    """That is where a reader looks first."""
    for path, anchors in links().items():
        docstring = ast.get_docstring(ast.parse((PACKAGE / path).read_text())) or ""
        assert LINK.findall(docstring) == anchors, path


def test_every_entry_names_modules_that_link_back():
    """An entry says where its idea lives, by paths that exist, and each of these modules has the link."""
    assert 12 <= len(entries()) <= 45
    for anchor, text in entries().items():
        modules = re.findall(r"`([\w/]+\.py)`", text[text.index("Code:") :].split("See [")[0])
        assert modules, anchor
        assert [path for path in modules if anchor not in links().get(path, [])] == [], anchor


def test_the_entries_are_in_alphabetical_order():
    """So that a word is found at a glance."""
    assert list(entries()) == sorted(entries())
