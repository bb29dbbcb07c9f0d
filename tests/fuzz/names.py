"""Whatever an object is called, its name gets an answer that the rest can work with."""

from __future__ import annotations

import re
from contextlib import suppress

from hypothesis import strategies as st

from shared.core.codes import CODES
from shared.files.folders import FOLDERS, is_connection
from shared.files.names import (
    TYPES,
    ExportFile,
    Ignored,
    Misnamed,
    object_name,
    parse_import_id,
    read_name,
)

PARTS = [
    *(*TYPES, *FOLDERS, "Customers", "order", "customer", "giftcards", "au", "NZ", "main", "copy"),
    *("_", "-", " ", "/", "//", ".", "..", "~", "~~", "__", "(1)", "[2]", "Copy of ", " - Copy"),
    *("20230424", "2023-04-24", "24042023", "20230230", "00010101", "99991231", "1682366400"),
    *("T", "t", "201230", "20:12:30", "2012", "240000", ".5", "Z", "z", "+1000", "-05:00", "UTC"),
    *(".csv", ".CSV", ".csv.gz", ".xlsx", ".rejected.csv", ".filepart", ".tmp", ".sftpgo-partial."),
    *("\x00", "\n", "\x1b", "\u202e", "\ud800", "٣", "Ａ", "é", "😀", "x" * 100, "é" * 60),
]

INPUTS = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=14).map("".join),
    st.builds(
        lambda folders, type, stamp, end: f"{folders}{type}_{stamp}{end}",
        st.sampled_from(["", "pending/", "au/", "test/nz/", "Bulk/", "processed/", "a/b/"]),
        st.sampled_from([*TYPES, "Orders", "reward"]),
        st.from_regex(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ]?[0-9:]{4,8}[Zz+]?", fullmatch=True),
        st.sampled_from([".csv", ".CSV", ".csv (1)", ""]),
    ),
    st.text(st.characters(), max_size=60),
).map(lambda name: name.encode("utf-8", "surrogatepass"))


def check(data: bytes) -> None:
    """Make sure of all that is promised of a name; raises AssertionError where it is broken."""
    name = data.decode("utf-8", "surrogatepass")
    read = read_name(name)
    assert read == read_name(name), "the same name is read in two ways"
    assert name == read.object
    match read:
        case ExportFile():
            _check_export(read)
        case Misnamed():
            _check_misnamed(read)


def _check_export(read: ExportFile) -> None:
    assert is_connection(read.connection)
    built = object_name(
        read.type, read.exported_at, mode=read.mode, connection=read.connection, extended=False
    )
    again = read_name(built)
    assert isinstance(again, ExportFile)
    assert (read.import_id, read.connection) == (again.import_id, again.connection)
    assert (read.mode, read.type, read.exported_at) == parse_import_id(read.import_id)
    for place in (read.processed, read.rejected_csv, read.report_json):
        _check_place(place)


def _check_misnamed(read: Misnamed) -> None:
    assert CODES[read.problem.code].severity == "file"
    assert read.problem.message.endswith(".")
    assert read.problem.message.isprintable()
    assert len(read.problem.message) < 2_000
    assert is_connection(read.connection)
    assert 0 < len(read.import_id.encode()) <= 1_500
    assert not re.fullmatch(r"\.\.?|__.*__|.*/.*", read.import_id, re.DOTALL)
    with suppress(ValueError):
        parse_import_id(read.import_id)
        raise AssertionError("it has the id of an export file")
    _check_place(read.report_json)
    if read.suggestion is None:
        return
    meant = read_name(read.suggestion)
    assert isinstance(meant, ExportFile), "the suggestion is not accepted"
    assert (read.mode, read.connection, read.type) == (meant.mode, meant.connection, meant.type)


def _check_place(place: str) -> None:
    """Make sure that an object of our own can be called so, and is never taken for an upload."""
    assert isinstance(read_name(place), Ignored)
    assert place.isprintable()
    assert len(place.encode()) <= 1_024
    assert not {".", "..", ""}.intersection(place.split("/"))
