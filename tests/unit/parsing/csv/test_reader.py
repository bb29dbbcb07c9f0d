"""Reader: what is made of the bytes of an export file, and what is refused."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from contextlib import suppress
from typing import BinaryIO, cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.codes import CODES
from shared.core.errors import FileRejected, Problem, TryAgain
from shared.files.layout import Layout
from shared.parsing.csv.chunk import BadRow, Chunk
from shared.parsing.csv.header import COLUMNS, HEADER_BYTES
from shared.parsing.csv.reader import CHUNK_ROWS, CsvReader
from tests.support.slow_reader import BLANKS

LAYOUT = Layout(
    columns={
        "PERIDX": "PERIDX",
        "PERSON_ID": "PERIDX",
        "EMAIL": "EMAIL",
        "SURNAME": "SURNAME",
        "SKU": "SKU",
        "BARCODE": "SKU",
        "PRODUCT_CODE": "PRODUCT_CODE",
    },
    required=(("PERIDX",),),
    expected=("EMAIL",),
)
LINES = Layout(columns=LAYOUT.columns, required=(("PERIDX",), ("SKU", "PRODUCT_CODE")))
BOM = "\ufeff"


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as a network does."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self._data = io.BytesIO(data)
        self._step = step

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(size, self._step))


class Read:
    """Everything that a file comes to."""

    def __init__(self, reader: CsvReader) -> None:
        self.reader = reader
        self.rows: list[list[str]] = []
        self.lines: list[int] = []
        self.ordinals: list[int] = []
        self.bad: list[BadRow] = []
        self.chunks: list[Chunk] = []
        for chunk in reader.chunks():
            assert list(chunk.frame.columns) == list(reader.header.canonical)
            self.chunks.append(chunk)
            rows = chunk.frame.to_numpy().tolist()
            assert [cells for cells, _ in reader.cut(chunk.bytes(chunk.numbers))] == rows
            self.rows += rows
            self.lines += chunk.lines
            self.ordinals += chunk.ordinals
            self.bad += chunk.bad

    @property
    def warnings(self) -> list[tuple[str, int | None]]:
        return [(problem.code, problem.line) for problem in self.reader.warnings]

    @property
    def bad_codes(self) -> list[tuple[int, str]]:
        return [(row.line, row.problem.code) for row in self.bad]


def read(data: bytes | str, layout: Layout = LAYOUT, *, block_bytes: int = 1 << 20) -> Read:
    """Read a file given as bytes, or as text that is written in UTF-8."""
    octets = data.encode() if isinstance(data, str) else data
    stream = cast(BinaryIO, Trickle(octets, step=1 << 16))
    return Read(CsvReader(stream, layout, size=len(octets), block_bytes=block_bytes))


def refusal(data: bytes | str, layout: Layout = LAYOUT) -> Problem:
    """The problem for which a file is refused."""
    with pytest.raises(FileRejected) as refused:
        read(data, layout)
    assert refused.value.problem.code in CODES
    return refused.value.problem


# -- good files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "rows", "lines"),
    [
        ("PERIDX,EMAIL\n", [], []),
        ("PERIDX,EMAIL", [], []),
        ("PERIDX,EMAIL\n1,a\n", [["1", "a"]], [2]),
        ("PERIDX,EMAIL\n1,a", [["1", "a"]], [2]),
        ("PERIDX,EMAIL\r\n1,a\r\n2,b\r\n", [["1", "a"], ["2", "b"]], [2, 3]),
        ("PERIDX,EMAIL\r1,a\r2,b\r", [["1", "a"], ["2", "b"]], [2, 3]),
        ("PERIDX,EMAIL\r\n1,a\n2,b\r3,c", [["1", "a"], ["2", "b"], ["3", "c"]], [2, 3, 4]),
        ("\n\r\nPERIDX,EMAIL\n\n1,a\n\r\n\n2,b\n\n", [["1", "a"], ["2", "b"]], [5, 8]),
        ("PERIDX,EMAIL\n1,\n,\n2,\n", [["1", ""], ["2", ""]], [2, 4]),
        ('PERIDX,EMAIL\n\t\n,,,\n"", " "\n\u00a0,\n\x1a\r\n1,a\n', [["1", "a"]], [7]),
        (",,\n \r\nPERIDX,EMAIL\n1,a\n", [["1", "a"]], [4]),
        ('PERIDX,EMAIL\n"1","a,""b"""\n', [["1", 'a,"b"']], [2]),
        ('PERIDX,EMAIL\n1,"a\nb\r\nc"\n2,d\n', [["1", "a\nb\r\nc"], ["2", "d"]], [2, 5]),
        ('"PERIDX","EMAIL"\n1,5" heel\n"2","b"\n', [["1", '5" heel'], ["2", "b"]], [2, 3]),
        ('"PERIDX", "EMAIL"\n1, "a" \n\t"2","b, ""c"""\n', [["1", "a"], ["2", 'b, "c"']], [2, 3]),
        ('PERIDX,\u00a0"EMAIL"\n\ufeff"1",\u2003"a"\u00a0\n', [["1", "a"]], [2]),
        ("PERIDX,EMAIL\n1,a\x1a\n2,b\x1a", [["1", "a"], ["2", "b"]], [2, 3]),
        ('PERIDX,EMAIL\n"1","a"\x1a', [["1", "a"]], [2]),
        ("PERIDX,EMAIL\n 1 ,\ta \n", [[" 1 ", "\ta "]], [2]),
        ("PERIDX,EMAIL\n007,1E5\nNA,null\n", [["007", "1E5"], ["NA", "null"]], [2, 3]),
        ("PERIDX,EMAIL\n1,😀é\n2,ﬁ\n", [["1", "😀é"], ["2", "ﬁ"]], [2, 3]),
        ("PERIDX,EMAIL\n1,a\n\x1a", [["1", "a"]], [2]),
        ("PERIDX,EMAIL\n1,a\n  ", [["1", "a"]], [2]),
        ('PERIDX\n""\n"x"\n', [["x"]], [3]),
        (f"{BOM}PERIDX,EMAIL\n1,a\n", [["1", "a"]], [2]),
        (f"{BOM}{BOM}PERIDX,EMAIL\n1,a\n", [["1", "a"]], [2]),
        (f'{BOM}"{BOM}PERIDX",EMAIL\n1,a\n', [["1", "a"]], [2]),
        (f"PERIDX,EMAIL\n{BOM}1,a\n2,b\n", [[f"{BOM}1", "a"], ["2", "b"]], [2, 3]),
        (f'PERIDX,EMAIL\n"{BOM}1",a\n', [[f"{BOM}1", "a"]], [2]),
        (f"PERIDX\n{BOM}\n1\n", [["1"]], [3]),
    ],
)
def test_rows(data: str, rows: list[list[str]], lines: list[int]) -> None:
    """Cells come out as they were written, each row with its line."""
    found = read(data)

    assert found.rows == rows
    assert found.lines == lines
    assert not found.bad


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    """The delimiter is the one that makes the most columns known."""
    found = read(f'PERIDX{delimiter}"A,B;C|D\tE"{delimiter}EMAIL\n1{delimiter}x{delimiter}a\n')

    assert found.reader.delimiter == delimiter
    assert found.rows == [["1", "x", "a"]]


