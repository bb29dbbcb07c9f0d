"""Files that no honest export brings: each has its answer, and what is right in them is loaded."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from shared.gcp.events import read_event
from shared.ledger.imports import Import
from shared.scheduling.intake import take_in
from shared.sweeping.retention import clean_up
from tests.support.pipeline import BUCKET, Pipeline, customers_csv, orders_csv

NAME = "customers_20230501T115500Z"
HEADER = "PERIDX,FIRSTNAME,CITY,EMAIL,PRIVACY,LAST_UPDATED\r\n"
GOOD = "".join(f"{key},Ana,Hobart,ana@example.com,No,\r\n" for key in range(100, 200))


def run(pipeline: Pipeline, content: bytes, *, encoding: str | None = None) -> Import:
    """Upload a customers file, perhaps under a Content-Encoding, and run its task."""
    blob = pipeline.services.bucket.blob(f"{NAME}.csv")
    blob.content_encoding = encoding
    blob.upload_from_string(content, content_type="text/csv")
    event = {
        "bucket": BUCKET,
        "name": blob.name,
        "generation": str(blob.generation),
        "size": str(blob.size),
        "crc32c": blob.crc32c,
        "timeCreated": pipeline.clock().isoformat(),
    }
    take_in(read_event(event), pipeline.services)
    pipeline.run_due()
    return pipeline.import_(NAME)


def codes(import_: Import) -> dict[str, int]:
    """Return code -> how often it occurred."""
    return {warning["code"]: warning["count"] for warning in import_.findings}


KEYS = [
    *(".", "..", "__x__", "____", "a/b", "/", "x" * 2_000, "é" * 800, "a\tb", "\u200b", '"a\nb"'),
    *("1e999", "=1+1", "'; DROP TABLE", "a\x7fb", "1,5", "٣"),
]


def test_keys_that_cannot_be_ids(pipeline: Pipeline) -> None:
    """A key that cannot be a document's id rejects its row, and the other rows are loaded."""
    rows = "".join(f"{key},Ana,Hobart,ana@example.com,No,\r\n" for key in KEYS)

    import_ = run(pipeline, (HEADER + GOOD + rows).encode())

    assert ("loaded_with_rejects", 100, len(KEYS)) == (
        import_.status,
        import_.rows.loaded,
        import_.rows.rejected,
    )
    assert {"row.bad_key", "row.missing_key", "row.cell_count"} >= codes(import_).keys()
    assert {str(key) for key in range(100, 200)} == set(pipeline.documents("customers"))
    assert len(KEYS) == len(pipeline.rejected(f"rejected/{NAME}.rejected.csv"))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (f"1,Ana,{'x' * 2_000_000},a@example.com,No,\r\n", "row.too_large"),
        (f"1,{'é' * 600_000},Hobart,a@example.com,No,\r\n", "row.too_large"),
        ("ab," * 1_000_000 + "\r\n", "row.cell_count"),
        ('""""""' * 500_000 + "\r\n", "row.cell_count"),
        ("1,A\0na,Hobart,a@example.com,No,\r\n", "row.nul"),
        ("\0" * 1_000_000 + "\r\n", "row.nul"),
    ],
    ids=["2 MB cell", "2 MB name", "million cells", "quotes", "zero byte", "zero bytes"],
)
def test_rows_that_no_document_can_hold(pipeline: Pipeline, row: str, code: str) -> None:
    """A row that is no row, or too large, is rejected by its code, and the others are loaded."""
    import_ = run(pipeline, (HEADER + GOOD + row).encode())

    assert (
        import_.status,
        import_.rows.loaded,
        import_.rows.rejected,
    ) == ("loaded_with_rejects", 100, 1)
    assert {code: 1} == codes(import_)


