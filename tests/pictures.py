"""Takes the pictures in docs/pictures/ of the real pages: `python -m tests.pictures`."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sys
import tempfile
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
    ("overview-light", "", 1180, 2400, False),
    ("overview-dark", "", 1180, 1440, True),
    ("overview-phone", "", 390, 1500, False),
    ("import-light", f"?connection=main&import={story.TEN_FAULTS}", 1180, 1400, False),
    ("import-phone-dark", f"?connection=nz&import={story.OVERDUE}", 390, 1500, True),
    ("search-light", "?status=needs_a_look", 1180, 900, False),
)
"""Name, query of the page, width and most height in pixels, whether in dark colours."""


def take(browser: webdriver.Chrome, url: str, *, width: int, most: int, dark: bool) -> bytes:
    """Return a page from its top to its end, or to the height `most`, as PNG."""
    look(browser, width=width, dark=dark)
    browser.get(url)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot",
        {"format": "png", "clip": clip, "captureBeyondViewport": True, "optimizeForSpeed": False},
    )
    return base64.b64decode(taken["data"])


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
        pipeline = Pipeline.over(firestore.Client(project="pictures"), client)
        with contextlib.redirect_stdout(io.StringIO()):  # the log of the functions
            story.tell(pipeline)
        with serving(pipeline.services) as url, browsing() as browser:
            for name, query, width, most, dark in PICTURES:
                picture = take(browser, url + query, width=width, most=most, dark=dark)
                (FOLDER / f"{name}.png").write_bytes(picture)
                print(f"{name}.png: {len(picture):,} bytes")
        bucket.stop()
        database.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
