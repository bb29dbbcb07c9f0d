"""How a grouped document is gathered, whole, from what its rows say, scattered over a supply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shared.core.arrays import Mask, Numbers, Octets
from shared.firestore.bulk import wire
from shared.parsing.columnar.cells import Supply
from shared.parsing.columnar.pieces import SPARE, Pieces, cut, join, rows_of
from shared.parsing.csv.grid import Places, windows

Made = tuple[Octets, Numbers]
"""Entries of one field with what all rows make, a row a document, and how long each is."""
Share = tuple[tuple[bytes, ...], bytes]
"""Entries of the document's own fields, cut where those that all rows make come; and the item."""


class Shares:
    """What each row of a chunk says of its document: entries of its own fields, and an item."""

    def __init__(
        self,
        own: Callable[[Numbers], list[Pieces]],
        item: Callable[[Numbers], Pieces],
        has_item: Callable[[Numbers], Mask],
        supply: Supply,
        rows: Numbers,
        instead: Mapping[int, Share],
    ) -> None:
        """Prepare.

        Args:
            own: gives, for some rows, the pieces of the document's own fields, cut by cut.
            item: gives, for some rows, the pieces of the items; none where a row has none.
            has_item: says which of some rows have one.
            supply: the bytes that they are pieces of.
            rows: the rows that there are, in order: others are not known here.
            instead: row -> what it says, where that does not consist of the pieces.
        """
        self._own = own
        self._item = item
        self._has_item = has_item
        self._supply = supply
        self._rows = rows
        self._instead = instead

    @property
    def elsewhere(self) -> Numbers:
        """The rows that do not consist of pieces, so that nothing can be gathered of them."""
        return np.flatnonzero(np.isin(self._rows, [*self._instead]))

    @property
    def has_item(self) -> Mask:
        """Which rows have an item, as far as they consist of pieces."""
        return self._has_item(self._rows)

    def some(self, lasts: Numbers, items: Numbers) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        """Return what some rows say of their documents' own fields, cut by cut, and the items of
        some, empty where there is none."""
        of_own, of_items = self._rows[lasts], self._rows[items]
        cuts, item = self._own(of_own), self._item(of_items)
        octets = self._supply.octets(SPARE)  # now that all heads are there
        parts = iter(join(octets, cuts, len(of_own)))
        own = [*zip(*[parts] * len(cuts), strict=True)]
        made = join(octets, [item], len(of_items))
        for place, row in enumerate(of_own.tolist()):
            if row in self._instead:
                own[place] = self._instead[row][0]
        for place, row in enumerate(of_items.tolist()):
            if row in self._instead:
                made[place] = self._instead[row][1]
        return own, made

    def gather(
        self,
        lasts: Numbers,
        items: Numbers,
        counts: Numbers,
        between: Sequence[Made | wire.Heads],
    ) -> list[bytes]:
        """Return whole documents.

        Args:
            lasts: the row that each takes its own fields from.
            items: the rows whose items they hold, document by document.
            counts: how many of these each has.
            between: what comes between the cuts of the own fields, in order: entries, one a
                document, and, once, the heads of the field that holds the items.
        """
        of_item = self._item(self._rows[items])
        sizes = of_item.sizes() if of_item.lengths else np.zeros(len(items), np.int32)
        array_sizes = np.diff(np.append(0, np.cumsum(sizes))[np.append(0, np.cumsum(counts))])
        first, *others = self._own(self._rows[lasts])
        more = bytearray()
        before: list[Pieces] = []
        so_far = [first]
        for made, after in zip(between, others, strict=True):
            begin = self._supply.size + len(more)
            if isinstance(made, wire.Heads):
                different, which = np.unique(array_sizes, return_inverse=True)
                heads = [made[size] if size else b"" for size in different.tolist()]
                lengths = np.array([len(head) for head in heads], np.int32)
                starts = (begin + np.cumsum(lengths) - lengths).astype(np.int32)
                more += b"".join(heads)
                before = [*so_far, Pieces([starts[which]], [lengths[which]])]
                so_far = [after]
            else:
                entries, lengths = made[0], made[1].astype(np.int32)
                starts = begin + np.arange(len(entries), dtype=np.int32) * entries.shape[1]
                more += entries.tobytes()
                so_far += [Pieces([starts], [lengths]), after]
        octets = self._supply.octets(SPARE, np.frombuffer(bytes(more), np.uint8))
        return cut(octets, *_in_order(Pieces.all(before), of_item, Pieces.all(so_far), counts))


def _in_order(
    before: Pieces, items: Pieces, after: Pieces, counts: Numbers
) -> tuple[Places, Places, Numbers]:
    """Return the pieces of all documents, those of its items between others of each.

    Returns starts, lengths and the bounds of each document's, as `cut` takes them.
    """
    widths = [len(part.starts) for part in (before, items, after)]
    ends = np.cumsum(counts)
    documents = np.arange(len(counts))
    others = widths[0] + widths[2]
    bounds = np.append(0, (documents + 1) * others + ends * widths[1])
    at = (
        bounds[:-1],
        np.repeat(documents * others + widths[0], counts) + np.arange(counts.sum()) * widths[1],
        bounds[1:] - widths[2],
    )
    found = []
    for columns in zip(
        *((part.starts, part.lengths) for part in (before, items, after)), strict=True
    ):
        whole = np.empty(bounds[-1], np.int32)
        for width, places, part in zip(widths, at, columns, strict=True):
            if width and len(places):
                rows = rows_of(part).view(f"V{4 * width}").ravel()
                windows(whole.view(np.uint8), 4 * width)[places * 4] = rows
        found.append(whole)
    return found[0], found[1], bounds
