"""Hostile headers and names are shown as text, from the bucket to the operator's terminal."""

from __future__ import annotations

import pytest

from shared import ops
from shared.status import routes
from tests.support.pipeline import Pipeline, csv_text

STAMP = "20230501T115500Z"
FOLDERS = ("rejected/", "reports/")
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x85\x9b2J"


def unprintable(text: str) -> set[str]:
    return {c for c in text if not c.isprintable()} - {"\n"}


@pytest.fixture
def hostile(pipeline: Pipeline) -> Pipeline:
    """A connection with a refused header, a name that is none, and an unknown column."""
    header = ["FIRSTNAME", f"EMAIL{HOSTILE}", f"X{HOSTILE}"]
    pipeline.upload(f"pending/au/customers_{STAMP}.csv", csv_text(header, [["Ana", "a", "b"]]))
    pipeline.upload(f"pending/au/customers_{HOSTILE}.csv", "PERIDX\r\n1\r\n")
    pipeline.run_due()
    return pipeline


def test_through_the_pipeline(
    hostile: Pipeline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Summaries, reports, the ledger's sentences, logs, the command line and the page hold no
    character that a terminal obeys, or that turns text around."""
    monkeypatch.setattr("shared.ops.connect", lambda _: hostile.services)
    imports = hostile.services.ledger.find("au")
    texts = [capsys.readouterr().out]
    for import_ in imports:
        texts += [import_.import_id, import_.status_text, str(import_.error)]
    texts += [
        hostile.read(name)
        for name in hostile.objects()
        if name.startswith(("rejected/", "reports/"))
    ]
    for arguments in (
        ["imports", "list"],
        ["imports", "list", "--json"],
        *(["imports", "show", one.import_id, "--connection", "au"] for one in imports),
        *(["imports", "show", one.import_id, "--connection", "au", "--json"] for one in imports),
        ["alerts"],
        ["replay", HOSTILE, "--connection", "au"],
    ):
        ops.main(arguments)
        texts += capsys.readouterr()
    for query in ({}, *({"connection": "au", "import": one.import_id} for one in imports)):
        request = routes.Request(method="GET", path="/", query=query, person="")
        body = routes.answer(request, lambda: hostile.services).body
        assert isinstance(body, str)
        texts.append(body)

    assert [text for text in texts if unprintable(text)] == []
    assert [r"\x1b]0;owned\x07\x1b[2J\u202e" in text for text in texts].count(True) > 5


def test_a_row_instead_of_a_header(pipeline: Pipeline, capsys: pytest.CaptureFixture[str]) -> None:
    """A person's cells that stand where the header should be are in no report, ledger or log."""
    row = "PERIDX,65432,analee@example.com,Analee,0412345678\r\n"
    pipeline.upload(f"pending/au/customers_{STAMP}.csv", row * 2)
    pipeline.run_due()

    import_ = pipeline.import_(f"customers_{STAMP}", "au")
    assert import_.status == "rejected"
    reports = [
        pipeline.read(name)
        for name in pipeline.objects()
        if name.startswith(("rejected/", "reports/"))
    ]
    assert reports
    told = str(import_.to_document()) + capsys.readouterr().out + "".join(reports)
    assert [word for word in ("65432", "nalee", "0412345678") if word in told] == []
