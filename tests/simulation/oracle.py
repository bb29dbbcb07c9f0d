"""What must come of the files, worked out from what was promised and not from how it is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, combinations, product
from typing import Any

from tests.simulation.files import UNREADABLE, Content, Said

NEEDED = {
    *("personId", "accountId", "orderNumber", "orderDate"),
    *("lines", "lineCount", "quantity", "valueCents"),
}
"""Fields that no row leaves blank."""


Age = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One generation of a file."""

    import_id: str
    object: str
    generation: int
    uploaded_at: datetime
    said: Said

    def age_of(self, key: str) -> Age:
        """The later-exported file is the newer, then the later upload."""
        return self.said.exported_of(key), self.generation


def content(
    key: str,
    files: Iterable[Uploaded],
    *,
    keep: bool,
    withdrawn: Age | None = None,
    doubted: Collection[datetime] = (),
) -> Content | None:
    """Return the content that a document must have once exactly these files are loaded.

    Each field has what the latest-exported file says of it that says anything. An order with a bad
    line counts only where there is none without. `withdrawn` is when consent was withdrawn by an
    import that was undone: that is a word like any other. Whether an export of `doubted` had
    confirmed that consent is withdrawn is not known, so a corrected row of it cannot give consent.
    """
    found: dict[str, Any] = {}
    holding = [file for file in files if key in file.said.contents]
    complete = [one for one in holding if not in_file(one.said, key, keep=keep).get("incomplete")]
    holding = complete or holding
    for file in sorted(holding, key=lambda file: file.age_of(key)):
        if withdrawn is not None and withdrawn < file.age_of(key):
            found["subscribed"], withdrawn = False, None
        stays = key in file.said.exported and file.said.exported_of(key) in doubted
        stays = stays and found.get("subscribed") is False
        found |= in_file(file.said, key, keep=keep)
        if stays:
            found["subscribed"] = False
    if withdrawn is not None:
        found["subscribed"] = False
    if not holding:
        return None
    return {path: value for path, value in found.items() if value is not None}


def in_file(said: Said, key: str, *, keep: bool) -> Content:
    """Return what the rows of a key say together: values, and None of what they clear.

    What they leave open is not there: what cannot be read, consent that is blank, and, where blank
    means keep, all that is blank. Of each field the row updated last counts that says something, of
    equals the later one; but consent is withdrawn if one row withdraws it that may be the latest.
    """
    rows = said.contents[key]
    order = sorted(range(len(rows)), key=lambda at: (rows[at][0] is not None, rows[at][0] or 0, at))
    found: dict[str, Any] = {}
    for at in order:
        for path, value in rows[at][1].items():
            open_if_blank = path == "subscribed" or (keep and path not in NEEDED)
            if value != UNREADABLE and not (value is None and open_if_blank):
                found[path] = value
    consents = [
        (at, what["subscribed"])
        for at, what in rows
        if what.get("subscribed") not in (None, UNREADABLE)
    ]
    if consents:
        latest = max((at for at, _ in consents if at is not None), default=None)
        found["subscribed"] = all(given for at, given in consents if at in (None, latest))
    if said.mode == "bulk":
        found.pop("subscribed", None)  # a first load never touches consent
    return found


def withdraws(said: Said, key: str) -> bool:
    """Whether a file withdraws somebody's consent."""
    return key in said.contents and in_file(said, key, keep=True).get("subscribed") is False


def contents(
    key: str,
    settled: Sequence[Uploaded],
    superseded: Sequence[Uploaded],
    *,
    keep: bool,
    withdrawn: Sequence[Age | None] = (None,),
    undone: Sequence[Uploaded] = (),
    doubted: Collection[datetime] = (),
) -> list[Content | None]:
    """Return every content that a document may have.

    There is more than one only where the promise leaves it open: whether a file that was superseded
    while it was being loaded had come to this document yet, and which first load created it.
    Where an import was `undone`, a first load that was corrected may have filled in what the upload
    that created the document leaves open; and of a file that does not count, the document may have
    kept what the undone one had left open. `withdrawn` are the ages that consent may have that an
    import withdrew which was undone. For `doubted` see `content`.
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
    choices = [((), (one,), *_left_open(one, key, undone, keep=keep)) for one in loose]
    for some in product(*choices):
        found += [
            content(key, (*firm, *chain(*some), *one), keep=keep, withdrawn=at, doubted=doubt)
            for one in _first_loads(first, corrected=bool(undone))
            for at in withdrawn
            for doubt in ((), doubted)[: 1 + bool(doubted)]
        ]
    return [one for one in found if one is not None] if must else found


def _left_open(
    one: Uploaded, key: str, undone: Iterable[Uploaded], *, keep: bool
) -> Iterator[tuple[Uploaded]]:
    """Give an upload with nothing of a key but what a newer one leaves open that was undone."""
    says = in_file(one.said, key, keep=keep)
    for other in undone:
        if key in other.said.contents and other.age_of(key) > one.age_of(key):
            rest = {*says} - {*in_file(other.said, key, keep=keep), "incomplete"}
            rows = [(None, {path: says[path] for path in rest})]
            if rest:
                yield (replace(one, said=replace(one.said, contents={key: rows})),)


def _first_loads(first: Sequence[Uploaded], *, corrected: bool) -> list[tuple[Uploaded, ...]]:
    pairs = combinations(first, 2) if corrected else ()
    return [
        (),
        *((one,) for one in first),
        *(pair for pair in pairs if pair[0].import_id == pair[1].import_id),
    ]


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


def stand_in(rejected: Uploaded, loaded: Iterable[Uploaded], *, window: Any) -> Uploaded | None:
    """Return a customers file that has loaded and stands in for one that was rejected."""
    said = rejected.said
    fitting = [
        one
        for one in loaded
        if (one.said.type, one.said.mode) == (said.type, said.mode)
        and timedelta(0) < one.said.exported_at - said.exported_at <= window
        and one.uploaded_at > rejected.uploaded_at
    ]
    return min(fitting, key=lambda one: one.said.exported_at, default=None)