def test_cells_are_python_strings() -> None:
    """Every cell is a str, blank ones too, in every column."""
    frame = read("PERIDX,EMAIL,N\n1,,2\n2,a,\n").chunks[0].frame

    assert {type(cell) for name in frame for cell in frame[name].tolist()} == {str}
    assert {str(dtype) for dtype in frame.dtypes} == {"object"}


def test_header_names() -> None:
    """Names are trimmed and known in any case and by any alias; others keep their own name."""
    header = read(" person_id ,\u00a0Email, Shoe Size ,NOTES\n").reader.header

    assert header.names == ("person_id", "Email", "Shoe Size", "NOTES")
    assert header.canonical == ("PERIDX", "EMAIL", "Shoe Size", "NOTES")
    assert header.unknown == ("Shoe Size", "NOTES")


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_row_of_blanks_in_quotes_is_a_blank_line(delimiter: str) -> None:
    """Blanks in quotes are nothing, also a tab in a file whose delimiter is a tab."""
    lines = (["PERIDX", "EMAIL", "SURNAME"], ["1", "a@example.com", "Ash"], ["2", "", "Bee"])
    first, *others = (delimiter.join(cells) for cells in lines)

    found = read("\n".join([first, others[0], '" \t "', others[1], ""]))

    assert [] == found.bad
    assert [2, 4] == found.lines


