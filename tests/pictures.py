"""Takes the pictures in docs/pictures/ of the real pages: `python -m tests.pictures`."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import google.cloud.storage as storage
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from selenium import webdriver

from local.emulators.firestore import serve as serve_firestore
from local.emulators.storage import serve as serve_storage
from local.stack import loopback_environment
from tests.support import story
from tests.support.browsing import browsing, look, serving, why_no_browser
from tests.support.pipeline import BUCKET, Pipeline

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"

PICTURES: tuple[tuple[str, str, int, int, bool], ...] = (
    ("overview-light", "", 1180, 3000, False),
    ("overview-dark", "", 1180, 1440, True),
    ("overview-phone", "", 390, 2600, False),
    ("overview-phone-dark", "", 390, 1500, True),
    ("retailer-light", "?connection=cairns", 1180, 1500, False),
    ("mails-light", "?connection=main#mails", 1180, 900, False),
    ("mails-phone-dark", "?connection=main#mails", 390, 1500, True),
    ("import-light", f"?connection=main&import={story.TEN_FAULTS}", 1180, 1400, False),
    ("import-dark", f"?connection=darwin&import={story.FOUR_DIGITS}", 1180, 1200, True),
    ("import-phone", f"?connection=darwin&import={story.FOUR_DIGITS}", 390, 1500, False),
    ("import-phone-dark", f"?connection=nz&import={story.OVERDUE}", 390, 1500, True),
    ("search-light", "?status=needs_a_look", 1180, 900, False),
    ("search-phone", "?status=needs_a_look", 390, 1300, False),
    ("search-dark", "?status=needs_a_look", 1180, 900, True),
    ("found-light", "?q=D1001", 1180, 900, False),
    ("found-dark", "?q=D1001", 1180, 900, True),
    ("found-phone", "?q=D1001", 390, 1200, False),
    ("unknown-light", "?status=lost", 1180, 600, False),
    ("unknown-phone-dark", "?status=lost", 390, 600, True),
)
"""Name, query of the page, width and most height in pixels, whether in dark colours."""

EMPTY: tuple[tuple[str, str, int, int, bool], ...] = (
    ("empty-light", "", 1180, 900, False),
    ("empty-dark", "", 1180, 900, True),
    ("empty-phone", "", 390, 1200, False),
)
"""Pictures of the page before the first file."""

QUALITY = 60
"""Quality of the pictures, of 100: all of them together are less than 1.5 MB."""


_BOX = """
const part = document.getElementById(arguments[0])?.closest("section");
if (!part) return [0, document.documentElement.scrollHeight];
const box = part.getBoundingClientRect();
return [box.top + window.scrollY - 16, box.height + 32];
"""
"""Returns top and height of a section by the id of its heading, or of the whole page."""


def take(browser: webdriver.Chrome, url: str, *, width: int, most: int, dark: bool) -> bytes:
    """Return a page, or the section that `url` ends with, down to the height `most`, as WebP."""
    look(browser, width=width, dark=dark)
    browser.get(url)
    top, height = browser.execute_script(_BOX, url.partition("#")[2])
    clip = {"x": 0, "y": top, "width": width, "height": min(height, most), "scale": 1}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot",
        {"format": "webp", "quality": QUALITY, "clip": clip, "captureBeyondViewport": True},
    )
    return base64.b64decode(taken["data"])


def _take_all(
    browser: webdriver.Chrome, url: str, pictures: Iterable[tuple[str, str, int, int, bool]]
) -> None:
    for name, query, width, most, dark in pictures:
        picture = take(browser, url + query, width=width, most=most, dark=dark)
        (FOLDER / f"{name}.webp").write_bytes(picture)
        print(f"{name}.webp: {len(picture):,} bytes")


def main() -> int:
    """Tell the story to servers of its own and look at it; return the exit code."""
    missing = why_no_browser()
    if missing:
        print(f"No pictures: {missing}.", file=sys.stderr)
        return 2
    os.environ.update(loopback_environment(os.environ))
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        database = serve_firestore(data=Path(folder) / "firestore")
        bucket = serve_storage(data=Path(folder) / "storage", buckets=[BUCKET])
        os.environ["FIRESTORE_EMULATOR_HOST"] = f"127.0.0.1:{database.port}"
        client = storage.Client(
            project="pictures",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": f"http://127.0.0.1:{bucket.port}"},
        )
        settings = story.mailing(Path(folder) / "mail")
        pipeline = Pipeline.over(firestore.Client(project="pictures"), client, **settings)
        services = replace(
            pipeline.services,
            deployment=replace(pipeline.services.deployment, sftp_address="sftp.example.com:2222"),
        )
        with serving(services) as url, browsing() as browser:
            _take_all(browser, url, EMPTY)
            with contextlib.redirect_stdout(io.StringIO()):  # the log of the functions
                story.tell(pipeline, others=story.OTHERS)
            _take_all(browser, url, PICTURES)
        bucket.stop()
        database.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
