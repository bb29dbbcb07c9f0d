"""Names and layouts of export files."""

from __future__ import annotations

from shared.files.exported import Exports
from shared.files.folders import (
    DEFAULT_CONNECTION,
    FOLDERS,
    KEPT_FOLDERS,
    OWN_FOLDERS,
    REFUSALS,
    STATE,
    UPLOAD_FOLDERS,
    Mode,
    is_connection,
)
from shared.files.layout import EXPORT, REPORT_COLUMNS, Header, Layout, report_columns
from shared.files.names import (
    LONGEST_OBJECT,
    TEMPORARY_ENDINGS,
    TYPES,
    Arrival,
    ExportFile,
    Ignored,
    Misnamed,
    is_import_id,
    make_import_id,
    parse_import_id,
    read_name,
)
from shared.files.spreadsheet import guard, guard_all, unguard
from shared.files.suggestions import shown

__all__ = [
    "DEFAULT_CONNECTION",
    "EXPORT",
    "FOLDERS",
    "KEPT_FOLDERS",
    "LONGEST_OBJECT",
    "OWN_FOLDERS",
    "REFUSALS",
    "REPORT_COLUMNS",
    "STATE",
    "TEMPORARY_ENDINGS",
    "TYPES",
    "UPLOAD_FOLDERS",
    "Arrival",
    "ExportFile",
    "Exports",
    "Header",
    "Ignored",
    "Layout",
    "Misnamed",
    "Mode",
    "guard",
    "guard_all",
    "is_connection",
    "is_import_id",
    "make_import_id",
    "parse_import_id",
    "read_name",
    "report_columns",
    "shown",
    "unguard",
]