def test_ordinals_count_bad_rows_and_no_blank_lines() -> None:
    """Rows are counted from 0 through good and bad ones; blank lines are not rows."""
    found = read("PERIDX,EMAIL\n1,a\n\n2\n3,c\n")

    assert found.ordinals == [0, 2]
    assert found.chunks[0].first_row == 0
    assert [row.line for row in found.bad] == [4]


@pytest.mark.parametrize("block_bytes", [1, 16, 1 << 20])
def test_rows_of_a_spreadsheet(block_bytes: int) -> None:
    """A spreadsheet shows one row for all lines of a row, and an empty row for a blank line."""
    data = '\nPERIDX,EMAIL\n1,a\n2,"b\nc\nd"\n\n3,c\n4\n5,"e\r\nf"\n6,g\n'
    found = read(data, block_bytes=block_bytes)

    lines: list[int] = []
    numbers: list[int | None] = []
    for chunk in found.chunks:
        of_chunk = chunk.lines_and_numbers(np.arange(len(chunk.numbers)))
        lines += of_chunk[0]
        numbers += of_chunk[1]

    assert lines == [3, 4, 8, 10, 12]
    assert numbers == [None, None, 6, 8, 9]
    assert [(bad.line, bad.problem.row) for bad in found.bad] == [(9, 7)]


def test_small_rows_come_in_several_chunks() -> None:
    """However small rows are, a chunk has no more than so many, and none is lost between two."""
    count = 2 * CHUNK_ROWS + 5
    found = read("PERIDX\n" + "".join(f"{n}\n" for n in range(count)))

    assert [len(chunk.lines) for chunk in found.chunks] == [CHUNK_ROWS, CHUNK_ROWS, 5]
    assert [chunk.first_row for chunk in found.chunks] == [0, CHUNK_ROWS, 2 * CHUNK_ROWS]
    assert found.rows == [[str(n)] for n in range(count)]
    assert found.ordinals == list(range(count))


NOTHING = "".join(BLANKS) + "\r\n"

cells = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.text(st.sampled_from(list(',;"\n\r a\ufeff\u2028é')), max_size=6),
).map(lambda cell: _without_rows(cell.replace("\0", "0")))


