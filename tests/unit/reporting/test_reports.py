"""Lines of the rejected file are CSV as the csv module writes it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reporting.reports import csv_line

CELLS = st.lists(
    st.text(alphabet='",;\t|\r\n a\u00e9', max_size=6) | st.text(max_size=10),
    min_size=2,
    max_size=6,
)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@given(cells=CELLS)
def test_a_line_is_what_the_csv_module_writes(delimiter: str, cells: list[str]) -> None:
    """Quotes are where that module has them, and nowhere else."""
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator="\r\n").writerow(cells)

    assert f"{csv_line(cells, delimiter)}\r\n" == written.getvalue()