@pytest.mark.parametrize(
    ("content", "encoding", "code"),
    [
        (gzip.compress((HEADER + GOOD).encode()), None, "file.compressed"),
        (gzip.compress((HEADER + GOOD).encode()), "gzip", "file.compressed"),
        (gzip.compress(bytes(100_000_000)), "gzip", "file.compressed"),
        ((HEADER + GOOD).encode("utf-16"), None, "file.utf16"),
        ((HEADER + GOOD).encode("utf-16-be"), None, "file.utf16"),
        (bytes(2_000_000), None, "file.not_csv"),
        (b"PERIDX," + b"c," * 1_000_000 + b"x\r\n1\r\n", None, "header.too_long"),
        (b"PERIDX" + b",c" * 30_000 + b"\r\n1\r\n", None, "header.too_many_columns"),
        (b"PERIDX,CITY\r\n1," + b"x" * 5_000_000, None, "file.record_too_long"),
        (b'PERIDX,CITY\r\n1,"' + b"x\r\n" * 1_000_000, None, "file.truncated"),
    ],
    ids=[
        *("gzip", "encoded", "bomb", "utf-16", "utf-16 without a mark", "zero bytes"),
        *("million columns", "many columns", "no line end", "no closing quote"),
    ],
)
def test_files_that_are_none(
    pipeline: Pipeline, content: bytes, encoding: str | None, code: str
) -> None:
    """A file that is none is rejected by its code in its first attempt, in little memory."""
    tracemalloc.start()
    try:
        import_ = run(pipeline, content, encoding=encoding)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (import_.status, import_.attempt) == ("rejected", 1)
    assert import_.error is not None
    assert code == import_.error.code
    assert code == pipeline.report(f"reports/{NAME}.report.json")["error"]["code"]
    assert pipeline.documents("customers") == {}
    assert peak - len(content) < 80_000_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity", "nonsense"])
def test_a_label_that_is_not_true(pipeline: Pipeline, encoding: str) -> None:
    """A plain file that says that it is encoded is read as it is, and put away."""
    import_ = run(pipeline, (HEADER + GOOD).encode(), encoding=encoding)

    assert (import_.status, import_.rows.loaded) == ("loaded", 100)
    assert f"processed/{NAME}.csv" in pipeline.objects()
    assert clean_up(pipeline.services) == 0


def test_halves_of_characters(pipeline: Pipeline) -> None:
    """Bytes of lone surrogates are no UTF-8: they are read as Windows-1252, and said to be so."""
    row = "1,A\ud800na,Hobart,a@example.com,No,\r\n".encode("utf-8", "surrogatepass")

    import_ = run(pipeline, (HEADER + GOOD).encode() + row)

    assert (import_.status, import_.rows.loaded) == ("loaded", 101)
    assert codes(import_) == {"file.not_utf8": 1}
    assert pipeline.documents("customers")["1"]["firstName"] == "Aí\xa0€na"


def test_column_names_that_are_hostile(pipeline: Pipeline) -> None:
    """Names of columns that can be no field are left out with a warning; all else is kept."""
    names = [
        "PERIDX",
        "CITY",
        "`",
        "a.b",
        "__x__",
        "y" * 1_600,
        '"a\nb"',
        "😀",
        "\x1b[31m",
        "source",
        "*",
    ]
    header = ",".join(names)

    import_ = run(pipeline, f"{header}\r\n{','.join('1' * len(names))}\r\n".encode())

    assert (import_.status, import_.rows.loaded) == ("loaded", 1)
    assert codes(import_)["header.unusable_name"] == 2
    document = pipeline.documents("customers")["1"]
    assert {"`", "a.b", "a\nb", "😀", "\x1b[31m", "source", "*"} == set(document["extra"])
    assert document["source"]["import"] == NAME


@pytest.mark.parametrize("time", ["99991231T235959Z", "29000101T000000Z"])
def test_the_end_of_time(pipeline: Pipeline, time: str) -> None:
    """Files of the last moment that a name can tell are refused, as all from times to come."""
    for type_ in ("customers", "orders"):
        import_ = pipeline.upload(f"{type_}_{time}.csv", customers_csv({"PERIDX": "1"}))
        assert import_ is not None
        assert import_.error is not None
        assert import_.error.code == "name.in_future"
    assert pipeline.run_due() == []


@pytest.mark.parametrize("time", ["00010101T000000Z", "20230501T115959Z"])
def test_the_beginning_of_time(pipeline: Pipeline, time: str) -> None:
    """Files of the first moment that a name can tell are paired and loaded like any other."""
    pipeline.upload(f"customers_{time}.csv", customers_csv({"PERIDX": "1"}))
    pipeline.upload(f"orders_{time}.csv", orders_csv({"ORDER_NUMBER": "D1"}))
    assert pipeline.run_due() == ["loaded"]
    pipeline.clock.advance("12:30")

    assert pipeline.run_due() == ["loaded"]
    assert f"customers_{time}" == pipeline.import_(f"orders_{time}").paired_with


def test_nothing_is_tried_again(pipeline: Pipeline) -> None:
    """What a file cannot be used for is found out once: no task comes back for it."""
    run(pipeline, gzip.compress(b"x"))
    pipeline.clock.advance("23:59")

    assert pipeline.sweep()["revived"] == {}
    assert pipeline.run_due() == []