def _without_rows(cell: str) -> str:
    """Take delimiters out of a cell of several lines, so that no line of it looks like a row."""
    several = "\n" in cell or "\r" in cell
    return "".join(sign for sign in cell if sign not in ",;\t|") if several else cell


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(",;\t|"),
    st.booleans(),
)
@example([(BOM, "", "")], "\n", False, ",", False)
def test_what_was_written_is_read(
    rows: list[tuple[str, str, str]], end: str, quote_all: bool, delimiter: str, cut: bool
) -> None:
    """Whatever is written by the rules of CSV is read back, with or without the last line end."""
    lines = [
        delimiter.join(
            f'"{cell.replace(chr(34), chr(34) * 2)}"'
            if quote_all or {delimiter, '"', "\r", "\n"}.intersection(cell)
            else cell
            for cell in row
        )
        for row in [("PERIDX", "EMAIL", "SURNAME"), *rows]
    ]
    found = read(end.join(lines) + ("" if cut else end))

    good = [list(row) for row in rows if "".join(row).strip(NOTHING)]
    assert [[*row[:-1], row[-1].rstrip("\x1a")] for row in good] == found.rows
    assert not found.bad
    line, lines_of = 2, []
    for row in rows:
        if "".join(row).strip(NOTHING):
            lines_of.append(line)
        line += 1 + sum(
            len(cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1 for cell in row
        )
    assert lines_of == found.lines


@pytest.mark.parametrize("block_bytes", [100, 4_096, 65_537])
def test_blocks_do_not_show(block_bytes: int) -> None:
    """A file reads the same whatever the size of the blocks in which it is fetched."""
    data = b"PERIDX,EMAIL\r\n" + b"".join(
        (
            b"%d,plain\r\n" % n,
            b'%d,"quoted\r\n""line"""\r\n' % n,
            b"%d,caf\xc3\xa9\n\n" % n,
            b"%d,caf\xe9\r" % n,
            b'%d,5" heel\r\n' % n,
            b"%d,too,many\r\n" % n,
            b"%d,\x81\r\n" % n,
            b'%d,"never closed\r\n' % n,
            b'%d, "spaced" ,\r\n' % n,
            b'%d,"5" heel\r\n' % n,
            b",,,\r\n",
        )[n % 11]
        for n in range(12_000)
    )
    whole, cut = read(data), read(data, block_bytes=block_bytes)

    assert len(data) > 2 * HEADER_BYTES
    assert (cut.rows, cut.lines, cut.ordinals) == (whole.rows, whole.lines, whole.ordinals)
    assert cut.bad == whole.bad
    assert cut.warnings == whole.warnings == [("file.not_utf8", 7)]


# -- encodings --------------------------------------------------------------------------------


def test_windows_1252() -> None:
    """A cell that is not UTF-8 is read as Windows-1252; one warning says how many and where."""
    found = read(b"PERIDX,EMAIL\n1,caf\xc3\xa9\n2\xc3\xa9,caf\xe9 \x80\n3,x\n4,\xe9\n")

    assert found.rows == [["1", "café"], ["2é", "café €"], ["3", "x"], ["4", "é"]]
    assert found.warnings == [("file.not_utf8", 3)]
    assert found.reader.warnings[0].message.endswith("Windows-1252: 2.")
    assert found.reader.encoding == "windows-1252"


def test_windows_1252_header() -> None:
    """A header may be Windows-1252 too."""
    found = read(b"PERIDX,EMAIL,Gr\xf6\xdfe\n1,a,2\n")

    assert found.reader.header.unknown == ("Größe",)
    assert found.warnings == [("file.not_utf8", 1)]


@pytest.mark.parametrize("octet", [b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"])
def test_undecodable_cell(octet: bytes) -> None:
    """A cell that is text in neither encoding is marked as unreadable, and its neighbours stay."""
    found = read(b"PERIDX,EMAIL\n1,a\n2\xc3\xa9,x" + octet + b"\xe9\n3,b\n")

    assert found.rows == [["1", "a"], ["2é", "x\ufffdé"], ["3", "b"]]
    assert found.chunks[0].grid.regular.tolist() == [True, False, True]
    assert found.reader.encoding == "utf-8"


def test_lost_letters() -> None:
    """A row with the sign for lost letters is left to whoever looks at single cells."""
    found = read("PERIDX,EMAIL\n1,a\n2,Zo\ufffd\n")

    assert found.chunks[0].grid.regular.tolist() == [True, False]


def test_zero_bytes() -> None:
    """A row with a zero byte is bad, however few its bytes."""
    found = read(b"PERIDX,EMAIL\n1,a\n2,b\0c\n3\0\n4,d\n" + b"5,e\n" * 10)

    assert found.rows[:2] == [["1", "a"], ["4", "d"]]
    assert found.bad_codes == [(3, "row.nul"), (4, "row.nul")]
    assert found.bad[0].cells == ["2", "b\ufffdc"]


def _zip(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "PERIDX\n1\n")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file.empty"),
        (BOM.encode(), "file.empty"),
        (b"\n\r\n\r", "file.empty"),
        ("PERIDX,EMAIL\n".encode("utf-16"), "file.utf16"),
        ("PERIDX,EMAIL\n".encode("utf-16-le"), "file.utf16"),
        ("PERIDX,EMAIL\n".encode("utf-16-be"), "file.utf16"),
        ("PERIDX,EMAIL\n".encode("utf-32"), "file.utf16"),
        ("\ufeffPERIDX,EMAIL\n".encode("utf-32-be"), "file.utf16"),
        (gzip.compress(b"PERIDX,EMAIL\n1,a\n", mtime=0), "file.compressed"),
        (_zip("customers.csv"), "file.compressed"),
        (_zip("xl/workbook.xml"), "file.spreadsheet"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "file.spreadsheet"),
        (b"%PDF-1.7\n", "file.not_csv"),
        (b"\n<!DOCTYPE html><html>", "file.not_csv"),
        (b'{"error": "not found"}', "file.not_csv"),
        (bytes(5_000), "file.not_csv"),
        (b"PERIDX,EMA\0IL\n1,a\n", "header.unreadable"),
        (b"PERIDX,EMAIL,\x81\n1,a,b\n", "header.unreadable"),
    ],
)
def test_what_is_no_csv(data: bytes, code: str) -> None:
    """A file that is no text, or no CSV, is refused with what it is instead."""
    assert refusal(data).code == code


# -- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "code", "says"),
    [
        ("1001,jane@example.com,3108", "header.missing", "looks like a row of data"),
        ("Jane,2023-04-24", "header.missing", "looks like a row of data"),
        ("jane@example.com", "header.missing", "looks like a row of data"),
        ("EMAIL,SURNAME", "header.missing_column", "The column PERIDX is missing."),
        ("PERIDX_,EMAIL", "header.missing_column", "Is PERIDX_ meant to be PERIDX?"),
        ("PERSONID,EMAIL", "header.missing_column", "Is PERSONID meant to be PERIDX?"),
        ("name,mail", "header.missing_column", "The column PERIDX is missing."),
        ("EMAIL,SURNAME", "header.missing_column", "Found: EMAIL, SURNAME."),
        ("PERIDX^EMAIL", "header.wrong_delimiter", "one cell"),
        ('PERIDX,"EMAIL"x', "header.bad_quotes", "not closed"),
        ('PERIDX,"EMAIL,SURNAME\n1,2",3', "header.bad_quotes", "not closed"),
        ("PERIDX^EMAIL^SURNAME", "header.wrong_delimiter", "one cell"),
        ('"PERIDX,EMAIL,SURNAME"', "header.wrong_delimiter", "one cell"),
        ("PERIDX,EMAIL,email", "header.duplicate_column", "EMAIL (column 2) and email (column 3)"),
        ("PERIDX,PERIDX", "header.duplicate_column", "column 1"),
        ("PERIDX,Note,Note", "header.duplicate_column", "Note (column 2) and Note (column 3)"),
        ("PERIDX,,EMAIL", "header.blank_column", "Column 2 of 3"),
        ("PERIDX," + ",".join(f"C{n}" for n in range(COLUMNS)), "header.too_many_columns", "1,001"),
        ("PERIDX," + "x" * HEADER_BYTES, "header.too_long", "65,536"),
    ],
)
def test_headers_that_are_refused(header: str, code: str, says: str) -> None:
    """A header that cannot be used is refused by its line, with what is wrong with it."""
    problem = refusal(f"\n{header}\n1,2,3\n")

    assert problem.code == code
    assert says in problem.message
    assert problem.line == 2


