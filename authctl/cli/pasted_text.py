"""Texts from standard input or from an argument, without the characters around an id, a name or a token.

Copying adds these: white space, a byte order mark, quotes, and `Bearer ` before a token.
"""

_AROUND = " \t\r\n\v\f\u00a0\ufeff"
_QUOTES = "\"'"
_SCHEME = "bearer "
_HEADERS = frozenset(
    [
        "username",
        "user",
        "users",
        "userid",
        "userprincipalname",
        "upn",
        "samaccountname",
        "uid",
        "login",
        "loginname",
        "account",
        "accountname",
        "email",
        "emailaddress",
        "mail",
        "name",
        "displayname",
    ]
)
"""Names of columns with users, in letters and digits alone."""


def strip_text(text: str) -> str:
    """A text without the white space, the byte order mark and the pair of quotes around it."""
    stripped = text.strip(_AROUND)
    # A pair of the same quotes: one quote alone may belong to the text.
    if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in _QUOTES:
        return stripped[1:-1].strip(_AROUND)
    return stripped


def strip_token(text: str) -> str:
    """A token, or an id, without those and without the `Bearer ` before it, in any order."""
    stripped = strip_text(text)
    if stripped[: len(_SCHEME)].lower() == _SCHEME:
        return strip_text(stripped[len(_SCHEME) :])
    return stripped


def first_name(line: str) -> str:
    """The name before the first tab of a line; quotes around it are part of it."""
    # A user may be called `"Bob"`, with quotes; an id has none.
    return line.strip(_AROUND).split("\t", 1)[0].strip(_AROUND)


def format_of_names(first_line: str) -> str | None:
    """The format, other than a name a line, that the first line of some names is in; None where it is none that is known."""
    line = first_line.strip()
    if line[:1] in ("{", "["):
        return "JSON"
    if line.startswith(("username,", "id,", "group,")):
        return "CSV"
    return "a list of ids" if line == "id" else None


def is_header_of_names(first_line: str) -> bool:
    """Whether the first line of some names is a word that heads columns of users."""
    return "".join(letter for letter in strip_text(first_line).casefold() if letter.isalnum()) in _HEADERS


def first_field(line: str) -> str:
    """The part of a line before its first tab: the id of a row that a list printed."""
    return strip_text(line.strip(_AROUND).split("\t", 1)[0])
