"""The contradictions between the fields of a mapping file, each fault with its line and column."""

from authctl.import_mappings.file import REASONS, Fields, MappingFile, paths_of
from authctl.import_paths import levels_out
from authctl.names import quoted
from authctl.yaml_files import Document


def check_between(file: MappingFile, document: Document) -> None:
    """Note contradictions between the fields of a mapping file."""
    if file.rows is not None and (file.columns or file.delimiter):
        name = "columns" if file.columns else "delimiter"
        document.fault(document.key_position((name,)), f"'{name}' is for texts, and 'rows' for JSON")
    if file.columns and file.delimiter is None:
        document.fault(document.key_position(("columns",)), "'columns' needs a 'delimiter': the text has no header")
    _check_times(file.fields, document)
    levels = levels_out(file.rows.steps) if file.rows is not None else 0
    for place, path in paths_of(file):
        if not path.needs_position or (file.rows is not None and path.most_outs <= levels):
            continue
        if file.rows is None:
            message = "'^' and '$key' name the place of a row, which needs 'rows'"
        else:
            message = f"{quoted(path.text)} steps out {path.most_outs} times, and 'rows' has {levels} levels"
        written = document.written(place)
        document.fault(
            document.key_position(written) if "where" in place else document.value_position(written), message
        )


def _check_times(fields: Fields, document: Document) -> None:
    if not fields.has_time:
        document.fault(document.value_position(("fields",)), "'at' is missing")
    if fields.ended_reason and not fields.ended_at:
        document.fault(document.key_position(("fields", "ended_reason")), "'ended_reason' needs 'ended_at'")
    for number, source in enumerate(fields.ended_reason or ()):
        if source.value is not None and source.value not in REASONS:
            place = document.written(("fields", "ended_reason", number, "value"))
            message = f"no such reason: {quoted(source.value)}; one of: {', '.join(REASONS)}"
            document.fault(document.value_position(place), message)