def test_one_of_several_columns() -> None:
    """Of columns that can stand for each other one is enough, and none is too few."""
    assert read("PERIDX,PRODUCT_CODE\n", LINES).reader.header.canonical == (
        "PERIDX",
        "PRODUCT_CODE",
    )
    problem = refusal("PERIDX,EMAIL\n", LINES)

    assert problem.code == "header.missing_column"
    assert problem.column == "SKU or PRODUCT_CODE"


def test_recommended_column() -> None:
    """A recommended column that is missing is a warning, with the name that may be a slip."""
    found = read("PERIDX,E-MAIL\n1,a\n")

    assert found.warnings == [("header.missing_recommended", 1)]
    assert found.reader.warnings[0].message == (
        "The column EMAIL is missing. Is E-MAIL meant to be EMAIL?"
    )
    assert found.rows == [["1", "a"]]


def test_refused_header_keeps_data_to_itself() -> None:
    """A refusal for a missing header holds no cell of the row that stands in its place."""
    assert "jane" not in str(refusal("1001,jane@example.com\n1002,joe@example.com\n"))


def test_trailing_delimiter() -> None:
    """Columns without a name at the end are left out, with a warning, as long as they are blank."""
    found = read("PERIDX,EMAIL,,\n1,a,,\n2,b, ,\n3,c,,lost\n4,d\n")

    assert found.reader.header.names == ("PERIDX", "EMAIL")
    assert found.warnings == [("header.trailing_delimiter", 1)]
    assert found.rows == [["1", "a"], ["2", "b"]]
    assert found.bad_codes == [(4, "row.cell_without_column"), (5, "row.cell_count")]
    assert found.ordinals == [0, 1]


