"""A consultant and the developer of an app get their work done with what they have.

The retailer's consultant has an SFTP client and the check, the developer the client library; the
operator's way is in `test_operator.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.support.pipeline import customers_csv, orders_csv
from tests.support.stack import ROOT, Hands, Up, hands_on
from tests.support.waiting import PATIENCE, eventually


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack in which orders follow their customers after a second."""
    with Up(tmp_path_factory.mktemp("stories") / "data", "--orders-delay", "1s") as running:
        yield running


@pytest.fixture(scope="module")
def hands(up: Up) -> Iterator[Hands]:
    """Clients for that stack."""
    with hands_on(up.ready()) as hands:
        yield hands


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands as a person does, off a terminal."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def there(sftp: paramiko.SFTPClient, name: str) -> bool:
    """Whether a file is there, as its user sees it."""
    try:
        sftp.stat(name)
    except FileNotFoundError:
        return False
    return True


def test_a_consultant_mends_a_file(hands: Hands, tmp_path: Path) -> None:
    """A bad export is refused by the check and by the loader alike; what they say is enough to
    mend it, and the mended rows load."""
    good = [{"PERIDX": str(number), "POSTCODE": "0800"} for number in range(1, 20)]
    bad = {"PERIDX": "7.00003E+5", "FIRSTNAME": "Zoë", "MOBILE": "+61491570006"}
    wrong = tmp_path / "Customers_20230501T115500Z.csv"
    wrong.write_text(customers_csv(*good, bad), encoding="utf-8")

    # The check names the right name and the bad row.
    answer = run("shared.check", wrong, "--json")
    assert answer.returncode == 2, answer.stderr
    (verdict,) = json.loads(answer.stdout)["files"]
    right = wrong.with_name(verdict["suggestion"].rpartition("/")[2])
    assert right.name == "customers_20230501T115500Z.csv"
    assert [(one["line"], one["column"], one["code"]) for one in verdict["problems"]] == [
        (21, "PERIDX", "row.bad_key")
    ]

    # It is in a hurry, and uploads the file under its right name all the same.
    right.write_bytes(wrong.read_bytes())
    with hands.sftp() as sftp:
        with pytest.raises(OSError, match="customers_20230501T115500Z"):
            sftp.put(str(wrong), f"story/{wrong.name}")
        sftp.put(str(right), f"story/{right.name}", confirm=False)
        summary = f"reports/story/{right.stem}.summary.txt"
        assert eventually(lambda: there(sftp, summary))
        with sftp.open(summary) as file:
            said = file.read().decode()
        assert "19 of 20 rows loaded. 1 row has errors" in said
        assert "1 row: PERIDX: " in said
        assert "  Line 21.\n" in said

        # The rejected row is mended, checked, and sent under the time of now.
        mended = tmp_path / "customers_20230501T130000Z.csv"
        sftp.get(f"rejected/story/{right.stem}.rejected.csv", str(mended))
        text = mended.read_text(encoding="utf-8-sig")
        mended.write_text(text.replace("7.00003E+5", "700003"), encoding="utf-8")
        assert run("shared.check", mended).returncode == 0
        sftp.put(str(mended), f"story/{mended.name}", confirm=False)
        assert eventually(lambda: there(sftp, f"processed/story/{mended.name}"))

    stored = hands.documents("connections/story/customers")
    assert len(stored) == 20
    assert (stored["700003"]["firstName"], stored["700003"]["mobile"]) == ("Zoë", "+61491570006")


def test_a_developer_reads_a_customers_orders(hands: Hands) -> None:
    """With the client library alone, an app finds a person, their orders and what they spent."""
    hands.upload(
        "shop/customers_20230501T200000Z.csv",
        customers_csv({"PERIDX": "42", "FIRSTNAME": "Aroha"}, {"PERIDX": "43"}).encode(),
    )
    hands.upload(
        "shop/orders_20230501T203000Z.csv",
        orders_csv(
            {"ORDER_NUMBER": "D1", "PERIDX": "42", "ORDER_DATE": "2023-04-01"},
            {"ORDER_NUMBER": "D2", "PERIDX": "42", "ORDER_DATE": "2023-04-30", "LINE_NUMBER": "1"},
            {"ORDER_NUMBER": "D2", "PERIDX": "42", "ORDER_DATE": "2023-04-30", "LINE_NUMBER": "2"},
            {"ORDER_NUMBER": "D3", "PERIDX": "43"},
        ).encode(),
    )
    hands.wait_for("shop", "orders_20230501T203000Z", "loaded")

    shop: Any = hands.firestore.document("connections/shop")
    person = shop.collection("customers").document("42").get().to_dict()
    query = (
        shop.collection("orders")
        .where(filter=FieldFilter("personId", "==", person["personId"]))
        .order_by("orderDate", direction=firestore.Query.DESCENDING)
    )
    found = [snapshot.to_dict() for snapshot in query.stream()]

    assert person["firstName"] == "Aroha"
    assert [(one["orderNumber"], one["lineCount"]) for one in found] == [("D2", 2), ("D1", 1)]
    assert sum(one["valueCents"] for one in found) == 3 * 995
