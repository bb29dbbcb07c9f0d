"""An operator finds out why orders are late, and lets them go: by page and commands only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import url_contains
from selenium.webdriver.support.ui import WebDriverWait

from local.sample_data import make_samples
from tests.support.browsing import browsing, look, why_no_browser
from tests.support.stack import Up, hands_on, run
from tests.support.waiting import PATIENCE, eventually

ORDERS = "orders_20241118T180500Z"


def page(browser: webdriver.Chrome) -> str:
    """Read the page as it is shown."""
    return browser.find_element(By.TAG_NAME, "body").text


@pytest.mark.skipif(why_no_browser() is not None, reason=f"No browser: {why_no_browser()}.")
def test_late_orders(tmp_path: Path) -> None:
    """The page says which orders are late and why; a command releases them; the page says so."""
    orders = next(sample for sample in make_samples() if ORDERS in sample.path)
    quick = ("--orders-delay", "1s", "--sweep-every", "1s")
    with (
        Up(tmp_path / "data", *quick, environment={"ORDERS_DEADLINE": "2s"}) as up,
        browsing() as browser,
    ):
        endpoints = up.ready()
        with hands_on(endpoints) as hands:
            with hands.sftp() as sftp:
                sftp.mkdir("pending/nz")
            hands.upload(orders.object, orders.content)
            # Nobody does anything: the page itself comes to say that something is wrong.
            look(browser, width=1180)

            def told() -> bool:
                browser.get(f"{endpoints.functions['status']}?still=1")
                return "One thing needs a person" in page(browser)

            assert eventually(told)

        assert "release these orders to load them without it" in page(browser)
        browser.find_element(By.PARTIAL_LINK_TEXT, ORDERS).click()
        WebDriverWait(browser, PATIENCE).until(url_contains("import="))
        assert f"release nz/{ORDERS}" in page(browser)

        alerts = json.loads(run("local", "alerts", "--json", "--data", up.data))
        assert [(one["code"], one["importId"]) for one in alerts] == [("overdue", ORDERS)]
        assert f"nz/{ORDERS} is scheduled" in run(
            "local", "release", f"nz/{ORDERS}", "--data", up.data
        )

        def loaded() -> bool:
            browser.refresh()
            return "without a known customer" in page(browser) and "✓" in page(browser)

        assert eventually(loaded), page(browser)
        assert "released to load without waiting for its customers" in page(browser)
        assert "All is well: no open alerts." in run("local", "alerts", "--data", up.data)
