"""The table of all documents, and what the pipeline and its documentation make of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.files.folders import FOLDERS
from tests.support.document_kinds import KINDS
from tests.support.pipeline import Pipeline, customers_csv, orders_csv

ROOT = Path(__file__).resolve().parents[2]


def paths(place: Any) -> Iterator[str]:
    """Name every document below the database or a document."""
    for collection in place.collections():
        for document in collection.list_documents():
            if document.get().exists:
                yield document.path
            yield from paths(document)


def test_what_a_busy_week_leaves(pipeline: Pipeline) -> None:
    """Every document that uploads, corrections, faults and sweeps leave is in the table."""
    for connection in ("au", "main"):
        folder = "" if connection == "main" else f"pending/{connection}/"
        pipeline.upload(f"{folder}customers_20230501T115500Z.csv", customers_csv({"PERIDX": "1"}))
        pipeline.upload(f"{folder}customers_20230501T115500Z.csv", customers_csv({"PERIDX": "2"}))
        pipeline.upload(f"{folder}orders_20230501T115500Z.csv", orders_csv({"ORDER_NUMBER": "D1"}))
        pipeline.upload(
            f"{folder}rewards_20230501T115500Z.csv", "PERIDX,REWARD_ACCOUNT_ID\r\n1,A1\r\n"
        )
        pipeline.upload(f"{folder}Customers_20230501.csv", "PERIDX\r\n1\r\n")
        pipeline.upload(f"{folder}orders_20230401T115500Z.csv", orders_csv({"ORDER_NUMBER": "D2"}))
    pipeline.run_due()
    pipeline.clock.advance("23:00")
    pipeline.sweep()
    pipeline.run_due()

    found = {
        next((kind.path for kind in KINDS if kind.matches(path)), path)
        for path in paths(pipeline.database)
    }

    assert found <= {kind.path for kind in KINDS}
    assert {
        "alerts/{alert}",
        "connections/{connection}/customers/{person}",
        "connections/{connection}/feeds/{type}",
        "connections/{connection}/imports/{import}",
        "connections/{connection}/imports/{import}/generations/{generation}",
        "connections/{connection}/orders/{order}",
        "connections/{connection}/rewards/{person}",
    } <= found


def written_in_the_code() -> set[str]:
    """Give every text of the code that could be a path in Firestore, `{}` for what is filled in."""
    found = set()
    for file in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                )
                if re.fullmatch(r"([a-z]\w*|\{\})(/([a-z]\w*|\{\}))+", text):
                    found.add(text)
    return found


ELSEWHERE = {*FOLDERS, "projects", "state", "documents", "tasks"}
"""Words that say that a text is no path of a document: folders of the bucket, names of Google's."""


def fits(text: str) -> bool:
    """Whether a text of the code is a path that the table knows, or a part of one."""
    given = text.split("/")
    return any(
        all(one in ("{}", other) for one, other in zip(given, known[start:], strict=False))
        for known in (kind.path.split("/") for kind in KINDS)
        # What a text begins with may be a whole path that is filled in.
        for start in (range(1, len(known), 2) if given[0] == "{}" else [0])
        if len(given) <= len(known) - start
    )


def test_what_the_code_could_write() -> None:
    """No path is put together in the code that the table does not know."""
    texts = {text for text in written_in_the_code() if not ELSEWHERE & set(text.split("/"))}

    assert set() == {text for text in texts if not fits(text)}
    assert {"alerts/{}", "{}/generations/{}"} <= texts


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("connections/{}/imports/{}", True),
        ("connections/{}/{}", True),
        ("{}/generations/{}", True),
        ("connections/{}/locks/{}", False),
        ("{}/locks/{}", False),
        ("locks/{}", False),
        ("alerts/{}/notes/{}", False),
    ],
)
def test_an_unknown_path_is_noticed(text: str, known: bool) -> None:
    """The test above would find a path that nobody has put into the table."""
    assert known == fits(text)


def test_documented() -> None:
    """docs/security.md says of every kind of document who reads it."""
    text = (ROOT / "docs/security.md").read_text()
    readers = {"connection": "staff, own connection", "staff": "staff"}

    for kind in KINDS:
        row = next(line for line in text.splitlines() if line.startswith(f"|`{kind.path}`|"))
        person = ", the person" if kind.shopper else ""
        assert readers[kind.read_by] + person == row.split("|")[3].strip()
        assert ("yes" if kind.personal else "no") == row.split("|")[4].strip()