def test_mended_report() -> None:
    """A report of refused rows, mended and sent again, is read without the columns it added."""
    found = read(
        "PERIDX,EMAIL,line,column,code,reason\n1,a,7,EMAIL,row.bad,It is bad.\n2,b,,,,\n3,c\n"
    )

    assert found.reader.header.names == ("PERIDX", "EMAIL")
    assert found.rows == [["1", "a"], ["2", "b"]]
    assert found.bad_codes == [(4, "row.cell_count")]
    assert found.warnings == []


# -- rows and ends of files -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("2", ["2"]),
        ("2,b,", ["2", "b", ""]),
        ("2,b,c,d", ["2", "b", "c", "d"]),
        ('2,"b",c"x', ["2", "b", 'c"x']),
        ('"2\nb"', ["2\nb"]),
    ],
)
def test_wrong_number_of_cells(row: str, cells: list[str]) -> None:
    """A row with too few or too many cells is bad, keeps its cells, and spoils no other row."""
    found = read(f"PERIDX,EMAIL\n1,a\n{row}\n3,c\n")

    assert found.rows == [["1", "a"], ["3", "c"]]
    assert found.bad_codes == [(3, "row.cell_count")]
    assert found.bad[0].cells == cells
    assert found.bad[0].problem.message.startswith(f"The row has {len(cells)} cell")


def test_only_bad_rows() -> None:
    """A file may consist of bad rows alone."""
    found = read("PERIDX,EMAIL\n1\n2\n")

    assert found.rows == []
    assert list(found.chunks[0].frame.columns) == ["PERIDX", "EMAIL"]
    assert len(found.bad) == 2


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("PERIDX,EMAIL\n1,a\n2", 3),
        ("PERIDX,EMAIL,SURNAME\n1,a,b\n2,x", 3),
        ("PERIDX,EMAIL,SURNAME\n1,a,b\n,", 3),
        ('PERIDX,EMAIL,SURNAME\n1,a,b\n2,"x"y', 3),
        ('PERIDX,EMAIL\n1,a\n2,"b', 3),
        ('PERIDX,EMAIL\n1,"a\nb"\n\n2,"b\n3,c\n', 5),
        ('PERIDX,"EMAIL\n1,a\n', 1),
    ],
)
def test_truncated(data: str, line: int) -> None:
    """A file that ends within a row is refused whole, by the line where that row begins."""
    problem = refusal(data)

    assert problem.code == "file.truncated"
    assert problem.line == line


@pytest.mark.parametrize(
    "title",
    ["sep=;\n", "Customer export,,\nRun at 2023-04-24,,\n", '"Customers"\n\n', " \n\x1a\nA;B\n"],
)
def test_lines_before_the_header(title: str) -> None:
    """Lines before the header are refused, and the line that looks like the header is named."""
    problem = refusal(f"{title}PERIDX;EMAIL\n1;a\n")

    assert problem.code == "header.not_first"
    assert problem.line == 1 + title.count("\n")
    assert f"Line {problem.line} looks like the header" in problem.message


@pytest.mark.parametrize("names", ['PERIDX,"""EMAIL""",NAME', "PERIDX,E-MAIL"])
def test_only_the_key_is_known(names: str) -> None:
    """A header of which nothing but the key is known is refused, with the columns found."""
    problem = refusal(f"{names}\n", Layout(LAYOUT.columns, (("PERIDX",),), key="PERIDX"))

    assert problem.code == "header.only_key"
    assert "Found: PERIDX" in problem.message


@pytest.mark.parametrize("footer", ["(20 rows affected)", "EOF", "Total: 3"])
def test_footer(footer: str) -> None:
    """A last line of one cell without line end is called a footer, not a broken-off row."""
    problem = refusal(f"PERIDX,EMAIL\n1,a\n{footer}")

    assert (problem.code, problem.line) == ("file.footer", 3)


