"""Who the functions of a running stack work for."""

from __future__ import annotations

import pytest
import requests

from tests.support.pipeline import customers_csv
from tests.support.stack import Hands
from tests.support.waiting import PATIENCE

STAMP = "20241119T190000Z"


@pytest.mark.parametrize("name", ["load", "sweep"])
def test_a_stranger(stack: Hands, name: str) -> None:
    """Nobody can have a task done, or a sweep made, without a token of the queue's or scheduler's.

    That these can is in every other test of the stack: nothing is loaded otherwise.
    """
    answer = requests.post(stack.endpoints.functions[name], json={}, timeout=PATIENCE)

    assert answer.status_code == 401
    assert answer.json() == {"error": "The request carries no token."}


def test_a_browser(stack: Hands) -> None:
    """The status page opens without a token on the same machine, and shows what the queue did."""
    stack.upload(f"pending/browser/customers_{STAMP}.csv", customers_csv({"PERIDX": "1"}).encode())
    stack.wait_for("browser", f"customers_{STAMP}", "loaded")

    answer = requests.get(
        stack.endpoints.functions["status"],
        params={"connection": "browser"},
        timeout=PATIENCE,
    )

    assert answer.status_code == 200
    assert f"customers_{STAMP}" in answer.text
