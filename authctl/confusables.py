"""Names that look the same and are not: letters of other scripts, as Unicode's table of confusables has them (UTS #39).

They are never merged: a person decides which user is the right one.
"""

from authctl.names import fold


def skeleton(name: str) -> str:
    """The look of a name: its key, with each letter beyond ASCII replaced by the ASCII letter that it is confused with."""
    # decision 86: they are only reported: a named user is acted on at once
    key = fold(name)
    if key.isascii():
        return key
    from confusable_homoglyphs import confusables

    return fold("".join(_plain(letter, confusables.confusables_data) for letter in key))


def _plain(letter: str, table: dict[str, list[dict[str, str]]]) -> str:
    if letter.isascii():
        return letter
    # Only letters of ASCII: readers of another script can distinguish two names in it.
    return next((other["c"] for other in table.get(letter, ()) if other["c"].isascii()), letter)


def codes(name: str) -> str:
    """The letters of a name that are beyond ASCII, as code points, since a person cannot see the difference."""
    return " ".join(f"U+{ord(letter):04X}" for letter in name if not letter.isascii())
