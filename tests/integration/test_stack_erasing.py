"""A person is erased from a running stack, where what is rewritten is an upload like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.pipeline import customers_csv, orders_csv
from tests.support.stack import Hands
from tests.support.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
STAMP = "20241121T190000Z"
PERSON, OTHER = "8765432", "8765433"


def test_erased(stack: Hands) -> None:
    """The command takes a person out of documents and files, and an upload that waited loads."""
    people = customers_csv({"PERIDX": PERSON}, {"PERIDX": OTHER})
    orders = orders_csv(
        {"PERIDX": PERSON, "ORDER_NUMBER": "E1"}, {"PERIDX": OTHER, "ORDER_NUMBER": "E2"}
    )
    stack.upload(f"pending/erase/customers_{STAMP}.csv", people.encode())
    stack.upload(f"pending/erase/orders_{STAMP}.csv", orders.encode())
    stack.upload("pending/erase/orders_20241101T190000Z.csv", orders.encode())
    stack.wait_for("erase", f"customers_{STAMP}", "loaded")
    stack.wait_for("erase", f"orders_{STAMP}", "loaded")
    waiting = stack.wait_for("erase", "orders_20241101T190000Z", "waiting")

    erased = subprocess.run(
        [
            sys.executable,
            "-m",
            "shared.ops",
            "erase",
            PERSON,
            "--connection",
            "erase",
            "--yes",
            "--json",
        ],
        cwd=ROOT,
        env={**os.environ, **stack.endpoints.environment()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert erased.returncode == 0, erased.stderr
    answer = json.loads(erased.stdout)
    assert (answer["proved"], answer["left"]) == (True, {})
    assert 1 == answer["erased"]["customers"] == answer["erased"]["orders"]
    assert {OTHER} == set(stack.documents("connections/erase/customers"))
    assert {"E2"} == set(stack.documents("connections/erase/orders"))
    for blob in stack.bucket.list_blobs():
        if "/erase/" in blob.name and not blob.name.startswith("state/"):
            assert PERSON not in blob.download_as_bytes().decode(), blob.name

    def taken_in() -> bool:
        found = stack.import_("erase", "orders_20241101T190000Z")
        return found is not None and found.generation > waiting.generation

    assert eventually(taken_in), "the rewritten upload was not taken in"
