"""The status page served over HTTP with a clock in the test's hands, and a browser."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flask
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from werkzeug.serving import make_server

from shared.services import Services
from shared.status import routes

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # The shared memory of a container is too small for it.
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"),
    "--no-proxy-server",
)


@contextmanager
def serving(services: Services) -> Iterator[str]:
    """Serve the page on a free port, as functions-framework hands requests on; gives its URL."""
    app = flask.Flask(__name__)

    @app.route("/", defaults={"path": ""})
    @app.route("/<path:path>")
    def page(path: str) -> flask.Response:
        request = flask.request
        answer = routes.answer(
            routes.Request(
                method=request.method,
                path=request.path,
                query=request.args,
            ),
            lambda: services,
        )
        return flask.Response(answer.body, answer.status, dict(answer.headers))

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/status"
    finally:
        server.shutdown()
        thread.join()


def why_no_browser() -> str | None:
    """Say what is missing for looking at a page; None where nothing is."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


@contextmanager
def browsing() -> Iterator[webdriver.Chrome]:
    """Open a headless Chromium with a profile of its own."""
    driver = shutil.which("chromedriver")
    assert driver is not None, why_no_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={Path(profile) / 'profile'}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(
            options=options,
            service=Service(driver, log_output=os.devnull),
        )
        try:
            yield browser
        finally:
            browser.quit()


def look(
    browser: webdriver.Chrome,
    *,
    width: int,
    height: int = 900,
    dark: bool = False,
    script: bool = True,
) -> None:
    """Set how the next page is seen: its width in CSS pixels, its colours, JavaScript or none."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
