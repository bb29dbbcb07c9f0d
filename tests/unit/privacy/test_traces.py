"""A person's rows are found in a file and taken out of it, and everything else stays as it is."""

from __future__ import annotations

import io
from zoneinfo import ZoneInfo

import pytest

from shared.files.filetype import all_types
from shared.files.rules import Rules
from shared.privacy import traces
from shared.privacy.traces import Person, UnreadableFile, look, without

RULES = Rules(time_zone=ZoneInfo("Australia/Sydney"))
PERSON = Person(id="65432", emails=frozenset({"ana@example.com"}))


def left_of(
    data: bytes, person: Person = PERSON, rules: Rules = RULES
) -> tuple[bytes, int, Person]:
    """Give what is left of a file, how many rows were about the person, and what was learnt."""
    types = [(type_, rules) for type_ in all_types()]
    found = look(io.BytesIO(data), person, types)
    return b"".join(without(io.BytesIO(data), found)), found.about, found.person


HEAD = b"PERIDX,FIRSTNAME,EMAIL\r\n"


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"", b""),
        (HEAD, HEAD),
        (HEAD + b"1,Bo,b@x.au\r\n", HEAD + b"1,Bo,b@x.au\r\n"),
        (HEAD + b"65432,Ana,a@x.au\r\n1,Bo,b@x.au\r\n", HEAD + b"1,Bo,b@x.au\r\n"),
        (HEAD + b"1,Bo,b@x.au\r\n65432,Ana,a@x.au", HEAD + b"1,Bo,b@x.au\r\n"),
        (HEAD + b' 65432 ,"Ana ""A""\r\nB",a@x.au\n1,Bo,b\n', HEAD + b"1,Bo,b\n"),
        (b"\xef\xbb\xbf" + HEAD + b"65432,A,a\r\n", b"\xef\xbb\xbf" + HEAD),
        (b"\r\n\r\n" + HEAD + b"65432,A,a\r\n2,B,b\r\n", b"\r\n\r\n" + HEAD + b"2,B,b\r\n"),
        # Another id: an address may be shared. No id: the address tells.
        (HEAD + b"1,Bo,ana@example.com\r\n", HEAD + b"1,Bo,ana@example.com\r\n"),
        (HEAD + b",Ana,ANA@Example.com\r\n,,b@x.au\r\n", HEAD + b",,b@x.au\r\n"),
        # An id is not a part of another, and not a cell of another column.
        (HEAD + b"654321,B,b\r\n165432,C,c\r\n", HEAD + b"654321,B,b\r\n165432,C,c\r\n"),
        (HEAD + b"1,65432,b@x.au\r\n", HEAD + b"1,65432,b@x.au\r\n"),
        (HEAD + b"065432,B,b\r\n", HEAD + b"065432,B,b\r\n"),
        # An id is read as the key of a row is: without marks and characters that are not shown.
        (HEAD + b'"=""65432""",A,a\r\n\'65432,A,a\r\n\'65433,A,a\r\n', HEAD + b"'65433,A,a\r\n"),
        (HEAD + "65\u200b432\ufeff,Zoë,a\r\n".encode(), HEAD),
        # A row with too many or too few cells may hold them anywhere.
        (HEAD + b"1,2,3,65432\r\n1,2,3,4\r\n", HEAD + b"1,2,3,4\r\n"),
        (HEAD + b"Ana,ana@example.com\r\n1,2\r\n", HEAD + b"1,2\r\n"),
        # Other delimiters, encodings and spellings.
        (b"EMAIL;peridx\n a@x.au;65432\nb@x.au;1\n", b"EMAIL;peridx\nb@x.au;1\n"),
        (b"PERIDX|FIRSTNAME\n65432|Zo\xeb\n1|Zo\xeb\n", b"PERIDX|FIRSTNAME\n1|Zo\xeb\n"),
        # A report of refused rows.
        (
            b"PERIDX,FIRSTNAME,line,column,code,reason\r\n"
            b"65432,Ana,2,PERIDX,row.bad_email,no @\r\n"
            b"1,65432,3,,row.cell_count,shifted\r\n"
            b"2,65432,4,,row.bad_email,no @\r\n",
            b"PERIDX,FIRSTNAME,line,column,code,reason\r\n2,65432,4,,row.bad_email,no @\r\n",
        ),
        # Files that were rejected: no header, two columns of a name, an end inside quotes.
        (b"65432,Ana,a@x.au\r\n1,Bo,b@x.au\r\n", b"1,Bo,b@x.au\r\n"),
        (b"PERIDX,PERIDX\r\n1,65432\r\n1,2\r\n", b"PERIDX,PERIDX\r\n1,2\r\n"),
        (b"NAME,MAIL\r\nAna,'ana@example.com'\r\n", b"NAME,MAIL\r\nAna,'ana@example.com'\r\n"),
        (b"NAME,MAIL\r\nAna,ana@example.com\r\n", b"NAME,MAIL\r\n"),
        (HEAD + b'1,Bo,b\r\n2,"Ana,65432\r\nx,y\r\n', HEAD + b"1,Bo,b\r\n"),
        (HEAD + b'1,Bo,b\r\n2,"Cy,3\r\nx,y\r\n', HEAD + b'1,Bo,b\r\n2,"Cy,3\r\nx,y\r\n'),
        (HEAD + b"1,Bo,b\r\n65432,An", HEAD + b"1,Bo,b\r\n"),
    ],
)
def test_what_is_left(data: bytes, left: bytes) -> None:
    """Only rows about the person go, and everything else stays byte for byte."""
    found, about, _ = left_of(data)

    assert left == found
    assert (data != left) == (about > 0)
    assert (left, 0) == left_of(left)[:2]


