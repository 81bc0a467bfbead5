"""Lists of users from files with columns: the cells of one column, with the line of each.

Pure; knows neither users nor sessions. Encodings, delimiters and quotes are read as in exports (`import_files`).
"""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from authctl import import_files
from authctl.errors import InvalidInput
from authctl.import_files import NoRows, Rejected
from authctl.names import fold, quoted

MOST_ROWS = 100_000
"""The most rows of a list: the names are kept with the revocation, for later imports."""

_MOST_NAMED = 20


class ListedName(NamedTuple):
    """The cell of one row that names a user."""

    row: int
    """The line of the file on which the row begins; the header is line 1."""
    text: str
    problem: str | None = None
    """The reason why the row has no such cell; None for a cell, blank or not."""


def read_column(file: BinaryIO, name: str, column: str) -> list[ListedName]:
    """The cells of a column; `name` is the name of the file in errors.

    Raises InvalidInput where the file has no header or not that column, or cannot be read to its end: broken quotes, another encoding
    than UTF-8 without a byte order mark, a last row that breaks off.
    """
    try:
        export = import_files.read(file, name)
        return _cells(export.rows, _column(export.columns, column, name), name)
    except InvalidInput as error:
        hint = error.hint if error.hint and "--encoding" not in error.hint else "save the file as CSV in UTF-8"
        raise InvalidInput(error.message, hint) from None


def _column(columns: tuple[str, ...] | None, wanted: str, name: str) -> str:
    """The column of that name, without differences of case and width. Raises InvalidInput where there is none, or several."""
    if columns is None:
        raise InvalidInput(f"{name}: no header with columns", "give a CSV file whose first line names the columns")
    matching_columns = [column for column in columns if fold(column) == fold(wanted)]
    if len(matching_columns) == 1:
        return matching_columns[0]
    named = ", ".join(map(quoted, columns[:_MOST_NAMED])) + (", ..." if len(columns) > _MOST_NAMED else "")
    problem = (
        f"has {len(matching_columns)} columns {quoted(wanted)}"
        if matching_columns
        else f"has no column {quoted(wanted)}"
    )
    raise InvalidInput(f"{name} {problem}", f"its columns: {named}")


def _cells(rows: Iterator[tuple[int, Any]], header: str, name: str) -> list[ListedName]:
    cells: list[ListedName] = []
    for number, row in rows:
        if len(cells) == MOST_ROWS:
            raise InvalidInput(f"{name} has more than {MOST_ROWS:,} rows", "split the file")
        if isinstance(row, Rejected):
            cells.append(ListedName(number, "", row.reason))
        elif not isinstance(row, NoRows):
            cells.append(ListedName(number, row[header].strip()))
    return cells
