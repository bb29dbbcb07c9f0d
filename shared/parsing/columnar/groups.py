"""Joining of whole grouped documents from the shares of their rows in a supply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from shared.core.arrays import Mask, Numbers, Octets
from shared.firestore.bulk import wire
from shared.parsing.columnar.cells import Supply
from shared.parsing.columnar.pieces import SPARE, Instead, Pieces, cut, join, rows_of
from shared.parsing.csv.grid import Places, windows

Made = tuple[Octets, Numbers]
"""Entries of one field that all rows make together, one row per document, and their lengths."""
Share = tuple[tuple[bytes, ...], bytes]
"""Entries of the document's own fields, cut at the fields that all rows make together; and the
item."""


class Shares:
    """Shares of the rows of a chunk in their documents: entries of own fields, and an item."""

    def __init__(
        self,
        own: Callable[[Numbers, Instead], list[Pieces]],
        item: Callable[[Numbers], Pieces],
        has_item: Callable[[Numbers], Mask],
        supply: Supply,
        rows: Numbers,
        instead: Mapping[int, Share],
    ) -> None:
        """Prepare.

        Args:
            own: returns, for some rows, the pieces of the document's own fields, cut by cut. Some
                fields may be wanted from other rows.
            item: returns, for some rows, the pieces of the items; none for a row without an item.
            has_item: returns True for those of some rows that have an item.
            supply: the bytes of the pieces.
            rows: the rows with shares, in order. No other row is known here.
            instead: row -> its share, if it does not consist of the pieces.
        """
        self._own = own
        self._item = item
        self._has_item = has_item
        self._supply = supply
        self._rows = rows
        self._instead = instead

    @property
    def elsewhere(self) -> Numbers:
        """Rows that do not consist of pieces, so that they cannot be gathered."""
        return np.flatnonzero(np.isin(self._rows, [*self._instead]))

    @property
    def has_item(self) -> Mask:
        """True for rows with an item, as far as they consist of pieces."""
        return self._has_item(self._rows)

    def some(self, lasts: Numbers, items: Numbers) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        """Return the own fields of the rows `lasts`, cut by cut, and the items of the rows `items`.

        An item is empty if its row has none.
        """
        of_own, of_items = self._rows[lasts], self._rows[items]
        cuts, item = self._own(of_own, {}), self._item(of_items)
        octets = self._supply.octets(SPARE)  # only now: the calls above add heads
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
        instead: Instead,
    ) -> list[bytes]:
        """Return whole documents.

        Args:
            lasts: the row that each document takes its own fields from.
            items: the rows whose items the documents hold, document by document.
            counts: the number of items of each document.
            between: the parts between the cuts of the own fields, in order: entries, one per
                document, and, once, the heads of the field that holds the items.
            instead: own fields that some documents take from another row.
        """
        of_item = self._item(self._rows[items])
        sizes = of_item.sizes() if of_item.lengths else np.zeros(len(items), np.int32)
        array_sizes = np.diff(np.cumsum(np.append(0, sizes))[np.append(0, np.cumsum(counts))])
        first, *others = self._own(
            self._rows[lasts],
            {path: (places, self._rows[rows]) for path, (places, rows) in instead.items()},
        )
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
    """Return the pieces of all documents, the pieces of the items between the others of each.

    Returns starts, lengths and the bounds of each document, as `cut` takes them.
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
