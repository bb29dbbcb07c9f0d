"""Fingerprint of the program and the settings that turn a row into a document."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

PROGRAM = ("core", "files", "firestore", "index", "loading", "parsing")
"""Packages whose code turns a row into a document. After a change in any of them every row is
compared with its document again; a change in a page, a report or a command has no such effect."""


def fingerprint(*parts: object) -> str:
    """Return a hash of the code in `PROGRAM` and of `parts`, which are settings.

    While the fingerprint is unchanged, a row always yields the same document.
    """
    hasher = hashlib.blake2b(_program(), digest_size=16)
    for part in parts:
        hasher.update(repr(part).encode() + b"\0")
    return hasher.hexdigest()


@cache
def _program() -> bytes:
    """Return a hash of the source code of the packages in `PROGRAM`."""
    hasher = hashlib.blake2b(digest_size=32)
    root = Path(__file__).parents[1]
    for folder in PROGRAM:
        for path in sorted((root / folder).rglob("*.py")):
            hasher.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return hasher.digest()
