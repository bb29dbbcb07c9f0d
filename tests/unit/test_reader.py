"""Reader: what is made of the bytes of an export file, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.codes import CODES
from shared.errors import FileRejected, Problem, TryAgain
from shared.header import COLUMNS, HEADER_BYTES
from shared.layout import Layout
from shared.reader import CHUNK_ROWS, BadRow, Chunk, CsvReader

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
            assert [*map(reader.cut, chunk.bytes(chunk.numbers))] == rows
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
        ("PERIDX,EMAIL\n1,\n,\n", [["1", ""], ["", ""]], [2, 3]),
        ('PERIDX,EMAIL\n"1","a,""b"""\n', [["1", 'a,"b"']], [2]),
        ('PERIDX,EMAIL\n1,"a\nb\r\nc"\n2,d\n', [["1", "a\nb\r\nc"], ["2", "d"]], [2, 5]),
        ('"PERIDX","EMAIL"\n1,5" heel\n"2"x,"b"\n', [["1", '5" heel'], ["2x", "b"]], [2, 3]),
        ("PERIDX,EMAIL\n 1 ,\ta \n", [[" 1 ", "\ta "]], [2]),
        ("PERIDX,EMAIL\n007,1E5\nNA,null\nTrue,nan\n", [["007", "1E5"], ["NA", "null"]], [2, 3]),
        ("PERIDX,EMAIL\n1,😀é\n2,ﬁ\n", [["1", "😀é"], ["2", "ﬁ"]], [2, 3]),
        ("PERIDX,EMAIL\n1,a\n\x1a", [["1", "a"]], [2]),
        ("PERIDX,EMAIL\n1,a\n  ", [["1", "a"]], [2]),
        ('PERIDX\n""\n"x"\n', [[""], ["x"]], [2, 3]),
        (f"{BOM}PERIDX,EMAIL\n1,a\n", [["1", "a"]], [2]),
        (f"{BOM}{BOM}PERIDX,EMAIL\n1,a\n", [["1", "a"]], [2]),
        (f'{BOM}"{BOM}PERIDX",EMAIL\n1,a\n', [["1", "a"]], [2]),
        (f"PERIDX,EMAIL\n{BOM}1,a\n2,b\n", [[f"{BOM}1", "a"], ["2", "b"]], [2, 3]),
        (f'PERIDX,EMAIL\n"{BOM}1",a\n', [[f"{BOM}1", "a"]], [2]),
        (f"PERIDX\n{BOM}\n", [[BOM]], [2]),
    ],
)
def test_rows(data: str, rows: list[list[str]], lines: list[int]) -> None:
    """Cells come out as they were written, each row with its line."""
    found = read(data)

    assert found.rows[: len(rows)] == rows
    assert found.lines[: len(lines)] == lines
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


def test_ordinals_count_bad_rows_and_no_blank_lines() -> None:
    """Rows are counted from 0 through good and bad ones; blank lines are not rows."""
    found = read("PERIDX,EMAIL\n1,a\n\n2\n3,c\n")

    assert found.ordinals == [0, 2]
    assert found.chunks[0].first_row == 0
    assert [row.line for row in found.bad] == [4]


def test_small_rows_come_in_several_chunks() -> None:
    """However small rows are, a chunk has no more than so many, and none is lost between two."""
    count = 2 * CHUNK_ROWS + 5
    found = read("PERIDX\n" + "".join(f"{n}\n" for n in range(count)))

    assert [len(chunk.lines) for chunk in found.chunks] == [CHUNK_ROWS, CHUNK_ROWS, 5]
    assert [chunk.first_row for chunk in found.chunks] == [0, CHUNK_ROWS, 2 * CHUNK_ROWS]
    assert found.rows == [[str(n)] for n in range(count)]
    assert found.ordinals == list(range(count))


cells = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=6),
    st.text(st.sampled_from(list(',;"\n\r a\ufeff\u2028é')), max_size=6),
).map(lambda cell: cell.replace("\0", "0"))


