"""The samples are up to date, invented, and mean what their README says."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.sample_data import SAMPLES, WITHDRAWN, Sample, Truth, make_files, make_samples, write
from shared.core.codes import CODES
from shared.core.errors import FileRejected
from shared.core.settings import ConnectionSettings, Deployment
from shared.files.filetype import file_type
from shared.files.names import ExportFile, Misnamed, read_name
from shared.ledger.imports import ENDED
from shared.parsing.examination import Examination, Watcher

ALL = {sample.path: sample for sample in make_samples()}
SETTINGS = ConnectionSettings.from_document(
    {}, connection="main", deployment=Deployment(project="demo", bucket="exports")
)


@dataclass
class Verdict:
    """What the pipeline's own parts make of a sample, without any of its services."""

    status: str
    codes: set[str] = field(default_factory=set)
    rows: int = 0
    rejected: int = 0
    truth: Truth = field(default_factory=Truth)


def judge(sample: Sample) -> Verdict:
    """Name, reader, schema and plan, as the load function puts them together."""
    named = read_name(sample.object)
    if isinstance(named, Misnamed):
        return Verdict("rejected", {named.problem.code})
    assert isinstance(named, ExportFile)
    try:
        return judge_content(named.type, sample.content)
    except FileRejected as error:
        return Verdict("rejected", {error.problem.code})


def judge_content(type_name: str, content: bytes) -> Verdict:
    found = Examination(
        file_type(type_name),
        SETTINGS,
        open=lambda: io.BytesIO(content),
        size=len(content),
        watcher=Watcher(),
    )
    try:
        plan = found.judge()
    except FileRejected as error:
        rows = found.read if error.problem.code == "file.too_many_bad_rows" else 0
        return Verdict("rejected", {*found.tally.counts, error.problem.code}, rows)
    documents = {
        document.key: document.content for block in found.documents(plan) for document in block
    }
    verdict = Verdict(
        "loaded_with_rejects" if found.rejected else "loaded",
        {*found.tally.counts},
        found.read,
        found.rejected,
    )
    match type_name:
        case "customers":
            verdict.truth = Truth(
                customers={key: one.get("subscribed") for key, one in documents.items()}
            )
        case "orders":
            verdict.truth = Truth(orders={key: one["valueCents"] for key, one in documents.items()})
        case "rewards":
            verdict.truth = Truth(
                rewards={key: len(one.get("rewards", ())) for key, one in documents.items()}
            )
    return verdict


@pytest.mark.parametrize("path", ALL)
def test_each_sample_does_what_its_readme_says(path: str) -> None:
    """A sample ends as its README says, with the codes, row counts and documents it promises."""
    sample = ALL[path]
    # Known only with the database beside it.
    codes = set(sample.codes) - {"order.customer_unknown"}

    verdict = judge(sample)

    assert verdict == Verdict(sample.status, codes, sample.rows, sample.rejected, sample.truth)


def test_samples_are_up_to_date() -> None:
    """samples/ holds exactly what the generator makes."""
    there = {
        path.relative_to(SAMPLES).as_posix(): path.read_bytes()
        for path in SAMPLES.rglob("*")
        if path.is_file()
    }

    stale = sorted(
        name
        for name in there.keys() | make_files().keys()
        if there.get(name) != make_files().get(name)
    )

    assert stale == [], "run `python -m local.sample_data`"


def test_write_removes_what_is_no_longer_made(tmp_path: Path) -> None:
    """Writing the samples takes CSV files away that are no longer made, and nothing else."""
    (tmp_path / "good").mkdir()
    old, note = tmp_path / "good" / "old.csv", tmp_path / "note.txt"
    old.touch()
    note.touch()

    write(tmp_path)

    assert not old.exists()
    assert note.exists()
    assert (tmp_path / "README.md").read_bytes() == make_files()["README.md"]


def test_every_named_code_is_known() -> None:
    """Every code that the README names is one of the pipeline's; every status ends an import."""
    assert {code for sample in ALL.values() for code in sample.codes} <= CODES.keys()
    assert {sample.status for sample in ALL.values()} <= ENDED


def test_no_two_samples_share_an_object() -> None:
    """All samples can lie in one bucket."""
    objects = [sample.object for sample in ALL.values()]

    assert len(set(objects)) == len(objects)


def texts() -> Iterator[str]:
    for sample in ALL.values():
        encoding = "utf-16" if "utf-16" in sample.path else "utf-8"
        yield sample.content.decode(encoding, errors="replace")


def found(pattern: str) -> set[str]:
    return {match for text in texts() for match in re.findall(pattern, text)}


def test_nobody_can_be_written_to_or_called() -> None:
    """E-mail addresses are on example domains, phone numbers in ranges that reach nobody."""
    assert found(r"@([\w.-]+)") == {"example.com", "example.net", "example.org"}
    assert {number[:6] for number in found(r"\+\d{8,}")} == {"+61491", "+64255"}


def of_type(kind: str) -> Iterable[str]:
    return (sample.content.decode() for sample in ALL.values() if sample.path.startswith(kind))


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("good/customers", r",0800,AUSTRALIA,"),
        ("good/customers", r'"[^"]*,[^"]*"'),
        ("good/customers", r"O'BRIEN"),
        ("good/customers", r'""The Mill""'),
        ("good/customers", r'"[^"]*\n[^"]*"'),
        ("good/customers", r"@example\.\w+,(?:[\d-]*),,"),
        ("good/nz/customers", "ā"),
        ("good/nz/customers", r"\+6425"),
        ("good/orders", r",-1,"),
        ("good/orders", r",\.95,"),
        ("good/orders", "Mid-season sale"),
        ("good/orders", r",-,-,-,"),
        ("good/rewards", "🥇"),
    ],
)
def test_the_good_samples_hold_what_is_hard(kind: str, pattern: str) -> None:
    """The good samples hold each of the things that real exports trip loaders up with."""
    assert any(re.search(pattern, text) for text in of_type(kind))


def test_consent_is_withdrawn_in_between() -> None:
    """The customer of the demo is subscribed on the 18th, withdraws by the 19th, and stays so."""
    consents = {
        path: sample.truth.customers[WITHDRAWN]
        for path, sample in ALL.items()
        if WITHDRAWN in sample.truth.customers
    }

    assert consents == {
        "good/customers_20241117T190000Z.csv": True,
        "good/customers_20241118T190000Z.csv": True,
        "good/customers_20241119T190000Z.csv": False,
    }


def test_a_blank_consent_leaves_the_stored_one() -> None:
    """A later file that says nothing of consent changes nothing of it; one that does, does."""
    before = Truth(customers={"1": True, "2": True, "3": None}, orders={"a": 100})

    after = before.then(Truth(customers={"1": None, "2": False, "4": None}, orders={"b": 5}))

    assert after.customers == {"1": True, "2": False, "3": None, "4": None}
    assert after.orders == {"a": 100, "b": 5}
