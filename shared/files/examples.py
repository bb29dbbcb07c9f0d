"""Example files of each type, for the documentation and the check."""

from __future__ import annotations

import csv
import io

from shared.files.filetype import FileType

EXAMPLE_STAMP = "20230424T201230Z"


def example_csv(type_: FileType) -> str:
    """Return a small file of a type: its header and its example rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in type_.own_columns)
    for differences in type_.example_rows:
        writer.writerow(differences.get(c.name, c.example) for c in type_.own_columns)
    return text.getvalue()
