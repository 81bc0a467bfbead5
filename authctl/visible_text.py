"""The characters that a terminal must not get raw, and how they are shown instead. Needed by every module that prints."""

import re
from functools import cache
from unicodedata import category

_INVISIBLE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_INVISIBLE_RANGES = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x2800, 0x2800),  # braille pattern blank
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xE0000, 0xE0FFF),  # tags and further variation selectors
)


def is_invisible(character: str) -> bool:
    """Whether a character is a control, a format or bidi character, or draws nothing.

    General categories of the Unicode Character Database, and Default_Ignorable_Code_Point beside
    them for those that are called letters or marks there.
    """
    if character.isascii():  # the letters of most notes
        return not character.isprintable()
    if category(character) in _INVISIBLE_CATEGORIES:
        return True
    # The categories call these letters or marks, although fonts draw nothing for them.
    code = ord(character)
    return any(first <= code <= last for first, last in _INVISIBLE_RANGES)


@cache  # compiled for the first text beyond ASCII: most commands print none
def _in_ranges() -> re.Pattern[str]:
    return re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _INVISIBLE_RANGES) + "]")


def first_invisible(text: str) -> str | None:
    """The first character of a text that is invisible; None without one."""
    # Python prints no character of those categories: a name with an accent costs no look at each character
    if text.isprintable() and (text.isascii() or not _in_ranges().search(text)):
        return None
    return next(filter(is_invisible, text), None)


def visible(text: str) -> str:
    """The text with every control, bidi, zero-width and unprintable character as an escape.

    The result is safe for a terminal: one line, nothing invisible, nothing reordered.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() and not is_invisible(c) else c.encode("unicode_escape").decode() for c in text)