def test_one_delimiter_more() -> None:
    """Rows with one delimiter more than the header are counted, and each says so."""
    found = read("PERIDX,EMAIL\n1,a,\n2,b, \n3,c,d\n4\n")

    assert found.reader.longer == 2
    assert "one delimiter more than the header" in found.bad[0].problem.message
    assert "one delimiter more" not in found.bad[2].problem.message
    assert "footer" in found.bad[3].problem.message


# -- quotes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "good", "bad"),
    [
        # Never closed; a later row has quotes.
        ('10,"VIP,b,Y\n11,S,d,N\n12,"VIP",c,N\n13,S,e,N\n', [11, 12, 13], {2: "B"}),
        # Closed by a quote inside a later cell without quotes: two rows would be one.
        ('10,"VIP,b,Y\n11,5",d,N\n12,S,c,N\n', [11, 12], {2: "B"}),
        # Closed at the end of a later cell: the rows between would be lost inside a cell.
        ('10,"VIP,b,Y\n11,S,d,N\n12,x","c",N\n', [11, 12], {2: "B"}),
        ('10,"VIP,b,Y\r11,S,d,N\r12,x",c,N\r', [11, 12], {2: "B"}),
        ('10,a,b,"\n11,c,d,"\n12,e,f,"g"\n', [12], {2: "D", 3: "D"}),
        # Not doubled, or with a backslash.
        ('10,"10" Pipe",b,Y\n11,"Big" shirt,d,N\n12,S,c,N\n', [12], {2: "B", 3: "B"}),
        ('10,"Bo \\"Bob\\"",b,Y\n12,S,c,N\n', [12], {2: "B"}),
        # The row begins well, and its second line breaks the rules.
        ('10,"1 High St\nHobart","b"x,Y\n12,S,c,N\n', [12], {2: "B", 3: "B"}),
        # Sound ones.
        ('10,"1 High St\nHobart",b,Y\n11,"a\nb\nc","d\ne",Y\n', [10, 11], {}),
        ('10,"1 High St\nHobart, TAS, 7000, Australia\nx",b,Y\n', [10], {}),
        ('10,x,b,"1 High St\nHobart, TAS, 7000, Australia"\n', [10], {}),
        ('10,5" heel,b,Y\n11,"5"" heel",d,N\n', [10, 11], {}),
    ],
)
def test_bad_quotes(body: str, good: list[int], bad: dict[int, str]) -> None:
    """A line whose quotes break the rules is refused by its column; reading resumes behind it."""
    found = read(f"PERIDX,B,EMAIL,D\n{body}")

    assert [int(row[0]) for row in found.rows] == good
    assert {row.line: row.problem.column for row in found.bad} == bad
    assert {row.problem.code for row in found.bad} <= {"row.bad_quotes"}


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ('1,"12 High St\nHobart"\n', [["1", "12 High St\nHobart"]]),
        ('1,"12 High St\nHobart, TAS"\n', [["1", "12 High St\nHobart, TAS"]]),
        ('1,"a\nHobart, TAS\nb"\n', [["1", "a\nHobart, TAS\nb"]]),
        ('1,"VIP\n2,STD\n3,VIP"\n', [["2", "STD"], ["3", 'VIP"']]),
        ('1,"VIP\n2,VIP"\n', [["2", 'VIP"']]),
    ],
)
def test_narrow_files(body: str, rows: list[list[str]]) -> None:
    """In a file of few columns, a line of an address is a row only where it is written like one."""
    assert read(f"PERIDX,EMAIL\n{body}").rows == rows


def test_cells_of_a_bad_line() -> None:
    """A line whose quotes break the rules is kept as it stands, cut at its delimiters."""
    found = read('PERIDX,EMAIL,SURNAME\n1,"a, b","VIP,x\n2,"b",c\n')

    assert found.bad[0].cells == ["1", "a, b", '"VIP', "x"]


def test_backslashes() -> None:
    """A backslash before a quote is no escape, and the row that has one is told so."""
    found = read('PERIDX,EMAIL\n1,"a \\"b\\""\n2,"5\\"",x\n3,"c"\n')

    assert found.bad_codes == [(2, "row.bad_quotes"), (3, "row.bad_quotes")]
    assert all('not as \\"' in row.problem.message for row in found.bad)


