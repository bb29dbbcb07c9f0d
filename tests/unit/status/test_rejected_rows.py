"""The first rejected rows are read from the beginning of the file, personal data masked."""

from __future__ import annotations

import pytest

from shared.files.types import file_type
from shared.status.masking import mask
from shared.status.rejected_rows import ROWS_SHOWN, read_rows

FILE = (
    "\ufeffPERIDX,EMAIL,STORE_CODE,line,column,code,reason\r\n"
    '12,"ana@example.com, x",S1,7,EMAIL; PERIDX,row.bad_email; row.bad_key,Two things. Both.\r\n'
)


def test_a_row() -> None:
    """A row comes with its line, codes, reason, what to do, and its cells, masked."""
    (row,) = read_rows(FILE.encode(), file_type("customers"), whole=True, reveal=False)

    assert (row.line, row.codes) == ("7", ("row.bad_email", "row.bad_key"))
    assert row.reason == "Two things. Both."
    assert "Correct the address in Apparel21" in row.fix
    assert row.cells == (
        ("PERIDX", "••", True),
        ("EMAIL", "•••@•••••••.•••, •", True),
        ("STORE_CODE", "S1", False),
    )


def test_revealed() -> None:
    """Whoever asks for it sees what is in the cells."""
    (row,) = read_rows(FILE.encode(), file_type("customers"), whole=True, reveal=True)

    assert row.cells[1] == ("EMAIL", "ana@example.com, x", True)


def test_guards_are_taken_off() -> None:
    """What keeps a spreadsheet from running a cell is not shown as a part of it."""
    data = b"STORE_CODE,line,column,code,reason\r\n'=1+1,2,,row.x,Why.\r\n"

    (row,) = read_rows(data, file_type("customers"), whole=True, reveal=False)

    assert row.cells == (("STORE_CODE", "=1+1", False),)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    """The report is read with the delimiter of the file it is about."""
    lines = [["STORE_CODE", "line", "column", "code", "reason"], ["S1", "2", "", "row.x", "Why."]]
    data = "".join(delimiter.join(cells) + "\r\n" for cells in lines).encode()

    (row,) = read_rows(data, file_type("customers"), whole=True, reveal=False)

    assert row.cells == (("STORE_CODE", "S1", False),)
    assert (row.line, row.reason) == ("2", "Why.")


def test_a_row_that_is_cut_off_is_left_out() -> None:
    """Of a long file only whole rows are shown, and no more than fit the page."""
    row = "12,a@example.com,S1,7,EMAIL,row.bad_email,Why.\r\n"
    two = (FILE.partition("\n")[0] + "\n" + row + row[:9]).encode()
    many = (FILE.partition("\n")[0] + "\n" + row * 50).encode()

    assert len(read_rows(two, file_type("customers"), whole=False, reveal=False)) == 1
    assert len(read_rows(many, file_type("customers"), whole=True, reveal=False)) == ROWS_SHOWN


def test_nothing_can_be_read() -> None:
    """A file that is not what it should be gives no rows and no error."""
    assert read_rows(b"", file_type("customers"), whole=True, reveal=False) == []
    assert read_rows(b"\xff\x00\x00", file_type("customers"), whole=True, reveal=False) == []


def test_mask_keeps_the_shape() -> None:
    """Letters and digits of every script are hidden; what stands between them stays."""
    assert mask("31/02/2023") == "••/••/••••"
    assert mask("O'Néé, 李四") == "•'•••, ••"
