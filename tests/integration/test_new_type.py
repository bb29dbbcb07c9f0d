"""A type of file is one module: the one that docs/contributing.md links to."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import Servers

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs/examples/giftcards.py"
NAME = "giftcards_20230501T115500Z.csv"

LOAD = """
import json, sys
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore, storage
from tests.support.pipeline import Pipeline

bucket = storage.Client(
    project="giftcards", credentials=AnonymousCredentials(),
    client_options={"api_endpoint": sys.argv[1]},
)
pipeline = Pipeline.over(firestore.Client(project="giftcards"), bucket)
taken = pipeline.upload(sys.argv[2], open(sys.argv[2]).read())
results = pipeline.run_due()
documents = pipeline.documents("giftCards")
for document in documents.values():
    del document["source"]
print(json.dumps([taken.type, results, documents]))
"""

WAIT = (
    LOAD[: LOAD.index("taken =")].replace("giftcards", "vouchers")
    + """
waiting = pipeline.upload("vouchers_20230501T115500Z.csv", open(sys.argv[2]).read())
before = pipeline.import_(waiting.import_id)
pipeline.upload(sys.argv[2], open(sys.argv[2]).read())
after = pipeline.import_(waiting.import_id)
print(json.dumps([before.status, before.status_text, after.status, after.paired_with]))
"""
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code with the example's module, and a file of its type beside it."""
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("shared", "tests/support", "local", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "tests/__init__.py", tmp_path / "tests")
    shutil.copy(EXAMPLE, tmp_path / "shared/files/types")
    rows = "VOUCHER_NUMBER,AVAILABLE_AMOUNT,EXPIRY_DATE\r\n0010001,50.00,2026-01-01\r\n"
    (tmp_path / NAME).write_text(rows)
    return tmp_path


def run(tree: Path, *arguments: str, firestore: str = "") -> str:
    """Run Python in the copy; returns what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(tree),
            "NO_PROXY": "127.0.0.1",
            "FIRESTORE_EMULATOR_HOST": firestore,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_module(tree: Path, servers: Servers) -> None:
    """With that module alone, its files are described, checked, classified and loaded."""
    described = run(tree, "-m", "tools.reference.formats")
    checked = json.loads(run(tree, "-m", "shared.check", "--json", NAME))
    answer = run(tree, "-c", LOAD, servers.storage, NAME, firestore=servers.firestore)

    card = {"number": "0010001", "availableCents": 5000, "expires": "2026-01-01"}
    assert "## giftcards\n\nGift cards, one row per card." in described
    (file,) = checked["files"]
    assert (file["type"], file["verdict"], file["documents"]) == ("giftcards", "good", 1)
    assert ["giftcards", ["loaded"], {"0010001": card}] == json.loads(answer.splitlines()[-1])


def test_a_type_that_waits_for_another(tree: Path, servers: Servers) -> None:
    """What files wait for is a word in the type's module: they are paired as orders are."""
    module = (tree / "shared/files/types/giftcards.py").read_text()
    for word, other in (("giftcards", "vouchers"), ("giftCards", "vouchers")):
        module = module.replace(f'"{word}"', f'"{other}"')
    module = module.replace('document="gift card",', 'document="voucher", waits_for="giftcards",')
    (tree / "shared/files/types/vouchers.py").write_text(module)

    answer = run(tree, "-c", WAIT, servers.storage, NAME, firestore=servers.firestore)

    assert json.loads(answer.splitlines()[-1]) == [
        "waiting",
        "Waiting for its giftcards file (none from the previous 12 hours yet).",
        "scheduled",
        NAME.removesuffix(".csv"),
    ]


def test_the_page_links_to_it() -> None:
    """docs/contributing.md links to the module that is tested here."""
    page = (ROOT / "docs/contributing.md").read_text()

    assert f"({EXAMPLE.relative_to(ROOT / 'docs')})" in page