def test_what_is_learnt() -> None:
    """Addresses and order numbers in the person's rows are there to look for afterwards."""
    orders = (
        b"PERIDX,EMAIL,ORDER_NUMBER,ORDER_DATE\r\n"
        b"65432,Ana.B@Example.com,D1,2023-05-01\r\n"
        b"1,bo@example.com,D2,2023-05-01\r\n"
    )
    _, _, person = left_of(orders, Person(id="65432"))

    assert {"ana.b@example.com"} == person.addresses
    assert {"D1"} == person.orders


def test_an_own_key_column() -> None:
    """The connection's own name of the key, and one that is a column itself, tell the person."""
    own = Rules(time_zone=ZoneInfo("Australia/Sydney"), key_column="CUSTOMER_NO")
    code = Rules(time_zone=ZoneInfo("Australia/Sydney"), key_column="PERSON_CODE")

    assert left_of(b"CUSTOMER_NO,CITY\r\n65432,x\r\n", rules=own)[0] == b"CUSTOMER_NO,CITY\r\n"
    both = b"PERIDX,PERSON_CODE\r\n7,65432\r\n65432,8\r\n"
    assert left_of(both, rules=code)[0] == b"PERIDX,PERSON_CODE\r\n65432,8\r\n"


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is read in many blocks is treated like one that is read at once."""
    rows = ((65432 if n % 10 == 7 else n, n) for n in range(500))
    data = HEAD + b"".join(b'%d,"N\r\n%d",n@x.au\r\n' % row for row in rows)
    at_once = left_of(data)
    monkeypatch.setattr(traces, "BLOCK_BYTES", 700)

    assert at_once == left_of(data)
    assert at_once[1] == 50


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 xl/ \x00\x01\xff",
        b"\x1f\x8b\x08\x00\xff\xfe",
        b'{"customer": "65432"}',
        "\ufeffPERIDX,EMAIL\r\n65432,a\r\n".encode("utf-16-le"),
    ],
)
def test_unreadable(data: bytes) -> None:
    """What is no CSV text is not guessed at."""
    with pytest.raises(UnreadableFile):
        left_of(data)


@pytest.mark.parametrize(
    "data",
    [b'{"customer": "654321"}', "\ufeffPERIDX,EMAIL\r\n1,a\r\n".encode("utf-16-le")],
)
def test_readable_enough(data: bytes) -> None:
    """A text in which the person is not mentioned at all is no trouble."""
    assert (data, 0) == left_of(data)[:2]