@given(
    st.lists(st.tuples(cells, cells, cells), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(",;\t|"),
    st.booleans(),
)
@example([(BOM, "", "")], "\n", False, ",", False)
@example([("", "", "")], "\n", False, "\t", True)
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

    assert found.rows == [list(row) for row in rows]
    assert not found.bad
    line = 2
    for place, row in zip(found.lines, rows, strict=True):
        assert place == line
        line += 1 + sum(
            len(cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1 for cell in row
        )


fragments = st.lists(
    st.sampled_from(["a", "é", " ", ",", ",", '"', '"', "\n", "\r\n", "\r", '",', ',"', BOM]),
    max_size=40,
).map("".join)


@given(fragments, st.integers(1, 3))
@example('"\ufeff"x\n', 1)
@example("a\r\r\n\r\n", 1)
def test_irregular_files_are_read_as_the_csv_module_does(text: str, width: int) -> None:
    """In any text, rows of the right width have the csv module's cells; the others are bad."""
    header = ["PERIDX", "EMAIL", "SURNAME"][:width]
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    try:
        found = read(",".join(header) + "\n" + text)
    except FileRejected as refused:
        if refused.problem.code != "file.truncated":
            raise
        return

    if (
        text
        and text[-1] not in "\r\n"
        and not expected[-1][-1].strip(" ")
        and len(expected[-1]) == 1
    ):
        expected = expected[: len(found.rows) + len(found.bad)]
    assert found.rows == [row for row in expected if len(row) == width]
    assert [row.cells for row in found.bad] == [row for row in expected if len(row) != width]
    assert sorted([*found.ordinals, *_bad_ordinals(found)]) == list(range(len(expected)))


def _bad_ordinals(found: Read) -> Iterator[int]:
    """Which rows are the bad ones, told by the lines at which they stand."""
    lines = sorted([*found.lines, *(row.line for row in found.bad)])
    return (lines.index(row.line) for row in found.bad)


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
        )[n % 7]
        for n in range(12_000)
    )
    whole, cut = read(data), read(data, block_bytes=block_bytes)

    assert len(data) > 2 * HEADER_BYTES
    assert (cut.rows, cut.lines, cut.ordinals) == (whole.rows, whole.lines, whole.ordinals)
    assert cut.bad == whole.bad
    assert cut.warnings == whole.warnings == [("file.not_utf8", 7)]


# -- encodings --------------------------------------------------------------------------------


def test_windows_1252() -> None:
    """A row that is not UTF-8 is read as Windows-1252; one warning says how many and where."""
    found = read(b"PERIDX,EMAIL\n1,caf\xc3\xa9\n2,caf\xe9 \x80\n3,x\n4,\xe9\n")

    assert found.rows == [["1", "café"], ["2", "café €"], ["3", "x"], ["4", "é"]]
    assert found.warnings == [("file.not_utf8", 3)]
    assert found.reader.warnings[0].message.endswith("Windows-1252: 2.")
    assert found.reader.encoding == "windows-1252"


def test_windows_1252_header() -> None:
    """A header may be Windows-1252 too."""
    found = read(b"PERIDX,EMAIL,Gr\xf6\xdfe\n1,a,2\n")

    assert found.reader.header.unknown == ("Größe",)
    assert found.warnings == [("file.not_utf8", 1)]


@pytest.mark.parametrize("octet", [b"\x81", b"\x8d", b"\x8f", b"\x90", b"\x9d"])
def test_undecodable_row(octet: bytes) -> None:
    """A row that is text in neither encoding is bad, and the others are read."""
    found = read(b"PERIDX,EMAIL\n1,a\n2,x" + octet + b"\xe9\n3,b\n")

    assert found.rows == [["1", "a"], ["3", "b"]]
    assert found.bad_codes == [(3, "row.undecodable")]
    assert found.bad[0].cells == ["2", "x\ufffdé"]
    assert found.reader.encoding == "utf-8"


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
        ("   ", "header.missing_column", "The column PERIDX is missing."),
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
        (" ", [" "]),
        ('2,"b",c"x', ["2", "b", 'c"x']),
        ('"2\n,b"', ["2\n,b"]),
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
