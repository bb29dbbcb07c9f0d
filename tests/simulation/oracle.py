"""What must come of the files, worked out from what was promised and not from how it is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from tests.simulation.files import Content, Said

NEEDED = {
    *("personId", "accountId", "orderNumber", "orderDate"),
    *("lines", "lineCount", "quantity", "valueCents"),
}
"""Fields that no row leaves blank."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One generation of a file."""

    import_id: str
    object: str
    generation: int
    uploaded_at: datetime
    said: Said

    @property
    def age(self) -> tuple[datetime, int]:
        """The later-exported file is the newer, then the later upload."""
        return self.said.exported_at, self.generation


def content(key: str, files: Iterable[Uploaded], *, keep: bool) -> Content | None:
    """Return the content that a document must have once exactly these files are loaded.

    That of the latest-exported file that holds it; what this one leaves open (consent always, the
    rest where blank means keep) is that of the latest file before it that does not.
    """
    holding = sorted((file for file in files if key in file.said.contents), key=lambda f: f.age)
    said = [dict(file.said.contents[key]) for file in reversed(holding)]
    for file, what in zip(reversed(holding), said, strict=True):
        if file.said.mode == "bulk":
            what.pop("subscribed", None)  # a first load never touches consent
    if not said:
        return None
    paths = dict.fromkeys(path for what in said for path in what)
    left_open = {path for path in paths if path == "subscribed" or (keep and path not in NEEDED)}
    newest = said[0]
    found: dict[str, Any] = {}
    for path in paths:
        values = [what.get(path) for what in (said if path in left_open else [newest])]
        value = next((value for value in values if value is not None), None)
        if value is not None:
            found[path] = value
    return found


def contents(
    key: str, settled: Sequence[Uploaded], superseded: Sequence[Uploaded], *, keep: bool
) -> list[Content | None]:
    """Return every content that a document may have.

    There is more than one only where the promise leaves it open: whether a file that was superseded
    while it was being loaded had come to this document yet, and which first load created it.
    """
    firm = [one for one in settled if one.said.mode == "load" and key in one.said.contents]
    loose = [one for one in superseded if one.said.mode == "load" and key in one.said.contents]
    first = [
        one
        for one in (*settled, *superseded)
        if one.said.mode == "bulk" and key in one.said.contents
    ]
    must = bool(firm) or any(one in settled for one in first)
    found: list[Content | None] = []
    for size in range(len(loose) + 1):
        for some in combinations(loose, size):
            found += [content(key, (*firm, *some, *one), keep=keep) for one in _one_or_none(first)]
    return [one for one in found if one is not None] if must else found


def _one_or_none(first: Sequence[Uploaded]) -> list[tuple[Uploaded, ...]]:
    return [(), *((one,) for one in first)]


def matching(orders: Said, files: Iterable[Uploaded], *, window: Any) -> Uploaded | None:
    """Return the customers file that an orders file depends on."""
    fitting = [
        one
        for one in files
        if one.said.type == "customers"
        and one.said.mode == orders.mode
        and one.said.verdict in ("good", "rejected")
        and orders.exported_at - window <= one.said.exported_at <= orders.exported_at
    ]
    return max(fitting, key=lambda one: one.said.exported_at, default=None)