def test_the_same_bad_quotes_again() -> None:
    """A refused row that comes back with its quote still there is refused again."""
    found = read(
        "PERIDX,EMAIL,line,column,code,reason\n"
        '1,"""VIP",2,EMAIL,row.bad_quotes,x\n2,VIP,3,EMAIL,row.bad_quotes,x\n'
        '3,"""VIP""",4,,,\n'
    )

    assert found.rows == [["2", "VIP"], ["3", '"VIP"']]
    assert found.bad_codes == [(2, "row.bad_quotes")]


def test_a_report_without_codes() -> None:
    """A refused row that comes back with nothing but its export is read like any other."""
    found = read('PERIDX,EMAIL,export\n1,"""VIP",customers_20230501T115500Z\n')

    assert found.rows == [["1", '"VIP']]


@pytest.mark.parametrize("cut", range(1, 31))
def test_no_cut_goes_unseen(cut: int) -> None:
    """A file cut anywhere but within its last cell or behind a row never reads as a whole one."""
    rows = [["1", "a, b"], ["2", "cafe"], ["3", "x\r\ny"], ["4", "z"]]
    data = 'PERIDX,EMAIL\r\n1,"a, b"\r\n2,cafe\r\n3,"x\r\ny"\r\n4,z'
    with suppress(FileRejected):
        found = read(data[:-cut])
        *before, last = found.rows

        assert before == rows[: len(before)]
        assert last[0] == rows[len(before)][0]
        assert rows[len(before)][1].startswith(last[1])
        assert not found.bad


def test_stream_that_ends_early() -> None:
    """A stream that gives fewer bytes than the object has is a failure to try again."""
    data = b"PERIDX,EMAIL\n1,a\n"
    with pytest.raises(TryAgain, match="17 of 99 bytes"):
        CsvReader(io.BytesIO(data), LAYOUT, size=99)


def test_progress() -> None:
    """How far the file has been read is known while it is being read."""
    data = b"PERIDX,EMAIL\n" + b"1,a\n" * 50_000
    reader = CsvReader(io.BytesIO(data), LAYOUT, size=len(data), block_bytes=80_000)
    seen = [reader.bytes_read for _ in reader.chunks()]

    assert seen == sorted(seen)
    assert 0 < seen[0] < len(data)
    assert seen[-1] == len(data)


class Endless(io.RawIOBase):
    """A file far larger than memory: a beginning, then one block again and again."""

    def __init__(self, first: bytes, block: bytes, times: int) -> None:
        self._blocks = iter([first, *([block] * times)])
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        self._rest = self._rest or next(self._blocks, b"")
        part, self._rest = self._rest[:size], self._rest[size:]
        return part


def test_memory_stays_flat() -> None:
    """Ten times the file takes no more memory."""
    row = b'1234567,"somebody, else"\n'
    peaks = []
    for times in (20, 200):
        stream = cast(BinaryIO, Endless(b"PERIDX,EMAIL\n", row * 400, times))
        tracemalloc.start()
        count = sum(
            len(chunk.lines) for chunk in CsvReader(stream, LAYOUT, block_bytes=65_536).chunks()
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == 400 * times

    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize(
    ("first", "block"),
    [
        (b"", b"x" * 65_536),
        (b'1,"', b"2,b\n" * 16_384),
        (b'5",6"\n"', b"y,\n"),
        (b"", bytes(65_536)),
    ],
    ids=["no line end", "no closing quote", "irregular quotes", "zero bytes"],
)
def test_endless_row(first: bytes, block: bytes) -> None:
    """A gigabyte without the end of a row is refused after a few megabytes."""
    endless = Endless(b"PERIDX,EMAIL\n" + first, block * (65_536 // len(block)), 16_384)
    reader = CsvReader(cast(BinaryIO, endless), LAYOUT)
    with pytest.raises(FileRejected) as refused:
        list(reader.chunks())

    assert refused.value.problem.code == "file.record_too_long"
    assert refused.value.problem.line == 2 + first.count(b"\n")
    assert reader.bytes_read < 8 << 20
