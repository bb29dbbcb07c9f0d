"""Files as they come from real systems: the check and the pipeline make the right thing of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.check.verdict import check_file
from shared.core.settings import ConnectionSettings, Deployment
from tests.support.pipeline import Pipeline

SETTINGS = ConnectionSettings.from_document(None, connection="main", deployment=Deployment())


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, and what becomes of it."""

    name: str
    content: bytes
    type: str = "customers"
    refused: tuple[str, int | None] | None = None
    """Code and line for which the file is refused whole."""
    says: str = ""
    """What the reason says, among other things; of the file, or of its first rejected row."""
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Key -> some fields of each document that there is besides those of GOOD."""
    rejected: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    """Line -> code and column of each rejected row."""
    warnings: frozenset[str] = frozenset()
    """Codes of what the loaded file is warned of."""


HEAD = "PERIDX,FIRSTNAME,SURNAME,EMAIL,PRIVACY"
ORDERS_HEAD = "PERIDX,ORDER_NUMBER,ORDER_DATE,SKU,PRODUCT_NAME,QUANTITY,PRICE,VALUE,LINE_ID"
GOOD = {"customers": {str(900 + n) for n in range(9)}, "orders": {f"G{n}" for n in range(9)}}
"""Keys of sound rows that come before what is written down in a case."""


def customers(*rows: str | bytes, head: str = HEAD, end: str = "\r\n") -> bytes:
    """Write a customers file: sound rows, and others behind them."""
    good = [f"{number},Ana,Roe,a{number}@example.com,No" for number in range(900, 909)]
    return b"".join(
        row if isinstance(row, bytes) else (row + end).encode() for row in [head, *good, *rows]
    )


def orders(*rows: str) -> bytes:
    """Write an orders file: sound rows, and others behind them."""
    good = [f"{n},G{n},2023-04-24,S,Tee,1,5.00,5.00,{n}" for n in range(9)]
    return "".join(f"{row}\r\n" for row in [ORDERS_HEAD, *good, *rows]).encode()


BO = {"firstName": "Bo", "lastName": "Lee", "email": "bo@example.com"}
LINE = 11  # the first behind the sound rows

CASES = [
    Case(
        name="sep line",
        content=b"sep=;\r\n" + customers().replace(b",", b";"),
        refused=("header.not_first", 2),
        says="Line 2 looks like the header",
    ),
    Case(
        name="title lines",
        content=b"Customer export,,,,\r\nRun at 2023-04-24,,,,\r\n" + customers(),
        refused=("header.not_first", 3),
        says="Line 3 looks like the header",
    ),
    Case(
        name="rows of nothing",
        content=customers(
            ",,,,", "   ", "\t", '"","","","",""', "10,Bo,Lee,bo@example.com,Yes", ",,", "\x1a"
        ),
        documents={"10": BO},
    ),
    Case(
        name="Ctrl-Z behind the last cell",
        content=customers(b"10,Bo,Lee,bo@example.com,Yes\x1a"),
        documents={"10": BO},
    ),
    Case(
        name="Ctrl-Z behind a quote",
        content=customers(b'"10","Bo","Lee","bo@example.com","Yes"\x1a'),
        documents={"10": BO},
    ),
    Case(
        name="backslash before quotes",
        content=customers('10,"Bo \\"Bob\\"",Lee,bo@example.com,No', "11,Di,Day,d@example.com,No"),
        documents={"11": {"firstName": "Di"}},
        rejected={LINE: ("row.bad_quotes", "FIRSTNAME")},
        says='not as \\"',
    ),
    Case(
        name="quote never closed",
        content=customers(
            '10,"Bo,Lee,bo@example.com,Yes',
            "11,Di,Day,d@example.com,No",
            '12,"Cy",Ng,c@example.com,No',
        ),
        documents={"11": {"email": "d@example.com"}, "12": {"email": "c@example.com"}},
        rejected={LINE: ("row.bad_quotes", "FIRSTNAME")},
    ),
    Case(
        name="quote closed in the next row",
        content=customers('10,"Bo,Lee,bo@example.com,Yes', '11,Di 5",Day,d@example.com,No'),
        documents={"11": {"email": "d@example.com"}},
        rejected={LINE: ("row.bad_quotes", "FIRSTNAME")},
    ),
    Case(
        name="quotes never closed to the end",
        type="orders",
        content=orders(
            '1,D1,2023-04-24,S,"Sum,1,1.00,1.00,1', '2,D2,2023-04-24,S,"Sum,1,1.00,1.00,2'
        ),
        refused=("file.truncated", 12),
        says="never closed",
    ),
    Case(
        name="quotes not doubled",
        type="orders",
        content=orders(
            '1,D1,2023-04-24,S,"10" Pipe",1,1.00,1.00,1', '2,D2,2023-04-24,S,10" Pipe,1,1.00,1.00,2'
        ),
        documents={"D2": {}},
        rejected={LINE: ("row.bad_quotes", "PRODUCT_NAME")},
    ),
    Case(
        name="blanks before quotes",
        content=customers('10, "Bo",\t"Lee", "bo@example.com" , "Yes"'),
        documents={"10": BO},
    ),
    Case(
        name="blanks before quotes in the header",
        content=customers(
            '"10", "Bo", "Lee", "bo@example.com", "Yes"',
            head='"PERIDX", "FIRSTNAME", "SURNAME", "EMAIL", "PRIVACY"',
        ),
        documents={"10": BO},
    ),
    Case(
        name="no column but the key is known",
        content=customers(head="PERIDX,'FIRSTNAME','SURNAME','EMAIL','PRIVACY'"),
        refused=("header.only_key", 1),
        says="Found: PERIDX, 'FIRSTNAME'",
    ),
    Case(
        name="every row ends in a delimiter",
        content=customers().replace(b"No\r\n", b"No,\r\n"),
        refused=("file.too_many_bad_rows", None),
        says="Every row has one delimiter more than the header",
    ),
    Case(
        name="footer without line end",
        content=customers(b"(9 rows affected)"),
        refused=("file.footer", 11),
        says="footer line",
    ),
    Case(
        name="one cut character",
        content=customers(b"10,Whang\xc4,T\xc4\xabtoki,bo@example.com,No\r\n"),
        documents={"10": {"firstName": "WhangÄ", "lastName": "Tītoki"}},
        warnings=frozenset({"file.not_utf8"}),
    ),
    Case(
        name="cells that are text in no encoding",
        content=customers(
            b"10,Bo\x81,M\xc4\x81,bo@example.com,No\r\n", b"1\x81,Cy,Ng,c@example.com,No\r\n"
        ),
        documents={"10": {"lastName": "Mā", "firstName": None}},
        rejected={12: ("row.undecodable", "PERIDX")},
        warnings=frozenset({"row.undecodable"}),
    ),
    Case(
        name="characters that are not shown in addresses",
        content=customers(
            "10,Bo,Lee,b\u200bo@example.com,Yes",
            "11,Cy,Ng,\ufeffcy@example.com\u200e,No",
            "12,Zo\u200dë,Ng,ed@exam\u00adple.com,No",
        ),
        documents={
            "10": BO,
            "11": {"email": "cy@example.com"},
            "12": {"email": "ed@example.com", "firstName": "Zo\u200dë"},
        },
        warnings=frozenset({"row.invisible_characters"}),
    ),
    Case(
        name="characters that are not shown in keys",
        type="orders",
        content=orders(
            "1,D1,2023-04-24,S,Tee,1,1.00,1.00,1", "1,D1\u200b,2023-04-24,S,,1,1,2.00,2"
        ),
        documents={"D1": {"lineCount": 2, "valueCents": 300}},
        warnings=frozenset({"row.invisible_characters"}),
    ),
    Case(
        name="characters that look like others in keys",
        type="orders",
        content=orders(
            "1,D 1,2023-04-24,S,Tee,1,1.00,1.00,1", "1,D\u00a01,2023-04-24,S,,1,1,2.00,2"
        ),
        documents={"D 1": {"lineCount": 2, "valueCents": 300}},
        warnings=frozenset({"row.invisible_characters"}),
    ),
    Case(
        name="control characters in codes and addresses",
        content=customers(
            "10,Bo,Lee,b\x01o@example.com,Yes,04\x0112", head=f"{HEAD},MOBILE"
        ).replace(b".com,No\r", b".com,No,0412345678\r"),
        documents={"10": {"firstName": "Bo", "email": None, "mobile": None}},
        warnings=frozenset({"row.bad_code", "row.bad_email"}),
    ),
    Case(
        name="more than an address",
        content=customers(
            *(f"{1000 + n},Ana,Roe,a{n}@example.com,No" for n in range(20)),
            "10,Bo,Lee,mailto:bo@example.com,Yes",
            "11,Bo,Lee,'bo@example.com',Yes",
            '12,Bo,Lee,"""bo@example.com""",Yes',
            "13,Bo,Lee,<bo@example.com>,Yes",
        ),
        documents={
            **{str(1000 + n): {} for n in range(20)},
            **{str(n): {"firstName": "Bo", "email": None} for n in range(10, 14)},
        },
        warnings=frozenset({"row.bad_email"}),
    ),
    Case(
        name="codes that a spreadsheet has changed",
        content=customers(
            "10,Bo,Lee,bo@example.com,Yes,6.14916E+10,#####",
            "11,Bo,Lee,bo@example.com,Yes,#N/A,3000.0",
            '12,Bo,Lee,bo@example.com,Yes,"=""0412345678""","=""0800"""',
            "13,Bo,Lee,bo@example.com,Yes,'+61491570006,'0800",
            head=f"{HEAD},MOBILE,POSTCODE",
        ).replace(b".com,No\r", b".com,No,0412345678,7000\r"),
        documents={
            **{str(n): {**BO, "mobile": None, "address": None} for n in (10, 11)},
            "12": {"mobile": "0412345678", "address": {"postcode": "0800"}},
            "13": {"mobile": "+61491570006", "address": {"postcode": "0800"}},
        },
        warnings=frozenset({"row.bad_code", "row.text_mark"}),
    ),
    Case(
        name="keys that a spreadsheet has changed",
        type="orders",
        content=orders(
            "1,55500135.0,2023-04-24,S,Tee,1,1.00,1.00,1", "1,D2,2023-04-24,S,Tee,1,1.00,1.00,2"
        ),
        documents={"D2": {}},
        rejected={LINE: ("row.bad_key", "ORDER_NUMBER")},
        says="holds decimals",
    ),
    Case(
        name="a comma among semicolons",
        type="orders",
        content=orders("1,D1,2023-04-24,S,Ribbon,1,4.00,1?500,1")
        .replace(b",", b";")
        .replace(b"?", b","),
        documents={"D1": {"valueCents": None}},
        warnings=frozenset({"row.bad_amount", "order.total_unknown"}),
    ),
    Case(
        name="an amount that cannot be read",
        type="orders",
        content=orders(
            "1,D1,2023-04-24 20:12,S,Tee,1,10.00,(4.00),1",
            "1,D1,2023-04-24 20:12,T,Tee,1,9.00,9.00,2",
        ),
        documents={"D1": {"valueCents": None, "quantity": 2.0, "orderDate": "2023-04-24"}},
        warnings=frozenset({"row.bad_amount", "order.total_unknown"}),
    ),
    Case(
        name="days that cannot be",
        content=customers(
            "10,Bo,Lee,bo@example.com,Yes,2065-05-05",
            "11,Bo,Lee,bo@example.com,Yes,1900-01-01",
            "12,Bo,Lee,bo@example.com,Yes,2023-05-01",
            head=f"{HEAD},DOB",
        ).replace(b".com,No\r", b".com,No,1990-01-01\r"),
        documents={
            **{str(n): {"dateOfBirth": None} for n in (10, 11)},
            "12": {"dateOfBirth": "2023-05-01"},
        },
        warnings=frozenset({"row.bad_date"}),
    ),
    Case(
        name="times without minutes or seconds",
        content=customers(
            "10,Bo,Lee,bo@example.com,Yes,2023-04-24 20:12:30+10",
            "11,Bo,Lee,bo@example.com,Yes,2023-04-24 20:12",
            head=f"{HEAD},LAST_UPDATED",
        ).replace(b".com,No\r", b".com,No,\r"),
        documents={
            "10": {"lastUpdated": datetime(2023, 4, 24, 10, 12, 30, tzinfo=UTC)},
            "11": {"lastUpdated": datetime(2023, 4, 24, 10, 12, tzinfo=UTC)},
        },
    ),
    Case(
        name="saved by a spreadsheet",
        content=customers(
            *(f"{n},Bo,Lee,bo@example.com,Yes,{n}/04/1990" for n in range(10, 15)),
            head=f"{HEAD},DOB",
        ).replace(b".com,No\r", b".com,No,\r"),
        refused=("file.damaged_column", None),
        says="5 of 5 values in DOB cannot be read",
    ),
    Case(
        name="consent in other words",
        content=customers(*(f"{n},Bo,Lee,bo@example.com,opted out" for n in range(10, 15))),
        refused=("file.damaged_column", None),
        says="5 of 14 values in PRIVACY cannot be read",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_loaded(pipeline: Pipeline, case: Case) -> None:
    """The pipeline loads what is right, and nothing else."""
    if case.type == "orders":
        pipeline.upload("customers_20230501T115400Z.csv", customers())
        pipeline.run_due()
    name = f"{case.type}_20230501T115500Z"
    pipeline.upload(f"{name}.csv", case.content)
    pipeline.clock.advance("13:00")
    pipeline.run_due()

    import_ = pipeline.import_(name)
    documents = pipeline.documents(case.type)
    if case.refused is not None:
        assert import_.error is not None
        assert case.refused == (import_.error.code, import_.error.line)
        assert case.says in import_.error.message
        assert documents == {}
        return
    assert import_.status in ("loaded", "loaded_with_rejects")
    assert case.warnings <= {problem["code"] for problem in import_.findings}
    assert GOOD[case.type] | {*case.documents} == {*documents}
    for key, expected in case.documents.items():
        assert expected == {name: documents[key].get(name) for name in expected}
    rejected = pipeline.rejected(f"rejected/{name}.rejected.csv") if case.rejected else []
    assert case.rejected == {int(row["line"]): (row["code"], row["column"]) for row in rejected}
    assert all(case.says in row["reason"] for row in rejected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_checked(tmp_path: Path, case: Case) -> None:
    """The check before an upload says the same of each file."""
    path = tmp_path / f"{case.type}_20230501T115500Z.csv"
    path.write_bytes(case.content)

    said = check_file(path, settings=SETTINGS, progress=lambda _: None)

    if case.refused is not None:
        assert said.error is not None
        assert case.refused == (said.error.code, said.error.line)
        return
    assert said.error is None
    assert len(GOOD[case.type]) + len(case.documents) == said.documents
    assert len(case.rejected) == said.rejected
