"""The meaning of the rows of another system's export: a mapping file gives the place of each field.

Pure: bytes in, values out. The registry makes sessions of them.
"""

from hashlib import sha256

from authctl.errors import InvalidInput
from authctl.import_mappings.faults import check_between
from authctl.import_mappings.file import At, MappingFile
from authctl.import_mappings.rows import Listing, Mapping, Row, Skipped
from authctl.import_mappings.times import Remark
from authctl.validation import validated
from authctl.yaml_files import load

__all__ = ["Listing", "Mapping", "Remark", "Row", "Skipped", "read_mapping"]


def read_mapping(raw: bytes, name: str, *, is_timed: bool = False) -> Mapping:
    """Read the bytes of a mapping file; `name` is its name in faults. Raises InvalidFile.

    `is_timed`: the time of the listing is given, so that it is the time of the rows where the mapping names none at all.
    """
    document = load(raw, name)
    file = validated(MappingFile, document)
    if is_timed and not file.fields.has_time:
        file.fields.at = At(sources=[], is_taken=True)
    check_between(file, document)
    mapping = Mapping(file, sha256(raw).hexdigest())
    if file.columns:
        try:
            mapping.check_columns(file.columns)
        except InvalidInput as error:
            document.fault(
                document.value_position(("columns",)), error.message.replace("the header has", "'columns' has")
            )
    document.raise_faults()
    return mapping
