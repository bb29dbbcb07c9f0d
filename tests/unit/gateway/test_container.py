"""What the gateway's container is made of."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).resolve().parents[3] / "gateway" / "Dockerfile").read_text()


def test_nothing_but_what_is_pinned() -> None:
    """The image holds the pinned packages, each as its hash says, and no other."""
    (line,) = re.findall(r"pip install .*", TEXT)

    assert {"--no-deps", "--require-hashes", "/tmp/requirements.txt"} <= set(line.split())
    assert "COPY gateway/requirements.txt /tmp/requirements.txt\n" in TEXT


def test_it_has_no_rights() -> None:
    """The container runs as an ordinary user, and says how it tells that it is well."""
    assert "USER gateway" in TEXT.splitlines()
    assert re.search(r'HEALTHCHECK [^"]+\["python", "-m", "gateway", "check"', TEXT)
